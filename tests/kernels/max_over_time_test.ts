/** The largest value over the steps of each sequence on the GPU, and its gradient. */
import { assertEquals, assertThrows } from "@std/assert";
import { maxOverTime, maxOverTimeGradient } from "../../kernels/pool/max_over_time.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { STRETCH } from "../../kernels/runtime/turns.ts";
import { maxOverTimeBackward, maxOverTimeForward } from "../../kernels/reference/pooling.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, countDispatches, disposeAll, normals, swapAxes, upload } from "./values.ts";

/** [T, N, H] and the length of each example. */
const CASES: { sizes: [number, number, number]; lengths: number[] }[] = [
  { sizes: [1, 1, 1], lengths: [1] },
  { sizes: [4, 3, 1], lengths: [4, 1, 2] },
  { sizes: [7, 5, 3], lengths: [7, 1, 6, 2, 7] },
  { sizes: [5, 2, 52], lengths: [3, 5] },
];

for (const { sizes, lengths } of CASES) {
  gpuTest(`the maximum over time at [T, N, H] = [${sizes}] agrees with its twin`, async (gpu) => {
    const [steps, batch, units] = sizes;
    const values = normals("x", steps * batch * units);
    const doutValues = normals("dout", batch * units);
    // The twin takes one example at a time, cut to its length.
    const examples = swapAxes(values, sizes);
    const expected = lengths.map((length, n) => {
      const own = examples.subarray(n * steps * units, (n * steps + length) * units);
      return maxOverTimeForward(own, length, units);
    });
    using x = upload(gpu, values, sizes);
    using counts = Tensor.from(gpu, lengths, [batch], { dtype: "u32" });
    const forward = countDispatches(gpu, () => maxOverTime(x, counts));
    const { out, steps: from } = forward.result;
    assertEquals([forward.dispatches, [...out.shape]], [1, [batch, units]]);
    const largest = expected.flatMap((e) => [...e.out]);
    assertEquals(await out.read(), Float32Array.from(largest)); // picked, not computed
    assertEquals([...await from.read()], expected.flatMap((e) => e.steps));

    using dout = upload(gpu, doutValues, [batch, units]);
    using dx = Tensor.from(gpu, new Float32Array(values.length).fill(7), sizes);
    const back = countDispatches(gpu, () => maxOverTimeGradient(dout, from, dx));
    assertEquals([back.result, back.dispatches], [dx, 1]);
    const gradient = expected.flatMap((e, n) => {
      const own = doutValues.subarray(n * units, (n + 1) * units);
      return [...maxOverTimeBackward(own, e.steps, steps)];
    });
    await assertTwin(dx, swapAxes(gradient, [batch, steps, units]), "gradient", 1e-7);
    disposeAll(forward.result);
  });
}

gpuTest("of equal values the first counts, and padding never", async (gpu) => {
  // Two examples of one unit: 2 2 1 9 with three steps, and -5 -5 8 8 with two.
  using x = Tensor.from(gpu, [2, -5, 2, -5, 1, 8, 9, 8], [4, 2, 1]);
  using lengths = Tensor.from(gpu, [3, 2], [2], { dtype: "u32" });
  const { out, steps } = maxOverTime(x, lengths);
  assertEquals(await out.read(), Float32Array.of(2, -5));
  assertEquals(await steps.read(), Uint32Array.of(0, 0));
  using dout = Tensor.from(gpu, [3, 4], [2, 1]);
  using dx = Tensor.empty(gpu, [4, 2, 1]);
  maxOverTimeGradient(dout, steps, dx);
  assertEquals(await dx.read(), Float32Array.of(3, 4, 0, 0, 0, 0, 0, 0));
  disposeAll({ out, steps });
});

gpuTestBothPaths("the first NaN counts as the largest, but not in the padding", async (gpu) => {
  // Example 0: 1 NaN 9 NaN, all four; example 1: -∞ -2 NaN NaN, two of them; example 2: ∞ NaN, both.
  const rows = [[1, -Infinity, Infinity], [NaN, -2, NaN], [9, NaN, 0], [NaN, NaN, 0]];
  using x = Tensor.from(gpu, rows.flat(), [4, 3, 1]);
  using lengths = Tensor.from(gpu, [4, 2, 2], [3], { dtype: "u32" });
  const { out, steps } = maxOverTime(x, lengths);
  assertEquals(await out.read(), Float32Array.of(NaN, -2, NaN));
  assertEquals(await steps.read(), Uint32Array.of(1, 1, 1));
  using dout = Tensor.from(gpu, [NaN, 4, Infinity], [3, 1]);
  using dx = Tensor.empty(gpu, [4, 3, 1]);
  maxOverTimeGradient(dout, steps, dx);
  assertEquals(await dx.read(), Float32Array.of(0, 0, 0, NaN, 4, Infinity, 0, 0, 0, 0, 0, 0));
  disposeAll({ out, steps });
});

gpuTestBothPaths("a length out of range gives NaN, not what stands elsewhere", async (gpu) => {
  using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6, 7, 8], [2, 4, 1]);
  using lengths = Tensor.from(gpu, [2, 0, 3, 1], [4], { dtype: "u32" });
  const { out, steps } = maxOverTime(x, lengths);
  assertEquals(await out.read(), Float32Array.of(5, NaN, NaN, 4));
  disposeAll({ out, steps });
});

gpuTestBothPaths("the maximum over more steps than one dispatch takes", async (gpu) => {
  for (const count of [STRETCH - 1, STRETCH, STRETCH + 1, 65_537, 2 * STRETCH + 1]) {
    const values = new Float32Array(count * 3).fill(-1);
    // The largest is at the end, at the beginning, and at the last step of the first dispatch, again later.
    values[3 * (count - 1)] = 5;
    values[1] = values[3 * (count - 1) + 1] = 6;
    values[3 * (STRETCH - 2) + 2] = values[3 * (count - 2) + 2] = 7;
    using x = Tensor.from(gpu, values, [count, 1, 3]);
    using lengths = Tensor.from(gpu, [count], [1], { dtype: "u32" });
    const { out, steps } = maxOverTime(x, lengths);
    assertEquals(await out.read(), Float32Array.of(5, 6, 7));
    assertEquals(
      await steps.read(),
      Uint32Array.of(count - 1, 0, Math.min(STRETCH - 2, count - 2)),
    );
    disposeAll({ out, steps });
  }
});

gpuTest("the maximum over time refuses shapes that do not fit", (gpu) => {
  using x = Tensor.zeros(gpu, [3, 2, 5]);
  using none = Tensor.zeros(gpu, [0, 2, 5]);
  using matrix = Tensor.zeros(gpu, [2, 5]);
  using lengths = Tensor.zeros(gpu, [2], { dtype: "u32" });
  using more = Tensor.zeros(gpu, [3], { dtype: "u32" });
  using steps = Tensor.zeros(gpu, [2, 5], { dtype: "u32" });
  assertThrows(() => maxOverTime(matrix, lengths), TypeError, "x [T, N, H]");
  assertThrows(() => maxOverTime(none, lengths), TypeError, "needs at least one step");
  assertThrows(() => maxOverTime(x, more), TypeError, "needs the shape [2]");
  assertThrows(() => maxOverTimeGradient(matrix, steps, matrix), TypeError, "gradient [T, N, H]");
  assertThrows(() => maxOverTimeGradient(matrix, lengths, x), TypeError, "needs the shape [2, 5]");
});
