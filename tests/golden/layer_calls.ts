/** How neckar's layers and optimizers are called for the golden table: weights come and go in PyTorch's layout. */
import { RandomStream } from "../../data/rng.ts";
import type { WindowOptions } from "../../kernels/conv2d/conv2d.ts";
import { uploadIndices } from "../../kernels/embedding/embedding.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape, type Variable } from "../../models/tape/autograd.ts";
import { embedding } from "../../models/tape/operations.ts";
import {
  type CellType,
  Dropout,
  Embedding,
  Linear,
  Recurrent,
} from "../../models/layers/layers.ts";
import {
  Adam,
  AdamW,
  type Optimizer,
  type OptimizerOptions,
  RmsProp,
  Sgd,
} from "../../models/training/optimizers.ts";
import { Parameter, ParameterStore } from "../../models/layers/parameters.ts";
import { BatchNorm2d, Conv2d } from "../../models/layers/vision_layers.ts";
import { WeightAverage } from "../../models/training/weight_average.ts";
import { type Call, call, type Context, type Results } from "./context.ts";

/** Give layers' parameters the case's numbers, by the names of its inputs, and put them on the GPU. */
function load(c: Context<unknown>, parameters: Record<string, Parameter | undefined>): void {
  const there = Object.entries(parameters).flatMap(([name, p]) =>
    p === undefined ? [] : [{ name, p }]
  );
  for (const { name, p } of there) {
    const { slots, decode } = p.layout;
    const first = c.floats(name);
    p.name = name;
    p.write(decode(slots.map((_, i) => i === 0 ? first : new Float32Array(first.length))));
  }
  c.keep(new ParameterStore(c.gpu, there.map(({ p }) => p)));
}

/** A layer's result, and the gradients of its inputs and parameters. */
function differentiate(
  c: Context<unknown>,
  name: string,
  y: Variable,
  inputs: Record<string, Variable>,
  parameters: Record<string, Parameter | undefined>,
): Results {
  const results: Results = c.differentiate(name, y, inputs);
  for (const [key, parameter] of Object.entries(parameters)) {
    if (parameter === undefined) continue;
    const { encode } = parameter.layout;
    results[`d${key}`] = {
      tensor: parameter.variable.grad!,
      encode: (values) => encode(values)[0],
    };
  }
  return results;
}

const recurrent = (kind: CellType): Call =>
  call<{ d: number; h: number }>((c) => {
    const layer = new Recurrent(kind, c.p.d, c.p.h);
    const parameters = { wx: layer.wx, wh: layer.wh, b: layer.b };
    load(c, parameters);
    const inputs = { x: c.variable("x"), h0: c.variable("h0") };
    return differentiate(c, "h", layer.forward(inputs.x, inputs.h0), inputs, parameters);
  });

interface Steps extends OptimizerOptions {
  steps: number;
  decay?: number;
  maxNorm?: number;
}

/** Steps of an optimizer along given gradients. */
function optimizer<P extends Steps>(make: (store: ParameterStore, options: P) => Optimizer): Call {
  return call<P>((c) => {
    const w = new Parameter(c.shape("w"), c.floats("w"), { name: "w" });
    const store = c.keep(new ParameterStore(c.gpu, [w]));
    const { decay: decayPerStep = 1, maxNorm: clipNorm } = c.p;
    const moving = c.keep(make(store, { ...c.p, decayPerStep, clipNorm }));
    for (let i = 0; i < c.p.steps; i++) {
      const gradient = c.tensor(`g${i}`);
      c.tape.pass(w.variable, gradient);
      moving.step();
    }
    return { w: w.tensor };
  });
}

/** By the table's names. */
export const LAYER_CALLS: Record<string, Call> = {
  "Linear layer": call<{ d: number; k: number; bias: boolean }>((c) => {
    const layer = new Linear(c.p.d, c.p.k, { bias: c.p.bias });
    const parameters = { w: layer.weight, b: layer.bias };
    load(c, parameters);
    const x = c.variable("x");
    return differentiate(c, "y", layer.forward(x), { x }, parameters);
  }),
  "Conv2d layer": call<WindowOptions & { w: number[]; bias: boolean }>((c) => {
    const { w: [out, depth, kernel], bias, stride = 1, padding = 0, dilation = 1, groups = 1 } =
      c.p;
    const options = { stride, padding, dilation, groups, bias };
    const layer = new Conv2d(depth * groups, out, kernel, options);
    const parameters = { w: layer.weight, b: layer.bias };
    load(c, parameters);
    const x = c.variable("x");
    return differentiate(c, "y", layer.forward(x), { x }, parameters);
  }),
  "BatchNorm2d layer": call<{ x: number[]; training: boolean }>((c) => {
    const layer = new BatchNorm2d(c.p.x.at(-1)!);
    const parameters = { weight: layer.weight, bias: layer.bias };
    const { runningMean, runningVar } = layer;
    load(c, { ...parameters, runningMean, runningVar });
    const x = c.variable("x");
    const y = layer.forward(x, { batchStatistics: c.p.training });
    const results = differentiate(c, "y", y, { x }, parameters);
    return { ...results, mean: runningMean.tensor, var: runningVar.tensor };
  }),
  "Embedding layer": call<{ rows: number; width: number }>((c) => {
    const layer = new Embedding(c.p.rows, c.p.width);
    const parameters = { table: layer.weight };
    load(c, parameters);
    const ids = c.keep(uploadIndices(c.gpu, c.numbers("ids"), c.p.rows));
    return differentiate(c, "y", layer.forward(ids), {}, parameters);
  }),
  "Dropout layer": call<{ p: number; seed: number }>((c) => {
    const x = c.variable("x");
    const y = new Dropout(c.p.p, new RandomStream(c.p.seed)).forward(x);
    return differentiate(c, "y", y, { x }, {});
  }),
  "Recurrent layer rnn": recurrent("rnn"),
  "Recurrent layer lstm": recurrent("lstm"),
  Sgd: optimizer<Steps & { momentum?: number; nesterov?: boolean }>((store, options) =>
    new Sgd(store, options)
  ),
  RmsProp: optimizer((store, options) => new RmsProp(store, options)),
  Adam: optimizer((store, options) => new Adam(store, options)),
  AdamW: optimizer((store, options) => new AdamW(store, options)),
  "Adam on a sparse table": call<{ rows: number; steps: number; lr: number }>((c) => {
    const table = new Parameter(c.shape("w"), c.floats("w"), { name: "w" });
    table.sparse = true;
    const store = c.keep(new ParameterStore(c.gpu, [table]));
    const adam = c.keep(new Adam(store, { lr: c.p.lr }));
    for (let i = 0; i < c.p.steps; i++) {
      const ids = c.keep(uploadIndices(c.gpu, c.numbers(`ids${i}`), c.p.rows));
      const tape = c.keep(new Tape(c.gpu));
      const found = embedding(table.variable, ids);
      const end = tape.record(Tensor.zeros(c.gpu, []), [found], () => {
        tape.pass(found, c.tensor(`g${i}`));
      });
      tape.backward(end);
      adam.step();
    }
    return { w: table.tensor };
  }),
  WeightAverage: call<{ steps: number; decay: number }>((c) => {
    const w = new Parameter(c.shape("w"), c.floats("w"), { name: "w" });
    const store = c.keep(new ParameterStore(c.gpu, [w]));
    const average = c.keep(new WeightAverage(store, c.p.decay));
    for (let i = 0; i < c.p.steps; i++) {
      w.write(c.floats(`g${i}`));
      average.update();
    }
    average.swap();
    return { average: w.tensor };
  }),
};
