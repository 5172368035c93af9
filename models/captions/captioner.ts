/**
 * The image captioner of problem 5: an image's features become the initial hidden state, and a recurrent
 * cell of either kind reads the words so far and scores the next one.
 */
import type { RandomStream } from "../../data/rng.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { NULL } from "../../data/text/vocabulary.ts";
import { type Indices, uploadIndices } from "../../kernels/embedding/embedding.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, type Variable } from "../tape/autograd.ts";
import { normal, scaledNormal, zeros } from "../layers/init.ts";
import { type CellType, Dropout, Embedding, Linear, Recurrent } from "../layers/layers.ts";
import { temporalSoftmaxLoss } from "../tape/operations.ts";
import { Module } from "../layers/module.ts";

/** Sizes of a captioner. */
export interface CaptionerConfig {
  /** The kind of cell. */
  cell: CellType;
  /** F, numbers in an image's features. */
  featureDim: number;
  /** H */
  hiddenDim: number;
  /** W, numbers in a word vector. */
  wordDim: number;
  /** V, words of the vocabulary. */
  vocabularySize: number;
  /** Probability of dropping a number of the states before the scores, while training. */
  dropout?: number;
  /** Deviation of the first word vectors: 0.01 by default, the homework's choice. */
  wordDeviation?: number;
  /** Deviation of the first weights of the scores: 1 / √H by default, the homework's choice. */
  scoreDeviation?: number;
}

/** Captions with the features of their images, on the GPU. */
export interface CaptionBatch {
  /** `[N, F]` */
  features: Tensor;
  /** `[T·N]`, time-major: the words read. */
  words: Indices;
  /** `[T, N]`: the words to predict, `<NULL>` where there is none. */
  targets: Tensor<"u32">;
  /** Targets that are not `<NULL>`. */
  tokens: number;
  /** Let go of the tensors above. */
  [Symbol.dispose](): void;
}

/**
 * Upload a batch. `captions [N, L]` start with `<START>` and are padded with `<NULL>`; steps in which every
 * caption is over are left out, which changes no loss and no gradient.
 *
 * Errors: RangeError for a word index that is not in the vocabulary, TypeError for sizes that do not fit.
 */
export function uploadCaptions(
  gpu: Gpu,
  captions: ArrayLike<number>,
  features: ArrayLike<number>,
  sizes: { batch: number; vocabularySize: number },
): CaptionBatch {
  const { batch, vocabularySize } = sizes;
  const length = captions.length / batch;
  if (!Number.isInteger(length) || length < 2) {
    throw new TypeError(
      `${captions.length} numbers are not ${batch} captions of at least two tokens each`,
    );
  }
  const featureDim = features.length / batch;
  if (!Number.isInteger(featureDim) || featureDim < 1) {
    throw new TypeError(
      `${features.length} numbers are not features of ${batch} images of one size`,
    );
  }
  let steps = 0;
  for (let i = 0; i < captions.length; i++) {
    const word = captions[i];
    if (!Number.isInteger(word) || word < 0 || word >= vocabularySize) {
      throw new RangeError(
        `The word index ${word}, word ${i % length} of caption ${
          Math.floor(i / length)
        }, is not in the ` +
          `vocabulary of ${vocabularySize} words: 0 to ${vocabularySize - 1} are allowed`,
      );
    }
    if (word !== NULL) steps = Math.max(steps, i % length);
  }
  steps = Math.max(1, steps);
  const words = new Uint32Array(steps * batch);
  const targets = new Uint32Array(steps * batch);
  let tokens = 0;
  for (let t = 0; t < steps; t++) {
    for (let n = 0; n < batch; n++) {
      words[t * batch + n] = captions[n * length + t];
      const target = captions[n * length + t + 1];
      targets[t * batch + n] = target;
      if (target !== NULL) tokens++;
    }
  }
  const tensors = {
    words: uploadIndices(gpu, words, vocabularySize, "caption words"),
    features: Tensor.from(gpu, features, [batch, featureDim], { name: "features" }),
    targets: Tensor.from(gpu, targets, [steps, batch], { name: "targets", dtype: "u32" }),
  };
  return {
    ...tensors,
    tokens,
    [Symbol.dispose]() {
      for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
    },
  };
}

/**
 * An image captioner with an RNN or LSTM cell.
 *
 * State-dict keys: `project.*` (features to hidden state), `embed.weight`, `recurrent.*` (as PyTorch's
 * `nn.RNN`/`nn.LSTM`), `score.*`.
 *
 * ```ts
 * import { RandomStream } from "../../data/rng.ts";
 * import { openGpu } from "../../kernels/runtime/gpu.ts";
 * import { Tape } from "../tape/autograd.ts";
 *
 * const gpu = await openGpu();
 * const sizes = { featureDim: 2, hiddenDim: 8, wordDim: 4, vocabularySize: 6 };
 * using captioner = new Captioner(gpu, { cell: "lstm", ...sizes }, new RandomStream(1));
 * using batch = uploadCaptions(gpu, [1, 4, 5, 2], [0.5, -0.5], { batch: 1, vocabularySize: 6 });
 * using tape = new Tape(gpu);
 * const loss = captioner.loss(batch);
 * tape.backward(loss);
 * console.log(await loss.tensor.read()); // about 3 · ln 6
 * ```
 */
export class Captioner extends Module {
  /** An image's features to the first hidden state. */
  readonly project: Linear;
  /** Word vectors. */
  readonly embed: Embedding;
  /** The cell. */
  readonly recurrent: Recurrent;
  /** Before the scores. */
  readonly dropout: Dropout;
  /** The last layer. */
  readonly score: Linear;

  /** `weights` is a whole state dict: nothing is drawn then, nor allocated where it does not fit, a TypeError. */
  constructor(
    readonly gpu: Gpu,
    readonly config: CaptionerConfig,
    stream: RandomStream,
    weights?: ReadonlyMap<string, TensorData>,
  ) {
    super();
    const { cell, featureDim, hiddenDim, wordDim, vocabularySize, dropout = 0 } = config;
    const { wordDeviation = 0.01, scoreDeviation = 1 / Math.sqrt(hiddenDim) } = config;
    const first = { weight: scaledNormal, bias: zeros };
    this.project = new Linear(featureDim, hiddenDim, first);
    this.embed = new Embedding(vocabularySize, wordDim, normal(wordDeviation));
    this.recurrent = new Recurrent(cell, wordDim, hiddenDim, first);
    this.dropout = new Dropout(dropout);
    this.score = new Linear(hiddenDim, vocabularySize, {
      weight: normal(scoreDeviation),
      bias: zeros,
    });
    if (weights !== undefined) this.loadStateDict(weights);
    this.toGpu(gpu, stream);
  }

  /** The scores of the next word at each step, `[T, N, V]`. */
  scores(batch: CaptionBatch): Variable {
    const [steps, examples] = batch.targets.shape;
    const h0 = this.project.forward(constant(batch.features));
    const vectors = this.embed.forward(batch.words);
    const x = vectors.reshape([steps, examples, this.config.wordDim]);
    const h = this.dropout.forward(this.recurrent.forward(x, h0));
    return this.score.forward(h);
  }

  /** The loss of a batch: -log p of each caption's words, summed over time, averaged over the batch. */
  loss(batch: CaptionBatch): Variable {
    return temporalSoftmaxLoss(this.scores(batch), batch.targets, { ignore: NULL });
  }
}
