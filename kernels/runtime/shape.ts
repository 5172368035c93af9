/** Shapes: what they are, and how many numbers they hold. */

import { GpuError } from "./errors.ts";

/** A shape as messages show it. */
export function describeShape(shape: readonly number[]): string {
  return `[${shape.join(", ")}]`;
}

/** The number of elements of a shape; `[]` is a scalar with one. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((a, b) => a * b, 1);
}

/** TypeError for what is no array, RangeError for sizes that no tensor has, GpuError for too many numbers. */
export function checkShape(shape: readonly number[], name: string): void {
  if (!Array.isArray(shape)) {
    throw new TypeError(
      `The shape of the tensor "${name}" must be an array of sizes: it is ${shape}`,
    );
  }
  for (const n of shape) {
    if (!Number.isSafeInteger(n) || n < 0) {
      throw new RangeError(
        `The tensor "${name}" cannot have the shape ${describeShape(shape)}: ` +
          `sizes are whole numbers from 0`,
      );
    }
  }
  const size = sizeOf(shape);
  if (!Number.isSafeInteger(4 * size)) {
    throw new GpuError(
      `The tensor "${name}" cannot have the shape ${describeShape(shape)}: that is ${size} numbers`,
    );
  }
}
