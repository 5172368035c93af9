/** Softmax cross-entropy, log-softmax and argmax on the GPU, on both kernel paths. */
import { assertEquals, assertThrows } from "@std/assert";
import { argmax, logSoftmax, softmaxCrossEntropy } from "../../kernels/softmax.ts";
import { sum } from "../../kernels/reduce.ts";
import { Tensor } from "../../kernels/tensor.ts";
import { temporalSoftmaxLoss } from "../reference/softmax.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, countDispatches, normals, upload } from "./values.ts";

/** The log-softmax of each row of `scores [rows, columns]`. */
function logSoftmaxTwin(scores: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(scores.length);
  for (let row = 0; row < rows; row++) {
    const values = scores.subarray(row * columns, (row + 1) * columns);
    const largest = Math.max(...values);
    const logSum = Math.log(values.reduce((total, v) => total + Math.exp(v - largest), 0));
    result.set(values.map((v) => v - largest - logSum), row * columns);
  }
  return result;
}

function targetsFor(rows: number, columns: number): Uint32Array<ArrayBuffer> {
  // Every third target is <NULL>.
  return Uint32Array.from({ length: rows }, (_, i) => i % 3 === 2 ? 0 : (7 * i + 1) % columns);
}

for (const [rows, columns] of [[1, 1], [1, 2], [9, 5], [33, 67], [5, 1004]]) {
  const name = `softmax cross-entropy at [M, V] = [${rows}, ${columns}]`;
  gpuTestBothPaths(`${name} agrees with its twin, in one dispatch`, async (gpu) => {
    const values = normals("scores", rows * columns).map((v) => 3 * v);
    const targetIds = targetsFor(rows, columns);
    using scores = upload(gpu, values, [rows, columns]);
    using targets = Tensor.from(gpu, targetIds, [rows], { dtype: "u32" });
    const options = { ignore: 0, scale: 1 / rows };
    const { result, dispatches } = countDispatches(
      gpu,
      () => softmaxCrossEntropy(scores, targets, options),
    );
    assertEquals(dispatches, 1);
    using losses = result.losses;
    using gradient = result.gradient!;
    using total = sum(losses);
    const shape = { batch: rows, steps: 1, vocabulary: columns };
    const expected = temporalSoftmaxLoss(values, targetIds, shape);
    await assertTwin(total, [expected.loss], "loss");
    await assertTwin(gradient, expected.dScores, "gradient");

    const alone = softmaxCrossEntropy(scores, targets, { ...options, withGradient: false });
    using lossesAlone = alone.losses;
    assertEquals(alone.gradient, undefined);
    await assertTwin(lossesAlone, await losses.read(), "losses without a gradient", 1e-6);
  });
}

gpuTestBothPaths("softmax cross-entropy is exact for huge scores", async (gpu) => {
  // Rows: equal and huge; a sure right answer; a sure wrong answer; equal and hugely negative.
  const rows = [[1e4, 1e4, 1e4, 1e4, 1e4], [1e4, -1e4, 0, 0, 0], [1e4, -1e4, 0, 0, 0], [
    -1e4,
    -1e4,
    -1e4,
    -1e4,
    -1e4,
  ]];
  using scores = upload(gpu, rows.flat(), [4, 5]);
  using targets = Tensor.from(gpu, [3, 0, 1, 0], [4], { dtype: "u32" });
  const result = softmaxCrossEntropy(scores, targets);
  using losses = result.losses;
  using gradient = result.gradient!;
  await assertTwin(losses, [Math.log(5), 0, 2e4, Math.log(5)], "losses");
  // The small losses on their own: the large one would hide their errors.
  using first = losses.view([2]);
  await assertTwin(first, [Math.log(5), 0], "the first losses", 1e-6);
  using last = losses.view([1], 3);
  await assertTwin(last, [Math.log(5)], "the last loss", 1e-6);
  const fifth = [0.2, 0.2, 0.2, 0.2, 0.2];
  const expected = [
    fifth.map((v, i) => i === 3 ? v - 1 : v),
    [0, 0, 0, 0, 0],
    [1, -1, 0, 0, 0],
    fifth.map((v, i) => i === 0 ? v - 1 : v),
  ];
  await assertTwin(gradient, expected.flat(), "gradient", 1e-6);

  using logs = logSoftmax(scores);
  using firstLogs = logs.view([5]);
  await assertTwin(firstLogs, Array(5).fill(-Math.log(5)), "log-probabilities", 1e-6);
});

gpuTestBothPaths("rows that are all ignored give no loss and no gradient", async (gpu) => {
  using scores = upload(gpu, normals("scores", 21), [3, 7]);
  // 7 is past the last class, and counts as ignored too.
  using targets = Tensor.from(gpu, [0, 7, 0], [3], { dtype: "u32" });
  const result = softmaxCrossEntropy(scores, targets, { ignore: 0 });
  using losses = result.losses;
  using gradient = result.gradient!;
  assertEquals(await losses.read(), new Float32Array(3));
  assertEquals((await gradient.read()).every((v) => v === 0), true);

  // Without `ignore`, class 0 counts like any other.
  const counted = softmaxCrossEntropy(scores, targets);
  using countedLosses = counted.losses;
  using _ = counted.gradient!;
  assertEquals((await countedLosses.read()).map((v) => Number(v > 0)), new Float32Array([1, 0, 1]));
});

gpuTestBothPaths("logSoftmax and argmax agree with their twins", async (gpu) => {
  for (const [rows, columns] of [[1, 1], [9, 5], [17, 130]]) {
    const values = normals("scores", rows * columns).map((v) => 5 * v);
    using scores = upload(gpu, values, [rows, columns]);
    using logs = logSoftmax(scores);
    await assertTwin(logs, logSoftmaxTwin(values, rows, columns), "log softmax");
    using best = argmax(scores);
    const expected = Uint32Array.from({ length: rows }, (_, row) => {
      const part = values.subarray(row * columns, (row + 1) * columns);
      return part.indexOf(Math.max(...part));
    });
    assertEquals(await best.read(), expected);
  }
});

gpuTestBothPaths(
  "argmax gives the first of equal entries, and writes where it is told",
  async (gpu) => {
    const values = new Float32Array(3 * 200).fill(-2e4);
    values[0 * 200 + 199] = -1e4; // the last
    values[1 * 200 + 70] = values[1 * 200 + 71] = values[1 * 200 + 134] = 3;
    using scores = Tensor.from(gpu, values, [3, 200]);
    using out = Tensor.empty(gpu, [3], { dtype: "u32" });
    assertEquals(argmax(scores, out), out);
    assertEquals(await out.read(), new Uint32Array([199, 70, 0]));
  },
);

gpuTest("the softmax functions refuse shapes that do not fit", (gpu) => {
  using scores = Tensor.zeros(gpu, [2, 3]);
  using vector = Tensor.zeros(gpu, [3]);
  using targets = Tensor.zeros(gpu, [3], { dtype: "u32", name: "too many" });
  assertThrows(
    () => softmaxCrossEntropy(scores, targets),
    TypeError,
    `targets [M] needs the shape [2]`,
  );
  assertThrows(() => softmaxCrossEntropy(vector, targets), TypeError, "scores [M, V]");
  assertThrows(() => logSoftmax(vector), TypeError, "scores [M, V]");
  assertThrows(() => argmax(vector), TypeError, "scores [M, V]");
  assertThrows(() => argmax(scores, targets), TypeError, `"too many"`);
});
