/**
 * neckar: deep learning in TypeScript on Deno's built-in WebGPU.
 *
 * This module has what a network of your own is made of and trained by: tensors, the tape, operations, layers, losses,
 * optimizers, schedules, and files of weights. Beside it there are `kernels/mod.ts`, `data/mod.ts`, and in `models/`
 * what is ready: `vision.ts`, `text.ts` and `caption.ts`.
 *
 * Loading it needs no permission, no import map, no configuration and no package: a script may import it from a URL.
 * Only the functions that read or write files need `--allow-read` or `--allow-write`.
 *
 * An LSTM learns to spell a word in which the same letters have different ones after them:
 *
 * @example
 * ```ts
 * const letters = [..."ban."];
 * const ids = [..."banana."].map((letter) => letters.indexOf(letter));
 * class Speller extends Module {
 *   embed = new Embedding(letters.length, 8);
 *   lstm = new LSTM(8, 16);
 *   score = new Linear(16, letters.length);
 *
 *   forward(ids: number[]) {
 *     const x = this.embed.forward(ids).reshape([ids.length, 1, 8]); // [T, N, D]
 *     return this.score.forward(this.lstm.forward(x).output);
 *   }
 * }
 * using gpu = await openGpu();
 * using model = new Speller().toGpu(gpu, 1);
 * using optimizer = new Adam(model.store, { lr: 0.05 });
 * const { losses } = await fit(model, {
 *   optimizer,
 *   batches: () => Array(60).keys(),
 *   loss: () => crossEntropy(model.forward(ids.slice(0, -1)), ids.slice(1)),
 * });
 * if (losses[0] < 1 || losses[59] > 0.1) throw new Error(`The loss ended at ${losses[59]}`);
 * ```
 *
 * @module
 */

// The GPU
export { GpuError, NoAdapterError } from "./kernels/runtime/errors.ts";
export { UserError } from "./data/files/user_error.ts";
export { type Gpu, openGpu, type OpenGpuOptions } from "./kernels/runtime/gpu.ts";
export { Tensor } from "./kernels/runtime/tensor.ts";
export { type Indices, uploadIndices } from "./kernels/embedding/embedding.ts";

// The tape
export { constant, Tape, tapeOf, Variable } from "./models/tape/autograd.ts";
export type { Axes, Operand } from "./models/tape/variable.ts";

// Operations; most are methods of variables
export { concat, stack, where } from "./models/tape/variable.ts";
export { conv2d, dropout, layerNorm } from "./models/tape/operations.ts";
export {
  adaptiveAveragePool2d,
  averagePool2d,
  maxPool2d,
  upsampleNearest,
} from "./models/tape/image_operations.ts";

// Losses
export { binaryCrossEntropy, temporalSoftmaxLoss } from "./models/tape/operations.ts";
export { crossEntropy, type CrossEntropyOptions } from "./models/tape/cross_entropy.ts";
export {
  huberLoss,
  klDivergence,
  meanAbsoluteError,
  meanSquaredError,
} from "./models/tape/losses.ts";
export { NonFiniteLossError } from "./models/training/loss_history.ts";

// Modules and layers
export { Module } from "./models/layers/module.ts";
export {
  Buffer,
  Parameter,
  ParameterStore,
  type ParameterVariable,
  type StateLayout,
} from "./models/layers/parameters.ts";
export {
  Dropout,
  Embedding,
  LayerNorm,
  Linear,
  type LinearOptions,
  Sequential,
} from "./models/layers/layers.ts";
export {
  GRU,
  type InitialStates,
  LSTM,
  type RecurrentLayers,
  type RecurrentLayersOptions,
  type RecurrentOutput,
  RNN,
} from "./models/layers/recurrent_layers.ts";
export {
  type AttentionOptions,
  MultiheadAttention,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type TransformerLayer,
  type TransformerLayerOptions,
} from "./models/layers/transformer.ts";
export {
  AveragePool2d,
  BatchNorm1d,
  BatchNorm2d,
  type BatchNormCall,
  type BatchNormLayerOptions,
  Conv2d,
  type Conv2dLayerOptions,
  MaxPool2d,
} from "./models/layers/vision_layers.ts";
export {
  type Initializer,
  kaimingNormal,
  normal,
  uniform,
  xavierUniform,
  zeros,
} from "./models/layers/init.ts";
export { RandomStream } from "./data/rng.ts";

// Optimizers and schedules
export {
  Adam,
  AdamW,
  Optimizer,
  type OptimizerOptions,
  RmsProp,
  Sgd,
} from "./models/training/optimizers.ts";
export {
  cosine,
  oneCycle,
  Plateau,
  type Schedule,
  stepDecay,
  warmUp,
} from "./models/training/schedules.ts";
export { WeightAverage } from "./models/training/weight_average.ts";

// Training
export {
  type CheckpointOptions,
  type EpochRecord,
  fit,
  type FitOptions,
  type FitResult,
  type Step,
} from "./models/training/fit.ts";
export type { Plain, SavedState, Stateful } from "./models/training/checkpoint.ts";

// Weights in files
export type { LoadReport } from "./models/layers/state_dict.ts";
export type { TensorData } from "./data/formats/tensor_data.ts";
export { loadModel, saveModel } from "./models/layers/saved_model.ts";
