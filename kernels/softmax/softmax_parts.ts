/**
 * Softmax over rows too long for the loops of one invocation: shares of a row are summed up first, then each
 * row's, and what each score becomes is a kernel of its own.
 */
import { activations } from "../activations.ts";
import { blockSum } from "../reduce/block_sum.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { BEST, LOSS_PARAMS, rowLoss, TARGET } from "./softmax_rows.ts";
import { Tensor } from "../runtime/tensor.ts";

/** The columns of a share: at least 4,096, and not many fewer than there are shares. */
function shares(columns: number): { share: number; count: number } {
  const share = Math.max(4096, Math.ceil(Math.sqrt(columns)));
  return { share, count: Math.ceil(columns / share) };
}

// Invocation i has share i % count of row i / count: its largest score, NaN left open, and the sum of exp(s - that).
const shareKernel = defineKernel({
  name: "softmax of shares",
  bindings: { scores: "read f32", parts: "write f32" },
  params: { n: "u32", columns: "u32", share: "u32", count: "u32" },
  code: /* wgsl */ `${activations("f32")}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.count * params.columns;
  let begin = i % params.count * params.share;
  let end = row + min(begin + params.share, params.columns);
  var top = scores[row + begin];
  for (var c = row + begin; c < end; c++) { top = max(top, scores[c]); }
  // A share of -∞ alone adds nothing: -∞ less itself would be NaN.
  let shift = select(top, 0.0, top < -3.4028234e38);
  ${
    blockSum(
      "total",
      "f32",
      { variable: "c", first: "(row + begin)", end: "end" },
      (add) => add("exp_f32(scores[c] - shift)"),
    )
  }
  parts[2u * i] = top;
  parts[2u * i + 1u] = total;
}`,
});

// Invocation i puts the shares of row i together: its largest score, and the sum of exp(s - that).
const rowKernel = defineKernel({
  name: "softmax of rows",
  bindings: { parts: "read f32", sums: "write f32" },
  params: { rows: "u32", count: "u32" },
  code: /* wgsl */ `${activations("f32")}${FLAT_MAIN}
  if (i >= params.rows) { return; }
  let begin = i * params.count;
  let end = begin + params.count;
  var top = parts[2u * begin];
  for (var p = begin; p < end; p++) { top = max(top, parts[2u * p]); }
  ${
    blockSum(
      "total",
      "f32",
      { variable: "p", first: "begin", end: "end" },
      (add) => add("parts[2u * p + 1u] * exp_f32(parts[2u * p] - top)"),
    )
  }
  sums[2u * i] = top;
  sums[2u * i + 1u] = total;
}`,
});

const lossKernel = defineKernel({
  name: "softmax loss of long rows",
  bindings: { scores: "read f32", targets: "read u32", sums: "read f32", losses: "write f32" },
  params: LOSS_PARAMS,
  code: /* wgsl */ `${activations("f32")}${FLAT_MAIN}
  if (i >= params.rows) { return; }
  let row = i;
  let top = sums[2u * row];
  let total = sums[2u * row + 1u];
  ${TARGET}
  losses[row] = ${rowLoss("scores[row * params.columns + at]")}; // (P16)
}`,
});

const gradientKernel = defineKernel({
  name: "softmax gradient of long rows",
  bindings: { scores: "read f32", targets: "read u32", sums: "read f32", gradient: "write f32" },
  params: LOSS_PARAMS,
  code: /* wgsl */ `${activations("f32")}${FLAT_MAIN}
  if (i >= params.rows * params.columns) { return; }
  let row = i / params.columns;
  ${TARGET}
  let p = exp_f32(scores[i] - sums[2u * row]) / sums[2u * row + 1u];
  gradient[i] = weight * (p - select(0.0, 1.0, i % params.columns == y)); // (P17)
}`,
});

const logKernel = defineKernel({
  name: "log softmax of long rows",
  bindings: { scores: "read f32", sums: "read f32", out: "write f32" },
  params: { n: "u32", columns: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.columns;
  out[i] = (scores[i] - sums[2u * row]) - log(sums[2u * row + 1u]);
}`,
});

/** For each row of `scores [M, V]` the largest score and the sum of `exp(s - that)`: `[M, 2]`. */
function rowSums(scores: Tensor): Tensor {
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  const { share, count } = shares(columns);
  const n = rows * count;
  using parts = Tensor.empty(gpu, [n, 2], { name: "sums of shares" });
  shareKernel.run(gpu, { scores, parts }, { n, columns, share, count }, flatGroups(n));
  const sums = Tensor.empty(gpu, [rows, 2], { name: "sums of rows" });
  rowKernel.run(gpu, { parts, sums }, { rows, count }, flatGroups(rows));
  return sums;
}

/** The losses of long rows, and their gradient where there is a place for it. */
export function crossEntropyOfLongRows(
  tensors: { scores: Tensor; targets: Tensor<"u32">; losses: Tensor },
  params: { [K in keyof typeof LOSS_PARAMS]: number },
  gradient?: Tensor,
): void {
  const { scores, targets } = tensors;
  using sums = rowSums(scores);
  lossKernel.run(scores.gpu, { ...tensors, sums }, params, flatGroups(params.rows));
  if (gradient === undefined) return;
  const places = { scores, targets, sums, gradient };
  gradientKernel.run(scores.gpu, places, params, flatGroups(scores.size));
}

/** The log-softmax of long rows. */
export function logSoftmaxOfLongRows(scores: Tensor, out: Tensor): void {
  using sums = rowSums(scores);
  const params = { n: scores.size, columns: scores.shape[1] };
  logKernel.run(scores.gpu, { scores, sums, out }, params, flatGroups(scores.size));
}

// Invocation i finds the best of share i % count of row i / count: its key and column.
const bestOfShareKernel = defineKernel({
  name: "argmax of shares",
  bindings: { scores: "read f32", parts: "write u32" },
  params: { n: "u32", columns: "u32", share: "u32", count: "u32" },
  code: /* wgsl */ `${activations("f32")}${BEST}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.count * params.columns;
  let begin = i % params.count * params.share;
  let end = min(begin + params.share, params.columns);
  var best = vec2u(0u, begin);
  for (var c = begin; c < end; c++) { best = better(best, vec2u(order_f32(scores[row + c]), c)); }
  parts[2u * i] = best.x;
  parts[2u * i + 1u] = best.y;
}`,
});

const bestOfRowKernel = defineKernel({
  name: "argmax of long rows",
  bindings: { parts: "read u32", out: "write u32" },
  params: { rows: "u32", count: "u32" },
  code: /* wgsl */ `${activations("f32")}${BEST}${FLAT_MAIN}
  if (i >= params.rows) { return; }
  var best = vec2u();
  for (var p = i * params.count; p < (i + 1u) * params.count; p++) {
    best = better(best, vec2u(parts[2u * p], parts[2u * p + 1u]));
  }
  out[i] = best.y;
}`,
});

/** The argmax of long rows. */
export function argmaxOfLongRows(scores: Tensor, out: Tensor<"u32">): void {
  const { gpu } = scores;
  const [rows, columns] = scores.shape;
  const { share, count } = shares(columns);
  const n = rows * count;
  using parts = Tensor.empty(gpu, [n, 2], { name: "best of shares", dtype: "u32" });
  bestOfShareKernel.run(gpu, { scores, parts }, { n, columns, share, count }, flatGroups(n));
  bestOfRowKernel.run(gpu, { parts, out }, { rows, count }, flatGroups(rows));
}
