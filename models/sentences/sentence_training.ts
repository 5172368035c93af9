/** What a sentence classifier learns from, and its answers. */
import type { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape, type Variable } from "../tape/autograd.ts";
import { cutBatches, shuffledBatches } from "../training/batches.ts";
import type { Sentence, SentenceClassifier } from "./sentence_classifier.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Sentences as word ids, with their labels. */
export interface LabeledSentences {
  /** The sentences. */
  sentences: readonly Sentence[];
  /** 0 or 1 for each. */
  labels: ArrayLike<number>;
}

/** How many words a classifier takes on its device. */
export interface WordLimits {
  /** In a sentence. */
  sentence: number;
  /** In a batch of several sentences, each padded to the longest. */
  batch: number;
}

/** What a batch may take on the GPU in all, in bytes. */
const BATCH_BYTES = 256 * 2 ** 20;

/** How many words a classifier takes: what a word of a batch needs, and what the device allows in a tensor. */
export function wordLimits({ gpu, wordCost }: SentenceClassifier): WordLimits {
  const { maxStorageBufferBindingSize, maxBufferSize } = gpu.device.limits;
  // Recurrent states have one step more than there are words.
  const most = Math.floor(Math.min(maxStorageBufferBindingSize, maxBufferSize) / 4);
  const sentence = Math.max(0, Math.floor(most / wordCost.widest) - 1);
  return { sentence, batch: Math.min(sentence, Math.floor(BATCH_BYTES / 4 / wordCost.numbers)) };
}

/**
 * Check that each sentence is short enough for a classifier on its device: a UserError says of the longest
 * which it is and how many words it may have.
 */
export function checkLengths(
  classifier: SentenceClassifier,
  sentences: readonly { length: number }[],
): void {
  const { sentence: most } = wordLimits(classifier);
  let longest = 0;
  for (let i = 0; i < sentences.length; i++) {
    if (sentences[i].length > sentences[longest].length) longest = i;
  }
  const words = sentences[longest]?.length ?? 0;
  if (words <= most) return;
  const { config: { kind }, wordCost: { widest }, gpu: { adapter } } = classifier;
  throw new UserError(
    `Sentence ${
      longest + 1
    } has ${words} words, and the model (${kind}, ${widest} numbers a word) reads at ` +
      `most ${most} on "${adapter.description}"`,
  );
}

/** How many words each has. */
const lengthsOf = (sentences: readonly Sentence[]) => sentences.map(({ length }) => length);

/**
 * The numbers of the sentences in an epoch's batches of nearly equal length, in a random order. A batch has fewer
 * sentences than `batchSize` where long ones would come to more words than the classifier's device takes.
 *
 * Errors: RangeError when `batchSize` is no whole number from 1.
 */
export function sentenceBatches(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  batchSize: number,
  stream: RandomStream,
): Int32Array[] {
  return shuffledBatches(sentences.length, {
    ...{ batchSize, stream, sortWithin: Infinity },
    lengths: lengthsOf(sentences),
    most: wordLimits(classifier).batch,
  });
}

/** So many batches {@linkcode sentenceBatches} makes. */
export function stepsOfSentences(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  batchSize: number,
): number {
  return evenBatches(classifier, sentences, batchSize).length;
}

/** Sentences by length, cut. */
function evenBatches(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  batchSize: number,
): number[][] {
  const order = sentences.map((_, i) => i)
    .sort((a, b) => sentences[a].length - sentences[b].length);
  return cutBatches(order, batchSize, lengthsOf(sentences), wordLimits(classifier).batch);
}

/**
 * Check what a classifier is to learn from.
 *
 * Errors: TypeError when there are more labels or fewer than sentences; RangeError for a label that is none; UserError for
 * a sentence too long for the device ({@linkcode checkLengths}).
 */
export function checkSentences(
  classifier: SentenceClassifier,
  { sentences, labels }: LabeledSentences,
): void {
  if (labels.length !== sentences.length) {
    throw new TypeError(`There are ${labels.length} labels for ${sentences.length} sentences`);
  }
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 0 || labels[i] === 1) continue;
    throw new RangeError(`A label must be 0 or 1: that of sentence ${i} is ${labels[i]}`);
  }
  checkLengths(classifier, sentences);
}

/** The loss of the sentences with the given numbers; the tape owns what is uploaded. */
export function sentenceLoss(
  classifier: SentenceClassifier,
  { sentences, labels }: LabeledSentences,
  chosen: ArrayLike<number>,
  tape: Tape,
): Variable {
  const input = tape.keep(classifier.upload(Array.from(chosen, (i) => sentences[i])));
  const own = Array.from(chosen, (i) => labels[i]);
  const targets = tape.keep(Tensor.from(classifier.gpu, own, [own.length], { name: "labels" }));
  return classifier.loss(input, targets);
}

/**
 * The logits of sentences, in their order. At most `batchSize` sentences of similar length at a time, fewer
 * where they are long; `onBatch` is called after each batch, and what it throws ends the work.
 *
 * Errors: UserError for a sentence too long for the device ({@linkcode checkLengths}), and for a logit that is NaN.
 */
export async function sentenceLogits(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  batchSize = 256,
  onBatch?: () => void | Promise<void>,
): Promise<Float32Array> {
  const { gpu } = classifier;
  checkLengths(classifier, sentences);
  const parts = evenBatches(classifier, sentences, batchSize);
  const logits = new Float32Array(sentences.length);
  if (sentences.length === 0) return logits;
  using all = Tensor.empty(gpu, [sentences.length], { name: "all logits" });
  let start = 0;
  for (const chosen of parts) {
    using input = classifier.upload(chosen.map((i) => sentences[i]));
    using _tape = new Tape(gpu, { training: false });
    using slot = all.view([chosen.length], start);
    slot.copyFrom(classifier.logits(input).tensor);
    start += chosen.length;
    gpu.flush();
    await onBatch?.();
  }
  const values = await all.read();
  parts.flat().forEach((i, place) => logits[i] = values[place]);
  const wrong = logits.findIndex(Number.isNaN);
  if (wrong >= 0) {
    throw new UserError(
      `The logit of sentence ${
        wrong + 1
      } is NaN: look for NaN and huge numbers in the classifier's weights`,
    );
  }
  return logits;
}

/** The share of sentences on whose label the logits agree. */
export function accuracy(logits: ArrayLike<number>, labels: ArrayLike<number>): number {
  if (logits.length !== labels.length) {
    throw new TypeError(`There are ${logits.length} logits and ${labels.length} labels`);
  }
  if (logits.length === 0) throw new RangeError("An accuracy needs at least one sentence");
  let right = 0;
  for (let i = 0; i < logits.length; i++) if ((logits[i] > 0) === (labels[i] === 1)) right++;
  return right / logits.length;
}
