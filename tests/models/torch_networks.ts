/** Runs of the vision networks against those stored by tests/fixtures/networks_torch.py. */
import { assert, assertEquals } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { sizeOf, Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, type Variable } from "../../models/tape/autograd.ts";
import { crossEntropy } from "../../models/tape/cross_entropy.ts";
import { adaptiveAveragePool2d } from "../../models/tape/image_operations.ts";
import { conv2d } from "../../models/tape/operations.ts";
import { Sgd } from "../../models/training/optimizers.ts";
import type { Parameter } from "../../models/layers/parameters.ts";
import { type BackboneName, makeBackbone } from "../../models/pictures/pretrained.ts";
import { SqueezeNet11, SQUEEZENET_MODULES } from "../../models/pictures/squeezenet.ts";
import { stateDict } from "../../models/layers/state_dict.ts";
import type { Learned, VisionModel } from "../../models/pictures/vision_model.ts";

type Values = Float32Array<ArrayBuffer>;
type Dict = ReadonlyMap<string, TensorData>;
/** By key of the state dict; the numbers are one string. */
type Summaries = Record<string, string | undefined>;

/** A run as the fixtures hold it. */
export interface TorchRun {
  backbone: string;
  classes: number;
  learned: string;
  statistics: string;
  labels: number[];
  scores: string;
  losses: number[];
  gradients: Summaries;
  statistics_moved: Summaries;
  changes: Summaries;
}

/** The largest relative error over tensors or steps, and where it is. */
export interface KeyedError {
  key: string;
  error: number;
}

/** How far a run is from PyTorch's. */
export interface RunErrors {
  /** In evaluation. */
  scores: KeyedError;
  losses: KeyedError;
  /** Of the first step. */
  gradients: KeyedError;
  /** By which the running statistics move in the first step; where they do not, none. */
  statistics: KeyedError;
  /** Of everything learned or moved, over all steps. */
  changes: KeyedError;
}

/** Where a name's random words begin: its FNV-1a hash. */
function startOf(name: string): number {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name)) hash = Math.imul(hash ^ byte, 0x01000193);
  return hash;
}

/** A random 32-bit word: MurmurHash3's last step. */
function word(counter: number): number {
  let x = Math.imul(counter ^ (counter >>> 16), 0x85ebca6b);
  x = Math.imul(x ^ (x >>> 13), 0xc2b2ae35);
  return x ^ (x >>> 16);
}

/** `offset + scale u` for numbers u spread evenly over -1 to 1. */
function evenly(name: string, count: number, scale: number, offset = 0): Values {
  const start = startOf(name);
  const values = new Float32Array(count);
  for (let i = 0; i < count; i++) {
    values[i] = offset + scale * ((word(start + i | 0) >>> 0) / 2 ** 31 - 1);
  }
  return values;
}

/** Pictures of noise `[N, size, size, 3]`. */
export function noise(batch: number, size: number, step: number): Values {
  return evenly(`pictures ${step}`, batch * size * size * 3, 2);
}

/** The values of a tensor of a state dict. */
export function formula(key: string, shape: readonly number[]): TensorData {
  const kernel = Math.sqrt((shape.length === 4 ? 6 : 1) / sizeOf(shape.slice(1)));
  const [scale, offset] = shape.length > 1
    ? [kernel, 0]
    : key.endsWith("running_var")
    ? [1 / 2, 1]
    : [1 / 8, key.endsWith("weight") ? 3 / 8 : 0];
  return { dtype: "F32", shape: [...shape], data: evenly(key, sizeOf(shape), scale, offset) };
}

/** Draws nothing: these networks get their weights at once, and eleven million numbers take seconds to draw. */
class Undrawn extends RandomStream {
  override split(): RandomStream {
    return this;
  }

  override normal(): number {
    return 0;
  }
}

/** A network for some runs. */
export function makeTorchNetwork(
  gpu: Gpu,
  { backbone, classes, learned }: Pick<TorchRun, "backbone" | "classes" | "learned">,
): VisionModel {
  const model = makeBackbone(backbone as BackboneName, classes);
  return model.learn(learned as Learned).toGpu(gpu, new Undrawn(0));
}

function normOf(x: Float32Array): number {
  let squares = 0;
  for (let i = 0; i < x.length; i++) squares += x[i] * x[i];
  return Math.sqrt(squares);
}

/**
 * How far a tensor is from its stored summary: its norm and its products with random signs relative to the
 * norm, which counts as `least` or more, single numbers relative to their size.
 */
function summaryError(key: string, x: Float32Array, stored: string, least = 1e-12): number {
  const [norm, ...rest] = stored.split(" ").map(Number);
  const scale = Math.max(norm, least);
  const start = startOf(key);
  const products = [0, 0, 0];
  for (let i = 0; i < x.length; i++) {
    const signs = word(start + i | 0);
    for (let j = 0; j < 3; j++) products[j] += signs >>> j & 1 ? -x[i] : x[i];
  }
  const samples = rest.slice(products.length);
  const error = Math.max(
    Math.abs(normOf(x) - norm) / scale,
    ...products.map((product, j) => Math.abs(product - rest[j]) / scale),
    ...samples.map((expected, i) => {
      const typical = Math.max(Math.abs(expected), scale / Math.sqrt(x.length));
      return Math.abs(x[Math.floor(i * x.length / samples.length)] - expected) / typical;
    }),
  );
  assert(Number.isFinite(error), `${key} is not finite`);
  return error;
}

/** The largest error over tensors, and whose it is. Both sides must have the same keys. */
function largestError(
  got: ReadonlyMap<string, Float32Array>,
  stored: Summaries,
  least: (key: string) => number = () => 1e-12,
): KeyedError {
  assertEquals([...got.keys()].sort(), Object.keys(stored).sort());
  let worst: KeyedError = { key: "", error: 0 };
  for (const [key, values] of got) {
    const error = summaryError(key, values, stored[key]!, least(key));
    if (error > worst.error) worst = { key, error };
  }
  return worst;
}

/** Gradients under the keys and in the layout of the state dict. */
async function readGradients({ saved }: VisionModel): Promise<Map<string, Values>> {
  const gradients = new Map<string, Values>();
  for (const { keys, parameter: { frozen, layout, variable } } of saved) {
    if (frozen) continue;
    const parts = layout.encode(await variable.grad!.read());
    keys.forEach((key, i) => gradients.set(key, parts[i]));
  }
  return gradients;
}

/** What was added to tensors. */
async function readChanges(
  model: VisionModel,
  parameters: readonly Parameter[],
  before: Dict,
): Promise<Map<string, Values>> {
  const after = await stateDict(
    model.saved.filter(({ parameter }) => parameters.includes(parameter)),
  );
  return new Map(
    [...after].map(([key, { data }]) => {
      const old = before.get(key)!.data as Values;
      return [key, (data as Values).map((value, i) => value - old[i])];
    }),
  );
}

/** The forward pass of training; SqueezeNet's without its dropout, as in the fixture. */
function trainingScores(model: VisionModel, x: Variable, run: TorchRun): Variable {
  if (!(model instanceof SqueezeNet11)) {
    return model.forward(x, { batchStatistics: run.statistics === "batch" });
  }
  const last = SQUEEZENET_MODULES - 1;
  const map = model.featureMaps(x, [last]).get(last)!;
  const [weight, bias] = model.head.parameters.map(({ variable }) => variable);
  const pooled = adaptiveAveragePool2d(conv2d(map, weight, bias, { relu: true }));
  return pooled.reshape([x.shape[0], model.classes]);
}

/** Float32 rounds the weights at each step: of a change, this share of them counts as rounding. */
const ROUNDING = 1e-3;

/**
 * Do a run: how far it is from PyTorch's. `pixels` gives the pictures of a step; weights that are not `given`
 * come from the formula.
 */
export async function compareWithTorch(
  model: VisionModel,
  run: TorchRun,
  pixels: (step: number) => Values,
  given: Dict = new Map(),
): Promise<RunErrors> {
  const { gpu } = model.store;
  const before = new Map(
    model.saved.map(({ keys: [key], parameter: { layout: { slots: [{ shape }] } } }) => [
      key,
      given.get(key) ?? formula(key, shape),
    ]),
  );
  model.load(before);

  const batch = run.labels.length;
  const size = Math.sqrt(pixels(0).length / (3 * batch));
  const upload = (step: number) => Tensor.from(gpu, pixels(step), [batch, size, size, 3]);
  using targets = Tensor.from(gpu, Uint32Array.from(run.labels), [batch], { dtype: "u32" });
  using optimizer = new Sgd(model.store, { lr: 1e-3, momentum: 0.9 });
  const none: KeyedError = { key: "none", error: 0 };
  const errors: RunErrors = {
    ...{ scores: none, losses: none, gradients: none, statistics: none, changes: none },
  };
  {
    using x = upload(0);
    using _tape = new Tape(gpu, { training: false });
    const scores = await model.forward(constant(x)).tensor.read();
    errors.scores = { key: "scores", error: summaryError("scores", scores, run.scores) };
  }
  for (const [step, expected] of run.losses.entries()) {
    using x = upload(step);
    using tape = new Tape(gpu);
    const loss = crossEntropy(trainingScores(model, constant(x), run), targets);
    tape.backward(loss);
    if (step === 0) {
      errors.gradients = largestError(await readGradients(model), run.gradients);
      const moved = run.statistics === "batch" ? model.buffers : [];
      errors.statistics = largestError(
        await readChanges(model, moved, before),
        run.statistics_moved,
      );
    }
    optimizer.step();
    const [got] = await loss.tensor.read();
    // Float32 leaves 1e-7 of a loss near zero.
    const error = Math.abs(got - expected) / Math.max(expected, 1e-2);
    if (!(error <= errors.losses.error)) errors.losses = { key: `step ${step}`, error };
  }
  const learned = [...model.store.trainable, ...run.statistics === "batch" ? model.buffers : []];
  errors.changes = largestError(
    await readChanges(model, learned, before),
    run.changes,
    (key) => ROUNDING * normOf(before.get(key)!.data as Values),
  );
  return errors;
}
