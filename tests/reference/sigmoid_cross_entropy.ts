/** Binary cross-entropy from logits in float64: the twin of `kernels/sigmoid_cross_entropy.ts`. */
import { checkShape, sigmoid } from "./linear_algebra.ts";

/**
 * The cross-entropy of each logit z with its target y, `-y log σ(z) - (1 - y) log(1 - σ(z))`, and
 * its gradient σ(z) - y. With log σ(z) = -log(1 + e⁻ᶻ) the loss is `y l(-z) + (1 - y) l(z)`, where
 * l(z) = log(1 + eᶻ) = max(z, 0) + log(1 + e^-|z|).
 */
export function sigmoidCrossEntropy(
  logits: Float64Array,
  targets: ArrayLike<number>,
): { losses: Float64Array; gradient: Float64Array } {
  checkShape("targets", targets, [logits.length]);
  const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
  return {
    losses: logits.map((z, i) => targets[i] * softplus(-z) + (1 - targets[i]) * softplus(z)),
    gradient: logits.map((z, i) => sigmoid(z) - targets[i]),
  };
}
