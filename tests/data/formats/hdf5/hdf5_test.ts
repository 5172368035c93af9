import { assert, assertEquals, assertRejects } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import * as h5wasm from "npm:h5wasm@0.10.3";
import { readHdf5 } from "../../../../data/formats/hdf5/hdf5.ts";
import { dataTest, permissionTest } from "../../../support.ts";
import { UserError } from "../../../../data/files/user_error.ts";

const fixture = fromFileUrl(new URL("../../../fixtures/hdf5/types.h5", import.meta.url));

Deno.test("readHdf5() reads every integer type to its limits", async () => {
  const names = ["int8", "uint8", "int16", "uint16", "int32", "uint32"] as const;
  const read = await readHdf5(fixture, names);
  const values = names.map((name) => [...read[name].data]);
  assertEquals(values, [
    [-128, 1, 127],
    [0, 1, 255],
    [-32768, 1, 32767],
    [0, 1, 65535],
    [-(2 ** 31), 1, 2 ** 31 - 1],
    [0, 1, 2 ** 32 - 1],
  ]);
  const wide = await readHdf5(fixture, ["int64", "uint64"]);
  assertEquals([...wide.int64.data], [-(2n ** 63n), 1n, 2n ** 63n - 1n]);
  assertEquals([...wide.uint64.data], [0n, 1n, 2n ** 64n - 1n]);
  assertEquals(wide.int64.shape, [1, 3]);
});

Deno.test("readHdf5() reads floating-point numbers of either byte order", async () => {
  const read = await readHdf5(fixture, ["float32", "float64", "big_endian"]);
  assertEquals(read.float32, {
    shape: [2, 3],
    stored: [2, 3],
    data: Float32Array.from({ length: 6 }, (_, i) => i / 7),
  });
  assertEquals(read.float64, {
    shape: [3, 2],
    stored: [3, 2],
    data: Float64Array.from({ length: 6 }, (_, i) => i / 7),
  });
  assertEquals([...read.big_endian.data], [1.5, -2]);
});

Deno.test("readHdf5() reads compressed, nested, empty and three-dimensional datasets", async () => {
  const read = await readHdf5(fixture, ["packed", "group/inside", "empty", "cube"]);
  assertEquals(read.packed.shape, [100, 10]);
  assertEquals(read.packed.data, Int32Array.from({ length: 1000 }, (_, i) => i));
  assertEquals(read["group/inside"], {
    shape: [1],
    stored: [1],
    data: Int16Array.of(7),
  });
  assertEquals(read.empty, { shape: [0, 5], stored: [0, 5], data: new Float32Array(0) });
  assertEquals(read.cube.shape, [2, 3, 4]);
  assertEquals(read.cube.data, Int32Array.from({ length: 24 }, (_, i) => i));
});

Deno.test("readHdf5() lists the datasets present when one is missing", async () => {
  const error = await assertRejects(() => readHdf5(fixture, ["cube", "features"]), UserError);
  for (const part of [fixture, `no dataset "features"`, "cube", "group/inside"]) {
    assert(error.message.includes(part), `no ${part} in: ${error.message}`);
  }
});

Deno.test("readHdf5() refuses text, single values and groups", async () => {
  for (const name of ["text", "scalar"]) {
    await assertRejects(() => readHdf5(fixture, [name]), UserError, `"${name}" is not an array`);
  }
  await assertRejects(() => readHdf5(fixture, ["group"]), UserError, `no dataset "group"`);
});

Deno.test("readHdf5() says in one line that a file is no HDF5, and still reads the next", async () => {
  const path = fixture.replace("types.h5", "make.py");
  const error = await assertRejects(() => readHdf5(path, ["x"]), UserError);
  assertEquals(error.message, `${path} cannot be read as HDF5: file signature not found`);
  assertEquals((await readHdf5(fixture, ["cube"])).cube.shape, [2, 3, 4]);
});

for (const file of ["stores.h5", "stores_latest.h5"]) {
  const path = fixture.replace("types.h5", file);

  Deno.test(`readHdf5() reads all ways to keep numbers, and rows of them, from ${file}`, async () => {
    const data = Float32Array.from({ length: 120 }, (_, i) => i);
    for (
      const name of [
        ...["whole", "linked", "single", "fixed", "fixed_packed", "extensible", "tree"],
      ]
    ) {
      const { [name]: whole } = await readHdf5(path, [name]);
      assertEquals(whole, { shape: [40, 3], stored: [40, 3], data }, name);
      for (const rows of [[0], [39], [0, 1, 2, 7, 38, 39], [], [...Array(40).keys()]]) {
        const { [name]: some } = await readHdf5(path, [name], { rows });
        const expected = Float32Array.from(rows.flatMap((r) => [3 * r, 3 * r + 1, 3 * r + 2]));
        assertEquals(some, { shape: [rows.length, 3], stored: [40, 3], data: expected }, name);
      }
    }
  });

  Deno.test(`readHdf5() refuses numbers that are not in ${file}`, async () => {
    const never = (name: string): [string, string] => [
      name,
      `dataset "${name}" is not whole: its numbers were never written`,
    ];
    const part = (name: string, written: number, of: number): [string, string] => [
      name,
      `dataset "${name}" is not whole: only ${written} of its ${of} chunks were written`,
    ];
    const cases: [string, string][] = [
      never("never"),
      ...["single", "fixed", "fixed_packed", "extensible", "tree"].map((n) => never(n + "_never")),
      part("fixed_part", 8, 12),
      part("fixed_packed_part", 4, 6),
      part("extensible_part", 4, 6),
      part("tree_part", 4, 6),
      [
        "virtual",
        'dataset "virtual" is a virtual one, whose numbers are in other files (elsewhere.h5',
      ],
      ["external", "keeps its numbers in other files (external storage)"],
      ["elsewhere", '"elsewhere" is a link to "/numbers" in another file, elsewhere.h5'],
      ["nowhere", '"nowhere" is a link to "/gone", which the file does not hold'],
      ["lzf", 'dataset "lzf" is packed with the filter LZF (number 32000)'],
    ];
    for (const [name, message] of cases) {
      const error = await assertRejects(() => readHdf5(path, [name]), UserError, message);
      assert(error.message.startsWith(`${path} cannot be read as HDF5: `), error.message);
      // The part that was written is no excuse: what is asked for may change.
      await assertRejects(() => readHdf5(path, [name], { rows: [0] }), UserError, message);
    }
  });
}

Deno.test("readHdf5() refuses rows that are not there or do not ascend", async () => {
  const read = (rows: number[]) => readHdf5(fixture, ["cube"], { rows });
  await assertRejects(() => read([0, 2]), UserError, `"cube" has 2 rows, and row 2 is wanted`);
  for (const rows of [[1, 0], [1, 1], [-1], [0.5], [NaN]]) {
    await assertRejects(() => read(rows), TypeError, "Rows must be whole numbers that ascend");
  }
});

Deno.test("readHdf5() refuses a folder", async () => {
  const folder = fixture.replace("/types.h5", "");
  await assertRejects(() => readHdf5(folder, ["x"]), UserError, "it is no regular file");
});

permissionTest("readHdf5() names a truncated file", [{ name: "write" }], async () => {
  const folder = await Deno.makeTempDir();
  try {
    const whole = await Deno.readFile(fixture);
    const path = join(folder, "half.h5");
    for (const length of [0, 1, whole.length >> 1, whole.length - 1]) {
      await Deno.writeFile(path, whole.subarray(0, length));
      const error = await assertRejects(() => readHdf5(path, ["cube"]), UserError, path);
      const expected = length < 100
        ? "file signature not found"
        : `truncated file: eof = ${length}`;
      assert(error.message.includes(expected), error.message);
      assert(!error.message.includes("\n"));
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

permissionTest(
  "readHdf5() refuses a dataset that would take far more memory than its file",
  [{ name: "write" }],
  async () => {
    const { FS } = await h5wasm.ready;
    const made = new h5wasm.File("/vast.h5", "w");
    const options = { shape: [1, 1024], maxshape: [2 ** 20, 1024], chunks: [1, 1024] };
    const vast = made.create_dataset({ name: "vast", data: new Float32Array(1024), ...options });
    vast.resize([2 ** 20, 1024]); // what is not written takes no room in the file
    made.create_dataset({ name: "small", data: Int32Array.of(1, 2) });
    made.close();
    const bytes: Uint8Array = FS.readFile("/vast.h5").slice();
    FS.unlink("/vast.h5");
    assert(bytes.length < 100_000);
    const path = await Deno.makeTempFile();
    try {
      await Deno.writeFile(path, bytes);
      await assertRejects(
        () => readHdf5(path, ["small", "vast"]),
        UserError,
        `dataset "vast" of shape [1048576,1024] would take more than the 67108856 bytes allowed`,
      );
      assertEquals([...(await readHdf5(path, ["small"])).small.data], [1, 2]);
    } finally {
      await Deno.remove(path);
    }
  },
);

Deno.test("readHdf5() gives up at the time limit, and reads the next file all the same", async () => {
  const read = readHdf5(fixture, Array(20_000).fill("packed"), { timeLimit: 1e-6 });
  const next = readHdf5(fixture, ["cube"]);
  await assertRejects(() => read, UserError, "the HDF5 library did not end within 0.000001 s");
  assertEquals((await next).cube.shape, [2, 3, 4]);
  for (const timeLimit of [0, -1, NaN, Infinity]) {
    await assertRejects(
      () => readHdf5(fixture, [], { timeLimit }),
      TypeError,
      `it is ${timeLimit}`,
    );
  }
});

dataTest(
  "readHdf5() reads CS231n's layout",
  "captions/ucm/train2014_vgg16_fc7_pca.h5",
  async (path) => {
    const { features } = await readHdf5(path, ["features"]);
    assertEquals(features.shape, [1680, 512]);
    assert(features.data instanceof Float32Array);
  },
);
