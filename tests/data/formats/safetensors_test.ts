import {
  assert,
  assertEquals,
  assertLess,
  assertMatch,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { RandomStream } from "../../../data/rng.ts";
import {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
  type TensorData,
  toFloat32,
  writeSafetensors,
} from "../../../data/formats/safetensors.ts";
import { permissionTest } from "../../support.ts";
import { UserError } from "../../../data/files/user_error.ts";

const fixture = (name: string) =>
  fromFileUrl(new URL(`../../fixtures/safetensors/${name}`, import.meta.url));

/** A file with this header and so many bytes of data. */
function file(header: unknown, dataBytes: number): Uint8Array<ArrayBuffer> {
  const text = typeof header === "string" ? header : JSON.stringify(header);
  const json = new TextEncoder().encode(text);
  const bytes = new Uint8Array(8 + json.length + dataBytes);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(json.length), true);
  bytes.set(json, 8);
  return bytes;
}

const entry = (dtype: unknown, shape: unknown, ...data_offsets: unknown[]) => ({
  dtype,
  shape,
  data_offsets,
});

Deno.test("readSafetensors() reads every dtype that PyTorch wrote", async () => {
  const { tensors, metadata } = await readSafetensors(fixture("dtypes.safetensors"));
  assertEquals(metadata, { format: "pt" });
  const values = (name: string) => Array.from<number | bigint>(tensors.get(name)!.data);
  assertEquals(values("f64"), [0.1, -1e300]);
  assertEquals(values("i64"), [-(2n ** 62n), 7n]);
  assertEquals(values("f32"), [0, 1, 2, 3, 4, 5].map((i) => Math.fround(i / 7)));
  assertEquals(tensors.get("f32")!.shape, [2, 3]);
  assertEquals(values("i32"), [-(2 ** 31), 2 ** 31 - 1]);
  assertEquals(values("f16"), [0.5, -1.25, 3, 65504, 2 ** -23, -0]);
  assertEquals(values("bf16"), [0x3f00, 0xbfa0, 0x4040, 0x4780, 0x33d7, 0x8000]);
  assertEquals(values("i16"), [-32768, 32767]);
  assertEquals(tensors.get("scalar")!.shape, []);
  assertEquals(values("scalar"), [2.5]);
  assertEquals(values("i8"), [-128, 127]);
  assertEquals(values("u8"), [0, 255]);
  assertEquals(values("bool"), [1, 0, 1]);
  assertEquals(tensors.get("empty")!.shape, [0, 4]);
  assertEquals(values("empty"), []);
});

Deno.test("readSafetensors() copies what is not aligned", async () => {
  const { tensors, metadata } = await readSafetensors(fixture("unaligned.safetensors"));
  assertEquals(metadata, { note: "é" });
  assertEquals([...tensors.get("f32")!.data as Float32Array], [1.5, -2]);
  assertEquals([...tensors.get("f64")!.data as Float64Array], [1e-3]);
});

Deno.test("toFloat32() widens the floating-point dtypes and no other", async () => {
  const { tensors } = await readSafetensors(fixture("dtypes.safetensors"));
  const widened = (name: string) => [...toFloat32(tensors.get(name)!)];
  assertEquals(widened("f64"), [Math.fround(0.1), -Infinity]);
  assertEquals(widened("f16"), [0.5, -1.25, 3, 65504, 2 ** -23, -0]);
  assertEquals(widened("bf16"), [0.5, -1.25, 3, 65536, 215 * 2 ** -31, -0]);
  assertEquals(widened("f32"), [...tensors.get("f32")!.data as Float32Array]);
  assertThrows(
    () => toFloat32(tensors.get("i32")!),
    UserError,
    "holds whole numbers (I32), where floats are needed",
  );
});

const sample = new Map<string, TensorData>([
  ["flag", { dtype: "BOOL", shape: [3], data: Uint8Array.of(1, 0, 1) }],
  ["weight", { dtype: "F32", shape: [2, 2], data: Float32Array.of(1, -2, 3.5, NaN) }],
  ["count", { dtype: "I64", shape: [], data: BigInt64Array.of(-5n) }],
  ["half", { dtype: "F16", shape: [1], data: Float16Array.of(0.5) }],
  ["brain", { dtype: "BF16", shape: [1], data: Uint16Array.of(0x3f80) }],
  ["none", { dtype: "F64", shape: [4, 0], data: new Float64Array(0) }],
  ["__proto__", { dtype: "U8", shape: [1], data: Uint8Array.of(7) }],
]);

Deno.test("encodeSafetensors() and decodeSafetensors() give the tensors back", () => {
  const bytes = encodeSafetensors(sample, { step: "3", text: 'quotes " {: }' });
  const { tensors, metadata } = decodeSafetensors(bytes);
  assertEquals(metadata, { step: "3", text: 'quotes " {: }' });
  assertEquals(new Map([...tensors].sort()), new Map([...sample].sort()));
  for (const { data } of tensors.values()) assert(data.buffer === bytes.buffer, "not aligned");

  // The same bytes one further along: everything that can be misaligned is.
  const shifted = new Uint8Array(bytes.length + 1).subarray(1);
  shifted.set(bytes);
  assertEquals(decodeSafetensors(shifted).tensors, tensors);
  assertEquals(decodeSafetensors(encodeSafetensors(new Map())), {
    tensors: new Map(),
    metadata: {},
  });
});

Deno.test("encodeSafetensors() writes a view's own bytes only", () => {
  const data = Float32Array.of(9, 1, 2, 9).subarray(1, 3);
  const bytes = encodeSafetensors(new Map([["x", { dtype: "F32", shape: [2], data }]]));
  assertEquals([...decodeSafetensors(bytes).tensors.get("x")!.data as Float32Array], [1, 2]);
});

Deno.test("encodeSafetensors() rejects tensors that do not fit their description", () => {
  const encode = (name: string, dtype: string, shape: number[], data: ArrayBufferView) => () =>
    encodeSafetensors(new Map([[name, { dtype, shape, data } as unknown as TensorData]]));
  const two = new Float32Array(2);
  assertThrows(encode("a.b", "F32", [3], two), TypeError, `"a.b" has shape [3]`);
  assertThrows(encode("a", "F32", [-1, -2], two), TypeError, "[-1,-2]");
  assertThrows(encode("a", "F64", [2], two), TypeError, "needs a Float64Array");
  assertThrows(encode("a", "F31", [2], two), TypeError, `dtype "F31"`);
  assertThrows(encode("__metadata__", "F32", [2], two), TypeError, "__metadata__");
});

Deno.test("decodeSafetensors() names what is wrong with a malformed file", () => {
  const ok = entry("U8", [4], 0, 4);
  const wrong: [string, Uint8Array<ArrayBuffer>][] = [
    ["there are 0 bytes", new Uint8Array(0)],
    ["there are 7 bytes", new Uint8Array(7)],
    ["length is 1 bytes", file("", 0).with(0, 1) as Uint8Array<ArrayBuffer>],
    ["at most 8 are possible", new Uint8Array(16).fill(0xff)],
    ["cannot be read as JSON", file("", 0)],
    ["cannot be read as JSON", file("{", 0)],
    ["cannot be read as JSON", file("\ufeff{}", 0)],
    ["not UTF-8", file("{}", 0).with(9, 0xff) as Uint8Array<ArrayBuffer>],
    ["must be a JSON object: it is []", file("[]", 0)],
    ["must be a JSON object: it is null", file("null", 0)],
    [`"__metadata__" must be a JSON object`, file({ __metadata__: 3 }, 0)],
    [`"k" is 3`, file({ __metadata__: { k: 3 } }, 0)],
    [`Tensor "a" must be a JSON object`, file({ a: null }, 0)],
    [`Tensor "a" has dtype "F31"`, file({ a: entry("F31", [1], 0, 4) }, 4)],
    [`Tensor "a" has dtype "constructor"`, file({ a: entry("constructor", [1], 0, 4) }, 4)],
    [`Tensor "a" has dtype undefined`, file({ a: {} }, 0)],
    [`Tensor "a" needs a shape`, file({ a: entry("U8", [-4], 0, 4) }, 4)],
    [`Tensor "a" needs a shape`, file({ a: entry("U8", [0.5, 8], 0, 4) }, 4)],
    [`Tensor "a" needs a shape`, file({ a: entry("U8", 4, 0, 4) }, 4)],
    [`Tensor "a" needs two data_offsets`, file({ a: entry("U8", [4], 0) }, 4)],
    [`Tensor "a" needs two data_offsets`, file({ a: entry("U8", [4], "0", 4) }, 4)],
    [`Tensor "a" has data_offsets [4, 0]`, file({ a: entry("U8", [4], 4, 0) }, 4)],
    [`Tensor "a" has data_offsets [0, 5]`, file({ a: entry("U8", [5], 0, 5) }, 4)],
    [`needs 20 bytes: it has 4`, file({ a: entry("F32", [5], 0, 4) }, 4)],
    [`bytes: it has 4`, file({ a: entry("U8", [2 ** 40, 2 ** 40], 0, 4) }, 4)],
    [`Tensor "b" starts at byte 2`, file({ a: ok, b: entry("U8", [2], 2, 4) }, 4)],
    [`Tensor "b" starts at byte 5`, file({ a: ok, b: entry("U8", [1], 5, 6) }, 6)],
    [`Tensor "a" starts at byte 1`, file({ a: entry("U8", [1], 1, 2) }, 2)],
    ["but the file has 5", file({ a: ok }, 5)],
    [`"a" twice`, file(`{"a":${JSON.stringify(ok)},"\\u0061":${JSON.stringify(ok)}}`, 4)],
    [`"dtype" twice`, file(`{"a":{"dtype":"U8",${JSON.stringify(ok).slice(1)}}`, 4)],
  ];
  for (const [message, bytes] of wrong) {
    assertThrows(() => decodeSafetensors(bytes), UserError, message);
  }
});

Deno.test("decodeSafetensors() refuses headers that are bombs, quickly", () => {
  const many = (text: string, count: number) => text.repeat(count);
  const shape = JSON.stringify({ a: entry("U8", Array(65).fill(1), 0, 1) });
  const refused: [string, typeof UserError, Uint8Array<ArrayBuffer>][] = [
    ["The header's length is 40000000 bytes", UserError, file(many(" ", 40_000_000), 0)],
    [
      "may nest 3 deep, and goes deeper at character",
      UserError,
      file(`{"a":${many("[", 5e6)}`, 0),
    ],
    ["may nest 3 deep", UserError, file(many(`{"":`, 5e6), 0)],
    ["more than 1000000 values", UserError, file(`{"a":[${many("1,", 5e6)}1]}`, 0)],
    ["more than 1000000 values", UserError, file(`{${names(600_000)}}`, 0)],
    ["has 65 dimensions: at most 64", UserError, file(shape, 1)],
    [`The header has the name "a" twice`, UserError, file(`{${many('"a":1,', 1e6)}"b":1}`, 0)],
  ];
  for (const [message, kind, bytes] of refused) {
    const start = performance.now();
    const error = assertThrows(() => decodeSafetensors(bytes), kind, message);
    assertLess((error as Error).message.length, 300);
    assertLess(performance.now() - start, 5000, message);
  }
});

/** So many entries of a header. */
function names(count: number): string {
  return Array.from({ length: count }, (_, i) => `"n${i}":{}`).join();
}

Deno.test("decodeSafetensors() shows a stranger's names without what steers a terminal", () => {
  const name = "\x1b[2J\r\n" + "x".repeat(1e6);
  const wrong = [
    file({ [name]: entry("U8", [1], 0, 2) }, 1),
    file({ [name]: 3 }, 0),
    file({ a: entry(name, [1], 0, 1) }, 1),
    file({ a: { [name]: 3 } }, 1),
    file({ a: entry("U8", { [name]: 1 }, 0, 1) }, 1),
    file({ __metadata__: { [name]: 1 } }, 0),
    file(`{"a":${name}}`, 0),
  ];
  for (const bytes of wrong) {
    const { message } = assertThrows(() => decodeSafetensors(bytes), UserError);
    assertMatch(message, /^\P{Cc}{10,400}$/u);
  }
});

Deno.test("decodeSafetensors() of a damaged file reads it or throws a UserError", () => {
  const whole = encodeSafetensors(sample, { step: "3" });
  const stream = new RandomStream(231);
  const headerEnd = whole.length - 42;
  let read = 0;
  for (let round = 0; round < 3000; round++) {
    let bytes = whole.slice();
    for (let edits = stream.integer(3) + 1; edits > 0; edits--) {
      const at = stream.integer(stream.integer(2) ? headerEnd : 12);
      switch (stream.integer(4)) {
        case 0:
          bytes[at % bytes.length] = stream.integer(256);
          break;
        case 1:
          bytes[at % bytes.length] = '0123456789-{}[]",:'.charCodeAt(stream.integer(18));
          break;
        case 2:
          bytes = bytes.slice(0, stream.integer(bytes.length) + 1);
          break;
        default:
          bytes.copyWithin(at, stream.integer(bytes.length));
      }
    }
    try {
      decodeSafetensors(bytes);
      read++;
    } catch (error) {
      assert(error instanceof UserError, `round ${round}: ${error}`);
    }
  }
  assert(read > 0 && read < 1500, `${read} of 3000 were read`);
});

Deno.test("readSafetensors() names the file that is malformed", async () => {
  const path = fixture("make.py");
  await assertRejects(() => readSafetensors(path), UserError, path);
});

permissionTest(
  "writeSafetensors() replaces a file whole, and leaves no partial one",
  [{ name: "write" }],
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = join(folder, "model.safetensors");
      await Deno.writeTextFile(path, "what was there before, and longer ".repeat(100));
      const { shape } = sample.get("weight")!;
      const data = Float32Array.of(1, -2, 3.5, 1e-30);
      const finite = new Map(sample).set("weight", { dtype: "F32", shape, data });
      await writeSafetensors(path, finite, { step: "4" });
      await assertRejects(
        () => writeSafetensors(path, sample),
        UserError,
        'tensor "weight" is not finite in 1 of 4 numbers, first NaN at place 3',
      );
      const { tensors, metadata } = await readSafetensors(path);
      assertEquals(new Map([...tensors].sort()), new Map([...finite].sort()));
      assertEquals(metadata, { step: "4" });
      assertEquals(Array.from(Deno.readDirSync(folder), (entry) => entry.name), [
        "model.safetensors",
      ]);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
