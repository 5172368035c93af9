import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertLess,
  assertMatch,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import {
  Foreign,
  OrderedDict,
  PickleGlobal,
  Tuple,
  unpickle,
} from "../../../../data/formats/pth/pickle.ts";
import { concat } from "../zip/zip_writer.ts";
import {
  APPEND,
  APPENDS,
  BINPERSID,
  BUILD,
  call,
  dict,
  DUP,
  EMPTY_DICT,
  EMPTY_LIST,
  EMPTY_TUPLE,
  global,
  int,
  MARK,
  NONE,
  pickle,
  type Piece,
  POP,
  REDUCE,
  SETITEM,
  SETITEMS,
  text,
  tuple,
  word,
} from "./pickler.ts";
import { UserError } from "../../../../data/files/user_error.ts";

const load = (...pieces: Piece[]) => unpickle(pickle(...pieces), 0).value;
const ordered = global("collections", "OrderedDict");

Deno.test("unpickle() reads numbers, texts and bytes", () => {
  const values = load(
    ...[EMPTY_LIST, MARK, NONE, 0x88, 0x89, 0x4b, 255, 0x4d, 0xff, 0xff],
    ...[0x4a, word(-5), int(2 ** 40), int(-(2n ** 80n)), 0x8a, 0, 0x8b, word(1), 0x80],
    ...[0x47, 0x3f, 0xb9, 0x99, 0x99, 0x99, 0x99, 0x99, 0x9a], // 0.1
    ...[text("é"), 0x8c, 1, 97, 0x8d, word(1), word(0), 98, 0x54, word(1), 99, 0x55, 1, 100],
    ...[0x42, word(1), 7, 0x43, 2, 0, 255, 0x8e, word(0), word(0), APPENDS],
  );
  assertEquals(values, [
    ...[null, true, false, 255, 65535, -5, 2 ** 40, -(2n ** 80n), 0, -128, 0.1],
    ...["é", "a", "b", "c", "d"],
    ...[Uint8Array.of(7), Uint8Array.of(0, 255), new Uint8Array(0)],
  ]);
});

Deno.test("unpickle() reads lists, tuples and dicts, and what they share", () => {
  const shared = load(
    ...[EMPTY_LIST, 0x71, 3, MARK, int(1), EMPTY_TUPLE, int(2), 0x85, int(3), int(4), 0x86],
    ...[int(5), int(6), int(7), 0x87, tuple(int(8)), APPENDS, int(9), APPEND],
    ...[0x94, 0x68, 3, 0x6a, word(1), tuple(), 0x72, word(700), POP, 0x86],
  );
  assertInstanceOf(shared, Tuple);
  const [a, b] = shared.items;
  assert(a === b);
  const tuples = [[], [2], [3, 4], [5, 6, 7], [8]].map((items) => new Tuple(items));
  assertEquals(a, [1, ...tuples, 9]);
  assertEquals(
    load(EMPTY_DICT, text("a"), int(1), SETITEM, MARK, int(7), NONE, NONE, text("b"), SETITEMS),
    new Map<unknown, unknown>([["a", 1], [7, null], [null, "b"]]),
  );
  const frame = [0x95, word(3), word(0)];
  assertEquals(load(frame, int(1), DUP, 0x86), new Tuple([1, 1]));
  assertEquals(load(MARK, int(1), 0x31, int(2)), 2);
});

Deno.test("unpickle() follows a list that holds itself", () => {
  const list = load(EMPTY_LIST, 0x71, 0, 0x68, 0, APPEND) as unknown[];
  assert(list[0] === list);
});

Deno.test("unpickle() calls OrderedDict and Python's ways to write bytes", () => {
  const made = load(call(ordered), text("a"), int(1), SETITEM, dict(text("x"), NONE), BUILD);
  assertInstanceOf(made, OrderedDict);
  assertEquals([...made], [["a", 1]]);
  // As Python 2 writes it: one list of lists.
  const pair = [EMPTY_LIST, MARK, 0x55, 1, 97, int(1), APPENDS];
  assertEquals(load(call(ordered, [EMPTY_LIST, pair, APPEND])), new OrderedDict([["a", 1]]));
  const pairs = [EMPTY_LIST, tuple(text("a"), int(1)), APPEND];
  assertEquals(load(call(ordered, pairs)), new OrderedDict([["a", 1]]));
  const encode = global("_codecs", "encode");
  assertEquals(load(call(encode, text("\0ÿ"), text("latin1"))), Uint8Array.of(0, 255));
  assertEquals(load(call(global("__builtin__", "bytes"))), new Uint8Array(0));
  const stacked = [text("builtins"), text("bytes"), 0x93, EMPTY_TUPLE, REDUCE];
  assertEquals(load(stacked), new Uint8Array(0));
});

Deno.test("unpickle() asks the rules for globals and persistent ids", () => {
  const rules = {
    globals: [new PickleGlobal("a.b", (args) => args.length), new PickleGlobal("a.c")],
    persistent: (id: unknown) => `id ${id}`,
  };
  const read = (...pieces: Piece[]) => unpickle(pickle(...pieces), 0, rules).value;
  assertEquals(read(call(global("a", "b"), NONE, NONE)), 2);
  assertEquals(read(global("a", "c")), rules.globals[1]);
  assertEquals(read(text("x"), BINPERSID), "id x");
  assertThrows(() => read(call(global("a", "c"))), UserError, "refuses to call a.c");
  assertThrows(() => read(global("a", "b"), NONE, REDUCE), UserError, "refuses to call a.b");
});

Deno.test("unpickle() starts and ends where it is told to", () => {
  const one = pickle(int(1));
  const both = Uint8Array.of(...one, ...pickle(int(2)), 99);
  const { value, end } = unpickle(both, one.length);
  assertEquals([value, end], [2, both.length - 1]);
  assertThrows(
    () => unpickle(both, both.length),
    UserError,
    "Byte 0 of the pickle needs 1 bytes",
  );
});

Deno.test("unpickle() refuses every other global by name, before it is called", () => {
  const names = [
    ...[["os", "system"], ["builtins", "eval"], ["__main__", "Custom"], ["torch", "load"]],
    ...[["collections", "OrderedDict.clear"], ["__proto__", "x"], ["builtins", "dict"]],
  ];
  for (const [module, name] of names) {
    const expected = `refuses the global ${module}.${name}, which may be any code: in PyTorch, `;
    assertThrows(() => load(global(module, name)), UserError, `Byte 2 of the pickle ${expected}`);
    assertThrows(() => load(text(module), text(name), 0x93), UserError, expected);
  }
});

Deno.test("unpickle() names what is wrong with a malformed pickle", () => {
  const wrong: [string, Piece[]][] = [
    ["is the opcode 0x69, which is not supported", [0x69]], // INST
    ["is the opcode 0x97", [0x97]], // NEXT_BUFFER
    ["refuses to call a value", [text("x"), EMPTY_TUPLE, 0x81]],
    ["needs a value from the stack", []],
    ["needs a value from the stack", [POP]],
    ["needs a value from the stack", [int(1), MARK, POP]],
    ["needs a value from the stack", [int(1), MARK, 0x85]],
    ["needs a value from the stack", [0x71, 0]],
    ["needs a mark, and there is none", [APPENDS]],
    ["recalls value 3", [0x68, 3]],
    ["recalls value 70000", [int(1), 0x71, 0, 0x6a, word(70000)]],
    ["adds to something that is no list", [EMPTY_TUPLE, int(1), APPEND]],
    ["adds to something that is no list", [EMPTY_DICT, MARK, int(1), APPENDS]],
    ["sets an item of something that is no dict", [EMPTY_LIST, int(1), int(1), SETITEM]],
    ["sets a key of a dict that is itself a dict or a list", [
      EMPTY_DICT,
      EMPTY_LIST,
      NONE,
      SETITEM,
    ]],
    ["sets a key of a dict without a value", [EMPTY_DICT, MARK, NONE, SETITEMS]],
    ["sets attributes of something that has none", [EMPTY_DICT, EMPTY_DICT, BUILD]],
    ["adds to something that is no set", [EMPTY_LIST, MARK, NONE, 0x90]],
    ["calls collections.defaultdict with", [call(global("collections", "defaultdict"), int(1))]],
    ["sets attributes", [call(ordered), NONE, BUILD]],
    ["refuses to call a value", [text("x"), EMPTY_TUPLE, REDUCE]],
    ["refuses to call collections.OrderedDict", [ordered, NONE, REDUCE]],
    ["calls collections.OrderedDict with arguments", [call(ordered, NONE)]],
    ["calls collections.OrderedDict with", [call(ordered, [EMPTY_LIST, NONE, APPEND])]],
    ["calls collections.OrderedDict with", [call(ordered, EMPTY_LIST, NONE)]],
    ["calls _codecs.encode with", [call(global("_codecs", "encode"), text("a"), text("x"))]],
    ["calls _codecs.encode", [call(global("_codecs", "encode"), text("Ā"), text("latin1"))]],
    ["calls builtins.bytes with", [call(global("builtins", "bytes"), int(5))]],
    ["refuses a persistent id", [text("x"), BINPERSID]],
    ["names a global by something else than two texts", [EMPTY_LIST, DUP, 0x93]],
    ["holds a text that is not UTF-8", [0x8c, 1, 0xff]],
    ["holds an int of 256 bytes", [0x8b, word(256)]],
    ["starts a name that has no end", [0x63, 65]],
    ["needs 4294967295 bytes more", [0x58, word(-1)]],
    ["needs 4294967295 bytes more", [0x42, word(-1)]],
    ["needs 18446744073709552000 bytes more", [0x8d, word(-1), word(-1)]],
    ["needs 8 bytes more, and the file has 1", [0x47]],
  ];
  for (const [message, pieces] of wrong) {
    assertThrows(() => load(...pieces), UserError, message);
  }
});

Deno.test("unpickle() passes over sets, and what is said to be foreign", () => {
  const rules = { globals: [new PickleGlobal("a.b", () => new Foreign("a thing"))] };
  const read = (...pieces: Piece[]) => unpickle(pickle(...pieces), 0, rules).value;
  const thing = new Foreign("a thing");
  const made = global("a", "b");
  const set = [0x8f, MARK, int(1), 0x90];
  assertEquals(
    read(...set, MARK, int(1), 0x91, 0x86),
    new Tuple(["a set", "a frozenset"].map((what) => new Foreign(what))),
  );
  assertEquals(read(call(made), EMPTY_DICT, BUILD, MARK, int(1), NONE, SETITEMS), thing);
  assertEquals(read(call(made), int(1), APPEND, MARK, int(2), APPENDS), thing);
  assertEquals(read(made, tuple(int(1)), 0x81, text("state"), BUILD), thing);
  assertEquals(read(made, tuple(int(1)), EMPTY_DICT, 0x92), thing);
  const counted = call(global("collections", "defaultdict"), made);
  assertEquals(read(counted, int(1), NONE, SETITEM), new OrderedDict([[1, null]]));
  // Bytes are a key in Python, and a string of Python 2 need not be UTF-8.
  assertEquals(
    read(EMPTY_DICT, 0x55, 1, 0xff, NONE, SETITEM),
    new Map([[Uint8Array.of(255), null]]),
  );
});

/** A pickle of the opcode bytes `again` over and over, so many bytes long. */
function repeated(start: Piece, again: number[], bytes: number): Uint8Array<ArrayBuffer> {
  const begin = pickle(start).slice(0, -1);
  const more = new Uint8Array(bytes);
  more.set(again);
  for (let done = again.length; done < bytes; done *= 2) more.copyWithin(done, 0, done);
  return concat(begin, more);
}

Deno.test("unpickle() counts what each opcode makes, in elements and in bytes", () => {
  const limit =
    /^The values of the pickle's first \d+ bytes would take more than \d+ bytes of memory/;
  const item = tuple(text("key"), NONE);
  const items: Piece = [EMPTY_LIST, MARK, Array.from({ length: 1000 }, () => item), APPENDS];
  const [store, recall] = [[0x71, 0], [0x68, 0]];
  const bombs: [string, Piece, number[]][] = [
    ["dicts", [], [EMPTY_DICT]],
    ["lists", [], [EMPTY_LIST]],
    ["tuples", [], [EMPTY_TUPLE]],
    ["sets", [], [0x8f]],
    ["marks", [], [MARK]],
    ["numbers", [], [0x4b, 1]],
    ["memo entries", [NONE], [0x94]],
    ["texts", [text("\xff".repeat(30_000)), store], [...recall, 0x8c, 1, 97]],
    ["ordered dicts", [call(ordered), POP, ordered, store], [...recall, EMPTY_TUPLE, REDUCE]],
    [
      "ordered dicts of the same items",
      [ordered, store, items, 0x85, 0x71, 1],
      [...recall, 0x68, 1, REDUCE],
    ],
    [
      "bytes of the same text",
      [global("_codecs", "encode"), store, text("x".repeat(30_000)), text("latin1"), 0x86, 0x71, 1],
      [...recall, 0x68, 1, REDUCE],
    ],
    ["lists of the same items", [items, 0x71, 1], [EMPTY_LIST, MARK, 0x68, 1, 0x68, 1, APPENDS]],
    ["nothing", [], [NONE, POP]],
  ];
  for (const [name, start, again] of bombs) {
    const bytes = repeated(start, again, 8_000_000);
    const { message } = assertThrows(() => unpickle(bytes, 0), UserError);
    assertMatch(message, limit, name);
  }
});

Deno.test("unpickle() reads long lists of numbers and texts", () => {
  const numbers = Array.from({ length: 300_000 }, (_, i) => [0x4a, word(i)]);
  const list = load(EMPTY_LIST, MARK, numbers, APPENDS) as number[];
  assertEquals([list.length, list[299_999]], [300_000, 299_999]);
});

Deno.test("unpickle() takes only so many numbers as keys, which can share a place in a table", () => {
  const keys = (key: (i: number) => Piece, count: number) =>
    load(EMPTY_DICT, MARK, Array.from({ length: count }, (_, i) => [key(i), NONE]), SETITEMS);
  const numbers = (i: number) => [0x4a, word(i)];
  assertEquals((keys(numbers, 10_000) as Map<unknown, unknown>).size, 10_000);
  // Nothing reads them, so the others are passed over; texts could be names.
  assertEquals((keys(numbers, 10_001) as Map<unknown, unknown>).size, 10_000);
  const texts = (i: number) => [0x8c, 9, [...new TextEncoder().encode(`${131_072_000 + i}`)]];
  assertThrows(() => keys(texts, 10_001), UserError, "more than 10000 keys that are numbers");
});

Deno.test("unpickle() reads no name of a global beyond its limit", () => {
  const long = "x".repeat(1_000_000);
  for (const name of [global("a", long), global(long, "a")]) {
    assertThrows(() => load(name), UserError, "starts a name that has no end within 500 bytes");
  }
  const { message } = assertThrows(() => load(text(long), text(long), 0x93), UserError);
  assertLess(message.length, 400);
  const hostile = assertThrows(() => load(global("os\x1b[2J", "system\r")), UserError);
  assertStringIncludes(hostile.message, "refuses the global os\\u001b[2J.system\\r, which");
});
