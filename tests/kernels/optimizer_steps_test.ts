/** Optimizer steps on the GPU against their float64 twins, over several steps. */
import { adamStep, rmspropStep, sgdStep, type StepTensors } from "../../kernels/optimizer_steps.ts";
import { sum } from "../../kernels/reduce.ts";
import { Tensor } from "../../kernels/tensor.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import * as twin from "../reference/optimizers.ts";
import { gpuTest } from "../gpu_support.ts";
import { assertTwin, disposeAll, normals } from "./values.ts";

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
