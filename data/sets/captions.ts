/**
 * What every caption data set looks like once it is loaded, and what is done with any of them.
 *
 * @module
 */
import type { RandomStream } from "../rng.ts";
import type { Vocabulary } from "../text/vocabulary.ts";

/** The most tokens of a caption: a sampled one takes a step of the network for each. */
export const MAX_CAPTION_LENGTH = 1000;

/** A picture of a data set: where it is, or what it is. */
export interface Picture {
  /** A short name, shown beside the picture. */
  name: string;
  /** Which picture it is, where a name can occur twice: its path inside the data, or its address. */
  id?: string;
  /** A file on disk, a drawing, or a place on the web. */
  source:
    // `within` is a folder that the file must be in, also behind links.
    | { kind: "file"; path: string; within?: string }
    | { kind: "svg"; svg: string }
    | { kind: "url"; url: string };
}

/** One split of a caption data set: images with their features, and captions that point at them. */
export interface CaptionSplit {
  /** `[images, featureDim]`, as stored: not standardized. */
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
  /** What is odd about the data, a sentence each for the report; empty when nothing is. */
  notes: string[];
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

/** Images and captions of a split that are kept, by their numbers, which ascend. */
export interface CaptionSelection {
  /** The images' numbers. */
  images: readonly number[];
  /** The captions' numbers. */
  captions: ArrayLike<number> & Iterable<number>;
}

/**
 * Choose `n` captions without replacement, and the images they use. `imageIndex [count]` is the image of each
 * caption. A RangeError when there are fewer than `n`.
 */
export function chooseCaptions(
  imageIndex: Int32Array,
  n: number,
  stream: RandomStream,
): CaptionSelection {
  const count = imageIndex.length;
  if (!Number.isInteger(n) || n < 1 || n > count) {
    throw new RangeError(`Cannot take ${n} captions: the split allows 1 to ${count}`);
  }
  const captions = stream.permutation(count).subarray(0, n).sort();
  const images = [...new Set(Array.from(captions, (c) => imageIndex[c]))].sort((a, b) => a - b);
  return { images, captions };
}

/** At most `n` of so many images, spread evenly over them, with all their captions. */
export function chooseImages(imageIndex: Int32Array, images: number, n: number): CaptionSelection {
  const chosen = spread(images, n);
  const kept = new Set(chosen);
  return {
    images: chosen,
    captions: [...imageIndex.keys()].filter((c) => kept.has(imageIndex[c])),
  };
}

/**
 * Choose `n` captions of a split without replacement. They keep their order, and only the pictures
 * and features they use are kept, numbered anew. A RangeError when the split has fewer than `n`.
 *
 * ```ts
 * import { RandomStream } from "../rng.ts";
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
  return select(split, chooseCaptions(split.imageIndex, n, stream));
}

/**
 * `n` pictures spread evenly over a split, in their order, with all their captions: neighbors often
 * look alike. The split itself when it has no more than `n`.
 */
export function spreadPictures(split: CaptionSplit, n: number): CaptionSplit {
  if (split.pictures.length <= n) return split;
  return select(split, chooseImages(split.imageIndex, split.pictures.length, n));
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
function select(split: CaptionSplit, selection: CaptionSelection): CaptionSplit {
  const { images } = selection;
  return {
    features: selectRows(split.features, split.pictures.length, images),
    pictures: images.map((i) => split.pictures[i]),
    ...renumber(split, selection),
  };
}

/** The chosen captions, with the numbers that the chosen images have among themselves. */
export function renumber(
  { captions, imageIndex }: Pick<CaptionSplit, "captions" | "imageIndex">,
  { images, captions: chosen }: CaptionSelection,
): Pick<CaptionSplit, "captions" | "imageIndex"> {
  const numbers = new Map(images.map((image, i) => [image, i]));
  return {
    captions: selectRows(captions, imageIndex.length, chosen),
    imageIndex: Int32Array.from(chosen, (c) => numbers.get(imageIndex[c])!),
  };
}

/** The chosen rows of an array of so many, one after the other. */
export function selectRows<A extends Float32Array<ArrayBuffer> | Int32Array<ArrayBuffer>>(
  array: A,
  rows: number,
  chosen: ArrayLike<number> & Iterable<number>,
): A {
  const width = array.length / rows;
  const taken = new (array.constructor as new (length: number) => A)(chosen.length * width);
  let at = 0;
  for (const index of chosen) {
    taken.set(array.subarray(index * width, (index + 1) * width), at);
    at += width;
  }
  return taken;
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
  for (let start = 0; start < features.length; start += featureDim) {
    for (let k = 0; k < featureDim; k++) mean[k] += features[start + k] / rows;
  }
  for (let start = 0; start < features.length; start += featureDim) {
    for (let k = 0; k < featureDim; k++) variance[k] += (features[start + k] - mean[k]) ** 2 / rows;
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
  // Float32Array.from would pass the numbers one by one through a list.
  const scaled = new Float32Array(features.length);
  for (let start = 0; start < scaled.length; start += mean.length) {
    for (let k = 0; k < mean.length; k++) {
      scaled[start + k] = (features[start + k] - mean[k]) / deviation[k];
    }
  }
  return scaled;
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
