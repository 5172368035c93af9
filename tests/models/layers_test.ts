/** Layers: PyTorch's names and layouts, first values, and dropout's masks. */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { UserError } from "../../data/files/user_error.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../../models/tape/autograd.ts";
import {
  type Initializer,
  kaimingNormal,
  normal,
  scaledNormal,
  uniform,
  xavierUniform,
  zeros,
} from "../../models/layers/init.ts";
import {
  Dropout,
  Embedding,
  gatesFromTorch,
  gatesToTorch,
  LayerNorm,
  Linear,
  Recurrent,
  Sequential,
  transpose,
} from "../../models/layers/layers.ts";
import { Module } from "../../models/layers/module.ts";
import {
  BatchNorm1d,
  BatchNorm2d,
  type BatchNormCall,
  Conv2d,
} from "../../models/layers/vision_layers.ts";
import { gpuTest } from "../gpu_support.ts";
import { RUNS } from "./torch_captioner.ts";
import { smallCaptioner } from "./small_captioner.ts";

function slots({ saved }: Module): Record<string, number[]> {
  return Object.fromEntries(
    saved.flatMap(({ keys, parameter: { layout } }) =>
      layout.slots.map(({ shape }, i) => [keys[i], [...shape]])
    ),
  );
}

/** The numbers 0, 1, 2, … */
function counting(count: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: count }, (_, i) => i);
}

gpuTest("a captioner's keys and shapes are those of PyTorch", (gpu) => {
  for (const { config, initial } of RUNS) {
    using captioner = smallCaptioner(gpu, config.cell, config);
    const torch = [...initial].map(([key, { shape }]) => [key, shape]);
    assertEquals(slots(captioner), Object.fromEntries(torch));
  }
});

Deno.test("a linear layer's weight is PyTorch's, transposed", () => {
  const layer = new Linear(2, 3);
  const { weight } = layer;
  assertEquals(slots(layer), { weight: [3, 2], bias: [3] });
  assertEquals(weight.layout.encode(counting(6)), [Float32Array.of(0, 3, 1, 4, 2, 5)]);
  assertEquals(weight.layout.decode([Float32Array.of(0, 3, 1, 4, 2, 5)]), counting(6));
  const plain = new Linear(2, 3, { bias: false });
  assertEquals([plain.bias, plain.parameters.length], [undefined, 1]);
});

Deno.test("a table of word vectors is stored as it is", () => {
  const layer = new Embedding(4, 3);
  const { weight } = layer;
  assertEquals(slots(layer), { weight: [4, 3] });
  assertEquals(weight.layout.encode(counting(12)), [counting(12)]);
});

Deno.test("an LSTM's gates f, i, c̃, o become PyTorch's i, f, g, o and back", () => {
  // Two rows of two units: the columns are f f i i c c o o.
  const ours = counting(16);
  const torch = Float32Array.of(2, 3, 0, 1, 4, 5, 6, 7, 10, 11, 8, 9, 12, 13, 14, 15);
  assertEquals(gatesToTorch(ours, 2), torch);
  assertEquals(gatesFromTorch(torch, 2), ours);

  const { wx, wh, b } = new Recurrent("lstm", 2, 2);
  assertEquals(wx.layout.encode(ours), [transpose(torch, 2, 8)]);
  assertEquals(wh.layout.decode([transpose(torch, 2, 8)]), ours);
  const first = Float32Array.of(2, 3, 0, 1, 4, 5, 6, 7);
  assertEquals(b.layout.encode(counting(8)), [first, new Float32Array(8)]);
  // Both of PyTorch's biases count.
  const second = Float32Array.of(10, 20, 30, 40, 50, 60, 70, 80);
  assertEquals(b.layout.decode([first, second]), Float32Array.of(30, 41, 12, 23, 54, 65, 76, 87));
});

Deno.test("an RNN has one block", () => {
  const layer = new Recurrent("rnn", 3, 2);
  assertEquals(slots(layer), {
    "weight_ih_l0": [2, 3],
    "weight_hh_l0": [2, 2],
    "bias_ih_l0": [2],
    "bias_hh_l0": [2],
  });
  const halves = [Float32Array.of(1, 2), Float32Array.of(0.5, 0.25)];
  assertEquals(layer.b.layout.decode(halves), Float32Array.of(1.5, 2.25));
});

Deno.test("first values have the deviation they promise, and come from the stream alone", () => {
  const shape = [100, 60];
  const deviation = (init: Initializer) => {
    const values = init(shape, new RandomStream(5));
    assertEquals(values, init(shape, new RandomStream(5)));
    assertEquals(values.length, 6000);
    const mean = values.reduce((a, b) => a + b, 0) / 6000;
    assertLess(Math.abs(mean), 0.05);
    return Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / 6000);
  };
  assertEquals(deviation(zeros), 0);
  assertAlmostEquals(deviation(normal(0.5)), 0.5, 0.02);
  assertAlmostEquals(deviation(uniform(0.6)), 0.6 / Math.sqrt(3), 0.02);
  assertAlmostEquals(deviation(scaledNormal), 0.1, 0.005);
  assertAlmostEquals(deviation(xavierUniform), Math.sqrt(2 / 160), 0.005);
  assertAlmostEquals(deviation(kaimingNormal), Math.sqrt(2 / 100), 0.005);
  const bounded = uniform(0.6)(shape, new RandomStream(5));
  assert(bounded.every((v) => Math.abs(v) <= Math.fround(0.6)));
});

class Two extends Module {
  constructor(readonly a: Linear, readonly b: Linear) {
    super();
  }
}

Deno.test("a layer's values depend on its name and the seed, and not on the layers before it", () => {
  const two = (outputs: number) => new Two(new Linear(2, outputs), new Linear(2, 3));
  const drawn = two(3).initialize(9);
  assertEquals(two(7).initialize(9).b.weight.initial, drawn.b.weight.initial);
  assert(drawn.a.weight.initial.some((v, i) => v !== drawn.b.weight.initial[i]));
  assert(two(3).initialize(8).b.weight.initial.some((v, i) => v !== drawn.b.weight.initial[i]));
  const { weight } = new Linear(2, 3);
  assertThrows(() => weight.initial, ReferenceError, "has no values yet");
});

Deno.test("layers begin as PyTorch's: uniform within 1 over the root of what is read", () => {
  const spread = (values: Float32Array) => {
    const [least, most] = [Math.min(...values), Math.max(...values)];
    const square = values.reduce((sum, v) => sum + v * v, 0) / values.length;
    return [least, most, Math.sqrt(3 * square)];
  };
  const close = (values: Float32Array, bound: number) => {
    for (const [i, value] of spread(values).entries()) {
      assertAlmostEquals(value, i === 0 ? -bound : bound, 0.05 * bound);
    }
  };
  const linear = new Linear(100, 300).initialize(1);
  close(linear.weight.initial, 0.1);
  close(linear.bias!.initial, 0.1);
  const cell = new Recurrent("lstm", 7, 64).initialize(1);
  close(cell.wx.initial, 0.125);
  close(cell.wh.initial, 0.125);
  // The sum of two: √2 as wide.
  const [, , deviation] = spread(cell.b.initial);
  assertAlmostEquals(deviation, Math.SQRT2 * 0.125, 0.02);
  const conv = new Conv2d(4, 90, 5).initialize(1);
  close(conv.weight.initial, 0.1);
  close(conv.bias!.initial, 0.1);
});

gpuTest(
  "a dropout layer draws a new mask each time, and the same ones from the same seed",
  async (gpu) => {
    using data = Tensor.from(gpu, new Float32Array(100).fill(1), [100]);
    using _tape = new Tape(gpu);
    const masks = async () => {
      const layer = new Dropout(0.5, new RandomStream(3));
      const draw = () => layer.forward(constant(data)).tensor.read();
      return [await draw(), await draw()];
    };
    const [first, second] = await masks();
    assert(first.some((v, i) => v !== second[i]));
    assertEquals(await masks(), [first, second]);

    using _evaluation = new Tape(gpu, { training: false });
    const x = constant(data);
    const stream = new RandomStream(3);
    assert(new Dropout(0.5, stream).forward(x) === x);
    assert(new Dropout(0, stream).forward(x) === x);
    assertEquals(stream.state.position, 0);
    for (const p of [1, -0.5, NaN]) {
      assertThrows(() => new Dropout(p, stream), RangeError, `and ${p} was given`);
    }
  },
);

Deno.test("parts of a Sequential are named by their place, functions too", () => {
  const inner = new Sequential(new LayerNorm(3), (x) => x.relu(), new Linear(3, 1));
  class Network extends Module {
    readonly net = new Sequential(new Linear(2, 3), (x) => x.tanh(), inner);
  }
  const keys = (one: Module) => one.saved.flatMap(({ keys }) => keys);
  assertEquals(keys(inner), ["0.weight", "0.bias", "2.weight", "2.bias"]);
  assertEquals(
    keys(new Network()),
    ["net.0.weight", "net.0.bias", ...keys(inner).map((key) => `net.2.${key}`)],
  );
});

gpuTest(
  "batch norms take the batch's statistics while layer and tape are training",
  async (gpu) => {
    using x = Tensor.from(gpu, [1, 10, 3, 30], [2, 2]);
    using norm = new BatchNorm1d(2, { momentum: 0.5 }).toGpu(gpu);
    const run = async (training: boolean, options: BatchNormCall = {}) => {
      using tape = new Tape(gpu, { training });
      return [...await tape.keep(norm.forward(x, options).tensor).read()].map(Math.round);
    };
    assertEquals(await run(false), [1, 10, 3, 30]);
    assertEquals([...await norm.runningMean.tensor.read()], [0, 0]);
    assertEquals(await run(true), [-1, -1, 1, 1]);
    assertEquals([...await norm.runningMean.tensor.read()], [1, 10]);
    assertEquals(await run(true, { relu: true, residual: constant(x) }), [0, 9, 4, 31]);
    norm.eval();
    const still = [...await norm.runningVar.tensor.read()];
    await run(true);
    assertEquals([...await norm.runningVar.tensor.read()], still);
    assertEquals(await run(true, { batchStatistics: true }), [-1, -1, 1, 1]);
  },
);

gpuTest("norms refuse other axes and channels", (gpu) => {
  using flat = Tensor.zeros(gpu, [4, 3], { name: "flat" });
  using maps = Tensor.zeros(gpu, [2, 4, 4, 3], { name: "maps" });
  using one = new BatchNorm1d(3).toGpu(gpu);
  using two = new BatchNorm2d(3).toGpu(gpu);
  using wide = new BatchNorm1d(4).toGpu(gpu);
  using layer = new LayerNorm(1).toGpu(gpu);
  using _tape = new Tape(gpu);
  assertEquals(one.forward(flat).shape, [4, 3]);
  assertEquals(two.forward(maps).shape, [2, 4, 4, 3]);
  const refuse = (run: () => unknown, message: string) => assertThrows(run, TypeError, message);
  refuse(
    () => one.forward(maps),
    `reads [N, C] or [N, T, C], and "maps" has the shape [2, 4, 4, 3]`,
  );
  refuse(() => two.forward(flat), `reads [N, H, W, C], and "flat" has the shape [4, 3]`);
  refuse(() => wide.forward(flat), `A batch norm of 4 channels reads`);
  refuse(() => layer.forward(flat), `A LayerNorm of 1 elements reads [..., 1], and "flat"`);
});

Deno.test("PyTorch's count of batches is passed over, and other keys are not", () => {
  const network = new Sequential(new BatchNorm1d(1));
  const one = { dtype: "F32" as const, shape: [1], data: Float32Array.of(2) };
  const keys = ["weight", "bias", "running_mean", "running_var"];
  const dict = new Map<string, TensorData>(keys.map((key) => [`0.${key}`, one]));
  dict.set("0.num_batches_tracked", { dtype: "I64", shape: [], data: BigInt64Array.of(3n) });
  assertEquals(network.loadStateDict(dict), { missing: [], unexpected: [], misshapen: [] });
  dict.set("0.batches", one);
  assertThrows(() => network.loadStateDict(dict), UserError, "unexpected: ");
});
