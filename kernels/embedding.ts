/** Looking up rows of a table by index, and the gradient of the table, without atomics. */
import { defineKernel, FLAT_MAIN, flatGroups } from "./kernel.ts";
import type { Gpu } from "./gpu.ts";
import { expectShape, Tensor } from "./tensor.ts";

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
  const count = ids.length;
  for (let i = 0; i < count; i++) {
    if (Number.isInteger(ids[i]) && ids[i] >= 0 && ids[i] < rows) continue;
    throw new RangeError(
      `The index ${
        ids[i]
      } at place ${i} of "${name}" is not in the table: whole numbers from 0 to ${
        rows - 1
      } are allowed`,
    );
  }
  const places = Uint32Array.from({ length: count }, (_, i) => i);
  places.sort((a, b) => ids[a] - ids[b] || a - b);
  const segments: number[] = [];
  places.forEach((place, i) => {
    if (i === 0 || ids[place] !== ids[places[i - 1]]) segments.push(i, ids[place]);
  });
  const distinct = segments.length / 2;
  segments.push(count, 0);
  const tensors = {
    ids: Tensor.from(gpu, ids, [count], { name, dtype: "u32" }),
    places: Tensor.from(gpu, places, [count], { name: `${name} places`, dtype: "u32" }),
    segments: Tensor.from(gpu, segments, [distinct + 1, 2], {
      name: `${name} segments`,
      dtype: "u32",
    }),
  };
  return {
    ...tensors,
    distinct,
    [Symbol.dispose]() {
      for (const tensor of Object.values(tensors)) tensor.dispose();
    },
  };
}

// Invocation i copies number i of the result (or quad i).
const lookUpKernel = defineKernel({
  name: "embedding",
  bindings: { table: "read f32", ids: "read u32", out: "write f32" },
  params: { n: "u32", width: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  out[i] = table[ids[i / params.width] * params.width + i % params.width];
}`,
});

const lookUpQuads = defineKernel({
  ...lookUpKernel.spec,
  name: "embedding of quads",
  bindings: { table: "read vec4f", ids: "read u32", out: "write vec4f" },
});

// Invocation i owns number (or quad) i % width of the row of segment i / width.
const gradientKernel = defineKernel({
  name: "embedding gradient",
  bindings: { dout: "read f32", places: "read u32", segments: "read u32", dtable: "write f32" },
  params: { n: "u32", width: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let segment = i / params.width;
  let column = i % params.width;
  var sum = f32();
  for (var p = segments[2u * segment]; p < segments[2u * segment + 2u]; p++) {
    sum += dout[places[p] * params.width + column];
  }
  dtable[segments[2u * segment + 1u] * params.width + column] = sum;
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
 * for indices that do not occur. A clear and one dispatch.
 */
export function embeddingGradient(dout: Tensor, indices: Indices, dtable: Tensor): Tensor {
  expectShape(dtable, [null, null], "An embedding's table gradient [V, D]");
  const width = dtable.shape[1];
  expectShape(dout, [indices.ids.size, width], "An embedding's gradient [M, D]");
  dtable.clear();
  const quads = width % 4 === 0;
  const w = quads ? width / 4 : width;
  const kernel = quads ? gradientQuads : gradientKernel;
  const n = indices.distinct * w;
  const { places, segments } = indices;
  kernel.run(dout.gpu, { dout, places, segments, dtable }, { n, width: w }, flatGroups(n));
  return dtable;
}
