import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { decodeNpy, decodeNpz, readNpz } from "../../../data/formats/npz.ts";
import { writeZip } from "./zip/zip_writer.ts";
import { UserError } from "../../../data/files/user_error.ts";

const fixture = (name: string) =>
  fromFileUrl(new URL(`../../fixtures/weights/${name}`, import.meta.url));

/** A `.npy` file with this header and so many bytes of data. */
function npy(header: string, dataBytes: number, version = 1): Uint8Array<ArrayBuffer> {
  const text = new TextEncoder().encode(header);
  const start = version === 1 ? 10 : 12;
  const bytes = new Uint8Array(start + text.length + dataBytes);
  bytes.set([0x93, ...new TextEncoder().encode("NUMPY"), version]);
  new DataView(bytes.buffer).setUint16(8, text.length, true);
  bytes.set(text, start);
  return bytes;
}

const described = (descr: string, shape: string, order = "False") =>
  `{'descr': ${descr}, 'fortran_order': ${order}, 'shape': ${shape}, }     \n`;

Deno.test("readNpz() reads every dtype that NumPy wrote, stored and compressed", async () => {
  for (const name of ["stored.npz", "compressed.npz"]) {
    const tensors = await readNpz(fixture(name));
    const zeros = tensors.get("zeros")!;
    assertEquals(zeros, { dtype: "F32", shape: [50, 40], data: new Float32Array(2000) });
    tensors.delete("zeros");
    const read = Object.fromEntries(
      [...tensors].map(([name, { dtype, shape, data }]) => [
        name,
        [dtype, shape, Array.from<number | bigint>(data)],
      ]),
    );
    assertEquals(read, {
      f64: ["F64", [2], [0.1, -1e300]],
      f32: ["F32", [2, 3], [0, 1, 2, 3, 4, 5].map((i) => Math.fround(i / 7))],
      f16: ["F16", [2], [0.5, -1.25]],
      i64: ["I64", [2], [-(2n ** 62n), 7n]],
      i32: ["I32", [2, 1], [-(2 ** 31), 2 ** 31 - 1]],
      i16: ["I16", [2], [-32768, 32767]],
      i8: ["I8", [2], [-128, 127]],
      u64: ["U64", [1], [2n ** 64n - 1n]],
      u32: ["U32", [1], [2 ** 32 - 1]],
      u16: ["U16", [1], [65535]],
      u8: ["U8", [2], [0, 255]],
      bool: ["BOOL", [2], [1, 0]],
      scalar: ["F32", [], [2.5]],
      empty: ["F32", [0, 4], []],
      fortran: ["I32", [2, 3, 4], Array.from({ length: 24 }, (_, i) => i)],
    });
  }
});

Deno.test("decodeNpy() reads Fortran order, and each version of the format", async () => {
  const fortran = decodeNpy(await Deno.readFile(fixture("fortran.npy")));
  assertEquals(fortran, { dtype: "F32", shape: [2, 3], data: Float32Array.of(0, 1, 2, 3, 4, 5) });
  for (const version of [1, 2, 3]) {
    const { shape, data } = decodeNpy(npy(described("'|u1'", "(3,)"), 3, version));
    assertEquals([shape, [...data]], [[3], [0, 0, 0]]);
  }
});

Deno.test("decodeNpy() names the types that it does not support", async () => {
  const refused = {
    "big_endian.npy": `">f4" (big-endian numbers)`,
    "complex.npy": `"<c16" (complex numbers)`,
    "text.npy": `"<U1" (text)`,
    "records.npy": `"[('a', '<f4'), ('b', '<i4')]" (records)`,
  };
  for (const [name, what] of Object.entries(refused)) {
    const bytes = await Deno.readFile(fixture(name));
    assertThrows(
      () => decodeNpy(bytes),
      UserError,
      `The type ${what} is not supported: supported`,
    );
  }
  await assertRejects(
    () => readNpz(fixture("objects.npz")),
    UserError,
    `Array "objects.npy": The type "|O" (Python objects, which are pickles) is not supported`,
  );
});

Deno.test("decodeNpy() says what is wrong with a malformed file", () => {
  const good = npy(described("'<f4'", "(2, 3)"), 24);
  const wrong: [string, Uint8Array<ArrayBuffer>][] = [
    ["does not start as an array", new Uint8Array(0)],
    ["does not start as an array", good.slice(0, 11)],
    ["does not start as an array", good.with(3, 0) as Uint8Array<ArrayBuffer>],
    ["version is 4", good.with(6, 4) as Uint8Array<ArrayBuffer>],
    ["header's length is 60000 bytes", good.with(9, 234).with(8, 96) as Uint8Array<ArrayBuffer>],
    [
      "header's length is",
      npy(" ".repeat(65_000), 70_000, 2).with(10, 1) as Uint8Array<ArrayBuffer>,
    ],
    ["header cannot be read", npy("", 2)],
    ["header cannot be read", npy(described("'<f4'", "(2, -3)"), 24)],
    ["header cannot be read", npy(described("'<f4'", "(2, 3)", "1"), 24)],
    ["header cannot be read", npy(`${described("'<f4'", "(2, 3)")}x`, 24)],
    ["must be of whole numbers", npy(described("'<f4'", "(2 3)"), 24)],
    ["must be of whole numbers", npy(described("'<f4'", "(99999999999999999999,)"), 24)],
    ["shape [2,3] needs 24 bytes: it has 23", good.slice(0, -1)],
    ["needs 24 bytes: it has 28", npy(described("'<f4'", "(2, 3)"), 28)],
    ["needs 36028797018963964 bytes", npy(described("'<f4'", "(9007199254740991, 1)"), 24)],
    ["needs Infinity", npy(described("'<f4'", `(${"9007199254740991,".repeat(20)})`), 24)],
    [`"=f4" is not supported`, npy(described("'=f4'", "(2, 3)"), 24)],
    [`"" is not supported`, npy(described("''", "(2, 3)"), 24)],
  ];
  for (const [message, bytes] of wrong) {
    assertThrows(() => decodeNpy(bytes), UserError, message);
  }
});

Deno.test("decodeNpz() names the array that is malformed, and refuses zip bombs", async () => {
  const good = { name: "a.npy", bytes: npy(described("'|u1'", "(3,)"), 3), deflated: true };
  const read = await decodeNpz(writeZip([good, { ...good, name: "b/c.npy" }]));
  assertEquals([...read.keys()], ["a", "b/c"]);
  for (
    const [name, bytes] of [["a.npy", good.bytes.slice(0, -1)], ["a.txt", good.bytes]] as const
  ) {
    await assertRejects(
      () => decodeNpz(writeZip([{ name, bytes }])),
      UserError,
      `Array "${name}": `,
    );
  }
  const bomb = writeZip([{ name: "a.npy", bytes: new Uint8Array(70_000), method: 8, size: 7e7 }]);
  await assertRejects(() => decodeNpz(bomb), UserError, "at most 67108864 are allowed");
  const path = fixture("fortran.npy");
  const error = await assertRejects(() => readNpz(path), UserError, "This is no zip archive");
  assert(error.message.startsWith(`${path} is not a .npz file: `));
});
