/**
 * Two-dimensional convolution, channels last, with all its gradients.
 *
 * Everything is a product without an im2col matrix: conv2d_gather.ts for the result and the gradient on
 * the input, conv2d_weight.ts for that on the weights. These read quads along the channels. Channels that
 * are no multiple of four are padded to one. Pictures of up to four channels are padded all around too:
 * then the numbers under a row of the window lie side by side, and the row is one tap. The tags (P1) … are
 * those of docs/pictures.md.
 */
import { joinColumns, takeColumns } from "../concat.ts";
import { gatherKernel } from "./conv2d_gather.ts";
import { inputGradient } from "./conv2d_input.ts";
import {
  checkSlice,
  expectWindow,
  prepare,
  prepareWeights,
  sizesOf,
  whole,
  type WindowOptions,
} from "./conv2d_sizes.ts";
import { weightGradient } from "./conv2d_weight.ts";
import { fit } from "../fit.ts";
import { gemmGroups, tileOf } from "../gemm/engine.ts";
import { checkTargets, collectGradients, type GradientTargets } from "../gradients.ts";
import { worthMirror } from "../runtime/memory/mirror.ts";
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
  at?: number;
}

/**
 * Convolution (cross-correlation, as PyTorch's `conv2d`):
 * `y[n, i, j, k] = b[k] + Σ x[n, i·stride + u - padding, j·stride + v - padding, c] · w[u, v, c, k]`.
 * `x [N, H, W, C]`, `w [kh, kw, C, K]`, result `[N, OH, OW, K]`. One dispatch where C and K are multiples
 * of 4.
 *
 * Errors: TypeError when the shapes do not fit; RangeError for a stride or padding that cannot be, and for
 * more channels and taps than a kernel can add up over (kernels/runtime/turns.ts).
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
  const prepared = prepare(x, sizes);
  using source = prepared.source;
  using weights = prepareWeights(w, sizes);
  const m = prepared.batch * prepared.outHeight * prepared.outWidth;
  const tile = tileOf(gpu, {
    ...{ m, n: prepared.columns, narrow: true },
    k: prepared.kernelHeight * prepared.kernelWidth * prepared.depth,
  });
  expectWindow(gpu, tile, [prepared.kernelHeight, prepared.kernelWidth], prepared.depth, w);
  const result = options.out ?? Tensor.empty(gpu, shape, { name: "conv2d" });
  const total = result.shape[3];
  const direct = [outChannels, at, total].every((n) => n % 4 === 0);
  const target = direct
    ? result.view(result.shape)
    : Tensor.empty(gpu, [...places, prepared.columns], { name: "conv2d" });
  using padded = bias === undefined || direct
    ? bias?.view(bias.shape)
    : fitBias(bias, prepared.columns);
  const mirror = worthMirror(source) && worthMirror(weights);
  const kernel = { transB: false, mirror, tile, bias: bias !== undefined, relu };
  // (P1)
  gatherKernel(gpu, kernel).run(
    gpu,
    { a: source, b: weights, bias: padded ?? weights, out: target },
    {
      m,
      n: prepared.columns,
      k: prepared.depth,
      grid_h: prepared.outHeight,
      grid_w: prepared.outWidth,
      source_h: prepared.shape[0],
      source_w: prepared.shape[1],
      pitch: prepared.shape[2],
      source_at: 0,
      mul: stride,
      off_y: -prepared.padding,
      off_x: -prepared.padding,
      dir: 1,
      taps_y: prepared.kernelHeight,
      taps_x: prepared.kernelWidth,
      tap_y: 0,
      tap_x: 0,
      step: 1,
      kernel_w: prepared.kernelWidth,
      out_h: prepared.outHeight,
      out_w: prepared.outWidth,
      out_pitch: direct ? total : prepared.columns,
      out_at: direct ? at : 0,
      spread: 1,
      at_y: 0,
      at_x: 0,
    },
    gemmGroups(gpu, { tile, rowsFirst: true }, m, prepared.columns),
  );
  if (!direct) {
    using rowsOf = target.view([m, prepared.columns]);
    using part = Tensor.empty(gpu, [m, outChannels], { name: "conv2d" });
    takeColumns(rowsOf, 0, part);
    using flat = result.view([m, total]);
    joinColumns(part, flat, at);
  }
  target.dispose();
  return result;
}

function fitBias(bias: Tensor, columns: number): Tensor {
  using flat = bias.view([1, 1, 1, bias.size]);
  using padded = fit(flat, [1, 1, 1, columns]);
  return padded.view([columns]);
}

/** The gradients of a convolution. */
export interface Conv2dGradients {
  /** `[N, H, W, C]` */
  dx: Tensor;
  /** `[kh, kw, C, K]` */
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
  // Channels that the kernels can read in place, else a padded copy of them.
  const direct = [outChannels, at, dy.shape[3]].every((n) => n % 4 === 0);
  using slice = direct ? dy.view(dy.shape) : copySlice(dy, at, outChannels);
  const from = { dy: slice, at: direct ? at : 0 };
  return collectGradients(targets, {
    dx: (out) => inputGradient(from, w, sizes, out), // (P2)
    dw: (out) => weightGradient(from, x, sizes, out), // (P3)
    db: (out) => { // (P4)
      using flat = dy.view([batch * outHeight * outWidth, dy.shape[3]]);
      return columnSum(flat, out, { at, columns: outChannels });
    },
  });
}

function copySlice(dy: Tensor, at: number, count: number): Tensor {
  const [n, h, w, total] = dy.shape;
  using flat = dy.view([n * h * w, total]);
  using part = Tensor.empty(dy.gpu, [n * h * w, count], { name: dy.name });
  takeColumns(flat, at, part);
  using shaped = part.view([n, h, w, count]);
  return fit(shaped, [n, h, w, whole(count)]);
}
