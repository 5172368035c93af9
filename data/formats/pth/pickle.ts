/**
 * A restricted reader of Python's pickles, in the binary opcodes of protocols 2 to 5. It builds plain
 * values, and calls nothing but the functions that it is handed by name: nothing of Python runs.
 *
 * Values come as: `None` null, `int` number (bigint past 2^53), `bytes` Uint8Array, `list` array, `dict`
 * Map, `tuple` {@link Tuple}, `OrderedDict` {@link OrderedDict}, the others as themselves. Sets and the objects
 * that the rules call harmless come as {@link Foreign}: nothing of them is made.
 *
 * @module
 */
import { quote } from "../../files/messages.ts";
import { isNumberKey, MAX_NUMBER_KEYS } from "../../files/table_keys.ts";
import {
  COST,
  Foreign,
  isStateful,
  LimitError,
  Machine,
  PickleGlobal,
  Tuple,
} from "./pickle_machine.ts";
import { UserError } from "../../files/user_error.ts";

export { Foreign, PickleGlobal, type Stateful, Tuple } from "./pickle_machine.ts";

/** An `OrderedDict` or `defaultdict`. Attributes that a pickle sets on it are passed over. */
export class OrderedDict extends Map<unknown, unknown> {
  /** `OrderedDict._metadata` of a state dict comes this way: the versions of its modules. */
  setState(state: unknown): void {
    if (state instanceof Map) return;
    throw new UserError("sets attributes of an OrderedDict that are no dict");
  }
}

/** What a pickle may hold besides plain values. */
export interface PickleRules {
  /** What may be named, besides `collections.OrderedDict`, `defaultdict` and Python's ways to write bytes. */
  globals?: readonly PickleGlobal[];
  /** What a persistent id stands for; without this there may be none. */
  persistent?: (id: unknown) => unknown;
}

const ORDERED_DICT = new PickleGlobal("collections.OrderedDict", (args, { spend, takeNumber }) => {
  const [items = [], ...rest] = args;
  if (!Array.isArray(items) || rest.length > 0) return refuseArguments("collections.OrderedDict");
  spend(COST.dict + COST.entry * items.length);
  const dict = new OrderedDict();
  // Python 2 writes the pairs as lists of two.
  for (const item of items) {
    const pair: unknown = item instanceof Tuple ? item.items : item;
    if (!Array.isArray(pair) || pair.length !== 2) refuseArguments("collections.OrderedDict");
    setItem(dict, pair[0], pair[1], takeNumber);
  }
  return dict;
});

const DEFAULT_DICT = new PickleGlobal(
  "collections.defaultdict",
  ([factory, ...rest], { spend }) => {
    const isNamed = factory === undefined || factory === null || factory instanceof PickleGlobal;
    if (!isNamed || rest.length > 0) return refuseArguments("collections.defaultdict");
    spend(COST.dict);
    return new OrderedDict();
  },
);

// Protocol 2 has no opcode for bytes: it writes them as a text of the characters 0 to 255.
const ENCODE = new PickleGlobal("_codecs.encode", ([text, encoding], { spend }) => {
  if (typeof text !== "string" || encoding !== "latin1") return refuseArguments("_codecs.encode");
  spend(COST.object + text.length);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < bytes.length; i++) {
    const code = text.charCodeAt(i);
    if (code > 255) return refuseArguments("_codecs.encode");
    bytes[i] = code;
  }
  return bytes;
});

const BYTES = new PickleGlobal("builtins.bytes", (args, { spend }) => {
  if (args.length > 0) return refuseArguments("builtins.bytes");
  spend(COST.object);
  return new Uint8Array(0);
});

const PLAIN = [ORDERED_DICT, DEFAULT_DICT, ENCODE, BYTES];

/** How modules were called before: by Python 2, for which protocol 2 writes, and by NumPy before 2. */
const RENAMED: readonly [before: RegExp, now: string][] = [
  [/^__builtin__\./, "builtins."],
  [/^copy_reg\./, "copyreg."],
  [/^numpy\.core\./, "numpy._core."],
];

function refuseArguments(name: string): never {
  throw new UserError(`calls ${name} with arguments that it does not take`);
}

function setItem(
  dict: unknown,
  key: unknown,
  value: unknown,
  takeNumber: () => boolean,
): void {
  if (dict instanceof Foreign) return;
  if (!(dict instanceof Map)) throw new UserError("sets an item of something that is no dict");
  if (key instanceof Map || Array.isArray(key)) {
    throw new UserError("sets a key of a dict that is itself a dict or a list");
  }
  if (isNumberKey(key) && !takeNumber()) {
    if (typeof key !== "string") return; // no name of a tensor: passed over
    throw new LimitError(
      `The pickle has more than ${MAX_NUMBER_KEYS} keys that are numbers, which is the limit`,
    );
  }
  dict.set(key, value);
}

function setItems(m: Machine, items: readonly unknown[]): void {
  if (items.length % 2 > 0) throw new UserError("sets a key of a dict without a value");
  m.spend(COST.entry * items.length / 2);
  const dict = m.top();
  for (let i = 0; i < items.length; i += 2) setItem(dict, items[i], items[i + 1], m.takeNumber);
}

function append(m: Machine, items: readonly unknown[]): void {
  const list = m.top();
  if (list instanceof Foreign) return;
  if (!Array.isArray(list)) throw new UserError("adds to something that is no list");
  m.spend(COST.value * items.length);
  for (const item of items) list.push(item);
}

function addToSet(m: Machine): void {
  m.popMark();
  if (!(m.top() instanceof Foreign)) throw new UserError("adds to something that is no set");
}

function makeForeign(m: Machine, what: string): void {
  m.make(new Foreign(what), COST.object);
}

function call(m: Machine, callee: unknown, args: unknown): void {
  if (!(callee instanceof PickleGlobal)) throw new UserError("refuses to call a value");
  if (callee.call === undefined || !(args instanceof Tuple)) {
    throw new UserError(`refuses to call ${callee.name}`);
  }
  m.push(callee.call(args.items, m));
}

function setState(object: unknown, state: unknown): void {
  if (object instanceof Foreign) return;
  if (!isStateful(object)) throw new UserError("sets attributes of something that has none");
  object.setState(state);
}

const STOP = 0x2e;

/** What each opcode does: the names are those of Python's pickletools. */
const OPCODES = new Map<number, (machine: Machine, rules: Rules) => void>([
  [0x80, (m) => m.skip(1)], // PROTO
  [0x95, (m) => m.skip(8)], // FRAME
  [0x28, (m) => m.mark()], // MARK
  [0x30, (m) => m.pop()], // POP
  [0x31, (m) => m.popMark()], // POP_MARK
  [0x32, (m) => m.push(m.top())], // DUP
  [0x4e, (m) => m.push(null)], // NONE
  [0x88, (m) => m.push(true)], // NEWTRUE
  [0x89, (m) => m.push(false)], // NEWFALSE
  [0x4a, (m) => m.push(m.int32())], // BININT
  [0x4b, (m) => m.push(m.byte())], // BININT1
  [0x4d, (m) => m.push(m.uint16())], // BININT2
  [0x8a, (m) => m.push(m.int(m.byte()))], // LONG1
  [0x8b, (m) => m.push(m.int(m.uint32()))], // LONG4
  [0x47, (m) => m.push(m.float64())], // BINFLOAT
  [0x58, (m) => m.push(m.text(m.uint32()))], // BINUNICODE
  [0x8c, (m) => m.push(m.text(m.byte()))], // SHORT_BINUNICODE
  [0x8d, (m) => m.push(m.text(m.uint64()))], // BINUNICODE8
  [0x54, (m) => m.push(m.string(m.uint32()))], // BINSTRING, the str of Python 2
  [0x55, (m) => m.push(m.string(m.byte()))], // SHORT_BINSTRING
  [0x42, (m) => m.push(m.take(m.uint32()))], // BINBYTES
  [0x43, (m) => m.push(m.take(m.byte()))], // SHORT_BINBYTES
  [0x8e, (m) => m.push(m.take(m.uint64()))], // BINBYTES8
  [0x96, (m) => m.push(m.take(m.uint64()))], // BYTEARRAY8
  [0x8f, (m) => makeForeign(m, "a set")], // EMPTY_SET
  [0x90, (m) => addToSet(m)], // ADDITEMS
  [0x91, (m) => {
    m.popMark();
    makeForeign(m, "a frozenset");
  }], // FROZENSET
  [0x5d, (m) => m.make([], COST.list)], // EMPTY_LIST
  [0x61, (m) => append(m, m.popMany(1))], // APPEND
  [0x65, (m) => append(m, m.popMark())], // APPENDS
  [0x29, (m) => m.makeTuple([])], // EMPTY_TUPLE
  [0x74, (m) => m.makeTuple(m.popMark())], // TUPLE
  [0x85, (m) => m.makeTuple(m.popMany(1))], // TUPLE1
  [0x86, (m) => m.makeTuple(m.popMany(2))], // TUPLE2
  [0x87, (m) => m.makeTuple(m.popMany(3))], // TUPLE3
  [0x7d, (m) => m.make(new Map(), COST.dict)], // EMPTY_DICT
  [0x73, (m) => setItems(m, m.popMany(2))], // SETITEM
  [0x75, (m) => setItems(m, m.popMark())], // SETITEMS
  [0x68, (m) => m.recall(m.byte())], // BINGET
  [0x6a, (m) => m.recall(m.uint32())], // LONG_BINGET
  [0x71, (m) => m.store(m.byte())], // BINPUT
  [0x72, (m) => m.store(m.uint32())], // LONG_BINPUT
  [0x94, (m) => m.storeNext()], // MEMOIZE
  [0x63, (m, rules) => m.push(findGlobal(m.line(), m.line(), rules))], // GLOBAL
  [0x93, (m, rules) => {
    const [module, name] = m.popMany(2);
    m.push(findGlobal(module, name, rules));
  }], // STACK_GLOBAL
  [0x52, (m) => {
    const [callee, args] = m.popMany(2);
    call(m, callee, args);
  }], // REDUCE
  [0x81, (m) => {
    const [type, args] = m.popMany(2);
    call(m, type, args);
  }], // NEWOBJ
  [0x92, (m) => {
    const [type, args] = m.popMany(3);
    call(m, type, args);
  }], // NEWOBJ_EX, whose third value are arguments by name
  [0x62, (m) => {
    const state = m.pop();
    setState(m.top(), state);
  }], // BUILD
  [0x51, (m, { persistent }) => {
    if (persistent === undefined) throw new UserError("refuses a persistent id");
    m.make(persistent(m.pop()), COST.object);
  }], // BINPERSID
]);

/** The rules with the globals by name. */
interface Rules {
  globals: ReadonlyMap<string, PickleGlobal>;
  persistent: PickleRules["persistent"];
}

/** A global's module and name have fewer characters together. */
const MAX_GLOBAL = 1000;

function findGlobal(module: unknown, name: unknown, { globals }: Rules): PickleGlobal {
  if (typeof module !== "string" || typeof name !== "string") {
    throw new UserError("names a global by something else than two texts");
  }
  const full = module.length + name.length < MAX_GLOBAL ? `${module}.${name}` : "";
  const renamed = RENAMED.reduce((now, [before, after]) => now.replace(before, after), full);
  const found = globals.get(renamed);
  if (found !== undefined) return found;
  const shown = full === "" ? `${quote(module)} … ${quote(name)}` : quote(full, 100).slice(1, -1);
  throw new UserError(
    `refuses the global ${shown}, which may be any code: in PyTorch, ` +
      "torch.save(model.state_dict(), path) writes the weights without such",
  );
}

/**
 * Read the pickle that starts at byte `start`. A UserError names a global that the rules do not have, an
 * opcode that is not supported, or what is wrong with the pickle; a UserError when it would take too much memory.
 *
 * ```ts
 * const bytes = Uint8Array.of(0x80, 2, 0x4b, 7, 0x4b, 8, 0x86, 0x2e); // (7, 8)
 * const { value, end } = unpickle(bytes, 0);
 * if (!(value instanceof Tuple) || value.items.join() !== "7,8" || end !== 8) throw new Error("wrong");
 * ```
 */
export function unpickle(
  bytes: Uint8Array<ArrayBuffer>,
  start: number,
  { globals = [], persistent }: PickleRules = {},
): { value: unknown; end: number } {
  const named = new Map([...PLAIN, ...globals].map((global) => [global.name, global]));
  const rules = { globals: named, persistent };
  const machine = new Machine(bytes, start);
  let opcodeAt = start;
  try {
    while (true) {
      opcodeAt = machine.at;
      const opcode = machine.byte();
      machine.spend(COST.opcode);
      if (opcode === STOP) return { value: machine.pop(), end: machine.at };
      const step = OPCODES.get(opcode);
      if (step === undefined) {
        throw new UserError(`is the opcode 0x${opcode.toString(16)}, which is not supported`);
      }
      step(machine, rules);
    }
  } catch (error) {
    if (!(error instanceof UserError) || error instanceof LimitError) throw error;
    throw new UserError(`Byte ${opcodeAt - start} of the pickle ${error.message}`);
  }
}
