/** Batch normalisation on the GPU against its float64 twin, on both kernel paths. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import {
  batchNormBackward,
  batchNormForward,
  type BatchNormGradients,
} from "../../kernels/batch_norm/batch_norm.ts";
import type { GradientTargets } from "../../kernels/gradients.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { rowsToSum } from "../../kernels/batch_norm/batch_norm_kernels.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { loopTurns, MOST_TURNS } from "../../kernels/runtime/turns.ts";
import * as twin from "../../kernels/reference/batch_norm.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import {
  assertTwin,
  assertTwinAround,
  countDispatches,
  disposeAll,
  normals,
  upload,
} from "./values.ts";

function draw(rows: number, channels: number, residual: boolean): twin.BatchNormInputs {
  const shifts = normals("shifts", channels);
  return {
    // Channels of different means and widths.
    x: normals("x", rows * channels).map((v, i) => 2 * shifts[i % channels] + v * (1 + i % 3)),
    weight: normals("weight", channels),
    bias: normals("bias", channels),
    runningMean: normals("running mean", channels),
    runningVar: normals("running variance", channels).map((v) => 0.5 + Math.abs(v)),
    residual: residual ? normals("residual", rows * channels) : undefined,
  };
}

function uploadAll(gpu: Gpu, arrays: twin.BatchNormInputs, shape: number[]) {
  const { x, residual, ...vectors } = arrays;
  const channels = [shape.at(-1)!];
  const inputs = {
    x: upload(gpu, x, shape),
    residual: residual && upload(gpu, residual, shape),
    weight: upload(gpu, vectors.weight, channels),
    bias: upload(gpu, vectors.bias, channels),
    runningMean: upload(gpu, vectors.runningMean, channels),
    runningVar: upload(gpu, vectors.runningVar, channels),
  };
  return { inputs, [Symbol.dispose]: () => disposeAll(inputs) };
}

const BOTH = [true, false];
/** Every way to call it. */
const WAYS = BOTH.flatMap((training) =>
  BOTH.flatMap((relu) => BOTH.map((residual) => ({ training, relu, residual })))
);
const NAMES = ["dx", "dweight", "dbias", "dresidual"] as const;

// One number, odd sizes, quads; fewer rows than a chunk has, and many chunks.
const SHAPES = [
  [3, 1],
  [5, 3],
  [1, 3, 3, 4],
  [2, 7, 5, 5],
  [3, 7, 11, 64],
  [41, 66],
  [2, 128],
  [2617, 8],
];

for (const shape of SHAPES) {
  const channels = shape.at(-1)!;
  const rows = shape.reduce((a, b) => a * b) / channels;
  gpuTestBothPaths(`batch norm at [${shape}] agrees with its twin, every way`, async (gpu) => {
    const dyValues = normals("dy", rows * channels);
    using dy = upload(gpu, dyValues, shape);
    for (const { training, relu, residual } of WAYS) {
      const what = JSON.stringify({ training, relu, residual });
      const arrays = draw(rows, channels, residual);
      using on = uploadAll(gpu, arrays, shape);
      const options = { training, relu, momentum: 0.3, eps: 1e-3 };
      const run = countDispatches(gpu, () => batchNormForward(on.inputs, options));
      using forward = run.result;
      assertEquals([run.dispatches, [...forward.y.shape]], [training ? 3 : 1, shape]);
      const sizes = { rows, channels, ...options };
      const expected = twin.batchNormForward(arrays, sizes);
      await assertTwin(forward.y, expected.y, `${what}: y`);
      await assertTwin(on.inputs.runningMean, expected.runningMean, `${what}: mean`, 1e-5);
      await assertTwin(on.inputs.runningVar, expected.runningVar, `${what}: variance`, 1e-5);

      const back = countDispatches(gpu, () => batchNormBackward(dy, forward));
      const gradients = twin.batchNormBackward(dyValues, arrays, sizes);
      const names = NAMES.filter((name) => residual || name !== "dresidual");
      assertEquals([back.dispatches, Object.keys(back.result)], [4, names], what);
      for (const name of names) {
        await assertTwin(back.result[name]!, gradients[name], `${what}: ${name}`);
      }
      disposeAll(back.result);
    }
  });
}

/** The dispatches of a backward pass with a ReLU for each set of wanted gradients: training, and not. */
const WANTED: [(typeof NAMES[number])[], training: number, running: number][] = [
  [[], 0, 0],
  [["dx"], 4, 1],
  [["dx", "dresidual"], 4, 1],
  [["dresidual"], 1, 1],
  [["dbias"], 2, 2],
  [["dweight", "dresidual"], 2, 2],
  [["dx", "dbias"], 4, 3],
  [["dweight", "dbias"], 3, 3],
];

gpuTestBothPaths("gradients that are not wanted cost nothing, and others stay", async (gpu) => {
  const [rows, channels] = [37, 64];
  const arrays = draw(rows, channels, true);
  const dyValues = normals("dy", rows * channels);
  using dy = upload(gpu, dyValues, [rows, channels]);
  using on = uploadAll(gpu, arrays, [rows, channels]);
  for (const training of BOTH) {
    const options = { training, relu: true };
    using forward = batchNormForward(on.inputs, options);
    for (const [wanted, ...dispatches] of WANTED) {
      const targets: GradientTargets<Required<BatchNormGradients>> = {};
      for (const name of NAMES) {
        const shape = name === "dx" || name === "dresidual" ? [rows, channels] : [channels];
        targets[name] = wanted.includes(name) && Tensor.empty(gpu, shape);
      }
      const back = countDispatches(gpu, () => batchNormBackward(dy, forward, targets));
      const what = `${wanted} of ${training ? "the batch" : "the running statistics"}`;
      assertEquals(back.dispatches, dispatches[training ? 0 : 1], what);
      assertEquals(Object.keys(back.result), NAMES.filter((name) => wanted.includes(name)));
      // The running statistics have moved meanwhile, but x and the batch's own have not.
      const now = {
        ...arrays,
        runningMean: Float64Array.from(await on.inputs.runningMean.read()),
        runningVar: Float64Array.from(await on.inputs.runningVar.read()),
      };
      const sizes = { rows, channels, momentum: 0.1, eps: 1e-5, ...options };
      const gradients = twin.batchNormBackward(dyValues, now, sizes);
      for (const name of wanted) {
        assertEquals(back.result[name], targets[name]);
        await assertTwin(back.result[name]!, gradients[name], `${name} of ${what}`);
      }
      disposeAll(back.result);
    }
  }
});

gpuTestBothPaths("a variance far below the squared mean is still right", async (gpu) => {
  const [rows, channels] = [1500, 4];
  // The first row lies far from the others.
  const x = normals("x", rows * channels).map((v, i) => i < channels ? 0 : Math.fround(4096 + v));
  const arrays = { ...draw(rows, channels, false), x };
  using on = uploadAll(gpu, arrays, [rows, channels]);
  const options = { training: true, momentum: 1, eps: 0, relu: false };
  using _ = batchNormForward(on.inputs, options);
  const expected = twin.batchNormForward(arrays, { rows, channels, ...options });
  await assertTwin(on.inputs.runningMean, expected.runningMean, "mean", 1e-6);
  await assertTwin(on.inputs.runningVar, expected.runningVar, "variance", 1e-4);

  x.fill(Math.fround(4096.5), 0, channels);
  using near = uploadAll(gpu, arrays, [rows, channels]);
  using __ = batchNormForward(near.inputs, options);
  const close = twin.batchNormForward(arrays, { rows, channels, ...options });
  await assertTwin(near.inputs.runningVar, close.runningVar, "variance of about 1", 1e-3);
});

gpuTestBothPaths(
  "numbers far from zero and close together keep what float32 has of them",
  async (gpu) => {
    // Half a unit in the last place of the mean, 3e-5, is 3e-4 deviations; PyTorch loses about as much.
    for (const shape of [[41, 3], [3001, 5], [1503, 64]]) {
      const [rows, channels] = shape;
      const x = normals("x", rows * channels).map((v) => Math.fround(1000 + 0.1 * v));
      const arrays = { ...draw(rows, channels, false), x };
      using on = uploadAll(gpu, arrays, shape);
      const options = { training: true, momentum: 1, eps: 1e-5, relu: false };
      using forward = batchNormForward(on.inputs, options);
      const sizes = { rows, channels, ...options };
      const expected = twin.batchNormForward(arrays, sizes);
      await assertTwin(forward.y, expected.y, `[${shape}]: y`, 1.6e-4);
      await assertTwin(on.inputs.runningMean, expected.runningMean, `[${shape}]: mean`, 6e-8);
      await assertTwin(on.inputs.runningVar, expected.runningVar, `[${shape}]: variance`, 1e-6);
      const dyValues = normals("dy", rows * channels);
      using dy = upload(gpu, dyValues, shape);
      const got = batchNormBackward(dy, forward);
      const gradients = twin.batchNormBackward(dyValues, arrays, sizes);
      await assertTwin(got.dx!, gradients.dx, `[${shape}]: dx`, 1e-4);
      await assertTwin(got.dweight!, gradients.dweight, `[${shape}]: dweight`, 6e-4);
      await assertTwin(got.dbias!, gradients.dbias, `[${shape}]: dbias`, 1e-6);
      disposeAll(got);
    }
  },
);

gpuTestBothPaths(
  "what is not finite reaches its channel alone, as in PyTorch",
  async (gpu) => {
    for (const shape of [[7, 5], [6, 64]]) {
      const [rows, channels] = shape;
      for (const [at, value] of [[0, NaN], [0, Infinity], [rows * channels - 1, -Infinity]]) {
        for (const { training, relu, residual } of WAYS) {
          const what = JSON.stringify({
            shape,
            at,
            value: String(value),
            training,
            relu,
            residual,
          });
          const drawn = draw(rows, channels, residual);
          const arrays = { ...drawn, x: drawn.x.with(at, value) };
          using on = uploadAll(gpu, arrays, shape);
          const options = { training, relu, momentum: 0.3, eps: 1e-3 };
          using forward = batchNormForward(on.inputs, options);
          const sizes = { rows, channels, ...options };
          const expected = twin.batchNormForward(arrays, sizes);
          await assertTwinAround(forward.y, expected.y, `${what}: y`);
          await assertTwinAround(on.inputs.runningMean, expected.runningMean, `${what}: mean`);
          await assertTwinAround(on.inputs.runningVar, expected.runningVar, `${what}: variance`);
          const dyValues = normals("dy", rows * channels);
          using dy = upload(gpu, dyValues, shape);
          const got = batchNormBackward(dy, forward);
          const gradients = twin.batchNormBackward(dyValues, arrays, sizes);
          for (const name of NAMES.filter((name) => residual || name !== "dresidual")) {
            await assertTwinAround(got[name]!, gradients[name], `${what}: ${name}`);
          }
          disposeAll(got);
        }
      }
    }
  },
);

gpuTestBothPaths("no invocation adds up more rows than its loops may take turns", (gpu) => {
  for (const rows of [1, 9, 256 * MOST_TURNS, 256 * MOST_TURNS + 1, 1 << 25]) {
    for (const channels of [1, 3, 64, 1 << 17]) {
      const { chunks, each } = rowsToSum(gpu, rows, channels).params;
      assert(loopTurns(each) <= MOST_TURNS && loopTurns(chunks) <= MOST_TURNS, `${rows} rows`);
      assert(each * (chunks - 1) < rows && each * chunks >= rows);
    }
  }
});

gpuTest("batch norm refuses what does not fit", (gpu) => {
  using on = uploadAll(gpu, draw(3, 5, true), [3, 5]);
  const inputs = on.inputs;
  using row = Tensor.zeros(gpu, [1, 5], { name: "row" });
  using vector = Tensor.zeros(gpu, [5], { name: "vector" });
  using four = Tensor.zeros(gpu, [4]);
  using empty = Tensor.zeros(gpu, [0, 5]);
  const run = (more: object, options: object = {}) => () =>
    batchNormForward({ ...inputs, ...more }, { training: true, ...options });
  assertThrows(run({ x: vector }), TypeError, `"vector" has [5]`);
  assertThrows(run({ x: empty }), TypeError, "none of them empty");
  assertThrows(run({ weight: four }), TypeError, "weight [C] needs the shape [5]");
  assertThrows(run({ runningVar: four }), TypeError, "runningVar [C] needs the shape [5]");
  assertThrows(run({ residual: row }), TypeError, "residual needs the shape [3, 5]");
  assertThrows(run({ x: row, residual: undefined }), RangeError, `"row" of shape [1, 5] has one`);
  assertThrows(run({}, { eps: -1 }), RangeError, "eps from 0, and -1 was given");
  assertThrows(run({}, { momentum: 2 }), RangeError, "momentum from 0 to 1, and 2 was given");

  using forward = batchNormForward({ ...inputs, residual: undefined }, { training: false });
  assertThrows(() => batchNormBackward(row, forward), TypeError, "dy needs the shape [3, 5]");
  assertThrows(
    () => batchNormBackward(inputs.x, forward, { dx: row }),
    TypeError,
    "gradient dx needs the shape [3, 5]",
  );
  assertThrows(
    () => batchNormBackward(inputs.x, forward, { dresidual: row }),
    TypeError,
    "without a residual has no gradient dresidual",
  );
});
