/** Layers: PyTorch's names and layouts, first values, and dropout's masks. */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../../models/autograd.ts";
import {
  type Initializer,
  kaimingNormal,
  normal,
  scaledNormal,
  uniform,
  xavierUniform,
  zeros,
} from "../../models/init.ts";
import {
  Dropout,
  Embedding,
  gatesFromTorch,
  gatesToTorch,
  Linear,
  Recurrent,
  transpose,
} from "../../models/layers.ts";
import { Module } from "../../models/module.ts";
import { Conv2d } from "../../models/vision_layers.ts";
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
