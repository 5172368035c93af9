/** Sums on the GPU. */
import { assertEquals, assertThrows } from "@std/assert";
import { columnSum, sum } from "../../kernels/reduce/reduce.ts";
import { mirrored } from "../../kernels/runtime/memory/mirror.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import * as twin from "../../kernels/reference/linear_algebra.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, countDispatches, normals, upload } from "./values.ts";

// 4,096 is the most that one dispatch adds up, and 64 times as many what two do.
for (const n of [0, 1, 2, 63, 65, 1000, 4096, 4097, 200_000, 300_001]) {
  gpuTest(`the sum and the sum of squares of ${n} numbers`, async (gpu) => {
    // Shifted, so that the sum is not near zero by chance.
    const values = normals("x", n).map((v) => v + 0.5);
    using x = upload(gpu, values, [n]);
    const { result, dispatches } = countDispatches(gpu, () => sum(x, { scale: 0.25 }));
    using total = result;
    assertEquals(dispatches, n > 262_144 ? 3 : n > 4096 ? 2 : 1);
    assertEquals(total.shape, []);
    await assertTwin(total, [0.25 * values.reduce((a, b) => a + b, 0)], "sum");
    using squares = sum(x, { square: true });
    await assertTwin(squares, [twin.dot(values, values)], "sum of squares");
  });
}

gpuTest("a sum goes to the element it is told, and leaves the others", async (gpu) => {
  using x = Tensor.from(gpu, [1, 2, 3]);
  using out = Tensor.from(gpu, [7, 7, 7]);
  assertEquals(sum(x, { out, at: 1 }), out);
  assertEquals(await out.read(), new Float32Array([7, 6, 7]));
  assertThrows(() => sum(x, { out, at: 3 }), RangeError, "element 3");
  assertThrows(() => sum(x, { out, at: -1 }), RangeError, "element -1");
});

gpuTest("a sum leaves out what lies behind its tensor", async (gpu) => {
  using whole = Tensor.from(gpu, [1, 2, 3, 4, 5, NaN, Infinity, NaN]);
  for (const n of [1, 3, 5]) {
    using x = whole.view([n]);
    using total = sum(x);
    using squares = sum(x, { square: true });
    const expected = [n * (n + 1) / 2, n * (n + 1) * (2 * n + 1) / 6];
    assertEquals([...await total.read(), ...await squares.read()], expected);
  }
});

gpuTest("column sums read a copy in a texture where there is one", async (gpu) => {
  if (gpu.path !== "subgroup") return;
  const values = normals("x", 300 * 8);
  using x = upload(gpu, values, [300, 8]);
  mirrored(x);
  using result = columnSum(x);
  await assertTwin(result, twin.columnSum(values, 300, 8), "column sum");
});

gpuTest("a sum comes out the same each time", async (gpu) => {
  using x = upload(gpu, normals("x", 100_000), [100_000]);
  using once = sum(x);
  using again = sum(x);
  assertEquals(await once.read(), await again.read());
});

// Below and above the rows of one invocation; of odd widths also four rows side by side.
const MATRICES = [[1, 1], [3, 5], [5, 8], [425, 7], [100, 260], [0, 4], [2, 131], [3000, 8]];
MATRICES.push([264, 3], [1088, 105], [65_540, 1]);
for (const [rows, columns] of MATRICES) {
  gpuTest(`the column sums of [${rows}, ${columns}]`, async (gpu) => {
    const values = normals("x", rows * columns);
    using x = upload(gpu, values, [rows, columns]);
    using result = columnSum(x);
    await assertTwin(result, twin.columnSum(values, rows, columns), "column sum");
    using out = Tensor.empty(gpu, [columns]);
    assertEquals(columnSum(x, out), out);
    assertEquals(await out.read(), await result.read());
  });
}

// Equal numbers are the worst case: every addition rounds the same way.
gpuTest(
  "the sums of many equal numbers are right to a few units in the last place",
  async (gpu) => {
    const tenth = Math.fround(0.1);
    for (const n of [1000, 65_536, 65_537, 1_000_003]) {
      using x = upload(gpu, new Float32Array(n).fill(tenth), [n]);
      using total = sum(x);
      await assertTwin(total, [n * tenth], `sum of ${n}`, 5e-7);
      using squares = sum(x, { square: true });
      await assertTwin(squares, [n * tenth ** 2], `sum of ${n} squares`, 5e-7);
      using column = x.view([n, 1]);
      using columns = columnSum(column);
      await assertTwin(columns, [n * tenth], `column sum of ${n}`, 1e-6);
    }
    const rows = 131_077; // more than the loops of an invocation take
    using x = upload(gpu, new Float32Array(4 * rows).fill(tenth), [rows, 4]);
    using columns = columnSum(x);
    await assertTwin(columns, Array(4).fill(rows * tenth), `column sums of ${rows} rows`, 1e-6);
  },
);

gpuTestBothPaths("NaN and infinity reach every sum that they are in, and no other", async (gpu) => {
  for (const [n, columns] of [[7, 3], [300, 4], [65_537, 1]]) {
    for (const v of [NaN, Infinity, -Infinity]) {
      const values = new Float32Array(n * columns).fill(1);
      values[(n - 1) * columns] = v;
      using x = upload(gpu, values, [n, columns]);
      using total = sum(x);
      assertEquals(await total.read(), Float32Array.of(v));
      using squares = sum(x, { square: true });
      assertEquals(await squares.read(), Float32Array.of(v ** 2));
      using each = columnSum(x);
      const expected = Float32Array.from({ length: columns }, (_, c) => c === 0 ? v : n);
      assertEquals(await each.read(), expected);
    }
  }
});

gpuTest("column sums of some columns", async (gpu) => {
  for (const [at, columns, pitch] of [[4, 8, 16], [1, 5, 7]]) {
    const values = normals("x", 300 * pitch);
    using x = upload(gpu, values, [300, pitch]);
    using result = columnSum(x, undefined, { at, columns });
    const all = twin.columnSum(values, 300, pitch);
    await assertTwin(result, all.slice(at, at + columns), `columns ${at} to ${at + columns}`);
  }
  using x = Tensor.zeros(gpu, [2, 3]);
  assertThrows(() => columnSum(x, undefined, { at: 2, columns: 2 }), RangeError, "no 2 columns");
});

gpuTest("column sums refuse shapes that do not fit", (gpu) => {
  using x = Tensor.zeros(gpu, [2, 3]);
  using vector = Tensor.zeros(gpu, [2]);
  assertThrows(() => columnSum(vector), TypeError, "A column sum needs the shape [any, any]");
  assertThrows(() => columnSum(x, vector), TypeError, "result needs the shape [3]");
});
