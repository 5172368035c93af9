/**
 * Tensors in a file's bytes, with strides: PyTorch's views, NumPy's Fortran order.
 *
 * @module
 */
import { ARRAY_TYPES, type TensorData, type TensorDtype } from "./tensor_data.ts";
import { UserError } from "../files/user_error.ts";

/** The most dimensions that a tensor in a file may have: as many as PyTorch's and NumPy's operations take. */
export const MAX_DIMENSIONS = 64;

/** The count of values in a shape; 1 for `[]`. */
export function sizeOf(shape: readonly number[]): number {
  // Without the test an infinite product times 0 would be NaN.
  return shape.includes(0) ? 0 : shape.reduce((product, extent) => product * extent, 1);
}

/** The strides of a shape in row-major order, in elements. */
export function rowMajorStrides(shape: readonly number[]): number[] {
  const strides = shape.map(() => 1);
  for (let d = shape.length - 2; d >= 0; d--) strides[d] = strides[d + 1] * shape[d + 1];
  return strides;
}

/** A tensor whose values follow each other: a view of `bytes` from `begin`, or a copy where they are not aligned. */
export function tensorAt(
  dtype: TensorDtype,
  shape: number[],
  bytes: Uint8Array<ArrayBuffer>,
  begin: number,
): TensorData {
  const ArrayType = ARRAY_TYPES[dtype];
  const size = sizeOf(shape);
  const at = bytes.byteOffset + begin;
  const data = at % ArrayType.BYTES_PER_ELEMENT === 0
    ? new ArrayType(bytes.buffer, at, size)
    : new ArrayType(bytes.buffer.slice(at, at + size * ArrayType.BYTES_PER_ELEMENT));
  return { dtype, shape, data } as TensorData;
}

/** Where a tensor lies in its storage. All counts are elements. */
export interface Layout {
  /** The extents, outermost first. */
  shape: number[];
  /** The step from an index to the next, for each extent. */
  strides: readonly number[];
  /** The first element. */
  offset: number;
}

/**
 * The tensor at a layout in `storage`, in row-major order: a view where it is so already, else a copy. A
 * UserError when the layout reaches past the storage's end; extents, strides and offset are counts from 0.
 *
 * ```ts
 * const storage = Uint8Array.of(1, 2, 3, 4, 5, 6);
 * const layout = { shape: [3, 2], strides: [1, 3], offset: 0 }; // the transpose of a [2, 3]
 * const { data } = stridedTensor("U8", layout, storage);
 * if (data.join() !== "1,4,2,5,3,6") throw new Error(`got ${data}`);
 * ```
 */
export function stridedTensor(
  dtype: TensorDtype,
  { shape, strides, offset }: Layout,
  storage: Uint8Array<ArrayBuffer>,
): TensorData {
  const bytesEach = ARRAY_TYPES[dtype].BYTES_PER_ELEMENT;
  const available = Math.floor(storage.length / bytesEach);
  const size = sizeOf(shape);
  const last = shape.reduce((at, extent, d) => at + (extent - 1) * strides[d], offset);
  // A tensor without values reads nothing, but its offset must still lie in the storage.
  if (size === 0 ? offset > available : !(last < available)) {
    throw new UserError(
      `the shape [${shape}] with strides [${strides}] from element ${offset} does not fit its ` +
        `storage of ${available} elements`,
    );
  }
  const rowMajor = rowMajorStrides(shape);
  const inOrder = shape.every((extent, d) => extent === 1 || strides[d] === rowMajor[d]);
  if (size === 0 || inOrder) return tensorAt(dtype, shape, storage, offset * bytesEach);
  const gathered = new Uint8Array(size * bytesEach);
  gather(storage, gathered, bytesEach, { shape, strides, offset });
  return tensorAt(dtype, shape, gathered, 0);
}

/** Copy the elements of a layout into `to`, one after the other. */
function gather(
  from: Uint8Array,
  to: Uint8Array,
  bytesEach: number,
  { shape, strides, offset }: Layout,
): void {
  const index = shape.map(() => 0);
  for (let at = offset, end = 0; end < to.length; end += bytesEach) {
    for (let b = 0; b < bytesEach; b++) to[end + b] = from[at * bytesEach + b];
    for (let d = shape.length - 1; d >= 0; d--) {
      at += strides[d];
      if (++index[d] < shape[d]) break;
      at -= shape[d] * strides[d];
      index[d] = 0;
    }
  }
}

/** How many bytes the content of a file of `fileBytes` may have: so many times as many, and 64 MiB in any case. */
export function expansionLimit(fileBytes: number, times = 16): number {
  return Math.max(64 * 2 ** 20, times * fileBytes);
}
