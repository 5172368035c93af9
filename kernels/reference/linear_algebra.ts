/**
 * Plain float64 matrices for the reference twins: row-major `Float64Array`s and readable loops.
 * Nothing here is fast, and nothing here is meant to be.
 */

/** Throw a TypeError where `array` does not hold exactly the numbers of `shape`. */
export function checkShape(name: string, array: ArrayLike<number>, shape: readonly number[]): void {
  const expected = shape.reduce((product, size) => product * size, 1);
  if (array.length !== expected) {
    throw new TypeError(
      `${name} of shape [${
        shape.join(", ")
      }] must hold ${expected} numbers: it holds ${array.length}`,
    );
  }
}

/** Which operands of {@linkcode matmul} are stored transposed. */
export interface MatmulOptions {
  /** `a` is stored as `[k, m]`. */
  transposeA?: boolean;
  /** `b` is stored as `[n, k]`. */
  transposeB?: boolean;
}

/** The matrix product of `a` `[m, k]` and `b` `[k, n]`: `[m, n]`. */
export function matmul(
  a: Float64Array,
  b: Float64Array,
  m: number,
  k: number,
  n: number,
  { transposeA = false, transposeB = false }: MatmulOptions = {},
): Float64Array {
  checkShape("a", a, transposeA ? [k, m] : [m, k]);
  checkShape("b", b, transposeB ? [n, k] : [k, n]);
  const product = new Float64Array(m * n);
  for (let row = 0; row < m; row++) {
    for (let column = 0; column < n; column++) {
      let sum = 0;
      for (let inner = 0; inner < k; inner++) {
        const left = transposeA ? a[inner * m + row] : a[row * k + inner];
        const right = transposeB ? b[column * k + inner] : b[inner * n + column];
        sum += left * right;
      }
      product[row * n + column] = sum;
    }
  }
  return product;
}

/** `x` `[rows, columns]` with `bias` `[columns]` added to each row. */
export function addBias(
  x: Float64Array,
  bias: Float64Array,
  rows: number,
  columns: number,
): Float64Array {
  checkShape("x", x, [rows, columns]);
  checkShape("bias", bias, [columns]);
  return x.map((value, index) => value + bias[index % columns]);
}

/** The sum of each column of `x` `[rows, columns]`: `[columns]`. */
export function columnSum(x: Float64Array, rows: number, columns: number): Float64Array {
  checkShape("x", x, [rows, columns]);
  const sum = new Float64Array(columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) sum[column] += x[row * columns + column];
  }
  return sum;
}

/** The elementwise sum of two arrays of one length. */
export function add(a: Float64Array, b: Float64Array): Float64Array {
  checkShape("b", b, [a.length]);
  return a.map((value, index) => value + b[index]);
}

/** The elementwise product of two arrays of one length. */
export function multiply(a: Float64Array, b: Float64Array): Float64Array {
  checkShape("b", b, [a.length]);
  return a.map((value, index) => value * b[index]);
}

/** The sum of the products of the elements of two arrays of one length. */
export function dot(a: Float64Array, b: Float64Array): number {
  checkShape("b", b, [a.length]);
  return a.reduce((sum, value, index) => sum + value * b[index], 0);
}

/** Add `source` to `target` in place. */
export function accumulate(target: Float64Array, source: Float64Array): void {
  checkShape("source", source, [target.length]);
  for (let i = 0; i < target.length; i++) target[i] += source[i];
}

/** The logistic function 1 / (1 + e⁻ᵃ). */
export function sigmoid(a: number): number {
  return 1 / (1 + Math.exp(-a));
}

/** The sizes of a sequence `[batch, steps, width]`. */
export interface SequenceShape {
  batch: number;
  steps: number;
  width: number;
}

/** Step `t` (from 0) of `sequence` `[N, T, width]`, copied out: `[N, width]`. */
export function takeStep(
  sequence: Float64Array,
  t: number,
  { batch, steps, width }: SequenceShape,
): Float64Array {
  checkShape("sequence", sequence, [batch, steps, width]);
  const step = new Float64Array(batch * width);
  for (let n = 0; n < batch; n++) {
    const start = (n * steps + t) * width;
    step.set(sequence.subarray(start, start + width), n * width);
  }
  return step;
}

/** Write `step` `[N, width]` into step `t` (from 0) of `sequence` `[N, T, width]`. */
export function putStep(
  sequence: Float64Array,
  t: number,
  step: Float64Array,
  { batch, steps, width }: SequenceShape,
): void {
  checkShape("sequence", sequence, [batch, steps, width]);
  checkShape("step", step, [batch, width]);
  for (let n = 0; n < batch; n++) {
    sequence.set(step.subarray(n * width, (n + 1) * width), (n * steps + t) * width);
  }
}
