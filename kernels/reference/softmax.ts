/**
 * The layers around the recurrent net in float64: word embedding, the linear layer over time, and the
 * softmax loss over time with its mask, as in Stanford's CS231n.
 */
import { addBias, checkShape, columnSum, matmul, sigmoid } from "./linear_algebra.ts";

/** The id of <NULL>, the padding: targets with it do not count. */
export const NULL = 0;

function checkIndex(name: string, index: number, size: number): void {
  if (!Number.isInteger(index) || index < 0 || index >= size) {
    throw new RangeError(`Each of the ${name} must be from 0 to ${size - 1}: one is ${index}`);
  }
}

/** The sizes of word scores over time, `[batch, steps, vocabulary]`. */
export interface ScoresShape {
  batch: number;
  steps: number;
  vocabulary: number;
}

/**
 * Softmax cross-entropy of `scores` `[N, T, V]` against `targets` `[N, T]`, summed over the steps whose
 * target is not <NULL>, averaged over the batch: L = -1/N Σ log softmax(scores)[target].
 * `dScores` `[N, T, V]` is its gradient, (softmax - onehot) / N, and zero where the target is <NULL>.
 */
export function temporalSoftmaxLoss(
  scores: Float64Array,
  targets: ArrayLike<number>,
  { batch, steps, vocabulary }: ScoresShape,
): { loss: number; dScores: Float64Array } {
  checkShape("scores", scores, [batch, steps, vocabulary]);
  checkShape("targets", targets, [batch, steps]);
  const dScores = new Float64Array(scores.length);
  let loss = 0;
  for (let row = 0; row < batch * steps; row++) {
    checkIndex("targets", targets[row], vocabulary);
    if (targets[row] === NULL) continue;
    const at = row * vocabulary;
    const values = scores.subarray(at, at + vocabulary);
    // The largest score is taken off first: exp of a large score would overflow.
    const largest = values.reduce((a, b) => Math.max(a, b));
    const shifted = values.map((score) => score - largest);
    const logSum = Math.log(shifted.reduce((sum, score) => sum + Math.exp(score), 0));
    loss += (logSum - shifted[targets[row]]) / batch; // (P16)
    for (let word = 0; word < vocabulary; word++) {
      const hit = word === targets[row] ? 1 : 0;
      dScores[at + word] = (Math.exp(shifted[word] - logSum) - hit) / batch; // (P17)
    }
  }
  return { loss, dScores };
}

/** The sizes of a linear layer over time. */
export interface TemporalLinearShape {
  batch: number;
  steps: number;
  inputDim: number;
  outputDim: number;
}

/** `x` `[N, T, D]` times `w` `[D, M]` plus `b` `[M]`, at each step: `[N, T, M]`. */
export function temporalLinearForward(
  x: Float64Array,
  w: Float64Array,
  b: Float64Array,
  { batch, steps, inputDim, outputDim }: TemporalLinearShape,
): Float64Array {
  const rows = batch * steps;
  return addBias(matmul(x, w, rows, inputDim, outputDim), b, rows, outputDim);
}

/** Backward of {@linkcode temporalLinearForward}, from `dout` `[N, T, M]`. */
export function temporalLinearBackward(
  dout: Float64Array,
  x: Float64Array,
  w: Float64Array,
  { batch, steps, inputDim, outputDim }: TemporalLinearShape,
): { dx: Float64Array; dw: Float64Array; db: Float64Array } {
  const rows = batch * steps;
  return {
    dx: matmul(dout, w, rows, outputDim, inputDim, { transposeB: true }),
    dw: matmul(x, dout, inputDim, rows, outputDim, { transposeA: true }),
    db: columnSum(dout, rows, outputDim),
  };
}

/** The sizes of a table of word vectors, `[vocabulary, dim]`. */
export interface EmbeddingShape {
  vocabulary: number;
  dim: number;
}

/** The rows of `table` `[V, D]` that `ids` (any shape, say `[N, T]`) name: `[N, T, D]`. */
export function embeddingForward(
  ids: ArrayLike<number>,
  table: Float64Array,
  { vocabulary, dim }: EmbeddingShape,
): Float64Array {
  checkShape("table", table, [vocabulary, dim]);
  const out = new Float64Array(ids.length * dim);
  for (let row = 0; row < ids.length; row++) {
    checkIndex("ids", ids[row], vocabulary);
    out.set(table.subarray(ids[row] * dim, (ids[row] + 1) * dim), row * dim);
  }
  return out;
}

/** The gradient on the table `[V, D]`: each word's row is the sum of `dout` `[N, T, D]` where it stands. */
export function embeddingBackward(
  dout: Float64Array,
  ids: ArrayLike<number>,
  { vocabulary, dim }: EmbeddingShape,
): Float64Array {
  checkShape("dout", dout, [ids.length, dim]);
  const dTable = new Float64Array(vocabulary * dim);
  for (let row = 0; row < ids.length; row++) {
    checkIndex("ids", ids[row], vocabulary);
    for (let d = 0; d < dim; d++) dTable[ids[row] * dim + d] += dout[row * dim + d];
  }
  return dTable;
}

/**
 * The cross-entropy of each logit z with its target y, `-y log σ(z) - (1 - y) log(1 - σ(z))`, and
 * its gradient σ(z) - y. With log σ(z) = -log(1 + e⁻ᶻ) the loss is `y l(-z) + (1 - y) l(z)`, where
 * l(z) = log(1 + eᶻ) = max(z, 0) + log(1 + e^-|z|).
 */
export function sigmoidCrossEntropy(
  logits: Float64Array,
  targets: ArrayLike<number>,
): { losses: Float64Array; gradient: Float64Array } {
  checkShape("targets", targets, [logits.length]);
  const softplus = (z: number) => Math.max(z, 0) + Math.log1p(Math.exp(-Math.abs(z)));
  return {
    losses: logits.map((z, i) => targets[i] * softplus(-z) + (1 - targets[i]) * softplus(z)),
    gradient: logits.map((z, i) => sigmoid(z) - targets[i]),
  };
}
