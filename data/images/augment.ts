/**
 * What torchvision's transforms do to a picture before a network sees it, with its parameters. What is
 * random comes from a seeded stream.
 *
 * @module
 */
import { type Box, checkImage, type RgbImage, roundHalfEven } from "./rgb_image.ts";
import { crop, resize } from "./resize.ts";
import type { RandomStream } from "../rng.ts";

/** The mean of ImageNet's red, green and blue, on a scale from 0 to 1. */
export const IMAGENET_MEAN: readonly number[] = [0.485, 0.456, 0.406];
/** Their standard deviation. */
export const IMAGENET_STD: readonly number[] = [0.229, 0.224, 0.225];

/** How often a random box is drawn before the one in the middle is taken. */
const TRIES = 10;

/** How {@linkcode randomResizedCrop} draws a box. */
export interface RandomCropOptions {
  /** The least and the largest share of the picture's area; [0.08, 1] if left out. */
  scale?: readonly [number, number];
  /** The least and the largest width / height; [3/4, 4/3] if left out. */
  ratio?: readonly [number, number];
}

function checkRange(name: string, [least, most]: readonly [number, number]): void {
  if (least > 0 && least <= most && most < Infinity) return;
  throw new RangeError(
    `${name} must be two numbers above 0, the smaller one first: it is [${least}, ${most}]`,
  );
}

/**
 * Draw the box of a random crop as torchvision's `RandomResizedCrop.get_params` does: its area is uniform in
 * `scale`, the logarithm of its width / height uniform in `ratio`, and its place uniform. When ten draws do
 * not fit, it is the largest box in the middle with a ratio that is allowed.
 *
 * A range that is empty or not above 0 is a RangeError.
 *
 * ```ts
 * import { RandomStream } from "../rng.ts";
 *
 * const { left, width } = randomCropBox(500, 375, new RandomStream(1));
 * if (left < 0 || left + width > 500) throw new Error("outside");
 * ```
 */
export function randomCropBox(
  width: number,
  height: number,
  stream: RandomStream,
  { scale = [0.08, 1], ratio = [3 / 4, 4 / 3] }: RandomCropOptions = {},
): Box {
  checkRange("scale", scale);
  checkRange("ratio", ratio);
  const between = (least: number, most: number) => least + (most - least) * stream.uniform();
  for (let i = 0; i < TRIES; i++) {
    const area = width * height * between(...scale);
    const aspect = Math.exp(between(Math.log(ratio[0]), Math.log(ratio[1])));
    const box = {
      width: roundHalfEven(Math.sqrt(area * aspect)),
      height: roundHalfEven(Math.sqrt(area / aspect)),
    };
    if (box.width < 1 || box.height < 1 || box.width > width || box.height > height) continue;
    const top = stream.integer(height - box.height + 1);
    return { left: stream.integer(width - box.width + 1), top, ...box };
  }
  const aspect = Math.min(Math.max(width / height, ratio[0]), ratio[1]);
  return middle(width, height, {
    width: Math.min(width, Math.max(1, roundHalfEven(height * aspect))),
    height: Math.min(height, Math.max(1, roundHalfEven(width / aspect))),
  });
}

/** Where a box of a size stands in the middle, rounded down. */
function middle(width: number, height: number, box: { width: number; height: number }): Box {
  return {
    left: Math.floor((width - box.width) / 2),
    top: Math.floor((height - box.height) / 2),
    ...box,
  };
}

/**
 * A random part of a picture ({@linkcode randomCropBox}), resized to `size` x `size`: torchvision's
 * `RandomResizedCrop(size)`.
 */
export function randomResizedCrop(
  image: RgbImage,
  size: number,
  stream: RandomStream,
  options: RandomCropOptions = {},
): RgbImage {
  return resize(image, size, size, randomCropBox(image.width, image.height, stream, options));
}

/** The picture mirrored left to right with `probability`, else the picture itself. */
export function randomHorizontalFlip(
  image: RgbImage,
  stream: RandomStream,
  probability = 0.5,
): RgbImage {
  if (!(probability >= 0 && probability <= 1)) {
    throw new RangeError(`A probability must be 0 to 1: it is ${probability}`);
  }
  return stream.uniform() < probability ? horizontalFlip(image) : image;
}

/** The picture mirrored left to right. */
export function horizontalFlip(image: RgbImage): RgbImage {
  checkImage(image);
  const { width, height, data } = image;
  const flipped = new Uint8Array(data.length);
  for (let row = 0; row < height; row++) {
    let from = 3 * (row + 1) * width - 3;
    const end = 3 * (row + 1) * width;
    for (let to = 3 * row * width; to < end; to += 3, from -= 3) {
      flipped[to] = data[from];
      flipped[to + 1] = data[from + 1];
      flipped[to + 2] = data[from + 2];
    }
  }
  return { width, height, data: flipped };
}

/** The size of a picture whose shorter side is resized to `size` pixels; the other side is rounded down. */
function shorterAt({ width, height }: RgbImage, size: number): { width: number; height: number } {
  if (!Number.isSafeInteger(size) || size < 1) {
    throw new RangeError(`The shorter side must be an integer from 1: it is ${size}`);
  }
  const scaled = (side: number) => Math.floor(size * side / Math.min(width, height));
  return { width: scaled(width), height: scaled(height) };
}

/** Where the middle of a picture stands, `size` x `size`. */
function centerBox({ width, height }: { width: number; height: number }, size: number): Box {
  if (!Number.isSafeInteger(size) || size < 1 || size > width || size > height) {
    throw new RangeError(
      `centerCrop() needs a size from 1 to the picture's ${width} x ${height}: it is ${size}`,
    );
  }
  const [left, top] = [width, height].map((side) => roundHalfEven((side - size) / 2));
  return { left, top, width: size, height: size };
}

/**
 * The picture resized so that its shorter side has `size` pixels: torchvision's `Resize(size)`. The other
 * side is rounded down.
 *
 * ```ts
 * const image = { width: 30, height: 20, data: new Uint8Array(1800) };
 * const { width, height } = resizeShorter(image, 5);
 * if (width !== 7 || height !== 5) throw new Error(`got ${width} x ${height}`);
 * ```
 */
export function resizeShorter(image: RgbImage, size: number): RgbImage {
  const { width, height } = shorterAt(image, size);
  return resize(image, width, height);
}

/**
 * The middle of a picture, `size` x `size`: torchvision's `CenterCrop(size)`. A picture that is smaller than
 * that is a RangeError.
 */
export function centerCrop(image: RgbImage, size: number): RgbImage {
  return crop(image, centerBox(image, size));
}

/**
 * `centerCrop(resizeShorter(image, shorter), size)` without making what is cropped away, which of a strip of
 * 1 x 3000 pixels would be a hundred million. A `size` above `shorter` is a RangeError.
 *
 * ```ts
 * const strip = { width: 1, height: 3000, data: new Uint8Array(9000) };
 * const { width, height } = resizedCenterCrop(strip, 256, 224);
 * if (width !== 224 || height !== 224) throw new Error(`got ${width} x ${height}`);
 * ```
 */
export function resizedCenterCrop(image: RgbImage, shorter: number, size: number): RgbImage {
  const resized = shorterAt(image, shorter);
  return resize(image, resized.width, resized.height, undefined, centerBox(resized, size));
}

/** How training pictures are varied: a random part as 224 x 224, mirrored half the time. */
export function augmentForTraining(image: RgbImage, stream: RandomStream): RgbImage {
  return randomHorizontalFlip(randomResizedCrop(image, 224, stream), stream);
}

/** How pictures are prepared for evaluation: the shorter side to 256, the middle 224 x 224 of that. */
export function prepareForEvaluation(image: RgbImage): RgbImage {
  return resizedCenterCrop(image, 256, 224);
}

/**
 * The numbers that networks trained on ImageNet take: `(value / 255 - mean) / std` of each channel, with
 * {@linkcode IMAGENET_MEAN} and {@linkcode IMAGENET_STD}. They are written to `target`, `[height, width, 3]`,
 * which is new if left out; one of another length is a TypeError.
 *
 * ```ts
 * const pixels = normalize({ width: 1, height: 1, data: Uint8Array.of(255, 0, 51) });
 * if (Math.abs(pixels[0] - (1 - 0.485) / 0.229) > 1e-6) throw new Error(`got ${pixels}`);
 * ```
 */
export function normalize(
  image: RgbImage,
  target: Float32Array<ArrayBuffer> = new Float32Array(image.data.length),
): Float32Array<ArrayBuffer> {
  checkImage(image);
  const { data } = image;
  checkLength("normalize() writes", target.length, image);
  const [red, green, blue] = TABLES;
  for (let i = 0; i < data.length; i += 3) {
    target[i] = red[data[i]];
    target[i + 1] = green[data[i + 1]];
    target[i + 2] = blue[data[i + 2]];
  }
  return target;
}

/** What each of the 256 values becomes, by channel. */
const TABLES = IMAGENET_MEAN.map((mean, channel) =>
  Float32Array.from({ length: 256 }, (_, value) => (value / 255 - mean) / IMAGENET_STD[channel])
);

/**
 * The picture of numbers as {@linkcode normalize} gives, `[height, width, 3]`: the inverse, rounded, with
 * values outside 0 to 255 cut off. Another count of numbers is a TypeError.
 */
export function denormalize(pixels: Float32Array, width: number, height: number): RgbImage {
  const data = new Uint8Array(3 * width * height);
  const image = { width, height, data };
  checkImage(image);
  checkLength("denormalize() takes", pixels.length, image);
  for (let i = 0; i < data.length; i++) {
    const value = 255 * (pixels[i] * IMAGENET_STD[i % 3] + IMAGENET_MEAN[i % 3]);
    data[i] = Math.round(Math.min(Math.max(value, 0), 255));
  }
  return image;
}

function checkLength(what: string, length: number, { width, height, data }: RgbImage): void {
  if (length === data.length) return;
  throw new TypeError(
    `${what} ${data.length} numbers for ${width} x ${height} pixels: there are ${length}`,
  );
}
