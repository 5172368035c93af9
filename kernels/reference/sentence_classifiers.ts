/**
 * The sentence classifiers in float64, from the twins of their layers: the twin of
 * `models/sentences/sentence_classifiers.ts`. Each sentence is computed by itself, so there is no padding here
 * that could count.
 */
import { accumulate, dot } from "./linear_algebra.ts";
import { lstmBackward, lstmForward } from "./lstm.ts";
import { bagBackward, bagForward, maxOverTimeBackward, maxOverTimeForward } from "./pooling.ts";
import { rnnBackward, rnnForward } from "./rnn.ts";
import { sigmoidCrossEntropy } from "./softmax.ts";
import { embeddingBackward, embeddingForward } from "./softmax.ts";

/** Sizes of a classifier; the names are those of `ClassifierConfig`. */
export interface ClassifierShape {
  kind: "bow" | "average" | "rnn" | "lstm" | "bilstm";
  vocabularySize: number;
  wordDim: number;
  hiddenDim: number;
}

/** Weights, or their gradients, by parameter: `[in, out]`, gates in the order f, i, c̃, o. */
export type ClassifierWeights = Record<string, Float64Array>;

type Sentence = readonly number[];

/** The id of the unknown word. */
const UNK = 3;

/** A vector that the last layer scores, and how its gradient reaches the weights before. */
interface Pooled {
  features: Float64Array;
  backward: (dFeatures: Float64Array) => ClassifierWeights;
}

/** The first `T` rows of a sequence `[T, D]`, last first. */
function reversed(x: Float64Array, width: number): Float64Array {
  const steps = x.length / width;
  return Float64Array.from(x, (_, i) => x[(steps - 1 - Math.floor(i / width)) * width + i % width]);
}

/** One cell over one sentence's word vectors `x` `[T, W]`: its states `[T, H]`, and backward from theirs. */
function runCell(
  { kind, wordDim, hiddenDim }: ClassifierShape,
  weights: ClassifierWeights,
  x: Float64Array,
  suffix = "",
) {
  const key = (part: string) => `recurrent.${part}_l0${suffix}`;
  const keys = [key("weight_ih"), key("weight_hh"), key("bias_ih")];
  const [wx, wh, b] = keys.map((name) => weights[name]);
  const h0 = new Float64Array(hiddenDim);
  const shape = { batch: 1, steps: x.length / wordDim, inputDim: wordDim, hiddenDim };
  const named = (dx: Float64Array, ...gradients: Float64Array[]) => ({
    dx,
    gradients: Object.fromEntries(keys.map((name, i) => [name, gradients[i]])),
  });
  if (kind === "rnn") {
    const h = rnnForward(x, h0, wx, wh, b, shape);
    const backward = (dh: Float64Array) => {
      const { dx, dWx, dWh, db } = rnnBackward(dh, h, x, h0, wx, wh, shape);
      return named(dx, dWx, dWh, db);
    };
    return { h, backward };
  }
  const states = lstmForward(x, h0, wx, wh, b, shape);
  const backward = (dh: Float64Array) => {
    const { dx, dWx, dWh, db } = lstmBackward(dh, states, x, h0, wx, wh, shape);
    return named(dx, dWx, dWh, db);
  };
  return { h: states.h, backward };
}

/** The distinct known words, each once, and the bias, which is the weight after the last word's. */
function poolWords(
  { vocabularySize }: ClassifierShape,
  weights: ClassifierWeights,
  words: Sentence,
) {
  const bag = [...new Set(words)].filter((word) => word !== UNK);
  bag.push(vocabularySize);
  const shape = { vocabulary: vocabularySize + 1, dim: 1 };
  return {
    features: bagForward([bag], weights["score.weight"], shape, "sum"),
    backward: (d: Float64Array) => ({ "score.weight": bagBackward(d, [bag], shape, "sum") }),
  };
}

function poolAverage(shape: ClassifierShape, weights: ClassifierWeights, words: Sentence): Pooled {
  const table = { vocabulary: shape.vocabularySize, dim: shape.wordDim };
  return {
    features: bagForward([words], weights["embed.weight"], table, "mean"),
    backward: (d) => ({ "embed.weight": bagBackward(d, [words], table, "mean") }),
  };
}

/** The state at the last word, or the largest of each unit over both directions. */
function poolStates(shape: ClassifierShape, weights: ClassifierWeights, words: Sentence): Pooled {
  const { kind, vocabularySize, wordDim, hiddenDim } = shape;
  const table = { vocabulary: vocabularySize, dim: wordDim };
  const steps = words.length;
  const x = embeddingForward(words, weights["embed.weight"], table);
  const cell = runCell(shape, weights, x);
  if (kind !== "bilstm") {
    return {
      features: cell.h.slice(-hiddenDim),
      backward: (d) => {
        const dh = new Float64Array(cell.h.length);
        dh.set(d, dh.length - hiddenDim);
        const { dx, gradients } = cell.backward(dh);
        return { ...gradients, "embed.weight": embeddingBackward(dx, words, table) };
      },
    };
  }
  const back = runCell(shape, weights, reversed(x, wordDim), "_reverse");
  const largest = [cell, back].map(({ h }) => maxOverTimeForward(h, steps, hiddenDim));
  return {
    features: Float64Array.from(largest.flatMap(({ out }) => [...out])),
    backward: (d) => {
      const [there, again] = [cell, back].map(({ backward }, i) => {
        const own = d.subarray(i * hiddenDim, (i + 1) * hiddenDim);
        return backward(maxOverTimeBackward(own, largest[i].steps, steps));
      });
      const dx = there.dx.slice();
      accumulate(dx, reversed(again.dx, wordDim));
      const embed = embeddingBackward(dx, words, table);
      return { ...there.gradients, ...again.gradients, "embed.weight": embed };
    },
  };
}

function pool(shape: ClassifierShape, weights: ClassifierWeights, words: Sentence): Pooled {
  if (shape.kind === "bow") return poolWords(shape, weights, words);
  if (shape.kind === "average") return poolAverage(shape, weights, words);
  return poolStates(shape, weights, words.length === 0 ? [UNK] : words);
}

/** The loss of labeled sentences, averaged, with the logits and the gradients on all weights. */
export function classifierLoss(
  shape: ClassifierShape,
  weights: ClassifierWeights,
  sentences: readonly Sentence[],
  labels: readonly number[],
): { loss: number; logits: Float64Array; gradients: ClassifierWeights } {
  const pooled = sentences.map((words) => pool(shape, weights, words));
  // A bag of words is its own score; the others have a linear layer.
  const [weight, bias] = [weights["score.weight"], weights["score.bias"]];
  const score = ({ features }: Pooled) =>
    bias === undefined ? features[0] : dot(features, weight) + bias[0];
  const logits = Float64Array.from(pooled, score);
  const { losses, gradient } = sigmoidCrossEntropy(logits, labels);
  const count = sentences.length;
  const gradients = Object.fromEntries(
    Object.entries(weights).map(([name, values]) => [name, new Float64Array(values.length)]),
  );
  pooled.forEach(({ features, backward }, n) => {
    const d = gradient[n] / count;
    let dFeatures = Float64Array.of(d);
    if (bias !== undefined) {
      accumulate(gradients["score.weight"], features.map((v) => d * v));
      gradients["score.bias"][0] += d;
      dFeatures = weight.map((w) => d * w);
    }
    for (const [name, values] of Object.entries(backward(dFeatures))) {
      accumulate(gradients[name], values);
    }
  });
  return { loss: losses.reduce((a, b) => a + b, 0) / count, logits, gradients };
}
