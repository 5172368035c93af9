/** Pooling of feature maps in float64, channels last: the twins of `kernels/pool/pool2d.ts` and `average_pool2d.ts`. */
import { checkShape } from "./linear_algebra.ts";

/** The sizes of a map `[N, H, W, C]`. */
export interface MapShape {
  batch: number;
  height: number;
  width: number;
  channels: number;
}

/** The sizes of a map, and how windows of one size lie on it. */
export interface PoolShape extends MapShape {
  kernel: number;
  stride: number;
  padding: number;
  ceilMode: boolean;
}

/** For each window along a side of `size` pixels, its first pixel and the one behind its last. */
type Windows = (size: number) => [start: number, end: number][];

/**
 * Windows of one size: those that fit into the padded side, and in ceil mode one more that does not, if any
 * pixel is left for it and it starts before the padding behind.
 */
function fixedWindows({ kernel, stride, padding, ceilMode }: PoolShape): Windows {
  return (size) => {
    const windows: [number, number][] = [];
    const reach = size + padding + (ceilMode ? stride - 1 : 0);
    for (let start = -padding; start < size && start + kernel <= reach; start += stride) {
      windows.push([Math.max(0, start), Math.min(size, start + kernel)]);
    }
    return windows;
  };
}

/** Call `visit` with each window of one channel: where its pixels are in x, and its own place in y. */
function eachWindow(
  { batch, height, width, channels }: MapShape,
  down: [number, number][],
  across: [number, number][],
  visit: (pixels: number[], at: number) => void,
): void {
  let at = 0;
  for (let n = 0; n < batch; n++) {
    for (const [top, bottom] of down) {
      for (const [left, right] of across) {
        for (let c = 0; c < channels; c++) {
          const pixels: number[] = [];
          for (let y = top; y < bottom; y++) {
            for (let x = left; x < right; x++) {
              pixels.push(((n * height + y) * width + x) * channels + c);
            }
          }
          visit(pixels, at++);
        }
      }
    }
  }
}

/** The result of {@linkcode maxPoolForward}. */
export interface MaxPoolForward {
  /** `[N, OH, OW, C]` */
  y: Float64Array;
  /** For each number of y, where in x it comes from. */
  sources: number[];
  /** [OH, OW] */
  size: [number, number];
}

/** The largest value of each window of `x` `[N, H, W, C]`; of equal ones the first. */
export function maxPoolForward(x: Float64Array, shape: PoolShape): MaxPoolForward {
  const { batch, height, width, channels } = shape;
  checkShape("x", x, [batch, height, width, channels]);
  const [down, across] = [height, width].map(fixedWindows(shape));
  const sources: number[] = [];
  eachWindow(shape, down, across, (pixels) => {
    // (P12)
    sources.push(pixels.reduce((best, pixel) => x[pixel] > x[best] ? pixel : best));
  });
  const y = Float64Array.from(sources, (source) => x[source]);
  return { y, sources, size: [down.length, across.length] };
}

/** Backward of {@linkcode maxPoolForward}: each of `dy` goes to where the largest value came from. */
export function maxPoolBackward(
  dy: Float64Array,
  { sources }: MaxPoolForward,
  { batch, height, width, channels }: PoolShape,
): Float64Array {
  checkShape("dy", dy, [sources.length]);
  const dx = new Float64Array(batch * height * width * channels);
  sources.forEach((source, at) => dx[source] += dy[at]); // (P13)
  return dx;
}

/** PyTorch's adaptive windows: as many as `count`, which share pixels where the sizes do not divide. */
function adaptiveWindows(count: number): Windows {
  return (size) =>
    Array.from(
      { length: count },
      (_, i) => [Math.floor(i * size / count), Math.ceil((i + 1) * size / count)],
    );
}

/**
 * For each window of an average pool, down and across, the number that it divides by: that of its pixels, or with
 * `countPadding` that of its places on the map and its padding.
 */
function shares(size: number, windows: [number, number][], shape: AveragePoolShape): number[] {
  return windows.map(([start, end], i) => {
    if (!("kernel" in shape && shape.countPadding)) return end - start;
    const first = i * shape.stride - shape.padding;
    return Math.min(first + shape.kernel, size + shape.padding) - first;
  });
}

/** The sizes and options of an average pool: [OH, OW] windows as in PyTorch's adaptive one, or windows of one size. */
export type AveragePoolShape =
  | MapShape & { size: [number, number] }
  | PoolShape & { countPadding: boolean };

/** Call `visit` with each window of one channel as {@linkcode eachWindow}, and with what it divides by. */
function eachMean(
  shape: AveragePoolShape,
  visit: (pixels: number[], at: number, divisor: number) => void,
): [height: number, width: number] {
  const { height, width, channels } = shape;
  const [down, across] = [height, width].map((size, axis) =>
    ("kernel" in shape ? fixedWindows(shape) : adaptiveWindows(shape.size[axis]))(size)
  );
  const [tall, wide] = [shares(height, down, shape), shares(width, across, shape)];
  eachWindow(shape, down, across, (pixels, at) => {
    const place = Math.floor(at / channels);
    const row = Math.floor(place / across.length) % down.length;
    visit(pixels, at, tall[row] * wide[place % across.length]);
  });
  return [down.length, across.length];
}

/** The mean of each window over `x` `[N, H, W, C]`: `[N, OH, OW, C]`, and [OH, OW]. */
export function averagePoolForward(
  x: Float64Array,
  shape: AveragePoolShape,
): { y: Float64Array; size: [number, number] } {
  const { batch, height, width, channels } = shape;
  checkShape("x", x, [batch, height, width, channels]);
  const means: number[] = [];
  const size = eachMean(shape, (pixels, _, divisor) => {
    means.push(pixels.reduce((sum, pixel) => sum + x[pixel], 0) / divisor); // (P14)
  });
  return { y: Float64Array.from(means), size };
}

/** Backward of {@linkcode averagePoolForward}, from `dy` `[N, OH, OW, C]`. */
export function averagePoolBackward(dy: Float64Array, shape: AveragePoolShape): Float64Array {
  const { batch, height, width, channels } = shape;
  const dx = new Float64Array(batch * height * width * channels);
  const size = eachMean(shape, (pixels, at, divisor) => {
    for (const pixel of pixels) dx[pixel] += dy[at] / divisor; // (P15)
  });
  checkShape("dy", dy, [batch, ...size, channels]);
  return dx;
}
