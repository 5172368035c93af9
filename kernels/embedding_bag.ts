/**
 * Embedding bags: for each bag of indices the sum or the mean of their rows of a table, without the
 * rows themselves ever being written down, and the gradient of the table, without atomics.
 */
import { checkIndices, groupIndices } from "./embedding.ts";
import type { Gpu } from "./gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "./kernel.ts";
import { expectShape, Tensor } from "./tensor.ts";
import { uploadPacked } from "./upload.ts";

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
  [Symbol.dispose](): void;
}

/**
 * Upload bags of indices into a table of `rows` rows. A bag may be empty: its sum and its mean are 0.
 *
 * Errors: RangeError naming the first index that is not a whole number from 0 to rows - 1, or when
 * there is no bag.
 */
export function uploadBags(
  gpu: Gpu,
  bags: readonly ArrayLike<number>[],
  rows: number,
  name = "bags",
): Bags {
  if (bags.length === 0) throw new RangeError(`"${name}" must hold at least one bag`);
  const offsets = new Uint32Array(bags.length + 1);
  bags.forEach((bag, n) => offsets[n + 1] = offsets[n] + bag.length);
  const ids = new Float64Array(offsets[bags.length]); // keeps what is no index as it is
  const owner = new Uint32Array(ids.length);
  bags.forEach((bag, n) => {
    ids.set(bag, offsets[n]);
    owner.fill(n, offsets[n], offsets[n + 1]);
  });
  checkIndices(ids, rows, name);
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
  return { ...packed, distinct, count: bags.length };
}

// An invocation owns one number (or quad) of a bag's sum.
const bagKernel = defineKernel({
  name: "embedding bag",
  bindings: { table: "read f32", ids: "read u32", offsets: "read u32", out: "write f32" },
  params: { n: "u32", width: "u32", mean: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  let first = offsets[row];
  let end = offsets[row + 1u];
  var sum = f32();
  for (var p = first; p < end; p++) { sum += table[ids[p] * params.width + column]; }
  let scale = select(1.0, 1.0 / f32(max(end - first, 1u)), params.mean == 1u);
  out[i] = scale * sum;
}`,
});

const bagQuads = defineKernel({
  ...bagKernel.spec,
  name: "embedding bag of quads",
  bindings: { table: "read vec4f", ids: "read u32", offsets: "read u32", out: "write vec4f" },
  code: bagKernel.spec.code.replace("f32();", "vec4f();"),
});

/** The sum or mean of each bag's rows of `table [V, D]`: `[N, D]`. One dispatch. */
export function embeddingBag(table: Tensor, bags: Bags, mode: BagMode, out?: Tensor): Tensor {
  expectShape(table, [null, null], "An embedding bag's table [V, D]");
  const { gpu } = table;
  const width = table.shape[1];
  const result = out ?? Tensor.empty(gpu, [bags.count, width], { name: `bag ${mode}` });
  expectShape(result, [bags.count, width], "An embedding bag's result [N, D]");
  const quads = width % 4 === 0;
  const w = quads ? width / 4 : width;
  const { ids, offsets } = bags;
  const n = bags.count * w;
  const params = { n, width: w, mean: mode === "mean" ? 1 : 0 };
  (quads ? bagQuads : bagKernel).run(
    gpu,
    { table, ids, offsets, out: result },
    params,
    flatGroups(n),
  );
  return result;
}

// An invocation owns one number (or quad) of the row of a segment.
const gradientKernel = defineKernel({
  name: "embedding bag gradient",
  bindings: {
    dout: "read f32",
    offsets: "read u32",
    owners: "read u32",
    segments: "read u32",
    dtable: "write f32",
  },
  params: { n: "u32", width: "u32", mean: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  var sum = f32();
  for (var p = segments[2u * row]; p < segments[2u * row + 2u]; p++) {
    let bag = owners[p];
    let words = select(1u, offsets[bag + 1u] - offsets[bag], params.mean == 1u);
    sum += dout[bag * params.width + column] / f32(words);
  }
  dtable[segments[2u * row + 1u] * params.width + column] = sum;
}`,
});

const gradientQuads = defineKernel({
  ...gradientKernel.spec,
  name: "embedding bag gradient of quads",
  bindings: { ...gradientKernel.spec.bindings, dout: "read vec4f", dtable: "write vec4f" },
  code: gradientKernel.spec.code.replace("f32();", "vec4f();"),
});

/**
 * The gradient of the table `[V, D]` from `dout [N, D]`, zero for indices that do not occur. A clear and
 * one dispatch; with `rowsOnly` no clear: the rows of indices that do not occur stay as they are.
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
  if (!rowsOnly) dtable.clear();
  const quads = width % 4 === 0;
  const w = quads ? width / 4 : width;
  const { offsets, owners, segments } = bags;
  const n = bags.distinct * w;
  const params = { n, width: w, mean: mode === "mean" ? 1 : 0 };
  const kernel = quads ? gradientQuads : gradientKernel;
  const tensors = { dout, offsets, owners, segments, dtable };
  kernel.run(dout.gpu, tensors, params, flatGroups(n));
  return dtable;
}
