/** Optimizer steps on the GPU against their float64 twins, over several steps. */
import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { uploadIndices } from "../../kernels/embedding/embedding.ts";
import {
  adamRowsStep,
  adamStep,
  rmspropStep,
  sgdStep,
  type StepTensors,
} from "../../kernels/optimizer_steps.ts";
import { sum } from "../../kernels/reduce/reduce.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import * as twin from "../../kernels/reference/optimizers.ts";
import { adamRowsStep as sparseAdamStep } from "../../kernels/reference/optimizers.ts";
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

/** A step of each optimizer on `gradient`, from parameters of 1 and nothing remembered, clipped to a norm of 1. */
async function clipped(gpu: Gpu, gradient: number[]): Promise<Float32Array[]> {
  const sizes = { lr: 0.5, weightDecay: 0, maxNorm: 1 };
  const betas = { beta1: 0.9, beta2: 0.999, epsilon: 1e-8, t: 1 };
  const steps: ((tensors: StepTensors, states: Tensor[]) => void)[] = [
    (tensors, [velocity]) => sgdStep(tensors, velocity, { ...sizes, momentum: 0.9 }),
    (tensors, [mean, square]) => adamStep(tensors, { mean, square }, { ...sizes, ...betas }),
    (tensors, [square]) => rmspropStep(tensors, square, { ...sizes, alpha: 0.99, epsilon: 1e-8 }),
  ];
  const results = [];
  for (const step of steps) {
    const states = [Tensor.zeros(gpu, [4]), Tensor.zeros(gpu, [4])];
    using parameters = Tensor.from(gpu, [1, 1, 1, 1]);
    using values = Tensor.from(gpu, gradient);
    using squaredNorm = sum(values, { square: true });
    step({ parameters, gradient: values, squaredNorm }, states);
    results.push(await parameters.read());
    disposeAll(states);
  }
  return results;
}

// PyTorch's clip_grad_norm_: a NaN makes all gradients NaN; a norm of infinity makes them 0, and ∞ itself NaN.
gpuTest("clipping does not let gradients pass whose norm is not finite", async (gpu) => {
  for (const result of await clipped(gpu, [1, NaN, 2, 3])) {
    assertEquals(result, new Float32Array(4).fill(NaN));
  }
  for (const v of [Infinity, -Infinity]) {
    for (const result of await clipped(gpu, [1, v, 2, 3])) {
      assertEquals(result, Float32Array.of(1, NaN, 1, 1));
    }
  }
  for (const result of await clipped(gpu, [1e30, 1, 2, 3])) {
    assertEquals(result, Float32Array.of(1, 1, 1, 1));
  }
});

gpuTest("Adam takes tiny and huge gradients as its twin does, at any step", async (gpu) => {
  const gradient = [1e-15, -3e-14, 1e-10, 1e10, 1e15, -1e18, 1e-5, 1];
  for (const epsilon of [1e-8, 1e-15]) {
    for (const t of [1, 1000, 1e6]) {
      const betas = { beta1: 0.9, beta2: 0.999, epsilon, weightDecay: 0 };
      const expected = new Float64Array(8);
      const state = { step: t - 1, mean: new Float64Array(8), square: new Float64Array(8) };
      using parameters = Tensor.zeros(gpu, [8]);
      const moments = { mean: Tensor.zeros(gpu, [8]), square: Tensor.zeros(gpu, [8]) };
      using values = Tensor.from(gpu, gradient);
      using squaredNorm = Tensor.zeros(gpu, []);
      for (let k = 0; k < 20; k++) {
        const tensors = { parameters, gradient: values, squaredNorm };
        adamStep(tensors, moments, { lr: 0.01, maxNorm: 0, t: t + k, ...betas });
        twin.adamStep(expected, Float64Array.from(gradient), state, {
          learningRate: 0.01,
          ...betas,
        });
      }
      // One by one: the largest would hide the others.
      (await parameters.read()).forEach((v, i) =>
        assertAlmostEquals(
          v / expected[i],
          1,
          1e-5,
          `gradient ${gradient[i]}, ε ${epsilon}, t ${t}`,
        )
      );
      disposeAll(moments);
    }
  }
});

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
