/** Ways to make one vector of several, in float64: bags of word vectors, and the maximum over time. */
import { checkShape } from "./linear_algebra.ts";
import type { EmbeddingShape } from "./softmax.ts";
import { embeddingBackward, embeddingForward } from "./softmax.ts";

/** How the rows of a bag are put together. */
export type BagMode = "sum" | "mean";

/** What each row of a bag counts; an empty bag has none. */
function share(bag: ArrayLike<number>, mode: BagMode): number {
  return mode === "mean" ? 1 / bag.length : 1;
}

/** The sum or mean of the rows of `table` `[V, D]` that each bag names, 0 for an empty bag: `[N, D]`. */
export function bagForward(
  bags: readonly ArrayLike<number>[],
  table: Float64Array,
  shape: EmbeddingShape,
  mode: BagMode,
): Float64Array {
  const out = new Float64Array(bags.length * shape.dim);
  bags.forEach((bag, n) => {
    embeddingForward(bag, table, shape).forEach((value, i) => {
      out[n * shape.dim + i % shape.dim] += share(bag, mode) * value;
    });
  });
  return out;
}

/** The gradient on the table `[V, D]`: each row of a bag receives its share of the bag's `dout` `[N, D]`. */
export function bagBackward(
  dout: Float64Array,
  bags: readonly ArrayLike<number>[],
  shape: EmbeddingShape,
  mode: BagMode,
): Float64Array {
  checkShape("dout", dout, [bags.length, shape.dim]);
  const rows = bags.flatMap((bag, n) => {
    const row = dout.subarray(n * shape.dim, (n + 1) * shape.dim);
    return Array.from(bag).flatMap(() => Array.from(row, (v) => share(bag, mode) * v));
  });
  const ids = bags.flatMap((bag) => Array.from(bag));
  return embeddingBackward(Float64Array.from(rows), ids, shape);
}

/** The largest value of each unit over the steps of one sequence `x` `[T, H]`, and its step. Of equals the first counts. */
export function maxOverTimeForward(
  x: Float64Array,
  steps: number,
  units: number,
): { out: Float64Array; steps: number[] } {
  checkShape("x", x, [steps, units]);
  const out = x.slice(0, units);
  const from = Array<number>(units).fill(0);
  for (let t = 1; t < steps; t++) {
    for (let unit = 0; unit < units; unit++) {
      const value = x[t * units + unit];
      if (value > out[unit]) [out[unit], from[unit]] = [value, t];
    }
  }
  return { out, steps: from };
}

/** The gradient on `x` `[T, H]` from `dout` `[H]`: each unit's goes to the step of its largest value. */
export function maxOverTimeBackward(
  dout: Float64Array,
  from: readonly number[],
  steps: number,
): Float64Array {
  const dx = new Float64Array(steps * dout.length);
  from.forEach((t, unit) => dx[t * dout.length + unit] = dout[unit]);
  return dx;
}
