/** The captioner in float64, from the twins of its layers: the twin of `models/captions/captioner.ts`. */
import { addBias, matmul } from "./linear_algebra.ts";
import { lstmForward } from "./lstm.ts";
import { rnnForward } from "./rnn.ts";
import { embeddingForward, temporalLinearForward, temporalSoftmaxLoss } from "./softmax.ts";

/** Sizes of a captioner; the names are those of `CaptionerConfig`. */
export interface CaptionerShape {
  cell: "rnn" | "lstm";
  featureDim: number;
  hiddenDim: number;
  wordDim: number;
  vocabularySize: number;
}

/** The weights, row-major and in the layout of the homework: `[in, out]`, gates in the order f, i, c̃, o. */
export interface CaptionerWeights {
  projectWeight: Float64Array;
  projectBias: Float64Array;
  embedWeight: Float64Array;
  wx: Float64Array;
  wh: Float64Array;
  b: Float64Array;
  scoreWeight: Float64Array;
  scoreBias: Float64Array;
}

/** The scores of the next word `[N, T, V]` after each of the `words` `[N, T]` of images with `features` `[N, F]`. */
export function captionerScores(
  { cell, featureDim, hiddenDim, wordDim, vocabularySize }: CaptionerShape,
  weights: CaptionerWeights,
  features: Float64Array,
  words: ArrayLike<number>,
  batch: number,
): Float64Array {
  const { projectWeight, projectBias, embedWeight, wx, wh, b, scoreWeight, scoreBias } = weights;
  const steps = words.length / batch;
  const projected = matmul(features, projectWeight, batch, featureDim, hiddenDim);
  const h0 = addBias(projected, projectBias, batch, hiddenDim);
  const x = embeddingForward(words, embedWeight, { vocabulary: vocabularySize, dim: wordDim });
  const shape = { batch, steps, inputDim: wordDim, hiddenDim };
  const h = cell === "rnn"
    ? rnnForward(x, h0, wx, wh, b, shape)
    : lstmForward(x, h0, wx, wh, b, shape).h;
  const linear = { batch, steps, inputDim: hiddenDim, outputDim: vocabularySize };
  return temporalLinearForward(h, scoreWeight, scoreBias, linear);
}

/** The loss of `captions` `[N, L]`: the words but the last are read, the words but the first predicted. */
export function captionerLoss(
  shape: CaptionerShape,
  weights: CaptionerWeights,
  features: Float64Array,
  captions: ArrayLike<number>,
  batch: number,
): number {
  const length = captions.length / batch;
  const columns = (from: number) =>
    Array.from(
      { length: batch },
      (_, n) => Array.from({ length: length - 1 }, (_, t) => captions[n * length + from + t]),
    ).flat();
  const scores = captionerScores(shape, weights, features, columns(0), batch);
  const sizes = { batch, steps: length - 1, vocabulary: shape.vocabularySize };
  return temporalSoftmaxLoss(scores, columns(1), sizes).loss;
}

/** Log-probabilities of each next word after `prefix`, which starts with <START>, for one image: `[V]`. */
export function nextLogProbabilities(
  shape: CaptionerShape,
  weights: CaptionerWeights,
  features: Float64Array,
  prefix: readonly number[],
): Float64Array {
  const last = captionerScores(shape, weights, features, prefix, 1).slice(-shape.vocabularySize);
  const largest = Math.max(...last);
  const logSum = largest + Math.log(last.reduce((sum, s) => sum + Math.exp(s - largest), 0));
  return last.map((score) => score - logSum);
}
