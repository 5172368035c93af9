/** Each differentiable operation against its float64 twin, and its gradients against differences. */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { threefry2x32 } from "../../data/rng.ts";
import { uploadIndices } from "../../kernels/embedding/embedding.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, tapeOf, type Variable } from "../../models/tape/autograd.ts";
import * as operations from "../../models/tape/operations.ts";
import { swapAxes } from "../kernels/values.ts";
import { numericGradient } from "../../kernels/reference/gradient.ts";
import { addBias, dot, matmul, sigmoid } from "../../kernels/reference/linear_algebra.ts";
import { lstmForward } from "../../kernels/reference/lstm.ts";
import { rnnForward } from "../../kernels/reference/rnn.ts";
import { embeddingForward, temporalSoftmaxLoss } from "../../kernels/reference/softmax.ts";
import { gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { normals } from "./small_captioner.ts";

type Arrays = Float64Array[];

interface Case {
  name: string;
  /** Shapes of the inputs. */
  shapes: number[][];
  run: (inputs: Variable[]) => Variable;
  twin: (inputs: Arrays) => Float64Array;
}

const [T, N, D, H] = [3, 2, 5, 3];
const RECURRENT = { steps: T, batch: N, inputDim: D, hiddenDim: H };
const WORDS = [4, 1, 1, 0, 1, 4, 2];
const KEY = [123456789, 987654321] as const;

/** The twins are batch-major: exchange the axes of what goes in, and back of what comes out. */
function timeMajor(forward: (x: Float64Array) => Float64Array, x: Float64Array): Float64Array {
  return swapAxes(forward(swapAxes(x, [T, N, D])), [N, T, H]);
}

const CASES: Case[] = [
  {
    name: "linear",
    shapes: [[4, 5], [5, 3], [3]],
    run: ([x, w, b]) => operations.linear(x, w, b),
    twin: ([x, w, b]) => addBias(matmul(x, w, 4, 5, 3), b, 4, 3),
  },
  {
    name: "linear without a bias",
    shapes: [[4, 5], [5, 3]],
    run: ([x, w]) => operations.linear(x, w),
    twin: ([x, w]) => matmul(x, w, 4, 5, 3),
  },
  {
    name: "linear at every step",
    shapes: [[T, N, D], [D, 3], [3]],
    run: ([x, w, b]) => operations.linear(x, w, b),
    twin: ([x, w, b]) => addBias(matmul(x, w, T * N, D, 3), b, T * N, 3),
  },
  {
    name: "reshape",
    shapes: [[4, 3]],
    run: ([x]) => x.reshape([2, 6]),
    twin: ([x]) => x,
  },
  {
    name: "embedding",
    shapes: [[5, 3]],
    run: ([table]) => {
      return operations.embedding(
        table,
        tapeOf(table).keep(uploadIndices(tapeOf(table).gpu, WORDS, 5)),
      );
    },
    twin: ([table]) => embeddingForward(WORDS, table, { vocabulary: 5, dim: 3 }),
  },
  {
    name: "rnn",
    shapes: [[T, N, D], [N, H], [D, H], [H, H], [H]],
    run: ([x, h0, wx, wh, b]) => operations.rnn(x, h0, { wx, wh, b }),
    twin: ([x, h0, wx, wh, b]) => timeMajor((v) => rnnForward(v, h0, wx, wh, b, RECURRENT), x),
  },
  {
    name: "lstm",
    shapes: [[T, N, D], [N, H], [D, 4 * H], [H, 4 * H], [4 * H]],
    run: ([x, h0, wx, wh, b]) => operations.lstm(x, h0, { wx, wh, b }),
    twin: ([x, h0, wx, wh, b]) => timeMajor((v) => lstmForward(v, h0, wx, wh, b, RECURRENT).h, x),
  },
  {
    name: "sumAll",
    shapes: [[3, 5]],
    run: ([x]) => x.sum(),
    twin: ([x]) => Float64Array.of(x.reduce((a, b) => a + b, 0)),
  },
  {
    name: "add",
    shapes: [[3, 5], [3, 5]],
    run: ([a, b]) => a.add(b),
    twin: ([a, b]) => a.map((v, i) => v + b[i]),
  },
  {
    name: "relu",
    shapes: [[3, 5]],
    run: ([x]) => x.relu(),
    twin: ([x]) => x.map((v) => Math.max(0, v)),
  },
  {
    name: "tanh",
    shapes: [[3, 5]],
    run: ([x]) => x.tanh(),
    twin: ([x]) => x.map(Math.tanh),
  },
  {
    name: "sigmoid",
    shapes: [[3, 5]],
    run: ([x]) => x.sigmoid(),
    twin: ([x]) => x.map(sigmoid),
  },
  {
    name: "dropout",
    shapes: [[9, 7]],
    run: ([x]) => operations.dropout(x, 0.4, KEY),
    twin: ([x]) =>
      x.map((v, i) => threefry2x32(...KEY, i, 0)[0] >= Math.floor(0.4 * 2 ** 32) ? v / 0.6 : 0),
  },
];

for (const { name, shapes, run, twin } of CASES) {
  gpuTest(`${name} and its gradients agree with the twin`, async (gpu) => {
    const values = shapes.map((shape, i) => {
      return Float64Array.from(normals(`${name} ${i}`, shape.reduce((a, b) => a * b, 1)));
    });
    using tape = new Tape(gpu);
    const inputs = shapes.map((shape, i) =>
      tape.variable(tape.keep(Tensor.from(gpu, values[i], shape)))
    );
    const y = run(inputs);
    const expected = twin(values);
    assertLess(relativeError(await y.tensor.read(), expected), 1e-5);

    // The loss is a sum of the results with a weight for each.
    const weights = Float64Array.from(normals(`${name} weights`, expected.length));
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

const SCORES = { batch: 2, steps: 3, vocabulary: 5 };
const TARGETS = [4, 0, 1, 2, 0, 3]; // [N, T]
const TIME_MAJOR = [4, 2, 0, 0, 1, 3]; // [T, N]

for (const reduction of ["batch", "tokens"] as const) {
  gpuTest(
    `temporalSoftmaxLoss over the ${reduction} and its gradient agree with the twin`,
    async (gpu) => {
      const { batch, steps, vocabulary } = SCORES;
      const values = Float64Array.from(normals("scores", batch * steps * vocabulary));
      const { loss, dScores } = temporalSoftmaxLoss(
        swapAxes(values, [steps, batch, vocabulary]),
        TARGETS,
        SCORES,
      );
      const factor = reduction === "batch" ? 1 : batch / 4;
      const expected = swapAxes(dScores, [batch, steps, vocabulary]).map((v) => factor * v);
      using data = Tensor.from(gpu, values, [steps, batch, vocabulary]);
      using targets = Tensor.from(gpu, TIME_MAJOR, [steps, batch], { dtype: "u32" });
      const options = reduction === "batch" ? {} : { reduction, tokens: 4 };
      // As the loss itself, and with a gradient other than 1: twice the loss.
      for (const times of [1, 2]) {
        using tape = new Tape(gpu);
        const scores = tape.variable(data);
        const one = operations.temporalSoftmaxLoss(scores, targets, options);
        assertAlmostEquals((await one.tensor.read())[0], factor * loss, 1e-5);
        tape.backward(times === 1 ? one : one.add(one));
        const gradient = await scores.grad!.read();
        assertLess(relativeError(gradient, expected.map((v) => times * v)), 1e-5);
      }
      using _evaluation = new Tape(gpu, { training: false });
      const scores = constant(data);
      const again = operations.temporalSoftmaxLoss(scores, targets, options);
      assertAlmostEquals((await again.tensor.read())[0], factor * loss, 1e-5);
    },
  );
}

gpuTest("temporalSoftmaxLoss leaves out the target it is told to", async (gpu) => {
  using data = Tensor.zeros(gpu, [3, 2, 5]);
  using targets = Tensor.from(gpu, TIME_MAJOR, [3, 2], { dtype: "u32" });
  using _tape = new Tape(gpu);
  // Without the two zeros four targets count; without the one 4, five.
  for (const [ignore, counted] of [[0, 4], [4, 5], [99, 6]]) {
    const options = { ignore };
    const loss = operations.temporalSoftmaxLoss(constant(data), targets, options);
    assertAlmostEquals((await loss.tensor.read())[0], counted * Math.log(5) / 2, 1e-5);
  }
});

gpuTest(
  "dropout lets everything through in evaluation and keeps about 1 - p in training",
  async (gpu) => {
    using data = Tensor.from(gpu, new Float32Array(5000).fill(1), [5000]);
    using _evaluation = new Tape(gpu, { training: false });
    const x = constant(data);
    assert(operations.dropout(x, 0.3, KEY) === x);
    using _tape = new Tape(gpu);
    const y = await operations.dropout(constant(data), 0.3, KEY).tensor.read();
    const kept = y.filter((v) => v !== 0);
    assertAlmostEquals(kept.length / 5000, 0.7, 0.02);
    assert(kept.every((v) => v === Math.fround(1 / 0.7)));
    const other = await operations.dropout(constant(data), 0.3, [1, 2]).tensor.read();
    assert(other.some((v, i) => v !== y[i]), "another key makes the same mask");
  },
);

gpuTest("a target that is no word makes the temporal softmax loss NaN", async (gpu) => {
  using data = Tensor.zeros(gpu, [2, 1, 5]);
  for (const wrong of [5, 0xffffffff]) {
    using targets = Tensor.from(gpu, [wrong, 1], [2, 1], { dtype: "u32" });
    using tape = new Tape(gpu);
    const loss = operations.temporalSoftmaxLoss(tape.variable(data), targets);
    assertEquals(await loss.tensor.read(), Float32Array.of(NaN));
  }
});

gpuTest("operations refuse what does not fit", (gpu) => {
  using data = Tensor.zeros(gpu, [3, 2, 5]);
  using targets = Tensor.zeros(gpu, [2, 3], { dtype: "u32" });
  using good = Tensor.zeros(gpu, [3, 2], { dtype: "u32" });
  for (const training of [true, false]) {
    using _tape = new Tape(gpu, { training });
    const x = constant(data);
    for (const p of [1, -0.1, NaN]) {
      assertThrows(() => operations.dropout(x, p, KEY), RangeError, `and ${p} was given`);
    }
    const loss = (
      t: Tensor<"u32">,
      options: NonNullable<Parameters<typeof operations.temporalSoftmaxLoss>[2]>,
    ) =>
    () => operations.temporalSoftmaxLoss(x, t, options);
    assertThrows(loss(targets, {}), TypeError, "targets [T, N]");
    assertThrows(loss(good, { reduction: "tokens" }), RangeError, "and undefined was given");
    assertThrows(loss(good, { reduction: "tokens", tokens: 0 }), RangeError, "and 0 was given");
    assertThrows(loss(good, { tokens: 3 }), TypeError, "takes no number of tokens");
    assertThrows(() => x.add(constant(good as never)), TypeError);
    assertThrows(() => operations.linear(x, x), TypeError, "[any, any]");
    for (const shape of [[7, 5], [3, 5]]) {
      assertThrows(() => x.reshape(shape), TypeError, "cannot be reshaped to [");
    }
  }
});
