/** Looking up rows of a table by index, and the gradient of the table, without atomics. */
import { defineKernel, FLAT_MAIN, flatGroups } from "./kernel.ts";
import type { Gpu } from "./gpu.ts";
import { expectShape, Tensor } from "./tensor.ts";
import { uploadPacked } from "./upload.ts";

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
  distinct: number;
  [Symbol.dispose](): void;
}

/** RangeError naming the first index that is not a whole number from 0 to rows - 1. */
export function checkIndices(ids: ArrayLike<number>, rows: number, name: string): void {
  for (let i = 0; i < ids.length; i++) {
    if (Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < rows) continue;
    throw new RangeError(
      `The index ${
        ids[i]
      } at place ${i} of "${name}" is not in the table: whole numbers from 0 to ${
        rows - 1
      } are allowed`,
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
 * Errors: RangeError naming the first index that is not a whole number from 0 to rows - 1.
 */
export function uploadIndices(
  gpu: Gpu,
  ids: ArrayLike<number>,
  rows: number,
  name = "ids",
): Indices {
  checkIndices(ids, rows, name);
  const { places, segments } = groupIndices(ids, rows);
  const distinct = segments.length / 2 - 1;
  const packed = uploadPacked(gpu, {
    ids: { data: ids, shape: [ids.length] },
    places: { data: places, shape: [ids.length] },
    segments: { data: segments, shape: [distinct + 1, 2] },
  }, name);
  return { ...packed, distinct };
}

// An invocation copies one number (or quad) of the result.
const lookUpKernel = defineKernel({
  name: "embedding",
  bindings: { table: "read f32", ids: "read u32", out: "write f32" },
  params: { n: "u32", width: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  out[i] = table[ids[row] * params.width + column];
}`,
});

const lookUpQuads = defineKernel({
  ...lookUpKernel.spec,
  name: "embedding of quads",
  bindings: { table: "read vec4f", ids: "read u32", out: "write vec4f" },
});

// An invocation owns one number (or quad) of the row of a segment.
const gradientKernel = defineKernel({
  name: "embedding gradient",
  bindings: { dout: "read f32", places: "read u32", segments: "read u32", dtable: "write f32" },
  params: { n: "u32", width: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  var sum = f32();
  for (var p = segments[2u * row]; p < segments[2u * row + 2u]; p++) {
    sum += dout[places[p] * params.width + column];
  }
  dtable[segments[2u * row + 1u] * params.width + column] = sum;
}`,
});

const gradientQuads = defineKernel({
  ...gradientKernel.spec,
  name: "embedding gradient of quads",
  bindings: { dout: "read vec4f", places: "read u32", segments: "read u32", dtable: "write vec4f" },
  code: gradientKernel.spec.code.replace("f32()", "vec4f()"),
});

/** Rows of `table [V, D]` by index: `[M, D]`. One dispatch. */
export function embedding(table: Tensor, indices: Indices, out?: Tensor): Tensor {
  return lookUp(table, indices.ids, out);
}

/** The same for plain indices that need no gradient, for instance words just sampled on the GPU. */
export function lookUp(table: Tensor, ids: Tensor<"u32">, out?: Tensor): Tensor {
  expectShape(table, [null, null], "An embedding's table [V, D]");
  expectShape(ids, [null], "An embedding's indices [M]");
  const { gpu } = table;
  const [count, width] = [ids.shape[0], table.shape[1]];
  const result = out ?? Tensor.empty(gpu, [count, width], { name: "embedding" });
  expectShape(result, [count, width], "An embedding's result");
  const quads = width % 4 === 0;
  const w = quads ? width / 4 : width;
  const kernel = quads ? lookUpQuads : lookUpKernel;
  kernel.run(gpu, { table, ids, out: result }, { n: count * w, width: w }, flatGroups(count * w));
  return result;
}

/**
 * The gradient of the table `[V, D]` from `dout [M, D]`: the sum over all places of each index, zero
 * for indices that do not occur. A clear and one dispatch; with `rowsOnly` no clear: the rows of
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
  if (!rowsOnly) dtable.clear();
  const { places, segments, distinct } = indices;
  const quads = width % 4 === 0;
  const w = quads ? width / 4 : width;
  const kernel = quads ? gradientQuads : gradientKernel;
  const n = distinct * w;
  kernel.run(dout.gpu, { dout, places, segments, dtable }, { n, width: w }, flatGroups(n));
  return dtable;
}
