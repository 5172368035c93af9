/** Optimizer steps on the GPU against their float64 twins, over several steps. */
import { assertEquals, assertThrows } from "@std/assert";
import { uploadIndices } from "../../kernels/embedding.ts";
import {
  adamRowsStep,
  adamStep,
  rmspropStep,
  sgdStep,
  type StepTensors,
} from "../../kernels/optimizer_steps.ts";
import { sum } from "../../kernels/reduce.ts";
import { Tensor } from "../../kernels/tensor.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import * as twin from "../reference/optimizers.ts";
import { adamRowsStep as sparseAdamStep } from "../reference/sparse_adam.ts";
import { gpuTest } from "../gpu_support.ts";
import { assertTwin, countDispatches, disposeAll, normals, upload } from "./values.ts";

const STEPS = 5;
const LIMITS = [0, 0.5];

/** `values` in a flat buffer whose size is a multiple of four, as the kernels want it. */
function padded(gpu: Gpu, values: Float64Array): Tensor {
  const whole = new Float32Array(4 * Math.ceil(values.length / 4));
  whole.set(values);
  return Tensor.from(gpu, whole);
}

interface Run {
  size: number;
  maxNorm: number;
  onGpu: (tensors: StepTensors, states: Tensor[], t: number) => void;
  onTwin: (parameter: Float64Array, gradient: Float64Array) => void;
}

/** Take some steps on both sides, each with a new gradient, and compare after every one. */
async function compare(gpu: Gpu, { size, maxNorm, onGpu, onTwin }: Run): Promise<void> {
  const expected = normals("start", size);
  const parameters = padded(gpu, expected);
  const states = [Tensor.zeros(gpu, parameters.shape), Tensor.zeros(gpu, parameters.shape)];
  const squaredNorm = Tensor.zeros(gpu, []);
  for (let t = 1; t <= STEPS; t++) {
    const values = normals(`gradient ${t}`, size);
    using gradient = padded(gpu, values);
    sum(gradient, { square: true, out: squaredNorm });
    onGpu({ parameters, gradient, squaredNorm }, states, t);
    if (maxNorm > 0) twin.clipGradientNorm([values], maxNorm);
    onTwin(expected, values);
    using got = parameters.view([size]);
    await assertTwin(got, expected, `step ${t}, ${size} numbers, largest norm ${maxNorm}`, 1e-5);
  }
  disposeAll([parameters, ...states, squaredNorm]);
}

const weightDecay = 0.01;

// One number, sizes off the quads, and more than one workgroup.
for (const size of [1, 7, 8, 1001]) {
  for (const maxNorm of LIMITS) {
    const name = `at ${size} numbers, ${maxNorm === 0 ? "not clipped" : `clipped to ${maxNorm}`}`;

    gpuTest(`SGD with momentum agrees with its twin ${name}`, async (gpu) => {
      const state = { velocity: new Float64Array(size) };
      const options = { learningRate: 0.1, momentum: 0.9, weightDecay };
      await compare(gpu, {
        size,
        maxNorm,
        onGpu: (tensors, [velocity]) =>
          sgdStep(tensors, velocity, { lr: 0.1, momentum: 0.9, weightDecay, maxNorm }),
        onTwin: (p, g) => twin.sgdStep(p, g, state, options),
      });
    });

    gpuTest(`Adam agrees with its twin ${name}`, async (gpu) => {
      const state = { step: 0, mean: new Float64Array(size), square: new Float64Array(size) };
      const betas = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, weightDecay };
      await compare(gpu, {
        size,
        maxNorm,
        onGpu: (tensors, [mean, square], t) =>
          adamStep(tensors, { mean, square }, { lr: 0.05, maxNorm, t, ...betas }),
        onTwin: (p, g) => twin.adamStep(p, g, state, { learningRate: 0.05, ...betas }),
      });
    });

    gpuTest(`RMSprop agrees with its twin ${name}`, async (gpu) => {
      const state = { square: new Float64Array(size) };
      const options = { alpha: 0.99, epsilon: 1e-8, weightDecay };
      await compare(gpu, {
        size,
        maxNorm,
        onGpu: (tensors, [square]) =>
          rmspropStep(tensors, square, { lr: 0.01, maxNorm, ...options }),
        onTwin: (p, g) => twin.rmspropStep(p, g, state, { learningRate: 0.01, ...options }),
      });
    });
  }
}

const ROWS = 9;
/** The rows that each step touches: some again, some never, and none at all in the fourth step. */
const TOUCHED = [[4, 0, 4], [8], [4, 8, 1, 4], [], [0, 1]];

for (const width of [1, 3, 4, 52]) {
  gpuTest(`Adam of rows agrees with its twin at width ${width}`, async (gpu) => {
    const size = ROWS * width;
    const shape = [ROWS, width];
    const expected = normals("start", size);
    const state = { step: 0, mean: new Float64Array(size), square: new Float64Array(size) };
    const table = {
      parameters: upload(gpu, expected, shape),
      gradient: Tensor.empty(gpu, shape),
      mean: Tensor.zeros(gpu, shape),
      square: Tensor.zeros(gpu, shape),
    };
    const untouched = (values: Float32Array, rows: number[]) =>
      values.filter((_, i) => !rows.includes(Math.floor(i / width)));
    for (const [i, rows] of TOUCHED.entries()) {
      // The other rows' gradients are stale, and must not be read.
      const gradient = normals(`gradient ${i}`, size);
      table.gradient.write(gradient);
      using indices = uploadIndices(gpu, rows, ROWS);
      const sizes = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8 };
      const parts = [table.parameters, table.mean, table.square];
      const before = await Promise.all(parts.map((tensor) => tensor.read()));
      const { dispatches } = countDispatches(
        gpu,
        () => adamRowsStep(table, indices, { lr: 0.05, t: i + 1, ...sizes }),
      );
      assertEquals(dispatches, rows.length > 0 ? 1 : 0);
      const options = { learningRate: 0.05, ...sizes };
      sparseAdamStep(expected, gradient, new Set(rows), width, state, options);
      await assertTwin(table.parameters, expected, `step ${i + 1}`, 1e-5);
      await assertTwin(table.mean, state.mean, `mean of step ${i + 1}`, 1e-5);
      for (const [j, tensor] of parts.entries()) {
        assertEquals(untouched(await tensor.read(), rows), untouched(before[j], rows));
      }
    }
    disposeAll(table);
  });
}

gpuTest("Adam of rows refuses what is no table", (gpu) => {
  using vector = Tensor.zeros(gpu, [4]);
  using indices = uploadIndices(gpu, [1], 4);
  const table = { parameters: vector, gradient: vector, mean: vector, square: vector };
  const sizes = { lr: 0.1, beta1: 0.9, beta2: 0.999, epsilon: 1e-8, t: 1 };
  assertThrows(() => adamRowsStep(table, indices, sizes), TypeError, "A table [V, D] of a step");
});
