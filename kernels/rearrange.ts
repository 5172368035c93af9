/** The numbers of a tensor in another order, some of them, or several times over. One dispatch each. */
import { axesOf } from "./reduce/axes.ts";
import { describeShape } from "./runtime/shape.ts";
import { expectShape, Tensor } from "./runtime/tensor.ts";
import { runPointwise, stridesOf, type View, wholeView } from "./pointwise/pointwise.ts";

/** Some positions of a tensor: their shape, and where they lie. */
export interface Selection {
  shape: readonly number[];
  view: View;
}

/** Copy the numbers of a selection: in row-major order, to a new tensor or to `out`. */
export function take({ shape, view }: Selection, out?: Tensor): Tensor {
  const { gpu, name } = view.tensor;
  const result = out ?? Tensor.empty(gpu, shape, { name });
  expectShape(result, shape, "A copy");
  runPointwise(gpu, "copy", shape, { a: view }, wholeView(result));
  return result;
}

/** Copy numbers to the positions of a selection; all others stay. */
export function put(source: Tensor, { shape, view }: Selection): void {
  expectShape(source, shape, "What is put in place");
  runPointwise(source.gpu, "copy", shape, { a: wholeView(source) }, view);
}

/**
 * Axes in another order: axis i of the result is axis `order[i]`.
 *
 * Errors: TypeError where the order does not name each axis once; RangeError for an axis that is not there.
 */
export function permuted(tensor: Tensor, order: readonly number[]): Selection {
  const { shape } = tensor;
  axesOf(tensor, order);
  if (order.length !== shape.length) {
    throw new TypeError(
      `The order [${order.join(", ")}] does not name each axis of "${tensor.name}" of shape ${
        describeShape(shape)
      }`,
    );
  }
  const strides = stridesOf(shape);
  const from = order.map((axis) => axis < 0 ? axis + shape.length : axis);
  return {
    shape: from.map((axis) => shape[axis]),
    view: { tensor, offset: 0, strides: from.map((axis) => strides[axis]) },
  };
}

/** Which positions of an axis: from `start` before `end`, each `step`-th; as Python's slices. */
export interface Slice {
  /** The first (the last where step is below 0) by default; below 0 from the end. */
  start?: number;
  /** Where to stop, without this one; at the end by default; below 0 from the end. */
  end?: number;
  /** 1 by default; not 0. */
  step?: number;
}

/**
 * Some positions of one axis, as Python's `start:end:step`.
 *
 * Errors: RangeError for an axis that is not there, a step of 0, and numbers that are not whole.
 */
export function sliced(tensor: Tensor, axis: number, { start, end, step = 1 }: Slice): Selection {
  const [at] = axesOf(tensor, axis);
  for (const [name, value] of Object.entries({ start, end, step })) {
    if (value === undefined || (Number.isInteger(value) && (name !== "step" || value !== 0))) {
      continue;
    }
    throw new RangeError(
      `A slice's ${name} is a whole number${name === "step" ? " but 0" : ""}: ${value}`,
    );
  }
  const size = tensor.shape[at];
  const [low, high] = step > 0 ? [0, size] : [-1, size - 1];
  const place = (value: number) => Math.min(Math.max(value < 0 ? value + size : value, low), high);
  const first = start === undefined ? (step > 0 ? low : high) : place(start);
  const last = end === undefined ? (step > 0 ? high : low) : place(end);
  const count = Math.max(0, Math.ceil((last - first) / step));
  const strides = stridesOf(tensor.shape);
  return {
    shape: tensor.shape.map((n, axis) => axis === at ? count : n),
    view: {
      tensor,
      offset: first * strides[at],
      strides: strides.map((stride, axis) => axis === at ? step * stride : stride),
    },
  };
}
