/**
 * Batch normalization over the rows of `x [M, C]`, with what often follows it in the same pass over memory:
 * `y = relu((x - mean) / √(variance + eps) · weight + bias + residual)`.
 *
 * While training, mean and variance are those of the batch; else the running ones. Sums over a batch are
 * made in two stages, chunks of rows and then the chunks, always in the same order. Backward needs x, and
 * with a residual also y, to know what the ReLU let through; without one it computes that from x, which
 * is cheaper than to read y.
 */
import {
  backwardKernel,
  type BackwardShape,
  forwardKernel,
  rowShape,
  rowsToMap,
  rowsToSum,
  sumsKernel,
} from "./batch_norm_kernels.ts";
import { combineKernel, statisticsKernel } from "./batch_norm_statistics.ts";
import { pointwiseGradient } from "../pointwise/pointwise.ts";
import { checkTargets, type GradientTargets } from "../gradients.ts";
import { flatGroups } from "../runtime/kernel.ts";
import { columnSum } from "../reduce/reduce.ts";
import { worthMirror } from "../runtime/memory/mirror.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";

/** Inputs of {@linkcode batchNormForward}. */
export interface BatchNormInputs {
  /** `[..., C]` */
  x: Tensor;
  /** `[C]` */
  weight: Tensor;
  /** `[C]` */
  bias: Tensor;
  /** `[C]`, moved towards the batch's mean while training. */
  runningMean: Tensor;
  /** `[C]`, the same for the unbiased variance. Not in one buffer with the mean. */
  runningVar: Tensor;
  /** `[..., C]`, added to the normalized x; none by default. */
  residual?: Tensor | undefined;
}

/** Options of {@linkcode batchNormForward}. */
export interface BatchNormOptions {
  /** Take the batch's own mean and variance, and move the running ones; else take the running ones. */
  training: boolean;
  /** How far the running statistics move, from 0 to 1: 0.1 by default. */
  momentum?: number | undefined;
  /** Added to the variance: 1e-5 by default. */
  eps?: number | undefined;
  /** End with `max(·, 0)`; off by default. */
  relu?: boolean | undefined;
}

/** The result of {@linkcode batchNormForward}, and what {@linkcode batchNormBackward} needs of it. */
export interface BatchNormForward {
  /** What it was computed from. */
  inputs: BatchNormInputs;
  /** Whether the batch's own statistics were taken. */
  training: boolean;
  /** What was added to the variance. */
  eps: number;
  /** Whether what was below zero was set to zero. */
  relu: boolean;
  /** `[..., C]` */
  y: Tensor;
  /** `[2, C]`, only while training: the mean and the (biased) variance of the batch. */
  statistics: Tensor | undefined;
  /** Let go of the tensors above (not of the inputs). */
  [Symbol.dispose](): void;
}

/** Gradients of the inputs of {@linkcode batchNormForward}. */
export interface BatchNormGradients {
  /** `[..., C]` */
  dx: Tensor;
  /** `[C]` */
  dweight: Tensor;
  /** `[C]` */
  dbias: Tensor;
  /** `[..., C]`, where there is a residual. */
  dresidual?: Tensor;
}

function checkInputs({ x, residual, ...vectors }: BatchNormInputs): [rows: number, C: number] {
  if (x.shape.length < 2 || x.size === 0) {
    throw new TypeError(
      `A batch norm needs x [..., C] of two axes or more, none of them empty, and the tensor ` +
        `"${x.name}" has [${x.shape.join(", ")}]`,
    );
  }
  const channels = x.shape.at(-1)!;
  for (const [name, tensor] of Object.entries(vectors)) {
    expectShape(tensor, [channels], `A batch norm's ${name} [C]`);
  }
  if (residual !== undefined) expectShape(residual, x.shape, "A batch norm's residual");
  return [x.size / channels, channels];
}

/** The mean and variance of each channel, under the kernels' names. */
function channelStatistics(inputs: BatchNormInputs, statistics: Tensor | undefined) {
  if (statistics !== undefined) return { statistics };
  return { running_mean: inputs.runningMean, running_var: inputs.runningVar };
}

/**
 * `y = (x - mean) / √(variance + eps) · weight + bias`, with a residual added and a ReLU at the end where
 * wanted. While training (three dispatches) mean and variance are those of the batch, and as in PyTorch
 * `running += momentum · (batch - running)`, with the unbiased variance; else (one dispatch) they are
 * the running ones, which must then stay as they are until the backward pass.
 *
 * Errors: TypeError when the shapes do not fit; RangeError for eps or momentum out of range, and for a
 * single row while training.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [1, 10, 3, 30], [2, 2]);
 * using weight = Tensor.from(gpu, [1, 1]);
 * using bias = Tensor.zeros(gpu, [2]);
 * using runningMean = Tensor.zeros(gpu, [2]);
 * using runningVar = Tensor.from(gpu, [1, 1]);
 * const inputs = { x, weight, bias, runningMean, runningVar };
 * using forward = batchNormForward(inputs, { training: true });
 * console.log(await forward.y.read(), await runningMean.read()); // -1, -1, 1, 1 and 0.2, 2
 * ```
 */
export function batchNormForward(
  inputs: BatchNormInputs,
  { training, momentum = 0.1, eps = 1e-5, relu = false }: BatchNormOptions,
): BatchNormForward {
  const [rows, channels] = checkInputs(inputs);
  if (!(eps >= 0)) throw new RangeError(`A batch norm takes eps from 0, and ${eps} was given`);
  if (!(momentum >= 0 && momentum <= 1)) {
    throw new RangeError(`A batch norm takes a momentum from 0 to 1, and ${momentum} was given`);
  }
  const { x, weight, bias, runningMean, runningVar, residual } = inputs;
  if (training && rows < 2) {
    throw new RangeError(
      `A batch norm learns from two values of each channel or more, and "${x.name}" of shape [${
        x.shape.join(", ")
      }] has one`,
    );
  }
  const { gpu } = x;
  const shape = rowShape(x, training);
  let statistics: Tensor | undefined;
  if (training) {
    statistics = Tensor.empty(gpu, [2, channels], { name: "batch statistics" });
    const { params, groups } = rowsToSum(gpu, rows, channels);
    using means = Tensor.empty(gpu, [params.chunks, channels], { name: "means of chunks" });
    using squares = Tensor.empty(gpu, [params.chunks, channels], { name: "squares of chunks" });
    statisticsKernel(gpu, shape).run(gpu, { x, means, squares }, params, groups);
    combineKernel(gpu, shape).run(
      gpu,
      { x, means, squares, statistics, running_mean: runningMean, running_var: runningVar },
      { ...params, momentum },
      flatGroups(params.columns),
    );
  }
  const y = Tensor.empty(gpu, x.shape, { name: "batch norm" });
  const { params, groups } = rowsToMap(gpu, rows, channels);
  forwardKernel(gpu, { ...shape, training, relu, residual: residual !== undefined }).run(
    gpu,
    // Without a residual the binding still wants a tensor, which is not read.
    { ...channelStatistics(inputs, statistics), x, weight, bias, residual: residual ?? x, y },
    { ...params, eps },
    groups,
  );
  return {
    ...{ inputs, training, eps, relu, y, statistics },
    [Symbol.dispose]() {
      y.dispose();
      statistics?.dispose();
    },
  };
}

/**
 * The gradients of {@linkcode batchNormForward}, from `dy [..., C]`. At most four dispatches, while training
 * or where dweight or dbias is wanted; else one. Without a ReLU, dresidual is a copy of `dy`.
 *
 * Errors: TypeError when the shapes do not fit, or a target is given for a residual that there is not.
 */
export function batchNormBackward(
  dy: Tensor,
  forward: BatchNormForward,
  targets: GradientTargets<BatchNormGradients> = {},
): Partial<BatchNormGradients> {
  const { inputs, training, eps, relu, y, statistics } = forward;
  const { x, weight, bias, residual } = inputs;
  const { gpu, shape: whole } = x;
  const [rows, channels] = checkInputs(inputs);
  expectShape(dy, whole, "A batch norm's gradient dy");
  if (residual === undefined && targets.dresidual) {
    throw new TypeError("A batch norm without a residual has no gradient dresidual");
  }
  const shapes = { dx: whole, dweight: weight.shape, dbias: bias.shape, dresidual: whole };
  checkTargets<Required<BatchNormGradients>>(targets, shapes, "A batch norm's gradient");
  const make = (name: keyof typeof shapes) =>
    Tensor.empty(gpu, shapes[name], { name: `batch norm ${name}` });
  const wanted = (name: keyof typeof shapes) =>
    targets[name] === false ? undefined : targets[name] ?? make(name);
  const [dx, dweight, dbias] = [wanted("dx"), wanted("dweight"), wanted("dbias")];
  const dresidual = residual === undefined ? undefined : wanted("dresidual");

  using scratch = new DisposableStack();
  const seen = rowShape(x, training);
  const shape: BackwardShape = {
    ...seen,
    ...{ training, mask: "none", keep: false, mirrorDy: false },
  };
  if (relu) shape.mask = residual === undefined ? "x" : "y";
  const tensors = { ...channelStatistics(inputs, statistics), x, weight, bias, y };
  let g = dy;
  // While training, dx needs both sums, wanted or not.
  const both = training && dx !== undefined;
  const along = dweight ?? (both ? scratch.use(make("dweight")) : undefined);
  const level = dbias ?? (both ? scratch.use(make("dbias")) : undefined);
  if (along !== undefined || level !== undefined) {
    const { params, groups } = rowsToSum(gpu, rows, channels);
    using sums = Tensor.empty(gpu, [params.chunks, channels], { name: "sums of chunks" });
    using alongs = Tensor.empty(gpu, [params.chunks, channels], { name: "sums of chunks" });
    // From y, what the ReLU let through is read once and written down.
    shape.keep = shape.mask === "y";
    shape.mirrorDy = seen.mirror && dx !== undefined && !shape.keep && worthMirror(dy, 2);
    if (shape.keep) g = dresidual ?? scratch.use(make("dresidual"));
    const all = { ...tensors, dy, ...shape.keep && { masked: g }, sums, alongs };
    sumsKernel(gpu, shape).run(gpu, all, { ...params, eps }, groups);
    if (level !== undefined) columnSum(sums, level);
    if (along !== undefined) columnSum(alongs, along);
    if (shape.keep) shape.mask = "none";
  }
  shape.keep = shape.mask === "y" && dresidual !== undefined;
  if (dx !== undefined) {
    const { params, groups } = rowsToMap(gpu, rows, channels);
    const sums = both ? { dweight: along!, dbias: level! } : {};
    const all = { ...tensors, dy: g, ...sums, ...shape.keep && { masked: dresidual! }, dx };
    backwardKernel(gpu, shape).run(gpu, all, { ...params, eps }, groups);
  } else if (shape.keep) {
    pointwiseGradient("relu", 0, dy, [y], y, dresidual);
  }
  if (!relu) dresidual?.copyFrom(dy);
  return {
    ...dx && { dx },
    ...dweight && { dweight },
    ...dbias && { dbias },
    ...dresidual && { dresidual },
  };
}
