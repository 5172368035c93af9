/** Losses made of other operations, each a mean: one number. Targets that are tensors are constants. */
import type { Tensor } from "../../kernels/runtime/tensor.ts";
import { asVariable, type Variable, where } from "./variable.ts";

/** The mean of `(x - target)²`: PyTorch's `mse_loss`. */
export function meanSquaredError(x: Variable, target: Variable | Tensor): Variable {
  return x.sub(target).square().mean();
}

/** The mean of `|x - target|`: PyTorch's `l1_loss`. */
export function meanAbsoluteError(x: Variable, target: Variable | Tensor): Variable {
  return x.sub(target).abs().mean();
}

/**
 * The mean of `½ d²` where the distance `d = |x - target|` is below `delta`, and of `delta (d - ½ delta)` beyond:
 * PyTorch's `huber_loss`.
 *
 * Errors: RangeError for a delta that is not above 0.
 */
export function huberLoss(x: Variable, target: Variable | Tensor, delta = 1): Variable {
  if (!(delta > 0 && delta < Infinity)) {
    throw new RangeError(`A Huber loss' delta is a number above 0, and ${delta} was given`);
  }
  const distance = x.sub(target).abs();
  const far = distance.sub(delta / 2).mul(delta);
  return where(distance.less(delta), distance.square().mul(0.5), far).mean();
}

/**
 * How far a distribution `target [N, …]` is from the one whose logarithms are `x`, `Σ target (log target - x) / N`:
 * PyTorch's `kl_div` with `batchmean`. What has the probability 0 counts nothing.
 */
export function klDivergence(x: Variable, target: Variable | Tensor): Variable {
  const p = asVariable(target);
  const terms = p.mul(p.log().sub(x));
  return where(p.greater(0), terms, 0).sum().div(x.shape[0] ?? 1);
}
