/** The float64 twins against central differences and against PyTorch. */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { numericGradient, relativeError } from "../../kernels/reference/gradient.ts";
import { checkGradients } from "../../kernels/reference/gradient_check.ts";
import { add, dot, matmul, takeStep } from "../../kernels/reference/linear_algebra.ts";
import { lstmBackward, lstmForward } from "../../kernels/reference/lstm.ts";
import { rnnBackward, rnnForward } from "../../kernels/reference/rnn.ts";
import {
  embeddingBackward,
  embeddingForward,
  temporalLinearBackward,
  temporalLinearForward,
  temporalSoftmaxLoss,
} from "../../kernels/reference/softmax.ts";
import fixture from "../fixtures/rnn_lstm_torch.json" with { type: "json" };

function normals(stream: RandomStream, count: number): Float64Array {
  return Float64Array.from({ length: count }, () => stream.normal());
}

for (const batch of [1, 3]) {
  for (const steps of [1, 2, 5]) {
    for (const [inputDim, hiddenDim] of [[3, 2], [2, 5], [1, 1]]) {
      const shape = { batch, steps, inputDim, hiddenDim };
      Deno.test(`RNN and LSTM gradients agree with differences at ${JSON.stringify(shape)}`, () => {
        const stream = new RandomStream(7).split(JSON.stringify(shape));
        const rows = checkGradients(shape, () => stream.normal());
        assertEquals(rows.length, 5 + 5 + 6 + 6);
        for (const { problem, gradient, error, ok } of rows) {
          assert(ok, `${problem} ${gradient}: relative error ${error}`);
        }
      });
    }
  }
}

Deno.test("rnnBackward with no direct gradient gives zero gradients", () => {
  const shape = { batch: 2, steps: 3, inputDim: 3, hiddenDim: 2 };
  const stream = new RandomStream(1);
  const [x, h0, wx, wh, b] = [18, 4, 6, 4, 2].map((n) => normals(stream, n));
  const h = rnnForward(x, h0, wx, wh, b, shape);
  const got = rnnBackward(new Float64Array(12), h, x, h0, wx, wh, shape);
  for (const gradient of Object.values(got)) assert(gradient.every((v: number) => v === 0));
});

Deno.test("lstmForward takes a left-out c0 as zeros", () => {
  const shape = { batch: 2, steps: 2, inputDim: 3, hiddenDim: 1 };
  const stream = new RandomStream(2);
  const [x, h0, wx, wh, b] = [12, 2, 12, 4, 4].map((n) => normals(stream, n));
  const left = lstmForward(x, h0, wx, wh, b, shape);
  assertEquals(left, lstmForward(x, h0, wx, wh, b, shape, new Float64Array(2)));
  const other = lstmForward(x, h0, wx, wh, b, shape, new Float64Array([1, 1]));
  assert(relativeError(left.h, other.h) > 1e-3);
});

Deno.test("temporalSoftmaxLoss agrees with differences and leaves <NULL> out", () => {
  const shape = { batch: 3, steps: 2, vocabulary: 5 };
  const scores = normals(new RandomStream(3), 30);
  const targets = [4, 0, 1, 2, 0, 0];
  const { loss, dScores } = temporalSoftmaxLoss(scores, targets, shape);
  const difference = numericGradient(
    () => temporalSoftmaxLoss(scores, targets, shape).loss,
    scores,
  );
  assertLess(relativeError(dScores, difference), 1e-5);
  assert(dScores.subarray(5, 10).every((v) => v === 0), "a <NULL> target has a gradient");
  // Each counted row of softmax - onehot sums to zero.
  assertAlmostEquals(dScores.subarray(0, 5).reduce((a, b) => a + b), 0, 1e-15);
  assertLess(0, loss);
});

Deno.test("temporalSoftmaxLoss of equal scores is log V per word, over the batch", () => {
  const shape = { batch: 3, steps: 2, vocabulary: 5 };
  // Four of the six targets count; scores this large overflow exp.
  const { loss } = temporalSoftmaxLoss(new Float64Array(30).fill(1e4), [1, 2, 3, 4, 0, 0], shape);
  assertAlmostEquals(loss, 4 * Math.log(5) / 3, 1e-12);
  const masked = temporalSoftmaxLoss(new Float64Array(30), [0, 0, 0, 0, 0, 0], shape);
  assertEquals(masked.loss, 0);
  assert(masked.dScores.every((v) => v === 0));
});

Deno.test("temporalLinear and embedding gradients agree with differences", () => {
  const stream = new RandomStream(4);
  const shape = { batch: 3, steps: 2, inputDim: 5, outputDim: 7 };
  const [x, w, b, dout] = [30, 35, 7, 42].map((n) => normals(stream, n));
  const loss = () => dot(dout, temporalLinearForward(x, w, b, shape));
  const linear = temporalLinearBackward(dout, x, w, shape);
  assertLess(relativeError(linear.dx, numericGradient(loss, x)), 1e-5);
  assertLess(relativeError(linear.dw, numericGradient(loss, w)), 1e-5);
  assertLess(relativeError(linear.db, numericGradient(loss, b)), 1e-5);

  const table = normals(stream, 15);
  const ids = [4, 1, 1, 0, 1, 4];
  const words = { vocabulary: 5, dim: 3 };
  const direct = normals(stream, 18);
  const dTable = embeddingBackward(direct, ids, words);
  const differences = numericGradient(
    () => dot(direct, embeddingForward(ids, table, words)),
    table,
  );
  assertLess(relativeError(dTable, differences), 1e-5);
  assert(dTable.subarray(6, 12).every((v) => v === 0), "a word that is not there has a gradient");
});

Deno.test("the twins refuse wrong shapes and ids", () => {
  const a = new Float64Array(6);
  assertThrows(() => matmul(a, a, 2, 2, 3), TypeError, "a of shape [2, 2] must hold 4 numbers");
  assertThrows(() => relativeError([1], [1, 2]), TypeError, "they have 1 and 2");
  assertThrows(() => relativeError([NaN], [1]), TypeError, "must be finite");
  assertThrows(() => numericGradient(() => 0, a, 0), RangeError, "greater than 0");
  const words = { vocabulary: 3, dim: 2 };
  assertThrows(() => embeddingForward([3], a, words), RangeError, "from 0 to 2: one is 3");
  const scores = { batch: 1, steps: 2, vocabulary: 3 };
  assertThrows(() => temporalSoftmaxLoss(a, [1, -1], scores), RangeError, "one is -1");
  assertThrows(() => temporalSoftmaxLoss(a, [1], scores), TypeError, "targets");
});

// PyTorch: parameters are [rows, columns] with the gates as blocks of H rows, in the order i, f, g, o.
const { sizes } = fixture;
const { batch, steps, inputDim, hiddenDim } = sizes;

/** The homework's gates f, i, c̃, o are PyTorch's blocks 1, 0, 2, 3; the RNN has one block. */
const LSTM_BLOCKS = [1, 0, 2, 3];
const RNN_BLOCKS = [0];

/** A PyTorch weight `[gates * H, columns]` as `[columns, gates * H]` with the blocks in our order. */
function fromTorch(weight: number[], columns: number, blocks: number[]): Float64Array {
  const width = blocks.length * hiddenDim;
  const ours = new Float64Array(columns * width);
  for (const [gate, block] of blocks.entries()) {
    for (let unit = 0; unit < hiddenDim; unit++) {
      for (let column = 0; column < columns; column++) {
        ours[column * width + gate * hiddenDim + unit] =
          weight[(block * hiddenDim + unit) * columns + column];
      }
    }
  }
  return ours;
}

type TorchWeights = Record<"weight_ih_l0" | "weight_hh_l0" | "bias_ih_l0" | "bias_hh_l0", number[]>;

function layer(torch: TorchWeights, blocks: number[]) {
  return {
    wx: fromTorch(torch.weight_ih_l0, inputDim, blocks),
    wh: fromTorch(torch.weight_hh_l0, hiddenDim, blocks),
    bInput: fromTorch(torch.bias_ih_l0, 1, blocks),
    bHidden: fromTorch(torch.bias_hh_l0, 1, blocks),
  };
}

Deno.test("the RNN twin agrees with PyTorch, forward and backward", () => {
  const { parameters, inputs, direct, outputs, gradients } = fixture.rnn;
  const { wx, wh, bInput, bHidden } = layer(parameters, RNN_BLOCKS);
  const [x, h0] = [new Float64Array(inputs.x), new Float64Array(inputs.h0)];
  const h = rnnForward(x, h0, wx, wh, add(bInput, bHidden), sizes);
  assertLess(relativeError(h, outputs.h), 1e-10);

  const got = rnnBackward(new Float64Array(direct.h), h, x, h0, wx, wh, sizes);
  const expected = layer(gradients, RNN_BLOCKS);
  assertLess(relativeError(got.dx, gradients.x), 1e-10);
  assertLess(relativeError(got.dh0, gradients.h0), 1e-10);
  assertLess(relativeError(got.dWx, expected.wx), 1e-10);
  assertLess(relativeError(got.dWh, expected.wh), 1e-10);
  assertLess(relativeError(got.db, expected.bInput), 1e-10);
  assertLess(relativeError(got.db, expected.bHidden), 1e-10);
});

Deno.test("the LSTM twin agrees with PyTorch, forward and backward", () => {
  const { parameters, inputs, direct, outputs, gradients } = fixture.lstm;
  const { wx, wh, bInput, bHidden } = layer(parameters, LSTM_BLOCKS);
  const x = new Float64Array(inputs.x);
  const [h0, c0] = [new Float64Array(inputs.h0), new Float64Array(inputs.c0)];
  const states = lstmForward(x, h0, wx, wh, add(bInput, bHidden), sizes, c0);
  assertLess(relativeError(states.h, outputs.h), 1e-10);
  const cLast = takeStep(states.c, steps - 1, { batch, steps, width: hiddenDim });
  assertLess(relativeError(cLast, outputs.c_last), 1e-10);

  const dcLast = new Float64Array(direct.c_last);
  const got = lstmBackward(new Float64Array(direct.h), states, x, h0, wx, wh, sizes, {
    c0,
    dcLast,
  });
  const expected = layer(gradients, LSTM_BLOCKS);
  assertLess(relativeError(got.dx, gradients.x), 1e-10);
  assertLess(relativeError(got.dh0, gradients.h0), 1e-10);
  assertLess(relativeError(got.dc0, gradients.c0), 1e-10);
  assertLess(relativeError(got.dWx, expected.wx), 1e-10);
  assertLess(relativeError(got.dWh, expected.wh), 1e-10);
  assertLess(relativeError(got.db, expected.bInput), 1e-10);
  assertLess(relativeError(got.db, expected.bHidden), 1e-10);
});
