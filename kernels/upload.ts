/** Several small arrays of whole numbers in one upload. */
import type { Gpu } from "./gpu.ts";
import { sizeOf, Tensor } from "./tensor.ts";

/** Views begin at multiples of 256 bytes, as bindings must. */
const ALIGNMENT = 64;

/**
 * Upload arrays of whole numbers side by side in one buffer: one write instead of one for each. The
 * result has a tensor under each name, and lets go of all of them together.
 */
export function uploadPacked<K extends string>(
  gpu: Gpu,
  parts: Record<K, { data: ArrayLike<number>; shape: readonly number[] }>,
  name: string,
): Record<K, Tensor<"u32">> & Disposable {
  const entries = Object.entries(parts) as [K, (typeof parts)[K]][];
  const room = (size: number) => Math.max(1, Math.ceil(size / ALIGNMENT)) * ALIGNMENT;
  const total = entries.reduce((sum, [, { data }]) => sum + room(data.length), 0);
  const numbers = new Uint32Array(total);
  let offset = 0;
  for (const [key, { data, shape }] of entries) {
    if (sizeOf(shape) !== data.length) {
      throw new TypeError(
        `The part "${key}" of "${name}" has ${data.length} numbers and the shape [${
          shape.join(", ")
        }]`,
      );
    }
    numbers.set(data, offset);
    offset += room(data.length);
  }
  using whole = Tensor.from(gpu, numbers, [total], { name, dtype: "u32" });
  offset = 0;
  const views = entries.map(([key, { data, shape }]): [K, Tensor<"u32">] => {
    const view = whole.view(shape, offset, `${name} ${key}`);
    offset += room(data.length);
    return [key, view];
  });
  return {
    ...Object.fromEntries(views) as Record<K, Tensor<"u32">>,
    [Symbol.dispose]() {
      for (const [, view] of views) view.dispose();
    },
  };
}
