/** Training a captioner, and measuring its captions. */
import {
  type CaptionSplit,
  referencesByImage,
  standardize,
  type Standardizer,
} from "../../data/sets/captions.ts";
import { NULL, type Vocabulary } from "../../data/text/vocabulary.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../tape/autograd.ts";
import { type BatchOptions, checkBatchSize, shuffledBatches } from "../training/batches.ts";
import { type BleuScore, corpusBleu, unigramPrecision } from "./bleu.ts";
import { type BeamOptions, sampleBeam, sampleGreedy } from "./caption_sampling.ts";
import { type CaptionBatch, type Captioner, uploadCaptions } from "./captioner.ts";
import { LossHistory } from "../training/loss_history.ts";

/** A split whose features are standardized, ready to learn from. */
export interface PreparedSplit extends CaptionSplit {
  /** Tokens in a row of captions. */
  captionLength: number;
}

/** Standardize a split's features with the training set's mean and deviation. */
export function prepareSplit(split: CaptionSplit, scale: Standardizer): PreparedSplit {
  const captionLength = split.captions.length / split.imageIndex.length;
  return { ...split, captionLength, features: standardize(split.features, scale) };
}

/**
 * Upload the captions with the given numbers, and their images' features.
 *
 * Errors: RangeError for a number that no caption has.
 */
export function captionBatch(
  captioner: Captioner,
  split: PreparedSplit,
  chosen: ArrayLike<number>,
): CaptionBatch {
  const { featureDim, vocabularySize } = captioner.config;
  const { captionLength } = split;
  const captions = new Int32Array(chosen.length * captionLength);
  const features = new Float32Array(chosen.length * featureDim);
  for (let n = 0; n < chosen.length; n++) {
    const [caption, image] = [chosen[n], split.imageIndex[chosen[n]]];
    if (image === undefined) {
      throw new RangeError(
        `There is no caption ${caption}: the split has 0 to ${split.imageIndex.length - 1}`,
      );
    }
    captions.set(
      split.captions.subarray(caption * captionLength, (caption + 1) * captionLength),
      n * captionLength,
    );
    features.set(
      split.features.subarray(image * featureDim, (image + 1) * featureDim),
      n * featureDim,
    );
  }
  return uploadCaptions(captioner.gpu, captions, features, {
    batch: chosen.length,
    vocabularySize,
  });
}

/** Steps of one pass over so many captions. RangeError when `batchSize` is no whole number from 1. */
export function stepsPerEpoch(captions: number, batchSize: number): number {
  checkBatchSize(batchSize);
  return Math.ceil(captions / batchSize);
}

/** The words of a caption and `<END>`: padding is left out. */
function lengthOf({ captions, captionLength }: PreparedSplit, caption: number): number {
  const start = caption * captionLength;
  let length = captionLength;
  while (length > 0 && captions[start + length - 1] === NULL) length--;
  return length;
}

/**
 * The numbers of the captions in an epoch's batches, all in a random order, sorted by length within some batches: a
 * step computes as many words as its longest caption has. Errors as of `shuffledBatches`.
 */
export function captionBatches(
  split: PreparedSplit,
  options: Omit<BatchOptions, "lengths" | "most">,
): Int32Array[] {
  const { sortWithin = 1 } = options;
  const lengths = sortWithin === 1
    ? {}
    : { lengths: split.imageIndex.map((_, caption) => lengthOf(split, caption)) };
  return shuffledBatches(split.imageIndex.length, { ...options, ...lengths });
}

/**
 * How many captions of so many tokens a batch can hold on the captioner's device: each word has scores of the
 * whole vocabulary, and no tensor may be larger than the device allows. 0 where not even one fits.
 */
export function mostCaptions({ gpu, config }: Captioner, captionLength: number): number {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  const { vocabularySize, wordDim, hiddenDim } = config;
  const widest = Math.max(vocabularySize, wordDim, 4 * hiddenDim);
  const numbers = Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4;
  return Math.floor(numbers / (widest * captionLength));
}

/** The mean loss of a split's captions, in batches of `batchSize` or of what fits, without learning. */
export async function evaluateLoss(
  captioner: Captioner,
  split: PreparedSplit,
  batchSize = 100,
  onBatch?: () => void | Promise<void>,
): Promise<number> {
  const count = split.imageIndex.length;
  const most = Math.min(batchSize, Math.max(1, mostCaptions(captioner, split.captionLength)));
  using history = new LossHistory(captioner.gpu, stepsPerEpoch(count, most), { unit: "batch" });
  const sizes: number[] = [];
  for (let start = 0; start < count; start += most) {
    const size = Math.min(most, count - start);
    const chosen = Array.from({ length: size }, (_, i) => start + i);
    using batch = captionBatch(captioner, split, chosen);
    using _tape = new Tape(captioner.gpu, { training: false });
    await history.add(captioner.loss(batch).tensor);
    captioner.gpu.flush();
    sizes.push(size);
    await onBatch?.();
  }
  const losses = await history.finish();
  return losses.reduce((total, loss, i) => total + loss * sizes[i], 0) / count;
}

/** How captions are sampled: greedily, or with a beam of this width. */
export interface SampleOptions {
  /** Width of the beam; greedy without it. */
  beam?: number | undefined;
  /** Only with a beam: see {@linkcode BeamOptions.lengthPower}. */
  lengthPower?: BeamOptions["lengthPower"] | undefined;
  /** Called after each batch of pictures; the sampling ends with what it throws. */
  onBatch?: (() => void | Promise<void>) | undefined;
}

/** Caption all images of a split: for each image a list of words. */
export async function sampleCaptions(
  captioner: Captioner,
  split: PreparedSplit,
  vocabulary: Vocabulary,
  { beam, lengthPower, onBatch }: SampleOptions = {},
): Promise<string[][]> {
  if (beam === undefined && lengthPower !== undefined) {
    throw new TypeError(`Greedy sampling takes no lengthPower, and ${lengthPower} was given`);
  }
  const { featureDim } = captioner.config;
  const images = split.pictures.length;
  const length = split.captionLength - 1;
  const rows = Math.min(256, mostCaptions(captioner, 1));
  const chunk = Math.max(1, Math.floor(rows / (beam ?? 1)));
  const captions: string[][] = [];
  for (let start = 0; start < images; start += chunk) {
    const count = Math.min(chunk, images - start);
    const part = split.features.subarray(start * featureDim, (start + count) * featureDim);
    using features = Tensor.from(captioner.gpu, part, [count, featureDim], { name: "features" });
    const sampled = beam === undefined
      ? await sampleGreedy(captioner, features, length)
      : await sampleBeam(captioner, features, {
        width: beam,
        length,
        ...(lengthPower === undefined ? {} : { lengthPower }),
      });
    captions.push(...sampled.map((ids) => vocabulary.decode(ids)));
    await onBatch?.();
  }
  return captions;
}

/** The quality of sampled captions. */
export interface CaptionScores extends BleuScore {
  /** The homework's score: each true caption against its picture's sampled one, averaged over the captions. */
  unigramPrecision: number;
}

/** Measure sampled captions, one for each image, against all captions of the split. */
export function scoreCaptions(
  sampled: readonly string[][],
  split: CaptionSplit,
  vocabulary: Vocabulary,
): CaptionScores {
  const references = referencesByImage(split, vocabulary);
  const described = references.flatMap((captions, image) => captions.length > 0 ? [image] : []);
  const precisions = described.flatMap((image) =>
    references[image].map((reference) => unigramPrecision(sampled[image], reference))
  );
  return {
    ...corpusBleu(described.map((i) => sampled[i]), described.map((i) => references[i])),
    unigramPrecision: precisions.reduce((a, b) => a + b, 0) / precisions.length,
  };
}
