/** The operations of the sentence classifiers on a tape, and their gradients against differences. */
import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { uploadBags } from "../../kernels/embedding/embedding_bag.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, tapeOf, type Variable } from "../../models/tape/autograd.ts";
import * as operations from "../../models/tape/operations.ts";
import { numericGradient } from "../../kernels/reference/gradient.ts";
import { dot } from "../../kernels/reference/linear_algebra.ts";
import { bagForward, maxOverTimeForward } from "../../kernels/reference/pooling.ts";
import { sigmoidCrossEntropy } from "../../kernels/reference/softmax.ts";
import { gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { normals } from "./small_captioner.ts";
import { concat } from "../../models/tape/variable.ts";

interface Case {
  name: string;
  /** Shapes of the inputs. */
  shapes: number[][];
  run: (inputs: Variable[]) => Variable;
  twin: (inputs: Float64Array[]) => Float64Array;
}

const BAGS = [[4, 1, 1], [], [2], [1, 4, 0, 1]];
const LENGTHS = [3, 1];
const TARGETS = [1, 0, 1, 1, 0];

/** Each row of `a` `[rows, A]` with the row of `b` `[rows, B]` behind it. */
function sideBySide(a: Float64Array, b: Float64Array, rows: number): Float64Array {
  const row = (v: Float64Array, n: number) =>
    v.subarray(n * v.length / rows, (n + 1) * v.length / rows);
  const all = Array.from({ length: rows }, (_, n) => [...row(a, n), ...row(b, n)]);
  return Float64Array.from(all.flat());
}

const CASES: Case[] = [
  ...(["sum", "mean"] as const).map((mode): Case => ({
    name: `embeddingBag (${mode})`,
    shapes: [[5, 3]],
    run: ([table]) => {
      const bags = tapeOf(table).keep(uploadBags(tapeOf(table).gpu, BAGS, 5));
      return operations.embeddingBag(table, bags, mode);
    },
    twin: ([table]) => bagForward(BAGS, table, { vocabulary: 5, dim: 3 }, mode),
  })),
  {
    name: "maxOverTime",
    shapes: [[3, 2, 4]],
    run: ([x]) => {
      const lengths = tapeOf(x).keep(Tensor.from(tapeOf(x).gpu, LENGTHS, [2], { dtype: "u32" }));
      return operations.maxOverTime(x, lengths);
    },
    twin: ([x]) =>
      Float64Array.from(LENGTHS.flatMap((length, n) => {
        const own = x.filter((_, i) => Math.floor(i / 4) % 2 === n).slice(0, 4 * length);
        return [...maxOverTimeForward(own, length, 4).out];
      })),
  },
  {
    name: "concat",
    shapes: [[3, 2], [3, 5]],
    run: (parts) => concat(parts),
    twin: ([a, b]) => sideBySide(a, b, 3),
  },
  {
    name: "concat of a matrix with itself",
    shapes: [[3, 2]],
    run: ([x]) => concat([x, x]),
    twin: ([x]) => sideBySide(x, x, 3),
  },
  {
    name: "binaryCrossEntropy",
    shapes: [[5, 1]],
    run: ([logits]) => {
      const targets = tapeOf(logits).keep(Tensor.from(tapeOf(logits).gpu, TARGETS));
      return operations.binaryCrossEntropy(logits, targets);
    },
    twin: ([z]) =>
      Float64Array.of(sigmoidCrossEntropy(z, TARGETS).losses.reduce((a, b) => a + b) / 5),
  },
];

for (const { name, shapes, run, twin } of CASES) {
  gpuTest(`${name} and its gradients agree with the twin`, async (gpu) => {
    const values = shapes.map((shape, i) =>
      Float64Array.from(normals(`${name} ${i}`, shape.reduce((a, b) => a * b)))
    );
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

gpuTest("binaryCrossEntropy as the loss itself, of a column or a vector", async (gpu) => {
  const values = Float64Array.from(normals("logits", 5));
  const { losses, gradient } = sigmoidCrossEntropy(values, TARGETS);
  const mean = losses.reduce((a, b) => a + b) / 5;
  for (const shape of [[5, 1], [5]]) {
    using data = Tensor.from(gpu, values, shape);
    using targets = Tensor.from(gpu, TARGETS);
    using tape = new Tape(gpu);
    const logits = tape.variable(data);
    const loss = operations.binaryCrossEntropy(logits, targets);
    assertAlmostEquals((await loss.tensor.read())[0], mean, 1e-6);
    tape.backward(loss);
    assertEquals([...logits.grad!.shape], shape);
    assertLess(relativeError(await logits.grad!.read(), gradient.map((v) => v / 5)), 1e-6);
  }
});

gpuTest("inputs that need no gradient cost none", (gpu) => {
  using a = Tensor.zeros(gpu, [3, 2]);
  using b = Tensor.zeros(gpu, [3, 2]);
  using tape = new Tape(gpu);
  const [learned, fixed] = [tape.variable(a), constant(b)];
  const loss = concat([fixed, learned]).sum();
  const { dispatches } = { ...gpu.recorder.counts };
  tape.backward(loss);
  assertEquals(gpu.recorder.counts.dispatches - dispatches, 2); // of the sum, of the learned half
  assertEquals(fixed.grad, undefined);
});

gpuTest("the operations refuse what does not fit, and leave nothing behind", (gpu) => {
  using matrix = Tensor.zeros(gpu, [3, 2]);
  using vector = Tensor.zeros(gpu, [3]);
  using tape = new Tape(gpu);
  const m = tape.variable(matrix);
  assertThrows(
    () => operations.binaryCrossEntropy(m, vector),
    TypeError,
    "needs the shape [6]",
  );
  using none = Tensor.zeros(gpu, [0]);
  assertThrows(
    () => operations.binaryCrossEntropy(tape.variable(none), none),
    TypeError,
    "A binary cross-entropy is a mean over at least one example, and there is none",
  );
});
