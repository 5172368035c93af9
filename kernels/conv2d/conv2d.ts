/**
 * Two-dimensional convolution, channels last, with all its gradients.
 *
 * Everything is a product without an im2col matrix: conv2d_gather.ts for the result and the gradient on
 * the input, conv2d_weight.ts for that on the weights. Pictures of up to four channels are padded to four, and all
 * around: then the numbers under a row of the window lie side by side, and the row is one tap. Several groups of
 * channels have kernels of their own, see conv2d_grouped.ts. The tags (P1) … are those of docs/pictures.md.
 */
import { gatherKernel } from "./conv2d_gather.ts";
import { groupedForward, groupedInputGradient, groupedWeightGradient } from "./conv2d_grouped.ts";
import { inputGradient } from "./conv2d_input.ts";
import {
  checkSlice,
  expectWindow,
  prepare,
  prepareWeights,
  sizesOf,
  type WindowOptions,
} from "./conv2d_sizes.ts";
import { weightGradient } from "./conv2d_weight.ts";
import { gemmGroups, tileOf } from "../gemm/engine.ts";
import { factorOf } from "../gemm/product.ts";
import { checkTargets, collectGradients, type GradientTargets } from "../gradients.ts";
import { columnSum } from "../reduce/reduce.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";

export { windowCount, type WindowOptions } from "./conv2d_sizes.ts";

/** Options of {@linkcode conv2d}. */
export interface Conv2dOptions extends WindowOptions {
  /** `[K]`, added to each place. */
  bias?: Tensor | undefined;
  /** Set what is below zero to zero. */
  relu?: boolean;
  /** `[N, OH, OW, at + K or more]`, whose channels from `at` receive the result; a new tensor by default. */
  out?: Tensor | undefined;
  /** The first channel of `out` that is written; 0 by default. */
  at?: number;
}

/**
 * Convolution (cross-correlation, as PyTorch's `conv2d`):
 * `y[n, i, j, k] = b[k] + Σ x[n, i·stride + u - padding, j·stride + v - padding, c] · w[u, v, c, k]`.
 * `x [N, H, W, C]`, `w [kh, kw, C, K]`, result `[N, OH, OW, K]`. One dispatch, and one more for pictures. With a
 * dilation, u and v are multiplied by it. With `groups`, `w [kh, kw, C / groups, K]`: a group of K / groups
 * results sees its own C / groups channels.
 *
 * Errors: TypeError when the shapes do not fit; RangeError for a stride, padding, dilation or number of groups that
 * cannot be; GpuError for more channels and taps than a kernel can add up over (kernels/runtime/turns.ts).
 */
export function conv2d(x: Tensor, w: Tensor, options: Conv2dOptions = {}): Tensor {
  const { gpu } = x;
  const { bias, relu = false, at = 0 } = options;
  const sizes = sizesOf(x, w, options);
  const { batch, outHeight, outWidth, outChannels, stride } = sizes;
  if (bias !== undefined) expectShape(bias, [outChannels], "A convolution's bias [K]");
  const places = [batch, outHeight, outWidth];
  const shape = [...places, outChannels];
  const wanted = options.out ?? { name: "conv2d", shape };
  checkSlice(wanted, places, at, outChannels, "A convolution's result");
  if (sizes.groups > 1) return groupedForward(x, w, sizes, { ...options, at });
  const prepared = prepare(x, sizes);
  using source = prepared.source;
  using weights = prepareWeights(w, sizes);
  const { depth, kernelHeight, kernelWidth } = prepared;
  const m = batch * outHeight * outWidth;
  const k = kernelHeight * kernelWidth * depth;
  const tile = tileOf(gpu, { m, n: outChannels, k, narrow: true });
  expectWindow(gpu, tile, [kernelHeight, kernelWidth], depth, w);
  const result = options.out ?? Tensor.empty(gpu, shape, { name: "conv2d" });
  const total = result.shape[3];
  const kernel = {
    a: factorOf(source, false, [depth, prepared.shape[2]]),
    b: factorOf(weights, false, [outChannels]),
    ...{ tile, vec4: [outChannels, at, total].every((n) => n % 4 === 0) },
    ...{ bias: bias !== undefined, relu },
  };
  // (P1)
  gatherKernel(gpu, kernel).run(
    gpu,
    { a: source, b: weights, bias: bias ?? weights, out: result },
    {
      ...{ m, n: outChannels, k: depth },
      ...{ grid_h: outHeight, grid_w: outWidth },
      ...{ source_h: prepared.shape[0], source_w: prepared.shape[1] },
      ...{ pitch: prepared.shape[2], source_at: 0 },
      ...{ mul: stride, off_y: -prepared.padding, off_x: -prepared.padding, dir: sizes.dilation },
      ...{ taps_y: kernelHeight, taps_x: kernelWidth, tap_y: 0, tap_x: 0 },
      ...{ step: 1, kernel_w: kernelWidth },
      ...{ out_h: outHeight, out_w: outWidth, out_pitch: total, out_at: at },
      ...{ spread: 1, at_y: 0, at_x: 0 },
    },
    gemmGroups(gpu, { tile, rowsFirst: true }, m, outChannels),
  );
  return result;
}

/** The gradients of a convolution. */
export interface Conv2dGradients {
  /** `[N, H, W, C]` */
  dx: Tensor;
  /** Of the shape of w. */
  dw: Tensor;
  /** `[K]` */
  db: Tensor;
}

/**
 * The gradients of {@linkcode conv2d} (without `relu`) from that on its result, which lies in the channels
 * of `dy [N, OH, OW, …]` from `at` on. A target of `false` costs nothing.
 */
export function conv2dBackward(
  dy: Tensor,
  x: Tensor,
  w: Tensor,
  options: WindowOptions & { at?: number },
  targets: GradientTargets<Conv2dGradients> = {},
): Conv2dGradients {
  const { at = 0 } = options;
  const sizes = sizesOf(x, w, options);
  const { batch, outHeight, outWidth, outChannels } = sizes;
  const places = [batch, outHeight, outWidth];
  checkSlice(dy, places, at, outChannels, "The gradient of a convolution's result");
  checkTargets(targets, { dx: x.shape, dw: w.shape, db: [outChannels] }, "A convolution's");
  const from = { dy, at };
  return collectGradients(targets, {
    dx: (out) => (sizes.groups > 1 ? groupedInputGradient : inputGradient)(from, w, sizes, out), // (P2)
    dw: (out) => (sizes.groups > 1 ? groupedWeightGradient : weightGradient)(from, x, sizes, out), // (P3)
    db: (out) => { // (P4)
      using flat = dy.view([batch * outHeight * outWidth, dy.shape[3]]);
      return columnSum(flat, out, { at, columns: outChannels });
    },
  });
}
