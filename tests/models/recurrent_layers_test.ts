/** What the golden table does not show of RNN, LSTM and GRU: names, first values, dropout, errors. */
import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { GRU, LSTM, RNN } from "../../models/layers/recurrent_layers.ts";
import { gpuTest } from "../gpu_support.ts";
import { checkDropping, numbersOf } from "./dropping.ts";

const keysOf = (layer: RNN | LSTM | GRU) => layer.saved.flatMap(({ keys }) => keys);

Deno.test("recurrent layers have PyTorch's names, with biases and without", () => {
  const one = ["weight_ih_l0", "weight_hh_l0"];
  for (const kind of [RNN, LSTM, GRU]) {
    assertEquals(keysOf(new kind(2, 3)), [...one, "bias_ih_l0", "bias_hh_l0"]);
    assertEquals(keysOf(new kind(2, 3, { bias: false })), one);
    const names = keysOf(new kind(2, 3, { layers: 2, bidirectional: true, bias: false }));
    const each = ["l0", "l0_reverse", "l1", "l1_reverse"];
    assertEquals(names, each.flatMap((end) => [`weight_ih_${end}`, `weight_hh_${end}`]));
  }
});

Deno.test("recurrent layers begin with numbers within 1/√H, each parameter with its own", () => {
  for (const [kind, gates] of [[RNN, 1], [LSTM, 4], [GRU, 3]] as const) {
    const layer = new kind(50, 100).initialize(3);
    const [wx, wh, bx, bh] = layer.parameters.map(({ initial }) => initial);
    assertEquals([wx, wh, bx, bh].map(({ length }) => length / gates / 100), [50, 100, 1, 1]);
    for (const values of [wx, wh, bx, bh]) {
      const deviation = Math.hypot(...values) / Math.sqrt(values.length);
      assert(values.every((value) => Math.abs(value) <= 0.1));
      assert(Math.abs(deviation - 0.1 / Math.sqrt(3)) < 0.01, `${deviation}`);
    }
    assertNotEquals(bx, bh);
  }
});

gpuTest(
  "recurrent layers drop between layers while training, and not after the last",
  async (gpu) => {
    const values = Array.from({ length: 4 * 3 * 2 }, (_, i) => Math.sin(i));
    using x = Tensor.from(gpu, values, [4, 3, 2]);
    for (const kind of [RNN, LSTM, GRU]) {
      const forward = (layer: RNN | LSTM | GRU) => layer.forward(x).output;
      using dropping = new kind(2, 5, { layers: 2, dropout: 0.5 }).toGpu(gpu, 1);
      using whole = new kind(2, 5, { layers: 2 }).toGpu(gpu, 1);
      await checkDropping(gpu, dropping, whole, forward);
      using single = new kind(2, 5, { dropout: 0.5 }).toGpu(gpu, 1);
      using other = new kind(2, 5).toGpu(gpu, 1);
      const run = (layer: RNN | LSTM | GRU) => numbersOf(gpu, () => forward(layer));
      assertEquals(await run(single), await run(other));
    }
  },
);

gpuTest("recurrent layers refuse what does not fit", (gpu) => {
  using x = Tensor.zeros(gpu, [4, 1, 2]);
  using wrong = Tensor.zeros(gpu, [4, 1, 3]);
  using flat = Tensor.zeros(gpu, [4, 2]);
  using _tape = new Tape(gpu);
  for (const kind of [RNN, LSTM, GRU]) {
    for (const layers of [0, 1.5]) {
      assertThrows(() => new kind(2, 3, { layers }), RangeError, `from 1: it is ${layers}`);
    }
    assertThrows(() => new kind(2, 3, { dropout: 1 }), RangeError, "less than 1");
    using layer = new kind(2, 3, { layers: 2 }).toGpu(gpu);
    using batchFirst = new kind(2, 3, { batchFirst: true }).toGpu(gpu);
    assertThrows(() => layer.forward(wrong), TypeError, "reads [T, N, 2]");
    assertThrows(() => batchFirst.forward(flat), TypeError, "reads [N, T, 2]");
    assertThrows(() => layer.forward(x, { h0: x }), TypeError, "h0 must have the shape [2, 1, 3]");
  }
  using lstm = new LSTM(2, 3).toGpu(gpu);
  assertThrows(() => lstm.forward(x, { c0: x }), TypeError, "c0 must have the shape [1, 1, 3]");
});
