/** Differentiable operations on pictures and feature maps, `[N, H, W, C]`, and the losses of problems 1 and 2. */
import {
  adaptiveAveragePool2d as averageWindows,
  adaptiveAveragePool2dGradient,
  averagePool2d as averageFixed,
  averagePool2dGradient,
  type AveragePool2dOptions,
} from "../kernels/pool/average_pool2d.ts";
import {
  batchNormBackward,
  batchNormForward,
  type BatchNormOptions,
} from "../kernels/batch_norm/batch_norm.ts";
import { scaleBy } from "../kernels/elementwise.ts";
import { gramMatrix, gramMatrixGradient } from "../kernels/conv2d/gram.ts";
import * as losses from "../kernels/image_losses.ts";
import { maxPool2dBackward, maxPool2dForward } from "../kernels/pool/pool2d.ts";
import type { PoolOptions } from "../kernels/pool/windows.ts";
import { sum } from "../kernels/reduce/reduce.ts";
import { softmaxCrossEntropy } from "../kernels/softmax/softmax.ts";
import { expectShape, Tensor } from "../kernels/runtime/tensor.ts";
import { tapeOf, type Variable } from "./autograd.ts";
import { meanShare } from "./operations.ts";

/** What a batch norm knows of its C channels: `[C]` each. */
export interface BatchNormChannels {
  /** Multiplies what is normalized. */
  weight: Variable;
  /** Is added to it. */
  bias: Variable;
  /** Moved towards the batch's statistics while training. Two buffers of their own. */
  runningMean: Tensor;
  /** The running variance, moved likewise. */
  runningVar: Tensor;
}

/**
 * Batch normalization of `x [..., C]`, with a residual added and a ReLU at the end where wanted, all in one
 * pass over memory. Its `training` says which statistics count, and has nothing to do with the tape's or
 * with frozen parameters. With the running statistics, they must stay as they are until `backward`.
 */
export function batchNorm(
  x: Variable,
  { weight, bias, ...running }: BatchNormChannels,
  { residual, ...options }: BatchNormOptions & { residual?: Variable | undefined },
): Variable {
  const tensors = { x: x.tensor, weight: weight.tensor, bias: bias.tensor, ...running };
  const all = { ...tensors, residual: residual?.tensor };
  const inputs = { dx: x, dweight: weight, dbias: bias };
  const parents = [x, weight, bias, ...residual === undefined ? [] : [residual]];
  const tape = tapeOf(...parents);
  const forward = tape.keep(batchNormForward(all, options));
  return tape.record(forward.y.view(forward.y.shape), parents, (dy) => {
    if (residual !== undefined && forward.relu) {
      tape.gradients({ ...inputs, dresidual: residual }, (targets) => {
        batchNormBackward(dy, forward, targets);
      });
      return;
    }
    tape.gradients(inputs, (targets) => {
      batchNormBackward(dy, forward, { ...targets, dresidual: false });
    });
    if (residual !== undefined) tape.pass(residual, dy);
  });
}

/** The largest value of each window: `x [N, H, W, C]` to `[N, OH, OW, C]`. */
export function maxPool2d(x: Variable, options: PoolOptions): Variable {
  const tape = tapeOf(x);
  const forward = tape.keep(maxPool2dForward(x.tensor, options));
  return tape.record(forward.y.view(forward.y.shape), [x], (dy) => {
    tape.gradient(x, (dx) => maxPool2dBackward(dy, forward, dx));
  });
}

/** The means of `size = [OH, OW]` windows over each map, one for the whole map by default. */
export function adaptiveAveragePool2d(
  x: Variable,
  size: readonly [number, number] = [1, 1],
): Variable {
  const tape = tapeOf(x);
  return tape.record(averageWindows(x.tensor, size), [x], (dy) => {
    tape.gradient(x, (dx) => adaptiveAveragePool2dGradient(dy, dx));
  });
}

/** The mean of each window: `x [N, H, W, C]` to `[N, OH, OW, C]`. */
export function averagePool2d(x: Variable, options: AveragePool2dOptions): Variable {
  const tape = tapeOf(x);
  return tape.record(averageFixed(x.tensor, options), [x], (dy) => {
    tape.gradient(x, (dx) => averagePool2dGradient(dy, dx, options));
  });
}

/**
 * Each pixel `scale` times, down and across: `x [N, H, W, C]` to `[N, scale H, scale W, C]`.
 *
 * Errors: TypeError when x has other axes; RangeError for a scale that is no whole number from 1.
 */
export function upsampleNearest(x: Variable, scale: number): Variable {
  expectShape(x.tensor, [null, null, null, null], "An upsampling's x [N, H, W, C]");
  if (!(Number.isInteger(scale) && scale >= 1)) {
    throw new RangeError(`An upsampling's scale is a whole number from 1, and ${scale} was given`);
  }
  const [batch, height, width, channels] = x.shape;
  return x.reshape([batch, height, 1, width, 1, channels])
    .expand([batch, height, scale, width, scale, channels])
    .reshape([batch, height * scale, width * scale, channels]);
}

/** The Gram matrix of the features of one map, `f [1, H, W, C]`, divided by C H W: `[C, C]`. */
export function gram(f: Variable): Variable {
  const tape = tapeOf(f);
  return tape.record(gramMatrix(f.tensor), [f], (dy) => {
    tape.gradient(f, (df) => gramMatrixGradient(dy, f.tensor, df));
  });
}

/** A loss whose gradient was computed with it. */
function recordLoss(
  x: Variable,
  compute: (options: { withGradient: boolean }) => losses.ImageLoss,
): Variable {
  const tape = tapeOf(x);
  const { loss, gradient } = compute({ withGradient: tape.training && x.requiresGrad });
  if (gradient !== undefined) tape.keep(gradient);
  return tape.record(loss, [x], (dy) => {
    if (tape.isSeed(dy)) tape.pass(x, gradient!);
    else tape.gradient(x, (out) => scaleBy(gradient!, dy, out));
  });
}

/** `weight Σ (x - target)²`: the content loss of feature maps, the style loss of Gram matrices. */
export function squaredDifference(
  x: Variable,
  target: Tensor,
  weight = 1,
): Variable {
  return recordLoss(
    x,
    (options) => losses.squaredDifference(x.tensor, target, { ...options, weight }),
  );
}

/** `weight` times the sum of the squared differences between pixels of `x [N, H, W, C]` side by side. */
export function totalVariation(x: Variable, weight = 1): Variable {
  return recordLoss(
    x,
    (options) => losses.totalVariation(x.tensor, { ...options, weight }),
  );
}

/** Options of {@linkcode crossEntropy}. */
export interface CrossEntropyOptions {
  /** How much each class counts, `[K]`; 1 by default. */
  weight?: ArrayLike<number>;
  /** This share of a target is spread over all classes; 0 by default. */
  labelSmoothing?: number;
  /** Targets of this number count nothing. */
  ignore?: number;
}

/** The share of each class in each row, `[M, K]`, and what all rows count together. */
function classShares(
  targets: ArrayLike<number>,
  classes: number,
  { weight, labelSmoothing = 0, ignore }: CrossEntropyOptions,
): { shares: Float32Array<ArrayBuffer>; total: number } {
  const weights = weight === undefined ? new Float64Array(classes).fill(1) : weight;
  if (weights.length !== classes) {
    throw new TypeError(`There are ${weights.length} weights for ${classes} classes`);
  }
  const shares = new Float32Array(targets.length * classes);
  let total = 0;
  for (let i = 0; i < targets.length; i++) {
    const target = targets[i];
    if (target === ignore) continue;
    for (let k = 0; k < classes; k++) {
      shares[i * classes + k] = labelSmoothing / classes * weights[k];
    }
    shares[i * classes + target] += (1 - labelSmoothing) * weights[target];
    total += weights[target];
  }
  return { shares, total };
}

/**
 * Softmax cross-entropy of `logits [..., K]` with a class from 0 to K - 1 for each row, averaged over the rows: one
 * number, as PyTorch's `cross_entropy`. With class weights it is the weighted mean.
 *
 * Errors: RangeError for a target that is no class (in a tensor on the GPU it makes the loss NaN), and for a label
 * smoothing that is no share; TypeError where targets do not fit the rows, for options that need the targets as
 * numbers while these are a tensor, and where no row counts.
 */
export function crossEntropy(
  logits: Variable,
  targets: Tensor<"u32"> | ArrayLike<number>,
  options: CrossEntropyOptions = {},
): Variable {
  const classes = logits.shape.at(-1)!;
  const rows = logits.tensor.size / classes;
  const { weight, labelSmoothing = 0, ignore } = options;
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw new RangeError(
      `A label smoothing is from 0 to less than 1, and ${labelSmoothing} was given`,
    );
  }
  const flat = logits.shape.length === 2 ? logits : logits.reshape([rows, classes]);
  if (targets instanceof Tensor) {
    if (weight !== undefined || labelSmoothing > 0 || ignore !== undefined) {
      throw new TypeError(
        "Options of a cross-entropy need the targets as numbers, not as a tensor",
      );
    }
    return fusedCrossEntropy(flat, targets, rows);
  }
  if (targets.length !== rows) {
    throw new TypeError(`There are ${targets.length} targets for ${rows} rows of scores`);
  }
  let count = 0;
  for (let i = 0; i < rows; i++) {
    if (targets[i] === ignore) continue;
    count++;
    if (Number.isInteger(targets[i]) && targets[i] >= 0 && targets[i] < classes) continue;
    throw new RangeError(
      `A target must be a class from 0 to ${classes - 1}: that of row ${i} is ${targets[i]}`,
    );
  }
  const tape = tapeOf(logits);
  if (weight === undefined && labelSmoothing === 0 && count === rows) {
    const uploaded = Tensor.from(tape.gpu, Uint32Array.from(targets), [rows], {
      name: "targets",
      dtype: "u32",
    });
    return fusedCrossEntropy(flat, tape.keep(uploaded), rows);
  }
  const { shares, total } = classShares(targets, classes, options);
  const scale = -meanShare(total, "A cross-entropy");
  const weights = tape.keep(Tensor.from(tape.gpu, shares, [rows, classes], { name: "shares" }));
  return flat.logSoftmax(-1).mul(weights).sum().mul(scale);
}

/** The mean over so many rows, by one kernel. */
function fusedCrossEntropy(logits: Variable, targets: Tensor<"u32">, count: number): Variable {
  return recordLoss(logits, (options) => {
    const scale = meanShare(count, "A cross-entropy");
    const { losses: rows, gradient } = softmaxCrossEntropy(logits.tensor, targets, {
      ...options,
      scale,
    });
    const loss = sum(rows, { name: "loss" });
    rows.dispose();
    return { loss, ...gradient && { gradient } };
  });
}
