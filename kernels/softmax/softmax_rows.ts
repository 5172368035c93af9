/** What the kernels of softmax.ts and softmax_parts.ts have in common: how the work on a row is shared out, and its WGSL. */
import type { Gpu } from "../runtime/gpu.ts";
import { foldGroups } from "../runtime/kernel.ts";
import { sharing } from "../runtime/sharing.ts";
import { plus, treeReduction } from "../reduce/tree.ts";

/** Columns, or quads, that an invocation takes at most. */
export const SHARE = 8192;

/**
 * WGSL that runs `body` for each row. Where invocations share a row (kernels/runtime/sharing.ts), neighbors take
 * neighboring columns, and their results are put together as a tree. The code sees `row`, loops over `first`, `first + stride`, … and
 * calls `reduce_max`, `reduce_sum` and, for a vec2u, `reduce_best`. It needs the functions of kernels/activations.ts for f32,
 * and {@linkcode BEST}.
 */
export function rowCode(gpu: Gpu, body: string): string {
  const { rows, lanes } = sharing(gpu);
  return /* wgsl */ `
${treeReduction("max", "f32", lanes, (a, b) => `max(${a}, ${b})`)}
${treeReduction("sum", "f32", lanes, plus)}
${treeReduction("best", "vec2u", lanes, (a, b) => `better(${a}, ${b})`)}
@compute @workgroup_size(${rows * lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_id) id: vec3u) {
  let row = (group.y * groups.x + group.x) * ${rows}u${rows > 1 ? " + id.x" : ""};
  if (row >= params.rows) { return; }
  let local = ${lanes > 1 ? "id.x" : "0u"};
  let first = local;
  const stride = ${lanes}u;
  ${body}
}`;
}

/** The groups of a kernel of {@linkcode rowCode}. */
export function rowGroups(gpu: Gpu, rows: number): [number, number] {
  return foldGroups(Math.ceil(rows / sharing(gpu).rows));
}

/**
 * Whether an invocation of {@linkcode rowCode} gets through its share of `width` columns, or quads: a sum over no
 * more has small rounding errors, and three loops over them turn seldom enough.
 */
export function isShort(gpu: Gpu, width: number): boolean {
  return width <= SHARE * sharing(gpu).lanes;
}

/**
 * WGSL of the order of an argmax: of two pairs of a score's `order_f32` and its column, `better` is the one with the
 * larger score, or the smaller column.
 */
export const BEST = /* wgsl */ `
fn better(a: vec2u, b: vec2u) -> vec2u {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}
`;

/** Parameters of a cross-entropy: with `ignores` 1, rows whose target is `ignore` count nothing. */
export const LOSS_PARAMS = {
  rows: "u32",
  columns: "u32",
  ignores: "u32",
  ignore: "u32",
  scale: "f32",
} as const;

/**
 * WGSL of the target `y` of a row, whether the row is `ignored`, its `weight`, and the place `at` of its score
 * within the row. A target that is no class makes the weight NaN, so that nobody takes the loss for one.
 */
export const TARGET = /* wgsl */ `
  let y = targets[row];
  let ignored = params.ignores == 1u && y == params.ignore;
  var weight = select(params.scale, 0.0, ignored);
  if (y >= params.columns && !ignored) { weight = nan_f32(); }
  let at = min(y, params.columns - 1u);`;

/** The loss of a row from its target's score, its largest one, and Σ exp(s - top). */
export function rowLoss(score: string): string {
  return `select(weight * (log(total) - (${score} - top)), 0.0, ignored)`;
}
