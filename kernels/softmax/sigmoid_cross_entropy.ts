/** Binary cross-entropy from logits, with its gradient. */
import { activations } from "../activations.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { perShape } from "../runtime/wgsl.ts";
import { SUM_PARAMS, summed, sumOfEach } from "../reduce/reduce.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";

// With e = exp(-|z|), which cannot overflow, σ(z) and 1 - σ(z) are 1 / (1 + e) and e / (1 + e), or the reverse. Neither
// the gradient (1 - y) σ(z) - y (1 - σ(z)) nor the loss, -z y + log(1 + e) below 0 and z (1 - y) + log(1 + e) above,
// takes a number from 1 that a float32 cannot tell from it. A target outside 0 to 1 makes both NaN, and a logit of -∞ the
// loss, as in PyTorch.
const kernel = perShape((_gpu: Gpu, { single }: { single: boolean }) =>
  defineKernel({
    name: "sigmoid cross-entropy",
    bindings: {
      logits: "read f32",
      targets: "read f32",
      parts: "write f32",
      gradient: "write f32",
    },
    params: SUM_PARAMS,
    code: activations("f32") + sumOfEach(
      single,
      `let z = logits[i];
    let y = select(nan_f32(), targets[i], targets[i] >= 0.0 && targets[i] <= 1.0);
    let e = exp_f32(-abs(z));
    let above = z >= 0.0;
    let linear = select(-z * y, z * (1.0 - y), above);
    term = softplus_f32(-abs(z)) + select(linear, nan_f32(), z < -3.4028234e38);
    let p = select(e, 1.0, above) / (1.0 + e);
    let rest = select(1.0, e, above) / (1.0 + e);
    gradient[i] = params.weight * ((1.0 - y) * p - y * rest);`,
    ),
  })
);

/** The result of {@linkcode sigmoidCrossEntropy}. */
export interface SigmoidCrossEntropy {
  /** The sum over the examples: one number. */
  loss: Tensor;
  /** Of the loss on the logits, with their shape. */
  gradient: Tensor;
}

/**
 * The cross-entropy between targets `y`, 0 or 1 or between, and the sigmoids of logits `z`: the sum of
 * `max(z, 0) - z y + log(1 + exp(-|z|))`, times `scale`; and its gradient `σ(z) - y`, times `scale`. Finite
 * for every finite logit; NaN where a logit is NaN or a target is outside 0 to 1. One dispatch, or two for many
 * logits.
 *
 * Errors: TypeError when `logits` and `targets` differ in shape.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * using gpu = await openGpu();
 * using logits = Tensor.from(gpu, [0, 100, -100]);
 * using targets = Tensor.from(gpu, [1, 1, 1]);
 * const { loss, gradient } = sigmoidCrossEntropy(logits, targets);
 * console.log(await loss.read()); // 0.693 + 0 + 100
 * loss.dispose();
 * gradient.dispose();
 * ```
 */
export function sigmoidCrossEntropy(
  logits: Tensor,
  targets: Tensor,
  { scale = 1 }: { scale?: number } = {},
): SigmoidCrossEntropy {
  expectShape(targets, logits.shape, "The targets of a sigmoid cross-entropy");
  const { gpu, shape, size: n } = logits;
  const gradient = Tensor.empty(gpu, shape, { name: "gradient of the logits" });
  const loss = summed(gpu, n, ({ single, parts, at, groups }) => {
    const tensors = { logits, targets, parts, gradient };
    kernel(gpu, { single }).run(gpu, tensors, { n, weight: scale, at }, groups);
  });
  return { loss, gradient };
}
