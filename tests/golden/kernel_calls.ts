/** How neckar's kernels are called for the golden table, where no operation on a tape runs them. */
import * as elementwise from "../../kernels/elementwise.ts";
import { lookUp, uploadIndices } from "../../kernels/embedding/embedding.ts";
import { fit } from "../../kernels/fit.ts";
import { gramProduct } from "../../kernels/conv2d/gram.ts";
import {
  lstmStepBackward,
  lstmStepForward,
  rnnStepBackward,
  rnnStepForward,
} from "../../kernels/recurrent/homework.ts";
import {
  type LstmForward,
  lstmTimeMajorBackward,
  lstmTimeMajorForward,
} from "../../kernels/recurrent/lstm.ts";
import { matmul, type MatmulOptions } from "../../kernels/gemm/matmul.ts";
import {
  adamRowsStep,
  type AdamSizes,
  adamStep,
  rmspropStep,
  sgdStep,
} from "../../kernels/optimizer_steps.ts";
import {
  columnSum,
  type ColumnSumOptions,
  sum,
  type SumOptions,
} from "../../kernels/reduce/reduce.ts";
import { sigmoidCrossEntropy } from "../../kernels/softmax/sigmoid_cross_entropy.ts";
import {
  argmax,
  type CrossEntropyOptions,
  logSoftmax,
  softmaxCrossEntropy,
} from "../../kernels/softmax/softmax.ts";
import type { Tensor } from "../../kernels/runtime/tensor.ts";
import { type Call, call, type Context, type Results } from "./context.ts";

/** Options of the cases of an optimizer's step; what is missing is PyTorch's default. */
interface StepOptions extends Partial<AdamSizes> {
  lr: number;
  momentum?: number;
  alpha?: number;
  weightDecay?: number;
  maxNorm?: number;
}

function stepOf(c: Context<StepOptions>) {
  const { lr, weightDecay = 0, maxNorm = 0 } = c.p;
  const [parameters, gradient] = [c.tensor("w"), c.tensor("g")];
  const squaredNorm = c.keep(sum(gradient, { square: true }));
  return { tensors: { parameters, gradient, squaredNorm }, sizes: { lr, weightDecay, maxNorm } };
}

function adamSizes({ beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, t = 1 }: StepOptions): AdamSizes {
  return { beta1, beta2, epsilon, t };
}

function lastCell(c: Context<unknown>, { cells }: LstmForward): Tensor {
  const [slots, batch, hidden] = cells.shape;
  return c.keep(cells.view([batch, hidden], (slots - 1) * batch * hidden));
}

function withoutStep(c: Context<unknown>, name: string): Tensor {
  return c.keep(c.tensor(name).view(c.shape(name).slice(1)));
}

function cellWeights(c: Context<unknown>) {
  return { wx: c.tensor("wx"), wh: c.tensor("wh"), b: c.tensor("b") };
}

function rowLosses(c: Context<CrossEntropyOptions>, withGradient: boolean): Results {
  const options = { ...c.p, withGradient };
  const { losses, gradient } = softmaxCrossEntropy(c.tensor("scores"), c.whole("targets"), options);
  c.keep(losses);
  return gradient === undefined ? { losses } : { losses, dscores: c.keep(gradient) };
}

/** By the table's names. */
export const KERNEL_CALLS: Record<string, Call> = {
  "add scaled": call<{ scale: number }>((c) => ({
    y: c.keep(elementwise.add(c.tensor("a"), c.tensor("b"), c.p.scale)),
  })),
  accumulate: call((c) => {
    const y = c.tensor("a");
    elementwise.accumulate(y, c.tensor("b"));
    return { y };
  }),
  blend: call<{ rate: number }>((c) => {
    const y = c.tensor("a");
    elementwise.blend(y, c.tensor("b"), c.p.rate);
    return { y };
  }),
  scaleBy: call((c) => ({ y: c.keep(elementwise.scaleBy(c.tensor("x"), c.tensor("factor"))) })),
  clampInPlace: call<{ low: number; high: number }>((c) => {
    const y = c.tensor("x");
    elementwise.clampInPlace(y, c.p.low, c.p.high);
    return { y };
  }),
  fit: call<{ to: [number, number, number, number]; shift: [number, number] }>((c) => ({
    y: c.keep(fit(c.tensor("x"), c.p.to, c.p.shift)),
  })),
  sum: call<SumOptions>((c) => ({ sum: c.keep(sum(c.tensor("x"), c.p)) })),
  columnSum: call<ColumnSumOptions>((c) => ({
    y: c.keep(columnSum(c.tensor("x"), undefined, c.p)),
  })),
  matmul: call<Pick<MatmulOptions, "transA" | "transB">>((c) => {
    const { transA = false, transB = false } = c.p;
    const options = { transA, transB, bias: c.optional("bias") };
    return { y: c.keep(matmul(c.tensor("a"), c.tensor("b"), options)) };
  }),
  gramProduct: call((c) => ({ y: c.keep(gramProduct(c.tensor("f"))) })),
  lookUp: call((c) => ({ y: c.keep(lookUp(c.tensor("table"), c.whole("ids"))) })),
  lstm: call((c) => {
    const inputs = { x: c.tensor("x"), h0: c.tensor("h0"), c0: c.tensor("c0"), ...cellWeights(c) };
    const forward = c.keep(lstmTimeMajorForward(inputs));
    const gradients = c.keepAll(lstmTimeMajorBackward(c.tensor("dh"), forward, {}, c.tensor("dc")));
    return { h: forward.h, c: lastCell(c, forward), ...gradients };
  }),
  lstmStep: call((c) => {
    const states = { hPrev: c.tensor("h0"), cPrev: c.tensor("c0") };
    const inputs = { x: withoutStep(c, "x"), ...states, ...cellWeights(c) };
    const forward = c.keep(lstmStepForward(inputs));
    const gradients = c.keepAll(lstmStepBackward(c.tensor("dh"), c.tensor("dc"), forward));
    const { dhPrev: dh0, dcPrev: dc0, ...rest } = gradients;
    return { h: forward.h, c: forward.c, dh0, dc0, ...rest };
  }),
  rnnStep: call((c) => {
    const inputs = { x: withoutStep(c, "x"), hPrev: c.tensor("h0"), ...cellWeights(c) };
    const forward = c.keep(rnnStepForward(inputs));
    const { dhPrev: dh0, ...rest } = c.keepAll(rnnStepBackward(c.tensor("dh"), forward));
    return { h: forward.h, dh0, ...rest };
  }),
  softmaxCrossEntropy: call<CrossEntropyOptions>((c) => rowLosses(c, true)),
  "softmaxCrossEntropy without gradient": call<CrossEntropyOptions>((c) => rowLosses(c, false)),
  logSoftmax: call((c) => ({ y: c.keep(logSoftmax(c.tensor("scores"))) })),
  argmax: call((c) => ({ y: c.keep(argmax(c.tensor("scores"))) })),
  sigmoidCrossEntropy: call<{ scale: number }>((c) => {
    const logits = c.tensor("logits");
    const flat = c.keep(logits.view([logits.size]));
    const { loss, gradient } = sigmoidCrossEntropy(flat, c.tensor("targets"), c.p);
    return { loss: c.keep(loss), dlogits: c.keep(gradient) };
  }),
  sgdStep: call<StepOptions>((c) => {
    const { tensors, sizes } = stepOf(c);
    const velocity = c.tensor("velocity");
    sgdStep(tensors, velocity, { ...sizes, momentum: c.p.momentum ?? 0 });
    return { w: tensors.parameters, velocity };
  }),
  adamStep: call<StepOptions>((c) => {
    const { tensors, sizes } = stepOf(c);
    const moments = { mean: c.tensor("mean"), square: c.tensor("square") };
    adamStep(tensors, moments, { ...sizes, ...adamSizes(c.p) });
    return { w: tensors.parameters, ...moments };
  }),
  adamRowsStep: call<StepOptions & { rows: number }>((c) => {
    const moments = { mean: c.tensor("mean"), square: c.tensor("square") };
    const table = { parameters: c.tensor("w"), gradient: c.tensor("g"), ...moments };
    const rows = c.keep(uploadIndices(c.gpu, c.numbers("ids"), c.p.rows));
    adamRowsStep(table, rows, { lr: c.p.lr, ...adamSizes(c.p) });
    return { w: table.parameters, ...moments };
  }),
  rmspropStep: call<StepOptions>((c) => {
    const { tensors, sizes } = stepOf(c);
    const square = c.tensor("square");
    const { alpha = 0.99, epsilon = 1e-8 } = c.p;
    rmspropStep(tensors, square, { ...sizes, alpha, epsilon });
    return { w: tensors.parameters, square };
  }),
};
