/** The functions of kernels/pointwise/table.ts in float64, written another way, and broadcasting. */
import type { PointwiseName } from "../pointwise/table.ts";

/** erf by its series up to 3, beyond by the continued fraction of erfc. */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 3) {
    let [term, sum] = [a, a];
    for (let n = 1; Math.abs(term) > 1e-18 * sum; n++) {
      term *= -a * a / n;
      sum += term / (2 * n + 1);
      if (n > 200) break;
    }
    return Math.sign(x) * sum * 2 / Math.sqrt(Math.PI);
  }
  return Math.sign(x) * (1 - erfcFar(a));
}

/** erfc above 3. */
function erfcFar(a: number): number {
  let fraction = a;
  for (let n = 60; n > 0; n--) fraction = a + n / 2 / fraction;
  return Math.exp(-a * a) / (fraction * Math.sqrt(Math.PI));
}

/** The share of a standard normal distribution below x, with all of its digits where it is small. */
export function normalShare(x: number): number {
  const a = x / Math.SQRT2;
  return a < -3 ? erfcFar(-a) / 2 : (1 + erf(a)) / 2;
}

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

type F = (a: number, b: number, c: number) => number;

/** A function, and its slope along each input. */
interface Twin {
  f: F;
  slopes: F[];
}

const half = (less: boolean, equal: boolean) => less ? 0 : equal ? 0.5 : 1;
const none = () => 0;

/** By name. */
export const POINTWISE_TWINS: Record<
  Exclude<PointwiseName, "softmaxGradient" | "logSoftmaxGradient">,
  Twin
> = {
  copy: { f: (a) => a, slopes: [() => 1] },
  neg: { f: (a) => -a, slopes: [() => -1] },
  square: { f: (a) => a ** 2, slopes: [(a) => 2 * a] },
  sqrt: { f: Math.sqrt, slopes: [(a) => 0.5 / Math.sqrt(a)] },
  rsqrt: { f: (a) => 1 / Math.sqrt(a), slopes: [(a) => -0.5 * a ** -1.5] },
  exp: { f: Math.exp, slopes: [Math.exp] },
  log: { f: Math.log, slopes: [(a) => 1 / a] },
  abs: { f: Math.abs, slopes: [Math.sign] },
  sin: { f: Math.sin, slopes: [Math.cos] },
  cos: { f: Math.cos, slopes: [(a) => -Math.sin(a)] },
  relu: { f: (a) => Number.isNaN(a) || a > 0 ? a : 0, slopes: [(a) => a > 0 ? 1 : 0] },
  gelu: {
    f: (a) => a * normalShare(a),
    slopes: [(a) => normalShare(a) + a * Math.exp(-a * a / 2) / Math.sqrt(2 * Math.PI)],
  },
  silu: {
    f: (a) => a * sigmoid(a),
    slopes: [(a) => sigmoid(a) + a * sigmoid(a) * sigmoid(-a)],
  },
  softplus: {
    f: (a) => Math.max(a, 0) + Math.log1p(Math.exp(-Math.abs(a))),
    slopes: [sigmoid],
  },
  sigmoid: { f: sigmoid, slopes: [(a) => sigmoid(a) * sigmoid(-a)] },
  tanh: { f: Math.tanh, slopes: [(a) => 1 / Math.cosh(a) ** 2] },
  add: { f: (a, b) => a + b, slopes: [() => 1, () => 1] },
  sub: { f: (a, b) => a - b, slopes: [() => 1, () => -1] },
  mul: { f: (a, b) => a * b, slopes: [(_, b) => b, (a) => a] },
  div: { f: (a, b) => a / b, slopes: [(_, b) => 1 / b, (a, b) => -a / b ** 2] },
  pow: {
    f: (a, b) => a ** b,
    slopes: [
      (a, b) => b === 0 ? 0 : b * a ** (b - 1),
      (a, b) => a === 0 && b >= 0 ? 0 : a ** b * Math.log(a),
    ],
  },
  minimum: {
    f: Math.min,
    slopes: [(a, b) => half(a > b, a === b), (a, b) => half(b > a, a === b)],
  },
  maximum: {
    f: Math.max,
    slopes: [(a, b) => half(a < b, a === b), (a, b) => half(b < a, a === b)],
  },
  leakyRelu: { f: (a, b) => a > 0 ? a : a * b, slopes: [(a, b) => a > 0 ? 1 : b, none] },
  equal: { f: (a, b) => Number(a === b), slopes: [none, none] },
  less: { f: (a, b) => Number(a < b), slopes: [none, none] },
  greater: { f: (a, b) => Number(a > b), slopes: [none, none] },
  where: {
    f: (a, b, c) => a !== 0 ? b : c,
    slopes: [none, (a) => Number(a !== 0), (a) => Number(a === 0)],
  },
  clamp: {
    f: (a, b, c) => Math.min(Math.max(a, b), c),
    slopes: [(a, b, c) => Number(a >= b && a <= c), none, none],
  },
};
