/**
 * What the sentence classifiers of problem 6 share: each gives a sentence one logit, the log-odds of
 * class 1.
 *
 * Sentences are lists of word ids. What a model reads of them is uploaded by its own `upload`, so that
 * bags never see padding, and a recurrent cell's answer is taken at each sentence's own last word.
 */
import type { RandomStream } from "../../data/rng.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import type { Tensor } from "../../kernels/runtime/tensor.ts";
import type { Variable } from "../tape/autograd.ts";
import { normal, scaledNormal, zeros } from "../layers/init.ts";
import { Embedding } from "../layers/layers.ts";
import { binaryCrossEntropy } from "../tape/operations.ts";
import { Module } from "../layers/module.ts";

/** A sentence as word ids. */
export type Sentence = ArrayLike<number>;

/** The kinds of classifier. `glove` models are `average` with a table of pretrained vectors. */
export const CLASSIFIER_KINDS = ["bow", "average", "rnn", "lstm", "bilstm"] as const;
/** One of {@linkcode CLASSIFIER_KINDS}. */
export type ClassifierKind = typeof CLASSIFIER_KINDS[number];

/** Sizes of a classifier. */
export interface ClassifierConfig {
  /** Which classifier. */
  kind: ClassifierKind;
  /** V, words of the vocabulary. */
  vocabularySize: number;
  /** W, numbers in a word vector; not read by `bow`. */
  wordDim: number;
  /** H, units of the recurrent cell (of each of the two for `bilstm`); not read by `bow` and `average`. */
  hiddenDim: number;
  /** Probability of dropping a number of the word vectors while training. 0 by default. */
  wordDropout?: number;
  /** The same for the numbers that the last linear layer reads. 0 by default. */
  dropout?: number;
  /** Networks of `bilstm` that learn side by side and answer together; not read by others. 1 by default. */
  members?: number;
  /** Gradient and update of the word vectors for the rows of a step only ({@linkcode Parameter.sparse}). */
  sparse?: boolean;
}

/** First values. */
export interface ClassifierInit {
  /** Of the word vectors, `[V, W]`; a normal draw of deviation 0.1 by default. */
  table?: Float32Array<ArrayBuffer>;
  /** Of all parameters: a whole state dict. Nothing is drawn then, nor allocated where it does not fit. */
  weights?: ReadonlyMap<string, TensorData>;
}

/** What each word of a batch needs on the GPU while a classifier learns, padding included, in float32 numbers. */
export interface WordCost {
  /** In the largest tensor. */
  widest: number;
  /** In all tensors, about. */
  numbers: number;
}

/** A model from uploaded sentences `I` to logits. */
export abstract class SentenceClassifier<I extends Disposable = Disposable> extends Module {
  /** Its parameters are put on the GPU by `begin`. */
  constructor(readonly gpu: Gpu, readonly config: ClassifierConfig) {
    super();
  }

  /** Put the parameters on the GPU, with the first values that are given. UserError for weights that do not fit. */
  protected begin(stream: RandomStream, { weights }: ClassifierInit): void {
    if (weights !== undefined) this.loadStateDict(weights);
    this.toGpu(this.gpu, stream);
  }

  /** What a word of a batch needs: it limits how long sentences may be. */
  abstract get wordCost(): WordCost;

  /** Upload sentences. RangeError for a word id that is not in the vocabulary, or when there are none. */
  abstract upload(sentences: readonly Sentence[]): I;

  /** The logits `[N, 1]` of uploaded sentences. */
  abstract logits(input: I): Variable;

  /** The cross-entropy of sentences with `targets [N]`, 0 or 1, averaged. */
  loss(input: I, targets: Tensor): Variable {
    return binaryCrossEntropy(this.logits(input), targets);
  }
}

/** The homework's first values of a layer that is no table of word vectors. */
export const FIRST = { weight: scaledNormal, bias: zeros };

/** The table of word vectors, with the given first values. */
export function wordVectors(config: ClassifierConfig, init: ClassifierInit): Embedding {
  const { vocabularySize, wordDim, sparse = false } = config;
  const { table } = init;
  const embed = new Embedding(
    vocabularySize,
    wordDim,
    table === undefined ? normal(0.1) : () => table,
  );
  embed.weight.sparse = sparse;
  return embed;
}
