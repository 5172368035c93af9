/** How neckar's differentiable operations are called for the golden table. */
import { type BagMode, uploadBags } from "../../kernels/embedding/embedding_bag.ts";
import { uploadIndices } from "../../kernels/embedding/embedding.ts";
import type { BatchNormOptions } from "../../kernels/batch_norm/batch_norm.ts";
import type { WindowOptions } from "../../kernels/conv2d/conv2d.ts";
import type { AveragePool2dOptions } from "../../kernels/pool/average_pool2d.ts";
import type { PoolOptions } from "../../kernels/pool/windows.ts";
import type { Variable } from "../../models/tape/autograd.ts";
import { crossEntropy, type CrossEntropyOptions } from "../../models/tape/cross_entropy.ts";
import * as images from "../../models/tape/image_operations.ts";
import * as operations from "../../models/tape/operations.ts";
import { concat } from "../../models/tape/variable.ts";
import { type Call, call, type Context } from "./context.ts";

/** A function of one variable. */
const unary = (run: (x: Variable) => Variable): Call =>
  call((c) => {
    const x = c.variable("x");
    return c.differentiate("y", run(x), { x });
  });

const product = (run: typeof operations.linear): Call =>
  call((c) => {
    const [x, w, b] = [c.variable("x"), c.variable("w"), c.optionalVariable("b")];
    return c.differentiate("y", run(x, w, b), { x, w, b });
  });

const concatenation = (run: typeof concat): Call =>
  call<{ widths: number[] }>((c) => {
    const names = c.p.widths.map((_, i) => `x${i}`);
    const parts = Object.fromEntries(names.map((name) => [name, c.variable(name)]));
    return c.differentiate("y", run(Object.values(parts)), parts);
  });

const cell = (run: typeof operations.rnn): Call =>
  call((c) => {
    const [x, h0] = [c.variable("x"), c.variable("h0")];
    const weights = { wx: c.variable("wx"), wh: c.variable("wh"), b: c.variable("b") };
    return c.differentiate("h", run(x, h0, weights), { x, h0, ...weights });
  });

function windowOf({ stride = 1, padding = 0, dilation = 1, groups = 1 }: WindowOptions) {
  return { stride, padding, dilation, groups };
}

/** The running statistics move while the operation runs. */
function batchNorm(c: Context<BatchNormOptions>) {
  const { training, relu = false, momentum, eps } = c.p;
  const [x, weight, bias] = [c.variable("x"), c.variable("weight"), c.variable("bias")];
  const residual = c.optionalVariable("residual");
  const running = { runningMean: c.tensor("runningMean"), runningVar: c.tensor("runningVar") };
  const options = { training, relu, momentum, eps, residual };
  const y = images.batchNorm(x, { weight, bias, ...running }, options);
  const results = c.differentiate("y", y, { x, weight, bias, residual });
  return { ...results, mean: running.runningMean, var: running.runningVar };
}

/** A loss of scores and targets. */
function scoreLoss<P>(run: (c: Context<P>, scores: Variable) => Variable): Call {
  return call<P>((c) => {
    const scores = c.variable("scores");
    return c.differentiate("loss", run(c, scores), { scores });
  });
}

/** By the table's names. */
export const OPERATION_CALLS: Record<string, Call> = {
  relu: unary((x) => x.relu()),
  tanh: unary((x) => x.tanh()),
  sigmoid: unary((x) => x.sigmoid()),
  add: call((c) => {
    const [a, b] = [c.variable("a"), c.variable("b")];
    return c.differentiate("y", a.add(b), { a, b });
  }),
  "one variable used three times": call((c) => {
    const x = c.variable("x");
    const sum = x.tanh().add(x.relu());
    return c.differentiate("y", sum.add(x), { x });
  }),
  reshape: call<{ to: number[] }>((c) => {
    const x = c.variable("x");
    return c.differentiate("y", x.reshape(c.p.to), { x });
  }),
  dropout: call<{ p: number; key: [number, number] }>((c) => {
    const x = c.variable("x");
    return c.differentiate("y", operations.dropout(x, c.p.p, c.p.key), { x });
  }),
  sumAll: call((c) => {
    const x = c.variable("x");
    return c.differentiate("sum", x.sum(), { x });
  }),
  linear: product(operations.linear),
  "linear of sequences": product(operations.linear),
  conv2d: call<WindowOptions & { relu?: boolean }>((c) => {
    const [x, w, b] = [c.variable("x"), c.variable("w"), c.optionalVariable("b")];
    const options = { ...windowOf(c.p), relu: c.p.relu ?? false };
    return c.differentiate("y", operations.conv2d(x, w, b, options), { x, w, b });
  }),
  convolutions: call<{ branches: WindowOptions[]; relu: boolean }>((c) => {
    const x = c.variable("x");
    const inputs: Record<string, Variable | undefined> = { x };
    const branches = c.p.branches.map((branch, i) => {
      const w = inputs[`w${i}`] = c.variable(`w${i}`);
      const b = inputs[`b${i}`] = c.optionalVariable(`b${i}`);
      return { w, b, ...windowOf(branch) };
    });
    const y = operations.convolutions(x, branches, { relu: c.p.relu });
    return c.differentiate("y", y, inputs);
  }),
  batchNorm: call<BatchNormOptions>(batchNorm),
  maxPool2d: call<PoolOptions>((c) => {
    const x = c.variable("x");
    const { kernel, stride = kernel, padding = 0, ceilMode = false } = c.p;
    const y = images.maxPool2d(x, { kernel, stride, padding, ceilMode });
    return c.differentiate("y", y, { x });
  }),
  averagePool2d: call<AveragePool2dOptions>((c) => {
    const x = c.variable("x");
    const { kernel, stride = kernel, padding = 0, ceilMode = false, countPadding = true } = c.p;
    const y = images.averagePool2d(x, { kernel, stride, padding, ceilMode, countPadding });
    return c.differentiate("y", y, { x });
  }),
  upsampleNearest: call<{ scale: number }>((c) => {
    const x = c.variable("x");
    return c.differentiate("y", images.upsampleNearest(x, c.p.scale), { x });
  }),
  adaptiveAveragePool2d: call<{ size: [number, number] }>((c) => {
    const x = c.variable("x");
    return c.differentiate("y", images.adaptiveAveragePool2d(x, c.p.size), { x });
  }),
  concat: concatenation(concat),
  concatChannels: concatenation(concat),
  gram: call((c) => {
    const f = c.variable("f");
    return c.differentiate("y", images.gram(f), { f });
  }),
  squaredDifference: call<{ weight?: number }>((c) => {
    const x = c.variable("x");
    const loss = images.squaredDifference(x, c.tensor("target"), c.p.weight);
    return c.differentiate("loss", loss, { x });
  }),
  totalVariation: call<{ weight?: number }>((c) => {
    const x = c.variable("x");
    return c.differentiate("loss", images.totalVariation(x, c.p.weight), { x });
  }),
  embedding: call<{ rows: number }>((c) => {
    const table = c.variable("table");
    const ids = c.keep(uploadIndices(c.gpu, c.numbers("ids"), c.p.rows));
    return c.differentiate("y", operations.embedding(table, ids), { table });
  }),
  embeddingBag: call<{ rows: number; bags: number[]; times?: number; mode: BagMode }>((c) => {
    const { rows, bags: sizes, times = 1, mode } = c.p;
    const table = c.variable("table");
    const ids = c.numbers("ids");
    let at = 0;
    const bags = Array.from({ length: times }, () => sizes).flat().map((size) =>
      ids.subarray(at, at += size)
    );
    const uploaded = c.keep(uploadBags(c.gpu, bags, rows));
    return c.differentiate("y", operations.embeddingBag(table, uploaded, mode), { table });
  }),
  maxOverTime: call((c) => {
    const x = c.variable("x");
    return c.differentiate("y", operations.maxOverTime(x, c.whole("lengths")), { x });
  }),
  rnn: cell(operations.rnn),
  "lstm on the tape": cell(operations.lstm),
  temporalSoftmaxLoss: scoreLoss<NonNullable<Parameters<typeof operations.temporalSoftmaxLoss>[2]>>(
    (c, scores) => {
      const { reduction = "batch", tokens } = c.p;
      const options = { reduction, ...tokens !== undefined && { tokens } };
      return operations.temporalSoftmaxLoss(scores, c.whole("targets"), options);
    },
  ),
  crossEntropy: scoreLoss<CrossEntropyOptions & { numbers?: boolean }>((c, scores) => {
    const { weight: weighted, numbers, ...options } = c.p;
    const targets = numbers ? c.numbers("targets") : c.whole("targets");
    const weight = weighted === undefined ? {} : { weight: c.tensor("weight") };
    return crossEntropy(scores, targets, { ...options, ...weight });
  }),
  binaryCrossEntropy: call((c) => {
    const logits = c.variable("logits");
    const loss = operations.binaryCrossEntropy(logits, c.tensor("targets"));
    return c.differentiate("loss", loss, { logits });
  }),
};
