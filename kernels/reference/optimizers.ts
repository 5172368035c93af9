/** The optimizers in float64, by PyTorch's formulas; each changes the parameter and its state in place. */
import { checkShape } from "./linear_algebra.ts";

/** What SGD with momentum keeps for one parameter: start with zeros. */
export interface SgdState {
  velocity: Float64Array;
}

/** Settings of {@linkcode sgdStep}. */
export interface SgdOptions {
  learningRate: number;
  /** 0 is plain SGD (default). */
  momentum?: number;
  /** L2: added to the gradient as weightDecay · parameter (default 0). */
  weightDecay?: number;
}

/** SGD: v ← momentum · v + g, p ← p - learningRate · v. */
export function sgdStep(
  parameter: Float64Array,
  gradient: Float64Array,
  state: SgdState,
  { learningRate, momentum = 0, weightDecay = 0 }: SgdOptions,
): void {
  checkShape("gradient", gradient, [parameter.length]);
  checkShape("velocity", state.velocity, [parameter.length]);
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i] + weightDecay * parameter[i];
    state.velocity[i] = momentum * state.velocity[i] + g;
    parameter[i] -= learningRate * state.velocity[i];
  }
}

/** What Adam keeps for one parameter: start with step 0 and zeros. */
export interface AdamState {
  step: number;
  mean: Float64Array;
  square: Float64Array;
}

/** Settings of {@linkcode adamStep}. */
export interface AdamOptions {
  learningRate: number;
  /** Default 0.9. */
  beta1?: number;
  /** Default 0.999. */
  beta2?: number;
  /** Default 1e-8. */
  epsilon?: number;
  /** L2: added to the gradient as weightDecay · parameter (default 0). */
  weightDecay?: number;
}

/**
 * Adam (Kingma and Ba 2015): m ← β₁ m + (1 - β₁) g, v ← β₂ v + (1 - β₂) g²,
 * p ← p - learningRate · m̂ / (√v̂ + ε) with m̂ = m / (1 - β₁ᵗ), v̂ = v / (1 - β₂ᵗ).
 */
export function adamStep(
  parameter: Float64Array,
  gradient: Float64Array,
  state: AdamState,
  { learningRate, beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0 }: AdamOptions,
): void {
  checkShape("gradient", gradient, [parameter.length]);
  checkShape("mean", state.mean, [parameter.length]);
  checkShape("square", state.square, [parameter.length]);
  state.step++;
  const meanCorrection = 1 - beta1 ** state.step;
  const squareCorrection = 1 - beta2 ** state.step;
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i] + weightDecay * parameter[i];
    state.mean[i] = beta1 * state.mean[i] + (1 - beta1) * g;
    state.square[i] = beta2 * state.square[i] + (1 - beta2) * g * g;
    const mean = state.mean[i] / meanCorrection;
    const root = Math.sqrt(state.square[i] / squareCorrection);
    parameter[i] -= learningRate * mean / (root + epsilon);
  }
}

/** What RMSprop keeps for one parameter: start with zeros. */
export interface RmspropState {
  square: Float64Array;
}

/** Settings of {@linkcode rmspropStep}. */
export interface RmspropOptions {
  learningRate: number;
  /** How much of the old average stays, default 0.99. */
  alpha?: number;
  /** Default 1e-8. */
  epsilon?: number;
  /** L2: added to the gradient as weightDecay · parameter (default 0). */
  weightDecay?: number;
}

/** RMSprop, as in PyTorch with no momentum: v ← α v + (1 - α) g², p ← p - learningRate · g / (√v + ε). */
export function rmspropStep(
  parameter: Float64Array,
  gradient: Float64Array,
  state: RmspropState,
  { learningRate, alpha = 0.99, epsilon = 1e-8, weightDecay = 0 }: RmspropOptions,
): void {
  checkShape("gradient", gradient, [parameter.length]);
  checkShape("square", state.square, [parameter.length]);
  for (let i = 0; i < parameter.length; i++) {
    const g = gradient[i] + weightDecay * parameter[i];
    state.square[i] = alpha * state.square[i] + (1 - alpha) * g * g;
    parameter[i] -= learningRate * g / (Math.sqrt(state.square[i]) + epsilon);
  }
}

/**
 * Scale all gradients in place so that their common norm is at most `maxNorm`; gives the norm before.
 * The factor is maxNorm / (norm + 1e-6), at most 1, as in PyTorch's `clip_grad_norm_`.
 */
export function clipGradientNorm(gradients: readonly Float64Array[], maxNorm: number): number {
  if (!(maxNorm > 0)) throw new RangeError(`maxNorm must be greater than 0: it is ${maxNorm}`);
  let squares = 0;
  for (const gradient of gradients) {
    for (const value of gradient) squares += value * value;
  }
  const norm = Math.sqrt(squares);
  const factor = Math.min(1, maxNorm / (norm + 1e-6));
  for (const gradient of gradients) {
    for (let i = 0; i < gradient.length; i++) gradient[i] *= factor;
  }
  return norm;
}

/**
 * A step of Adam for the given rows of `table` `[V, D]`; their moments move, those of the others rest.
 * PyTorch adds its ε to √v before the bias correction, and we after it, as Adam does for all parameters.
 */
export function adamRowsStep(
  table: Float64Array,
  gradient: Float64Array,
  rows: Iterable<number>,
  width: number,
  state: AdamState,
  options: AdamOptions,
): void {
  const { step, mean, square } = state;
  for (const row of rows) {
    const part = (values: Float64Array) => values.subarray(row * width, (row + 1) * width);
    const own = { step, mean: part(mean), square: part(square) };
    adamStep(part(table), part(gradient), own, options);
  }
  state.step++;
}
