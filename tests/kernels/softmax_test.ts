/** Softmax cross-entropy, log-softmax and argmax on the GPU, on both kernel paths. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { argmax, logSoftmax, softmaxCrossEntropy } from "../../kernels/softmax/softmax.ts";
import { sum } from "../../kernels/reduce/reduce.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { SHARE } from "../../kernels/softmax/softmax_rows.ts";
import { temporalSoftmaxLoss } from "../../kernels/reference/softmax.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, countDispatches, normals, upload } from "./values.ts";

/** The log-softmax of each row of `scores [rows, columns]`. */
function logSoftmaxTwin(scores: Float64Array, rows: number, columns: number): Float64Array {
  const result = new Float64Array(scores.length);
  for (let row = 0; row < rows; row++) {
    const values = scores.subarray(row * columns, (row + 1) * columns);
    const largest = values.reduce((a, b) => Math.max(a, b));
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
  using targets = Tensor.from(gpu, [0, 0, 0], [3], { dtype: "u32" });
  const result = softmaxCrossEntropy(scores, targets, { ignore: 0 });
  using losses = result.losses;
  using gradient = result.gradient!;
  assertEquals(await losses.read(), new Float32Array(3));
  assertEquals((await gradient.read()).every((v) => v === 0), true);

  // Without `ignore`, class 0 counts like any other.
  const counted = softmaxCrossEntropy(scores, targets);
  using countedLosses = counted.losses;
  using _ = counted.gradient!;
  assertEquals((await countedLosses.read()).every((v) => v > 0), true);
});

/** What PyTorch 1.13 gives for a row with target 0: loss, gradient, argmax, and the gradient of an ignored row. */
const SPECIAL_ROWS: { row: number[]; loss: number; gradient: number[]; best: number }[] = [
  { row: [NaN, 1, 2], loss: NaN, gradient: [NaN, NaN, NaN], best: 0 },
  { row: [1, NaN, NaN], loss: NaN, gradient: [NaN, NaN, NaN], best: 1 },
  { row: [1, 2, NaN], loss: NaN, gradient: [NaN, NaN, NaN], best: 2 },
  { row: [-Infinity, 1, 2], loss: Infinity, gradient: [-1, 0.26894143, 0.73105859], best: 2 },
  { row: [1, 2, -Infinity], loss: 1.3132616, gradient: [-0.73105859, 0.73105859, 0], best: 1 },
  { row: [-Infinity, -Infinity, -Infinity], loss: NaN, gradient: [NaN, NaN, NaN], best: 0 },
  { row: [Infinity, 1, 2], loss: NaN, gradient: [NaN, NaN, NaN], best: 0 },
  { row: [0, Infinity, Infinity], loss: NaN, gradient: [NaN, NaN, NaN], best: 1 },
  { row: [Infinity, NaN, 2], loss: NaN, gradient: [NaN, NaN, NaN], best: 1 },
  {
    row: [-3.2e38, -3.2e38, -3.2e38],
    loss: 1.0986123,
    gradient: [-2 / 3, 1 / 3, 1 / 3],
    best: 0,
  },
  { row: [3e38, -3e38, 0], loss: 0, gradient: [0, 0, 0], best: 0 },
  { row: [-3e38, 3e38, 0], loss: Infinity, gradient: [-1, 1, 0], best: 1 },
  { row: [-0, 0, -1], loss: 0.8619948, gradient: [-0.5776812, 0.4223188, 0.1553624], best: 0 },
];

/** Rows longer than one invocation takes, single numbers and quads, besides rows of three and eight. */
const longest = (gpu: Gpu) => gpu.path === "subgroup" ? [3, 8, SHARE + 1, 4 * SHARE + 4] : [3, 8];

gpuTestBothPaths("NaN and infinite scores give what they give in PyTorch", async (gpu) => {
  for (const width of longest(gpu)) {
    const rows = width > 8 ? SPECIAL_ROWS.slice(0, 7) : SPECIAL_ROWS;
    const filler = width > 3 ? -Infinity : 0; // a class that cannot be
    const values = new Float32Array(rows.length * width).fill(filler);
    rows.forEach(({ row }, i) => values.set(row, i * width));
    using scores = Tensor.from(gpu, values, [rows.length, width]);
    using targets = Tensor.zeros(gpu, [rows.length], { dtype: "u32" });
    const result = softmaxCrossEntropy(scores, targets);
    using losses = result.losses;
    using gradient = result.gradient!;
    using logs = logSoftmax(scores);
    using best = argmax(scores);
    const [loss, slopes, log, places] = [
      await losses.read(),
      await gradient.read(),
      await logs.read(),
      await best.read(),
    ];
    rows.forEach((expected, i) => {
      const what = `[${expected.row}] and ${width - 3} more`;
      assertAlmostEquals(loss[i], expected.loss, 1e-6, `loss of ${what}`);
      assertAlmostEquals(log[i * width], -expected.loss, 1e-6, `log-softmax of ${what}`);
      expected.gradient.forEach((v, c) =>
        assertAlmostEquals(slopes[i * width + c], v, 1e-6, `gradient of ${what}`)
      );
      const rest = slopes.subarray(i * width + 3, (i + 1) * width);
      assert(rest.every((v) => Object.is(v, NaN) === Number.isNaN(expected.gradient[1])), what);
      assertEquals(places[i], expected.best, `argmax of ${what}`);
    });

    // An ignored row has no loss; where it cannot be computed, its gradient cannot be either.
    const ignored = softmaxCrossEntropy(scores, targets, { ignore: 0 });
    using none = ignored.losses;
    using nothing = ignored.gradient!;
    assertEquals(await none.read(), new Float32Array(rows.length));
    (await nothing.read()).forEach((v, i) => {
      const { gradient } = rows[Math.floor(i / width)];
      assertEquals(v, Number.isNaN(gradient[1]) ? NaN : 0);
    });
  }
});

gpuTestBothPaths("a target that is no class makes its row NaN, and no other", async (gpu) => {
  for (const width of longest(gpu)) {
    using scores = upload(gpu, normals("scores", 4 * width), [4, width]);
    for (const wrong of width > 8 ? [width] : [width, width + 1, 0xffffffff]) {
      using targets = Tensor.from(gpu, [1, wrong, 0, width - 1], [4], { dtype: "u32" });
      for (const ignore of [undefined, 0]) {
        const { losses, gradient } = softmaxCrossEntropy(scores, targets, { ignore });
        const nan = (values: Float32Array) => Array.from(values, Number.isNaN);
        assertEquals(nan(await losses.read()), [false, true, false, false]);
        const places = Array.from({ length: 4 * width }, (_, i) => Math.floor(i / width) === 1);
        assertEquals(nan(await gradient!.read()), places);
        const alone = softmaxCrossEntropy(scores, targets, { ignore, withGradient: false });
        assertEquals(nan(await alone.losses.read()), [false, true, false, false]);
        for (const tensor of [losses, gradient!, alone.losses]) tensor.dispose();
      }
      // One that is ignored need be no class, like PyTorch's -100.
      const { losses } = softmaxCrossEntropy(scores, targets, {
        ignore: wrong,
        withGradient: false,
      });
      assertEquals((await losses.read()).map((v) => Math.sign(v)), Float32Array.of(1, 0, 1, 1));
      losses.dispose();
    }
  }
});

// At the limits of single numbers and quads; where the driver would cut the loops of one invocation; far beyond. On the
// workgroup path 64 times as many.
gpuTestBothPaths(
  "long rows are whole rows: just below, at and above what one invocation takes",
  async (gpu) => {
    const most = gpu.path === "subgroup" ? 1 : 64;
    const widths = most === 1
      ? [
        SHARE - 1,
        SHARE,
        SHARE + 1,
        21_847,
        4 * SHARE,
        4 * SHARE + 4,
        65_537,
        87_388,
        1_000_003,
      ]
      : [64 * SHARE - 1, 64 * SHARE + 1, 256 * SHARE + 4];
    for (const width of widths) {
      // The last scores count most: what is cut off would be missed.
      const values = Float32Array.from(
        { length: width },
        (_, i) => (i * 7919 % 10007) / 2000 - 5 + (i > width - 9 ? 11 - (i % 5) : 0),
      );
      using scores = Tensor.from(gpu, values, [1, width]);
      using targets = Tensor.from(gpu, [width - 2], [1], { dtype: "u32" });
      const { losses, gradient } = softmaxCrossEntropy(scores, targets, { scale: 3 });
      const expected = logSoftmaxTwin(Float64Array.from(values), 1, width);
      await assertTwin(losses, [-3 * expected[width - 2]], `loss of ${width}`, 3e-6);
      const slopes = expected.map((v, i) => 3 * (Math.exp(v) - (i === width - 2 ? 1 : 0)));
      await assertTwin(gradient!, slopes, `gradient of ${width}`, 3e-6);
      const alone = softmaxCrossEntropy(scores, targets, { scale: 3, withGradient: false });
      await assertTwin(alone.losses, [-3 * expected[width - 2]], `loss alone of ${width}`, 3e-6);
      using logs = logSoftmax(scores);
      await assertTwin(logs, expected, `log-softmax of ${width}`, 1e-6);
      using best = argmax(scores);
      assertEquals(
        await best.read(),
        Uint32Array.of(values.indexOf(values.reduce((a, b) => Math.max(a, b)))),
      );
      for (const tensor of [losses, gradient!, alone.losses]) tensor.dispose();
    }
  },
);

gpuTestBothPaths("argmax finds the last column of rows longer than float32 counts", async (gpu) => {
  for (const width of [SHARE, SHARE + 1, 65_537, 2 ** 24 + 3]) {
    if (width > 2 ** 24 && gpu.path === "workgroup") continue; // the same kernels
    using scores = Tensor.zeros(gpu, [1, width]);
    using last = Tensor.from(gpu, [1]);
    using place = scores.view([1], width - 1);
    place.copyFrom(last);
    using best = argmax(scores);
    assertEquals(await best.read(), Uint32Array.of(width - 1));
  }
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
  using empty = Tensor.zeros(gpu, [3, 0], { name: "empty" });
  const none = `scores need a column, and "empty" has the shape [3, 0]`;
  assertThrows(() => argmax(empty), TypeError, none);
  assertThrows(() => logSoftmax(empty), TypeError, none);
  assertThrows(() => softmaxCrossEntropy(empty, targets), TypeError, none);
  using two = Tensor.zeros(gpu, [2], { dtype: "u32" });
  for (const ignore of [-100, 0.5, NaN, 2 ** 32]) {
    assertThrows(
      () => softmaxCrossEntropy(scores, two, { ignore }),
      RangeError,
      `The ignored class is a whole number from 0, and ${ignore} was given`,
    );
  }
  assertThrows(() => logSoftmax(vector), TypeError, "scores [M, V]");
  assertThrows(() => argmax(vector), TypeError, "scores [M, V]");
  assertThrows(() => argmax(scores, targets), TypeError, `"too many"`);
});
