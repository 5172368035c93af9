/**
 * Resizing as PIL's `Image.resize(size, BILINEAR)`, and so torchvision's `Resize`, does it: a triangle
 * filter in two passes.
 *
 * @module
 */
import { type Box, checkImage, checkSize, type RgbImage } from "./rgb_image.ts";

/** Fixed point with so many bits after the point: 255 times a weight of 1 still fits 31 bits. */
const BITS = 22;
const HALF = 1 << (BITS - 1);

/** Which pixels make each of some others, and with which weights. */
interface Taps {
  /** The first pixel, `[count]`. */
  starts: Int32Array;
  /** How many pixels follow each other from there, `[count]`. */
  counts: Int32Array;
  /** Their weights in fixed point, `[count, stride]`. */
  weights: Int32Array;
  stride: number;
}

/**
 * Of `length` pixels resized to `size`, the taps of `count` from `first` on. Output pixel i looks at the input
 * around `(i + 0.5) scale` with `scale = length / size`. An input pixel j has the weight
 * `1 - |j + 0.5 - center| / radius` where that is positive, with a radius of one output pixel and never below
 * one input pixel; the weights are divided by their sum.
 */
function triangleTaps(length: number, size: number, first: number, count: number): Taps {
  const scale = length / size;
  const radius = Math.max(scale, 1);
  const stride = Math.ceil(2 * radius) + 1;
  const starts = new Int32Array(count);
  const counts = new Int32Array(count);
  const weights = new Int32Array(count * stride);
  for (let i = 0; i < count; i++) {
    const centre = (first + i + 0.5) * scale;
    const start = Math.max(0, Math.ceil(centre - radius - 0.5));
    const end = Math.min(length, Math.floor(centre + radius - 0.5) + 1);
    const weight = (j: number) => 1 - Math.abs(j + 0.5 - centre) / radius;
    let sum = 0;
    for (let j = start; j < end; j++) sum += weight(j);
    for (let j = start; j < end; j++) {
      weights[i * stride + j - start] = Math.round(weight(j) / sum * 2 ** BITS);
    }
    starts[i] = start;
    counts[i] = end - start;
  }
  return { starts, counts, weights, stride };
}

/** The rows of `box`, each resized as the taps say: `[box.height, taps, 3]`. */
function resizeRows({ width: rowWidth, data }: RgbImage, taps: Taps, box: Box): Uint8Array {
  const { starts, counts, weights, stride } = taps;
  const width = starts.length;
  const resized = new Uint8Array(3 * width * box.height);
  for (let row = 0, to = 0; row < box.height; row++) {
    const begin = 3 * ((box.top + row) * rowWidth + box.left);
    for (let column = 0; column < width; column++, to += 3) {
      let from = begin + 3 * starts[column];
      const first = column * stride;
      const end = first + counts[column];
      let red = HALF;
      let green = HALF;
      let blue = HALF;
      for (let k = first; k < end; k++, from += 3) {
        const weight = weights[k];
        red = (red + weight * data[from]) | 0;
        green = (green + weight * data[from + 1]) | 0;
        blue = (blue + weight * data[from + 2]) | 0;
      }
      resized[to] = red >> BITS;
      resized[to + 1] = green >> BITS;
      resized[to + 2] = blue >> BITS;
    }
  }
  return resized;
}

/** Rows of `rowBytes` bytes, of which the first is number `firstRow`, resized as the taps say. */
function resizeColumns(
  data: Uint8Array,
  rowBytes: number,
  firstRow: number,
  { starts, counts, weights, stride }: Taps,
): Uint8Array<ArrayBuffer> {
  const height = starts.length;
  const resized = new Uint8Array(height * rowBytes);
  const sums = new Int32Array(rowBytes);
  for (let row = 0; row < height; row++) {
    sums.fill(HALF);
    let from = (starts[row] - firstRow) * rowBytes;
    for (let k = 0; k < counts[row]; k++) {
      const weight = weights[row * stride + k];
      for (let i = 0; i < rowBytes; i++, from++) sums[i] += weight * data[from];
    }
    const to = row * rowBytes;
    for (let i = 0; i < rowBytes; i++) resized[to + i] = sums[i] >> BITS;
  }
  return resized;
}

/** A box that holds all of a size. */
const wholeBox = ({ width, height }: { width: number; height: number }): Box => ({
  ...{ left: 0, top: 0, width, height },
});

/**
 * Resize a picture, or the part of it inside `box`, to `width` x `height` pixels. Smaller pictures are
 * averaged, not sampled. The result equals PIL's `crop(box).resize((width, height), BILINEAR)`.
 *
 * With `part` only those pixels of the result are made, as if they were cropped out of it: of a long strip the
 * whole may be too large.
 *
 * A size that is not of integers from 1, a result of over 2^26 pixels, and a box that is not of whole pixels
 * inside the picture, or of the result, are a RangeError.
 *
 * ```ts
 * const image = { width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 255, 100, 0) };
 * const { data } = resize(image, 1, 1);
 * if (data.join() !== "128,50,0") throw new Error(`got ${data}`);
 * ```
 */
export function resize(
  image: RgbImage,
  width: number,
  height: number,
  box: Box = wholeBox(image),
  part?: Box,
): RgbImage {
  checkImage(image);
  if (part === undefined) checkSize(width, height);
  const made = part ?? wholeBox({ width, height });
  checkSize(made.width, made.height);
  checkBox(box, image);
  checkBox(made, { width, height });
  const across = triangleTaps(box.width, width, made.left, made.width);
  const down = triangleTaps(box.height, height, made.top, made.height);
  // Only the rows that are looked at.
  const last = made.height - 1;
  const [first, end] = [down.starts[0], down.starts[last] + down.counts[last]];
  const rows = resizeRows(image, across, { ...box, top: box.top + first, height: end - first });
  const data = resizeColumns(rows, 3 * made.width, first, down);
  return { width: made.width, height: made.height, data };
}

/** The part of a picture inside `box`, a copy. A box that does not fit is a RangeError. */
export function crop(image: RgbImage, box: Box): RgbImage {
  checkImage(image);
  checkBox(box, image);
  const { left, top, width, height } = box;
  const data = new Uint8Array(3 * width * height);
  for (let row = 0; row < height; row++) {
    const from = 3 * ((top + row) * image.width + left);
    data.set(image.data.subarray(from, from + 3 * width), 3 * row * width);
  }
  return { width, height, data };
}

function checkBox(box: Box, image: { width: number; height: number }): void {
  const { left, top, width, height } = box;
  const fits = [left, top, width, height].every(Number.isSafeInteger) && left >= 0 && top >= 0 &&
    width >= 1 && height >= 1 && left + width <= image.width && top + height <= image.height;
  if (fits) return;
  throw new RangeError(
    `A box must be of whole pixels inside the picture of ${image.width} x ${image.height}: ` +
      `it is ${width} x ${height} from column ${left}, row ${top}`,
  );
}
