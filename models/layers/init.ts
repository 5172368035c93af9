/** Where weights start from. Each function fills a new array of a shape from a random stream. */
import type { RandomStream } from "../../data/rng.ts";
import { sizeOf } from "../../kernels/runtime/tensor.ts";

/** Makes the first values of a parameter of the given shape. */
export type Initializer = (
  shape: readonly number[],
  stream: RandomStream,
) => Float32Array<ArrayBuffer>;

function fill(shape: readonly number[], next: () => number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: sizeOf(shape) }, next);
}

/** All zeros. */
export function zeros(shape: readonly number[]): Float32Array<ArrayBuffer> {
  return new Float32Array(sizeOf(shape));
}

/** Normal numbers with the given deviation around 0. RangeError where it is no finite number from 0. */
export function normal(deviation: number): Initializer {
  if (!(deviation >= 0 && deviation < Infinity)) {
    throw new RangeError(`A deviation is a finite number from 0, and ${deviation} was given`);
  }
  return (shape, stream) => fill(shape, () => deviation * stream.normal());
}

/** Numbers spread evenly over [-bound, bound). */
export function uniform(bound: number): Initializer {
  return (shape, stream) => fill(shape, () => bound * (2 * stream.uniform() - 1));
}

/** Normal numbers of deviation `1 / √fanIn`, with fanIn the first size of the shape: the homework's choice. */
export function scaledNormal(
  shape: readonly number[],
  stream: RandomStream,
): Float32Array<ArrayBuffer> {
  return normal(1 / Math.sqrt(shape[0]))(shape, stream);
}

/** Glorot and Bengio 2010: even over ±√(6 / (fanIn + fanOut)), for a matrix `[fanIn, fanOut]`. */
export function xavierUniform(
  shape: readonly number[],
  stream: RandomStream,
): Float32Array<ArrayBuffer> {
  return uniform(Math.sqrt(6 / (shape[0] + shape[1])))(shape, stream);
}

/** He et al. 2015: normal numbers of deviation √(2 / fanIn), for a matrix `[fanIn, fanOut]`. */
export function kaimingNormal(
  shape: readonly number[],
  stream: RandomStream,
): Float32Array<ArrayBuffer> {
  return normal(Math.sqrt(2 / shape[0]))(shape, stream);
}
