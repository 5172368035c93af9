/** Training a sentence classifier, and measuring its answers. */
import type { RandomStream } from "../data/rng.ts";
import { Tensor } from "../kernels/tensor.ts";
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

/**
 * Cut sentences into batches of nearly equal length, so that little work goes to padding: a random order,
 * sorted by length, cut, and the batches in a random order.
 *
 * Errors: RangeError when `batchSize` is no whole number from 1.
 */
export function bucketBatches(
  sentences: readonly Sentence[],
  batchSize: number,
  stream: RandomStream,
): Int32Array[] {
  checkBatchSize(batchSize);
  // Array.prototype.sort is stable: sentences of one length stay in their random order.
  const order = stream.permutation(sentences.length)
    .sort((a, b) => sentences[a].length - sentences[b].length);
  const batches: Int32Array[] = [];
  for (let start = 0; start < order.length; start += batchSize) {
    batches.push(order.subarray(start, start + batchSize));
  }
  stream.shuffle(batches);
  return batches;
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
  const loss = classifier.loss(tape, input, targets);
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

/** One pass over all sentences in a new order. Answers whether it was finished. */
export async function trainSentenceEpoch(options: SentenceEpoch): Promise<boolean> {
  const { optimizer, data, batchSize, stream, onStep } = options;
  const { sentences, labels } = data;
  if (labels.length !== sentences.length) {
    throw new TypeError(`There are ${labels.length} labels for ${sentences.length} sentences`);
  }
  for (let i = 0; i < labels.length; i++) {
    if (labels[i] === 0 || labels[i] === 1) continue;
    throw new RangeError(`A label must be 0 or 1: that of sentence ${i} is ${labels[i]}`);
  }
  for (const chosen of bucketBatches(data.sentences, batchSize, stream)) {
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
 * The logits of sentences, in their order. `batchSize` sentences of similar length at a time; `onBatch` is called
 * after each batch, and what it throws ends the work.
 */
export async function sentenceLogits(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  batchSize = 256,
  onBatch?: () => void | Promise<void>,
): Promise<Float32Array> {
  checkBatchSize(batchSize);
  const { gpu } = classifier;
  const order = sentences.map((_, i) => i).sort((a, b) =>
    sentences[a].length - sentences[b].length
  );
  const logits = new Float32Array(sentences.length);
  if (order.length === 0) return logits;
  using all = Tensor.empty(gpu, [order.length], { name: "all logits" });
  for (let start = 0; start < order.length; start += batchSize) {
    const chosen = order.slice(start, start + batchSize);
    using input = classifier.upload(chosen.map((i) => sentences[i]));
    using tape = new Tape(gpu, { training: false });
    using slot = all.view([chosen.length], start);
    slot.copyFrom(classifier.logits(tape, input).tensor);
    gpu.flush();
    await onBatch?.();
  }
  const values = await all.read();
  order.forEach((i, place) => logits[i] = values[place]);
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
