/** Classifiers that read a sentence word by word. */
import type { RandomStream } from "../../data/rng.ts";
import { NULL, UNK } from "../../data/text/vocabulary.ts";
import { type Indices, uploadIndices } from "../../kernels/embedding/embedding.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, tapeOf, type Variable } from "../tape/autograd.ts";
import { type CellType, Dropout, type Embedding, Linear, Recurrent } from "../layers/layers.ts";
import * as operations from "../tape/operations.ts";
import {
  type ClassifierConfig,
  type ClassifierInit,
  FIRST,
  type Sentence,
  SentenceClassifier,
  type WordCost,
  wordVectors,
} from "./sentence_classifier.ts";
import { concat } from "../tape/variable.ts";
import { Module } from "../layers/module.ts";

/** Sentences side by side, time-major, for the recurrent models. */
export interface SentenceSequences {
  /** Sentences, N. */
  count: number;
  /** Words of the longest, T. */
  steps: number;
  /** `[T·N]`: word t of sentence n at t·N + n, `<NULL>` after its end. */
  words: Indices;
  /** `[N]`: the place of each sentence's last word. */
  last: Indices;
  /** `[T·N]`: the places of the words in reverse order, each sentence from its own last word. */
  reversed: Indices;
  /** `[N]`: words of each sentence. */
  lengths: Tensor<"u32">;
  /** Let go of the tensors above. */
  [Symbol.dispose](): void;
}

/**
 * Upload sentences for a recurrent model. A sentence without words is read as one unknown word.
 *
 * Errors: RangeError when there are no sentences, or for a word id that is not in the vocabulary.
 */
export function uploadSequences(
  gpu: Gpu,
  sentences: readonly Sentence[],
  vocabularySize: number,
): SentenceSequences {
  const count = sentences.length;
  if (count === 0) throw new RangeError("There must be at least one sentence");
  const texts = sentences.map((words) => words.length === 0 ? [UNK] : words);
  const lengths = texts.map((words) => words.length);
  const steps = Math.max(...lengths);
  const words = new Float64Array(steps * count).fill(NULL);
  const reversed = new Float64Array(steps * count);
  texts.forEach((text, n) => {
    for (let t = 0; t < steps; t++) {
      const inside = t < text.length;
      if (inside) words[t * count + n] = text[t];
      reversed[t * count + n] = (inside ? text.length - 1 - t : t) * count + n;
    }
  });
  const last = lengths.map((length, n) => (length - 1) * count + n);
  const tensors = {
    words: uploadIndices(gpu, words, vocabularySize, "words"),
    last: uploadIndices(gpu, last, steps * count, "last words"),
    reversed: uploadIndices(gpu, reversed, steps * count, "reversed words"),
    lengths: Tensor.from(gpu, lengths, [count], { name: "lengths", dtype: "u32" }),
  };
  return {
    ...tensors,
    count,
    steps,
    [Symbol.dispose]() {
      for (const tensor of Object.values(tensors)) tensor[Symbol.dispose]();
    },
  };
}

/** A recurrent layer over `x [T·N, W]` from a state of zeros: the states `[T, N, H]`. */
function runCell(cell: Recurrent, x: Variable, { steps, count }: SentenceSequences) {
  const sequence = x.reshape([steps, count, cell.inputDim]);
  const tape = tapeOf(x);
  const h0 = tape.keep(Tensor.zeros(tape.gpu, [count, cell.hiddenDim], { name: "h0" }));
  return cell.forward(sequence, constant(h0));
}

/**
 * What a word needs in so many cells over one table: its vector, with a mask, a gradient and what an order of
 * its own takes; in each cell gates and their gradients, states and their gradients.
 */
function cellCost(kind: CellType, wordDim: number, hiddenDim: number, cells: number): WordCost {
  const gates = (kind === "lstm" ? 4 : 1) * hiddenDim;
  return {
    widest: Math.max(wordDim, gates),
    numbers: 4 * wordDim + cells * (2 * gates + 4 * hiddenDim),
  };
}

/**
 * Word vectors → RNN or LSTM → linear on the state at each sentence's own last word → sigmoid.
 * State-dict keys: `embed.weight`, `recurrent.*` (as PyTorch's `nn.RNN`/`nn.LSTM`), `score.*`.
 */
export class RecurrentClassifier extends SentenceClassifier<SentenceSequences> {
  /** Word vectors. */
  readonly embed: Embedding;
  /** Of the word vectors. */
  readonly wordDropout: Dropout;
  /** The cell. */
  readonly recurrent: Recurrent;
  /** Before the scores. */
  readonly dropout: Dropout;
  /** The last layer. */
  readonly score: Linear;

  /** On the GPU, with first values from the stream or from `init`. UserError for weights that do not fit. */
  constructor(
    gpu: Gpu,
    config: ClassifierConfig & { kind: CellType },
    stream: RandomStream,
    init: ClassifierInit = {},
  ) {
    super(gpu, config);
    const { kind, wordDim, hiddenDim, wordDropout = 0, dropout = 0 } = config;
    this.embed = wordVectors(config, init);
    this.wordDropout = new Dropout(wordDropout, stream.split("word dropout"));
    this.recurrent = new Recurrent(kind, wordDim, hiddenDim, FIRST);
    this.dropout = new Dropout(dropout);
    this.score = new Linear(hiddenDim, 1, FIRST);
    this.begin(stream, init);
  }

  /** What a word of a batch needs. */
  override get wordCost(): WordCost {
    const { wordDim, hiddenDim } = this.config;
    return cellCost(this.recurrent.cell, wordDim, hiddenDim, 1);
  }

  /** Upload sentences. RangeError for a word id that is not in the vocabulary. */
  override upload(sentences: readonly Sentence[]): SentenceSequences {
    return uploadSequences(this.gpu, sentences, this.config.vocabularySize);
  }

  /** The logits `[N, 1]` of uploaded sentences. */
  override logits(input: SentenceSequences): Variable {
    const x = this.wordDropout.forward(this.embed.forward(input.words));
    const states = runCell(this.recurrent, x, input);
    const rows = states.reshape([input.words.ids.size, this.recurrent.hiddenDim]);
    const last = operations.embedding(rows, input.last);
    return this.score.forward(this.dropout.forward(last));
  }
}

/** One network of a {@linkcode BidirectionalClassifier}. */
class BidirectionalMember extends Module {
  readonly embed: Embedding;
  readonly wordDropout: Dropout;
  readonly forwards: Recurrent;
  readonly backwards: Recurrent;
  readonly dropout: Dropout;
  readonly score: Linear;

  /** `stream` is that of the member: its words are dropped by it. */
  constructor(config: ClassifierConfig, stream: RandomStream, init: ClassifierInit) {
    super();
    const { wordDim, hiddenDim, wordDropout = 0, dropout = 0 } = config;
    this.embed = wordVectors(config, init);
    this.wordDropout = new Dropout(wordDropout, stream);
    this.forwards = new Recurrent("lstm", wordDim, hiddenDim, FIRST);
    this.backwards = new Recurrent("lstm", wordDim, hiddenDim, FIRST);
    this.dropout = new Dropout(dropout);
    this.score = new Linear(2 * hiddenDim, 1, FIRST);
  }

  /** As PyTorch names the two directions of one layer. */
  protected override nameOf(path: string): string {
    const [direction, part] = path.split(".");
    if (part === undefined) return path;
    if (direction === "forwards") return `recurrent.${part}`;
    return direction === "backwards" ? `recurrent.${part}_reverse` : path;
  }

  logits(input: SentenceSequences): Variable {
    const x = this.wordDropout.forward(this.embed.forward(input.words));
    const reversed = operations.embedding(x, input.reversed);
    const pool = (cell: Recurrent, words: Variable) =>
      operations.maxOverTime(runCell(cell, words, input), input.lengths);
    const pooled = concat([
      pool(this.forwards, x),
      pool(this.backwards, reversed),
    ]);
    return this.score.forward(this.dropout.forward(pooled));
  }
}

/**
 * Beyond the homework: word vectors → an LSTM in each direction → the largest value of each unit over the
 * sentence → linear → sigmoid. With `members` several such networks, with word vectors of their own, learn
 * side by side, each from its own loss, and the mean of their logits is the answer: an ensemble.
 *
 * State-dict keys: `embed.weight`, `recurrent.*` (as PyTorch's bidirectional `nn.LSTM`), `score.*`; with
 * several members `members.0.embed.weight` and so on.
 */
export class BidirectionalClassifier extends SentenceClassifier<SentenceSequences> {
  /** @internal */
  readonly members: readonly BidirectionalMember[];

  /** On the GPU, with first values from the stream or from `init`. UserError for weights that do not fit. */
  constructor(gpu: Gpu, config: ClassifierConfig, stream: RandomStream, init: ClassifierInit = {}) {
    super(gpu, config);
    const { members = 1 } = config;
    if (!Number.isInteger(members) || members < 1) {
      throw new RangeError(`There must be a whole number of members from 1: it is ${members}`);
    }
    this.members = Array.from({ length: members }, (_, i) => {
      const prefix = members === 1 ? "" : `members.${i}.`;
      return new BidirectionalMember(config, stream.split(`${prefix}word dropout`), init);
    });
    this.begin(stream, init);
  }

  /** A member that is alone has no number. */
  protected override nameOf(path: string): string {
    return this.members.length === 1 ? path.replace(/^members\.0\.?/, "") : path;
  }

  /** What a word of a batch needs. */
  override get wordCost(): WordCost {
    const { wordDim, hiddenDim } = this.config;
    const { widest, numbers } = cellCost("lstm", wordDim, hiddenDim, 2);
    return { widest, numbers: this.members.length * numbers };
  }

  /** Upload sentences. RangeError for a word id that is not in the vocabulary. */
  override upload(sentences: readonly Sentence[]): SentenceSequences {
    return uploadSequences(this.gpu, sentences, this.config.vocabularySize);
  }

  /** The logits `[N, 1]` of uploaded sentences. */
  override logits(input: SentenceSequences): Variable {
    const all = this.members.map((member) => member.logits(input));
    if (all.length === 1) return all[0];
    const share = new Float32Array(all.length).fill(1 / all.length);
    const mean = tapeOf(...all).keep(
      Tensor.from(this.gpu, share, [all.length, 1], { name: "mean" }),
    );
    return operations.linear(concat(all), constant(mean));
  }

  /** The cross-entropy of each member, summed over them. */
  override loss(input: SentenceSequences, targets: Tensor): Variable {
    return this.members
      .map((member) => operations.binaryCrossEntropy(member.logits(input), targets))
      .reduce((sum, loss) => sum.add(loss));
  }
}
