/**
 * Embedding bags: for each bag of indices the sum or the mean of their rows of a table, without the
 * rows themselves ever being written down, and the gradient of the table, without atomics.
 */
import { blockSum } from "../reduce/block_sum.ts";
import {
  checkIndices,
  checkTable,
  groupIndices,
  longestSegment,
  rowsGradient,
} from "./embedding.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { checkList } from "../runtime/numbers.ts";
import { element, perShape } from "../runtime/wgsl.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { eachStretch, SUM_STRETCH } from "../runtime/turns.ts";
import { uploadPacked } from "../runtime/memory/upload.ts";

/** How the rows of a bag are put together. */
export type BagMode = "sum" | "mean";

/** Bags of indices on the GPU, with what the gradient needs. */
export interface Bags {
  /** `[M]`: the indices of all bags, bag after bag. */
  ids: Tensor<"u32">;
  /** `[N + 1]`: where each bag begins, and the end of the last. */
  offsets: Tensor<"u32">;
  /** `[M]`: the bags that hold each distinct index, side by side. */
  owners: Tensor<"u32">;
  /** `[S + 1, 2]`: for each distinct index, where its owners begin, and the index. */
  segments: Tensor<"u32">;
  /** Distinct indices, S. */
  distinct: number;
  /** N */
  count: number;
  /** Words of the largest bag, and places of the index that occurs most. */
  largest: number;
  /** Places of the index that occurs most. */
  most: number;
  /** Rows of the table that the indices are from. */
  rows: number;
  /** Let go of the tensors above. */
  [Symbol.dispose](): void;
}

/**
 * Upload bags of indices into a table of `rows` rows. A bag may be empty: its sum and its mean are 0.
 *
 * Errors: RangeError naming the first index that is not a whole number from 0 to rows - 1, or when
 * there is no bag; TypeError for a bag that is no flat array.
 */
export function uploadBags(
  gpu: Gpu,
  bags: readonly ArrayLike<number>[],
  rows: number,
  name = "bags",
): Bags {
  if (bags.length === 0) throw new RangeError(`"${name}" must hold at least one bag`);
  const offsets = new Uint32Array(bags.length + 1);
  bags.forEach((bag, n) => {
    checkList(bag, `bag ${n} of ${name}`);
    checkIndices(bag, rows, name, offsets[n]); // before a typed array makes indices of anything
    offsets[n + 1] = offsets[n] + bag.length;
  });
  const ids = new Uint32Array(offsets[bags.length]);
  const owner = new Uint32Array(ids.length);
  bags.forEach((bag, n) => {
    ids.set(bag, offsets[n]);
    owner.fill(n, offsets[n], offsets[n + 1]);
  });
  const { places, segments } = groupIndices(ids, rows);
  const distinct = segments.length / 2 - 1;
  const owners = new Uint32Array(places.length);
  for (let i = 0; i < places.length; i++) owners[i] = owner[places[i]];
  const packed = uploadPacked(gpu, {
    ids: { data: ids, shape: [ids.length] },
    offsets: { data: offsets, shape: [offsets.length] },
    owners: { data: owners, shape: [ids.length] },
    segments: { data: segments, shape: [distinct + 1, 2] },
  }, name);
  const largest = bags.reduce((most, bag) => Math.max(most, bag.length), 0);
  return {
    ...packed,
    distinct,
    count: bags.length,
    largest,
    most: longestSegment(segments),
    rows,
  };
}

// An invocation owns one number (or quad) of a bag's sum: over its words from the `skip`th on, at most a stretch,
// added to what the dispatch before has left.
const bagKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) => {
  const t = element(vec4);
  const sum = blockSum(
    "sum",
    t,
    { variable: "p", first: "first", end: "end" },
    (add) => add("table[ids[p] * params.width + column]"),
  );
  return defineKernel({
    name: "embedding bag",
    bindings: { table: `read ${t}`, ids: "read u32", offsets: "read u32", out: `write ${t}` },
    params: { n: "u32", width: "u32", skip: "u32", mean: "u32" },
    code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  let words = offsets[row + 1u] - offsets[row];
  if (params.skip > 0u && params.skip >= words) { return; }
  let first = offsets[row] + params.skip;
  let end = min(offsets[row + 1u], first + ${SUM_STRETCH}u);
  ${sum}
  sum /= select(1.0, f32(max(words, 1u)), params.mean == 1u);
  if (params.skip > 0u) { sum += out[i]; }
  out[i] = sum;
}`,
  });
});

/**
 * The sum or mean of each bag's rows of `table [V, D]`: `[N, D]`. One dispatch, or more for a bag of more than 4,096
 * words. RangeError for a table of fewer rows than the bags'.
 */
export function embeddingBag(table: Tensor, bags: Bags, mode: BagMode, out?: Tensor): Tensor {
  expectShape(table, [null, null], "An embedding bag's table [V, D]");
  checkTable(table, bags);
  const { gpu } = table;
  const width = table.shape[1];
  const result = out ?? Tensor.empty(gpu, [bags.count, width], { name: `bag ${mode}` });
  expectShape(result, [bags.count, width], "An embedding bag's result [N, D]");
  const vec4 = width % 4 === 0;
  const w = vec4 ? width / 4 : width;
  const { ids, offsets } = bags;
  const n = bags.count * w;
  eachStretch(bags.largest, SUM_STRETCH, (skip) => {
    const params = { n, width: w, skip, mean: mode === "mean" ? 1 : 0 };
    const tensors = { table, ids, offsets, out: result };
    bagKernel(gpu, { vec4 }).run(gpu, tensors, params, flatGroups(n));
  });
  return result;
}

const gradientKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) => {
  const t = element(vec4);
  return rowsGradient(
    "embedding bag gradient",
    t,
    { dout: `read ${t}`, offsets: "read u32", owners: "read u32" },
    { mean: "u32" },
    `let bag = owners[p];
    let words = select(1u, offsets[bag + 1u] - offsets[bag], params.mean == 1u);
    let v = dout[bag * params.width + column] / f32(words);`,
  );
});

/**
 * The gradient of the table `[V, D]` from `dout [N, D]`, zero for indices that do not occur. A clear and
 * one dispatch, or more where an index occurs more than 4,096 times; with `rowsOnly` no clear: the rows of indices
 * that do not occur stay as they are.
 */
export function embeddingBagGradient(
  dout: Tensor,
  bags: Bags,
  mode: BagMode,
  dtable: Tensor,
  { rowsOnly = false }: { rowsOnly?: boolean } = {},
): Tensor {
  expectShape(dtable, [null, null], "An embedding bag's table gradient [V, D]");
  const width = dtable.shape[1];
  expectShape(dout, [bags.count, width], "An embedding bag's gradient [N, D]");
  checkTable(dtable, bags);
  if (!rowsOnly) dtable.clear();
  const vec4 = width % 4 === 0;
  const w = vec4 ? width / 4 : width;
  const { offsets, owners, segments } = bags;
  const { gpu } = dout;
  const n = bags.distinct * w;
  eachStretch(bags.most, SUM_STRETCH, (skip) => {
    const params = { n, width: w, skip, mean: mode === "mean" ? 1 : 0 };
    const tensors = { dout, offsets, owners, segments, dtable };
    gradientKernel(gpu, { vec4 }).run(gpu, tensors, params, flatGroups(n));
  });
  return dtable;
}
