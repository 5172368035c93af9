/** What the kernels of softmax.ts and softmax_parts.ts have in common: how the work on a row is shared out, and its WGSL. */
import type { Gpu } from "../runtime/gpu.ts";
import { foldGroups } from "../runtime/kernel.ts";
import { lines } from "../runtime/wgsl.ts";

/** Rows of a group on a CPU adapter, and invocations for a row on a GPU. */
const LANES = { subgroup: 8, workgroup: 64 } as const;

/** Columns, or quads, that an invocation takes at most. */
export const SHARE = 8192;

/**
 * The two ways to share out the work on a row: a CPU adapter gives each lane a row of its own, a GPU
 * gives each row a workgroup, whose invocations take every 64th column and then reduce as a tree.
 * The code sees `row`, loops over `first`, `first + stride`, … and calls `reduce_max`, `reduce_sum` and, for a
 * vec2u, `reduce_best`. It needs the functions of kernels/activations.ts for f32, and {@linkcode BEST}.
 */
export function rowCode(gpu: Gpu, body: string): string {
  if (gpu.path === "subgroup") {
    return /* wgsl */ `
fn reduce_max(local: u32, v: f32) -> f32 { return v; }
fn reduce_sum(local: u32, v: f32) -> f32 { return v; }
fn reduce_best(local: u32, v: vec2u) -> vec2u { return v; }
@compute @workgroup_size(${LANES.subgroup})
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.y * groups.x * ${LANES.subgroup}u + id.x;
  if (row >= params.rows) { return; }
  let local = 0u;
  let first = 0u;
  const stride = 1u;
  ${body}
}`;
  }
  const reduce = (name: string, type: string, op: (a: string, b: string) => string) => `
var<workgroup> shared_${name}: array<${type}, ${LANES.workgroup}>;
fn reduce_${name}(local: u32, v: ${type}) -> ${type} {
  workgroupBarrier();
  shared_${name}[local] = v;
  workgroupBarrier();
  ${
    lines(Math.log2(LANES.workgroup), (i) => {
      const half = LANES.workgroup >> (i + 1);
      const values = [`shared_${name}[local]`, `shared_${name}[local + ${half}u]`] as const;
      return `if (local < ${half}u) { ${values[0]} = ${op(...values)}; }
  workgroupBarrier();`;
    })
  }
  return shared_${name}[0];
}`;
  return /* wgsl */ `
${reduce("max", "f32", (a, b) => `max(${a}, ${b})`)}
${reduce("sum", "f32", (a, b) => `${a} + ${b}`)}
${reduce("best", "vec2u", (a, b) => `better(${a}, ${b})`)}
@compute @workgroup_size(${LANES.workgroup})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_id) id: vec3u) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let local = id.x;
  let first = id.x;
  const stride = ${LANES.workgroup}u;
  ${body}
}`;
}

/** The groups of a kernel of {@linkcode rowCode}. */
export function rowGroups(gpu: Gpu, rows: number): [number, number] {
  return foldGroups(gpu.path === "subgroup" ? Math.ceil(rows / LANES.subgroup) : rows);
}

/**
 * Whether an invocation of {@linkcode rowCode} gets through its share of `width` columns, or quads: a sum over no
 * more has small rounding errors, and three loops over them turn seldom enough.
 */
export function isShort(gpu: Gpu, width: number): boolean {
  return width <= SHARE * (gpu.path === "subgroup" ? 1 : LANES.workgroup);
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
