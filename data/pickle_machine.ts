/**
 * What reads a pickle opcode by opcode: the bytes, the stack with its marks, and the memo.
 *
 * @module
 */
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
  readonly call: ((args: readonly unknown[]) => unknown) | undefined;

  constructor(name: string, call?: (args: readonly unknown[]) => unknown) {
    this.name = name;
    this.call = call;
  }
}

/** How many values a pickle may make and note: one takes a byte of the file, and some hundred in memory. */
const MAX_VALUES = 1_000_000;

/** How many bytes an `int` may have. */
const MAX_INT = 32;

const UTF8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The state of a pickle's reading. */
export class Machine {
  /** Where the next byte is read. */
  at: number;
  #bytes: Uint8Array<ArrayBuffer>;
  #view: DataView;
  #stack: unknown[] = [];
  /** The heights of the stack at each open mark. */
  #marks: number[] = [];
  #memo = new Map<number, unknown>();
  #values = 0;

  constructor(bytes: Uint8Array<ArrayBuffer>, start: number) {
    this.at = start;
    this.#bytes = bytes;
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  }

  /** Step over `count` bytes and give their start. */
  skip(count: number): number {
    if (count > this.#bytes.length - this.at) {
      throw new SyntaxError(
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
    return this.#bytes.subarray(start, start + count);
  }

  text(count: number): string {
    try {
      return UTF8.decode(this.take(count));
    } catch (error) {
      if (!(error instanceof TypeError)) throw error;
      throw new SyntaxError("holds a text that is not UTF-8");
    }
  }

  /** The text up to the next line end. */
  line(): string {
    const end = this.#bytes.indexOf(10, this.at);
    if (end < 0) throw new SyntaxError("starts a name that has no end");
    const text = this.text(end - this.at);
    this.at++;
    return text;
  }

  /** An int of so many bytes, little-endian, in two's complement. */
  int(count: number): number | bigint {
    if (count > MAX_INT) {
      throw new SyntaxError(`holds an int of ${count} bytes: at most ${MAX_INT} are allowed`);
    }
    let digits = 0n;
    for (const byte of this.take(count).toReversed()) digits = (digits << 8n) | BigInt(byte);
    const value = BigInt.asIntN(8 * count, digits);
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  #count(): void {
    if (++this.#values <= MAX_VALUES) return;
    throw new RangeError(`The pickle makes more than ${MAX_VALUES} values, which is the limit`);
  }

  push(value: unknown): void {
    this.#count();
    this.#stack.push(value);
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
      throw new SyntaxError("needs a value from the stack, which has none");
    }
  }

  mark(): void {
    this.#count();
    this.#marks.push(this.#stack.length);
  }

  /** The values above the last mark, which goes. */
  popMark(): unknown[] {
    const height = this.#marks.pop();
    if (height === undefined) throw new SyntaxError("needs a mark, and there is none");
    return this.#stack.splice(height);
  }

  store(index: number): void {
    this.#count();
    this.#memo.set(index, this.top());
  }

  storeNext(): void {
    this.store(this.#memo.size);
  }

  recall(index: number): void {
    if (!this.#memo.has(index)) {
      throw new SyntaxError(`recalls value ${index}, which the memo does not have`);
    }
    this.push(this.#memo.get(index));
  }
}
