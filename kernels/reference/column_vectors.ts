/**
 * The column-vector form of the homework, for one example: h_t = tanh(W_x x_t + W_h h_{t-1} + b) with
 * `W_x` `[H, D]`. The states come from the twins, which hold the same numbers in row form, `[D, H]`.
 */
import { add, matmul, multiply, takeStep } from "./linear_algebra.ts";
import { lstmForward } from "./lstm.ts";
import { rnnForward } from "./rnn.ts";

/** W v, for a square W. */
export function times(w: Float64Array, v: Float64Array): Float64Array {
  return matmul(w, v, v.length, v.length, 1);
}

/** Wᵀ v, for a square W. */
export function timesTransposed(w: Float64Array, v: Float64Array): Float64Array {
  return matmul(w, v, v.length, v.length, 1, { transposeA: true });
}

/** a bᵀ. */
export function outer(a: Float64Array, b: Float64Array): Float64Array {
  return matmul(a, b, a.length, 1, b.length);
}

/** diag(v) W: each row of W times its element of v. */
export function diagTimes(v: Float64Array, w: Float64Array): Float64Array {
  return w.map((value, index) => value * v[Math.floor(index / v.length)]);
}

/** The sum of several arrays. */
export function sum(...terms: Float64Array[]): Float64Array {
  return terms.reduce(add);
}

/** The elementwise product of several arrays. */
export function product(...factors: Float64Array[]): Float64Array {
  return factors.reduce(multiply);
}

/** 1 - y²: the derivative of tanh where it gives y. */
export function tanhSlope(y: Float64Array): Float64Array {
  return y.map((value) => 1 - value * value);
}

/** s (1 - s): the derivative of the sigmoid where it gives s. */
export function sigmoidSlope(s: Float64Array): Float64Array {
  return s.map((value) => value * (1 - value));
}

/** Columns `from` to `from + columns` of the row form `w` `[rows, width]`, transposed: `[columns, rows]`. */
export function columnForm(
  w: Float64Array,
  rows: number,
  width: number,
  from = 0,
  columns = width,
): Float64Array {
  const transposed = new Float64Array(columns * rows);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) {
      transposed[column * rows + row] = w[row * width + from + column];
    }
  }
  return transposed;
}

/** A small problem in row form: one example, D = H, so that even a wrong order of products has sizes. */
export interface Example {
  steps: number;
  dim: number;
  /** `[T, D]` */
  x: Float64Array;
  /** `[H]` */
  h0: Float64Array;
  /** `[H]`, used by the LSTM only. */
  c0: Float64Array;
  /** The direct gradients `[T, H]`: the loss is their product with the hidden states, summed. */
  direct: Float64Array;
  /** `[D, gates · H]` */
  wx: Float64Array;
  /** `[H, gates · H]` */
  wh: Float64Array;
  /** `[gates · H]` */
  b: Float64Array;
}

/** Draw an example; `gates` is 1 for the RNN, 4 for the LSTM. */
export function drawExample(
  gates: number,
  steps: number,
  dim: number,
  normal: () => number,
): Example {
  const draw = (count: number) => Float64Array.from({ length: count }, normal);
  return {
    steps,
    dim,
    x: draw(steps * dim),
    h0: draw(dim),
    c0: draw(dim),
    direct: draw(steps * dim),
    wx: draw(dim * gates * dim),
    wh: draw(dim * gates * dim),
    b: draw(gates * dim),
  };
}

/** The sizes of an example, as the twins take them. */
export function shapeOf({ steps, dim }: Example) {
  return { batch: 1, steps, inputDim: dim, hiddenDim: dim };
}

/** `[T, width]` as a list of vectors that starts with `first`, so that its index is the t of the formulas. */
function byTime(first: Float64Array, values: Float64Array, width: number): Float64Array[] {
  const steps = values.length / width;
  const shape = { batch: 1, steps, width };
  return [first, ...Array.from({ length: steps }, (_, t) => takeStep(values, t, shape))];
}

/** The RNN example in column form; lists are indexed by t = 1, …, T, and h also by 0. */
export function rnnColumns(example: Example) {
  const { dim, x, h0, wx, wh, b, direct } = example;
  const none = new Float64Array(dim);
  return {
    x: byTime(none, x, dim),
    h: byTime(h0, rnnForward(x, h0, wx, wh, b, shapeOf(example)), dim),
    g: byTime(none, direct, dim),
    wx: columnForm(wx, dim, dim),
    wh: columnForm(wh, dim, dim),
  };
}

/** One array for each gate of the LSTM, in the order of the 4H axis; c stands for the candidate c̃. */
export type PerGate = Record<"f" | "i" | "c" | "o", Float64Array>;

/** The LSTM example in column form; lists are indexed by t = 1, …, T, and h and c also by 0. */
export function lstmColumns(example: Example) {
  const { dim, steps, x, h0, c0, wx, wh, b, direct } = example;
  const none = new Float64Array(dim);
  const states = lstmForward(x, h0, wx, wh, b, shapeOf(example), c0);
  const gates = byTime(new Float64Array(4 * dim), states.gates, 4 * dim);
  const block = (at: number) => gates.map((all) => all.slice(at * dim, (at + 1) * dim));
  const perGate = (w: Float64Array): PerGate => ({
    f: columnForm(w, dim, 4 * dim, 0, dim),
    i: columnForm(w, dim, 4 * dim, dim, dim),
    c: columnForm(w, dim, 4 * dim, 2 * dim, dim),
    o: columnForm(w, dim, 4 * dim, 3 * dim, dim),
  });
  const c = byTime(c0, states.c, dim);
  return {
    steps,
    h: byTime(h0, states.h, dim),
    c,
    /** tanh(c_t) */
    squashed: c.map((cell) => cell.map(Math.tanh)),
    f: block(0),
    i: block(1),
    candidate: block(2),
    o: block(3),
    g: byTime(none, direct, dim),
    wx: perGate(wx),
    wh: perGate(wh),
  };
}

/** What {@linkcode rnnColumns} gives. */
export type RnnColumns = ReturnType<typeof rnnColumns>;

/** What {@linkcode lstmColumns} gives. */
export type LstmColumns = ReturnType<typeof lstmColumns>;

/** The accumulated gradients on h_1, …, h_T: δ_t = g_t + W_hᵀ ((1 - h_{t+1}²) ⊙ δ_{t+1}). */
export function rnnAccumulated({ wh, h, g }: RnnColumns): Float64Array[] {
  const delta = [...g];
  for (let t = g.length - 2; t >= 1; t--) {
    const later = timesTransposed(wh, product(tanhSlope(h[t + 1]), delta[t + 1]));
    delta[t] = sum(g[t], later);
  }
  return delta;
}

/** o_t (1 - tanh²(c_t)): how c_t moves h_t. */
export function cellSlope({ o, squashed }: LstmColumns, t: number): Float64Array {
  return product(o[t], tanhSlope(squashed[t]));
}

/** How the pre-activations of step t move c_t (f, i, c) and, where c_t is held, h_t (o). */
export function gateSlopes(columns: LstmColumns, t: number): PerGate {
  const { c, f, i, candidate, o, squashed } = columns;
  return {
    f: product(c[t - 1], sigmoidSlope(f[t])),
    i: product(candidate[t], sigmoidSlope(i[t])),
    c: product(i[t], tanhSlope(candidate[t])),
    o: product(squashed[t], sigmoidSlope(o[t])),
  };
}

/** ∂c_t/∂h_{t-1}, `[H, H]`. */
export function cellByState(columns: LstmColumns, t: number): Float64Array {
  const { f, i, c } = gateSlopes(columns, t);
  const { wh } = columns;
  return sum(diagTimes(f, wh.f), diagTimes(i, wh.i), diagTimes(c, wh.c));
}

/** ∂h_t/∂h_{t-1}, `[H, H]`, where c_{t-1} is held. */
export function stateByState(columns: LstmColumns, t: number): Float64Array {
  const output = diagTimes(gateSlopes(columns, t).o, columns.wh.o);
  return sum(output, diagTimes(cellSlope(columns, t), cellByState(columns, t)));
}

/** The accumulated gradients `dh` on h_1, …, h_T and `dc` on c_1, …, c_T, by the Jacobians. */
export function lstmAccumulated(columns: LstmColumns): { dh: Float64Array[]; dc: Float64Array[] } {
  const { g, f } = columns;
  const last = g.length - 1;
  const none: Float64Array = new Float64Array(g[last].length);
  const dh = [...g];
  const dc = g.map(() => none);
  /** What c_{t+1} says about c_t. */
  const cellLater = (t: number) => t >= last ? none : product(dc[t + 1], f[t + 1]);
  for (let t = last; t >= 1; t--) {
    if (t < last) {
      const overState = timesTransposed(stateByState(columns, t + 1), dh[t + 1]);
      const overCell = timesTransposed(cellByState(columns, t + 1), cellLater(t + 1));
      dh[t] = sum(g[t], overState, overCell);
    }
    dc[t] = sum(product(dh[t], cellSlope(columns, t)), cellLater(t));
  }
  return { dh, dc };
}
