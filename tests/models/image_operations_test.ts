/** The operations on pictures and maps on a tape, and their gradients against differences of the twins. */
import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, tapeOf, type Variable } from "../../models/tape/autograd.ts";
import { crossEntropy } from "../../models/tape/cross_entropy.ts";
import * as images from "../../models/tape/image_operations.ts";
import * as operations from "../../models/tape/operations.ts";
import { batchNormForward } from "../../kernels/reference/batch_norm.ts";
import { conv2dForward } from "../../kernels/reference/conv2d.ts";
import { numericGradient } from "../../kernels/reference/gradient.ts";
import * as losses from "../../kernels/reference/image_losses.ts";
import { dot } from "../../kernels/reference/linear_algebra.ts";
import { averagePoolForward, maxPoolForward } from "../../kernels/reference/pool2d.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { countDispatches, normals } from "../kernels/values.ts";
import { relativeError } from "../support.ts";
import { concat } from "../../models/tape/variable.ts";

interface Case {
  name: string;
  /** Shapes of the inputs. */
  shapes: number[][];
  run: (inputs: Variable[]) => Variable;
  twin: (inputs: Float64Array[]) => Float64Array;
}

const MAP = [2, 3, 5, 4];
const SIZES = { batch: 2, height: 3, width: 5, channels: 4 };
const MEAN = Float64Array.of(0.5, -0.25, 1, 0);
const VARIANCE = Float64Array.of(1, 2, 0.5, 0.25);
const BOTH = [true, false];

function batchNormCase(training: boolean, relu: boolean, residual: boolean): Case {
  const options = { training, relu, eps: 1e-3, momentum: 0.2 };
  return {
    name: `batchNorm ${JSON.stringify({ training, relu, residual })}`,
    shapes: [MAP, [4], [4], ...residual ? [MAP] : []],
    run: ([x, weight, bias, added]) => {
      const runningMean = tapeOf(x).keep(Tensor.from(tapeOf(x).gpu, MEAN));
      const runningVar = tapeOf(x).keep(Tensor.from(tapeOf(x).gpu, VARIANCE));
      const channels = { weight, bias, runningMean, runningVar };
      return images.batchNorm(x, channels, { ...options, residual: added });
    },
    twin: ([x, weight, bias, added]) => {
      const inputs = { x, weight, bias, residual: added, runningMean: MEAN, runningVar: VARIANCE };
      return batchNormForward(inputs, { rows: 30, channels: 4, ...options }).y;
    },
  };
}

const CASES: Case[] = [
  ...BOTH.flatMap((training) =>
    BOTH.flatMap((relu) => BOTH.map((residual) => batchNormCase(training, relu, residual)))
  ),
  {
    name: "maxPool2d",
    shapes: [MAP],
    run: ([x]) => images.maxPool2d(x, { kernel: 3, stride: 2, padding: 1, ceilMode: true }),
    twin: ([x]) =>
      maxPoolForward(x, { ...SIZES, kernel: 3, stride: 2, padding: 1, ceilMode: true }).y,
  },
  {
    name: "adaptiveAveragePool2d",
    shapes: [MAP],
    run: ([x]) => images.adaptiveAveragePool2d(x, [2, 3]),
    twin: ([x]) => averagePoolForward(x, { ...SIZES, size: [2, 3] }).y,
  },
  {
    name: "adaptiveAveragePool2d of whole maps",
    shapes: [MAP],
    run: ([x]) => images.adaptiveAveragePool2d(x),
    twin: ([x]) => averagePoolForward(x, { ...SIZES, size: [1, 1] }).y,
  },
  ...BOTH.map((countPadding): Case => {
    const options = { kernel: 3, stride: 2, padding: 1, ceilMode: true, countPadding };
    return {
      name: `averagePool2d with countPadding ${countPadding}`,
      shapes: [[2, 4, 5, 3]],
      run: ([x]) => images.averagePool2d(x, options),
      twin: ([x]) =>
        averagePoolForward(x, { batch: 2, height: 4, width: 5, channels: 3, ...options }).y,
    };
  }),
  {
    name: "upsampleNearest",
    shapes: [[2, 3, 2, 5]],
    run: ([x]) => images.upsampleNearest(x, 3),
    twin: ([x]) =>
      Float64Array.from({ length: 9 * x.length }, (_, i) => {
        const [channel, column, line] = [i % 5, Math.floor(i / 5) % 6, Math.floor(i / 30)];
        const [n, row] = [Math.floor(line / 9), line % 9];
        return x[((n * 3 + Math.floor(row / 3)) * 2 + Math.floor(column / 3)) * 5 + channel];
      }),
  },
  ...[[2, 3, 2, 2, 1], [6, 4, 2, 1, 2], [4, 4, 1, 2, 4], [3, 6, 2, 3, 3]].map((sizes): Case => {
    const [inChannels, outChannels, stride, dilation, groups] = sizes;
    const options = { stride, dilation, groups, padding: 3 };
    const window = { kernelHeight: 3, kernelWidth: 2, ...options };
    const shape = { batch: 2, height: 5, width: 4, inChannels, outChannels, ...window };
    return {
      name: `conv2d ${JSON.stringify(options)}`,
      shapes: [[2, 5, 4, inChannels], [3, 2, inChannels / groups, outChannels], [outChannels]],
      run: ([x, w, b]) => operations.conv2d(x, w, b, options),
      twin: ([x, w, b]) => conv2dForward(x, w, b, shape),
    };
  }),
  {
    name: "concatChannels",
    shapes: [[1, 2, 2, 3], [1, 2, 2, 1]],
    run: (parts) => concat(parts),
    twin: ([a, b]) =>
      Float64Array.from([0, 1, 2, 3].flatMap((p) => [...a.slice(3 * p, 3 * p + 3), b[p]])),
  },
  {
    name: "gram",
    shapes: [[1, 3, 2, 5]],
    run: ([f]) => images.gram(f),
    twin: ([f]) => losses.gramForward(f, 6, 5),
  },
  {
    name: "squaredDifference",
    shapes: [[3, 3]],
    run: ([x]) =>
      images.squaredDifference(x, tapeOf(x).keep(Tensor.zeros(tapeOf(x).gpu, [3, 3])), 0.3),
    twin: ([x]) => Float64Array.of(losses.squaredDifference(x, new Float64Array(9), 0.3).loss),
  },
  {
    name: "totalVariation",
    shapes: [[1, 4, 5, 3]],
    run: ([x]) => images.totalVariation(x, 0.05),
    twin: ([x]) => Float64Array.of(losses.totalVariation(x, [1, 4, 5, 3], 0.05).loss),
  },
  {
    name: "crossEntropy",
    shapes: [[3, 5]],
    run: ([logits]) => {
      const targets = tapeOf(logits).keep(
        Tensor.from(tapeOf(logits).gpu, [4, 0, 2], [3], { dtype: "u32" }),
      );
      return crossEntropy(logits, targets);
    },
    twin: ([z]) => Float64Array.of(meanCrossEntropy(z, [4, 0, 2], 5)),
  },
];

/** The mean of log Σ exp(z) - z_y over the rows of `z [N, K]`. */
function meanCrossEntropy(z: Float64Array, targets: number[], classes: number): number {
  const rows = targets.map((y, n) => {
    const row = z.subarray(n * classes, (n + 1) * classes);
    return Math.log(row.reduce((sum, v) => sum + Math.exp(v), 0)) - row[y];
  });
  return rows.reduce((a, b) => a + b) / rows.length;
}

for (const { name, shapes, run, twin } of CASES) {
  gpuTest(`${name} and its gradients agree with the twin`, async (gpu) => {
    const values = shapes.map((shape, i) => normals(`${name} ${i}`, shape.reduce((a, b) => a * b)));
    using tape = new Tape(gpu);
    const inputs = shapes.map((shape, i) =>
      tape.variable(tape.keep(Tensor.from(gpu, values[i], shape)))
    );
    const y = run(inputs);
    const expected = twin(values);
    assertLess(relativeError(await y.tensor.read(), expected), 1e-5);

    // The loss is a sum of the results with a weight for each.
    const weights = normals(`${name} weights`, expected.length);
    const column = tape.keep(Tensor.from(gpu, weights, [weights.length, 1]));
    const row = y.reshape([1, weights.length]);
    tape.backward(operations.linear(row, constant(column)));
    for (const [i, input] of inputs.entries()) {
      assertEquals([...input.grad!.shape], shapes[i]);
      const differences = numericGradient(() => dot(weights, twin(values)), values[i]);
      const error = relativeError(await input.grad!.read(), differences);
      assertLess(error, 1e-5, `the gradient of input ${i}: ${error}`);
    }
  });
}

gpuTest("a loss alone passes its gradient on, and without training computes none", async (gpu) => {
  const values = normals("picture", 60);
  using data = Tensor.from(gpu, values, [1, 4, 5, 3]);
  using target = Tensor.zeros(gpu, [1, 4, 5, 3]);
  const cases = [
    {
      run: (x: Variable) => images.totalVariation(x, 0.05),
      expected: losses.totalVariation(values, [1, 4, 5, 3], 0.05),
    },
    {
      run: (x: Variable) => images.squaredDifference(x, target),
      expected: losses.squaredDifference(values, new Float64Array(60), 1),
    },
  ];
  for (const { run, expected } of cases) {
    using tape = new Tape(gpu);
    const x = tape.variable(data);
    const loss = run(x);
    const { dispatches } = countDispatches(gpu, () => tape.backward(loss));
    assertEquals([dispatches, [...x.grad!.shape]], [0, [1, 4, 5, 3]]);
    assertLess(relativeError(await x.grad!.read(), expected.gradient), 1e-6);

    using evaluation = new Tape(gpu, { training: false });
    const before = gpu.pool.liveBuffers;
    const value = run(evaluation.variable(data));
    assertEquals(gpu.pool.liveBuffers, before + 1); // the loss, and no gradient
    assertAlmostEquals((await value.tensor.read())[0], expected.loss, 1e-5 * expected.loss);
  }
});

gpuTest(
  "a sum of losses passes their gradients on, a loss in it twice or halved does not",
  async (gpu) => {
    const values = normals("picture", 60);
    using data = Tensor.from(gpu, values, [1, 4, 5, 3]);
    using target = Tensor.zeros(gpu, [1, 4, 5, 3]);
    const difference = losses.squaredDifference(values, new Float64Array(60), 1).gradient;
    const variation = losses.totalVariation(values, [1, 4, 5, 3], 0.05).gradient;
    const cases: [string, (a: Variable, b: Variable) => Variable, number, number, number][] = [
      ["a + b", (a, b) => a.add(b), 1, 1, 1],
      ["a + b + a", (a, b) => a.add(b).add(a), 2, 1, 3],
      ["a + b / 2", (a, b) => a.add(b.div(2)), 1, 0.5, 3],
    ];
    for (const [name, combine, ofA, ofB, expected] of cases) {
      using tape = new Tape(gpu);
      const x = tape.variable(data);
      const loss = combine(images.squaredDifference(x, target), images.totalVariation(x, 0.05));
      const { dispatches } = countDispatches(gpu, () => tape.backward(loss));
      const gradient = difference.map((a, i) => ofA * a + ofB * variation[i]);
      assertLess(relativeError(await x.grad!.read(), gradient), 1e-6, name);
      assertEquals(dispatches, expected, name);
    }
  },
);

gpuTest("a frozen batch norm costs no more than the gradient behind it", (gpu) => {
  using data = Tensor.from(gpu, normals("x", 120), MAP);
  using weights = Tensor.from(gpu, [1, 2, 3, 4]);
  using runningMean = Tensor.from(gpu, MEAN);
  using runningVar = Tensor.from(gpu, VARIANCE);
  for (const [training, forward, backward] of [[true, 3, 4], [false, 1, 1]] as const) {
    for (const learned of BOTH) {
      using tape = new Tape(gpu);
      const x = learned ? tape.variable(data) : constant(data);
      const [weight, bias] = [constant(weights), constant(weights)];
      const channels = { weight, bias, runningMean, runningVar };
      const options = { training, relu: true, residual: x };
      const run = countDispatches(gpu, () => images.batchNorm(x, channels, options));
      assertEquals([run.dispatches, run.result.requiresGrad], [forward, learned]);
      if (!learned) continue;
      const loss = images.squaredDifference(run.result, data);
      const back = countDispatches(gpu, () => tape.backward(loss));
      // One more adds up the two ways into x.
      assertEquals([back.dispatches, weight.grad, bias.grad], [backward + 1, undefined, undefined]);
    }
  }
});

gpuTestBothPaths(
  "a label that is no class makes the loss and its row's gradient NaN",
  async (gpu) => {
    using data = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3]);
    for (const label of [3, 0xffffffff]) {
      using targets = Tensor.from(gpu, [2, label], [2], { dtype: "u32" });
      using tape = new Tape(gpu);
      const logits = tape.variable(data);
      const loss = crossEntropy(logits, targets);
      assertEquals(await loss.tensor.read(), Float32Array.of(NaN));
      tape.backward(loss);
      const nan = Array.from(await logits.grad!.read(), Number.isNaN);
      assertEquals(nan, [false, false, false, true, true, true]);
    }
  },
);

gpuTest("upsampleNearest takes whole scales of maps alone", async (gpu) => {
  using map = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [1, 1, 3, 2]);
  using tape = new Tape(gpu);
  const x = tape.variable(map);
  const y = images.upsampleNearest(x, 2);
  const line = [1, 2, 1, 2, 3, 4, 3, 4, 5, 6, 5, 6];
  assertEquals([y.shape, [...await y.tensor.read()]], [[1, 2, 6, 2], [...line, ...line]]);
  assertEquals(await images.upsampleNearest(x, 1).tensor.read(), await map.read());
  for (const scale of [0, -2, 1.5, NaN]) {
    const wrong = `An upsampling's scale is a whole number from 1, and ${scale} was given`;
    assertThrows(() => images.upsampleNearest(x, scale), RangeError, wrong);
  }
  const axes = "An upsampling's x [N, H, W, C]";
  assertThrows(() => images.upsampleNearest(x.reshape([6]), 2), TypeError, axes);
});

gpuTest("the operations on maps refuse what does not fit, and leave nothing behind", (gpu) => {
  using map = Tensor.zeros(gpu, [1, 2, 3, 4]);
  using other = Tensor.zeros(gpu, [1, 3, 2, 4], { name: "other" });
  using three = Tensor.zeros(gpu, [3], { dtype: "u32", name: "three" });
  using tape = new Tape(gpu);
  const m = tape.variable(map);
  assertThrows(() => images.squaredDifference(m, other), TypeError, `"other"`);
  assertThrows(() => crossEntropy(m, three), TypeError, `"three" has [3]`);
  const logits = m.reshape([6, 4]);
  assertThrows(() => crossEntropy(logits, three), TypeError, `"three" has [3]`);
  using none = Tensor.zeros(gpu, [0, 4]);
  using nothing = Tensor.zeros(gpu, [0], { dtype: "u32" });
  const empty = "A cross-entropy is a mean over at least one example, and there is none";
  assertThrows(() => crossEntropy(tape.variable(none), nothing), TypeError, empty);
});
