/**
 * Softmax over the rows of a matrix: cross-entropy with its gradient, log-probabilities, the largest entry. NaN and
 * infinity come out as they do of PyTorch: a row with a NaN or ∞ is NaN, and -∞ is the score of what cannot be.
 */
import { activations, type FloatType } from "../activations.ts";
import { blockSum } from "../reduce/block_sum.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { argmaxOfLongRows, crossEntropyOfLongRows, logSoftmaxOfLongRows } from "./softmax_parts.ts";
import { BEST, isShort, LOSS_PARAMS, rowCode, rowGroups, rowLoss, TARGET } from "./softmax_rows.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";

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

/** The code of a kernel: {@linkcode rowCode} after the functions that it calls. */
const code = (gpu: Gpu, body: string) =>
  activations("f32") + activations("vec4f") + BEST + rowCode(gpu, body);

// The largest score is taken off before anything is added: a large score would swallow the rest. The search
// begins with a score of the row: below all others there may be none. Whether a NaN is the largest is open, and
// does not matter: its exp is NaN, and so is their sum.
const largest = (t: FloatType) => {
  const widest = t === "f32" ? "tops" : "max(max(tops.x, tops.y), max(tops.z, tops.w))";
  return /* wgsl */ `
  let width = params.columns${t === "f32" ? "" : " / 4u"};
  let start = row * width;
  var tops = scores[start + min(first, width - 1u)];
  for (var c = first; c < width; c += stride) { tops = max(tops, scores[start + c]); }
  let top = reduce_max(local, ${widest});`;
};

// Σ exp(s - top), each term handed to `use`.
const summed = (t: FloatType, use = "") => {
  const together = t === "f32" ? "totals" : "(totals.x + totals.y) + (totals.z + totals.w)";
  const sum = blockSum(
    "totals",
    t,
    { variable: "c", first: "first", end: "width", step: "stride" },
    (add) =>
      `let e = exp_${t}(scores[start + c] - top);
    ${use}
    ${add("e")}`,
  );
  return /* wgsl */ `
  ${sum}
  let total = reduce_sum(local, ${together});`;
};

// loss_row = w (log Σ exp(s) - s_y), gradient w (softmax(s) - onehot(y)), with w = scale, or 0 when y is ignored.
// With quads, scores and gradient are seen as vec4: the passes over a row are most of the work.
const crossEntropyKernel = perPath((gpu, quads) => {
  const t = quads ? "vec4f" : "f32";
  const hot = quads
    ? "select(vec4f(), vec4f(weight), vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) == vec4u(y))"
    : "select(0.0, weight, c == y)";
  const score = quads ? "scores[start + (at >> 2u)][at & 3u]" : "scores[start + at]";
  return defineKernel({
    name: "softmax cross-entropy",
    bindings: {
      scores: `read ${t}`,
      targets: "read u32",
      losses: "write f32",
      gradient: `write ${t}`,
    },
    params: LOSS_PARAMS,
    code: code(
      gpu,
      /* wgsl */ `${largest(t)}
  ${summed(t, "gradient[start + c] = e;")}
  ${TARGET}
  let factor = weight / total;
  for (var c = first; c < width; c += stride) {
    gradient[start + c] = gradient[start + c] * factor - ${hot}; // (P17)
  }
  // (P16)
  if (local == 0u) { losses[row] = ${rowLoss(score)}; }`,
    ),
  });
});

// The same loss without its gradient.
const lossKernel = perPath((gpu) =>
  defineKernel({
    name: "softmax loss",
    bindings: { scores: "read f32", targets: "read u32", losses: "write f32" },
    params: LOSS_PARAMS,
    code: code(
      gpu,
      /* wgsl */ `${largest("f32")}
  ${summed("f32")}
  ${TARGET}
  if (local == 0u) { losses[row] = ${rowLoss("scores[start + at]")}; }`,
    ),
  })
);

const logSoftmaxKernel = perPath((gpu) =>
  defineKernel({
    name: "log softmax",
    bindings: { scores: "read f32", out: "write f32" },
    params: { rows: "u32", columns: "u32" },
    code: code(
      gpu,
      /* wgsl */ `${largest("f32")}
  ${summed("f32")}
  let log_total = log(total);
  for (var c = first; c < width; c += stride) {
    out[start + c] = (scores[start + c] - top) - log_total;
  }`,
    ),
  })
);

const argmaxKernel = perPath((gpu) =>
  defineKernel({
    name: "argmax",
    bindings: { scores: "read f32", out: "write u32" },
    params: { rows: "u32", columns: "u32" },
    code: code(
      gpu,
      /* wgsl */ `
  var best = vec2u(0u, params.columns);
  for (var c = first; c < params.columns; c += stride) {
    best = better(best, vec2u(order_f32(scores[row * params.columns + c]), c));
  }
  best = reduce_best(local, best);
  if (local == 0u) { out[row] = best.y; }`,
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

/** TypeError unless the scores are a matrix with columns. */
function checkScores(scores: Tensor, what: string): void {
  expectShape(scores, [null, null], `${what} scores [M, V]`);
  if (scores.shape[1] > 0) return;
  throw new TypeError(
    `${what} scores need a column, and "${scores.name}" has the shape [${scores.shape.join(", ")}]`,
  );
}

/**
 * Softmax cross-entropy of each row of `scores [M, V]` with the class in `targets [M]`, and its
 * gradient: one dispatch, or four for very long rows. Safe for large scores. A target from V on makes the row's
 * loss and gradient NaN, unless it is the ignored one.
 *
 * Errors: TypeError for shapes that do not fit; RangeError for an ignored class that no target can have.
 */
export function softmaxCrossEntropy(
  scores: Tensor,
  targets: Tensor<"u32">,
  options: CrossEntropyOptions = {},
): CrossEntropy {
  checkScores(scores, "A cross-entropy's");
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  expectShape(targets, [rows], "A cross-entropy's targets [M]");
  const { ignore, scale = 1, withGradient = true } = options;
  if (ignore !== undefined && !(Number.isInteger(ignore) && ignore >= 0 && ignore < 2 ** 32)) {
    throw new RangeError(`The ignored class is a whole number from 0, and ${ignore} was given`);
  }
  const losses = Tensor.empty(gpu, [rows], { name: "row losses" });
  const gradient = withGradient
    ? Tensor.empty(gpu, scores.shape, { name: "score gradient" })
    : undefined;
  const ignores = ignore === undefined ? 0 : 1;
  const params = { rows, columns, ignores, ignore: ignore ?? 0, scale };
  const quads = withGradient && columns % 4 === 0;
  const tensors = { scores, targets, losses };
  const groups = rowGroups(gpu, rows);
  if (!isShort(gpu, quads ? columns / 4 : columns)) {
    crossEntropyOfLongRows(tensors, params, gradient);
  } else if (gradient === undefined) {
    lossKernel(gpu).run(gpu, tensors, params, groups);
  } else {
    crossEntropyKernel(gpu, quads).run(gpu, { ...tensors, gradient }, params, groups);
  }
  return { losses, ...gradient && { gradient } };
}

/** The logarithm of the softmax of each row of `scores [M, V]`. */
export function logSoftmax(scores: Tensor): Tensor {
  checkScores(scores, "A log-softmax's");
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  const out = Tensor.empty(gpu, scores.shape, { name: "log-probabilities" });
  if (!isShort(gpu, columns)) logSoftmaxOfLongRows(scores, out);
  else logSoftmaxKernel(gpu).run(gpu, { scores, out }, { rows, columns }, rowGroups(gpu, rows));
  return out;
}

/** The column of the largest entry of each row of `scores [M, V]`; the first of equals, or of NaNs. `[M]` */
export function argmax(scores: Tensor, out?: Tensor<"u32">): Tensor<"u32"> {
  checkScores(scores, "An argmax's");
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  const result = out ?? Tensor.empty(gpu, [rows], { name: "argmax", dtype: "u32" });
  expectShape(result, [rows], "An argmax's result [M]");
  const tensors = { scores, out: result };
  if (!isShort(gpu, columns)) argmaxOfLongRows(scores, result);
  else argmaxKernel(gpu).run(gpu, tensors, { rows, columns }, rowGroups(gpu, rows));
  return result;
}
