/** Looking up rows of a table by index, and the gradient of the table, without atomics. */
import { activations, type FloatType } from "../activations.ts";
import { blockSum } from "../reduce/block_sum.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { type Binding, defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { checkList, notANumber } from "../runtime/numbers.ts";
import { eachOfRows, element, perShape, ROW_PARAMS, shareColumns } from "../runtime/wgsl.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { eachStretch, SUM_STRETCH } from "../runtime/turns.ts";
import { uploadPacked } from "../runtime/memory/upload.ts";

/**
 * Indices on the GPU, with what the gradient needs: the places of each index side by side, so that
 * every row of the table has one owner, who adds its places in order. Deterministic.
 */
export interface Indices {
  /** `[M]`, the indices. */
  ids: Tensor<"u32">;
  /** `[M]`, the places 0 … M-1 ordered by index, then by place. */
  places: Tensor<"u32">;
  /** `[S + 1, 2]`: for each distinct index, where its places begin, and the index. */
  segments: Tensor<"u32">;
  /** Distinct indices, S. */
  distinct: number;
  /** Places of the index that occurs most. */
  most: number;
  /** Rows of the table that the indices are from. */
  rows: number;
  /** Let go of the tensors above. */
  [Symbol.dispose](): void;
}

/**
 * RangeError naming the first index that is not a whole number from 0 to rows - 1, by its place counted from `first`;
 * TypeError for what is no number.
 */
export function checkIndices(
  ids: ArrayLike<number>,
  rows: number,
  name: string,
  first = 0,
): void {
  for (let i = 0; i < ids.length; i++) {
    if (Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < rows) continue;
    if (typeof ids[i] !== "number") throw notANumber(ids[i], first + i, name);
    throw new RangeError(
      `The index ${ids[i]} at place ${
        first + i
      } of "${name}" is not in the table: whole numbers from 0 to ${rows - 1} are allowed`,
    );
  }
}

/** For each row of a table the number of its segment + 1; all zero between calls. */
let segmentOfRow = new Uint32Array(0);

/**
 * Put the places of each distinct index side by side, in their order; the indices come in the order in
 * which they occur first. `ids` are from 0 to rows - 1. Time grows with the places, not with the rows.
 */
export function groupIndices(
  ids: ArrayLike<number>,
  rows: number,
): { places: Uint32Array; segments: Uint32Array } {
  const count = ids.length;
  if (segmentOfRow.length < rows) segmentOfRow = new Uint32Array(rows);
  const segments = new Uint32Array(2 * (count + 1));
  let distinct = 0;
  for (let i = 0; i < count; i++) {
    let segment = segmentOfRow[ids[i]];
    if (segment === 0) {
      segment = segmentOfRow[ids[i]] = ++distinct;
      segments[2 * segment - 1] = ids[i];
    }
    segments[2 * segment]++; // its size, kept where the next one begins
  }
  for (let s = 1; s <= distinct; s++) segments[2 * s] += segments[2 * s - 2];
  const places = new Uint32Array(count);
  for (let i = count - 1; i >= 0; i--) {
    // From the end of its segment down, so that the start moves to its place by itself.
    places[--segments[2 * segmentOfRow[ids[i]]]] = i;
  }
  // Now each segment's end holds its start: move them down by one, and close with the count.
  for (let s = 0; s < distinct; s++) segments[2 * s] = segments[2 * s + 2];
  segments[2 * distinct] = count;
  for (let i = 0; i < count; i++) segmentOfRow[ids[i]] = 0;
  return { places, segments: segments.subarray(0, 2 * distinct + 2) };
}

/**
 * Upload indices into a table of `rows` rows.
 *
 * Errors: RangeError naming the first index that is not a whole number from 0 to rows - 1; TypeError for what is no
 * flat array.
 */
export function uploadIndices(
  gpu: Gpu,
  ids: ArrayLike<number>,
  rows: number,
  name = "ids",
): Indices {
  checkList(ids, name);
  checkIndices(ids, rows, name);
  const { places, segments } = groupIndices(ids, rows);
  const distinct = segments.length / 2 - 1;
  const packed = uploadPacked(gpu, {
    ids: { data: ids, shape: [ids.length] },
    places: { data: places, shape: [ids.length] },
    segments: { data: segments, shape: [distinct + 1, 2] },
  }, name);
  return { ...packed, distinct, most: longestSegment(segments), rows };
}

/** The most places of a segment of {@linkcode groupIndices}. */
export function longestSegment(segments: Uint32Array): number {
  let most = 0;
  for (let s = 2; s < segments.length; s += 2) most = Math.max(most, segments[s] - segments[s - 2]);
  return most;
}

/** RangeError where indices were checked against another, larger table than the one they are used with. */
export function checkTable(
  table: Tensor,
  { ids, rows }: { ids: Tensor<"u32">; rows: number },
): void {
  if (rows <= table.shape[0]) return;
  throw new RangeError(
    `"${ids.name}" was uploaded for a table of ${rows} rows, and "${table.name}" has ${
      table.shape[0]
    }`,
  );
}

// An index outside the table gives NaN, not a neighbor.
const lookUpKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) => {
  const t = element(vec4);
  return defineKernel({
    name: "embedding",
    bindings: { table: `read ${t}`, ids: "read u32", out: `write ${t}` },
    params: { ...ROW_PARAMS, rows: "u32" },
    code: activations(t) + eachOfRows(
      `let index = ids[row];
  let begin = min(index, params.rows - 1u) * params.width;`,
      `out[row * params.width + column] = select(nan_${t}(), table[begin + column], index < params.rows);`,
    ),
  });
});

/**
 * The kernel of a table's gradient: invocation i adds up one number (or quad) of the row of a segment, over the
 * places of the index from the `skip`th on, at most {@linkcode SUM_STRETCH}; more are a dispatch of their own, which adds
 * to what the one before has left. `value` is WGSL that lets v be what place p adds, and `column` the number (or quad) in the row.
 */
export function rowsGradient<
  const B extends Record<string, Binding>,
  const P extends Record<string, "u32">,
>(name: string, t: FloatType, bindings: B, params: P, value: string) {
  const sum = blockSum(
    "sum",
    t,
    { variable: "p", first: "first", end: "end" },
    (add) =>
      `${value}
      ${add("v")}`,
  );
  const table = { segments: "read u32", dtable: `write ${t}` } as const;
  return defineKernel({
    name,
    bindings: { ...bindings, ...table } as B & typeof table,
    params: { n: "u32", width: "u32", skip: "u32", ...params },
    code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let segment = i / params.width;
  let column = i % params.width;
  let first = segments[2u * segment] + params.skip;
  let end = min(segments[2u * segment + 2u], first + ${SUM_STRETCH}u);
  if (params.skip > 0u && first >= end) { return; }
  ${sum}
  let at = segments[2u * segment + 1u] * params.width + column;
  if (params.skip > 0u) { sum += dtable[at]; }
  dtable[at] = sum;
}`,
  });
}

const gradientKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) => {
  const t = element(vec4);
  const bindings = { dout: `read ${t}`, places: "read u32" } as const;
  const value = "let v = dout[places[p] * params.width + column];";
  return rowsGradient("embedding gradient", t, bindings, {}, value);
});

/** Rows of `table [V, D]` by index: `[M, D]`. One dispatch. RangeError for a table of fewer rows than the indices'. */
export function embedding(table: Tensor, indices: Indices, out?: Tensor): Tensor {
  expectShape(table, [null, null], "An embedding's table [V, D]");
  checkTable(table, indices);
  return lookUp(table, indices.ids, out);
}

/**
 * The same for plain indices that need no gradient, for instance words just sampled on the GPU. One that is not
 * in the table gives a row of NaN.
 */
export function lookUp(table: Tensor, ids: Tensor<"u32">, out?: Tensor): Tensor {
  expectShape(table, [null, null], "An embedding's table [V, D]");
  expectShape(ids, [null], "An embedding's indices [M]");
  const { gpu } = table;
  const [rows, width] = table.shape;
  const count = ids.shape[0];
  if (rows === 0 && count > 0) {
    throw new RangeError(`"${table.name}" has no rows, and "${ids.name}" asks for ${count}`);
  }
  const result = out ?? Tensor.empty(gpu, [count, width], { name: "embedding" });
  expectShape(result, [count, width], "An embedding's result");
  const vec4 = width % 4 === 0;
  const { params, groups } = shareColumns(count, vec4 ? width / 4 : width);
  lookUpKernel(gpu, { vec4 }).run(gpu, { table, ids, out: result }, { ...params, rows }, groups);
  return result;
}

/**
 * The gradient of the table `[V, D]` from `dout [M, D]`: the sum over all places of each index, zero
 * for indices that do not occur. A clear and one dispatch, or more where an index occurs more than 4,096
 * times; with `rowsOnly` no clear: the rows of
 * indices that do not occur stay as they are.
 */
export function embeddingGradient(
  dout: Tensor,
  indices: Indices,
  dtable: Tensor,
  { rowsOnly = false }: { rowsOnly?: boolean } = {},
): Tensor {
  expectShape(dtable, [null, null], "An embedding's table gradient [V, D]");
  const width = dtable.shape[1];
  expectShape(dout, [indices.ids.size, width], "An embedding's gradient [M, D]");
  checkTable(dtable, indices);
  if (!rowsOnly) dtable.clear();
  const { places, segments, distinct, most } = indices;
  const vec4 = width % 4 === 0;
  const w = vec4 ? width / 4 : width;
  const { gpu } = dout;
  const n = distinct * w;
  eachStretch(most, SUM_STRETCH, (skip) => {
    const tensors = { dout, places, segments, dtable };
    gradientKernel(gpu, { vec4 }).run(gpu, tensors, { n, width: w, skip }, flatGroups(n));
  });
  return dtable;
}
