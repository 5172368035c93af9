/** Numeric gradients in float64, and the measure that compares them with analytic ones. */

/**
 * The gradient of the scalar function `f` at `x` by central differences:
 * `(f(x + h) - f(x - h)) / 2h` for each element. `f` reads `x` itself: each element is moved in place
 * and put back, so `x` is unchanged at the end.
 */
export function numericGradient(
  f: (x: Float64Array) => number,
  x: Float64Array,
  h = 1e-5,
): Float64Array {
  if (!(h > 0)) throw new RangeError(`The step h must be greater than 0: it is ${h}`);
  const gradient = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) {
    const kept = x[i];
    x[i] = kept + h;
    const above = f(x);
    x[i] = kept - h;
    const below = f(x);
    x[i] = kept;
    gradient[i] = (above - below) / (2 * h);
  }
  return gradient;
}

/**
 * The gradient of `f` at `x` by central differences with h and h/2, extrapolated to h = 0 (Richardson):
 * the error falls with h⁴ and not h², so h can be large enough for rounding to matter little. This is
 * for checks of many elements, where some gradients are tiny by chance.
 */
export function extrapolatedGradient(
  f: (x: Float64Array) => number,
  x: Float64Array,
  h = 2e-3,
): Float64Array {
  const coarse = numericGradient(f, x, h);
  const fine = numericGradient(f, x, h / 2);
  return fine.map((value, i) => (4 * value - coarse[i]) / 3);
}

/**
 * The largest `|a - b| / max(1e-8, |a| + |b|)` over the elements, as in Stanford's CS231n.
 * It is at most 1, for finite numbers; throws a TypeError where an element is not finite.
 */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  if (a.length !== b.length) {
    throw new TypeError(`The arrays must have one length: they have ${a.length} and ${b.length}`);
  }
  let largest = 0;
  for (let i = 0; i < a.length; i++) {
    // A NaN would lose every comparison and pass unseen.
    if (!Number.isFinite(a[i]) || !Number.isFinite(b[i])) {
      throw new TypeError(`The elements must be finite: those at ${i} are ${a[i]} and ${b[i]}`);
    }
    const scale = Math.max(1e-8, Math.abs(a[i]) + Math.abs(b[i]));
    largest = Math.max(largest, Math.abs(a[i] - b[i]) / scale);
  }
  return largest;
}
