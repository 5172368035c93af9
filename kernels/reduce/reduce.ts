/** Sums: of all elements, of something made of each element, and of each column. Every sum runs in a fixed order. */
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { worthMirror } from "../runtime/memory/mirror.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { element, load, perShape, readFrom } from "../runtime/wgsl.ts";
import { blockSum } from "./block_sum.ts";
import { plus, treeReduction } from "./tree.ts";

const GROUP = 64;
/** Elements of an invocation, and the most workgroups. */
const EACH = 16;
const MOST_GROUPS = 512;

/** Parameters of a kernel of {@linkcode sumOfEach}: elements, what multiplies the sum, and its place where it is whole. */
export const SUM_PARAMS = { n: "u32", weight: "f32", at: "u32" } as const;

/**
 * WGSL of a kernel that runs `body` for each element i, where it may add to `term`, an f32 that is 0 before. An invocation has the
 * elements `first`, `first + stride` and so on, and runs `start` before them. A single workgroup adds the sums of
 * its invocations up as a tree; of several each invocation leaves its own: a barrier would cost a CPU more.
 */
export const sumOfEach = (single: boolean, body: string, start = "") => /* wgsl */ `
${treeReduction("sum", "f32", single ? GROUP : 1, plus)}
@compute @workgroup_size(${GROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(num_workgroups) groups: vec3u) {
  let first = group.x * ${GROUP}u + local.x;
  let stride = groups.x * ${GROUP}u;
  ${start}
  ${
  blockSum(
    "sum",
    "f32",
    { variable: "i", first: "first", end: "params.n", step: "stride" },
    (add) =>
      `var term = 0.0;
    ${body}
    ${add("term")}`,
  )
}
  let whole = reduce_sum(local.x, sum);
  ${single ? "if (first == 0u) { parts[params.at]" : "{ parts[first]"} = params.weight * whole; }
}`;

/** One run of a kernel of {@linkcode sumOfEach}: its shape, where its sums go, and its workgroups. */
export interface SumRun {
  single: boolean;
  parts: Tensor;
  at: number;
  groups: [number];
}

/** Run a kernel of {@linkcode sumOfEach} over n elements, and add up what it leaves: at `at` of `out`, or a new scalar. */
export function summed(
  gpu: Gpu,
  n: number,
  run: (one: SumRun) => void,
  { out, at = 0, name = "loss" }: { out?: Tensor | undefined; at?: number; name?: string } = {},
): Tensor {
  const groups = Math.max(1, Math.min(MOST_GROUPS, Math.ceil(n / (GROUP * EACH))));
  if (groups === 1) {
    const whole = out ?? Tensor.empty(gpu, [], { name });
    run({ single: true, parts: whole, at, groups: [1] });
    return whole;
  }
  using parts = Tensor.empty(gpu, [groups * GROUP], { name: "partial sums" });
  run({ single: false, parts, at: 0, groups: [groups] });
  return sum(parts, { ...out && { out }, at, name });
}

// Element i is a quad of x, of whose last one `size` leaves a part.
const sumKernel = perShape((_gpu: Gpu, { single, square }: { single: boolean; square: boolean }) =>
  defineKernel({
    name: "sum",
    bindings: { x: "read vec4f", parts: "write f32" },
    params: { ...SUM_PARAMS, size: "u32" },
    code: sumOfEach(
      single,
      `let v = select(vec4f(), x[i], 4u * i + vec4u(0u, 1u, 2u, 3u) < vec4u(params.size));
    term = ${square ? "dot(v, v)" : "(v.x + v.y) + (v.z + v.w)"};`,
    ),
  })
);

/** Options of {@linkcode sum}. */
export interface SumOptions {
  /** Multiplies the sum. */
  scale?: number;
  /** Add up the squares. */
  square?: boolean;
  /** Receives the sum at element `at`; a new scalar by default. */
  out?: Tensor;
  /** The element of `out` that is written; 0 by default. */
  at?: number;
  /** Of the new scalar, for errors. */
  name?: string;
}

/** The sum of all elements (or of their squares), times `scale`: one dispatch, or up to three when there are many. */
export function sum(x: Tensor, options: SumOptions = {}): Tensor {
  const { scale = 1, square = false, out, at = 0, name = "sum" } = options;
  const places = out?.size ?? 1;
  if (!Number.isInteger(at) || at < 0 || at >= places) {
    throw new RangeError(
      `The sum cannot be written to element ${at} of "${out?.name ?? name}": it has ${places}`,
    );
  }
  const n = Math.ceil(x.size / 4);
  return summed(x.gpu, n, ({ single, parts, at, groups }) => {
    const params = { n, weight: scale, at, size: x.size };
    sumKernel(x.gpu, { single, square }).run(x.gpu, { x, parts }, params, groups);
  }, { out, at, name });
}

interface ColumnShape {
  vec4: boolean;
  mirror: boolean;
}

// An invocation adds up a share of the rows of one column, or of four, from the first to the last.
const columnSumKernel = perShape((_gpu: Gpu, { vec4, mirror }: ColumnShape) => {
  const t = element(vec4);
  return defineKernel({
    name: "column sum",
    bindings: { x: readFrom(vec4, mirror), out: `write ${t}` },
    params: { n: "u32", columns: "u32", rows: "u32", share: "u32", pitch: "u32", at: "u32" },
    code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let first = (i / params.columns) * params.share;
  let end = min(params.rows, first + params.share);
  var at = first * params.pitch + params.at + i % params.columns;
  ${
      blockSum(
        "sum",
        t,
        { variable: "row", first: "first", end: "end" },
        (add) =>
          `${add(load("x", vec4, "at"))}
      at += params.pitch;`,
      )
    }
  out[i] = sum;
}`,
  });
});

/** Rows that one invocation of a column sum adds up before they are shared out among several. */
const MOST_ROWS = 256;

/** Options of {@linkcode columnSum}. */
export interface ColumnSumOptions {
  /** The first column to sum (0 by default), and how many (all from there on by default). */
  at?: number;
  /** How many columns; all from `at` on by default. */
  columns?: number;
}

/**
 * The sum of each column of `x [M, N]`, or of some of them: `[N]`. One dispatch, or two when there are
 * many rows. The gradient of a bias.
 *
 * Errors: TypeError when the shapes do not fit; RangeError for columns that are not there.
 */
export function columnSum(x: Tensor, out?: Tensor, options: ColumnSumOptions = {}): Tensor {
  expectShape(x, [null, null], "A column sum");
  const [rows, pitch] = x.shape;
  const { at = 0, columns = pitch - at } = options;
  if (![at, columns].every((n) => Number.isInteger(n) && n >= 0) || at + columns > pitch) {
    throw new RangeError(
      `"${x.name}" of ${pitch} columns has no ${columns} columns from column ${at} on`,
    );
  }
  const result = out ?? Tensor.empty(x.gpu, [columns], { name: "column sum" });
  expectShape(result, [columns], "A column sum's result");
  if (rows <= MOST_ROWS) {
    addRows(x, result, { columns, at, share: Math.max(1, rows) });
    return result;
  }
  // Four rows side by side make quads of any width.
  const beside = columns % 4 !== 0 && columns === pitch && rows % 4 === 0 ? 4 : 1;
  using wide = x.view([rows / beside, beside * pitch]);
  const share = Math.max(MOST_ROWS / 4 / beside, Math.ceil(Math.sqrt(rows)));
  const shares = Math.ceil(wide.shape[0] / share);
  using partial = Tensor.empty(x.gpu, [shares, beside * columns], { name: "partial column sums" });
  addRows(wide, partial, { columns: beside * columns, at, share });
  using sums = partial.view([beside * shares, columns]);
  addRows(sums, result, { columns, at: 0, share: beside * shares });
  return result;
}

/** Add up each `share` rows of some columns of x: `[shares, columns]`. */
function addRows(
  x: Tensor,
  out: Tensor,
  { columns, at, share }: { columns: number; at: number; share: number },
): void {
  const [rows, pitch] = x.shape;
  const vec4 = [pitch, at, columns].every((n) => n % 4 === 0);
  const unit = vec4 ? 4 : 1;
  const n = Math.max(1, Math.ceil(rows / share)) * columns / unit;
  const params = { n, columns: columns / unit, rows, share, pitch: pitch / unit, at: at / unit };
  // One read is not worth a copy, but products may have left one.
  const kernel = columnSumKernel(x.gpu, { vec4, mirror: vec4 && worthMirror(x, 0) });
  kernel.run(x.gpu, { x, out }, params, flatGroups(n));
}
