/**
 * What reads a pickle opcode by opcode: the bytes, the stack with its marks, and the memo.
 *
 * @module
 */
import { MAX_NUMBER_KEYS } from "../../files/table_keys.ts";
import { UserError } from "../../files/user_error.ts";

/** A tuple. */
export class Tuple {
  /** The values in order. */
  readonly items: readonly unknown[];

  constructor(items: readonly unknown[]) {
    this.items = items;
  }
}

/** Something that a pickle may name: a class or a function. */
export class PickleGlobal {
  /** The module and the name, with a dot between them. */
  readonly name: string;
  /** What a call of it gives; without this it can be named but not called. */
  readonly call: PickleCall | undefined;

  constructor(name: string, call?: PickleCall) {
    this.name = name;
    this.call = call;
  }
}

/** What is counted while a pickle is read. */
export interface Account {
  /** Say about how many bytes something takes, before it is made: a UserError when there is too much. */
  readonly spend: (bytes: number) => void;
  /** Whether a dict may have one number more as a key. */
  readonly takeNumber: () => boolean;
}

/** What a pickle may call. */
export type PickleCall = (args: readonly unknown[], account: Account) => unknown;

/** An object of Python that is passed over: it is known by its name, and nothing of it is made. */
export class Foreign {
  constructor(
    /** What an error message calls it, with an article. */
    readonly what: string,
    /** Whether it is a tensor, of a kind that is not supported. */
    readonly isTensor: boolean = false,
  ) {}
}

/** An object whose state a pickle may set after it made it. */
export interface Stateful {
  /** A UserError where it is not such a state. */
  setState(state: unknown): void;
}

/** Whether a value can be given its state. */
export function isStateful(value: unknown): value is Stateful {
  return typeof value === "object" && value !== null && "setState" in value;
}

/**
 * About how many bytes things take in memory, rounded up. A byte of the file can make a dict or recall a long
 * text, so what each opcode makes is counted.
 */
export const COST = {
  /** An opcode, which costs time too. */
  opcode: 8,
  /** A value on the stack. */
  value: 16,
  /** An entry of the memo. */
  memo: 48,
  tuple: 80,
  list: 160,
  dict: 200,
  /** A key of a dict and its value, themselves not counted. */
  entry: 64,
  /** A text or bytes without what they hold. */
  text: 64,
  /** Any other object. */
  object: 200,
} as const;

/** What a pickle's values may take beside twice the bytes read, and in all: a long list of numbers fits. */
const FREE = 64 * 2 ** 20, MOST = 128 * 2 ** 20;

/** How many bytes the name of a module, class or function may have. */
const MAX_NAME = 500;

/** How many bytes an `int` may have. */
const MAX_INT = 255;

/** What is no fault of one opcode: its message is a whole sentence, and others go on from "Byte 3 of the pickle". */
export class LimitError extends UserError {}

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The state of a pickle's reading. */
export class Machine implements Account {
  /** Where the next byte is read. */
  at: number;
  readonly #start: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #stack: unknown[] = [];
  /** The heights of the stack at each open mark. */
  #marks: number[] = [];
  #memo = new Map<number, unknown>();
  #spent = 0;
  #numberKeys = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>, start: number) {
    this.at = this.#start = start;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Step over `count` bytes and give their start. */
  skip(count: number): number {
    if (count > this.#bytes.length - this.at) {
      throw new UserError(
        `needs ${count} bytes more, and the file has ${this.#bytes.length - this.at}`,
      );
    }
    this.at += count;
    return this.at - count;
  }

  byte(): number {
    return this.#view.getUint8(this.skip(1));
  }

  uint16(): number {
    return this.#view.getUint16(this.skip(2), true);
  }

  uint32(): number {
    return this.#view.getUint32(this.skip(4), true);
  }

  int32(): number {
    return this.#view.getInt32(this.skip(4), true);
  }

  uint64(): number {
    return Number(this.#view.getBigUint64(this.skip(8), true));
  }

  float64(): number {
    return this.#view.getFloat64(this.skip(8));
  }

  /** The next bytes as a view. */
  take(count: number): Uint8Array<ArrayBuffer> {
    const start = this.skip(count);
    this.spend(COST.object);
    return this.#bytes.subarray(start, start + count);
  }

  /** Count memory: a UserError when there is too much. */
  readonly spend = (bytes: number): void => {
    this.#spent += bytes;
    const limit = Math.min(MOST, FREE + 2 * (this.at - this.#start));
    if (this.#spent <= limit) return;
    throw new LimitError(
      `The values of the pickle's first ${this.at - this.#start} bytes would take more than ` +
        `${limit} bytes of memory, which is the limit`,
    );
  };

  readonly takeNumber = (): boolean => ++this.#numberKeys <= MAX_NUMBER_KEYS;

  text(count: number): string {
    const start = this.skip(count);
    this.spend(COST.text + 2 * count);
    try {
      return UTF8.decode(this.#bytes.subarray(start, this.at));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new UserError("holds a text that is not UTF-8");
    }
  }

  /** A string of Python 2: a text, or bytes where it is not UTF-8. */
  string(count: number): string | Uint8Array<ArrayBuffer> {
    const start = this.at;
    try {
      return this.text(count);
    } catch (error) {
      if (!(error instanceof UserError) || error instanceof LimitError) throw error;
      this.at = start;
      return this.take(count);
    }
  }

  /** The name up to the next line end. */
  line(): string {
    const length = this.#bytes.subarray(this.at, this.at + MAX_NAME + 1).indexOf(10);
    if (length < 0) {
      throw new UserError(`starts a name that has no end within ${MAX_NAME} bytes`);
    }
    const text = this.text(length);
    this.at++;
    return text;
  }

  /** An int of so many bytes, little-endian, in two's complement. */
  int(count: number): number | bigint {
    if (count > MAX_INT) {
      throw new UserError(`holds an int of ${count} bytes: at most ${MAX_INT} are allowed`);
    }
    let digits = 0n;
    for (const byte of this.take(count).toReversed()) digits = (digits << 8n) | BigInt(byte);
    const value = BigInt.asIntN(8 * count, digits);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  push(value: unknown): void {
    this.spend(COST.value);
    this.#stack.push(value);
  }

  /** Push what takes so many bytes. */
  make(value: unknown, bytes: number): void {
    this.spend(bytes);
    this.push(value);
  }

  /** Push a tuple. */
  makeTuple(items: unknown[]): void {
    this.make(new Tuple(items), COST.tuple + 8 * items.length);
  }

  pop(): unknown {
    this.#need(1);
    return this.#stack.pop();
  }

  top(): unknown {
    this.#need(1);
    return this.#stack[this.#stack.length - 1];
  }

  /** The last `count` values, off the stack. */
  popMany(count: number): unknown[] {
    this.#need(count);
    return this.#stack.splice(this.#stack.length - count);
  }

  /** No value may be taken from below the last mark. */
  #need(count: number): void {
    if (this.#stack.length - count < (this.#marks[this.#marks.length - 1] ?? 0)) {
      throw new UserError("needs a value from the stack, which has none");
    }
  }

  mark(): void {
    this.spend(COST.value);
    this.#marks.push(this.#stack.length);
  }

  /** The values above the last mark, which goes. */
  popMark(): unknown[] {
    const height = this.#marks.pop();
    if (height === undefined) throw new UserError("needs a mark, and there is none");
    return this.#stack.splice(height);
  }

  store(index: number): void {
    this.spend(COST.memo);
    this.#memo.set(index, this.top());
  }

  storeNext(): void {
    this.store(this.#memo.size);
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) {
      throw new UserError(`recalls value ${index}, which the memo does not have`);
    }
    this.push(this.#memo.get(index));
  }
}
