/**
 * Functions of numbers at the same position of several tensors, with NumPy's broadcasting, and copies that order
 * numbers anew: one kernel, which reads each tensor by strides of its own.
 */
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, type ParamType } from "../runtime/kernel.ts";
import { describeShape } from "../runtime/shape.ts";
import { expectShape, sizeOf, Tensor } from "../runtime/tensor.ts";
import { eachOfRows, element, lines, perShape, ROW_PARAMS, shareColumns } from "../runtime/wgsl.ts";
import { functions } from "./functions.ts";
import { expression, POINTWISE, type PointwiseName } from "./table.ts";

/** Where the numbers of a tensor lie for the positions of a shape: from `offset`, by a stride for each axis. */
export interface View {
  tensor: Tensor;
  offset: number;
  /** 0 where an axis repeats the same numbers, below 0 where it runs backward. */
  strides: readonly number[];
}

/** Strides of a tensor in row-major order. */
export function stridesOf(shape: readonly number[]): number[] {
  return shape.map((_, axis) => sizeOf(shape.slice(axis + 1)));
}

/** A tensor as it lies. */
export function wholeView(tensor: Tensor): View {
  return { tensor, offset: 0, strides: stridesOf(tensor.shape) };
}

/** A tensor as the shape repeats it: each of its axes, counted from the last, has that size, or 1. */
export function repeatedView(tensor: Tensor, shape: readonly number[]): View {
  const missing = shape.length - tensor.shape.length;
  const own = stridesOf(tensor.shape);
  const strides = shape.map((_, axis) =>
    axis < missing || tensor.shape[axis - missing] === 1 ? 0 : own[axis - missing]
  );
  return { tensor, offset: 0, strides };
}

/**
 * The shape that all are repeated to: NumPy's broadcasting.
 *
 * Errors: TypeError that names the first two that do not fit, and the axis, counted from the last.
 */
export function broadcast(
  operands: readonly { name: string; shape: readonly number[] }[],
): number[] {
  const shape: number[] = [];
  for (const { name, shape: other } of operands) {
    for (let back = 1; back <= other.length; back++) {
      const [here, there] = [shape[shape.length - back], other[other.length - back]];
      if (here === undefined) shape.unshift(there);
      else if (here === 1) shape[shape.length - back] = there;
      else if (there !== 1 && there !== here) {
        const { name: first, shape: own } = operands.find(({ shape }) =>
          shape[shape.length - back] === here
        )!;
        throw new TypeError(
          `"${first}" of shape ${describeShape(own)} and "${name}" of shape ${
            describeShape(other)
          } do not broadcast: axis -${back} is ${here} in one and ${there} in the other, and only 1 is repeated`,
        );
      }
    }
  }
  return shape;
}

/** Leave out axes of 1, and join those that every view walks through as one. */
function joined(shape: readonly number[], views: readonly View[]) {
  const sizes: number[] = [];
  const strides = views.map((): number[] => []);
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const last = sizes.length - 1;
    const joins = last >= 0 &&
      views.every((view, v) => strides[v][last] === view.strides[axis] * size);
    if (joins) sizes[last] *= size;
    else sizes.push(size);
    views.forEach((view, v) => strides[v][joins ? last : sizes.length - 1] = view.strides[axis]);
  });
  if (sizes.length === 0) return { sizes: [1], strides: views.map(() => [0]) };
  return { sizes, strides };
}

/** How a view goes along the last axis: number by number, the same number, or by its stride. */
type Step = "unit" | "same" | "stride";

/** What the kernel is made for. */
interface KernelShape {
  name: string;
  /** The function, and the input whose gradient is wanted instead of its value. */
  of: PointwiseName;
  gradient?: number;
  /** Axes before the last. */
  axes: number;
  vec4: boolean;
  steps: Record<string, Step | "number">;
  outStep: Step;
}

const INPUTS = ["a", "b", "c"] as const;

/** WGSL of what a kernel computes. */
function codeOf({ of, gradient, vec4 }: Pick<KernelShape, "of" | "gradient" | "vec4">): string {
  const { value, gradients } = POINTWISE[of];
  return expression(gradient === undefined ? value : gradients[gradient], element(vec4));
}

const pointwiseKernel = perShape((_gpu: Gpu, shape: KernelShape) => {
  const { name, axes, vec4, steps, outStep } = shape;
  const t = element(vec4);
  const inputs = Object.entries(steps);
  const views = inputs.filter(([, step]) => step !== "number").map(([input]) => input);
  const bindings = Object.fromEntries([
    ...views.map((input) => [`${input}_in`, `read ${element(vec4 && steps[input] === "unit")}`]),
    ["out", `write ${t}`],
  ]) as Record<string, "read f32" | "write f32">;
  const numbers = inputs.filter(([, step]) => step === "number").map(([input]) => input);
  const places = [...views, "out"];
  const params: Record<string, ParamType> = {
    ...ROW_PARAMS,
    ...Object.fromEntries(numbers.map((input) => [`${input}_number`, "f32"])),
    ...Object.fromEntries(Array.from({ length: axes }, (_, axis) => [`size${axis}`, "u32"])),
    ...Object.fromEntries(places.flatMap((view) => [
      [`${view}_offset`, "u32"],
      ...Array.from({ length: axes + 1 }, (_, axis) => [`${view}_stride${axis}`, "u32"]),
    ])),
  };
  // Where the row begins in each view: the axes before the last, from the last of them on.
  const axis = (i: number) =>
    i === 0 ? "let i0 = rest;" : `let i${i} = rest % params.size${i};\n  rest /= params.size${i};`;
  const start = `var rest = row;
  ${Array.from({ length: axes }, (_, i) => axis(axes - 1 - i)).join("\n  ")}
  ${
    places.map((view) =>
      `let ${view}_at = params.${view}_offset${
        lines(axes, (i) => ` + i${i} * params.${view}_stride${i}`, "")
      };`
    ).join("\n  ")
  }`;
  const at = (view: string, step: Step) =>
    step === "same"
      ? `${view}_at`
      : step === "stride"
      ? `${view}_at + column * params.${view}_stride${axes}`
      : vec4
      ? `(${view}_at >> 2u) + column`
      : `${view}_at + column`;
  const values = inputs.map(([input, step]) =>
    `let ${input} = ${
      step === "number" ? `${t}(params.${input}_number)` : `${t}(${input}_in[${at(input, step)}])`
    };`
  );
  return defineKernel({
    name,
    bindings,
    params,
    code: functions(t) + eachOfRows(
      start,
      `${values.join("\n    ")}
    out[${at("out", outStep)}] = ${codeOf(shape)};`,
    ),
  });
});

/** The inputs that each function and gradient reads, found at its first use. */
const read = new Map<string, ReadonlySet<string>>();

function inputsOf(of: PointwiseName, gradient?: number): ReadonlySet<string> {
  const key = `${of} ${gradient}`;
  let names = read.get(key);
  if (names === undefined) {
    const code = codeOf({ of, vec4: false, ...gradient !== undefined && { gradient } });
    names = new Set(code.match(/\b(?:a|b|c|y|dy)\b/g));
    read.set(key, names);
  }
  return names;
}

/**
 * Run a function, or the gradient of one of its inputs, for each position of a shape. Inputs are views or constant
 * numbers: a, b, c, and for gradients the value y and its gradient dy. Those that do not count are not read.
 */
export function runPointwise(
  gpu: Gpu,
  of: PointwiseName,
  shape: readonly number[],
  inputs: Readonly<Record<string, View | number>>,
  out: View,
  gradient?: number,
): void {
  if (sizeOf(shape) === 0) return;
  const names = inputsOf(of, gradient);
  const used = Object.entries(inputs).filter(([name]) => names.has(name));
  const views = used.flatMap(([name, input]) =>
    typeof input === "number" ? [] : [{ name, ...input }]
  );
  const all = [...views, { name: "out", ...out }];
  const { sizes, strides } = joined(shape, all);
  const axes = sizes.length - 1;
  const step = (v: number): Step => {
    const last = strides[v][axes];
    return last === 1 || (sizes[axes] === 1 && v === all.length - 1)
      ? "unit"
      : last === 0
      ? "same"
      : "stride";
  };
  const quads = (v: number) =>
    step(v) === "same" && v < views.length ||
    step(v) === "unit" && [all[v].offset, ...strides[v].slice(0, axes)].every((n) => n % 4 === 0);
  const vec4 = sizes[axes] % 4 === 0 && all.every((_, v) => quads(v));
  const kernel = pointwiseKernel(gpu, {
    name: gradient === undefined ? of : `${of} backward`,
    ...{ of, axes, vec4, outStep: step(views.length) },
    ...gradient !== undefined && { gradient },
    steps: Object.fromEntries(used.map(([name, input]) => [
      name,
      typeof input === "number" ? "number" : step(views.findIndex((view) => view.name === name)),
    ])),
  });
  const width = sizes[axes] / (vec4 ? 4 : 1);
  const { params, groups } = shareColumns(sizeOf(sizes.slice(0, axes)), width);
  const tensors = Object.fromEntries(views.map(({ name, tensor }) => [`${name}_in`, tensor]));
  kernel.run(gpu, { ...tensors, out: out.tensor }, {
    ...params,
    ...Object.fromEntries(
      used.flatMap(([name, input]) => typeof input === "number" ? [[`${name}_number`, input]] : []),
    ),
    ...Object.fromEntries(sizes.slice(0, axes).map((size, axis) => [`size${axis}`, size])),
    ...Object.fromEntries(all.flatMap(({ name, offset }, v) => [
      [`${name}_offset`, offset],
      // Below 0 they wrap around, as whole numbers of 32 bits do.
      ...strides[v].map((stride, axis) => [`${name}_stride${axis}`, stride >>> 0]),
    ])),
  }, groups);
}

/** What a function takes: a tensor, or a number that is the same everywhere. */
export type Operand = Tensor | number;

/** The tensors among operands; TypeError where there is none, since one says which GPU is meant. */
function tensorsOf(name: PointwiseName, operands: readonly Operand[]): Tensor[] {
  const tensors = operands.filter((operand) => typeof operand !== "number");
  const wanted = POINTWISE[name].gradients.length;
  if (operands.length !== wanted) {
    throw new TypeError(`${name} takes ${wanted} operands, and ${operands.length} were given`);
  }
  if (tensors.length === 0) throw new TypeError(`${name} takes at least one tensor`);
  return tensors;
}

function viewOf(operand: Operand, shape: readonly number[]): View | number {
  return typeof operand === "number" ? operand : repeatedView(operand, shape);
}

/**
 * A function of table.ts at each position, its operands repeated to one shape. One dispatch.
 *
 * Errors: TypeError where shapes do not broadcast, and for a wrong count of operands.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3]);
 * using row = Tensor.from(gpu, [10, 20, 30]);
 * using sums = pointwise("add", [x, row]);
 * console.log(await sums.read()); // 11, 22, 33, 14, 25, 36
 * ```
 */
export function pointwise(name: PointwiseName, operands: readonly Operand[], out?: Tensor): Tensor {
  const tensors = tensorsOf(name, operands);
  const { gpu } = tensors[0];
  const shape = broadcast(tensors);
  if (out !== undefined) expectShape(out, shape, `The result of ${name}`);
  const result = out ?? Tensor.empty(gpu, shape, { name });
  const inputs = Object.fromEntries(
    operands.map((operand, i) => [INPUTS[i], viewOf(operand, shape)]),
  );
  runPointwise(gpu, name, shape, inputs, wholeView(result));
  return result;
}

/**
 * The gradient of {@linkcode pointwise} on operand `which`, from that on its value y, at each position of y: it is
 * still to be summed where the operand was repeated.
 */
export function pointwiseGradient(
  name: PointwiseName,
  which: number,
  dy: Tensor,
  operands: readonly Operand[],
  y: Tensor,
  out?: Tensor,
): Tensor {
  expectShape(y, broadcast(tensorsOf(name, operands)), `The value of ${name}`);
  expectShape(dy, y.shape, `The gradient of ${name}`);
  if (out !== undefined) expectShape(out, y.shape, `The gradient of ${name} on an operand`);
  const result = out ?? Tensor.empty(dy.gpu, y.shape, { name: `d${name}` });
  const inputs = Object.fromEntries(
    operands.map((operand, i) => [INPUTS[i], viewOf(operand, y.shape)]),
  );
  const all = { ...inputs, y: wholeView(y), dy: wholeView(dy) };
  runPointwise(dy.gpu, name, y.shape, all, wholeView(result), which);
  return result;
}
