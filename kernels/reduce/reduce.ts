/** Sums: of all elements, and of each column. Every sum runs in a fixed order. */
import type { FloatType } from "../activations.ts";
import { blockSum } from "./block_sum.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";

const GROUP = 64;
/** Most partial sums of the first of the two stages. */
const PARTIALS = 1024;

// Invocation i of a group adds its share in order, then the group adds up its 64 sums as a tree.
const sumKernel = defineKernel({
  name: "sum",
  bindings: { x: "read f32", out: "write f32" },
  params: { n: "u32", share: "u32", out_at: "u32", scale: "f32", square: "u32" },
  code: /* wgsl */ `
var<workgroup> sums: array<f32, ${GROUP}>;
@compute @workgroup_size(${GROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
  let first = group.x * params.share;
  let end = min(params.n, first + params.share);
  ${
    blockSum(
      "sum",
      "f32",
      { variable: "i", first: "(first + local.x)", end: "end", step: `${GROUP}u` },
      (add) =>
        `let v = x[i];
      ${add("select(v, v * v, params.square == 1u)")}`,
    )
  }
  sums[local.x] = sum;
  for (var half = ${GROUP / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local.x < half) { sums[local.x] += sums[local.x + half]; }
  }
  if (local.x == 0u) { out[params.out_at + group.x] = sums[0] * params.scale; }
}`,
});

/** Options of {@linkcode sum}. */
export interface SumOptions {
  /** Multiplies the sum. */
  scale?: number;
  /** Add up the squares. */
  square?: boolean;
  /** Receives the sum at element `at`; a new scalar by default. */
  out?: Tensor;
  at?: number;
  name?: string;
}

/** The sum of all elements (or of their squares), times `scale`: one dispatch, or two when there are many. */
export function sum(x: Tensor, options: SumOptions = {}): Tensor {
  const { gpu } = x;
  const { scale = 1, square = false, at = 0 } = options;
  const out = options.out ?? Tensor.empty(gpu, [], { name: options.name ?? "sum" });
  if (!Number.isInteger(at) || at < 0 || at >= out.size) {
    throw new RangeError(
      `The sum cannot be written to element ${at} of "${out.name}": it has ${out.size}`,
    );
  }
  const flag = square ? 1 : 0;
  if (x.size <= PARTIALS * GROUP) {
    sumKernel.run(gpu, { x, out }, { n: x.size, share: x.size, out_at: at, scale, square: flag }, [
      1,
    ]);
    return out;
  }
  const share = Math.ceil(x.size / PARTIALS);
  const groups = Math.ceil(x.size / share);
  using partial = Tensor.empty(gpu, [groups], { name: "partial sums" });
  sumKernel.run(
    gpu,
    { x, out: partial },
    { n: x.size, share, out_at: 0, scale: 1, square: flag },
    [groups],
  );
  sumKernel.run(
    gpu,
    { x: partial, out },
    { n: groups, share: groups, out_at: at, scale, square: 0 },
    [1],
  );
  return out;
}

const COLUMN_PARAMS = {
  n: "u32",
  columns: "u32",
  rows: "u32",
  share: "u32",
  pitch: "u32",
  at: "u32",
} as const;

// An invocation adds up a share of the rows of one column, or of four, from the first to the last.
const columnSumCode = (t: FloatType) => {
  const sum = blockSum(
    "sum",
    t,
    { variable: "row", first: "first", end: "end" },
    (add) =>
      `${add("x[at]")}
      at += params.pitch;`,
  );
  return /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let first = (i / params.columns) * params.share;
  let end = min(params.rows, first + params.share);
  var at = first * params.pitch + params.at + i % params.columns;
  ${sum}
  out[i] = sum;
}`;
};

const columnSumKernel = defineKernel({
  name: "column sum",
  bindings: { x: "read f32", out: "write f32" },
  params: COLUMN_PARAMS,
  code: columnSumCode("f32"),
});

const columnSumQuads = defineKernel({
  name: "column sum of quads",
  bindings: { x: "read vec4f", out: "write vec4f" },
  params: COLUMN_PARAMS,
  code: columnSumCode("vec4f"),
});

/** Rows that one invocation of a column sum adds up before they are shared out among several. */
const MOST_ROWS = 256;

/** Options of {@linkcode columnSum}. */
export interface ColumnSumOptions {
  /** The first column to sum (0 by default), and how many (all from there on by default). */
  at?: number;
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
  const unit = [pitch, at, columns].every((n) => n % 4 === 0) ? 4 : 1;
  const kernel = unit === 4 ? columnSumQuads : columnSumKernel;
  const add = (
    from: Tensor,
    to: Tensor,
    rows: number,
    pitch: number,
    at: number,
    share: number,
  ) => {
    const n = Math.max(1, Math.ceil(rows / share)) * columns / unit;
    kernel.run(x.gpu, { x: from, out: to }, {
      n,
      columns: columns / unit,
      rows,
      share,
      pitch: pitch / unit,
      at: at / unit,
    }, flatGroups(n));
  };
  if (rows <= MOST_ROWS) {
    add(x, result, rows, pitch, at, Math.max(1, rows));
    return result;
  }
  const share = Math.max(MOST_ROWS / 4, Math.ceil(Math.sqrt(rows)));
  const shares = Math.ceil(rows / share);
  using partial = Tensor.empty(x.gpu, [shares, columns], { name: "partial column sums" });
  add(x, partial, rows, pitch, at, share);
  add(partial, result, shares, columns, 0, shares);
  return result;
}
