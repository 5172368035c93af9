/** Softmax over the rows of a matrix: cross-entropy with its gradient, log-probabilities, the largest entry. */
import type { Gpu } from "./gpu.ts";
import { defineKernel, foldGroups } from "./kernel.ts";
import { lines } from "./product.ts";
import { expectShape, Tensor } from "./tensor.ts";

// Below every score: WGSL need not know infinity.
const LOWEST = "-3.0e38";

/**
 * The two ways to share out the work on a row: a CPU adapter gives each lane a row of its own, a GPU
 * gives each row a workgroup, whose invocations take every 64th column and then reduce as a tree.
 * The code sees `row`, loops over `first`, `first + stride`, … and calls `reduce_max`/`reduce_sum`.
 */
function rowCode(gpu: Gpu, body: string): string {
  if (gpu.path === "subgroup") {
    return /* wgsl */ `
fn reduce_max(local: u32, v: f32) -> f32 { return v; }
fn reduce_sum(local: u32, v: f32) -> f32 { return v; }
@compute @workgroup_size(8)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let row = id.y * groups.x * 8u + id.x;
  if (row >= params.rows) { return; }
  let local = 0u;
  let first = 0u;
  const stride = 1u;
  ${body}
}`;
  }
  const tree = (op: (a: string, b: string) => string) =>
    lines(6, (i) => {
      const half = 32 >> i;
      return `if (local < ${half}u) { shared_values[local] = ${
        op("shared_values[local]", `shared_values[local + ${half}u]`)
      }; }
  workgroupBarrier();`;
    });
  const reduce = (name: string, op: (a: string, b: string) => string) => `
fn reduce_${name}(local: u32, v: f32) -> f32 {
  workgroupBarrier();
  shared_values[local] = v;
  workgroupBarrier();
  ${tree(op)}
  return shared_values[0];
}`;
  return /* wgsl */ `
var<workgroup> shared_values: array<f32, 64>;
${reduce("max", (a, b) => `max(${a}, ${b})`)}
${reduce("sum", (a, b) => `${a} + ${b}`)}
@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_id) id: vec3u) {
  let row = group.y * groups.x + group.x;
  if (row >= params.rows) { return; }
  let local = id.x;
  let first = id.x;
  const stride = 64u;
  ${body}
}`;
}

function rowGroups(gpu: Gpu, rows: number): [number, number] {
  return foldGroups(gpu.path === "subgroup" ? Math.ceil(rows / 8) : rows);
}

/** One kernel for each path and variant, made on first use. */
function perPath<K>(make: (gpu: Gpu, quads: boolean) => K): (gpu: Gpu, quads?: boolean) => K {
  const made = new Map<string, K>();
  return (gpu, quads = false) => {
    const key = `${gpu.path} ${quads}`;
    let kernel = made.get(key);
    if (kernel === undefined) made.set(key, kernel = make(gpu, quads));
    return kernel;
  };
}

// The largest score is taken off before anything is added: a large score would swallow the rest.
const ROW_STATISTICS = /* wgsl */ `
  let start = row * params.columns;
  var top = ${LOWEST};
  for (var c = first; c < params.columns; c += stride) { top = max(top, scores[start + c]); }
  top = reduce_max(local, top);`;

// loss_row = w (log Σ exp(s) - s_y), gradient w (softmax(s) - onehot(y)), with w = scale, or 0 when y is ignored.
// With quads, scores and gradient are seen as vec4: the passes over a row are most of the work.
const crossEntropyKernel = perPath((gpu, quads) => {
  const t = quads ? "vec4f" : "f32";
  const widest = (v: string) => quads ? `max(max(${v}.x, ${v}.y), max(${v}.z, ${v}.w))` : v;
  const together = (v: string) => quads ? `${v}.x + ${v}.y + ${v}.z + ${v}.w` : v;
  const hot = quads
    ? "select(vec4f(), vec4f(weight), vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) == vec4u(y))"
    : "select(0.0, weight, c == y)";
  const target = quads ? "scores[start + (place >> 2u)][place & 3u]" : "scores[start + place]";
  return defineKernel({
    name: "softmax cross-entropy",
    bindings: {
      scores: `read ${t}`,
      targets: "read u32",
      losses: "write f32",
      gradient: `write ${t}`,
    },
    params: { rows: "u32", columns: "u32", ignore: "u32", scale: "f32" },
    code: rowCode(
      gpu,
      /* wgsl */ `
  let width = params.columns${quads ? " / 4u" : ""};
  let start = row * width;
  var tops = ${t}(${LOWEST});
  for (var c = first; c < width; c += stride) { tops = max(tops, scores[start + c]); }
  let top = reduce_max(local, ${widest("tops")});
  var totals = ${t}();
  for (var c = first; c < width; c += stride) {
    let e = exp(scores[start + c] - top);
    gradient[start + c] = e;
    totals += e;
  }
  let total = reduce_sum(local, ${together("totals")});
  let y = targets[row];
  let weight = select(params.scale, 0.0, y == params.ignore || y >= params.columns);
  let factor = weight / total;
  for (var c = first; c < width; c += stride) {
    gradient[start + c] = gradient[start + c] * factor - ${hot}; // (P17)
  }
  let place = min(y, params.columns - 1u);
  // (P16)
  if (local == 0u) { losses[row] = weight * (log(total) - (${target} - top)); }`,
    ),
  });
});

// The same loss without its gradient.
const lossKernel = perPath((gpu) =>
  defineKernel({
    name: "softmax loss",
    bindings: { scores: "read f32", targets: "read u32", losses: "write f32" },
    params: { rows: "u32", columns: "u32", ignore: "u32", scale: "f32" },
    code: rowCode(
      gpu,
      /* wgsl */ `
  ${ROW_STATISTICS}
  var total = 0.0;
  for (var c = first; c < params.columns; c += stride) { total += exp(scores[start + c] - top); }
  total = reduce_sum(local, total);
  let y = targets[row];
  let weight = select(params.scale, 0.0, y == params.ignore || y >= params.columns);
  if (local == 0u) {
    losses[row] = weight * (log(total) - (scores[start + min(y, params.columns - 1u)] - top));
  }`,
    ),
  })
);

const logSoftmaxKernel = perPath((gpu) =>
  defineKernel({
    name: "log softmax",
    bindings: { scores: "read f32", out: "write f32" },
    params: { rows: "u32", columns: "u32" },
    code: rowCode(
      gpu,
      /* wgsl */ `
  ${ROW_STATISTICS}
  var total = 0.0;
  for (var c = first; c < params.columns; c += stride) { total += exp(scores[start + c] - top); }
  let log_total = log(reduce_sum(local, total));
  for (var c = first; c < params.columns; c += stride) {
    out[start + c] = (scores[start + c] - top) - log_total;
  }`,
    ),
  })
);

// The first column of the largest score: invocations without it offer a column past the end.
const argmaxKernel = perPath((gpu) =>
  defineKernel({
    name: "argmax",
    bindings: { scores: "read f32", out: "write u32" },
    params: { rows: "u32", columns: "u32" },
    code: rowCode(
      gpu,
      /* wgsl */ `
  ${ROW_STATISTICS}
  var place = params.columns;
  for (var c = first; c < params.columns; c += stride) {
    if (scores[start + c] >= top) { place = min(place, c); }
  }
  // The smallest place is the largest of the negatives; whole numbers to 2^24 are exact in f32.
  let smallest = u32(-reduce_max(local, -f32(place)));
  if (local == 0u) { out[row] = smallest; }`,
    ),
  })
);

/** Options of {@linkcode softmaxCrossEntropy}. */
export interface CrossEntropyOptions {
  /** Rows whose target is this index count nothing; `<NULL>` is 0. None by default. */
  ignore?: number | undefined;
  /** Multiplies each row's loss and gradient, for instance 1/N for a mean over the batch. */
  scale?: number | undefined;
  /** Also compute the gradient (the default). */
  withGradient?: boolean | undefined;
}

/** A loss for each row, and the gradient of their sum on the scores. */
export interface CrossEntropy {
  /** `[M]`: scale · (log Σ exp(s) - s_y), or 0 for an ignored row. */
  losses: Tensor;
  /** `[M, V]`: scale · (softmax(s) - onehot(y)); missing when it was not asked for. */
  gradient?: Tensor;
}

const NONE = 0xffffffff;

/**
 * Softmax cross-entropy of each row of `scores [M, V]` with the class in `targets [M]`, and its
 * gradient: one dispatch. Safe for large scores. A target from V on counts as ignored: whoever uploads
 * targets checks them.
 */
export function softmaxCrossEntropy(
  scores: Tensor,
  targets: Tensor<"u32">,
  options: CrossEntropyOptions = {},
): CrossEntropy {
  expectShape(scores, [null, null], "A cross-entropy's scores [M, V]");
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  expectShape(targets, [rows], "A cross-entropy's targets [M]");
  const { ignore = NONE, scale = 1, withGradient = true } = options;
  const losses = Tensor.empty(gpu, [rows], { name: "row losses" });
  const params = { rows, columns, ignore, scale };
  if (!withGradient) {
    lossKernel(gpu).run(gpu, { scores, targets, losses }, params, rowGroups(gpu, rows));
    return { losses };
  }
  const gradient = Tensor.empty(gpu, scores.shape, { name: "score gradient" });
  crossEntropyKernel(gpu, columns % 4 === 0).run(
    gpu,
    { scores, targets, losses, gradient },
    params,
    rowGroups(gpu, rows),
  );
  return { losses, gradient };
}

/** The logarithm of the softmax of each row of `scores [M, V]`. */
export function logSoftmax(scores: Tensor): Tensor {
  expectShape(scores, [null, null], "A log-softmax's scores [M, V]");
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  const out = Tensor.empty(gpu, scores.shape, { name: "log-probabilities" });
  logSoftmaxKernel(gpu).run(gpu, { scores, out }, { rows, columns }, rowGroups(gpu, rows));
  return out;
}

/** The column of the largest entry of each row of `scores [M, V]`; the first of equals. `[M]` */
export function argmax(scores: Tensor, out?: Tensor<"u32">): Tensor<"u32"> {
  expectShape(scores, [null, null], "An argmax's scores [M, V]");
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  const result = out ?? Tensor.empty(gpu, [rows], { name: "argmax", dtype: "u32" });
  expectShape(result, [rows], "An argmax's result [M]");
  argmaxKernel(gpu).run(gpu, { scores, out: result }, { rows, columns }, rowGroups(gpu, rows));
  return result;
}
