/** Matrix products on the GPU against the float64 twin. */
import { assertEquals, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { matmul } from "../../kernels/matmul.ts";
import { Tensor } from "../../kernels/tensor.ts";
import { addBias, matmul as twin } from "../reference/linear_algebra.ts";
import { gpuTest, gpuTestBothPaths } from "../support.ts";
import { assertTwin, normals, upload } from "./values.ts";

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

// Rows of A decide the kernel on the subgroup path: few of them, since each compiles on its own.
const ROWS = [3, 25, 67, 129];
const SIZES = [1, 2, 3, 4, 5, 7, 8, 16, 17, 31, 33, 64, 65, 129];

for (const layout of LAYOUTS) {
  const name = `${layout.transA ? "T" : "N"}${layout.transB ? "T" : "N"}`;
  gpuTestBothPaths(`matmul ${name} agrees with its twin at sizes off the tiles`, async (gpu) => {
    const stream = new RandomStream(11).split(name);
    for (const m of ROWS) {
      for (let i = 0; i < 4; i++) {
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
