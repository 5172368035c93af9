/** Softmax cross-entropy of scores with classes. */
import { pointwise } from "../../kernels/pointwise/pointwise.ts";
import { sum } from "../../kernels/reduce/reduce.ts";
import { softmaxCrossEntropy } from "../../kernels/softmax/softmax.ts";
import { targetWeights } from "../../kernels/softmax/target_weights.ts";
import { expectShape, sizeOf, Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, type Tape, tapeOf, type Variable } from "./autograd.ts";
import { meanShare, recordLoss } from "./fused_losses.ts";
import { where } from "./variable.ts";

/** Options of {@linkcode crossEntropy}. */
export interface CrossEntropyOptions {
  /** How much each class counts, `[C]`; 1 by default. */
  weight?: Tensor | ArrayLike<number>;
  /** This share of a target is spread over all classes; 0 by default. */
  labelSmoothing?: number;
  /** Targets of this number, which need not be a class, count nothing; none by default. */
  ignore?: number;
  /**
   * The mean over what counts, by its weights (the default), the sum, or the loss of each target, in the shape of the
   * scores without the last axis.
   */
  reduction?: "mean" | "sum" | "none";
}

/** How scores are seen by the kernels. */
interface Rows {
  /** `[M, C]` */
  scores: Tensor;
  /** `[M]` */
  targets: Tensor<"u32">;
}

/** The scores `[..., C]` and the targets `[...]` as those of rows; views of the tape. */
function rowsOf({ tensor }: Variable, targets: Tensor<"u32">, tape: Tape): Rows {
  const lead = tensor.shape.slice(0, -1);
  const count = sizeOf(lead);
  return {
    scores: tape.keep(tensor.view([count, tensor.shape.at(-1)!])),
    targets: tape.keep(targets.view([count])),
  };
}

/** `scale` times the losses of all rows, added up: one kernel and a sum. */
function fusedSum(
  scores: Variable,
  rows: Rows,
  options: { ignore?: number | undefined; scale: number },
): Variable {
  return recordLoss(scores, ({ withGradient }) => {
    const { losses, gradient } = softmaxCrossEntropy(rows.scores, rows.targets, {
      ...options,
      withGradient,
    });
    const loss = sum(losses, { name: "loss" });
    losses.dispose();
    if (gradient === undefined) return { loss };
    const shaped = gradient.view(scores.shape);
    gradient.dispose();
    return { loss, gradient: shaped };
  });
}

/** The loss of each row, `[M]`. */
function fusedRows(scores: Variable, rows: Rows, ignore: number | undefined): Variable {
  const tape = tapeOf(scores);
  const withGradient = tape.training && scores.requiresGrad;
  const { losses, gradient } = softmaxCrossEntropy(rows.scores, rows.targets, {
    ignore,
    withGradient,
  });
  if (gradient !== undefined) tape.keep(gradient);
  return tape.record(losses, [scores], (dy) => {
    tape.gradient(scores, (out) => {
      using factors = dy.view([dy.size, 1]);
      using flat = out.view(rows.scores.shape);
      pointwise("mul", [gradient!, factors], flat);
    });
  });
}

/** The targets on the GPU, and how many of them count where that is known here. */
function uploaded(
  targets: ArrayLike<number>,
  lead: readonly number[],
  classes: number,
  ignore: number | undefined,
  tape: Tape,
): { targets: Tensor<"u32">; count: number } {
  const rows = sizeOf(lead);
  if (targets.length !== rows) {
    throw new TypeError(`There are ${targets.length} targets for ${rows} rows of scores`);
  }
  let count = 0;
  for (let i = 0; i < rows; i++) {
    if (targets[i] === ignore) continue;
    count++;
    if (Number.isInteger(targets[i]) && targets[i] >= 0 && targets[i] < classes) continue;
    throw new RangeError(
      `A target must be a class from 0 to ${classes - 1}: that of row ${i} is ${targets[i]}`,
    );
  }
  const options = { name: "targets", dtype: "u32" } as const;
  const tensor = Tensor.from(tape.gpu, Uint32Array.from(targets), lead, options);
  return { targets: tape.keep(tensor), count };
}

/** The weights of classes on the GPU. TypeError for too few or too many. */
function classWeights(weight: Tensor | ArrayLike<number>, classes: number, tape: Tape): Tensor {
  const count = weight instanceof Tensor ? weight.size : weight.length;
  if (count !== classes) throw new TypeError(`There are ${count} weights for ${classes} classes`);
  if (weight instanceof Tensor) return weight;
  return tape.keep(Tensor.from(tape.gpu, weight, [classes], { name: "class weights" }));
}

/**
 * Softmax cross-entropy of `scores [..., C]` with a class from 0 to C - 1 for each row, averaged over the rows: one
 * number, as PyTorch's `cross_entropy`. `targets` are a tensor `[...]`, or as many numbers. No class is ignored unless
 * asked for. Without weights and label smoothing the loss and its gradient are one kernel's.
 *
 * Errors: RangeError for a target that is no class (in a tensor on the GPU it makes the loss NaN), for a label smoothing
 * that is no share, and for an ignored number that is not whole; TypeError where targets or weights do not fit the
 * scores, and for a mean where no row counts (which is NaN where only the GPU knows).
 */
export function crossEntropy(
  scores: Variable,
  targets: Tensor<"u32"> | ArrayLike<number>,
  { weight, labelSmoothing = 0, ignore, reduction = "mean" }: CrossEntropyOptions = {},
): Variable {
  if (!(labelSmoothing >= 0 && labelSmoothing < 1)) {
    throw new RangeError(
      `A label smoothing is from 0 to less than 1, and ${labelSmoothing} was given`,
    );
  }
  if (
    ignore !== undefined && !(Number.isInteger(ignore) && ignore >= -(2 ** 31) && ignore < 2 ** 32)
  ) {
    throw new RangeError(`The ignored number is a whole one, and ${ignore} was given`);
  }
  const tape = tapeOf(scores);
  const [lead, classes] = [scores.shape.slice(0, -1), scores.shape.at(-1)!];
  const all = sizeOf(lead);
  if (targets instanceof Tensor) expectShape(targets, lead, "A cross-entropy's targets [...]");
  const given = targets instanceof Tensor
    ? { targets, count: ignore === undefined ? all : undefined }
    : uploaded(targets, lead, classes, ignore, tape);
  const share = reduction === "mean" ? meanShare(given.count ?? all, "A cross-entropy") : 1;
  const rows = rowsOf(scores, given.targets, tape);
  const left = ignore === undefined ? undefined : ignore >>> 0; // as it is on the GPU
  const plain = weight === undefined && labelSmoothing === 0;
  const known = reduction === "sum" || given.count !== undefined;
  if (plain && reduction !== "none" && known) {
    return fusedSum(scores, rows, { ignore: left, scale: share });
  }
  const each = weight === undefined ? undefined : classWeights(weight, classes, tape);
  const counts = constant(
    tape.keep(targetWeights(rows.targets, classes, { weight: each, ignore: left })),
  );
  if (plain && reduction === "mean") {
    return fusedSum(scores, rows, { ignore: left, scale: 1 }).div(counts.sum());
  }
  let losses = fusedRows(scores, rows, left);
  if (each !== undefined) losses = losses.mul(counts);
  if (labelSmoothing > 0) {
    const logs = scores.reshape([all, classes]).logSoftmax(-1);
    const spread = (each === undefined ? logs : logs.mul(each)).sum(-1).mul(
      -labelSmoothing / classes,
    );
    const counted = left === undefined ? spread : where(
      tape.keep(targetWeights(rows.targets, classes, { ignore: left })),
      spread,
      0,
    );
    losses = losses.mul(1 - labelSmoothing).add(counted);
  }
  if (reduction === "none") return losses.reshape(lead);
  return reduction === "sum" ? losses.sum() : losses.sum().div(counts.sum());
}

/**
 * Softmax cross-entropy over all steps, as the homework has it: `scores [T, N, V]`, `targets [T, N]`, one number: the
 * sum over time of -log p(target), `<NULL>` targets left out, averaged over the batch. A target that is no word makes
 * the loss NaN.
 */
export function temporalSoftmaxLoss(
  scores: Variable,
  targets: Tensor<"u32">,
  options: {
    /** Targets with this index count nothing; `<NULL>`, which is 0, by default. */
    ignore?: number;
    /** Divide the sum by the examples N (the homework's way, the default), or by the tokens that count. */
    reduction?: "batch" | "tokens";
    /** Only with `tokens`: how many targets count, which the caller knows from the data. */
    tokens?: number;
  } = {},
): Variable {
  expectShape(scores.tensor, [null, null, null], "A temporal softmax loss' scores [T, N, V]");
  const [steps, batch] = scores.shape;
  expectShape(targets, [steps, batch], "A temporal softmax loss' targets [T, N]");
  const { ignore = 0, reduction = "batch", tokens } = options;
  if (reduction === "batch" && tokens !== undefined) {
    throw new TypeError(`The reduction "batch" takes no number of tokens, and ${tokens} was given`);
  }
  if (reduction === "tokens" && !(tokens !== undefined && tokens > 0)) {
    throw new RangeError(
      `The reduction "tokens" needs the number of tokens that count, and ${tokens} was given`,
    );
  }
  const scale = meanShare(reduction === "batch" ? batch : tokens!, "A temporal softmax loss");
  return fusedSum(scores, rowsOf(scores, targets, tapeOf(scores)), { ignore, scale });
}
