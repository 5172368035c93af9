import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { decodePth, readPth } from "../../data/pth.ts";
import type { TensorData } from "../../data/tensor_data.ts";
import {
  APPENDS,
  BINPERSID,
  BUILD,
  call,
  dict,
  EMPTY_DICT,
  EMPTY_LIST,
  global,
  int,
  MARK,
  NONE,
  pickle,
  type Piece,
  text,
  tuple,
} from "./pickler.ts";
import { concat, writeZip, type ZipFile } from "./zip_writer.ts";

const fixture = (name: string) =>
  fromFileUrl(new URL(`../fixtures/weights/${name}`, import.meta.url));

const values = ({ data }: TensorData) => Array.from<number | bigint>(data);
const sevenths = (...numerators: number[]) => numerators.map((i) => Math.fround(i / 7));

Deno.test("readPth() reads every dtype and layout that PyTorch wrote, in both formats", async () => {
  for (const name of ["zip.pth", "legacy.pth"]) {
    const tensors = await readPth(fixture(name));
    const read = Object.fromEntries(
      [...tensors].map(([name, tensor]) => [name, [tensor.dtype, tensor.shape, values(tensor)]]),
    );
    assertEquals(read, {
      f64: ["F64", [2], [0.1, -1e300]],
      f32: ["F32", [3, 4], sevenths(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11)],
      f16: ["F16", [2, 3], [0.5, -1.25, 3, 65504, 2 ** -23, -0]],
      bf16: ["BF16", [2, 3], [0x3f00, 0xbfa0, 0x4040, 0x4780, 0x33d7, 0x8000]],
      i64: ["I64", [2], [-(2n ** 62n), 7n]],
      i32: ["I32", [2, 1], [-(2 ** 31), 2 ** 31 - 1]],
      i16: ["I16", [2], [-32768, 32767]],
      i8: ["I8", [2], [-128, 127]],
      u8: ["U8", [2], [0, 255]],
      bool: ["BOOL", [3], [1, 0, 1]],
      scalar: ["F32", [], [2.5]],
      empty: ["F32", [0, 4], []],
      transposed: ["F32", [4, 3], sevenths(0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11)],
      column: ["F32", [3], sevenths(2, 6, 10)],
      rows: ["F32", [2, 4], sevenths(4, 5, 6, 7, 8, 9, 10, 11)],
      expanded: ["F32", [2, 3], [3, 3, 3, 4, 4, 4]],
      channels_last: ["F32", [1, 2, 3, 4], Array.from({ length: 24 }, (_, i) => i)],
      parameter: ["F32", [2], [1, 2]],
    });
  }
});

Deno.test("readPth() reads state dicts of modules and of checkpoints", async () => {
  const files = [
    ...["module_legacy.pth", "protocol_4.pth", "checkpoint.pth", "checkpoint_legacy.pth"],
  ];
  for (const name of files) {
    const tensors = await readPth(fixture(name));
    assertEquals([...tensors].map(([name, { shape }]) => [name, shape]), [
      ["0.weight", [3, 2]],
      ["0.bias", [3]],
      ["1.weight", [3]],
      ["1.bias", [3]],
      ["1.running_mean", [3]],
      ["1.running_var", [3]],
      ["1.num_batches_tracked", []],
    ]);
    assertEquals(values(tensors.get("0.weight")!), [0, 1, 2, 3, 4, 5]);
  }
});

Deno.test("readPth() refuses by name what is no tensor and no plain value", async () => {
  const refused = {
    "system.pth": "posix.system",
    "system_legacy.pth": "posix.system",
    "custom.pth": "__main__.Custom",
    "module.pth": "torch.nn.modules.linear.Linear",
  };
  for (const [name, what] of Object.entries(refused)) {
    const path = fixture(name);
    const error = await assertRejects(
      () => readPth(path),
      SyntaxError,
      `refuses the global ${what}`,
    );
    assert(error.message.startsWith(`${path} is not a PyTorch file: Byte `), error.message);
  }
  await assertRejects(
    () => readPth(fixture("plain.pth")),
    SyntaxError,
    `It holds no tensor: under "epoch" there is 3. Needed is a dict of tensors by name, or one under ` +
      "state_dict, model_state_dict, model, net",
  );
});

Deno.test("readPth() reads parameters as PyTorch wrote them in 2017", async () => {
  const tensors = await readPth(fixture("parameters_2017.pth"));
  const today = await readPth(fixture("module_legacy.pth"));
  assertEquals(tensors, today);
});

Deno.test("readPth() passes over what stands beside a state dict", async () => {
  const today = await readPth(fixture("module_legacy.pth"));
  const prefixed = (prefix: string) =>
    new Map([...today].map(([name, tensor]) => [`${prefix}${name}`, tensor]));
  const files = {
    "company_legacy.pth": "",
    "company_4.pth": "",
    "company.pth": "module.",
    "lightning.ckpt": "model.",
  };
  for (const [name, prefix] of Object.entries(files)) {
    assertEquals(await readPth(fixture(name)), prefixed(prefix), name);
  }
});

const floats = (...numbers: number[]) => new Uint8Array(Float32Array.from(numbers).buffer);

/** A persistent id of a storage of floats. */
function storage(
  key: string,
  size: number | bigint,
  type = "FloatStorage",
  module = "torch",
  ...part: Piece[]
): Piece {
  const id = [text("storage"), global(module, type), text(key), text("cpu"), int(size), ...part];
  return [tuple(...id), BINPERSID];
}

function tensor(from: Piece, offset: number, shape: number[], strides: number[]): Piece {
  const sizes = [shape, strides].map((numbers) => tuple(...numbers.map(int)));
  const rebuild = global("torch._utils", "_rebuild_tensor_v2");
  return call(rebuild, from, int(offset), ...sizes, 0x89, EMPTY_DICT);
}

/** A zip file of a pickle and one storage of four floats, `0`; `more` replaces or adds files. */
function zipped(object: Piece, more: ZipFile[] = []): Uint8Array<ArrayBuffer> {
  const files = new Map<string, ZipFile>();
  const pickled = { name: "x/data.pkl", bytes: pickle(object) };
  const stored = { name: "x/data/0", bytes: floats(1, 2, 3, 4) };
  for (const file of [pickled, stored, ...more]) files.set(file.name, file);
  return writeZip([...files.values()]);
}

const weight = (described: Piece) => zipped(dict(text("weight"), described));
const four = storage("0", 4);

Deno.test("decodePth() reads strides, repeats and views from one storage", async () => {
  const object = dict(
    ...[text("all"), tensor(four, 0, [4], [1])],
    ...[text("reversed rows"), tensor(four, 1, [3, 1, 2], [0, 9, 2])],
    ...[text("last"), tensor(four, 3, [], [])],
    ...[text("none"), tensor(four, 4, [3, 0], [7, 7])],
  );
  const bytes = zipped(object, [{
    name: "x/byteorder",
    bytes: new TextEncoder().encode("little"),
  }]);
  const tensors = await decodePth(bytes);
  assertEquals([...tensors.values()].map(values), [[1, 2, 3, 4], [2, 4, 2, 4, 2, 4], [4], []]);
  const deflated = { name: "x/data/0", bytes: floats(1, 2, 3, 4), deflated: true };
  assertEquals((await decodePth(zipped(object, [deflated]))).get("all"), tensors.get("all"));
});

/** The file's notes, and the values of its tensor `weight`. */
async function noted(object: Piece): Promise<{ notes: string[]; weight: (number | bigint)[] }> {
  const notes: string[] = [];
  const tensors = await decodePth(zipped(object), (text) => notes.push(text));
  return { notes, weight: values(tensors.get("weight")!) };
}

Deno.test("decodePth() finds the state dict, and notes what is no tensor in it", async () => {
  const one = dict(text("weight"), tensor(four, 1, [1], [1]));
  const wrong = dict(text("weight"), tensor(four, 0, [1], [1]));
  const company = call(global("argparse", "Namespace"));
  for (const name of ["state_dict", "model_state_dict", "model", "net", "ema"]) {
    const object = dict(text("args"), company, text(name), one, text("model "), EMPTY_DICT);
    assertEquals(await noted(object), { notes: [], weight: [2] }, name);
  }
  const both = dict(text("other"), wrong, text("net"), dict(text("a"), NONE), text("model"), one);
  assertEquals(await noted(both), { notes: [], weight: [2] });
  const deep = dict(text("model"), dict(text("state_dict"), one));
  assertEquals(await noted(deep), { notes: [], weight: [2] });
  const mixed = dict(
    ...[text("epoch\n"), int(3), text("weight"), tensor(four, 1, [1], [1])],
    ...[text("args"), company, int(3), NONE],
  );
  assertEquals(await noted(mixed), {
    notes: [
      `Passed over what is no tensor in the state dict: "epoch\\n", "args", "3"`,
    ],
    weight: [2],
  });
});

Deno.test("decodePth() reads all ways in which PyTorch has described a tensor", async () => {
  const torch = (name: string) => global("torch._utils", name);
  const [from, size] = [tuple(int(1)), tuple(int(2))];
  const plain = [four, int(1), size, from];
  const hooks = [0x89, call(global("collections", "OrderedDict"))];
  const one = call(torch("_rebuild_tensor"), ...plain);
  const parameter = global("torch.nn.parameter", "Parameter");
  const bytes = storage("0", 16, "UntypedStorage", "torch.storage");
  const part = tuple(text("v"), int(1), int(3));
  const typed = (name: string) =>
    call(torch("_rebuild_tensor_v3"), bytes, ...plain.slice(1), ...hooks, global("torch", name));
  const ways: [string, Piece, (number | bigint)[]][] = [
    ["before 0.4", one, [2, 3]],
    ["today", call(torch("_rebuild_tensor_v2"), ...plain, ...hooks), [2, 3]],
    ["without marks", call(torch("_rebuild_tensor_v2"), ...plain, ...hooks, EMPTY_DICT), [2, 3]],
    ["by its type", typed("float32"), [2, 3]],
    ["another type", typed("uint16"), [0x3f80, 0]],
    ["a parameter", call(torch("_rebuild_parameter"), one, ...hooks), [2, 3]],
    ["with state", call(torch("_rebuild_parameter_with_state"), one, ...hooks, NONE), [2, 3]],
    ["called", [call(parameter, one, 0x88), tuple(0x88, 0x89, NONE), BUILD], [2, 3]],
    ["made", [parameter, tuple(one), 0x81, tuple(0x88, 0x89, NONE), BUILD], [2, 3]],
    ["made empty", [parameter, tuple(), 0x81, tuple(one, NONE, NONE, 0x88, 0x89), BUILD], [2, 3]],
    ["an old tensor", [global("torch", "FloatTensor"), tuple(), 0x81, tuple(...plain), BUILD], [
      2,
      3,
    ]],
    [
      "with attributes",
      call(
        global("torch._tensor", "_rebuild_from_type_v2"),
        ...[torch("_rebuild_tensor_v2"), global("torch", "Tensor")],
        ...[tuple(...plain, ...hooks), EMPTY_DICT],
      ),
      [2, 3],
    ],
    [
      "a part of a storage",
      call(
        torch("_rebuild_tensor"),
        ...[storage("0", 4, "FloatStorage", "torch", part), int(1), size, from],
      ),
      [3, 4],
    ],
  ];
  for (const [way, described, expected] of ways) {
    const { notes, weight } = await noted(dict(text("weight"), described));
    assertEquals([notes, weight], [[], expected], way);
  }
});

Deno.test("decodePth() passes over all that torch.load takes with weights_only", async () => {
  const classes = "Double Float Half BFloat16 Long Int Short Char Byte Bool".split(" ");
  const names = [
    ...["collections OrderedDict", "collections Counter", "torch.nn.parameter Parameter"],
    ...["torch.serialization _get_layout", "torch Size", "torch Tensor", "torch device"],
    ...["_codecs encode", "builtins bytearray", "builtins set", "builtins complex"],
    ..."float64 float32 float16 bfloat16 complex32 complex64 complex128 int64 int32 int16 int8 uint8 bool"
      .split(" ").map((name) => `torch ${name}`),
    ..."quint8 qint8 qint32 quint4x2 quint2x4 uint16 uint32 uint64 bits8 bits16 bits1x8 bits2x4 bits4x2"
      .split(" ").map((name) => `torch ${name}`),
    ..."float8_e5m2 float8_e4m3fn float8_e5m2fnuz float8_e4m3fnuz float8_e8m0fnu float4_e2m1fn_x2"
      .split(" ").map((name) => `torch ${name}`),
    ...[1, 2, 3, 4, 5, 6, 7].flatMap((bits) => [`torch int${bits}`, `torch uint${bits}`]),
    ...classes.flatMap((name) =>
      ["", ".cuda", ".sparse", ".cuda.sparse"].map((module) => `torch${module} ${name}Tensor`)
    ),
    ...[...classes, "ComplexFloat", "ComplexDouble"].flatMap((name) => [
      ...[`torch ${name}Storage`, `torch.cuda ${name}Storage`],
    ]),
    ..."QUInt8 QInt8 QInt32 QUInt4x2 QUInt2x4".split(" ").map((name) => `torch ${name}Storage`),
    "torch.storage UntypedStorage",
    ..."per_tensor_affine per_tensor_symmetric per_channel_affine per_channel_symmetric".split(" ")
      .map((name) => `torch ${name}`),
    "torch per_channel_affine_float_qparams",
    ..."parameter parameter_with_state qtensor tensor tensor_v2 tensor_v3 sparse_tensor".split(" ")
      .map((name) => `torch._utils _rebuild_${name}`),
    ...["meta_tensor_no_storage", "wrapper_subclass", "device_tensor_from_numpy"].map((name) =>
      `torch._utils _rebuild_${name}`
    ),
    ...[
      "torch._utils _rebuild_device_tensor_from_cpu_tensor",
      "torch._tensor _rebuild_from_type_v2",
    ],
  ];
  const company = names.map((name) => global(...name.split(" ") as [string, string]));
  const checkpoint = dict(
    ...[text("state_dict"), dict(text("weight"), tensor(four, 0, [1], [1]))],
    ...[text("named"), [EMPTY_LIST, MARK, company, APPENDS]],
    ...[text("long"), [0x8a, 255, Array(255).fill(7)], text("set"), 0x8f],
  );
  assertEquals(await noted(checkpoint), { notes: [], weight: [1] });
});

Deno.test("decodePth() gives a negative view the other sign, and refuses other marks", async () => {
  const marked = (marks: Piece, type = "FloatStorage", size = 4) =>
    dict(
      text("weight"),
      call(
        global("torch._utils", "_rebuild_tensor_v2"),
        ...[storage("0", size, type), int(1), tuple(int(2)), tuple(int(1))],
        ...[0x89, EMPTY_DICT, marks],
      ),
    );
  const negative = dict(text("neg"), 0x88, text("conj"), 0x89);
  assertEquals((await noted(marked(negative))).weight, [-2, -3]);
  assertEquals((await noted(marked(dict(text("neg"), 0x89)))).weight, [2, 3]);
  const halves = await noted(marked(negative, "HalfStorage", 8));
  assertEquals(halves.weight, [-1.875, -0]); // the upper half of 1, the lower of 2
  const brain = await noted(marked(negative, "BFloat16Storage", 8));
  assertEquals(brain.weight, [0xbf80, 0x8000]);
  assertEquals((await noted(marked(negative, "ShortStorage", 8))).weight, [-0x3f80, 0]);
  const refused: [string, Piece][] = [
    [`marks a tensor as "conj", which is not supported`, marked(dict(text("conj"), 0x88))],
    ['marks a tensor as "?"', marked(int(3))],
    ["marks a tensor of U8 as a negative", marked(negative, "ByteStorage", 16)],
    ["marks a tensor of BOOL as a negative", marked(negative, "BoolStorage", 16)],
  ];
  for (const [message, object] of refused) {
    await assertRejects(() => decodePth(zipped(object)), SyntaxError, message);
  }
});

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
    await assertRejects(() => decodePth(bytes), SyntaxError, message);
  }
});

Deno.test("decodePth() refuses tensors that would take far more memory than the file", async () => {
  const megabytes = (count: number) => tensor(four, 0, [count, 2 ** 18], [0, 0]);
  assertEquals((await decodePth(weight(megabytes(1)))).get("weight")!.data.length, 2 ** 18);
  await assertRejects(
    () => decodePth(weight(megabytes(65))),
    RangeError,
    "come to 68157440: at most",
  );
  await assertRejects(() => decodePth(weight(megabytes(2 ** 50))), RangeError, "at most 67108864");
  const shared = Array.from({ length: 17 }, (_, i) => [text(`${i}`), megabytes(4)]).flat();
  await assertRejects(() => decodePth(zipped(dict(...shared))), RangeError, "at most 67108864");
  const bomb = { name: "x/data/1", bytes: new Uint8Array(70_000), method: 8, size: 65 * 2 ** 20 };
  await assertRejects(() => decodePth(zipped(EMPTY_DICT, [bomb])), RangeError, "would unpack to");
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
    await assertRejects(() => decodePth(bytes), SyntaxError, message);
  }
});
