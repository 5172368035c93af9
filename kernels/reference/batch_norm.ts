/** Batch normalisation with a residual and a ReLU in float64: the twin of `kernels/batch_norm/batch_norm.ts`. Tags are those of `docs/pictures.md`. */
import { checkShape } from "./linear_algebra.ts";

/** The sizes of a batch norm over `x` `[M, C]`, and its options. */
export interface BatchNormShape {
  rows: number;
  channels: number;
  /** Normalise with the batch's statistics; else with the running ones. */
  training: boolean;
  momentum: number;
  eps: number;
  relu: boolean;
}

/** The inputs of a batch norm: `x` and `residual` `[M, C]`, the others `[C]`. */
export interface BatchNormInputs {
  x: Float64Array;
  weight: Float64Array;
  bias: Float64Array;
  runningMean: Float64Array;
  runningVar: Float64Array;
  residual?: Float64Array | undefined;
}

function checkInputs(inputs: BatchNormInputs, { rows, channels }: BatchNormShape): void {
  const { x, residual, ...vectors } = inputs;
  checkShape("x", x, [rows, channels]);
  if (residual !== undefined) checkShape("residual", residual, [rows, channels]);
  for (const [name, vector] of Object.entries(vectors)) checkShape(name, vector, [channels]);
}

/** The mean of `f` over the rows, for each channel. */
function channelMeans(
  { rows, channels }: BatchNormShape,
  f: (at: number, channel: number) => number,
): Float64Array {
  const means = new Float64Array(channels);
  for (let at = 0; at < rows * channels; at++) means[at % channels] += f(at, at % channels) / rows;
  return means;
}

/** The mean and the biased variance that x is normalized with. */
function statistics(inputs: BatchNormInputs, shape: BatchNormShape) {
  if (!shape.training) return { mean: inputs.runningMean, variance: inputs.runningVar };
  const mean = channelMeans(shape, (at) => inputs.x[at]);
  // (P6)
  return { mean, variance: channelMeans(shape, (at, c) => (inputs.x[at] - mean[c]) ** 2) };
}

/** The result of {@linkcode batchNormForward}. */
export interface BatchNormForward {
  /** `[M, C]` */
  y: Float64Array;
  /** `[C]`, after this pass; so is the other. */
  runningMean: Float64Array;
  runningVar: Float64Array;
}

/** `y = relu((x - mean) / √(variance + eps) · weight + bias + residual)`, and the running statistics afterwards. */
export function batchNormForward(inputs: BatchNormInputs, shape: BatchNormShape): BatchNormForward {
  checkInputs(inputs, shape);
  const { x, weight, bias, residual } = inputs;
  const { rows, channels, training, momentum, eps, relu } = shape;
  const { mean, variance } = statistics(inputs, shape);
  const y = x.map((value, at) => {
    const c = at % channels;
    const normalized = (value - mean[c]) / Math.sqrt(variance[c] + eps);
    // (P7)
    const sum = normalized * weight[c] + bias[c] + (residual?.[at] ?? 0);
    return relu ? Math.max(0, sum) : sum;
  });
  const share = training ? momentum : 0; // (P8)
  return {
    y,
    runningMean: inputs.runningMean.map((old, c) => (1 - share) * old + share * mean[c]),
    runningVar: inputs.runningVar.map((old, c) =>
      training ? (1 - share) * old + share * variance[c] * rows / (rows - 1) : old
    ),
  };
}

/** The gradients of {@linkcode batchNormForward} on its inputs. */
export interface BatchNormGradients {
  dx: Float64Array;
  dweight: Float64Array;
  dbias: Float64Array;
  dresidual: Float64Array;
}

/** Backward of {@linkcode batchNormForward}, from `dy` `[M, C]`, step by step as in Ioffe and Szegedy (2015). */
export function batchNormBackward(
  dy: Float64Array,
  inputs: BatchNormInputs,
  shape: BatchNormShape,
): BatchNormGradients {
  const { x, weight } = inputs;
  const { rows, channels, training, eps, relu } = shape;
  checkShape("dy", dy, [rows, channels]);
  const { y } = batchNormForward(inputs, shape);
  const g = dy.map((value, at) => relu && y[at] <= 0 ? 0 : value); // (P5)
  const { mean, variance } = statistics(inputs, shape);
  const std = variance.map((v) => Math.sqrt(v + eps));
  const normalized = x.map((v, at) => (v - mean[at % channels]) / std[at % channels]);
  const dNormalised = g.map((value, at) => value * weight[at % channels]);
  const dx = dNormalised.map((value, at) => value / std[at % channels]); // (P10)
  if (training) {
    const total = (f: (at: number, c: number) => number) =>
      channelMeans(shape, f).map((m) => m * rows);
    // (P11), by way of the variance and the mean.
    const dVariance = total((at, c) => dNormalised[at] * (x[at] - mean[c]) * -0.5 / std[c] ** 3);
    const dMean = total((at, c) => -dNormalised[at] / std[c]);
    dx.forEach((_, at) => {
      const c = at % channels;
      dx[at] += (dVariance[c] * 2 * (x[at] - mean[c]) + dMean[c]) / rows;
    });
  }
  return {
    dx,
    dweight: channelMeans(shape, (at) => g[at] * normalized[at]).map((m) => m * rows), // (P9)
    dbias: channelMeans(shape, (at) => g[at]).map((m) => m * rows),
    dresidual: g,
  };
}
