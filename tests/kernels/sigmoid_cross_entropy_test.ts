/** Binary cross-entropy from logits on the GPU. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { sigmoidCrossEntropy } from "../../kernels/sigmoid_cross_entropy.ts";
import { Tensor } from "../../kernels/tensor.ts";
import * as twin from "../reference/sigmoid_cross_entropy.ts";
import { gpuTest } from "../gpu_support.ts";
import { linspace } from "../support.ts";
import { assertTwin, countDispatches, disposeAll, normals, upload } from "./values.ts";

for (const count of [1, 3, 4, 52, 64, 65, 1001]) {
  gpuTest(`sigmoid cross-entropy of ${count} logits agrees with its twin`, async (gpu) => {
    const logitValues = normals("logits", count).map((v) => 4 * v);
    // 0, 1 and a target between.
    const targetValues = Float64Array.from(logitValues, (_, i) => [1, 0, 0.25][i % 3]);
    using logits = upload(gpu, logitValues, [count]);
    using targets = upload(gpu, targetValues, [count]);
    const { losses, gradient } = twin.sigmoidCrossEntropy(logitValues, targetValues);
    const sum = losses.reduce((a, b) => a + b);
    const { result, dispatches } = countDispatches(gpu, () => sigmoidCrossEntropy(logits, targets));
    assertEquals([dispatches, [...result.loss.shape]], [1, []]);
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

gpuTest("huge logits have a finite loss and a gradient from -1 to 1", async (gpu) => {
  const huge = [...linspace(-100, 100, 21), 1e4, -1e4, 3e38, -3e38, 88, -88, 1e-30, -1e-30];
  for (const target of [0, 1]) {
    using targets = upload(gpu, [target], [1]);
    for (const z of huge) {
      using logits = upload(gpu, [z], [1]);
      const { loss, gradient } = sigmoidCrossEntropy(logits, targets);
      const expected = twin.sigmoidCrossEntropy(Float64Array.of(Math.fround(z)), [target]);
      const [[gotLoss], [gotGradient]] = [await loss.read(), await gradient.read()];
      const [expectedLoss] = expected.losses;
      assertAlmostEquals(gotLoss, expectedLoss, 1e-6 * expectedLoss + 1e-6, `the loss of ${z}`);
      assertAlmostEquals(gotGradient, expected.gradient[0], 1e-6, `the gradient of ${z}`);
      assert(gotLoss >= 0 && Math.abs(gotGradient) <= 1);
      disposeAll({ loss, gradient });
    }
  }
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
