/**
 * Networks for pictures: ResNet-18 and SqueezeNet 1.1 with torchvision's weights, their training and measures, style
 * transfer, and the operations that only these need.
 *
 * Pictures come from `data/mod.ts`, layers, optimizers and the tape from `mod.ts`. Loading this module needs no
 * permission and no package.
 *
 * @example
 * ```ts
 * import { normalize, resizedCenterCrop, type RgbImage } from "../data/mod.ts";
 * import { constant, openGpu, Tape, Tensor } from "../mod.ts";
 *
 * const green = Uint8Array.from({ length: 3 * 80 * 60 }, (_, i) => i % 3 === 1 ? 200 : 0);
 * const picture: RgbImage = { width: 80, height: 60, data: green };
 * using gpu = await openGpu();
 * using model = new SqueezeNet11(2, { width: 0.125 }).toGpu(gpu, 1);
 * using x = Tensor.from(gpu, normalize(resizedCenterCrop(picture, 56, 48)), [1, 48, 48, 3]);
 * using _tape = new Tape(gpu, { training: false });
 * const scores = model.forward(constant(x));
 * if (scores.shape.join() !== "1,2") throw new Error(`got the shape [${scores.shape}]`);
 * ```
 *
 * @module
 */
export { type Branch, convolutions } from "./tape/operations.ts";
export {
  batchNorm,
  type BatchNormChannels,
  gram,
  squaredDifference,
  totalVariation,
} from "./tape/image_operations.ts";
export {
  answers,
  imageLoss,
  imageScores,
  type ImageStep,
  type Measure,
  measure,
  type PictureScores,
  probabilities,
  ScoreList,
} from "./pictures/image_training.ts";
export {
  type BackboneName,
  BACKBONES,
  loadPretrained,
  makeBackbone,
  type PretrainedOptions,
  type PretrainedReport,
} from "./pictures/pretrained.ts";
export { ResNet18 } from "./pictures/resnet.ts";
export { SqueezeNet11, type SqueezeNetOptions } from "./pictures/squeezenet.ts";
export {
  paint,
  type PaintOptions,
  PIXEL_BOUND,
  type StyleLosses,
  type StylePictures,
  type StyleSettings,
  StyleTransfer,
} from "./pictures/style_transfer.ts";
export { kaimingUniformKernel } from "./layers/vision_layers.ts";
export { type Learned, type VisionCall, VisionModel } from "./pictures/vision_model.ts";
