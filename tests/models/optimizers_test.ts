/** The optimizers on the GPU against their float64 twins, and everything around the step. */
import type { TensorData } from "../../data/formats/tensor_data.ts";
import type { Plain, SavedState } from "../../models/training/checkpoint.ts";
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  Adam,
  type Optimizer,
  type OptimizerOptions,
  RmsProp,
  Sgd,
} from "../../models/training/optimizers.ts";
import { Parameter, ParameterStore } from "../../models/layers/parameters.ts";
import {
  adamStep,
  clipGradientNorm,
  rmspropStep,
  sgdStep,
} from "../../kernels/reference/optimizers.ts";
import { gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { normals } from "./small_captioner.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Two parameters, neither of which fills its place in the store. */
const SHAPES = { first: [7], second: [11, 9] };
const COUNT = 7 + 99;
const STEPS = 6;

function makeStore(gpu: Gpu): ParameterStore {
  const [first, second] = [normals("first", 7), normals("second", 99)];
  return new ParameterStore(gpu, [
    new Parameter(SHAPES.first, first, { name: "first" }),
    new Parameter(SHAPES.second, second, { name: "second" }),
  ]);
}

function gradientOf(step: number): Float32Array {
  return normals(`gradient ${step}`, COUNT).map((v) => 2 * v);
}

/** Put gradients where a backward pass would. */
function setGradients(store: ParameterStore, gradient: Float32Array): void {
  let from = 0;
  for (const { variable, initial } of store.trainable) {
    variable.slot!.write(gradient.subarray(from, from += initial.length));
    variable.grad = variable.slot;
  }
}

async function valuesOf(store: ParameterStore): Promise<Float32Array> {
  const parts = await Promise.all(store.parameters.map((p) => p.tensor.read()));
  return Float32Array.from(parts.flatMap((part) => [...part]));
}

interface Kind {
  name: string;
  make: (store: ParameterStore, options: OptimizerOptions) => Optimizer;
  /** A step of the twin, with a state of its own. */
  twin: (weightDecay: number) => (p: Float64Array, g: Float64Array, learningRate: number) => void;
}

const KINDS: Kind[] = [
  {
    name: "Sgd",
    make: (store, options) => new Sgd(store, { ...options, momentum: 0.8 }),
    twin: (weightDecay) => {
      const state = { velocity: new Float64Array(COUNT) };
      return (p, g, learningRate) =>
        sgdStep(p, g, state, { learningRate, momentum: 0.8, weightDecay });
    },
  },
  {
    name: "Sgd without momentum",
    make: (store, options) => new Sgd(store, options),
    twin: (weightDecay) => {
      const state = { velocity: new Float64Array(COUNT) };
      return (p, g, learningRate) => sgdStep(p, g, state, { learningRate, weightDecay });
    },
  },
  {
    name: "RmsProp",
    make: (store, options) => new RmsProp(store, { ...options, alpha: 0.9, epsilon: 1e-6 }),
    twin: (weightDecay) => {
      const state = { square: new Float64Array(COUNT) };
      return (p, g, learningRate) =>
        rmspropStep(p, g, state, { learningRate, alpha: 0.9, epsilon: 1e-6, weightDecay });
    },
  },
  {
    name: "Adam",
    make: (store, options) => new Adam(store, { ...options, beta1: 0.8, beta2: 0.95 }),
    twin: (weightDecay) => {
      const state = {
        step: 0,
        mean: new Float64Array(COUNT),
        square: new Float64Array(COUNT),
      };
      return (p, g, learningRate) =>
        adamStep(p, g, state, { learningRate, beta1: 0.8, beta2: 0.95, weightDecay });
    },
  },
];

const SETTINGS: OptimizerOptions[] = [
  { lr: 0.05 },
  { lr: 0.05, weightDecay: 0.1 },
  { lr: 0.05, clipNorm: 3 },
  { lr: 0.05, decayPerStep: 0.9, decayPerEpoch: 0.5, clipNorm: 1000, weightDecay: 0.01 },
];

for (const { name, make, twin } of KINDS) {
  gpuTest(`${name} follows its twin with every option`, async (gpu) => {
    for (const options of SETTINGS) {
      const { clipNorm, weightDecay = 0, decayPerStep = 1, decayPerEpoch = 1 } = options;
      using store = makeStore(gpu);
      using optimizer = make(store, options);
      const expected = Float64Array.from(await valuesOf(store));
      const step = twin(weightDecay);
      let lr = options.lr;
      for (let i = 0; i < STEPS; i++) {
        const gradient = Float64Array.from(gradientOf(i));
        setGradients(store, gradientOf(i));
        optimizer.step();
        if (clipNorm !== undefined) clipGradientNorm([gradient], clipNorm);
        step(expected, gradient, lr);
        lr *= decayPerStep;
        if (i === 2) {
          optimizer.endEpoch();
          lr *= decayPerEpoch;
        }
        assertAlmostEquals(optimizer.lr, lr, 1e-15);
      }
      assertEquals(optimizer.steps, STEPS);
      const error = relativeError(await valuesOf(store), expected);
      assertLess(error, 1e-5, `${JSON.stringify(options)}: ${error}`);
    }
  });

  gpuTest(`${name} goes on from its saved state bit for bit`, async (gpu) => {
    const options = { lr: 0.05, decayPerStep: 0.9, weightDecay: 0.01 };
    using whole = makeStore(gpu);
    using uninterrupted = make(whole, options);
    using store = makeStore(gpu);
    using first = make(store, options);
    for (let i = 0; i < STEPS; i++) {
      setGradients(whole, gradientOf(i));
      uninterrupted.step();
      if (i >= 3) continue;
      setGradients(store, gradientOf(i));
      first.step();
    }
    const state = await first.state();
    using second = make(store, { ...options, lr: 1 });
    second.loadState(state);
    for (let i = 3; i < STEPS; i++) {
      setGradients(store, gradientOf(i));
      second.step();
    }
    assertEquals(await valuesOf(store), await valuesOf(whole));
    assertEquals(await second.state(), await uninterrupted.state());
  });

  gpuTest(`${name} leaves the padding between parameters at zero`, async (gpu) => {
    using store = makeStore(gpu);
    using optimizer = make(store, { lr: 0.1, weightDecay: 0.1, clipNorm: 1 });
    for (let i = 0; i < 2; i++) {
      setGradients(store, gradientOf(i));
      optimizer.step();
    }
    const all = await store.values.read();
    assertEquals([all.length, store.count], [64 + 128, COUNT]);
    assert(
      all.subarray(7, 64).every((v) => v === 0) && all.subarray(64 + 99).every((v) => v === 0),
    );
  });
}

gpuTest("a step is one dispatch, two with a limit on the norm; a submit has 32 or more", (gpu) => {
  using store = makeStore(gpu);
  for (const [clipNorm, expected] of [[undefined, 1], [2, 2]] as const) {
    using optimizer = new Adam(store, { lr: 0.1, clipNorm });
    setGradients(store, gradientOf(0));
    gpu.flush();
    const { dispatches, submits } = { ...gpu.recorder.counts };
    for (let steps = 1; steps * expected < 32; steps++) {
      optimizer.step();
      assertEquals(gpu.recorder.counts.dispatches - dispatches, steps * expected);
    }
    assertEquals(gpu.recorder.counts.submits - submits, 0);
    optimizer.step();
    assertEquals(gpu.recorder.counts.submits - submits, 1);
  }
});

gpuTest("a parameter that no loss reached counts as having a zero gradient", async (gpu) => {
  using store = makeStore(gpu);
  using optimizer = new Sgd(store, { lr: 0.1 });
  setGradients(store, gradientOf(0));
  optimizer.step(); // leaves its gradients behind in the store
  const before = await valuesOf(store);
  const [first, second] = store.trainable;
  first.variable.slot!.write(new Float32Array(7).fill(1));
  first.variable.grad = first.variable.slot;
  optimizer.step();
  const after = await valuesOf(store);
  assertLess(relativeError(after.subarray(0, 7), before.subarray(0, 7).map((v) => v - 0.1)), 1e-6);
  assertEquals(after.subarray(7), before.subarray(7));
  assertEquals(second.variable.grad, undefined);
});

gpuTest("a limit on the norm leaves a zero gradient alone", async (gpu) => {
  using store = makeStore(gpu);
  using optimizer = new Sgd(store, { lr: 0.1, clipNorm: 1 });
  const before = await valuesOf(store);
  setGradients(store, new Float32Array(COUNT));
  optimizer.step();
  assertEquals(await valuesOf(store), before);
});

gpuTest("optimizers refuse options that cannot be", (gpu) => {
  using store = makeStore(gpu);
  const common: [OptimizerOptions, string][] = [
    [{ lr: 0 }, "The option lr must be a number above 0: it is 0"],
    [{ lr: NaN }, "lr must be a number above 0: it is NaN"],
    [{ lr: 0.1, decayPerStep: 1.5 }, "decayPerStep must be above 0, at most 1: it is 1.5"],
    [{ lr: 0.1, decayPerEpoch: 0 }, "decayPerEpoch must be above 0, at most 1: it is 0"],
    [{ lr: 0.1, clipNorm: 0 }, "clipNorm must be a number above 0: it is 0"],
    [{ lr: 0.1, weightDecay: -1 }, "weightDecay must be a number from 0: it is -1"],
  ];
  for (const { make } of KINDS) {
    for (const [options, message] of common) {
      assertThrows(() => make(store, options), RangeError, message);
    }
  }
  const lr = 0.1;
  assertThrows(() => new Sgd(store, { lr, momentum: 1 }), RangeError, "momentum must be from 0");
  assertThrows(() => new RmsProp(store, { lr, alpha: -0.1 }), RangeError, "alpha must be from 0");
  assertThrows(
    () => new RmsProp(store, { lr, epsilon: 0 }),
    RangeError,
    "epsilon must be a number",
  );
  assertThrows(() => new Adam(store, { lr, beta1: 1 }), RangeError, "beta1 must be from 0");
  assertThrows(() => new Adam(store, { lr, beta2: NaN }), RangeError, "beta2 must be from 0");
  assertThrows(() => new Adam(store, { lr, epsilon: -1 }), RangeError, "epsilon must be a number");
});

gpuTest("a state of another model or optimizer is refused, and nothing is written", async (gpu) => {
  using store = makeStore(gpu);
  using adam = new Adam(store, { lr: 0.1 });
  setGradients(store, gradientOf(0));
  adam.step();
  const before = await adam.state();
  const { tensors, values } = before as { tensors: Map<string, TensorData>; values: Plain };
  const moments = (...all: Float32Array<ArrayBuffer>[]): SavedState => ({
    tensors: new Map(all.map((data, i) => [`${i}`, { dtype: "F32", shape: [data.length], data }])),
    values,
  });
  const [first, second] = [...tensors.values()].map(({ data }) =>
    data as Float32Array<ArrayBuffer>
  );
  assertThrows(() => adam.loadState(moments(first)), UserError, "this one has 2 of 192");
  const short = moments(first, second.slice(1));
  assertThrows(() => adam.loadState(short), UserError, "buffers of [192, 191] numbers");
  const { steps, lr } = values as { steps: number; lr: number };
  const with_ = (values: Plain) => () => adam.loadState({ tensors, values });
  assertThrows(with_({ steps: -1, lr }), UserError, "steps must be a whole number from 0");
  assertThrows(with_({ steps, lr: NaN }), UserError, "lr must be");
  assertThrows(with_({ steps }), UserError, 'its "lr" is no number');
  const spoilt = moments(first, second.with(5, NaN) as Float32Array<ArrayBuffer>);
  assertThrows(() => adam.loadState(spoilt), UserError, "moment 5 must be a finite number");
  assertEquals(await adam.state(), before);
});
