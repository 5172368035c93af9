/** What the kernel tests share: seeded inputs, uploads, the twins' order of axes, one tolerance. */
import { assert, assertEquals } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { relativeError } from "../support.ts";

/** How far a float32 kernel may be from its float64 twin, relative to the largest number. */
export const TOLERANCE = 1e-4;

/** `count` numbers of the standard normal distribution; the label picks the stream. */
export function normals(label: string, count: number): Float64Array {
  const stream = new RandomStream(2023).split(label);
  return Float64Array.from({ length: count }, () => stream.normal());
}

/** A tensor with a twin's numbers. */
export function upload(gpu: Gpu, values: ArrayLike<number>, shape: number[]): Tensor {
  return Tensor.from(gpu, values, shape);
}

/**
 * `[A, B, C]` as `[B, A, C]`. The twins hold sequences batch-major, `[N, T, D]`, and the kernels
 * time-major, `[T, N, D]`.
 */
export function swapAxes(
  values: ArrayLike<number>,
  [a, b, c]: [number, number, number],
): Float64Array {
  const swapped = new Float64Array(a * b * c);
  for (let i = 0; i < a; i++) {
    for (let j = 0; j < b; j++) {
      for (let k = 0; k < c; k++) swapped[(j * a + i) * c + k] = values[(i * b + j) * c + k];
    }
  }
  return swapped;
}

/** Read a tensor and compare it with its twin. */
export async function assertTwin(
  tensor: Tensor,
  expected: ArrayLike<number>,
  what: string,
  tolerance = TOLERANCE,
): Promise<void> {
  const error = relativeError(await tensor.read(), expected);
  assert(error <= tolerance, `${what}: relative error ${error}`);
}

/**
 * Read a tensor and compare it with its twin, which has numbers that are not finite: NaN and infinities stand at the
 * same places, and the other numbers agree.
 */
export async function assertTwinAround(
  tensor: Tensor,
  expected: ArrayLike<number>,
  what: string,
  tolerance = TOLERANCE,
): Promise<void> {
  const values = await tensor.read();
  const odd = (v: number) => Number.isFinite(v) ? "finite" : String(v);
  const kinds = (of: ArrayLike<number>) => Array.from(of, odd).join(" ");
  assertEquals(kinds(values), kinds(expected), what);
  const finite = (v: number) => Number.isFinite(v) ? v : 0;
  const error = relativeError(Array.from(values, finite), Array.from(expected, finite));
  assert(error <= tolerance, `${what}: relative error ${error}`);
}

/** Dispose of every tensor of a record, for instance of all gradients. */
export function disposeAll(tensors: object): void {
  for (const tensor of Object.values(tensors)) {
    if (tensor instanceof Tensor) tensor.dispose();
  }
}

/** Count the dispatches that a function records. */
export function countDispatches<R>(gpu: Gpu, record: () => R): { result: R; dispatches: number } {
  const before = gpu.recorder.counts.dispatches;
  const result = record();
  return { result, dispatches: gpu.recorder.counts.dispatches - before };
}
