/**
 * Softmax over the rows of a matrix: cross-entropy with its gradient, log-probabilities, the largest entry. NaN and
 * infinity come out as they do of PyTorch: a row with a NaN or ∞ is NaN, and -∞ is the score of what cannot be.
 */
import { activations } from "../activations.ts";
import { blockSum } from "../reduce/block_sum.ts";
import { plus } from "../reduce/tree.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { type Binding, defineKernel } from "../runtime/kernel.ts";
import { worthMirror } from "../runtime/memory/mirror.ts";
import { argmaxOfLongRows, crossEntropyOfLongRows, logSoftmaxOfLongRows } from "./softmax_parts.ts";
import { BEST, isShort, LOSS_PARAMS, rowCode, rowGroups, rowLoss, TARGET } from "./softmax_rows.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { element, load, perShape, readFrom } from "../runtime/wgsl.ts";

/** How a kernel sees the scores. */
interface RowShape {
  /** V is a multiple of four: the passes over a row are most of the work. */
  vec4: boolean;
  mirror: boolean;
}

/** WGSL of a score, or quad, of the row. */
const scoreAt = (vec4: boolean, place: string) => load("scores", vec4, `start + ${place}`);

/** The code of a kernel: {@linkcode rowCode} after the functions that it calls. */
const code = (gpu: Gpu, body: string) =>
  activations("f32") + activations("vec4f") + BEST + rowCode(gpu, body);

// The largest score is taken off before anything is added: a large score would swallow the rest. The search
// begins with a score of the row: below all others there may be none. Whether a NaN is the largest is open, and
// does not matter: its exp is NaN, and so is their sum.
const totalCode = (vec4: boolean) => {
  const t = element(vec4);
  const join = (join: (a: string, b: string) => string, v: string) =>
    vec4 ? join(join(`${v}.x`, `${v}.y`), join(`${v}.z`, `${v}.w`)) : v;
  return /* wgsl */ `
  let width = params.columns${vec4 ? " / 4u" : ""};
  let start = row * width;
  var tops = ${scoreAt(vec4, "min(first, width - 1u)")};
  for (var c = first; c < width; c += stride) {
    tops = max(tops, ${scoreAt(vec4, "c")});
  }
  let top = reduce_max(local, ${join((a, b) => `max(${a}, ${b})`, "tops")});
  ${
    blockSum(
      "totals",
      t,
      { variable: "c", first: "first", end: "width", step: "stride" },
      (add) => add(`exp_${t}(${scoreAt(vec4, "c")} - top)`),
    )
  }
  let total = reduce_sum(local, ${join((a, b) => `(${plus(a, b)})`, "totals")});`;
};

type LossShape = RowShape & { withGradient: boolean };

// loss_row = w (log Σ exp(s) - s_y), gradient w (softmax(s) - onehot(y)), with w = scale, or 0 when y is ignored.
const crossEntropyKernel = perShape((gpu, { vec4, mirror, withGradient }: LossShape) => {
  const t = element(vec4);
  const hot = vec4
    ? "select(vec4f(), vec4f(weight), vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) == vec4u(y))"
    : "select(0.0, weight, c == y)";
  const score = vec4 ? `${scoreAt(vec4, "(at >> 2u)")}[at & 3u]` : "scores[start + at]";
  const gradient = `let factor = weight / total;
  for (var c = first; c < width; c += stride) {
    gradient[start + c] = exp_${t}(${scoreAt(vec4, "c")} - top) * factor - ${hot}; // (P17)
  }`;
  return defineKernel({
    name: withGradient ? "softmax cross-entropy" : "softmax loss",
    bindings: {
      scores: readFrom(vec4, mirror),
      targets: "read u32",
      losses: "write f32",
      ...withGradient && { gradient: `write ${t}` as Binding },
    },
    params: LOSS_PARAMS,
    code: code(
      gpu,
      /* wgsl */ `${totalCode(vec4)}
  ${TARGET}
  ${withGradient ? gradient : ""}
  // (P16)
  if (local == 0u) { losses[row] = ${rowLoss(score)}; }`,
    ),
  });
});

const logSoftmaxKernel = perShape((gpu, { vec4, mirror }: RowShape) =>
  defineKernel({
    name: "log softmax",
    bindings: { scores: readFrom(vec4, mirror), out: `write ${element(vec4)}` },
    params: { rows: "u32", columns: "u32" },
    code: code(
      gpu,
      /* wgsl */ `${totalCode(vec4)}
  let log_total = log(total);
  for (var c = first; c < width; c += stride) {
    out[start + c] = (${scoreAt(vec4, "c")} - top) - log_total;
  }`,
    ),
  })
);

const argmaxKernel = perShape((gpu, _shape: null) =>
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

/** How to see scores, for so many passes; undefined where rows are too long for the kernels here. */
function rowShape(scores: Tensor, passes: number): RowShape | undefined {
  const columns = scores.shape[1];
  const vec4 = columns % 4 === 0;
  if (!isShort(scores.gpu, vec4 ? columns / 4 : columns)) return undefined;
  return { vec4, mirror: vec4 && worthMirror(scores, passes) };
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
  const tensors = { scores, targets, losses };
  const shape = rowShape(scores, withGradient ? 3 : 2);
  if (shape === undefined) crossEntropyOfLongRows(tensors, params, gradient);
  else {
    const all = { ...tensors, ...gradient && { gradient } };
    crossEntropyKernel(gpu, { ...shape, withGradient }).run(gpu, all, params, rowGroups(gpu, rows));
  }
  return { losses, ...gradient && { gradient } };
}

/** The logarithm of the softmax of each row of `scores [M, V]`. */
export function logSoftmax(scores: Tensor): Tensor {
  checkScores(scores, "A log-softmax's");
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  const out = Tensor.empty(gpu, scores.shape, { name: "log-probabilities" });
  const shape = rowShape(scores, 3);
  if (shape === undefined) logSoftmaxOfLongRows(scores, out);
  else {logSoftmaxKernel(gpu, shape).run(
      gpu,
      { scores, out },
      { rows, columns },
      rowGroups(gpu, rows),
    );}
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
  else argmaxKernel(gpu, null).run(gpu, tensors, { rows, columns }, rowGroups(gpu, rows));
  return result;
}
