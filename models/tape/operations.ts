/** Differentiable operations: kernels put on a tape, each with what its gradient needs. */
import * as elementwise from "../../kernels/elementwise.ts";
import { pointwiseGradient } from "../../kernels/pointwise/pointwise.ts";
import {
  type BagMode,
  type Bags,
  embeddingBag as sumBags,
  embeddingBagGradient,
} from "../../kernels/embedding/embedding_bag.ts";
import {
  conv2d as convolve,
  conv2dBackward,
  windowCount,
  type WindowOptions,
} from "../../kernels/conv2d/conv2d.ts";
import { lstmTimeMajorBackward, lstmTimeMajorForward } from "../../kernels/recurrent/lstm.ts";
import { matmul } from "../../kernels/gemm/matmul.ts";
import {
  maxOverTime as largestOverTime,
  maxOverTimeGradient,
} from "../../kernels/pool/max_over_time.ts";
import { columnSum } from "../../kernels/reduce/reduce.ts";
import {
  type RnnInputs,
  rnnTimeMajorBackward,
  rnnTimeMajorForward,
} from "../../kernels/recurrent/rnn.ts";
import { sigmoidCrossEntropy } from "../../kernels/softmax/sigmoid_cross_entropy.ts";
import { sizeOf, Tensor } from "../../kernels/runtime/tensor.ts";
import { tapeOf, type Variable } from "./autograd.ts";
import { meanShare, recordLoss } from "./fused_losses.ts";

export { temporalSoftmaxLoss } from "./cross_entropy.ts";
export { embedding } from "./variable.ts";

/** `x w + b`: `x [..., D]`, `w [D, K]`, `b [K]` or none. One product for all of x. */
export function linear(x: Variable, w: Variable, b?: Variable): Variable {
  if (x.shape.length !== 2 && x.shape.length > 0) {
    const [last, outputs] = [x.shape.at(-1)!, w.shape[1]];
    const count = sizeOf(x.shape.slice(0, -1));
    return linear(x.reshape([count, last]), w, b).reshape([...x.shape.slice(0, -1), outputs]);
  }
  const parents = b === undefined ? [x, w] : [x, w, b];
  const tape = tapeOf(...parents);
  const y = matmul(x.tensor, w.tensor, { bias: b?.tensor, name: "linear" });
  return tape.record(y, parents, (dy) => {
    tape.gradient(x, (out) => matmul(dy, w.tensor, { transB: true, out }));
    tape.gradient(w, (out) => matmul(x.tensor, dy, { transA: true, out }));
    if (b !== undefined) tape.gradient(b, (out) => columnSum(dy, out));
  });
}

/** The sum or mean of each bag's rows of `table [V, D]`: `[N, D]`. */
export function embeddingBag(table: Variable, bags: Bags, mode: BagMode): Variable {
  const tape = tapeOf(table);
  return tape.record(sumBags(table.tensor, bags, mode), [table], (dy) => {
    const rowsOnly = table.touchRows(bags);
    tape.gradient(table, (out) => embeddingBagGradient(dy, bags, mode, out, { rowsOnly }));
  });
}

/** The largest value over the first `lengths[n]` steps of each example: `x [T, N, H]` to `[N, H]`. */
export function maxOverTime(x: Variable, lengths: Tensor<"u32">): Variable {
  const tape = tapeOf(x);
  const { out, steps } = largestOverTime(x.tensor, lengths);
  tape.keep(steps);
  return tape.record(out, [x], (dy) => {
    tape.gradient(x, (dx) => maxOverTimeGradient(dy, steps, dx));
  });
}

/**
 * Binary cross-entropy from logits `[N, 1]` or `[N]`, averaged over the examples: one number.
 * `targets [N]` holds numbers from 0 to 1: one outside makes the loss NaN. Safe for every finite logit.
 */
export function binaryCrossEntropy(logits: Variable, targets: Tensor): Variable {
  return recordLoss(logits, () => {
    using flat = logits.tensor.view([logits.tensor.size]);
    const scale = meanShare(flat.size, "A binary cross-entropy");
    const { loss, gradient } = sigmoidCrossEntropy(flat, targets, { scale });
    const shaped = gradient.view(logits.shape);
    gradient.dispose();
    return { loss, gradient: shaped };
  });
}

/** The weights of a recurrent cell. */
export interface CellWeights {
  wx: Variable;
  wh: Variable;
  b: Variable;
}

/** The tensors of a cell's inputs, under the kernels' names. */
function cellInputs(x: Variable, h0: Variable, { wx, wh, b }: CellWeights): RnnInputs {
  return { x: x.tensor, h0: h0.tensor, wx: wx.tensor, wh: wh.tensor, b: b.tensor };
}

/** The variables of a cell's inputs, under the names of their gradients. */
function cellVariables(x: Variable, h0: Variable, { wx, wh, b }: CellWeights) {
  return { dx: x, dh0: h0, dwx: wx, dwh: wh, db: b };
}

/** A vanilla RNN over `x [T, N, D]` from `h0 [N, H]`: the states `[T, N, H]`. */
export function rnn(x: Variable, h0: Variable, weights: CellWeights): Variable {
  const tape = tapeOf(x, h0, ...Object.values(weights));
  const forward = tape.keep(rnnTimeMajorForward(cellInputs(x, h0, weights)));
  const inputs = cellVariables(x, h0, weights);
  return tape.record(forward.h.view(forward.h.shape), Object.values(inputs), (dy) => {
    tape.gradients(inputs, (targets) => rnnTimeMajorBackward(dy, forward, targets));
  });
}

/** An LSTM over `x [T, N, D]` from `h0 [N, H]` and a cell state of zeros: the states `[T, N, H]`. */
export function lstm(x: Variable, h0: Variable, weights: CellWeights): Variable {
  return lstmStates(x, h0, weights).h;
}

/** The same from a cell state `c0 [N, H]`, with the last cell state `c [N, H]`. */
export function lstmStates(
  x: Variable,
  h0: Variable,
  weights: CellWeights,
  c0?: Variable,
): { h: Variable; c: Variable } {
  const tape = tapeOf(x, h0, ...Object.values(weights), ...c0 ? [c0] : []);
  const forward = tape.keep(
    lstmTimeMajorForward({ ...cellInputs(x, h0, weights), c0: c0?.tensor }),
  );
  const inputs: Record<string, Variable> = {
    ...cellVariables(x, h0, weights),
    ...c0 && { dc0: c0 },
  };
  const parents = Object.values(inputs);
  let dcLast: Tensor | undefined;
  const h = tape.record(forward.h.view(forward.h.shape), parents, (dy) => {
    tape.gradients(
      inputs,
      (targets) => lstmTimeMajorBackward(dy, forward, { dc0: false, ...targets }, dcLast),
    );
  });
  const [steps, batch, hidden] = h.shape;
  const end = forward.cells.view([batch, hidden], steps * batch * hidden, "lstm last cells");
  // Its gradient comes first, and flows on with that of the states, which may have none of their own.
  const c = tape.record(end, [h], (dy) => {
    dcLast = dy;
    if (h.grad === undefined) tape.gradient(h, (out) => out.clear());
  });
  return { h, c };
}

/**
 * While training: set each number to zero with probability `p` and multiply the others by
 * `1 / (1 - p)`; `key`, two words of a random stream, decides which. Else: `x` itself.
 */
export function dropout(
  x: Variable,
  p: number,
  key: readonly [number, number],
): Variable {
  const tape = tapeOf(x);
  if (!(p >= 0 && p < 1)) {
    throw new RangeError(`Dropout takes a probability from 0 to less than 1, and ${p} was given`);
  }
  if (!tape.training || p === 0) return x;
  return tape.record(elementwise.dropout(x.tensor, p, key), [x], (dy) => {
    tape.gradient(x, (out) => elementwise.dropout(dy, p, key, out));
  });
}

/** One of several convolutions of the same input. */
export interface Branch extends WindowOptions {
  /** `[kh, kw, C / groups, K]` */
  w: Variable;
  /** `[K]` */
  b?: Variable | undefined;
}

/**
 * Convolutions of `x [N, H, W, C]` whose results stand side by side, `[N, OH, OW, K₁ + K₂ + …]`, with a
 * ReLU at the end where wanted. Strides and paddings must lead to results of one height and width.
 */
export function convolutions(
  x: Variable,
  branches: readonly Branch[],
  { relu = false }: { relu?: boolean } = {},
): Variable {
  if (branches.length === 0) throw new TypeError("There must be at least one convolution");
  const parents = [x, ...branches.flatMap(({ w, b }) => b === undefined ? [w] : [w, b])];
  const tape = tapeOf(...parents);
  const total = branches.reduce((sum, { w }) => sum + w.shape[3], 0);
  const places: number[] = [];
  let out: Tensor | undefined;
  let at = 0;
  for (const { w, b, ...window } of branches) {
    const size = (axis: number) => windowCount(x.shape[axis + 1], w.shape[axis], window);
    const shape = [x.shape[0], size(0), size(1), total];
    out ??= tape.keep(Tensor.empty(tape.gpu, shape, { name: "conv2d" }));
    convolve(x.tensor, w.tensor, { ...window, bias: b?.tensor, relu, out, at });
    places.push(at);
    at += w.shape[3];
  }
  const y = out!;
  return tape.record(y, parents, (dy) => {
    using dz = relu ? pointwiseGradient("relu", 0, dy, [y], y) : dy.view(dy.shape);
    branches.forEach(({ w, b, ...window }, i) => {
      const inputs: Record<string, Variable> = { dx: x, dw: w, ...b && { db: b } };
      tape.gradients(inputs, (targets) => {
        conv2dBackward(dz, x.tensor, w.tensor, { ...window, at: places[i] }, {
          db: false,
          ...targets,
        });
      });
    });
  });
}

/** Convolution of `x [N, H, W, C]` with `w [kh, kw, C / groups, K]`: `[N, OH, OW, K]`. */
export function conv2d(
  x: Variable,
  w: Variable,
  b?: Variable,
  { relu = false, ...window }: WindowOptions & { relu?: boolean } = {},
): Variable {
  return convolutions(x, [{ w, b, ...window }], { relu });
}

/** Bring the last axes of each example to mean 0 and variance 1: PyTorch's `layer_norm`. RangeError for too many axes. */
export function layerNorm(
  x: Variable,
  { weight, bias, axes = 1, eps = 1e-5 }: {
    /** Multiplies what is normalized; of the shape of the last axes, or repeated to it. */
    weight?: Variable | undefined;
    /** Is added to it. */
    bias?: Variable | undefined;
    /** Axes that are normalized together, from the last; 1 by default. */
    axes?: number;
    /** Added to the variance; 1e-5 by default. */
    eps?: number;
  } = {},
): Variable {
  if (!(Number.isInteger(axes) && axes >= 1 && axes <= x.shape.length)) {
    throw new RangeError(
      `A layer norm is over 1 to ${x.shape.length} axes of "${x.tensor.name}", and ${axes} were given`,
    );
  }
  const last = Array.from({ length: axes }, (_, i) => -1 - i);
  const distances = x.sub(x.mean(last, { keepDims: true }));
  const scale = distances.square().mean(last, { keepDims: true }).add(eps).rsqrt();
  const normalized = distances.mul(scale);
  const weighted = weight === undefined ? normalized : normalized.mul(weight);
  return bias === undefined ? weighted : weighted.add(bias);
}
