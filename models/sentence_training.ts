/** Training a sentence classifier, and measuring its answers. */
import type { RandomStream } from "../data/rng.ts";
import { Tensor } from "../kernels/runtime/tensor.ts";
import { Tape } from "./autograd.ts";
import type { LossHistory } from "./loss_history.ts";
import type { Optimizer } from "./optimizers.ts";
import type { Sentence, SentenceClassifier } from "./sentence_classifier.ts";

/** Sentences as word ids, with their labels. */
export interface LabelledSentences {
  sentences: readonly Sentence[];
  /** 0 or 1 for each. */
  labels: ArrayLike<number>;
}

function checkBatchSize(batchSize: number): void {
  if (Number.isInteger(batchSize) && batchSize >= 1) return;
  throw new RangeError(`The batch size must be a whole number from 1: it is ${batchSize}`);
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
 * Check that each sentence is short enough for a classifier on its device: a RangeError says of the longest
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
  throw new RangeError(
    `Sentence ${
      longest + 1
    } has ${words} words, and the model (${kind}, ${widest} numbers a word) reads at ` +
      `most ${most} on "${adapter.description}"`,
  );
}

/** Cut sentences that are sorted by length: `batchSize` at most, and no more words than the limits allow. */
function cut(
  order: ArrayLike<number>,
  sentences: readonly Sentence[],
  batchSize: number,
  limits: WordLimits,
): { start: number; end: number }[] {
  checkBatchSize(batchSize);
  const parts: { start: number; end: number }[] = [];
  for (let start = 0, end = 0; start < order.length; start = end) {
    end = start + 1;
    while (
      end < order.length && end - start < batchSize &&
      (end + 1 - start) * sentences[order[end]].length <= limits.batch
    ) end++;
    parts.push({ start, end });
  }
  return parts;
}

/**
 * Cut sentences into batches of nearly equal length, so that little work goes to padding: a random order,
 * sorted by length, cut, and the batches in a random order. A batch has fewer sentences than `batchSize` where
 * long ones would come to more words than `limits` allow.
 *
 * Errors: RangeError when `batchSize` is no whole number from 1.
 */
export function bucketBatches(
  sentences: readonly Sentence[],
  batchSize: number,
  stream: RandomStream,
  limits: WordLimits = { sentence: Infinity, batch: Infinity },
): Int32Array[] {
  // Array.prototype.sort is stable: sentences of one length stay in their random order.
  const order = stream.permutation(sentences.length)
    .sort((a, b) => sentences[a].length - sentences[b].length);
  const batches = cut(order, sentences, batchSize, limits)
    .map(({ start, end }) => order.subarray(start, end));
  stream.shuffle(batches);
  return batches;
}

/** So many batches {@linkcode bucketBatches} makes, and steps {@linkcode trainSentenceEpoch} takes. */
export function stepsOfSentences(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  batchSize: number,
): number {
  return cut(byLength(sentences), sentences, batchSize, wordLimits(classifier)).length;
}

function byLength(sentences: readonly Sentence[]): number[] {
  return sentences.map((_, i) => i).sort((a, b) => sentences[a].length - sentences[b].length);
}

/** What takes part in a training step. */
export interface SentenceTraining {
  classifier: SentenceClassifier;
  optimizer: Optimizer;
  history: LossHistory;
}

/**
 * One step: forward, backward and update of a batch are recorded and submitted together. Waits for a read
 * of older losses at most.
 */
export async function trainSentenceBatch(
  { classifier, optimizer, history }: SentenceTraining,
  { sentences, labels }: LabelledSentences,
): Promise<void> {
  const { gpu } = classifier;
  using input = classifier.upload(sentences);
  using targets = Tensor.from(gpu, labels, undefined, { name: "targets" });
  using tape = new Tape(gpu);
  const loss = classifier.loss(input, targets);
  tape.backward(loss);
  optimizer.step();
  await history.add(loss.tensor);
}

/** What {@linkcode trainSentenceEpoch} needs. */
export interface SentenceEpoch extends SentenceTraining {
  data: LabelledSentences;
  batchSize: number;
  /** Orders the sentences of this epoch. */
  stream: RandomStream;
  /** Called after each step. Return false to stop here. */
  onStep: () => boolean | Promise<boolean>;
}

/**
 * One pass over all sentences in a new order. Answers whether it was finished.
 *
 * Errors: RangeError for a label that is none, and for a sentence too long for the device
 * ({@linkcode checkLengths}).
 */
export async function trainSentenceEpoch(options: SentenceEpoch): Promise<boolean> {
  const { classifier, optimizer, data, batchSize, stream, onStep } = options;
  const { sentences, labels } = data;
  if (labels.length !== sentences.length) {
    throw new TypeError(`There are ${labels.length} labels for ${sentences.length} sentences`);
  }
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 0 || labels[i] === 1) continue;
    throw new RangeError(`A label must be 0 or 1: that of sentence ${i} is ${labels[i]}`);
  }
  checkLengths(classifier, sentences);
  for (const chosen of bucketBatches(sentences, batchSize, stream, wordLimits(classifier))) {
    await trainSentenceBatch(options, {
      sentences: Array.from(chosen, (i) => data.sentences[i]),
      labels: Array.from(chosen, (i) => data.labels[i]),
    });
    if (!await onStep()) return false;
  }
  optimizer.endEpoch();
  return true;
}

/**
 * The logits of sentences, in their order. At most `batchSize` sentences of similar length at a time, fewer
 * where they are long; `onBatch` is called after each batch, and what it throws ends the work.
 *
 * Errors: RangeError for a sentence too long for the device ({@linkcode checkLengths}), and for a logit that is NaN.
 */
export async function sentenceLogits(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  batchSize = 256,
  onBatch?: () => void | Promise<void>,
): Promise<Float32Array> {
  const { gpu } = classifier;
  checkLengths(classifier, sentences);
  const order = byLength(sentences);
  const parts = cut(order, sentences, batchSize, wordLimits(classifier));
  const logits = new Float32Array(sentences.length);
  if (order.length === 0) return logits;
  using all = Tensor.empty(gpu, [order.length], { name: "all logits" });
  for (const { start, end } of parts) {
    const chosen = order.slice(start, end);
    using input = classifier.upload(chosen.map((i) => sentences[i]));
    using _tape = new Tape(gpu, { training: false });
    using slot = all.view([chosen.length], start);
    slot.copyFrom(classifier.logits(input).tensor);
    gpu.flush();
    await onBatch?.();
  }
  const values = await all.read();
  order.forEach((i, place) => logits[i] = values[place]);
  const wrong = logits.findIndex(Number.isNaN);
  if (wrong >= 0) {
    throw new RangeError(
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
