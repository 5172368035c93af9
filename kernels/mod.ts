/**
 * Kernels: the GPU, tensors, the functions over them that the models are made of, and kernels of your own.
 *
 * Each function computes at once, and keeps no notes for a gradient: that of `lstmForward` is `lstmBackward`. Loading
 * this module needs no permission and no package.
 *
 * @example
 * ```ts
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [1, 2, 3, 4], [2, 2]);
 * using y = matmul(x, x);
 * const product = await y.read();
 * if (product.join() !== "7,10,15,22") throw new Error(`got ${product}`);
 * ```
 *
 * @module
 */
export { GpuError, NoAdapterError } from "./runtime/errors.ts";
export type { AdapterSummary, PowerPreference } from "./runtime/device.ts";
export { type Gpu, type KernelPath, openGpu, type OpenGpuOptions } from "./runtime/gpu.ts";
export {
  type Profile,
  type ProfiledKernel,
  type ProfiledWork,
  Profiler,
  type ProfileWay,
} from "./runtime/profile/profiler.ts";
export type { KernelWatcher, Moved } from "./runtime/profile/watcher.ts";
export { type DType, type Elements, Tensor, type TensorOptions } from "./runtime/tensor.ts";
export {
  type Binding,
  defineKernel,
  type DTypeOf,
  FLAT_MAIN,
  flatGroups,
  foldGroups,
  type Groups,
  type Kernel,
  type KernelCost,
  type KernelSpec,
  type KernelTensors,
  type ParamType,
} from "./runtime/kernel.ts";
export { adaptiveAveragePool2d, type AveragePool2dOptions } from "./pool/average_pool2d.ts";
export {
  batchNormBackward,
  type BatchNormForward,
  batchNormForward,
  type BatchNormGradients,
  type BatchNormInputs,
  type BatchNormOptions,
} from "./batch_norm/batch_norm.ts";
export {
  conv2d,
  conv2dBackward,
  type Conv2dGradients,
  type Conv2dOptions,
  windowCount,
  type WindowOptions,
} from "./conv2d/conv2d.ts";
export { type BagMode, type Bags, uploadBags } from "./embedding/embedding_bag.ts";
export { type Indices, lookUp, uploadIndices } from "./embedding/embedding.ts";
export type { GradientTargets } from "./gradients.ts";
export {
  type LstmForward,
  type LstmGradients,
  type LstmInputs,
  lstmTimeMajorBackward,
  lstmTimeMajorForward,
} from "./recurrent/lstm.ts";
export {
  lstmBackward,
  lstmForward,
  type LstmResult,
  lstmStepBackward,
  lstmStepForward,
  type LstmStepGradients,
  type LstmStepInputs,
  rnnBackward,
  rnnForward,
  type RnnResult,
  rnnStepBackward,
  rnnStepForward,
  type RnnStepGradients,
  type RnnStepInputs,
} from "./recurrent/homework.ts";
export { matmul, type MatmulOptions } from "./gemm/matmul.ts";
export { maxPool2dBackward, type MaxPool2dForward, maxPool2dForward } from "./pool/pool2d.ts";
export type { AdamSizes, StepSizes } from "./optimizer_steps.ts";
export { columnSum, type ColumnSumOptions, sum, type SumOptions } from "./reduce/reduce.ts";
export {
  type RnnForward,
  type RnnGradients,
  type RnnInputs,
  rnnTimeMajorBackward,
  rnnTimeMajorForward,
} from "./recurrent/rnn.ts";
export { type SigmoidCrossEntropy, sigmoidCrossEntropy } from "./softmax/sigmoid_cross_entropy.ts";
export {
  argmax,
  type CrossEntropy,
  type CrossEntropyOptions,
  logSoftmax,
  softmaxCrossEntropy,
} from "./softmax/softmax.ts";
export type { PoolOptions } from "./pool/windows.ts";
export type { Slice } from "./rearrange.ts";
export type { Recorder, RecorderCounts } from "./runtime/recorder.ts";
