/**
 * Data: file formats, pictures, text, data sets and generated ones, and random numbers that are equal everywhere.
 *
 * Loading this module needs no permission and no package. A package from npm is loaded by the first call that needs
 * it: sharp for pictures, h5wasm for HDF5, zip.js for zip archives. Functions that read or write files need
 * `--allow-read` or `--allow-write`, and {@linkcode download} needs `--allow-net`.
 *
 * @example
 * ```ts
 * const sentences = ["a red dot", "a blue dot"].map(tokenize);
 * const vocabulary = Vocabulary.fromWords(new Set(sentences.flat()));
 * const ids = sentences.map((words) => Array.from(vocabulary.encode(words, 6)));
 * // <START>, the words, <END>, <NULL>
 * if (ids[1].join() !== "1,4,7,6,2,0") throw new Error(`got ${ids[1]}`);
 * ```
 *
 * @module
 */
export {
  centerCrop,
  denormalize,
  IMAGENET_MEAN,
  IMAGENET_STD,
  normalize,
  prepareForEvaluation,
  type RandomCropOptions,
  randomHorizontalFlip,
  randomResizedCrop,
  resizedCenterCrop,
  resizeShorter,
} from "./images/augment.ts";
export { decodeImage, encodeJpeg, encodePng } from "./images/image.ts";
export {
  type ImageFolder,
  type ImageList,
  listImages,
  readImageFolder,
} from "./images/image_folder.ts";
export { type ImageBatch, ImageLoader, type SkippedFile } from "./images/image_loader.ts";
export { readNpz } from "./formats/npz.ts";
export { readPth } from "./formats/pth/pth.ts";
export { crop, resize } from "./images/resize.ts";
export type { Box, RgbImage } from "./images/rgb_image.ts";
export { readWeights } from "./formats/weights.ts";
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
} from "./sets/captions.ts";
export { type CocoCaptioningOptions, loadCocoCaptioning } from "./sets/coco_captioning.ts";
export { UserError } from "./files/user_error.ts";
export {
  type GloveOptions,
  readGlove,
  type VectorTable,
  vectorTable,
  type WordVectors,
} from "./text/glove.ts";
export {
  type Hdf5Array,
  type Hdf5Dataset,
  type Hdf5Options,
  readHdf5,
} from "./formats/hdf5/hdf5.ts";
export { makeReviews, type ReviewOptions } from "./made/review_grammar.ts";
export { type MutableArrayLike, type RandomState, RandomStream } from "./rng.ts";
export {
  decodeSafetensors,
  encodeSafetensors,
  readSafetensors,
  type SafetensorsFile,
  writeSafetensors,
} from "./formats/safetensors.ts";
export type { Color, DrawnShape, Shape } from "./made/scene_drawing.ts";
export { makeScenes, sampleScenes, type Scene, type SceneOptions } from "./made/scenes.ts";
export {
  loadSentences,
  readUnlabeled,
  type SentenceData,
  type SentenceSplit,
  sentenceVocabulary,
  tokenize,
  type UnlabeledSentences,
} from "./text/sentences.ts";
export {
  type TensorArrays,
  type TensorData,
  type TensorDtype,
  toFloat32,
} from "./formats/tensor_data.ts";
export { type UnpackOptions, unpackZip } from "./formats/zip/unpack.ts";
export { END, NULL, START, UNK, Vocabulary } from "./text/vocabulary.ts";
