/** The six models of problem 6, each with what is its own: kind, vectors, page title, defaults. */
import type { ClassifierKind } from "../../models/sentences/sentence_classifier.ts";

/** Settings whose defaults differ between models or between kinds of data. */
export interface Defaults {
  /** Words that occur less often in the training sentences are unknown words. */
  minCount: number;
  /** Numbers in a word vector that is learned from nothing. */
  width: number;
  /** Numbers learned beside the pretrained ones in each word vector. */
  extra: number;
  /** Networks that learn side by side and answer together. */
  members: number;
  /** Units of the recurrent cell; of each of the two where there are two. */
  hidden: number;
  /** Sentences in a step. */
  batch: number;
  /** Passes over the training sentences, at most. */
  epochs: number;
  /** Epochs without a better dev accuracy before training stops; 0 for never. */
  patience: number;
  /** Learning rate of Adam. */
  lr: number;
  /** The learning rate times this after each epoch. */
  decay: number;
  /** Largest norm of the gradient; 0 for none. */
  clip: number;
  /** Dropout of what the last linear layer reads. */
  dropout: number;
  /** Dropout of the word vectors. */
  wordDropout: number;
  /** Decay of the moving average of the weights; 0 for no average. */
  average: number;
  /** Sparse Adam for the word vectors. */
  sparse: boolean;
}

/** What a task of this folder needs to know of its model. */
export interface TextModel {
  /** The task is `text-<name>`. */
  name: string;
  /** What is built. */
  kind: ClassifierKind;
  /** Whether it starts from pretrained word vectors. */
  glove: boolean;
  /** The page's heading. */
  title: string;
  /** The model in one line, for the help page. */
  summary: string;
  /** Train, dev and test accuracy in the 2019 report, in percent; our own model has none. */
  report?: readonly [train: number, dev: number, test: number];
  /** With `--data`. */
  real: Defaults;
  /** With the generated reviews. */
  generated: Defaults;
}

/** The homework's sizes: 40,000 sentences in batches of 100, 100 units. */
const BASE: Defaults = {
  minCount: 1,
  width: 100,
  extra: 0,
  members: 1,
  hidden: 100,
  batch: 100,
  epochs: 10,
  patience: 4,
  lr: 1e-3,
  decay: 1,
  clip: 0,
  dropout: 0,
  wordDropout: 0,
  average: 0,
  sparse: false,
};

/** The generated reviews are few: smaller batches, and more epochs. */
const FEW: Defaults = { ...BASE, batch: 32, epochs: 20 };

/** For a recurrent cell on them: smaller, and faster steps. */
const SMALL: Defaults = { ...FEW, hidden: 64, lr: 3e-3 };

/** The models by the names of their tasks. */
export const TEXT_MODELS = {
  bow: {
    name: "bow",
    kind: "bow",
    glove: false,
    title: "Sentence classification with a bag of words",
    summary: "bag of words → linear → sigmoid",
    report: [98.07, 96.06, 95.45],
    real: { ...BASE, minCount: 2, epochs: 12, lr: 2e-2, decay: 0.7 },
    generated: { ...FEW, lr: 1e-2 },
  },
  average: {
    name: "average",
    kind: "average",
    glove: false,
    title: "Sentence classification with averaged word vectors",
    summary: "word vectors → mean over the words → linear → sigmoid",
    report: [98.015, 95.83, 95.15],
    real: { ...BASE, minCount: 2, lr: 2e-3, decay: 0.7 },
    generated: { ...FEW, lr: 3e-3 },
  },
  glove: {
    name: "glove",
    kind: "average",
    glove: true,
    title: "Sentence classification with averaged GloVe vectors",
    summary: "GloVe vectors → mean over the words → linear → sigmoid",
    report: [98.21, 95.79, 95.29],
    real: { ...BASE, lr: 2e-3, decay: 0.8 },
    generated: { ...FEW, lr: 3e-3 },
  },
  rnn: {
    name: "rnn",
    kind: "rnn",
    glove: true,
    title: "Sentence classification with an RNN",
    summary: "GloVe vectors → vanilla RNN → linear on the last word's state → sigmoid",
    report: [99.1, 94.17, 94.39],
    real: { ...BASE, epochs: 8, clip: 1 },
    generated: { ...SMALL, lr: 1e-3, clip: 5 },
  },
  lstm: {
    name: "lstm",
    kind: "lstm",
    glove: true,
    title: "Sentence classification with an LSTM",
    summary: "GloVe vectors → LSTM → linear on the last word's state → sigmoid",
    report: [99.6925, 95.97, 95.79],
    real: { ...BASE, epochs: 9, dropout: 0.3, wordDropout: 0.2, average: 0.998 },
    generated: SMALL,
  },
  best: {
    name: "best",
    kind: "bilstm",
    glove: true,
    title: "Sentence classification with LSTMs in both directions",
    summary: "GloVe vectors → LSTM in both directions → each unit's maximum → linear → sigmoid",
    real: {
      ...BASE,
      members: 3,
      epochs: 10,
      lr: 2e-3,
      decay: 0.85,
      dropout: 0.5,
      wordDropout: 0.4,
      average: 0.998,
    },
    generated: { ...SMALL, dropout: 0.3, wordDropout: 0.1, average: 0.99 },
  },
} as const satisfies Record<string, TextModel>;

/** The name of a model. */
export type TextModelName = keyof typeof TEXT_MODELS;
