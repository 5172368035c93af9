/** Layers against PyTorch: the losses of 20 steps of Adam. Their results and gradients are in the golden table. */
import { assertEquals, assertLess } from "@std/assert";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape, type Variable } from "../../models/tape/autograd.ts";
import { LayerNorm } from "../../models/layers/layers.ts";
import type { Module } from "../../models/layers/module.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { GRU, LSTM, RNN } from "../../models/layers/recurrent_layers.ts";
import {
  MultiheadAttention,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
} from "../../models/layers/transformer.ts";
import { BatchNorm1d } from "../../models/layers/vision_layers.ts";
import fixture from "../fixtures/layers_torch.json" with { type: "json" };
import { gpuTestBothPaths } from "../gpu_support.ts";

const [T, N, D, H, E, S] = [5, 3, 6, 7, 8, 4];

function formula(shape: readonly number[], seed: number): Float32Array<ArrayBuffer> {
  const size = shape.reduce((a, b) => a * b, 1);
  return Float32Array.from(
    { length: size },
    (_, i) => Math.sin(0.7 * i * i + 1.3 * i + seed),
  );
}

interface Case {
  layer: Module;
  shapes: number[][];
  run: (...inputs: Variable[]) => Variable[];
}

const two = { layers: 2, batchFirst: true };
const both = { ...two, bidirectional: true };
const small = { feedforward: 12, dropout: 0 };

const CASES: Record<string, () => Case> = {
  "RNN of two layers": () => {
    const layer = new RNN(D, H, two);
    const run = (x: Variable, h0: Variable) => Object.values(layer.forward(x, { h0 }));
    return { layer, shapes: [[N, T, D], [2, N, H]], run };
  },
  "LSTM of two layers in both directions": () => {
    const layer = new LSTM(D, H, both);
    const run = (x: Variable, h0: Variable, c0: Variable) => {
      const { output, h, c } = layer.forward(x, { h0, c0 });
      return [output, h, c];
    };
    return { layer, shapes: [[N, T, D], [4, N, H], [4, N, H]], run };
  },
  "GRU of two layers in both directions": () => {
    const layer = new GRU(D, H, both);
    const run = (x: Variable, h0: Variable) => Object.values(layer.forward(x, { h0 }));
    return { layer, shapes: [[N, T, D], [4, N, H]], run };
  },
  BatchNorm1d: () => {
    const layer = new BatchNorm1d(D);
    return { layer, shapes: [[N, D]], run: (x) => [layer.forward(x)] };
  },
  LayerNorm: () => {
    const layer = new LayerNorm(D);
    return { layer, shapes: [[N, T, D]], run: (x) => [layer.forward(x)] };
  },
  MultiheadAttention: () => {
    const layer = new MultiheadAttention(E, 2);
    const shapes = [[N, T, E], [N, S, E], [N, S, E]];
    return { layer, shapes, run: (q, k, v) => [layer.forward(q, k, v)] };
  },
  "MultiheadAttention, causal": () => {
    const layer = new MultiheadAttention(E, 4);
    return { layer, shapes: [[N, T, E]], run: (x) => [layer.forward(x, x, x, { causal: true })] };
  },
  TransformerEncoderLayer: () => {
    const layer = new TransformerEncoderLayer(E, 2, small);
    return { layer, shapes: [[N, T, E]], run: (x) => [layer.forward(x)] };
  },
  "TransformerEncoderLayer, gelu, norm first": () => {
    const layer = new TransformerEncoderLayer(E, 2, {
      ...small,
      activation: "gelu",
      normFirst: true,
    });
    return { layer, shapes: [[N, T, E]], run: (x) => [layer.forward(x)] };
  },
  TransformerDecoderLayer: () => {
    const layer = new TransformerDecoderLayer(E, 2, small);
    const run = (x: Variable, memory: Variable) => [layer.forward(x, memory, { causal: true })];
    return { layer, shapes: [[N, T, E], [N, S, E]], run };
  },
};

for (const [name, make] of Object.entries(CASES)) {
  gpuTestBothPaths(`${name}: the losses of 20 steps are PyTorch's`, async (gpu) => {
    const expected = (fixture as Record<string, number[]>)[name];
    const { layer, shapes, run } = make();
    const keys = layer.saved.flatMap(({ keys, parameter }) =>
      parameter.layout.slots.map(({ shape }, i) => ({ key: keys[i], shape }))
    ).filter(({ key }) => !/running/.test(key));
    const seeds = [...keys.map(({ key }) => key), ...layer.buffers.map(() => "running_")].sort();
    const dict = new Map(keys.map(({ key, shape }) => [key, {
      dtype: "F32" as const,
      shape: [...shape],
      data: formula(shape, seeds.indexOf(key)).map((value) => 0.4 * value),
    }]));
    layer.initialize().loadStateDict(dict, { strict: false });
    using _layer = layer.toGpu(gpu);
    using adam = new Adam(layer.store, { lr: 0.01 });
    const inputs = shapes.map((shape, i) => Tensor.from(gpu, formula(shape, 50 + i), shape));
    const losses: number[] = [];
    for (let step = 0; step < expected.length; step++) {
      using tape = new Tape(gpu);
      const variables = inputs.map((tensor) => tape.variable(tensor));
      const outputs = run(...variables);
      const loss = outputs.map((y, i) => {
        const weights = tape.keep(Tensor.from(gpu, formula(y.shape, 70 + i), y.shape));
        return y.mul(weights).mean();
      }).reduce((sum, one) => sum.add(one));
      loss.backward();
      adam.step();
      losses.push((await loss.tensor.read())[0]);
    }
    const largest = Math.max(...expected.map(Math.abs));
    assertEquals(losses.length, expected.length);
    assertLess(Math.max(...expected.map((loss, i) => Math.abs(losses[i] - loss))), 5e-6 * largest);
    for (const tensor of inputs) tensor.dispose();
  });
}
