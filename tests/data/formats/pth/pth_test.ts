import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { decodePth, readPth } from "../../../../data/formats/pth/pth.ts";
import {
  APPENDS,
  BUILD,
  call,
  dict,
  EMPTY_DICT,
  EMPTY_LIST,
  global,
  int,
  MARK,
  NONE,
  type Piece,
  text,
  tuple,
} from "./pickler.ts";
import { floats, four, storage, tensor, values, zipped } from "./pth_writer.ts";
import { UserError } from "../../../../data/files/user_error.ts";

const fixture = (name: string) =>
  fromFileUrl(new URL(`../../../fixtures/weights/${name}`, import.meta.url));

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
      UserError,
      `refuses the global ${what}`,
    );
    assert(error.message.startsWith(`${path} is not a PyTorch file: Byte `), error.message);
  }
  await assertRejects(
    () => readPth(fixture("plain.pth")),
    UserError,
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
    await assertRejects(() => decodePth(zipped(object)), UserError, message);
  }
});
