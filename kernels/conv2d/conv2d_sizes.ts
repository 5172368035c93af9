/** The sizes of a convolution, and its tensors padded to what the kernels can read. */
import { fit } from "../fit.ts";
import type { Tile } from "../gemm/contract.ts";
import { expectDepth } from "../gemm/engine.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { expectShape, type Tensor } from "../runtime/tensor.ts";

/** How a window moves, and what it sees. */
export interface WindowOptions {
  /** Places from one window to the next, down and across: 1 by default. */
  stride?: number;
  /** Zeros on each of the four sides: 0 by default. */
  padding?: number;
  /** Places from one tap of the window to the next, down and across: 1 by default. */
  dilation?: number;
  /** Parts that the channels are cut into, each with results of its own; C of them for a depthwise one. 1 by default. */
  groups?: number;
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
  dilation: number;
  groups: number;
  outHeight: number;
  outWidth: number;
}

function expectWhole(name: string, value: number, least: number): void {
  if (Number.isInteger(value) && value >= least) return;
  throw new RangeError(`A ${name} is a whole number from ${least}, and ${value} was given`);
}

/**
 * The height or width of a convolution's result: `floor((size + 2 padding - reach) / stride) + 1`, where a window
 * reaches over `dilation (kernel - 1) + 1` places.
 *
 * Errors: RangeError for a stride, padding or dilation that cannot be; TypeError where no window fits.
 */
export function windowCount(size: number, kernel: number, options: WindowOptions): number {
  const { stride = 1, padding = 0, dilation = 1 } = options;
  expectWhole("stride", stride, 1);
  expectWhole("padding", padding, 0);
  expectWhole("dilation", dilation, 1);
  const spread = dilation === 1 ? "" : ` and a dilation of ${dilation}`;
  if (Math.max(stride, size + 2 * padding, dilation) >= 2 ** 31) {
    throw new RangeError(
      `A stride of ${stride} with a padding of ${padding}${spread} is beyond what 32 bits count: take less than 2^30`,
    );
  }
  const count = Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  if (count < 1) {
    throw new TypeError(
      `A window of ${kernel} does not fit into ${size} places with a padding of ${padding}${spread}`,
    );
  }
  return count;
}

export function sizesOf(x: Tensor, w: Tensor, options: WindowOptions): Sizes {
  expectShape(x, [null, null, null, null], "A convolution's x [N, H, W, C]");
  const [batch, height, width, channels] = x.shape;
  const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
  expectWhole("number of groups", groups, 1);
  if (channels % groups !== 0) {
    throw new TypeError(`${groups} groups do not divide the ${channels} channels of "${x.name}"`);
  }
  const what = groups === 1 ? "[kh, kw, C, K]" : `[kh, kw, C / ${groups}, K]`;
  expectShape(w, [null, null, channels / groups, null], `A convolution's w ${what}`);
  const [kernelHeight, kernelWidth, , outChannels] = w.shape;
  if (outChannels % groups !== 0) {
    throw new TypeError(`${groups} groups do not divide the ${outChannels} results of "${w.name}"`);
  }
  const outHeight = windowCount(height, kernelHeight, options);
  const outWidth = windowCount(width, kernelWidth, options);
  const sizes = { batch, height, width, channels, kernelHeight, kernelWidth, outChannels };
  return { ...sizes, stride, padding, dilation, groups, outHeight, outWidth };
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

/** The numbers under a row of the window lie side by side only where its taps do. */
export const isPicture = ({ channels, dilation }: Sizes) => channels <= 4 && dilation === 1;

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

/** GpuError where the sums over `taps` of `depth` numbers each take too many turns; the weights are named. */
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
