/** How whole layers are called for the golden table: their numbers are loaded as a state dict of PyTorch. */
import type { PoolOptions } from "../../kernels/pool/windows.ts";
import type { Variable } from "../../models/tape/autograd.ts";
import { LayerNorm, Linear, Sequential } from "../../models/layers/layers.ts";
import type { Module } from "../../models/layers/module.ts";
import {
  GRU,
  LSTM,
  type RecurrentLayersOptions,
  type RecurrentOutput,
  RNN,
} from "../../models/layers/recurrent_layers.ts";
import {
  MultiheadAttention,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
} from "../../models/layers/transformer.ts";
import { AveragePool2d, BatchNorm1d, MaxPool2d } from "../../models/layers/vision_layers.ts";
import { type Call, call, type Context, type Results } from "./context.ts";

/** Give a layer the case's numbers. TypeError where its keys are not the case's, in this order. */
function load(c: Context<unknown>, layer: Module, inputs: readonly string[]): void {
  const results = new Set(Object.keys(c.golden.out).map((name) => `d${name}`));
  const given = Object.keys(c.golden.in).filter((name) =>
    !inputs.includes(name) && !results.has(name)
  );
  const keys = layer.saved.flatMap(({ keys }) => keys);
  if (keys.join() !== given.join()) {
    throw new TypeError(`The state dict has the keys ${keys}, and PyTorch's has ${given}`);
  }
  const parts = given.map((key) =>
    [key, { dtype: "F32" as const, shape: c.shape(key), data: c.floats(key) }] as const
  );
  layer.loadStateDict(new Map(parts));
  c.keep(layer.toGpu(c.gpu));
}

/** A layer's results, and the gradients of its inputs, of which some cases lack some, and of its parameters. */
function layerCall<P, M extends Module>(
  make: (p: P) => M,
  inputs: readonly string[],
  run: (
    layer: M,
    inputs: [Variable, ...(Variable | undefined)[]],
    p: P,
  ) => Record<string, Variable>,
): Call {
  return call<P>((c) => {
    const layer = make(c.p);
    layer.train((c.p as { training?: boolean }).training ?? true);
    load(c, layer, inputs);
    const variables = inputs.map((name) => c.optionalVariable(name));
    const results: Results = c.differentiateAll(
      run(layer, [variables[0]!, ...variables.slice(1)], c.p),
      Object.fromEntries(inputs.map((name, i) => [name, variables[i]])),
    );
    for (const { keys: [key], parameter: { layout, variable, frozen } } of layer.saved) {
      if (frozen) results[key] = variable.tensor;
      else {
        const encode = (values: Float32Array<ArrayBuffer>) => layout.encode(values)[0];
        results[`d${key}`] = { tensor: variable.grad!, encode };
      }
    }
    return results;
  });
}

interface Sizes extends RecurrentLayersOptions {
  d: number;
  h: number;
}

/** The initial states that a case has. */
const initial = <K extends string>(states: Record<K, Variable | undefined>) =>
  Object.fromEntries(Object.entries(states).filter(([, state]) => state !== undefined));

const hidden = (kind: typeof RNN | typeof GRU): Call =>
  layerCall(
    ({ d, h, ...options }: Sizes) => new kind(d, h, options),
    ["x", "h0"],
    (layer, [x, h0]): RecurrentOutput & Record<string, Variable> => ({
      ...layer.forward(x, initial({ h0 })),
    }),
  );

const lstm = (results: (all: ReturnType<LSTM["forward"]>) => Record<string, Variable>): Call =>
  layerCall(
    ({ d, h, ...options }: Sizes) => new LSTM(d, h, options),
    ["x", "h0", "c0"],
    (layer, [x, h0, c0]) => results(layer.forward(x, initial({ h0, c0 }))),
  );

/** A layer of one input. */
const simple = <P>(make: (p: P & { x: number[] }) => Module & { forward(x: Variable): Variable }) =>
  layerCall(make, ["x"], (layer, [x]) => ({ y: layer.forward(x) }));

interface Pool extends Omit<PoolOptions, "kernel"> {
  x: number[];
  kernel: number;
}

interface Layer extends TransformerLayerOptions {
  e: number;
  heads: number;
  causal?: boolean;
}

/** By the table's names. */
export const MODULE_CALLS: Record<string, Call> = {
  "RNN layer": hidden(RNN),
  "GRU layer": hidden(GRU),
  "LSTM layer": lstm((all) => ({ ...all })),
  "LayerNorm layer": simple(({ x }) => new LayerNorm(x.at(-1)!)),
  "BatchNorm1d layer": simple(({ x }) => new BatchNorm1d(x.at(-1)!)),
  "Sequential layer": simple(({ x }) =>
    new Sequential(
      new Linear(x.at(-1)!, 5),
      (x) => x.tanh(),
      new Sequential(new LayerNorm(5), new Linear(5, 3)),
      (x) => x.relu(),
    )
  ),
  "MaxPool2d layer": simple(({ x: _, kernel, ...options }: Pool) => new MaxPool2d(kernel, options)),
  "AveragePool2d layer": simple(({ x: _, kernel, ...options }: Pool) =>
    new AveragePool2d(kernel, options)
  ),
  "MultiheadAttention layer": layerCall(
    ({ e, heads }: Layer) => new MultiheadAttention(e, heads),
    ["query", "key", "value", "mask"],
    (layer, [query, key, value, mask], { causal = false }) => ({
      y: layer.forward(query, key, value, { causal, mask }),
    }),
  ),
  TransformerEncoderLayer: layerCall(
    ({ e, heads, ...options }: Layer) =>
      new TransformerEncoderLayer(e, heads, { ...options, dropout: 0 }),
    ["x"],
    (layer, [x], { causal = false }) => ({ y: layer.forward(x, { causal }) }),
  ),
  TransformerDecoderLayer: layerCall(
    ({ e, heads, ...options }: Layer) =>
      new TransformerDecoderLayer(e, heads, { ...options, dropout: 0 }),
    ["x", "memory"],
    (layer, [x, memory], { causal = false }) => ({ y: layer.forward(x, memory!, { causal }) }),
  ),
  "LSTM layer by its last cells": lstm(({ c }) => ({ c })),
};
