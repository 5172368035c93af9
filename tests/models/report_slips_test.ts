/**
 * The slips of the 2019 report, one test each, numbered as in docs/derivations.md: the report's formula,
 * taken literally, disagrees with numeric differences, and the right one agrees. All in column form.
 */
import { assertGreater, assertLess } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import {
  cellSlope,
  columnForm,
  diagTimes,
  drawExample,
  type Example,
  gateSlopes,
  lstmAccumulated,
  lstmColumns,
  outer,
  product,
  rnnAccumulated,
  rnnColumns,
  shapeOf,
  sigmoidSlope,
  stateByState,
  sum,
  tanhSlope,
  times,
  timesTransposed,
} from "../../kernels/reference/column_vectors.ts";
import { numericGradient, relativeError } from "../../kernels/reference/gradient.ts";
import { dot } from "../../kernels/reference/linear_algebra.ts";
import { lstmForward, lstmStepForward } from "../../kernels/reference/lstm.ts";
import { rnnForward } from "../../kernels/reference/rnn.ts";

/** Register one slip; `numeric` are the central differences. */
function slip(
  name: string,
  check: () => { report: Float64Array; right: Float64Array; numeric: Float64Array },
): void {
  Deno.test(name, () => {
    const { report, right, numeric } = check();
    assertGreater(relativeError(report, numeric), 1e-2);
    assertLess(relativeError(right, numeric), 1e-6);
  });
}

const T = 4;
const H = 3;
const normal = (label: string) => {
  const stream = new RandomStream(598).split(label);
  return () => stream.normal();
};

// --- RNN -----------------------------------------------------------------------------------------

const rnnExample = drawExample(1, T, H, normal("rnn"));
const rnn = rnnColumns(rnnExample);

function rnnLoss(example: Example): number {
  const { x, h0, wx, wh, b, direct } = example;
  return dot(direct, rnnForward(x, h0, wx, wh, b, shapeOf(example)));
}

slip("S1: 3.2, the parentheses of ∂L/∂h_{t-1}", () => {
  const step = { ...rnnExample, steps: 1, x: rnn.x[1].slice(), direct: rnn.g[1] };
  const slope = tanhSlope(rnn.h[1]);
  return {
    report: product(timesTransposed(rnn.wh, rnn.g[1]), slope),
    right: timesTransposed(rnn.wh, product(rnn.g[1], slope)),
    numeric: numericGradient(() => rnnLoss(step), step.h0),
  };
});

slip("S2: 3.4 ①, the transposes of the product form", () => {
  let report = rnn.g[1];
  let right = rnn.g[1];
  for (let tau = 2; tau <= T; tau++) {
    // The factors stand from r = 2 to τ, left to right: the last one meets the vector first.
    let [literal, transposed] = [rnn.g[tau], rnn.g[tau]];
    for (let r = tau; r >= 2; r--) {
      const slope = tanhSlope(rnn.h[r]);
      literal = product(slope, times(rnn.wh, literal));
      transposed = timesTransposed(rnn.wh, product(slope, transposed));
    }
    report = sum(report, literal);
    right = sum(right, transposed);
  }
  // The loss as a function of h_1: the steps from 2 on start there.
  const h1 = rnn.h[1].slice();
  const [x, direct] = [rnnExample.x.slice(H), rnnExample.direct.slice(H)];
  const rest = { ...rnnExample, steps: T - 1, x, h0: h1, direct };
  const loss = () => dot(rnn.g[1], h1) + rnnLoss(rest);
  return { report, right, numeric: numericGradient(loss, h1) };
});

slip("S3: 3.4 ②, h_{t+1} for h_{t-1} in ∂L/∂W_h", () => {
  const delta = rnnAccumulated(rnn);
  const terms = (state: (t: number) => Float64Array) =>
    [1, 2, 3, 4].map((t) => outer(product(tanhSlope(rnn.h[t]), delta[t]), state(t)));
  const numeric = numericGradient(() => rnnLoss(rnnExample), rnnExample.wh);
  return {
    // There is no h_{T+1}: zeros stand for it.
    report: sum(...terms((t) => t === T ? new Float64Array(H) : rnn.h[t + 1])),
    right: sum(...terms((t) => rnn.h[t - 1])),
    numeric: columnForm(numeric, H, H),
  };
});

slip("S4: 3.4 ③, the parentheses of ∂L/∂x_t", () => {
  const delta = rnnAccumulated(rnn)[2];
  const slope = tanhSlope(rnn.h[2]);
  const numeric = numericGradient(() => rnnLoss(rnnExample), rnnExample.x);
  return {
    report: product(timesTransposed(rnn.wx, slope), delta),
    right: timesTransposed(rnn.wx, product(slope, delta)),
    numeric: numeric.slice(H, 2 * H),
  };
});

slip("S4: 3.4 ③, the parentheses of ∂L/∂h_0", () => {
  const delta = rnnAccumulated(rnn)[1];
  const slope = tanhSlope(rnn.h[1]);
  return {
    report: product(timesTransposed(rnn.wh, slope), delta),
    right: timesTransposed(rnn.wh, product(slope, delta)),
    numeric: numericGradient(() => rnnLoss(rnnExample), rnnExample.h0),
  };
});

// --- LSTM ----------------------------------------------------------------------------------------

const lstmExample = drawExample(4, T, H, normal("lstm"));
const lstm = lstmColumns(lstmExample);

function lstmLoss(example: Example): number {
  const { x, h0, c0, wx, wh, b, direct } = example;
  return dot(direct, lstmForward(x, h0, wx, wh, b, shapeOf(example), c0).h);
}

/** The loss of the steps from t + 1 on, where h_t and c_t are as given. */
function lossAfter(t: number, h: Float64Array, c: Float64Array): number {
  const x = lstmExample.x.slice(t * H);
  const direct = lstmExample.direct.slice(t * H);
  return lstmLoss({ ...lstmExample, steps: T - t, x, direct, h0: h, c0: c });
}

slip("S5: 4.2, no place for a given gradient on C_t", () => {
  const { x, h0, c0, wx, wh, b } = lstmExample;
  const [dh, dc, cell] = [lstm.g[1], lstm.g[2], c0.slice()];
  const loss = () => {
    const step = lstmStepForward(x.slice(0, H), h0, cell, wx, wh, b, shapeOf(lstmExample));
    return dot(dh, step.h) + dot(dc, step.c);
  };
  const throughState = product(dh, cellSlope(lstm, 1));
  return {
    report: product(throughState, lstm.f[1]),
    right: product(sum(dc, throughState), lstm.f[1]),
    numeric: numericGradient(loss, cell),
  };
});

slip("S6: 4.2, the parentheses of ∂L/∂h_{t-1}", () => {
  // The last step of the sequence is a step by itself: nothing comes after it.
  const { wh, g } = lstm;
  const dc = product(g[T], cellSlope(lstm, T));
  const { f, i, c, o } = gateSlopes(lstm, T);
  const pairs = [[wh.f, dc, f], [wh.i, dc, i], [wh.c, dc, c], [wh.o, g[T], o]];
  const before = lstm.h[T - 1].slice();
  return {
    report: sum(...pairs.map(([w, d, slope]) => product(timesTransposed(w, d), slope))),
    right: sum(...pairs.map(([w, d, slope]) => timesTransposed(w, product(d, slope)))),
    numeric: numericGradient(() => lossAfter(T - 1, before, lstm.c[T - 1]), before),
  };
});

slip("S7: 4.4 ①, c̃ for i in the Jacobian", () => {
  const t = 2;
  const { wh, candidate } = lstm;
  const { f, o } = gateSlopes(lstm, t);
  const wrongInput = product(candidate[t], sigmoidSlope(candidate[t]));
  const wrongCandidate = product(candidate[t], tanhSlope(candidate[t]));
  const wrongCell = sum(
    diagTimes(f, wh.f),
    diagTimes(wrongInput, wh.c),
    diagTimes(wrongCandidate, wh.c),
  );
  const { wx, wh: rowWeights, b } = lstmExample;
  const [x, before] = [lstmExample.x.slice(H, 2 * H), lstm.h[t - 1].slice()];
  const state = () =>
    lstmStepForward(x, before, lstm.c[t - 1], wx, rowWeights, b, shapeOf(lstmExample)).h;
  // Row m of the Jacobian is the gradient of element m of h_t.
  const rows = [0, 1, 2].map((m) => numericGradient(() => state()[m], before));
  return {
    report: sum(diagTimes(o, wh.o), diagTimes(cellSlope(lstm, t), wrongCell)),
    right: stateByState(lstm, t),
    numeric: Float64Array.from(rows.flatMap((row) => [...row])),
  };
});

slip("S8: 4.4 ①, the left side is ∂h_t/∂h_{t-1}, not ∂L_t/∂h_{t-1}", () => {
  // With one unit and one step both sides are numbers; with more, a matrix would equal a vector.
  const single = drawExample(4, 1, 1, normal("single"));
  const columns = lstmColumns(single);
  const jacobian = stateByState(columns, 1);
  return {
    report: jacobian,
    right: timesTransposed(jacobian, columns.g[1]),
    numeric: numericGradient(() => lstmLoss(single), single.h0),
  };
});

/** The numeric gradient on h_t, where c_t is held. */
function numericOnState(t: number): Float64Array {
  const h = lstm.h[t].slice();
  return numericGradient(() => dot(lstm.g[t], h) + lossAfter(t, h, lstm.c[t]), h);
}

/** The numeric gradient on c_t, by h_t = o_t tanh(c_t) and by the later cells. */
function numericOnCell(t: number): Float64Array {
  const c = lstm.c[t].slice();
  const loss = () => {
    const h = product(lstm.o[t], c.map(Math.tanh));
    return dot(lstm.g[t], h) + lossAfter(t, h, c);
  };
  return numericGradient(loss, c);
}

slip("S9: 4.4 ①, the transpose of ∂h_{t+1}/∂h_t", () => {
  // With t = T - 1 the way over later cells (S10) does not matter.
  return {
    report: sum(lstm.g[T - 1], times(stateByState(lstm, T), lstm.g[T])),
    right: sum(lstm.g[T - 1], timesTransposed(stateByState(lstm, T), lstm.g[T])),
    numeric: numericOnState(T - 1),
  };
});

slip("S10: 4.4 ①, the way from h_t over c_{t+1} to the later cells", () => {
  let report = lstm.g[T];
  for (let t = T - 1; t >= 1; t--) {
    report = sum(lstm.g[t], timesTransposed(stateByState(lstm, t + 1), report));
  }
  return { report, right: lstmAccumulated(lstm).dh[1], numeric: numericOnState(1) };
});

slip("S11: 4.4 ②, the direct gradient on h_t in the recursion for c_t", () => {
  let report = product(lstm.g[T], cellSlope(lstm, T));
  for (let t = T - 1; t >= 1; t--) {
    report = sum(product(lstm.g[t], cellSlope(lstm, t)), product(report, lstm.f[t + 1]));
  }
  return { report, right: lstmAccumulated(lstm).dc[1], numeric: numericOnCell(1) };
});

slip("S12: 4.4 ②, o_r (1 - tanh²(c_r)) inside the product form", () => {
  // The accumulated gradients stand in both, so that S11 plays no part.
  const { dh } = lstmAccumulated(lstm);
  let [report, right] = [product(dh[1], cellSlope(lstm, 1)), product(dh[1], cellSlope(lstm, 1))];
  for (let tau = 2; tau <= T; tau++) {
    let [inside, outside] = [dh[tau], product(dh[tau], cellSlope(lstm, tau))];
    for (let r = 2; r <= tau; r++) {
      inside = product(inside, cellSlope(lstm, r), lstm.f[r]);
      outside = product(outside, lstm.f[r]);
    }
    report = sum(report, inside);
    right = sum(right, outside);
  }
  return { report, right, numeric: numericOnCell(1) };
});

/** Wᵀ over the four gates at step t, with the forget gate's slope as given. */
function throughGates(weights: typeof lstm.wx, t: number, forget: Float64Array): Float64Array {
  const { dh, dc } = lstmAccumulated(lstm);
  const { i, c, o } = gateSlopes(lstm, t);
  return sum(
    timesTransposed(weights.o, product(dh[t], o)),
    timesTransposed(weights.f, product(dc[t], forget)),
    timesTransposed(weights.i, product(dc[t], i)),
    timesTransposed(weights.c, product(dc[t], c)),
  );
}

slip("S13: 4.4 ④, c_t (1 - f_t) in ∂L/∂x_t", () => {
  const { c, f } = lstm;
  const numeric = numericGradient(() => lstmLoss(lstmExample), lstmExample.x);
  return {
    report: throughGates(lstm.wx, 2, product(c[2], f[2].map((value) => 1 - value))),
    right: throughGates(lstm.wx, 2, product(c[1], sigmoidSlope(f[2]))),
    numeric: numeric.slice(H, 2 * H),
  };
});

slip("S14: 4.4 ④, c_1 for c_0 in ∂L/∂h_0", () => {
  const { c, f } = lstm;
  return {
    report: throughGates(lstm.wh, 1, product(c[1], sigmoidSlope(f[1]))),
    right: throughGates(lstm.wh, 1, product(c[0], sigmoidSlope(f[1]))),
    numeric: numericGradient(() => lstmLoss(lstmExample), lstmExample.h0),
  };
});
