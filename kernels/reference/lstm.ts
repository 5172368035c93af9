/**
 * The LSTM in float64, problems 4.1 to 4.4: the twin of `kernels/recurrent/lstm.ts`.
 * Rows are examples. The 4H axis of the weights holds the gates in the homework's order f, i, c̃, o.
 * The tags (L1), (L2), … are those of `docs/derivations.md`.
 */
import {
  accumulate,
  add,
  addBias,
  checkShape,
  columnSum,
  matmul,
  putStep,
  sigmoid,
  takeStep,
} from "./linear_algebra.ts";
import type { RecurrentShape, StepShape } from "./rnn.ts";

/** What one step gives, and what its backward needs. */
export interface LstmStepState {
  /** The hidden state `[N, H]`. */
  h: Float64Array;
  /** The cell state `[N, H]`. */
  c: Float64Array;
  /** The gates after sigmoid and tanh `[N, 4H]`, in the order f, i, c̃, o. */
  gates: Float64Array;
}

/** The same for a sequence: `h` and `c` `[N, T, H]`, `gates` `[N, T, 4H]`. */
export type LstmStates = LstmStepState;

/** The gradients of one LSTM step. */
export interface LstmStepGradients {
  /** `[N, D]` */
  dx: Float64Array;
  /** `[N, H]` */
  dhPrev: Float64Array;
  /** `[N, H]` */
  dcPrev: Float64Array;
  /** `[D, 4H]` */
  dWx: Float64Array;
  /** `[H, 4H]` */
  dWh: Float64Array;
  /** `[4H]` */
  db: Float64Array;
}

/** The gradients of an LSTM over a sequence. */
export interface LstmGradients {
  /** `[N, T, D]` */
  dx: Float64Array;
  /** `[N, H]` */
  dh0: Float64Array;
  /** `[N, H]` */
  dc0: Float64Array;
  /** `[D, 4H]` */
  dWx: Float64Array;
  /** `[H, 4H]` */
  dWh: Float64Array;
  /** `[4H]` */
  db: Float64Array;
}

/**
 * One step: `x` `[N, D]`, `hPrev` and `cPrev` `[N, H]`, `wx` `[D, 4H]`, `wh` `[H, 4H]`, `b` `[4H]`
 * give h, c `[N, H]` and the gates `[N, 4H]`.
 */
export function lstmStepForward(
  x: Float64Array,
  hPrev: Float64Array,
  cPrev: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  b: Float64Array,
  { batch, inputDim, hiddenDim }: StepShape,
): LstmStepState {
  checkShape("cPrev", cPrev, [batch, hiddenDim]);
  const width = 4 * hiddenDim;
  const fromInput = matmul(x, wx, batch, inputDim, width);
  const fromState = matmul(hPrev, wh, batch, hiddenDim, width);
  const a = addBias(add(fromInput, fromState), b, batch, width); // (L1)

  const gates = new Float64Array(batch * width);
  const c = new Float64Array(batch * hiddenDim);
  const h = new Float64Array(batch * hiddenDim);
  for (let n = 0; n < batch; n++) {
    for (let unit = 0; unit < hiddenDim; unit++) {
      const at = n * width + unit;
      const f = sigmoid(a[at]); // (L2)
      const i = sigmoid(a[at + hiddenDim]);
      const candidate = Math.tanh(a[at + 2 * hiddenDim]);
      const o = sigmoid(a[at + 3 * hiddenDim]);
      gates[at] = f;
      gates[at + hiddenDim] = i;
      gates[at + 2 * hiddenDim] = candidate;
      gates[at + 3 * hiddenDim] = o;

      const index = n * hiddenDim + unit;
      c[index] = f * cPrev[index] + i * candidate; // (L3)
      h[index] = o * Math.tanh(c[index]); // (L4)
    }
  }
  return { h, c, gates };
}

/**
 * Backward of one step, from `dh` and `dc` `[N, H]`: the gradients on the step's h, and on its c by
 * all ways that do not pass through that h.
 */
export function lstmStepBackward(
  dh: Float64Array,
  dc: Float64Array,
  state: LstmStepState,
  x: Float64Array,
  hPrev: Float64Array,
  cPrev: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  { batch, inputDim, hiddenDim }: StepShape,
): LstmStepGradients {
  const width = 4 * hiddenDim;
  const { c, gates } = state;
  for (const [name, array] of Object.entries({ dh, dc, c, cPrev })) {
    checkShape(name, array, [batch, hiddenDim]);
  }
  checkShape("gates", gates, [batch, width]);

  const da = new Float64Array(batch * width);
  const dcPrev = new Float64Array(batch * hiddenDim);
  for (let n = 0; n < batch; n++) {
    for (let unit = 0; unit < hiddenDim; unit++) {
      const at = n * width + unit;
      const index = n * hiddenDim + unit;
      const f = gates[at];
      const i = gates[at + hiddenDim];
      const candidate = gates[at + 2 * hiddenDim];
      const o = gates[at + 3 * hiddenDim];
      const squashed = Math.tanh(c[index]);

      const dCell = dc[index] + dh[index] * o * (1 - squashed * squashed); // (L5)
      da[at] = dCell * cPrev[index] * f * (1 - f); // (L6)
      da[at + hiddenDim] = dCell * candidate * i * (1 - i); // (L7)
      da[at + 2 * hiddenDim] = dCell * i * (1 - candidate * candidate); // (L8)
      da[at + 3 * hiddenDim] = dh[index] * squashed * o * (1 - o); // (L9)
      dcPrev[index] = dCell * f; // (L12)
    }
  }
  return {
    dx: matmul(da, wx, batch, width, inputDim, { transposeB: true }), // (L10)
    dhPrev: matmul(da, wh, batch, width, hiddenDim, { transposeB: true }), // (L11)
    dcPrev,
    dWx: matmul(x, da, inputDim, batch, width, { transposeA: true }), // (L13)
    dWh: matmul(hPrev, da, hiddenDim, batch, width, { transposeA: true }), // (L14)
    db: columnSum(da, batch, width), // (L15)
  };
}

/** All steps: `x` `[N, T, D]`, `h0` and `c0` `[N, H]` (c0: zeros where left out). */
export function lstmForward(
  x: Float64Array,
  h0: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  b: Float64Array,
  shape: RecurrentShape,
  c0: Float64Array = new Float64Array(shape.batch * shape.hiddenDim),
): LstmStates {
  const { batch, steps, inputDim, hiddenDim } = shape;
  const inputs = { batch, steps, width: inputDim };
  const units = { batch, steps, width: hiddenDim };
  const h = new Float64Array(batch * steps * hiddenDim);
  const c = new Float64Array(batch * steps * hiddenDim);
  const gates = new Float64Array(batch * steps * 4 * hiddenDim);
  let [hPrev, cPrev] = [h0, c0];
  for (let t = 0; t < steps; t++) {
    const step = lstmStepForward(takeStep(x, t, inputs), hPrev, cPrev, wx, wh, b, shape);
    putStep(h, t, step.h, units);
    putStep(c, t, step.c, units);
    putStep(gates, t, step.gates, { batch, steps, width: 4 * hiddenDim });
    [hPrev, cPrev] = [step.h, step.c];
  }
  return { h, c, gates };
}

/** The initial and the final cell of {@linkcode lstmBackward}; both are zeros where left out. */
export interface LstmBackwardOptions {
  /** The first cell state `[N, H]`, as it was given to the forward pass. */
  c0?: Float64Array;
  /** The direct gradient on the last cell state `[N, H]`. */
  dcLast?: Float64Array;
}

/** Backward of all steps, from the direct gradients `dh` `[N, T, H]` on the hidden states. */
export function lstmBackward(
  dh: Float64Array,
  states: LstmStates,
  x: Float64Array,
  h0: Float64Array,
  wx: Float64Array,
  wh: Float64Array,
  shape: RecurrentShape,
  options: LstmBackwardOptions = {},
): LstmGradients {
  const { batch, steps, inputDim, hiddenDim } = shape;
  const zeros: Float64Array = new Float64Array(batch * hiddenDim);
  const { c0 = zeros, dcLast = zeros } = options;
  const inputs = { batch, steps, width: inputDim };
  const units = { batch, steps, width: hiddenDim };
  const dx = new Float64Array(batch * steps * inputDim);
  const dWx = new Float64Array(inputDim * 4 * hiddenDim);
  const dWh = new Float64Array(hiddenDim * 4 * hiddenDim);
  const db = new Float64Array(4 * hiddenDim);

  // What step t + 1 says about h_t and c_t; at the last step only the caller says something.
  let [dhLater, dcLater] = [zeros, dcLast];
  for (let t = steps - 1; t >= 0; t--) {
    const dhHere = add(takeStep(dh, t, units), dhLater); // (L16)
    const here = {
      h: takeStep(states.h, t, units),
      c: takeStep(states.c, t, units),
      gates: takeStep(states.gates, t, { batch, steps, width: 4 * hiddenDim }),
    };
    const hPrev = t === 0 ? h0 : takeStep(states.h, t - 1, units);
    const cPrev = t === 0 ? c0 : takeStep(states.c, t - 1, units);
    const xHere = takeStep(x, t, inputs);
    // (L17) (L18): the step adds its own way into c_t to dcLater, and differentiates the gates.
    const step = lstmStepBackward(dhHere, dcLater, here, xHere, hPrev, cPrev, wx, wh, shape);
    putStep(dx, t, step.dx, inputs); // (L19)
    accumulate(dWx, step.dWx); // (L20)
    accumulate(dWh, step.dWh); // (L21)
    accumulate(db, step.db); // (L22)
    [dhLater, dcLater] = [step.dhPrev, step.dcPrev];
  }
  return { dx, dh0: dhLater, dc0: dcLater, dWx, dWh, db }; // (L23) (L24): what step 1 hands down
}
