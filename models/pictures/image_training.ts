/** Training a network to tell pictures apart, and measuring its answers. */
import type { TensorData } from "../../data/formats/tensor_data.ts";
import type { ImageBatch } from "../../data/images/image_loader.ts";
import type { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, type Variable } from "../tape/autograd.ts";
import { float64, type SavedState, type Stateful, stateTensor } from "../training/checkpoint.ts";
import { crossEntropy } from "../tape/cross_entropy.ts";
import type { VisionModel } from "./vision_model.ts";
import { UserError } from "../../data/files/user_error.ts";

/** What a network answers to pictures, in the order in which they came. */
export interface PictureScores {
  /** How many classes there are. */
  classes: number;
  /** `[N, classes]`, before the softmax. */
  logits: Float32Array;
  /** The true class of each, `[N]`. */
  labels: Uint32Array;
  /** Which of the loader's pictures they are, `[N]`. */
  indices: Uint32Array;
}

/** How good answers are. */
export interface Measure {
  /** Cross-entropy of a picture, on average. */
  loss: number;
  /** The share of the pictures whose class is the answer. */
  accuracy: number;
}

/** Gathers the scores of many batches on the GPU: they are read once. */
export class ScoreList implements Stateful, Disposable {
  readonly #all: Tensor;
  #labels: number[] = [];
  #indices: number[] = [];

  /** With room for so many pictures. */
  constructor(readonly model: VisionModel, pictures: number) {
    const { store: { gpu }, classes } = model;
    this.#all = Tensor.empty(gpu, [pictures, classes], { name: "scores of all pictures" });
  }

  /** Note the answers to a batch, `[N, classes]`. */
  add(logits: Tensor, { labels, indices }: ImageBatch): void {
    using slot = this.#all.view(logits.shape, this.#labels.length * this.model.classes);
    slot.copyFrom(logits);
    this.#labels.push(...labels);
    this.#indices.push(...indices);
  }

  /** Forget all. */
  clear(): void {
    this.#labels = [];
    this.#indices = [];
  }

  /** What it needs to go on. */
  async state(): Promise<SavedState> {
    const { classes, logits, labels, indices } = await this.read();
    const tensors = new Map<string, TensorData>([
      ["logits", { dtype: "F32", shape: [labels.length, classes], data: new Float32Array(logits) }],
      ["labels", float64(labels)],
      ["indices", float64(indices)],
    ]);
    return { tensors };
  }

  loadState(state: SavedState): void {
    const logits = stateTensor(state, "logits", "F32");
    const [labels, indices] = ["labels", "indices"].map((key) => [
      ...stateTensor(state, key, "F64"),
    ]);
    const { classes } = this.model;
    if (logits.length !== labels.length * classes || labels.length !== indices.length) {
      throw new UserError(`${logits.length} scores are not those of ${labels.length} pictures`);
    }
    using slot = this.#all.view([labels.length, classes]);
    if (labels.length > 0) slot.write(logits);
    [this.#labels, this.#indices] = [labels, indices];
  }

  /** All that were noted, in their order. */
  async read(): Promise<PictureScores> {
    const { classes } = this.model;
    using used = this.#all.view([this.#labels.length, classes]);
    return {
      classes,
      logits: await used.read(),
      labels: Uint32Array.from(this.#labels),
      indices: Uint32Array.from(this.#indices),
    };
  }

  /** Let go of the answers on the GPU. */
  [Symbol.dispose](): void {
    this.#all.dispose();
  }
}

/** The pictures of a batch on the GPU: `[N, height, width, 3]`. */
function upload({ store: { gpu } }: VisionModel, batch: ImageBatch): Tensor {
  const { pixels, width, height, indices } = batch;
  return Tensor.from(gpu, pixels, [indices.length, height, width, 3], { name: "pictures" });
}

/** A RangeError where a picture of the batch has no label, or one that is no class. */
function checkLabels({ classes }: VisionModel, { labels, indices }: ImageBatch): void {
  if (labels.length !== indices.length) {
    throw new RangeError(`There are ${labels.length} labels for ${indices.length} pictures`);
  }
  const wrong = labels.findIndex((label) => label >= classes);
  if (wrong < 0) return;
  throw new RangeError(
    `A label must be a class from 0 to ${classes - 1}: that of picture ${indices[wrong]} is ${
      labels[wrong]
    }`,
  );
}

/** What takes part in a step besides the network and its pictures. */
export interface ImageStep {
  /** What the step is recorded on. */
  tape: Tape;
  /** Dropout draws from it. */
  stream: RandomStream;
  /** Batch norms take the batch's statistics and move the running ones (the default), or leave these be. */
  batchStatistics?: boolean;
  /** Where the answers go. */
  scores: ScoreList;
}

/**
 * The loss of a batch of pictures; the tape owns what is uploaded.
 *
 * Errors: RangeError for a picture without a label, and for a label that is no class.
 */
export function imageLoss(
  model: VisionModel,
  batch: ImageBatch,
  { tape, stream, batchStatistics = true, scores }: ImageStep,
): Variable {
  checkLabels(model, batch);
  const { gpu } = model.store;
  const pictures = tape.keep(upload(model, batch));
  const targets = tape.keep(
    Tensor.from(gpu, batch.labels, [batch.labels.length], { name: "labels", dtype: "u32" }),
  );
  const logits = model.forward(constant(pictures), { batchStatistics, stream });
  scores.add(logits.tensor, batch);
  return crossEntropy(logits, targets);
}

/**
 * A network's answers to pictures, without learning: no dropout, and batch norms take their running
 * statistics. There are at most so many `pictures`. `onBatch` is called after each batch; what it throws ends
 * the measurement.
 *
 * Errors: RangeError for a picture without a label, and for a label that is no class.
 */
export async function imageScores(
  model: VisionModel,
  batches: AsyncIterable<ImageBatch>,
  pictures: number,
  onBatch?: () => void | Promise<void>,
): Promise<PictureScores> {
  const { gpu } = model.store;
  using scores = new ScoreList(model, pictures);
  for await (const batch of batches) {
    checkLabels(model, batch);
    using pixels = upload(model, batch);
    using _tape = new Tape(gpu, { training: false });
    scores.add(model.forward(constant(pixels)).tensor, batch);
    gpu.flush();
    await onBatch?.();
  }
  return await scores.read();
}

/**
 * The class with the highest score for each picture, of equals the first: `[N]`.
 *
 * ```ts
 * const scores = { classes: 2, logits: Float32Array.of(1, 2, 0, 0), labels: Uint32Array.of(1, 1) };
 * const given = answers({ ...scores, indices: Uint32Array.of(0, 1) });
 * if (given.join() !== "1,0") throw new Error(`answers ${given}`);
 * ```
 */
export function answers({ classes, logits, labels }: PictureScores): Uint32Array {
  return Uint32Array.from(labels, (_, i) => {
    let best = 0;
    for (let k = 1; k < classes; k++) {
      if (logits[i * classes + k] > logits[i * classes + best]) best = k;
    }
    return best;
  });
}

/**
 * The softmax of the scores of the answer at place `i`: `[classes]`.
 *
 * Errors: UserError where a score is not finite.
 */
export function probabilities(
  { classes, logits, indices }: PictureScores,
  i: number,
): Float64Array {
  const row = Float64Array.from(logits.subarray(i * classes, (i + 1) * classes));
  const wrong = row.findIndex((score) => !Number.isFinite(score));
  if (wrong >= 0) {
    throw new UserError(
      `The score of picture ${indices[i]} for class ${wrong} is ${
        row[wrong]
      }: look for NaN and huge numbers in ` +
        `the network's weights`,
    );
  }
  const top = Math.max(...row);
  const powers = row.map((score) => Math.exp(score - top));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.map((power) => power / total);
}

/**
 * How good answers are: the mean of `log Σ exp(s) - s_y`, and the share that is right.
 *
 * Errors: RangeError when there is none.
 */
export function measure(scores: PictureScores): Measure {
  const { classes, logits, labels } = scores;
  if (labels.length === 0) throw new RangeError("A measure needs at least one picture");
  const given = answers(scores);
  let [loss, right] = [0, 0];
  for (const [i, label] of labels.entries()) {
    const row = logits.subarray(i * classes, (i + 1) * classes);
    const top = Math.max(...row);
    const total = row.reduce((sum, score) => sum + Math.exp(score - top), 0);
    loss += Math.log(total) - (row[label] - top);
    if (given[i] === label) right++;
  }
  return { loss: loss / labels.length, accuracy: right / labels.length };
}
