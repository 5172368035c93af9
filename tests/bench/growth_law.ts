/** The law that a row of measurements follows, and where it jumps. */

/** A measured size. */
export interface Point {
  size: number;
  /** Milliseconds of a step. */
  ms: number;
  /** Bytes of all tensors at the step's peak. */
  bytes: number;
}

/** `y = fixed + slope · x`. */
export interface Law {
  fixed: number;
  slope: number;
  /** The largest distance of a measurement from the law, as a part of the measurement. */
  residual: number;
}

/** A jump is a time for each value that is larger than the neighbour's by more than this factor. */
export const JUMP = 1.6;

/** Sizes so close to each other that none may be dearer than the other by {@linkcode JUMP}, in either direction. */
const CLOSE = 1.15;

/**
 * The straight line with the least sum of squared relative distances; neither the fixed part nor the slope
 * is below 0.
 */
export function fitLaw(xs: readonly number[], ys: readonly number[]): Law {
  let [w, wx, wxx, wy, wxy] = [0, 0, 0, 0, 0];
  xs.forEach((x, i) => {
    const weight = 1 / ys[i] ** 2;
    w += weight;
    wx += weight * x;
    wxx += weight * x * x;
    wy += weight * ys[i];
    wxy += weight * x * ys[i];
  });
  const determinant = w * wxx - wx * wx;
  let slope = determinant > 0 ? (w * wxy - wx * wy) / determinant : 0;
  let fixed = (wy - slope * wx) / w;
  if (fixed < 0) [fixed, slope] = [0, wxy / wxx];
  if (slope < 0) [fixed, slope] = [wy / w, 0];
  const residual = Math.max(...xs.map((x, i) => Math.abs(fixed + slope * x - ys[i]) / ys[i]));
  return { fixed, slope, residual };
}

/**
 * The indices of points, in order of size, that jump from a neighbour: a larger size that costs more for each
 * value, one of two close sizes that does, or a smaller size that takes longer than a larger one.
 */
export function jumps(points: readonly Point[], work: (size: number) => number): number[] {
  const found = new Set<number>();
  for (let i = 1; i < points.length; i++) {
    const [a, b] = [points[i - 1], points[i]];
    const [each, next] = [a.ms / work(a.size), b.ms / work(b.size)];
    if (next > JUMP * each) found.add(i);
    const close = work(b.size) < CLOSE * work(a.size);
    if (close ? each > JUMP * next : a.ms > JUMP * b.ms) found.add(i - 1);
  }
  return [...found].sort((a, b) => a - b);
}
