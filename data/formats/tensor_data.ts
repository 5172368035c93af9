/**
 * Tensors outside the GPU, as the file formats read and write them.
 *
 * @module
 */

import { quote } from "../files/messages.ts";
import { UserError } from "../files/user_error.ts";

/** The array that holds a dtype's values. BF16 and the F8 kinds are kept as raw bits. */
export interface TensorArrays {
  /** 64-bit floats. */
  F64: Float64Array<ArrayBuffer>;
  /** 32-bit floats. */
  F32: Float32Array<ArrayBuffer>;
  /** 16-bit floats of IEEE 754. */
  F16: Float16Array<ArrayBuffer>;
  /** The upper halves of 32-bit floats, as bits. */
  BF16: Uint16Array<ArrayBuffer>;
  /** 8-bit floats with 4 bits of exponent, as bits. */
  F8_E4M3: Uint8Array<ArrayBuffer>;
  /** 8-bit floats with 5 bits of exponent, as bits. */
  F8_E5M2: Uint8Array<ArrayBuffer>;
  /** 64-bit integers. */
  I64: BigInt64Array<ArrayBuffer>;
  /** 32-bit integers. */
  I32: Int32Array<ArrayBuffer>;
  /** 16-bit integers. */
  I16: Int16Array<ArrayBuffer>;
  /** 8-bit integers. */
  I8: Int8Array<ArrayBuffer>;
  /** 64-bit integers without a sign. */
  U64: BigUint64Array<ArrayBuffer>;
  /** 32-bit integers without a sign. */
  U32: Uint32Array<ArrayBuffer>;
  /** 16-bit integers without a sign. */
  U16: Uint16Array<ArrayBuffer>;
  /** 8-bit integers without a sign. */
  U8: Uint8Array<ArrayBuffer>;
  /** One byte a value: 0 or 1. */
  BOOL: Uint8Array<ArrayBuffer>;
}

/** The name of an element type in the format. */
export type TensorDtype = keyof TensorArrays;

/** A tensor outside the GPU: its element type, its shape in row-major order, and its values. */
export type TensorData = {
  [D in TensorDtype]: { dtype: D; shape: number[]; data: TensorArrays[D] };
}[TensorDtype];

/** The array class of each dtype. */
export const ARRAY_TYPES = {
  F64: Float64Array,
  F32: Float32Array,
  F16: Float16Array,
  BF16: Uint16Array,
  F8_E4M3: Uint8Array,
  F8_E5M2: Uint8Array,
  I64: BigInt64Array,
  I32: Int32Array,
  I16: Int16Array,
  I8: Int8Array,
  U64: BigUint64Array,
  U32: Uint32Array,
  U16: Uint16Array,
  U8: Uint8Array,
  BOOL: Uint8Array,
} as const satisfies Record<TensorDtype, unknown>;

/** Whether `value` names a dtype. */
export function isDtype(value: unknown): value is TensorDtype {
  return typeof value === "string" && Object.hasOwn(ARRAY_TYPES, value);
}

/** The dtypes that {@link toFloat32} takes. */
const FLOATS: readonly TensorDtype[] = ["F64", "F32", "F16", "BF16"];

/** What is wrong with a dtype where floats are needed, and what helps; undefined where it is right. */
export function whyNotFloats(dtype: TensorDtype): string | undefined {
  if (FLOATS.includes(dtype)) return undefined;
  const what = dtype.startsWith("F8") ? "floats of 8 bits" : "whole numbers";
  return `holds ${what} (${dtype}), where floats are needed (${FLOATS.join(", ")}): ` +
    "in PyTorch, save tensor.float()";
}

/**
 * The values of a floating-point tensor in a new Float32Array: F16 and BF16 are widened exactly, F64 is
 * rounded. A UserError for any other dtype; `name` is the tensor's, for its message.
 */
export function toFloat32(tensor: TensorData, name?: string): Float32Array<ArrayBuffer> {
  switch (tensor.dtype) {
    case "F64":
    case "F32":
    case "F16":
      return Float32Array.from(tensor.data);
    case "BF16":
      // BF16 is the upper half of a float32.
      return new Float32Array(Uint32Array.from(tensor.data, (bits) => bits << 16).buffer);
    default: {
      const which = name === undefined ? "A tensor" : `Tensor ${quote(name)}`;
      throw new UserError(`${which} ${whyNotFloats(tensor.dtype)}`);
    }
  }
}

/**
 * What is wrong with a tensor where all numbers are to be finite: how many are not, and the first with its place;
 * undefined where nothing is. Whole numbers are finite, and floats of 8 bits are not looked at.
 *
 * ```ts
 * const data = Float32Array.of(1, NaN, Infinity);
 * const why = whyNotFinite({ dtype: "F32", shape: [3], data });
 * if (why !== "is not finite in 2 of 3 numbers, first NaN at place 1") throw new Error(why);
 * ```
 */
export function whyNotFinite(tensor: TensorData): string | undefined {
  if (!FLOATS.includes(tensor.dtype)) return undefined;
  const values = tensor.dtype === "BF16" ? toFloat32(tensor) : tensor.data as Float32Array;
  let [count, first] = [0, -1];
  for (let i = 0; i < values.length; i++) {
    if (values[i] - values[i] === 0) continue;
    if (count++ === 0) first = i;
  }
  if (count === 0) return undefined;
  return `is not finite in ${count} of ${values.length} numbers, first ${
    values[first]
  } at place ${first}`;
}

/** Whether {@link negate} takes tensors of a dtype: those of floats of 16 bits and more, and of ints with a sign. */
export function hasNegative(dtype: TensorDtype): boolean {
  return /^(F|BF|I)\d+$/.test(dtype);
}

/** A tensor with the other sign, in new memory. A UserError where its dtype has none. */
export function negate(tensor: TensorData): TensorData {
  const { dtype, shape } = tensor;
  if (!hasNegative(dtype)) throw new UserError(`A tensor of dtype ${dtype} has no negative`);
  if (tensor.dtype === "BF16") {
    return { dtype: "BF16", shape, data: tensor.data.map((bits) => bits ^ 0x8000) };
  }
  if (tensor.dtype === "I64") {
    return { dtype: "I64", shape, data: tensor.data.map((value) => -value) };
  }
  const data = (tensor.data as Float32Array<ArrayBuffer>).map((value) => -value);
  return { dtype, shape, data } as TensorData;
}
