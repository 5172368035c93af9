/**
 * The vanilla RNN in float64, problems 3.1 to 3.4: the twin of `kernels/recurrent/rnn.ts`.
 * Rows are examples. The tags (R1), (R2), … are those of `docs/derivations.md`.
 */
import {
  accumulate,
  add,
  addBias,
  checkShape,
  columnSum,
  matmul,
  putStep,
  takeStep,
} from "./linear_algebra.ts";

/** The sizes of one recurrent step. */
export interface StepShape {
  /** N, the number of examples. */
  batch: number;
  /** D, the width of the input. */
  inputDim: number;
  /** H, the width of the hidden state. */
  hiddenDim: number;
}

/** The sizes of a recurrent sequence. */
export interface RecurrentShape extends StepShape {
  /** T, the number of steps. */
  steps: number;
}

/** The gradients of one RNN step. */
export interface RnnStepGradients {
  /** `[N, D]` */
  dx: Float64Array;
  /** `[N, H]` */
  dhPrev: Float64Array;
  /** `[D, H]` */
  dWx: Float64Array;
  /** `[H, H]` */
  dWh: Float64Array;
  /** `[H]` */
  db: Float64Array;
}

/** The gradients of an RNN over a sequence. */
export interface RnnGradients {
  /** `[N, T, D]` */
  dx: Float64Array;
  /** `[N, H]` */
  dh0: Float64Array;
  /** `[D, H]` */
  dWx: Float64Array;
  /** `[H, H]` */
  dWh: Float64Array;
  /** `[H]` */
  db: Float64Array;
}

/** One step: `x` `[N, D]`, `hPrev` `[N, H]`, `wx` `[D, H]`, `wh` `[H, H]`, `b` `[H]` give h `[N, H]`. */
export function rnnStepForward(
  x: Float64Array,
  hPrev: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  b: Float64Array,
  { batch, inputDim, hiddenDim }: StepShape,
): Float64Array {
  const fromInput = matmul(x, wx, batch, inputDim, hiddenDim);
  const fromState = matmul(hPrev, wh, batch, hiddenDim, hiddenDim);
  const a = addBias(add(fromInput, fromState), b, batch, hiddenDim);
  return a.map(Math.tanh); // (R1)
}

/** Backward of one step, from `dh` `[N, H]`, the gradient on `h`, the output of the step. */
export function rnnStepBackward(
  dh: Float64Array,
  h: Float64Array,
  x: Float64Array,
  hPrev: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  { batch, inputDim, hiddenDim }: StepShape,
): RnnStepGradients {
  checkShape("dh", dh, [batch, hiddenDim]);
  checkShape("h", h, [batch, hiddenDim]);
  const da = dh.map((value, i) => value * (1 - h[i] * h[i])); // (R2)
  return {
    dx: matmul(da, wx, batch, hiddenDim, inputDim, { transposeB: true }), // (R3)
    dWx: matmul(x, da, inputDim, batch, hiddenDim, { transposeA: true }), // (R4)
    dhPrev: matmul(da, wh, batch, hiddenDim, hiddenDim, { transposeB: true }), // (R5)
    dWh: matmul(hPrev, da, hiddenDim, batch, hiddenDim, { transposeA: true }), // (R6)
    db: columnSum(da, batch, hiddenDim), // (R7)
  };
}

/** All steps: `x` `[N, T, D]` and `h0` `[N, H]` give the hidden states `[N, T, H]`. */
export function rnnForward(
  x: Float64Array,
  h0: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  b: Float64Array,
  shape: RecurrentShape,
): Float64Array {
  const { batch, steps, inputDim, hiddenDim } = shape;
  const inputs = { batch, steps, width: inputDim };
  const states = { batch, steps, width: hiddenDim };
  const h = new Float64Array(batch * steps * hiddenDim);
  let hPrev = h0;
  for (let t = 0; t < steps; t++) {
    hPrev = rnnStepForward(takeStep(x, t, inputs), hPrev, wx, wh, b, shape);
    putStep(h, t, hPrev, states);
  }
  return h;
}

/**
 * Backward of all steps. `dh` `[N, T, H]` holds the direct gradients: what the loss at step t alone
 * says about h_t. What the later steps say about it is accumulated here.
 */
export function rnnBackward(
  dh: Float64Array,
  h: Float64Array,
  x: Float64Array,
  h0: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  shape: RecurrentShape,
): RnnGradients {
  const { batch, steps, inputDim, hiddenDim } = shape;
  const inputs = { batch, steps, width: inputDim };
  const states = { batch, steps, width: hiddenDim };
  const dx = new Float64Array(batch * steps * inputDim);
  const dWx = new Float64Array(inputDim * hiddenDim);
  const dWh = new Float64Array(hiddenDim * hiddenDim);
  const db = new Float64Array(hiddenDim);

  // What step t + 1 says about h_t; nothing comes after the last step.
  let fromLater: Float64Array = new Float64Array(batch * hiddenDim);
  for (let t = steps - 1; t >= 0; t--) {
    const accumulated = add(takeStep(dh, t, states), fromLater); // (R8)
    const hPrev = t === 0 ? h0 : takeStep(h, t - 1, states);
    const hHere = takeStep(h, t, states);
    const xHere = takeStep(x, t, inputs);
    const step = rnnStepBackward(accumulated, hHere, xHere, hPrev, wx, wh, shape); // (R9)
    putStep(dx, t, step.dx, inputs); // (R10)
    accumulate(dWx, step.dWx); // (R11)
    accumulate(dWh, step.dWh); // (R12)
    accumulate(db, step.db); // (R13)
    fromLater = step.dhPrev;
  }
  return { dx, dh0: fromLater, dWx, dWh, db }; // (R14): after the first step, fromLater is dh0
}
