/**
 * What every caption data set looks like once it is loaded, and what is done with any of them.
 *
 * @module
 */
import type { RandomStream } from "./rng.ts";
import type { Vocabulary } from "./vocabulary.ts";

/** A picture of a data set: where it is, or what it is. */
export interface Picture {
  /** A short name, shown beside the picture. */
  name: string;
  /** A file on disk, a drawing, or a place on the web. */
  source:
    | { kind: "file"; path: string }
    | { kind: "svg"; svg: string }
    | { kind: "url"; url: string };
}

/** One split of a caption data set: images with their features, and captions that point at them. */
export interface CaptionSplit {
  /** `[images, featureDim]`, as stored: not standardised. */
  features: Float32Array<ArrayBuffer>;
  /** One picture for each image. */
  pictures: Picture[];
  /** `[count, captionLength]`: each row starts with `<START>` and is padded with `<NULL>`. */
  captions: Int32Array<ArrayBuffer>;
  /** `[count]`: the image of each caption. */
  imageIndex: Int32Array<ArrayBuffer>;
}

/** A caption data set: two splits over one vocabulary. */
export interface CaptionData {
  /** The data set's name, for reports. */
  name: string;
  /** The words behind the captions' ids. */
  vocabulary: Vocabulary;
  /** Tokens in a row of captions, `<START>`, `<END>` and padding included. */
  captionLength: number;
  /** Numbers in one image's features. */
  featureDim: number;
  /** The split to learn from. */
  train: CaptionSplit;
  /** The split to measure on. */
  val: CaptionSplit;
}

/**
 * Choose `n` captions of a split without replacement. They keep their order, and only the pictures
 * and features they use are kept, numbered anew. A RangeError when the split has fewer than `n`.
 *
 * ```ts
 * import { RandomStream } from "./rng.ts";
 *
 * const split: CaptionSplit = {
 *   features: new Float32Array(4),
 *   pictures: [{ name: "a", source: { kind: "file", path: "a.jpg" } }],
 *   captions: Int32Array.of(1, 4, 2, 1, 5, 2),
 *   imageIndex: Int32Array.of(0, 0),
 * };
 * const one = takeCaptions(split, 1, new RandomStream(0));
 * if (one.captions.length !== 3) throw new Error("expected one caption of three tokens");
 * ```
 */
export function takeCaptions(split: CaptionSplit, n: number, stream: RandomStream): CaptionSplit {
  const count = split.imageIndex.length;
  if (!Number.isInteger(n) || n < 1 || n > count) {
    throw new RangeError(`Cannot take ${n} captions: the split allows 1 to ${count}`);
  }
  const chosen = stream.permutation(count).subarray(0, n).sort();
  const images = [...new Set(Array.from(chosen, (c) => split.imageIndex[c]))].sort((a, b) => a - b);
  return select(split, images, chosen);
}

/**
 * `n` pictures spread evenly over a split, in their order, with all their captions: neighbours often
 * look alike. The split itself when it has no more than `n`.
 */
export function spreadPictures(split: CaptionSplit, n: number): CaptionSplit {
  if (split.pictures.length <= n) return split;
  const images = spread(split.pictures.length, n);
  const kept = new Set(images);
  const captions = [...split.imageIndex.keys()].filter((c) => kept.has(split.imageIndex[c]));
  return select(split, images, captions);
}

/**
 * At most `n` of the numbers 0 … count - 1, spread evenly.
 *
 * ```ts
 * if (spread(10, 4).join() !== "0,2,5,7") throw new Error("not even");
 * ```
 */
export function spread(count: number, n: number): number[] {
  const taken = Math.min(n, count);
  return Array.from({ length: taken }, (_, i) => Math.floor(i * count / taken));
}

/** The given images and captions of a split, numbered anew. */
function select(
  split: CaptionSplit,
  images: readonly number[],
  chosen: ArrayLike<number> & Iterable<number>,
): CaptionSplit {
  const renumbered = new Map(images.map((image, i) => [image, i]));
  const captionLength = split.captions.length / split.imageIndex.length;
  const featureDim = split.features.length / split.pictures.length;

  const features = new Float32Array(images.length * featureDim);
  for (const [i, image] of images.entries()) {
    features.set(row(split.features, image, featureDim), i * featureDim);
  }
  const captions = new Int32Array(chosen.length * captionLength);
  const imageIndex = new Int32Array(chosen.length);
  for (const [i, c] of [...chosen].entries()) {
    captions.set(row(split.captions, c, captionLength), i * captionLength);
    imageIndex[i] = renumbered.get(split.imageIndex[c])!;
  }
  return { features, pictures: images.map((i) => split.pictures[i]), captions, imageIndex };
}

/**
 * For each image of a split the words of all its captions: `references[image][caption][word]`.
 * An image without a caption gets an empty list.
 */
export function referencesByImage(split: CaptionSplit, vocabulary: Vocabulary): string[][][] {
  const references: string[][][] = split.pictures.map(() => []);
  const captionLength = split.captions.length / split.imageIndex.length;
  for (const [c, image] of split.imageIndex.entries()) {
    references[image].push(vocabulary.decode(row(split.captions, c, captionLength)));
  }
  return references;
}

/** Row `index` of a `[rows, width]` array, as a view. */
function row<A extends { subarray(begin: number, end: number): A }>(
  array: A,
  index: number,
  width: number,
): A {
  return array.subarray(index * width, (index + 1) * width);
}

/** The mean and the standard deviation of each feature. */
export interface Standardizer {
  /** `[featureDim]` */
  mean: Float32Array<ArrayBuffer>;
  /** `[featureDim]`; 1 for a feature that never changes. */
  deviation: Float32Array<ArrayBuffer>;
}

/**
 * Measure the mean and the (population) standard deviation of each column of `features`,
 * `[rows, featureDim]`. Measure on the training split, and use it on both.
 */
export function standardizer(features: Float32Array, featureDim: number): Standardizer {
  const rows = checkRows(features, featureDim);
  const mean = new Float64Array(featureDim);
  const variance = new Float64Array(featureDim);
  for (let i = 0; i < features.length; i++) mean[i % featureDim] += features[i] / rows;
  for (let i = 0; i < features.length; i++) {
    variance[i % featureDim] += (features[i] - mean[i % featureDim]) ** 2 / rows;
  }
  // Float32 rounding leaves a constant feature a deviation near 1e-7 of its size: that is no signal.
  const deviation = Float32Array.from(variance, (v, i) => {
    const sigma = Math.sqrt(v);
    return sigma > 1e-6 * Math.abs(mean[i]) ? sigma : 1;
  });
  return { mean: Float32Array.from(mean), deviation };
}

/**
 * The features minus the mean, divided by the deviation, `[rows, featureDim]`, in a new array.
 *
 * ```ts
 * const features = Float32Array.of(1, 10, 3, 10);
 * const scaled = standardize(features, standardizer(features, 2));
 * if (scaled.join() !== "-1,0,1,0") throw new Error(`got ${scaled}`);
 * ```
 */
export function standardize(
  features: Float32Array,
  { mean, deviation }: Standardizer,
): Float32Array<ArrayBuffer> {
  checkRows(features, mean.length);
  return Float32Array.from(
    features,
    (value, i) => (value - mean[i % mean.length]) / deviation[i % mean.length],
  );
}

function checkRows(features: Float32Array, featureDim: number): number {
  const rows = features.length / featureDim;
  if (!Number.isInteger(featureDim) || featureDim < 1 || !Number.isInteger(rows) || rows < 1) {
    throw new TypeError(
      `Features must be whole rows of ${featureDim} numbers: there are ${features.length} numbers`,
    );
  }
  return rows;
}
