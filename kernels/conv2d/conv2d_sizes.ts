/** The sizes of a convolution, and its tensors padded to what the kernels can read. */
import { fit } from "../fit.ts";
import type { Tile } from "../gemm/contract.ts";
import { expectDepth } from "../gemm/engine.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { expectShape, type Tensor } from "../runtime/tensor.ts";

/** How a window moves. */
export interface WindowOptions {
  /** Places from one window to the next, down and across: 1 by default. */
  stride?: number;
  /** Zeros on each of the four sides: 0 by default. */
  padding?: number;
}

/** The sizes of a convolution. */
export interface Sizes {
  batch: number;
  height: number;
  width: number;
  channels: number;
  kernelHeight: number;
  kernelWidth: number;
  outChannels: number;
  stride: number;
  padding: number;
  outHeight: number;
  outWidth: number;
}

/**
 * The height or width of a convolution's result: `floor((size + 2 padding - kernel) / stride) + 1`.
 *
 * Errors: RangeError for a stride or padding that cannot be; TypeError where no window fits.
 */
export function windowCount(size: number, kernel: number, options: WindowOptions): number {
  const { stride = 1, padding = 0 } = options;
  if (!Number.isInteger(stride) || stride < 1) {
    throw new RangeError(`A stride is a whole number from 1, and ${stride} was given`);
  }
  if (!Number.isInteger(padding) || padding < 0) {
    throw new RangeError(`A padding is a whole number from 0, and ${padding} was given`);
  }
  if (Math.max(stride, size + 2 * padding) >= 2 ** 31) {
    throw new RangeError(
      `A stride of ${stride} with a padding of ${padding} is beyond what 32 bits count: take less than 2^30`,
    );
  }
  const count = Math.floor((size + 2 * padding - kernel) / stride) + 1;
  if (count < 1) {
    throw new TypeError(
      `A window of ${kernel} does not fit into ${size} places with a padding of ${padding}`,
    );
  }
  return count;
}

export function sizesOf(x: Tensor, w: Tensor, options: WindowOptions): Sizes {
  expectShape(x, [null, null, null, null], "A convolution's x [N, H, W, C]");
  const [batch, height, width, channels] = x.shape;
  expectShape(w, [null, null, channels, null], "A convolution's w [kh, kw, C, K]");
  const [kernelHeight, kernelWidth, , outChannels] = w.shape;
  const { stride = 1, padding = 0 } = options;
  const outHeight = windowCount(height, kernelHeight, options);
  const outWidth = windowCount(width, kernelWidth, options);
  const sizes = { batch, height, width, channels, kernelHeight, kernelWidth, outChannels };
  return { ...sizes, stride, padding, outHeight, outWidth };
}

/** The next multiple of four. */
export const whole = (n: number) => Math.ceil(n / 4) * 4;

/** A convolution as the kernels see it. */
export interface Prepared {
  source: Tensor;
  /** Height, width and numbers of a place of the source. */
  shape: readonly [number, number, number];
  /** Numbers that a tap sees. */
  depth: number;
  kernelHeight: number;
  kernelWidth: number;
  padding: number;
}

export const isPicture = ({ channels }: Sizes) => channels <= 4;

/** Pad a picture; all else is read as it is. The source is the caller's to dispose of. */
export function prepare(x: Tensor, sizes: Sizes): Prepared {
  const { batch, height, width, channels, kernelHeight, kernelWidth, padding } = sizes;
  if (!isPicture(sizes)) {
    const shape = [height, width, channels] as const;
    return { source: x.view(x.shape), shape, depth: channels, kernelHeight, kernelWidth, padding };
  }
  const [h, w] = [height + 2 * padding, width + 2 * padding];
  const source = padding === 0 && channels === 4
    ? x.view(x.shape)
    : fit(x, [batch, h, w, 4], [padding, padding]);
  const depth = 4 * kernelWidth;
  return { source, shape: [h, w, 4], depth, kernelHeight, kernelWidth: 1, padding: 0 };
}

/** The weights as the kernels read them, of four channels for pictures; the caller's to dispose of. */
export function prepareWeights(w: Tensor, sizes: Sizes): Tensor {
  const [kh, kw, c, k] = w.shape;
  if (!isPicture(sizes) || c === 4) return w.view(w.shape);
  using flat = w.view([kh * kw, c, 1, k]);
  using padded = fit(flat, [kh * kw, 4, 1, k]);
  return padded.view([kh, kw, 4, k]);
}

/** Check a tensor `[N, OH, OW, at + count or more]`. */
export function checkSlice(
  tensor: { name: string; shape: readonly number[] },
  places: number[],
  at: number,
  count: number,
  what: string,
): void {
  expectShape(tensor, [...places, null], `${what} [N, OH, OW, K]`);
  if (!Number.isInteger(at) || at < 0 || at + count > tensor.shape[3]) {
    throw new RangeError(
      `${what} takes ${count} channels from channel ${at} on, and "${tensor.name}" has ${
        tensor.shape[3]
      }`,
    );
  }
}

/** RangeError where the sums over `taps` of `depth` numbers each take too many turns; the weights are named. */
export function expectWindow(
  gpu: Gpu,
  tile: Tile,
  taps: readonly [number, number],
  depth: number,
  weights: { name: string; shape: readonly number[] },
): void {
  const remedy = "take fewer channels or a smaller window";
  expectDepth(gpu, tile, depth, weights, "A convolution with the weights", remedy, taps);
}
