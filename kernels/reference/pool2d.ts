/** Pooling of feature maps in float64, channels last: the twins of `kernels/pool/pool2d.ts` and `average_pool2d.ts`. */
import { checkShape } from "./linear_algebra.ts";

/** The sizes of a map `[N, H, W, C]`. */
export interface MapShape {
  batch: number;
  height: number;
  width: number;
  channels: number;
}

/** The sizes and options of a max pool. */
export interface MaxPoolShape extends MapShape {
  kernel: number;
  stride: number;
  padding: number;
  ceilMode: boolean;
}

/** For each window along a side of `size` pixels, its first pixel and the one behind its last. */
type Windows = (size: number) => [start: number, end: number][];

/**
 * A max pool's windows: those that fit into the padded side, and in ceil mode one more that does not, if any
 * pixel is left for it and it starts before the padding behind.
 */
function maxWindows({ kernel, stride, padding, ceilMode }: MaxPoolShape): Windows {
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
export function maxPoolForward(x: Float64Array, shape: MaxPoolShape): MaxPoolForward {
  const { batch, height, width, channels } = shape;
  checkShape("x", x, [batch, height, width, channels]);
  const [down, across] = [height, width].map(maxWindows(shape));
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
  { batch, height, width, channels }: MaxPoolShape,
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

/** The mean of each of [OH, OW] windows over `x` `[N, H, W, C]`: `[N, OH, OW, C]`. */
export function averagePoolForward(
  x: Float64Array,
  shape: MapShape,
  [outHeight, outWidth]: [number, number],
): Float64Array {
  const { batch, height, width, channels } = shape;
  checkShape("x", x, [batch, height, width, channels]);
  const y = new Float64Array(batch * outHeight * outWidth * channels);
  const [down, across] = [adaptiveWindows(outHeight)(height), adaptiveWindows(outWidth)(width)];
  eachWindow(shape, down, across, (pixels, at) => {
    y[at] = pixels.reduce((sum, pixel) => sum + x[pixel], 0) / pixels.length; // (P14)
  });
  return y;
}

/** Backward of {@linkcode averagePoolForward}, from `dy` `[N, OH, OW, C]`. */
export function averagePoolBackward(
  dy: Float64Array,
  shape: MapShape,
  [outHeight, outWidth]: [number, number],
): Float64Array {
  const { batch, height, width, channels } = shape;
  checkShape("dy", dy, [batch, outHeight, outWidth, channels]);
  const dx = new Float64Array(batch * height * width * channels);
  const [down, across] = [adaptiveWindows(outHeight)(height), adaptiveWindows(outWidth)(width)];
  eachWindow(shape, down, across, (pixels, at) => {
    for (const pixel of pixels) dx[pixel] += dy[at] / pixels.length; // (P15)
  });
  return dx;
}
