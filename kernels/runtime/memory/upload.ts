/** Several small arrays of whole numbers in one upload. */
import type { Gpu } from "../gpu.ts";
import { checkList, setWords } from "../numbers.ts";
import { sizeOf, Tensor } from "../tensor.ts";

/** Views begin at multiples of 256 bytes, as bindings must. */
const ALIGNMENT = 64;

/**
 * Upload arrays of whole numbers side by side in one buffer: one write instead of one for each. The
 * result has a tensor under each name, and lets go of all of them together.
 *
 * Errors: TypeError for a part that is no flat array of numbers, or not as many as its shape holds; RangeError
 * for what is no whole number from 0 to 2³² - 1.
 */
export function uploadPacked<K extends string>(
  gpu: Gpu,
  parts: Record<K, { data: ArrayLike<number>; shape: readonly number[] }>,
  name: string,
): Record<K, Tensor<"u32">> & Disposable {
  const entries = Object.entries(parts) as [K, (typeof parts)[K]][];
  for (const [key, { data }] of entries) checkList(data, `${name} ${key}`);
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
    setWords(numbers, data, `${name} ${key}`, offset);
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
