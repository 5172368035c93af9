/** A tensor on a tape, and what can be done with it: each operation is a method. */
import {
  embedding as lookUp,
  embeddingGradient,
  type Indices,
  uploadIndices,
} from "../../kernels/embedding/embedding.ts";
import { matmul, matmulEach } from "../../kernels/gemm/matmul.ts";
import {
  broadcast,
  pointwise,
  pointwiseGradient,
  repeatedView,
  runPointwise,
  wholeView,
} from "../../kernels/pointwise/pointwise.ts";
import {
  expression,
  flowsTo,
  POINTWISE,
  type PointwiseName,
} from "../../kernels/pointwise/table.ts";
import { permuted, put, type Slice, sliced, take } from "../../kernels/rearrange.ts";
import { axesOf, reduceAxes, withoutAxes } from "../../kernels/reduce/axes.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { argmax } from "../../kernels/softmax/softmax.ts";
import { describeShape } from "../../kernels/runtime/shape.ts";
import { sizeOf, Tensor } from "../../kernels/runtime/tensor.ts";
import type { Tape } from "./autograd.ts";

/** Which rows of a table got a gradient: those of the segments of an `Indices` or `Bags`. */
export interface TouchedRows {
  /** `[S + 1, 2]`: the second number of each segment is its row. */
  segments: Tensor<"u32">;
  /** S */
  distinct: number;
}

/** A tensor on a tape, and during `backward` its gradient. */
export class Variable {
  /** The gradient of the loss, once a later operation has passed one back. */
  grad: Tensor | undefined;

  /** Made by operations and by {@linkcode Tape.variable}. */
  constructor(
    readonly tensor: Tensor,
    readonly requiresGrad: boolean,
    /** Where it was made; parameters and constants are of none. */
    readonly tape?: Tape,
  ) {}

  /** The shape of its tensor. */
  get shape(): readonly number[] {
    return this.tensor.shape;
  }

  /**
   * True when the gradient has a place of its own, as a parameter's has.
   *
   * @internal
   */
  get ownsGradient(): boolean {
    return false;
  }

  /**
   * Told of a table which rows a gradient is about to be written for. True when the other rows need not
   * be made zero, as for a sparse parameter.
   *
   * @internal
   */
  touchRows(_rows: TouchedRows): boolean {
    return false;
  }

  /**
   * TypeError where no second gradient can be added to the first, as for a sparse parameter.
   *
   * @internal
   */
  checkSum(): void {}

  /** {@linkcode Tape.backward} of its tape. */
  backward(): void {
    tapeOf(this).backward(this);
  }

  /**
   * A tensor to write the first gradient to.
   *
   * @internal
   */
  gradientTarget(tape: Tape): Tensor {
    const { gpu, shape, name } = this.tensor;
    return tape.keep(Tensor.empty(gpu, shape, { name: `gradient of ${name}` }));
  }

  // Functions of each number, see kernels/pointwise/table.ts. What they take besides is repeated to one shape.

  /** `-x`. */
  neg(): Variable {
    return apply("neg", this);
  }

  /** `x²`. */
  square(): Variable {
    return apply("square", this);
  }

  /** `√x`; NaN below 0. */
  sqrt(): Variable {
    return apply("sqrt", this);
  }

  /** `1 / √x`. */
  rsqrt(): Variable {
    return apply("rsqrt", this);
  }

  /** `eˣ`. */
  exp(): Variable {
    return apply("exp", this);
  }

  /** The natural logarithm. */
  log(): Variable {
    return apply("log", this);
  }

  /** `|x|`. */
  abs(): Variable {
    return apply("abs", this);
  }

  /** The sine of radians. */
  sin(): Variable {
    return apply("sin", this);
  }

  /** The cosine of radians. */
  cos(): Variable {
    return apply("cos", this);
  }

  /** `max(x, 0)`. */
  relu(): Variable {
    return apply("relu", this);
  }

  /** `x` above 0, `slope x` below. */
  leakyRelu(slope = 0.01): Variable {
    return apply("leakyRelu", this, slope);
  }

  /** `x` times the share of a standard normal distribution below it. */
  gelu(): Variable {
    return apply("gelu", this);
  }

  /** `x sigmoid(x)`. */
  silu(): Variable {
    return apply("silu", this);
  }

  /** `log(1 + exp(x))`. */
  softplus(): Variable {
    return apply("softplus", this);
  }

  /** `1 / (1 + exp(-x))`. */
  sigmoid(): Variable {
    return apply("sigmoid", this);
  }

  /** The hyperbolic tangent. */
  tanh(): Variable {
    return apply("tanh", this);
  }

  /** The sum. */
  add(other: Operand): Variable {
    return apply("add", this, other);
  }

  /** The difference. */
  sub(other: Operand): Variable {
    return apply("sub", this, other);
  }

  /** The product of number and number; {@linkcode matmul} is that of matrices. */
  mul(other: Operand): Variable {
    return apply("mul", this, other);
  }

  /** The quotient. */
  div(other: Operand): Variable {
    return apply("div", this, other);
  }

  /** NaN for a number below 0 to a power that is not whole. */
  pow(power: Operand): Variable {
    return power === 2 ? this.square() : apply("pow", this, power);
  }

  /** The smaller number of each two. */
  minimum(other: Operand): Variable {
    return apply("minimum", this, other);
  }

  /** The larger number of each two. */
  maximum(other: Operand): Variable {
    return apply("maximum", this, other);
  }

  /** Into the range from `low` to `high`. RangeError where `low` is above `high`. */
  clamp(low: number, high: number): Variable {
    if (low <= high) return apply("clamp", this, low, high);
    throw new RangeError(`A clamp needs a range, and ${low} to ${high} was given`);
  }

  /** 1 where both are equal, else 0; no gradient flows back. The same holds for the next two. */
  equal(other: Operand): Variable {
    return apply("equal", this, other);
  }

  /** 1 where it is less, else 0. */
  less(other: Operand): Variable {
    return apply("less", this, other);
  }

  /** 1 where it is greater, else 0. */
  greater(other: Operand): Variable {
    return apply("greater", this, other);
  }

  // Along axes: all of them by default, those below 0 from the last on. With `keepDims` they stay, with one number
  // each.

  /** All added up. */
  sum(axes?: Axes, { keepDims = false }: { keepDims?: boolean } = {}): Variable {
    return added(this, axes, keepDims, 1);
  }

  /** NaN where there are no numbers. */
  mean(axes?: Axes, { keepDims = false }: { keepDims?: boolean } = {}): Variable {
    return added(this, axes, keepDims, 1 / counted(this.tensor, axes));
  }

  /** The largest; several of them share the gradient. */
  max(axes?: Axes, { keepDims = false }: { keepDims?: boolean } = {}): Variable {
    return extreme("max", this, axes, keepDims);
  }

  /** The smallest; several of them share the gradient. */
  min(axes?: Axes, { keepDims = false }: { keepDims?: boolean } = {}): Variable {
    return extreme("min", this, axes, keepDims);
  }

  /** The squared distances from the mean, added up and divided by their count less `correction`. */
  variance(
    axes?: Axes,
    { keepDims = false, correction = 1 }: { keepDims?: boolean; correction?: number } = {},
  ): Variable {
    const distances = this.sub(this.mean(axes, { keepDims: true })).square();
    return added(distances, axes, keepDims, 1 / (counted(this.tensor, axes) - correction));
  }

  /** `exp(x)` over the sum of these along an axis. */
  softmax(axis: number): Variable {
    return softmaxAlong(this, axis, false);
  }

  /** The logarithm of {@linkcode softmax}. */
  logSoftmax(axis: number): Variable {
    return softmaxAlong(this, axis, true);
  }

  /** The place of the largest of each row, the last axis: numbers without a gradient, of the tape. */
  argmax(): Tensor<"u32"> {
    const { tensor } = this;
    const width = tensor.shape.at(-1) ?? 1;
    using rows = tensor.view([tensor.size / width, width]);
    using best = argmax(rows);
    return tapeOf(this).keep(best.view(tensor.shape.slice(0, -1)));
  }

  /**
   * The matrix product `[..., M, K] · [..., K, N]`; axes before the last two are repeated to one shape.
   *
   * Errors: TypeError for fewer than two axes, and for sizes that do not fit.
   */
  matmul(other: Variable | Tensor): Variable {
    return product(this, asVariable(other));
  }

  // The same numbers under another shape, or in another order.

  /**
   * One size may be -1: as large as the others leave it.
   *
   * Errors: TypeError when the shape has room for more or fewer numbers.
   */
  reshape(shape: readonly number[]): Variable {
    const { tensor } = this;
    const others = sizeOf(shape.filter((size) => size !== -1));
    const free = shape.filter((size) => size === -1).length;
    const whole = shape.map((size) => size === -1 && others > 0 ? tensor.size / others : size);
    if (free > 1 || sizeOf(whole) !== tensor.size || !whole.every(Number.isInteger)) {
      throw new TypeError(
        `"${tensor.name}" of shape ${describeShape(tensor.shape)} cannot be reshaped to ${
          describeShape(shape)
        }`,
      );
    }
    const tape = tapeOf(this);
    return tape.record(tensor.view(whole), [this], (dy) => tape.pass(this, dy));
  }

  /** Exchange two axes, the last two by default. */
  transpose(first = -2, second = -1): Variable {
    const [a] = axesOf(this.tensor, first);
    const [b] = axesOf(this.tensor, second);
    const order = [...this.shape.keys()];
    [order[a], order[b]] = [b, a];
    return this.permute(order);
  }

  /** Axis i of the result is axis `order[i]`. Errors as of `permuted` in kernels/rearrange.ts. */
  permute(order: readonly number[]): Variable {
    const tape = tapeOf(this);
    const from = order.map((axis) => axis < 0 ? axis + order.length : axis);
    return tape.record(take(permuted(this.tensor, order)), [this], (dy) => {
      const back = from.map((_, axis) => from.indexOf(axis));
      tape.gradient(this, (out) => take(permuted(dy, back), out));
    });
  }

  /** Some positions of an axis, as Python's `start:end:step`. Errors as of `sliced` in kernels/rearrange.ts. */
  slice(axis: number, part: Slice): Variable {
    const tape = tapeOf(this);
    return tape.record(take(sliced(this.tensor, axis, part)), [this], (dy) => {
      tape.gradient(this, (out) => {
        out.clear();
        put(dy, sliced(out, axis, part));
      });
    });
  }

  /** Repeated to a larger shape, as NumPy's `broadcast_to`. TypeError where that cannot be. */
  expand(shape: readonly number[]): Variable {
    const { tensor } = this;
    if (broadcast([tensor, { name: "the shape", shape }]).join() !== shape.join()) {
      throw new TypeError(
        `"${tensor.name}" of shape ${describeShape(tensor.shape)} cannot be expanded to ${
          describeShape(shape)
        }`,
      );
    }
    const tape = tapeOf(this);
    const repeated = take({ shape, view: repeatedView(tensor, shape) });
    return tape.record(repeated, [this], (dy) => tape.gradient(this, (out) => sumTo(dy, out)));
  }

  /**
   * The positions `indices` of an axis, in that order.
   *
   * Errors: RangeError for an axis or an index that is not there.
   */
  indexSelect(axis: number, indices: ArrayLike<number>): Variable {
    const [at] = axesOf(this.tensor, axis);
    const order = [at, ...[...this.shape.keys()].filter((axis) => axis !== at)];
    const front = at === 0 ? this : this.permute(order);
    const [rows, ...rest] = front.shape;
    const table = front.reshape([rows, sizeOf(rest)]);
    const chosen = embedding(
      table,
      tapeOf(this).keep(uploadIndices(this.tensor.gpu, indices, rows)),
    );
    const shaped = chosen.reshape([indices.length, ...rest]);
    return at === 0 ? shaped : shaped.permute(order.map((_, axis) => order.indexOf(axis)));
  }

  /**
   * For each position of `shape` the number whose place along `axis` is the index there, as PyTorch's `gather`.
   *
   * Errors: TypeError for a shape that does not fit; RangeError for an axis or an index that is not there.
   */
  gather(axis: number, indices: ArrayLike<number>, shape: readonly number[]): Variable {
    const { tensor } = this;
    const [at] = axesOf(tensor, axis);
    const fits = shape.length === tensor.shape.length && sizeOf(shape) === indices.length &&
      shape.every((size, axis) => axis === at || size <= tensor.shape[axis]);
    if (!fits) {
      throw new TypeError(
        `${indices.length} indices of shape ${describeShape(shape)} do not gather from ` +
          `"${tensor.name}" of shape ${describeShape(tensor.shape)} along axis ${axis}`,
      );
    }
    const size = tensor.shape[at];
    const places = Uint32Array.from(indices, (index, i) => {
      if (!(Number.isInteger(index) && index >= 0 && index < size)) {
        throw new RangeError(
          `Index ${i} is ${index}: 0 to ${size - 1} are allowed along axis ${axis}`,
        );
      }
      let [place, rest, stride] = [0, i, 1];
      for (let axis = shape.length - 1; axis >= 0; axis--) {
        place += stride * (axis === at ? index : rest % shape[axis]);
        rest = Math.floor(rest / shape[axis]);
        stride *= tensor.shape[axis];
      }
      return place;
    });
    const flat = this.reshape([tensor.size, 1]);
    const ids = tapeOf(this).keep(uploadIndices(tensor.gpu, places, tensor.size));
    return embedding(flat, ids).reshape(shape);
  }
}

/** What an operation takes besides its own variable: a tensor counts as a constant. */
export type Operand = Variable | Tensor | number;

/** Axes of an operation along some of them. */
export type Axes = number | readonly number[];

/** A constant: no gradient flows into it. The tensor stays the caller's. */
export function constant(tensor: Tensor): Variable {
  return new Variable(tensor, false);
}

/** The tapes that are open on a GPU, the last one last. */
const open = new WeakMap<Gpu, Tape[]>();

/** Let operations of no other tape go to this one. */
export function openTape(tape: Tape): void {
  open.set(tape.gpu, [...open.get(tape.gpu) ?? [], tape]);
}

/** The reverse of {@linkcode openTape}. */
export function closeTape(tape: Tape): void {
  open.set(tape.gpu, open.get(tape.gpu)!.filter((other) => other !== tape));
}

/**
 * The tape that an operation on these goes to: theirs, or where they are of none the one that was opened last.
 *
 * Errors: TypeError where they are of two tapes, or of none while none is open.
 */
export function tapeOf(...variables: readonly Variable[]): Tape {
  const [first, other] = new Set(variables.flatMap(({ tape }) => tape ?? []));
  if (other !== undefined) {
    const names = variables.filter(({ tape }) => tape).map(({ tensor }) => `"${tensor.name}"`);
    throw new TypeError(
      `${names.join(" and ")} are of different tapes: no operation can join them`,
    );
  }
  const tape = first ?? open.get(variables[0].tensor.gpu)?.at(-1);
  if (tape !== undefined) return tape;
  throw new TypeError(
    `An operation on "${variables[0].tensor.name}" needs a tape: using tape = new Tape(gpu)`,
  );
}

/** A tensor as a constant; a variable as it is. */
export function asVariable(operand: Variable | Tensor): Variable {
  return operand instanceof Tensor ? constant(operand) : operand;
}

/** Add up a gradient where it was repeated. */
function sumTo(gradient: Tensor, out: Tensor): void {
  const missing = gradient.shape.length - out.shape.length;
  const axes = [...gradient.shape.keys()].filter((axis) =>
    axis < missing || (out.shape[axis - missing] === 1 && gradient.shape[axis] !== 1)
  );
  using target = out.view(withoutAxes(gradient.shape, axes, false));
  if (axes.length > 0) reduceAxes("sum", gradient, axes, { out: target });
  else target.copyFrom(gradient);
}

const sameShape = (a: Tensor, b: Tensor) => a.shape.join() === b.shape.join();

/** A row of kernels/pointwise/table.ts on the tape. */
function apply(name: PointwiseName, ...operands: Operand[]): Variable {
  const inputs = operands.map((one) => typeof one === "number" ? one : asVariable(one));
  const variables = inputs.filter((one) => typeof one !== "number");
  const tape = tapeOf(...variables);
  const tensors = inputs.map((one) => typeof one === "number" ? one : one.tensor);
  const y = pointwise(name, tensors);
  const { gradients } = POINTWISE[name];
  const parents = inputs.filter((one, which): one is Variable =>
    typeof one !== "number" && flowsTo(name, which)
  );
  return tape.record(y, parents, (dy) => {
    inputs.forEach((input, which) => {
      if (typeof input === "number" || !input.requiresGrad || !flowsTo(name, which)) return;
      const same = sameShape(input.tensor, y);
      if (same && expression(gradients[which], "f32") === "dy") return tape.pass(input, dy);
      tape.gradient(input, (out) => {
        if (same) return void pointwiseGradient(name, which, dy, tensors, y, out);
        using each = pointwiseGradient(name, which, dy, tensors, y);
        sumTo(each, out);
      });
    });
  });
}

/** `b` where the condition is not 0, else `c`; all are repeated to one shape, and no gradient flows to the condition. */
export function where(condition: Variable | Tensor, b: Operand, c: Operand): Variable {
  return apply("where", condition, b, c);
}

/** Numbers along axes that become one. */
function counted(tensor: Tensor, axes: Axes | undefined): number {
  return axesOf(tensor, axes).reduce((product, axis) => product * tensor.shape[axis], 1);
}

/** A tensor as it would be had its axes stayed; the caller's to dispose of. */
function kept(y: Tensor, shape: readonly number[], axes: readonly number[]): Tensor {
  return y.view(withoutAxes(shape, axes, true));
}

function added(x: Variable, axes: Axes | undefined, keepDims: boolean, scale: number): Variable {
  const tape = tapeOf(x);
  const { tensor } = x;
  const along = axesOf(tensor, axes);
  return tape.record(reduceAxes("sum", tensor, axes, { keepDims, scale }), [x], (dy) => {
    tape.gradient(x, (out) => {
      using each = kept(dy, tensor.shape, along);
      const inputs = { a: repeatedView(each, tensor.shape), b: scale };
      runPointwise(tape.gpu, "mul", tensor.shape, inputs, wholeView(out));
    });
  });
}

function extreme(
  kind: "max" | "min",
  x: Variable,
  axes: Axes | undefined,
  keepDims: boolean,
): Variable {
  const tape = tapeOf(x);
  const { tensor } = x;
  const along = axesOf(tensor, axes);
  const y = reduceAxes(kind, tensor, axes, { keepDims });
  return tape.record(y, [x], (dy) => {
    tape.gradient(x, (out) => {
      using best = kept(y, tensor.shape, along);
      using gradient = kept(dy, tensor.shape, along);
      using chosen = pointwise("equal", [tensor, best]);
      using count = reduceAxes("sum", chosen, along, { keepDims: true });
      using share = pointwise("div", [gradient, count]);
      pointwise("mul", [chosen, share], out);
    });
  });
}

function softmaxAlong(x: Variable, axis: number, log: boolean): Variable {
  const tape = tapeOf(x);
  const { tensor } = x;
  using largest = reduceAxes("max", tensor, axis, { keepDims: true });
  using below = pointwise("sub", [tensor, largest]);
  using powers = pointwise("exp", [below]);
  using whole = reduceAxes("sum", powers, axis, { keepDims: true });
  using logWhole = pointwise("log", [whole]);
  const y = log ? pointwise("sub", [below, logWhole]) : pointwise("div", [powers, whole]);
  return tape.record(y, [x], (dy) => {
    tape.gradient(x, (out) => {
      using each = log ? dy.view(dy.shape) : pointwise("mul", [dy, y]);
      using sums = reduceAxes("sum", each, axis, { keepDims: true });
      pointwise(log ? "logSoftmaxGradient" : "softmaxGradient", [y, dy, sums], out);
    });
  });
}

/** Rows of `table [V, D]` by index: `[M, D]`. */
export function embedding(table: Variable, indices: Indices): Variable {
  const tape = tapeOf(table);
  return tape.record(lookUp(table.tensor, indices), [table], (dy) => {
    const rowsOnly = table.touchRows(indices);
    tape.gradient(table, (out) => embeddingGradient(dy, indices, out, { rowsOnly }));
  });
}

function product(a: Variable, b: Variable): Variable {
  const tape = tapeOf(a, b);
  for (const { tensor } of [a, b]) {
    if (tensor.shape.length >= 2) continue;
    throw new TypeError(
      `A matrix product takes at least two axes, and "${tensor.name}" has the shape ${
        describeShape(tensor.shape)
      }`,
    );
  }
  const [m, k] = a.shape.slice(-2);
  const n = b.shape.at(-1)!;
  if (b.shape.length === 2) {
    const rows = a.tensor.size / k;
    using flat = a.tensor.view([k === 0 ? sizeOf(a.shape.slice(0, -1)) : rows, k]);
    using y = matmul(flat, b.tensor);
    return tape.record(y.view([...a.shape.slice(0, -1), n]), [a, b], (dy) => {
      using dRows = dy.view(y.shape);
      tape.gradient(a, (out) => {
        using target = out.view(flat.shape);
        matmul(dRows, b.tensor, { transB: true, out: target });
      });
      tape.gradient(b, (out) => {
        using rows = a.tensor.view(flat.shape);
        matmul(rows, dRows, { transA: true, out });
      });
    });
  }
  const batch = broadcast([a, b].map(({ tensor: { name, shape } }) => ({
    ...{ name, shape: shape.slice(0, -2) },
  })));
  // Factors of each example; a copy where they are repeated.
  const each = ({ tensor }: Variable) => {
    const shape = [...batch, ...tensor.shape.slice(-2)];
    using whole = tensor.shape.join() === shape.join()
      ? tensor.view(shape)
      : take({ shape, view: repeatedView(tensor, shape) });
    return tape.keep(whole.view([sizeOf(batch), ...tensor.shape.slice(-2)]));
  };
  const [left, right] = [each(a), each(b)];
  using y = matmulEach(left, right);
  return tape.record(y.view([...batch, m, n]), [a, b], (dy) => {
    using dEach = dy.view([sizeOf(batch), m, n]);
    const gradient = (variable: Variable, compute: () => Tensor) =>
      tape.gradient(variable, (out) => {
        using all = compute();
        using shaped = all.view([...batch, ...variable.shape.slice(-2)]);
        sumTo(shaped, out);
      });
    gradient(a, () => matmulEach(dEach, right, { transB: true }));
    gradient(b, () => matmulEach(left, dEach, { transA: true }));
  });
}

/**
 * Tensors one after the other along an axis, the last by default; all other sizes are the same.
 *
 * Errors: TypeError for no parts, and for shapes that do not fit; RangeError for an axis that is not there.
 */
export function concat(parts: readonly (Variable | Tensor)[], axis = -1): Variable {
  if (parts.length === 0) throw new TypeError("There must be at least one tensor to concatenate");
  const variables = parts.map(asVariable);
  const tape = tapeOf(...variables);
  const [{ tensor: first }] = variables;
  const [at] = axesOf(first, axis);
  const places: number[] = [];
  let size = 0;
  for (const { tensor } of variables) {
    const { shape } = tensor;
    const fits = shape.length === first.shape.length &&
      shape.every((n, axis) => axis === at || n === first.shape[axis]);
    if (!fits) {
      throw new TypeError(
        `"${tensor.name}" of shape ${describeShape(shape)} cannot be concatenated to ` +
          `"${first.name}" of shape ${describeShape(first.shape)} along axis ${axis}`,
      );
    }
    places.push(size);
    size += shape[at];
  }
  const shape = first.shape.map((n, axis) => axis === at ? size : n);
  const whole = Tensor.empty(tape.gpu, shape, { name: "concatenation" });
  const part = (tensor: Tensor, i: number) =>
    sliced(tensor, at, { start: places[i], end: places[i] + variables[i].shape[at] });
  variables.forEach(({ tensor }, i) => put(tensor, part(whole, i)));
  return tape.record(whole, variables, (dy) => {
    variables.forEach((variable, i) => tape.gradient(variable, (out) => take(part(dy, i), out)));
  });
}

/** Tensors of one shape along a new axis, the first by default. Errors as of {@linkcode concat}. */
export function stack(parts: readonly (Variable | Tensor)[], axis = 0): Variable {
  return concat(
    parts.map((part) => {
      const variable = asVariable(part);
      const at = axis < 0 ? axis + variable.shape.length + 1 : axis;
      return variable.reshape(variable.shape.toSpliced(at, 0, 1));
    }),
    axis,
  );
}
