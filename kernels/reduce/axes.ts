/** Sums, largest and smallest numbers over any axes. Each runs in a fixed order. */
import { activations } from "../activations.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { describeShape } from "../runtime/shape.ts";
import { expectShape, sizeOf, Tensor } from "../runtime/tensor.ts";
import { SUM_STRETCH } from "../runtime/turns.ts";
import { element, perShape } from "../runtime/wgsl.ts";
import { columnSum, sum } from "./reduce.ts";

/** What becomes of the numbers along the axes. */
export type Reduction = "sum" | "max" | "min";

/** How the next number v joins what was made of those before it. */
const JOIN: Record<Reduction, (t: string) => string> = {
  sum: () => "made + v",
  // A NaN stays.
  max: (t) => `select(select(max(made, v), v, is_nan_${t}(v)), made, is_nan_${t}(made))`,
  min: (t) => `select(select(min(made, v), v, is_nan_${t}(v)), made, is_nan_${t}(made))`,
};

// Of x [A, R, B], invocation (a, s, b) joins the numbers s, s + shares, … of R.
const axisKernel = perShape((_gpu: Gpu, { kind, vec4 }: { kind: Reduction; vec4: boolean }) => {
  const t = element(vec4);
  return defineKernel({
    name: kind,
    bindings: { x: `read ${t}`, out: `write ${t}` },
    params: { n: "u32", shares: "u32", rows: "u32", columns: "u32", scale: "f32" },
    code: /* wgsl */ `${activations(t)}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let share = i / params.columns;
  let a = share / params.shares;
  let first = (a * params.rows + share % params.shares) * params.columns + i % params.columns;
  let end = (a + 1u) * params.rows * params.columns;
  var made = x[first];
  for (var at = first + params.shares * params.columns; at < end; at += params.shares * params.columns) {
    let v = x[at];
    made = ${JOIN[kind](t)};
  }
  out[i] = params.scale * made;
}`,
  });
});

/** With fewer invocations some cores are idle, or a GPU is. */
const ENOUGH = 4096;
/** So many numbers are worth an invocation. */
const WORTHWHILE = 16;

/** Reduce the middle of [A, R, B]: `[A · B]` numbers. */
function reduceMiddle(
  kind: Reduction,
  x: Tensor,
  [before, rows, columns]: readonly [number, number, number],
  scale: number,
  out?: Tensor,
): Tensor {
  const kept = before * columns;
  if (kind === "sum" && (kept === 1 || (before === 1 && scale === 1))) {
    const made = out ?? Tensor.empty(x.gpu, [columns], { name: kind });
    using flat = x.view([rows, columns]);
    using target = made.view([columns]);
    if (kept === 1) sum(x, { scale, out: target });
    else columnSum(flat, target);
    return made;
  }
  const shares = Math.max(
    Math.ceil(rows / SUM_STRETCH),
    Math.min(Math.floor(ENOUGH / kept), Math.floor(rows / WORTHWHILE)),
    1,
  );
  const made = shares === 1 && out !== undefined
    ? out
    : Tensor.empty(x.gpu, [before * shares * columns], { name: kind });
  const vec4 = columns % 4 === 0;
  const unit = vec4 ? 4 : 1;
  const n = made.size / unit;
  axisKernel(x.gpu, { kind, vec4 }).run(x.gpu, { x, out: made }, {
    ...{ n, shares, rows, columns: columns / unit, scale: shares === 1 ? scale : 1 },
  }, flatGroups(n));
  if (shares === 1) return made;
  using parts = made;
  return reduceMiddle(kind, parts, [before, shares, columns], scale, out);
}

/**
 * Axes from 0 on, in order; all of them by default. Those below 0 count from the last.
 *
 * Errors: RangeError for an axis that is not there; TypeError for one that is named twice.
 */
export function axesOf(
  { name, shape }: { name: string; shape: readonly number[] },
  axes: number | readonly number[] | undefined,
): number[] {
  if (axes === undefined) return [...shape.keys()];
  const found = (typeof axes === "number" ? [axes] : axes).map((axis) => {
    const from0 = axis < 0 ? axis + shape.length : axis;
    if (Number.isInteger(axis) && from0 >= 0 && from0 < shape.length) return from0;
    throw new RangeError(
      `"${name}" of shape ${describeShape(shape)} has no axis ${axis}` +
        (shape.length === 0 ? "" : `: ${-shape.length} to ${shape.length - 1} are allowed`),
    );
  });
  if (new Set(found).size < found.length) {
    throw new TypeError(`The axes [${axes}] name one of "${name}" twice`);
  }
  return found.sort((a, b) => a - b);
}

/** Options of {@linkcode reduceAxes}. */
export interface ReduceOptions {
  /** The axes stay, with one number each. */
  keepDims?: boolean;
  /** Multiplies the result. */
  scale?: number;
  /** Receives the result; a new tensor by default. */
  out?: Tensor | undefined;
}

/** A shape without some axes, or with 1 in their place. */
export function withoutAxes(
  shape: readonly number[],
  axes: readonly number[],
  keepDims: boolean,
): number[] {
  return keepDims
    ? shape.map((size, axis) => axes.includes(axis) ? 1 : size)
    : shape.filter((_, axis) => !axes.includes(axis));
}

/**
 * The sum, or the largest or smallest number, along axes (all of them by default), where a NaN is among them NaN. The
 * sum of no numbers is 0.
 *
 * Errors: those of {@linkcode axesOf}; RangeError for the largest or smallest of no numbers.
 */
export function reduceAxes(
  kind: Reduction,
  x: Tensor,
  axes?: number | readonly number[],
  { keepDims = false, scale = 1, out }: ReduceOptions = {},
): Tensor {
  const { gpu, shape } = x;
  const reduced = axesOf(x, axes);
  const wanted = withoutAxes(shape, reduced, keepDims);
  if (out !== undefined) expectShape(out, wanted, "A reduction's result");
  if (x.size === 0) {
    if (kind !== "sum" && sizeOf(wanted) > 0) {
      throw new RangeError(`"${x.name}" of shape ${describeShape(shape)} has no ${kind}`);
    }
    const empty = out ?? Tensor.empty(gpu, wanted, { name: kind });
    empty.clear();
    return empty;
  }
  // Neighbors of one kind are one block.
  const blocks: { size: number; reduced: boolean }[] = [];
  shape.forEach((size, axis) => {
    if (size === 1) return;
    const last = blocks.at(-1);
    if (last?.reduced === reduced.includes(axis)) last.size *= size;
    else blocks.push({ size, reduced: reduced.includes(axis) });
  });
  const size = (some: typeof blocks) => some.reduce((product, { size }) => product * size, 1);
  // Without such a block the one number of each is scaled.
  if (!blocks.some(({ reduced }) => reduced)) blocks.push({ size: 1, reduced: true });
  let made = x;
  for (;;) {
    const at = blocks.findIndex(({ reduced }) => reduced);
    const middle = [
      size(blocks.slice(0, at)),
      blocks[at].size,
      size(blocks.slice(at + 1)),
    ] as const;
    blocks.splice(at, 1);
    const last = !blocks.some(({ reduced }) => reduced);
    const next = reduceMiddle(kind, made, middle, last ? scale : 1, last ? out : undefined);
    if (made !== x) made.dispose();
    made = next;
    if (last) break;
  }
  if (made === out) return made;
  using flat = made;
  return flat.view(wanted, 0, kind);
}
