/** Adam for some rows of a table in float64, as PyTorch's SparseAdam. */
import type { AdamOptions, AdamState } from "./optimizers.ts";
import { adamStep } from "./optimizers.ts";

/**
 * A step of Adam for the given rows of `table` `[V, D]`; their moments move, those of the others rest.
 * PyTorch adds its ε to √v before the bias correction, and we after it, as Adam does for all parameters.
 */
export function adamRowsStep(
  table: Float64Array,
  gradient: Float64Array,
  rows: Iterable<number>,
  width: number,
  state: AdamState,
  options: AdamOptions,
): void {
  const { step, mean, square } = state;
  for (const row of rows) {
    const part = (values: Float64Array) => values.subarray(row * width, (row + 1) * width);
    const own = { step, mean: part(mean), square: part(square) };
    adamStep(part(table), part(gradient), own, options);
  }
  state.step++;
}
