/**
 * neckar: deep learning in TypeScript on Deno's built-in WebGPU.
 *
 * Loading this module needs no permission, no import map and no configuration: a script may import it
 * from a URL. Only the functions that read or write files need `--allow-read` or `--allow-write`.
 *
 * An LSTM learns to spell a word in which the same letters have different ones after them:
 *
 * @example
 * ```ts
 * const letters = [..."_ban."]; // index 0 means "no letter" to the loss
 * const ids = [..."banana."].map((letter) => letters.indexOf(letter));
 * using gpu = await openGpu();
 * class Speller extends Module {
 *   embed = new Embedding(letters.length, 8);
 *   cell = new Recurrent("lstm", 8, 16);
 *   score = new Linear(16, letters.length);
 * }
 * using model = new Speller().toGpu(gpu, 1);
 * using adam = new Adam(model.store, { lr: 0.05 });
 * using read = uploadIndices(gpu, ids.slice(0, -1), letters.length, "letters read");
 * using next = Tensor.from(gpu, ids.slice(1), [6, 1], { dtype: "u32" });
 * using h0 = Tensor.zeros(gpu, [1, 16]);
 * using history = new LossHistory(gpu, 20);
 * for (let step = 1; step <= 60; step++) {
 *   using tape = new Tape(gpu);
 *   const x = model.embed.forward(read).reshape([6, 1, 8]); // [T, N, D]
 *   const h = model.cell.forward(x, constant(h0));
 *   const loss = temporalSoftmaxLoss(model.score.forward(h), next);
 *   loss.backward();
 *   adam.step();
 *   await history.add(loss.tensor);
 * }
 * const losses = await history.finish();
 * if (losses[0] < 5 || losses[59] > 0.5) throw new Error(`The loss ended at ${losses[59]}`);
 * ```
 *
 * @module
 */

// The GPU
export { GpuError, NoAdapterError } from "./kernels/runtime/errors.ts";
export type { AdapterSummary } from "./kernels/runtime/device.ts";
export { type Gpu, type KernelPath, openGpu, type OpenGpuOptions } from "./kernels/runtime/gpu.ts";
export {
  type Profile,
  type ProfiledKernel,
  type ProfiledWork,
  Profiler,
  type ProfileWay,
} from "./kernels/runtime/profile/profiler.ts";
export type { KernelWatcher, Moved } from "./kernels/runtime/profile/watcher.ts";
export type { BufferPool, PooledBuffer } from "./kernels/runtime/memory/pool.ts";
export type { Recorder, RecorderCounts } from "./kernels/runtime/recorder.ts";
export { type DType, type Elements, Tensor, type TensorOptions } from "./kernels/runtime/tensor.ts";
export {
  type Binding,
  defineKernel,
  FLAT_MAIN,
  flatGroups,
  foldGroups,
  type Groups,
  type Kernel,
  type KernelCost,
  type KernelSpec,
  type KernelTensors,
  type ParamType,
} from "./kernels/runtime/kernel.ts";

// Kernels
export {
  adaptiveAveragePool2d as averagePoolForward,
  type AveragePool2dOptions,
} from "./kernels/pool/average_pool2d.ts";
export {
  batchNormBackward,
  type BatchNormForward,
  batchNormForward,
  type BatchNormGradients,
  type BatchNormInputs,
  type BatchNormOptions,
} from "./kernels/batch_norm/batch_norm.ts";
export {
  conv2d as convolve,
  conv2dBackward,
  type Conv2dGradients,
  type Conv2dOptions,
  windowCount,
  type WindowOptions,
} from "./kernels/conv2d/conv2d.ts";
export { type BagMode, type Bags, uploadBags } from "./kernels/embedding/embedding_bag.ts";
export { type Indices, lookUp, uploadIndices } from "./kernels/embedding/embedding.ts";
export type { GradientTargets } from "./kernels/gradients.ts";
export {
  type LstmForward,
  type LstmGradients,
  type LstmInputs,
  lstmTimeMajorBackward,
  lstmTimeMajorForward,
} from "./kernels/recurrent/lstm.ts";
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
} from "./kernels/recurrent/homework.ts";
export { matmul, type MatmulOptions } from "./kernels/gemm/matmul.ts";
export {
  maxPool2dBackward,
  type MaxPool2dForward,
  maxPool2dForward,
  type MaxPool2dOptions,
} from "./kernels/pool/pool2d.ts";
export type { AdamSizes, StepSizes } from "./kernels/optimizer_steps.ts";
export { columnSum, type ColumnSumOptions, sum, type SumOptions } from "./kernels/reduce/reduce.ts";
export {
  type RnnForward,
  type RnnGradients,
  type RnnInputs,
  rnnTimeMajorBackward,
  rnnTimeMajorForward,
} from "./kernels/recurrent/rnn.ts";
export {
  type SigmoidCrossEntropy,
  sigmoidCrossEntropy,
} from "./kernels/softmax/sigmoid_cross_entropy.ts";
export {
  argmax,
  type CrossEntropy,
  type CrossEntropyOptions,
  logSoftmax,
  softmaxCrossEntropy,
} from "./kernels/softmax/softmax.ts";

// Learning
export {
  constant,
  Tape,
  tapeOf,
  type TapeOptions,
  type TouchedRows,
  Variable,
} from "./models/autograd.ts";
export { Module } from "./models/module.ts";
export {
  type CheckpointOptions,
  type EpochRecord,
  fit,
  type FitOptions,
  type FitResult,
  type Step,
} from "./models/fit.ts";
export type { SavedState, Stateful } from "./models/checkpoint.ts";
export {
  cosine,
  oneCycle,
  type OneCycleOptions,
  Plateau,
  type PlateauOptions,
  type Schedule,
  stepDecay,
  warmUp,
} from "./models/schedules.ts";
export { concat, stack, where } from "./models/variable.ts";
export { huberLoss, klDivergence, meanAbsoluteError, meanSquaredError } from "./models/losses.ts";
export {
  type Initializer,
  kaimingNormal,
  normal,
  scaledNormal,
  uniform,
  xavierUniform,
  zeros,
} from "./models/init.ts";
export {
  type CellType,
  Dropout,
  Embedding,
  gatesFromTorch,
  gatesToTorch,
  Linear,
  type LinearOptions,
  Recurrent,
  type RecurrentOptions,
} from "./models/layers.ts";
export { LossHistory, type LossHistoryOptions, NonFiniteLossError } from "./models/loss_history.ts";
export {
  binaryCrossEntropy,
  type Branch,
  type CellWeights,
  conv2d,
  convolutions,
  dropout,
  embedding,
  embeddingBag,
  layerNorm,
  type LayerNormOptions,
  linear,
  lstm,
  maxOverTime,
  rnn,
  temporalSoftmaxLoss,
  type TemporalSoftmaxLossOptions,
} from "./models/operations.ts";
export {
  Adam,
  AdamW,
  Optimizer,
  type OptimizerOptions,
  RmsProp,
  Sgd,
} from "./models/optimizers.ts";
export {
  Buffer,
  Parameter,
  ParameterStore,
  type ParameterVariable,
  type SparseTable,
  type StateLayout,
  type StateSlot,
} from "./models/parameters.ts";
export { type LoadReport, loadStateDict, stateDict } from "./models/state_dict.ts";

// Networks for pictures
export {
  adaptiveAveragePool2d,
  averagePool2d,
  batchNorm,
  type BatchNormChannels,
  crossEntropy,
  gram,
  maxPool2d,
  squaredDifference,
  totalVariation,
  upsampleNearest,
} from "./models/image_operations.ts";
export {
  answers,
  imageLoss,
  imageScores,
  type Measure,
  measure,
  type PictureScores,
  probabilities,
} from "./models/image_training.ts";
export {
  type BackboneName,
  BACKBONES,
  loadPretrained,
  makeBackbone,
  type PretrainedOptions,
  type PretrainedReport,
} from "./models/pretrained.ts";
export { ResNet18 } from "./models/resnet.ts";
export { SqueezeNet11 } from "./models/squeezenet.ts";
export {
  PIXEL_BOUND,
  type StyleLosses,
  type StylePictures,
  type StyleSettings,
  StyleTransfer,
} from "./models/style_transfer.ts";
export {
  BatchNorm2d,
  type BatchNormCall,
  Conv2d,
  type Conv2dLayerOptions,
  kaimingUniformKernel,
} from "./models/vision_layers.ts";
export { type Learnt, type VisionCall, VisionModel } from "./models/vision_model.ts";

// Captioning
export { type BleuScore, corpusBleu, unigramPrecision } from "./models/bleu.ts";
export { type BeamOptions, sampleBeam, sampleGreedy } from "./models/caption_sampling.ts";
export {
  captionBatch,
  captionBatches,
  type CaptionScores,
  evaluateLoss,
  mostCaptions,
  type PreparedSplit,
  prepareSplit,
  sampleCaptions,
  type SampleOptions,
  scoreCaptions,
  stepsPerEpoch,
} from "./models/caption_training.ts";
export {
  type CaptionBatch,
  Captioner,
  type CaptionerConfig,
  uploadCaptions,
} from "./models/captioner.ts";
export { type CaptionerSetting, loadCaptioner, saveCaptioner } from "./models/saved_captioner.ts";

// Sentence classification
export { loadClassifier, saveClassifier } from "./models/saved_classifier.ts";
export { AveragedEmbedding, BagOfWords } from "./models/bag_classifiers.ts";
export {
  BidirectionalClassifier,
  RecurrentClassifier,
  type SentenceSequences,
  uploadSequences,
} from "./models/recurrent_classifiers.ts";
export {
  CLASSIFIER_KINDS,
  type ClassifierConfig,
  type ClassifierInit,
  type ClassifierKind,
  type Sentence,
  SentenceClassifier,
  type WordCost,
} from "./models/sentence_classifier.ts";
export { makeClassifier } from "./models/sentence_classifiers.ts";
export {
  accuracy,
  checkLengths,
  type LabelledSentences,
  sentenceBatches,
  sentenceLogits,
  sentenceLoss,
  stepsOfSentences,
  type WordLimits,
  wordLimits,
} from "./models/sentence_training.ts";
export { WeightAverage } from "./models/weight_average.ts";

// Data
export {
  centerCrop,
  denormalise,
  IMAGENET_MEAN,
  IMAGENET_STD,
  normalise,
  prepareForEvaluation,
  randomHorizontalFlip,
  randomResizedCrop,
  resizedCenterCrop,
  resizeShorter,
} from "./data/images/augment.ts";
export { decodeImage, encodeJpeg, encodePng } from "./data/images/image.ts";
export { type ImageFolder, listImages, readImageFolder } from "./data/images/image_folder.ts";
export { ImageLoader } from "./data/images/image_loader.ts";
export { readNpz } from "./data/formats/npz.ts";
export { readPth } from "./data/formats/pth/pth.ts";
export { crop, resize } from "./data/images/resize.ts";
export type { Box, RgbImage } from "./data/images/rgb_image.ts";
export { readWeights } from "./data/formats/weights.ts";
export {
  type CaptionData,
  type CaptionSelection,
  type CaptionSplit,
  chooseCaptions,
  chooseImages,
  type Picture,
  referencesByImage,
  standardize,
  type Standardizer,
  standardizer,
  takeCaptions,
} from "./data/sets/captions.ts";
export { type CocoCaptioningOptions, loadCocoCaptioning } from "./data/sets/coco_captioning.ts";
export {
  download,
  type Downloaded,
  DownloadError,
  type DownloadOptions,
  type DownloadProgress,
} from "./data/files/download.ts";
export { UserError } from "./data/files/user_error.ts";
export {
  contentDrawing,
  type DrawnSplits,
  drawPicture,
  type LabelledPictures,
  styleDrawing,
  type StyleName,
  transferDrawings,
} from "./data/made/drawings.ts";
export {
  type GloveOptions,
  readGlove,
  type VectorTable,
  vectorTable,
  type WordVectors,
} from "./data/text/glove.ts";
export {
  type Hdf5Array,
  type Hdf5Dataset,
  type Hdf5Options,
  readHdf5,
} from "./data/formats/hdf5/hdf5.ts";
export { makeReviews, type ReviewOptions } from "./data/made/review_grammar.ts";
export { type MutableArrayLike, type RandomState, RandomStream } from "./data/rng.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
  type SafetensorsFile,
  writeSafetensors,
} from "./data/formats/safetensors.ts";
export type { Colour, DrawnShape, Shape } from "./data/made/scene_drawing.ts";
export { makeScenes, sampleScenes, type Scene, type SceneOptions } from "./data/made/scenes.ts";
export {
  loadSentences,
  readUnlabelled,
  type SentenceData,
  type SentenceSplit,
  sentenceVocabulary,
  tokenize,
} from "./data/text/sentences.ts";
export {
  type TensorArrays,
  type TensorData,
  type TensorDtype,
  toFloat32,
} from "./data/formats/tensor_data.ts";
export { unpackZip } from "./data/formats/zip/unpack.ts";
export { END, NULL, START, UNK, Vocabulary } from "./data/text/vocabulary.ts";
