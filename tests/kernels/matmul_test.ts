/** Matrix products on the GPU against the float64 twin. */
import { assertEquals, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { matmul } from "../../kernels/gemm/matmul.ts";
import { mostDepth, tileOf } from "../../kernels/gemm/engine.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { addBias, matmul as twin } from "../../kernels/reference/linear_algebra.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, assertTwinAround, countDispatches, normals, upload } from "./values.ts";

interface Case {
  m: number;
  n: number;
  k: number;
  transA?: boolean;
  transB?: boolean;
  bias?: boolean;
}

async function check(gpu: Gpu, { m, n, k, transA = false, transB = false, bias = false }: Case) {
  const [av, bv, biasv] = [normals("a", m * k), normals("b", k * n), normals("bias", n)];
  using a = upload(gpu, av, transA ? [k, m] : [m, k]);
  using b = upload(gpu, bv, transB ? [n, k] : [k, n]);
  using biasTensor = upload(gpu, biasv, [n]);
  using result = matmul(a, b, { transA, transB, bias: bias ? biasTensor : undefined });
  assertEquals(result.shape, [m, n]);
  const product = twin(av, bv, m, k, n, { transposeA: transA, transposeB: transB });
  const expected = bias ? addBias(product, biasv, m, n) : product;
  const what = `${m} x ${k} x ${n}, transA ${transA}, transB ${transB}, bias ${bias}`;
  await assertTwin(result, expected, what);
}

const LAYOUTS = [
  { transA: false, transB: false },
  { transA: false, transB: true },
  { transA: true, transB: false },
  { transA: true, transB: true },
];

gpuTestBothPaths("matmul of one number by one number, in every layout", async (gpu) => {
  for (const layout of LAYOUTS) await check(gpu, { m: 1, n: 1, k: 1, ...layout });
});

// Rows of A decide the height of the tile, and each height is a kernel that compiles on its own.
const ROWS = [3, 7, 13, 25, 67, 129];
const SIZES = [1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 33, 64, 65, 129];

for (const layout of LAYOUTS) {
  const name = `${layout.transA ? "T" : "N"}${layout.transB ? "T" : "N"}`;
  gpuTestBothPaths(`matmul ${name} agrees with its twin at sizes off the tiles`, async (gpu) => {
    const stream = new RandomStream(11).split(name);
    for (const m of ROWS) {
      for (let i = 0; i < 3; i++) {
        const n = SIZES[stream.integer(SIZES.length)];
        const k = SIZES[stream.integer(SIZES.length)];
        await check(gpu, { m, n, k, ...layout });
      }
    }
  });

  gpuTestBothPaths(`matmul ${name} agrees with its twin at multiples of four`, async (gpu) => {
    await check(gpu, { m: 68, n: 132, k: 500, ...layout });
    await check(gpu, { m: 4, n: 4, k: 4, ...layout });
  });
}

// Ones add up exactly, so a term too few or too many shows.
async function checkOnes(
  gpu: Gpu,
  { m, n, k, transA = false, transB = false, bias = false }: Case,
) {
  using a = upload(gpu, new Float32Array(m * k).fill(1), transA ? [k, m] : [m, k]);
  using b = upload(gpu, new Float32Array(n * k).fill(1), transB ? [n, k] : [k, n]);
  using biasTensor = upload(gpu, Array.from({ length: n }, (_, i) => i), [n]);
  using c = matmul(a, b, { transA, transB, bias: bias ? biasTensor : undefined });
  const expected = Float32Array.from({ length: m * n }, (_, i) => k + (bias ? i % n : 0));
  assertEquals(await c.read(), expected, `${m} x ${k} x ${n}, transA ${transA}, transB ${transB}`);
}

gpuTestBothPaths("matmul of ones counts the terms where loops used to be cut", async (gpu) => {
  for (const layout of LAYOUTS) {
    for (const [m, k, n] of [[64, 4999, 64], [64, 3201, 5], [25, 4281, 25], [3, 11_905, 5]]) {
      await checkOnes(gpu, { m, n, k, ...layout });
    }
  }
});

gpuTestBothPaths("matmul is right below, at and above the terms of one dispatch", async (gpu) => {
  for (const layout of LAYOUTS) {
    // Of both kinds, by single numbers and by quads, every layout reads in one.
    const n = layout.transA === layout.transB ? 3 : 4;
    const most = mostDepth(gpu, tileOf(gpu, { m: n, n, k: 4, across: layout.transA }));
    for (const k of n === 3 ? [most - 1, most, most + 1] : [most, most + 4]) {
      await checkOnes(gpu, { m: n, n, k, ...layout, bias: true });
    }
  }
  using a = Tensor.zeros(gpu, [1, 1]);
  assertEquals(countDispatches(gpu, () => matmul(a, a).dispose()).dispatches, 1);
});

gpuTestBothPaths("matmul adds parts of different terms", async (gpu) => {
  const k = mostDepth(gpu, tileOf(gpu, { m: 2, n: 3, k: 4 })) + 7;
  await check(gpu, { m: 2, n: 3, k, bias: true });
  await check(gpu, { m: 2, n: 3, k, transA: true, transB: true });
});

gpuTest("matmul sums up millions of terms", async (gpu) => {
  await checkOnes(gpu, { m: 1, n: 1, k: 3_000_001 });
});

gpuTestBothPaths(
  "what is not finite reaches its own row or column of a product alone",
  async (gpu) => {
    // The first and the last numbers are what reads beyond a matrix, and beyond the last block of k, meet.
    for (const layout of LAYOUTS) {
      const { transA, transB } = layout;
      for (const [m, k, n] of [[3, 7, 5], [8, 4, 12], [67, 6, 33], [68, 9, 36]]) {
        for (const [spoilt, first] of [["a", true], ["a", false], ["b", true], ["b", false]]) {
          for (const value of [NaN, Infinity]) {
            const [av, bv] = [normals("a", m * k), normals("b", k * n)];
            const target = spoilt === "a" ? av : bv;
            target[first ? 0 : target.length - 1] = value;
            using a = upload(gpu, av, transA ? [k, m] : [m, k]);
            using b = upload(gpu, bv, transB ? [n, k] : [k, n]);
            using c = matmul(a, b, layout);
            const expected = twin(av, bv, m, k, n, { transposeA: transA, transposeB: transB });
            const what = `${m} x ${k} x ${n}, ${JSON.stringify(layout)}, ${value} in ${spoilt}`;
            await assertTwinAround(c, expected, what);
          }
        }
      }
    }
  },
);

gpuTestBothPaths("matmul adds the bias to each row", async (gpu) => {
  for (const [m, n, k] of [[25, 17, 5], [67, 8, 16], [1, 3, 2]]) {
    await check(gpu, { m, n, k, bias: true });
  }
  await check(gpu, { m: 25, n: 7, k: 5, transB: true, bias: true });
  await check(gpu, { m: 25, n: 7, k: 5, transA: true, bias: true });
});

gpuTestBothPaths(
  "matmul writes whole into the tensor it is given, and nowhere else",
  async (gpu) => {
    const [m, n, k] = [25, 5, 7];
    const [av, bv] = [normals("a", m * k), normals("b", k * n)];
    using a = upload(gpu, av, [m, k]);
    using b = upload(gpu, bv, [k, n]);
    using whole = Tensor.from(gpu, new Float32Array(m * n + 8).fill(9));
    using out = whole.view([m, n]);
    assertEquals(matmul(a, b, { out }), out);
    await assertTwin(out, twin(av, bv, m, k, n), "out");
    assertEquals([...(await whole.read()).slice(m * n)], Array(8).fill(9));
  },
);

gpuTestBothPaths("a row of a product does not depend on the other rows", async (gpu) => {
  const [m, n, k] = [129, 16, 33];
  const av = normals("a", m * k);
  using a = upload(gpu, av, [m, k]);
  using b = upload(gpu, normals("b", k * n), [k, n]);
  using all = matmul(a, b);
  const together = await all.read();
  for (const row of [0, 77, 128]) {
    using one = upload(gpu, av.slice(row * k, (row + 1) * k), [1, k]);
    using alone = matmul(one, b);
    assertEquals(await alone.read(), together.slice(row * n, (row + 1) * n));
  }
});

gpuTest("matmul over nothing is zeros, and an empty result stays empty", async (gpu) => {
  using a = Tensor.from(gpu, [], [2, 0]);
  using b = Tensor.from(gpu, [], [0, 3]);
  using zeros = matmul(a, b);
  assertEquals(await zeros.read(), new Float32Array(6));
  using bias = Tensor.zeros(gpu, [3]);
  assertThrows(() => matmul(a, b, { bias }), RangeError, "cannot take a bias");
  using square = Tensor.zeros(gpu, [3, 3]);
  using empty = matmul(b, square);
  assertEquals(empty.shape, [0, 3]);
  assertEquals(await empty.read(), new Float32Array(0));
});

gpuTest("matmul refuses shapes that do not fit, and says which", (gpu) => {
  using a = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3], { name: "left" });
  using b = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3], { name: "right" });
  using vector = Tensor.from(gpu, [1, 2, 3]);
  assertThrows(() => matmul(a, b), TypeError, `"left" [2, 3] and "right" [2, 3]`);
  assertThrows(() => matmul(a, b, { transA: true, transB: true }), TypeError, "sizes 2 and 3");
  assertThrows(() => matmul(a, vector), TypeError, "second factor needs the shape [any, any]");
  const transB = true;
  assertThrows(() => matmul(a, b, { transB, bias: vector }), TypeError, "bias needs the shape [2]");
  assertThrows(() => matmul(a, b, { transB, out: a }), TypeError, "result needs the shape [2, 2]");
  using square = Tensor.zeros(gpu, [3, 3], { name: "square" });
  assertThrows(() => matmul(a, square, { out: a }), TypeError, "which share one buffer");
});
