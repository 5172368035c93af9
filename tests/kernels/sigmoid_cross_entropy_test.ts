/** Binary cross-entropy from logits on the GPU. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { sigmoidCrossEntropy } from "../../kernels/softmax/sigmoid_cross_entropy.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import * as twin from "../../kernels/reference/softmax.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { linspace } from "../support.ts";
import { assertTwin, countDispatches, disposeAll, normals, upload } from "./values.ts";

for (const count of [1, 3, 4, 52, 64, 65, 1001, 1025, 5001]) {
  gpuTest(`sigmoid cross-entropy of ${count} logits agrees with its twin`, async (gpu) => {
    const logitValues = normals("logits", count).map((v) => 4 * v);
    // 0, 1 and a target between.
    const targetValues = Float64Array.from(logitValues, (_, i) => [1, 0, 0.25][i % 3]);
    using logits = upload(gpu, logitValues, [count]);
    using targets = upload(gpu, targetValues, [count]);
    const { losses, gradient } = twin.sigmoidCrossEntropy(logitValues, targetValues);
    const sum = losses.reduce((a, b) => a + b);
    const { result, dispatches } = countDispatches(gpu, () => sigmoidCrossEntropy(logits, targets));
    assertEquals([dispatches, [...result.loss.shape]], [count > 1024 ? 2 : 1, []]);
    await assertTwin(result.loss, [sum], "loss", 1e-6);
    await assertTwin(result.gradient, gradient, "gradient", 1e-6);
    const again = sigmoidCrossEntropy(logits, targets);
    assertEquals(await again.loss.read(), await result.loss.read());
    const scaled = sigmoidCrossEntropy(logits, targets, { scale: 1 / count });
    await assertTwin(scaled.loss, [sum / count], "scaled loss", 1e-6);
    await assertTwin(scaled.gradient, gradient.map((v) => v / count), "scaled gradient", 1e-6);
    for (const tensors of [result, again, scaled]) disposeAll(tensors);
  });
}

gpuTest("huge and tiny logits are right to a few units in the last place", async (gpu) => {
  const huge = [
    ...linspace(-100, 100, 81),
    1e4,
    -1e4,
    3e38,
    -3e38,
    88,
    -88,
    1e-30,
    -1e-30,
    Infinity,
    -Infinity,
  ];
  for (const target of [0, 1, 0.25]) {
    using targets = upload(gpu, [target], [1]);
    for (const z of huge.map(Math.fround)) {
      using logits = upload(gpu, [z], [1]);
      const { loss, gradient } = sigmoidCrossEntropy(logits, targets);
      const [[gotLoss], [gotGradient]] = [await loss.read(), await gradient.read()];
      disposeAll({ loss, gradient });
      const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
      const p = Math.exp(-softplus(-z));
      const slope = (1 - target) * p - target * Math.exp(-softplus(z));
      assertClose(gotGradient, slope, `the gradient of ${z} to ${target}`);
      // The loss of -∞, and of ∞ to 1, which is ∞ · 0, is NaN in PyTorch too.
      if (z === -Infinity || (z === Infinity && target === 1)) {
        assertEquals(gotLoss, NaN);
        continue;
      }
      const expected = z >= 0 ? (1 - target) * z + softplus(-z) : -target * z + softplus(z);
      assertClose(gotLoss, expected, `the loss of ${z} to ${target}`);
    }
  }
});

/** Right to 8 units in the last place, or to what is subnormal. */
function assertClose(got: number, expected: number, what: string): void {
  const right = got === expected ||
    Math.abs(got - expected) <= 8 * 2 ** -23 * Math.abs(expected) + 1.2e-38;
  assert(right, `${what} is ${got}, not ${expected}`);
}

gpuTestBothPaths(
  "a NaN and a target outside 0 to 1 make the loss and their gradient NaN",
  async (gpu) => {
    for (const count of [5, 2049]) {
      for (const [z, y] of [[NaN, 0], [NaN, 1], [1, NaN], [1, 1.5], [-1, -1e-6], [1, Infinity]]) {
        const logitValues = normals("logits", count);
        const targetValues = Float64Array.from(logitValues, (_, i) => i % 2);
        logitValues[count - 2] = z;
        targetValues[count - 2] = y;
        using logits = upload(gpu, logitValues, [count]);
        using targets = upload(gpu, targetValues, [count]);
        const { loss, gradient } = sigmoidCrossEntropy(logits, targets);
        assertEquals(await loss.read(), Float32Array.of(NaN));
        const nan = Array.from(await gradient.read(), Number.isNaN);
        assertEquals(nan, Array.from(logitValues, (_, i) => i === count - 2));
        disposeAll({ loss, gradient });
      }
    }
  },
);

// An invocation of one group would turn 65,537 times.
gpuTestBothPaths("4,194,305 logits are all counted", async (gpu) => {
  const count = 64 * 65_536 + 1;
  const logitValues = new Float32Array(count).fill(-1);
  logitValues.fill(2, count - 70);
  using logits = Tensor.from(gpu, logitValues);
  using targets = Tensor.zeros(gpu, [count]);
  const { loss, gradient } = sigmoidCrossEntropy(logits, targets, { scale: 1 / count });
  const l = (z: number) => Math.log1p(Math.exp(z));
  await assertTwin(loss, [((count - 70) * l(-1) + 70 * l(2)) / count], "loss", 1e-6);
  using last = gradient.view([71], count - 71);
  const sigmoid = (z: number) => 1 / (1 + Math.exp(-z));
  const slopes = Array.from({ length: 71 }, (_, i) => sigmoid(i === 0 ? -1 : 2) / count);
  await assertTwin(last, slopes, "gradient", 1e-6);
  disposeAll({ loss, gradient });
});

gpuTest("targets of another shape are refused", (gpu) => {
  using logits = Tensor.zeros(gpu, [3]);
  using column = Tensor.zeros(gpu, [3, 1], { name: "column" });
  using short = Tensor.zeros(gpu, [2], { name: "short" });
  for (const targets of [column, short]) {
    const message = `needs the shape [3], and the tensor "${targets.name}" has`;
    assertThrows(() => sigmoidCrossEntropy(logits, targets), TypeError, message);
  }
});
