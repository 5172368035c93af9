import { assertEquals, assertRejects } from "@std/assert";
import { decodePth } from "../../../../data/formats/pth/pth.ts";
import {
  BINPERSID,
  call,
  dict,
  EMPTY_DICT,
  EMPTY_LIST,
  global,
  int,
  NONE,
  pickle,
  type Piece,
  text,
  tuple,
} from "./pickler.ts";
import { floats, four, storage, tensor, values, weight, zipped } from "./pth_writer.ts";
import { concat, writeZip } from "../zip/zip_writer.ts";
import { UserError } from "../../../../data/files/user_error.ts";

Deno.test("decodePth() says what is wrong with a malformed zip file", async () => {
  const huge = 2 ** 52;
  const one = tensor(four, 0, [1], [1]);
  const rebuild = (...args: Piece[]) =>
    weight(call(global("torch._utils", "_rebuild_tensor_v2"), ...args));
  const empty = tuple();
  const wrong: [string, Uint8Array<ArrayBuffer>][] = [
    [
      `the shape [5] with strides [1] from element 0 does not fit its storage of 4 elements`,
      weight(tensor(four, 0, [5], [1])),
    ],
    [
      `Tensor "weight": the shape [1] with strides [1] from element 4`,
      weight(tensor(four, 4, [1], [1])),
    ],
    ["from element 5 does not fit", weight(tensor(four, 5, [0], [1]))],
    ["does not fit its storage", weight(tensor(four, 0, [2, 2], [1, huge]))],
    ["does not fit its storage", weight(tensor(four, huge, [1], [1]))],
    ["describes a tensor", weight(tensor(four, -1, [1], [1]))],
    ["describes a tensor", weight(tensor(four, 0, [-1], [1]))],
    ["describes a tensor", weight(tensor(four, 3, [2], [-1]))],
    ["describes a tensor", weight(tensor(four, 0, [1], []))],
    ["describes a tensor", rebuild(NONE, int(0), empty, empty)],
    ["describes a tensor", rebuild(four, int(2n ** 60n), empty, empty)],
    ["describes a tensor", rebuild(four)],
    ["makes a parameter", weight(call(global("torch._utils", "_rebuild_parameter"), NONE))],
    ["describes a storage", weight([text("0"), BINPERSID])],
    [
      "describes a storage",
      weight([tuple(text("storage"), NONE, text("0"), text("cpu"), int(4)), BINPERSID]),
    ],
    ["describes a storage", weight(storage("0", -4))],
    ["describes a storage", weight(storage("0", 2n ** 70n))],
    [`under "weight" there is a QInt8Storage`, weight(storage("0", 4, "QInt8Storage"))],
    [
      `Tensor "weight" is a tensor of a QInt8Storage, which is not supported`,
      weight(tensor(storage("0", 16, "QInt8Storage"), 0, [1], [1])),
    ],
    [
      `Tensor "weight" is a sparse tensor, which is not supported`,
      weight(call(global("torch._utils", "_rebuild_sparse_tensor"), NONE)),
    ],
    [`no storage "1"`, weight(tensor(storage("1", 4), 0, [1], [1]))],
    [
      `Storage "0" of 5 elements (FloatStorage) needs 20 bytes: it has 16`,
      weight(tensor(storage("0", 5), 0, [1], [1])),
    ],
    [
      `Storage "0" of 4 elements (DoubleStorage) needs 32`,
      weight(tensor(storage("0", 4, "DoubleStorage"), 0, [1], [1])),
    ],
    ["needs 18014398509481984 bytes", weight(tensor(storage("0", huge), 0, [1], [1]))],
    ["It holds a tensor: a dict", zipped(one)],
    ["It holds None: a dict", zipped(NONE)],
    ["A tensor's name must be a text: under 3 there is one", zipped(dict(int(3), one))],
    [`under "a" there is a list`, zipped(dict(text("a"), EMPTY_LIST))],
    [
      `the dicts "a", "b", and none of them is the usual one. Needed is`,
      zipped(dict(...["a", "b"].flatMap((name) => [text(name), dict(text("x"), one)]))),
    ],
    ["no folder with a data.pkl", writeZip([{ name: "data.pkl", bytes: pickle(EMPTY_DICT) }])],
    ["no folder with a data.pkl", zipped(one, [{ name: "y/data.pkl", bytes: pickle(one) }])],
    [
      `byte order is "big"`,
      zipped(one, [{ name: "x/byteorder", bytes: new TextEncoder().encode("big") }]),
    ],
    [
      "its CRC-32 is",
      zipped(dict(text("a"), one), [{ name: "x/data/0", bytes: floats(1, 2, 3, 5), crc: 1 }]),
    ],
    ["starts neither as a zip archive nor", new Uint8Array(0)],
    ["starts neither", new TextEncoder().encode("weights")],
    ["starts neither", pickle(int(0x1950a86a20f9469cfc6dn))],
  ];
  for (const [message, bytes] of wrong) {
    await assertRejects(() => decodePth(bytes), UserError, message);
  }
});

Deno.test("decodePth() refuses tensors that would take far more memory than the file", async () => {
  const megabytes = (count: number) => tensor(four, 0, [count, 2 ** 18], [0, 0]);
  assertEquals((await decodePth(weight(megabytes(1)))).get("weight")!.data.length, 2 ** 18);
  await assertRejects(
    () => decodePth(weight(megabytes(65))),
    UserError,
    "come to 68157440: at most",
  );
  await assertRejects(() => decodePth(weight(megabytes(2 ** 50))), UserError, "at most 67108864");
  const shared = Array.from({ length: 17 }, (_, i) => [text(`${i}`), megabytes(4)]).flat();
  await assertRejects(() => decodePth(zipped(dict(...shared))), UserError, "at most 67108864");
  const bomb = { name: "x/data/1", bytes: new Uint8Array(70_000), method: 8, size: 65 * 2 ** 20 };
  await assertRejects(() => decodePth(zipped(EMPTY_DICT, [bomb])), UserError, "would unpack to");
});

/** A file in the older format with one storage of two floats, `k`. */
function legacy(
  { magic = 0x1950a86a20f9469cfc6cn, protocol = 1001, little = 0x88, size = 2, keys = ["k"] },
  ...bytes: Uint8Array[]
): Uint8Array<ArrayBuffer> {
  const described = tensor(storage("k", 2), 0, [2], [1]);
  const list: Piece = [EMPTY_LIST, 0x28, keys.map(text), 0x65];
  const numel = new Uint8Array(BigUint64Array.of(BigInt(size)).buffer);
  return concat(
    ...[int(magic), int(protocol), dict(text("little_endian"), little)].map((piece) =>
      pickle(piece)
    ),
    ...[pickle(dict(text("a"), described)), pickle(list), numel, ...bytes],
  );
}

Deno.test("decodePth() says what is wrong with a malformed file of the older format", async () => {
  const two = floats(1, 2);
  assertEquals(values((await decodePth(legacy({}, two))).get("a")!), [1, 2]);
  const wrong: [string, Uint8Array<ArrayBuffer>][] = [
    ["magic number", legacy({ magic: 5n }, two)],
    ["protocol version is 1002: supported is 1001", legacy({ protocol: 1002 }, two)],
    ["not little-endian", legacy({ little: 0x89 }, two)],
    [`Storage "k" of 2 elements (FloatStorage) cannot start at byte`, legacy({ size: 3 }, two)],
    [
      `Storage "k" of 2 elements (FloatStorage) cannot start at byte`,
      legacy({ size: 2 ** 53 }, two),
    ],
    [`Storage "k" of 2 elements (FloatStorage) cannot start at byte`, legacy({}, two.subarray(1))],
    [`Storage "k" of 2 elements (FloatStorage) cannot start at byte`, legacy({}).slice(0, -3)],
    ["The storages end at byte", legacy({}, two, Uint8Array.of(0))],
    [`The list of the storages has "j"`, legacy({ keys: ["j"] }, two)],
    [`The list of the storages has "k"`, legacy({ keys: ["k", "k"] }, two, two, two)],
    [`Tensor "a": its storage is not in the file`, legacy({ keys: [] }, two).slice(0, -16)],
    ["needs 1 bytes more, and the file has 0", pickle(int(0x1950a86a20f9469cfc6cn))],
  ];
  for (const [message, bytes] of wrong) {
    await assertRejects(() => decodePth(bytes), UserError, message);
  }
});
