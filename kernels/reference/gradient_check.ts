/** The float64 gradient check of problems 3 and 4: every gradient of the RNN and the LSTM. */
import { dot, putStep } from "./linear_algebra.ts";
import { extrapolatedGradient, relativeError } from "./gradient.ts";
import { lstmBackward, lstmForward, lstmStepBackward, lstmStepForward } from "./lstm.ts";
import {
  type RecurrentShape,
  rnnBackward,
  rnnForward,
  rnnStepBackward,
  rnnStepForward,
} from "./rnn.ts";

/** The largest relative error that counts as agreement. */
export const TOLERANCE = 1e-5;

/** One gradient compared with central differences. */
export interface GradientRow {
  /** The problem of the homework, such as "3.4 RNN". */
  problem: string;
  /** The name of the gradient, such as "dWx". */
  gradient: string;
  /** Its shape. */
  shape: number[];
  /** The relative error of {@linkcode relativeError}. */
  error: number;
  /** Whether the error is at most {@linkcode TOLERANCE}. */
  ok: boolean;
}

/** One argument of the loss: its values, its shape, and what backward says about it. */
interface Checked {
  values: Float64Array;
  shape: number[];
  analytic: Float64Array;
}

function compare(
  problem: string,
  loss: () => number,
  checked: Record<string, Checked>,
): GradientRow[] {
  return Object.entries(checked).map(([gradient, { values, shape, analytic }]) => {
    const error = relativeError(analytic, extrapolatedGradient(loss, values));
    return { problem, gradient, shape, error, ok: error <= TOLERANCE };
  });
}

/** The weights of one recurrent layer, and how they are made: `gates` is 1 for the RNN, 4 for the LSTM. */
function weights({ inputDim, hiddenDim }: RecurrentShape, gates: number, draw: Draw) {
  const width = gates * hiddenDim;
  return {
    wx: draw(inputDim * width, 0.5),
    wh: draw(hiddenDim * width, 0.5),
    b: draw(width, 0.5),
    wxShape: [inputDim, width],
    whShape: [hiddenDim, width],
    bShape: [width],
  };
}

/** Draws `count` numbers of a standard normal distribution, times `scale`. */
type Draw = (count: number, scale: number) => Float64Array;

function checkRnnStep(shape: RecurrentShape, draw: Draw): GradientRow[] {
  const { batch, inputDim, hiddenDim } = shape;
  const { wx, wh, b, wxShape, whShape, bShape } = weights(shape, 1, draw);
  const x = draw(batch * inputDim, 1);
  const hPrev = draw(batch * hiddenDim, 1);
  const dh = draw(batch * hiddenDim, 1);

  const forward = () => rnnStepForward(x, hPrev, wx, wh, b, shape);
  const got = rnnStepBackward(dh, forward(), x, hPrev, wx, wh, shape);
  return compare("3.2 RNN step", () => dot(dh, forward()), {
    dx: { values: x, shape: [batch, inputDim], analytic: got.dx },
    dWx: { values: wx, shape: wxShape, analytic: got.dWx },
    dhPrev: { values: hPrev, shape: [batch, hiddenDim], analytic: got.dhPrev },
    dWh: { values: wh, shape: whShape, analytic: got.dWh },
    db: { values: b, shape: bShape, analytic: got.db },
  });
}

function checkRnn(shape: RecurrentShape, draw: Draw): GradientRow[] {
  const { batch, steps, inputDim, hiddenDim } = shape;
  const { wx, wh, b, wxShape, whShape, bShape } = weights(shape, 1, draw);
  const x = draw(batch * steps * inputDim, 1);
  const h0 = draw(batch * hiddenDim, 1);
  const dh = draw(batch * steps * hiddenDim, 1);

  const forward = () => rnnForward(x, h0, wx, wh, b, shape);
  const got = rnnBackward(dh, forward(), x, h0, wx, wh, shape);
  return compare("3.4 RNN", () => dot(dh, forward()), {
    dx: { values: x, shape: [batch, steps, inputDim], analytic: got.dx },
    dWx: { values: wx, shape: wxShape, analytic: got.dWx },
    dh0: { values: h0, shape: [batch, hiddenDim], analytic: got.dh0 },
    dWh: { values: wh, shape: whShape, analytic: got.dWh },
    db: { values: b, shape: bShape, analytic: got.db },
  });
}

function checkLstmStep(shape: RecurrentShape, draw: Draw): GradientRow[] {
  const { batch, inputDim, hiddenDim } = shape;
  const { wx, wh, b, wxShape, whShape, bShape } = weights(shape, 4, draw);
  const x = draw(batch * inputDim, 1);
  const hPrev = draw(batch * hiddenDim, 1);
  const cPrev = draw(batch * hiddenDim, 1);
  const dh = draw(batch * hiddenDim, 1);
  const dc = draw(batch * hiddenDim, 1);

  const forward = () => lstmStepForward(x, hPrev, cPrev, wx, wh, b, shape);
  const loss = () => {
    const { h, c } = forward();
    return dot(dh, h) + dot(dc, c);
  };
  const got = lstmStepBackward(dh, dc, forward(), x, hPrev, cPrev, wx, wh, shape);
  return compare("4.2 LSTM step", loss, {
    dx: { values: x, shape: [batch, inputDim], analytic: got.dx },
    dWx: { values: wx, shape: wxShape, analytic: got.dWx },
    dhPrev: { values: hPrev, shape: [batch, hiddenDim], analytic: got.dhPrev },
    dcPrev: { values: cPrev, shape: [batch, hiddenDim], analytic: got.dcPrev },
    dWh: { values: wh, shape: whShape, analytic: got.dWh },
    db: { values: b, shape: bShape, analytic: got.db },
  });
}

function checkLstm(shape: RecurrentShape, draw: Draw): GradientRow[] {
  const { batch, steps, inputDim, hiddenDim } = shape;
  const { wx, wh, b, wxShape, whShape, bShape } = weights(shape, 4, draw);
  const x = draw(batch * steps * inputDim, 1);
  const h0 = draw(batch * hiddenDim, 1);
  const c0 = draw(batch * hiddenDim, 1);
  const dh = draw(batch * steps * hiddenDim, 1);
  const dcLast = draw(batch * hiddenDim, 1);

  // The loss looks at the last cell state directly, and at no other.
  const dc = new Float64Array(batch * steps * hiddenDim);
  putStep(dc, steps - 1, dcLast, { batch, steps, width: hiddenDim });
  const forward = () => lstmForward(x, h0, wx, wh, b, shape, c0);
  const loss = () => {
    const { h, c } = forward();
    return dot(dh, h) + dot(dc, c);
  };
  const got = lstmBackward(dh, forward(), x, h0, wx, wh, shape, { c0, dcLast });
  return compare("4.4 LSTM", loss, {
    dx: { values: x, shape: [batch, steps, inputDim], analytic: got.dx },
    dWx: { values: wx, shape: wxShape, analytic: got.dWx },
    dh0: { values: h0, shape: [batch, hiddenDim], analytic: got.dh0 },
    dc0: { values: c0, shape: [batch, hiddenDim], analytic: got.dc0 },
    dWh: { values: wh, shape: whShape, analytic: got.dWh },
    db: { values: b, shape: bShape, analytic: got.db },
  });
}

/**
 * Compare every analytic gradient of the RNN and the LSTM, one step and a whole sequence, with central
 * differences in float64. The loss is the sum of the outputs times fixed random numbers, which are then
 * the direct gradients. `normal` gives the next number of a standard normal distribution.
 */
export function checkGradients(shape: RecurrentShape, normal: () => number): GradientRow[] {
  const draw: Draw = (count, scale) => Float64Array.from({ length: count }, () => scale * normal());
  return [
    ...checkRnnStep(shape, draw),
    ...checkRnn(shape, draw),
    ...checkLstmStep(shape, draw),
    ...checkLstm(shape, draw),
  ];
}
