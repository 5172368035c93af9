/** Differentiable operations on pictures and feature maps, `[N, H, W, C]`, and the losses of style transfer. */
import {
  adaptiveAveragePool2d as averageWindows,
  adaptiveAveragePool2dGradient,
  averagePool2d as averageFixed,
  averagePool2dGradient,
  type AveragePool2dOptions,
} from "../../kernels/pool/average_pool2d.ts";
import {
  batchNormBackward,
  batchNormForward,
  type BatchNormOptions,
} from "../../kernels/batch_norm/batch_norm.ts";
import { gramMatrix, gramMatrixGradient } from "../../kernels/conv2d/gram.ts";
import * as losses from "../../kernels/image_losses.ts";
import { maxPool2dBackward, maxPool2dForward } from "../../kernels/pool/pool2d.ts";
import type { PoolOptions } from "../../kernels/pool/windows.ts";
import { expectShape, type Tensor } from "../../kernels/runtime/tensor.ts";
import { tapeOf, type Variable } from "./autograd.ts";
import { recordLoss } from "./fused_losses.ts";

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
