/** What the golden table does not show of attention and transformer layers: first values, defaults, dropout, errors. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape, type Variable } from "../../models/tape/autograd.ts";
import type { Module } from "../../models/layers/module.ts";
import {
  MultiheadAttention,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
} from "../../models/layers/transformer.ts";
import { gpuTest } from "../gpu_support.ts";
import { checkDropping } from "./dropping.ts";

const initial = (layer: Module) =>
  new Map(layer.initialize(5).saved.map(({ keys: [key], parameter }) => [key, parameter.initial]));

Deno.test("attention begins as PyTorch's", () => {
  const values = initial(new MultiheadAttention(100, 4));
  const most = (key: string) => Math.max(...values.get(key)!.map(Math.abs));
  const near = (value: number, bound: number) => value <= bound && value > 0.99 * bound;
  // Xavier's bound of the 3 E rows and E columns that it is kept as.
  assert(near(most("in_proj_weight"), Math.sqrt(6 / 400)));
  assert(near(most("out_proj.weight"), 0.1));
  assertEquals([most("in_proj_bias"), most("out_proj.bias")], [0, 0]);
});

Deno.test("transformer layers have PyTorch's defaults", () => {
  for (const layer of [new TransformerEncoderLayer(4, 2), new TransformerDecoderLayer(4, 2)]) {
    assertEquals([layer.linear1.outputDim, layer.linear2.inputDim], [2048, 2048]);
    const dropouts = [layer.dropout, layer.selfAttn.dropout, layer.multiheadAttn?.dropout];
    assertEquals(dropouts.map((one) => one?.p ?? 0.1), [0.1, 0.1, 0.1]);
    assertEquals(layer.norm1.eps, 1e-5);
  }
});

gpuTest("attention and transformer layers drop while layer and tape are training", async (gpu) => {
  const values = Array.from({ length: 2 * 3 * 4 }, (_, i) => Math.sin(i));
  using x = Tensor.from(gpu, values, [2, 3, 4]);
  const makes: ((dropout: number) => Module & { forward(x: Tensor, y: Tensor): Variable })[] = [
    (dropout) => new MultiheadAttention(4, 2, { dropout }),
    (dropout) => new TransformerDecoderLayer(4, 2, { feedforward: 8, dropout }),
  ];
  for (const make of makes) {
    using dropping = make(0.5).toGpu(gpu, 1);
    using whole = make(0).toGpu(gpu, 1);
    await checkDropping(gpu, dropping, whole, (layer) => layer.forward(x, x));
  }
});

gpuTest("a causal mask is the same as its numbers, of any count of keys", async (gpu) => {
  using layer = new MultiheadAttention(4, 2).toGpu(gpu);
  for (const others of [2, 3, 5]) {
    const values = (steps: number) => Array.from({ length: steps * 4 }, (_, i) => Math.sin(i * i));
    using q = Tensor.from(gpu, values(3), [1, 3, 4]);
    using k = Tensor.from(gpu, values(others), [1, others, 4]);
    const forbidden = [0, 1, 2].flatMap((t) =>
      Array.from({ length: others }, (_, s) => s > t ? -Infinity : 0)
    );
    using mask = Tensor.from(gpu, forbidden, [3, others]);
    using tape = new Tape(gpu);
    const [a, b] = [layer.forward(q, k, k, { causal: true }), layer.forward(q, k, k, { mask })];
    assertEquals(await tape.keep(a.tensor).read(), await tape.keep(b.tensor).read());
  }
});

gpuTest("attention refuses what does not fit", (gpu) => {
  const refuse = (run: () => unknown, message: string) => assertThrows(run, TypeError, message);
  refuse(() => new MultiheadAttention(8, 3), "3 heads do not divide a width of 8");
  refuse(() => new TransformerEncoderLayer(8, 3), "3 heads do not divide a width of 8");
  using layer = new MultiheadAttention(4, 2).toGpu(gpu);
  const zeros = (...shape: number[]) => Tensor.zeros(gpu, shape, { name: "zeros" });
  using x = zeros(2, 3, 4);
  using longer = zeros(2, 5, 4);
  using flat = zeros(6, 4);
  using wide = zeros(2, 3, 5);
  using more = zeros(3, 3, 4);
  using _tape = new Tape(gpu);
  assertEquals(layer.forward(x, longer).shape, [2, 3, 4]);
  refuse(() => layer.forward(flat), `are [6, …, 4], and "zeros" has the shape [6, 4]`);
  refuse(() => layer.forward(wide), `are [2, …, 4], and "zeros" has the shape [2, 3, 5]`);
  refuse(() => layer.forward(x, more), `are [2, …, 4], and "zeros" has the shape [3, 3, 4]`);
  refuse(() => layer.forward(x, longer, x), "there are 5 keys and 3 values");
  refuse(() => layer.forward(x, x, x, { mask: longer }), "");
});
