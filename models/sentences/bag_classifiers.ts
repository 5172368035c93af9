/** Classifiers that read a sentence as a bag of words, in no order. */
import type { RandomStream } from "../../data/rng.ts";
import { UNK } from "../../data/text/vocabulary.ts";
import { type Bags, uploadBags } from "../../kernels/embedding/embedding_bag.ts";
import { checkIndices } from "../../kernels/embedding/embedding.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import type { Variable } from "../tape/autograd.ts";
import { Dropout, type Embedding, Linear } from "../layers/layers.ts";
import { embeddingBag } from "../tape/operations.ts";
import { Parameter } from "../layers/parameters.ts";
import {
  type ClassifierConfig,
  type ClassifierInit,
  FIRST,
  type Sentence,
  SentenceClassifier,
  type WordCost,
  wordVectors,
} from "./sentence_classifier.ts";

/** Of a word in a bag only the id is kept, and its place among equal ones. */
const BAG_COST: WordCost = { widest: 1, numbers: 4 };

/**
 * Bag of words → linear → sigmoid: the weights of the words that occur, each once, and a bias. Unknown
 * words count nothing. Sentences must not change once uploaded: their distinct words are remembered.
 * State-dict keys: `score.weight [1, V]`, `score.bias [1]`, as of a linear layer over
 * binary vectors.
 */
export class BagOfWords extends SentenceClassifier<Bags> {
  /** `[V + 1, 1]`: the weight of each word, then the bias, as the weight of a word that is in every bag. */
  readonly weights: Parameter;
  readonly #bags = new WeakMap<Sentence, Uint32Array>();

  /** On the GPU, with weights of zero or those of `init`. UserError for weights that do not fit. */
  constructor(
    gpu: Gpu,
    config: ClassifierConfig,
    stream: RandomStream,
    init: Pick<ClassifierInit, "weights"> = {},
  ) {
    super(gpu, config);
    const { vocabularySize: size, sparse = false } = config;
    this.weights = new Parameter([size + 1, 1], new Float32Array(size + 1), {
      layout: {
        slots: [{ key: "score.weight", shape: [1, size] }, { key: "score.bias", shape: [1] }],
        encode: (values) => [values.slice(0, size), values.slice(size)],
        decode: ([weight, bias]) => {
          const values = new Float32Array(size + 1);
          values.set(weight);
          values.set(bias, size);
          return values;
        },
      },
    });
    this.weights.sparse = sparse;
    this.begin(stream, init);
  }

  /** What a word of a batch needs. */
  override get wordCost(): WordCost {
    return BAG_COST;
  }

  /** The distinct known words of a sentence, and the bias. Remembered: an epoch asks for all of them again. */
  #bag(sentence: Sentence): Uint32Array {
    let bag = this.#bags.get(sentence);
    if (bag === undefined) {
      const { vocabularySize } = this.config;
      checkIndices(sentence, vocabularySize, "words");
      const distinct = new Set(Array.from(sentence));
      distinct.delete(UNK);
      bag = Uint32Array.from([...distinct, vocabularySize]);
      this.#bags.set(sentence, bag);
    }
    return bag;
  }

  /** Upload sentences. RangeError for a word id that is not in the vocabulary. */
  override upload(sentences: readonly Sentence[]): Bags {
    const bags = sentences.map((sentence) => this.#bag(sentence));
    return uploadBags(this.gpu, bags, this.weights.shape[0], "words");
  }

  /** The logits `[N, 1]` of uploaded sentences. */
  override logits(input: Bags): Variable {
    return embeddingBag(this.weights.variable, input, "sum");
  }
}

/** Word vectors → their mean → linear → sigmoid. State-dict keys: `embed.weight`, `score.*`. */
export class AveragedEmbedding extends SentenceClassifier<Bags> {
  /** Word vectors. */
  readonly embed: Embedding;
  /** Before the scores. */
  readonly dropout: Dropout;
  /** The last layer. */
  readonly score: Linear;

  /** On the GPU, with weights of zero or those of `init`. UserError for weights that do not fit. */
  constructor(gpu: Gpu, config: ClassifierConfig, stream: RandomStream, init: ClassifierInit = {}) {
    super(gpu, config);
    this.embed = wordVectors(config, init);
    this.dropout = new Dropout(config.dropout ?? 0);
    this.score = new Linear(config.wordDim, 1, FIRST);
    this.begin(stream, init);
  }

  /** What a word of a batch needs. */
  override get wordCost(): WordCost {
    return BAG_COST;
  }

  /** Upload sentences. RangeError for a word id that is not in the vocabulary. */
  override upload(sentences: readonly Sentence[]): Bags {
    return uploadBags(this.gpu, sentences, this.config.vocabularySize, "words");
  }

  /** The logits `[N, 1]` of uploaded sentences. */
  override logits(input: Bags): Variable {
    const means = embeddingBag(this.embed.weight.variable, input, "mean");
    return this.score.forward(this.dropout.forward(means));
  }
}
