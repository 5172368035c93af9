/** Small captioners and batches for the tests, with their float64 weights. */
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import type { Tensor } from "../../kernels/runtime/tensor.ts";
import {
  type CaptionBatch,
  Captioner,
  type CaptionerConfig,
} from "../../models/captions/captioner.ts";
import { uploadCaptions } from "../../models/captions/captioner.ts";
import type { CellType } from "../../models/layers/layers.ts";
import type { CaptionerWeights } from "../../kernels/reference/captioner.ts";

export type { CaptionerConfig, CellType };

/** Sizes of which most are no multiple of four. */
export const SIZES = { featureDim: 5, hiddenDim: 7, wordDim: 6, vocabularySize: 11 };

/** Three captions of six tokens; the last step of all of them is padding. */
export const CAPTIONS = [1, 4, 9, 3, 2, 0, 1, 7, 2, 0, 0, 0, 1, 5, 4, 4, 2, 0];
export const BATCH = 3;

/** `count` numbers of the standard normal distribution; the label picks the stream. */
export function normals(label: string, count: number): Float32Array<ArrayBuffer> {
  const stream = new RandomStream(2024).split(label);
  return Float32Array.from({ length: count }, () => stream.normal());
}

/** The features of the three captions' images, `[3, 5]`. */
export const FEATURES = normals("features", BATCH * SIZES.featureDim);

/** A captioner of {@linkcode SIZES}, with weights large enough to make words matter. */
export function smallCaptioner(
  gpu: Gpu,
  cell: CellType,
  options: Partial<CaptionerConfig> & { seed?: number } = {},
): Captioner {
  const { seed = 1, ...config } = options;
  const captioner = new Captioner(gpu, { ...SIZES, ...config, cell }, new RandomStream(seed));
  for (const { tensor, name } of captioner.parameters) tensor.write(normals(name, tensor.size));
  return captioner;
}

/** The batch of {@linkcode CAPTIONS}. */
export function smallBatch(gpu: Gpu): CaptionBatch {
  const { vocabularySize } = SIZES;
  return uploadCaptions(gpu, CAPTIONS, FEATURES, { batch: BATCH, vocabularySize });
}

/** Read a captioner's weights for its twin. */
export async function weightsOf(captioner: Captioner): Promise<CaptionerWeights> {
  const read = async (tensor: Tensor) => Float64Array.from(await tensor.read());
  const { project, embed, recurrent, score } = captioner;
  return {
    projectWeight: await read(project.weight.tensor),
    projectBias: await read(project.bias!.tensor),
    embedWeight: await read(embed.weight.tensor),
    wx: await read(recurrent.wx.tensor),
    wh: await read(recurrent.wh.tensor),
    b: await read(recurrent.b.tensor),
    scoreWeight: await read(score.weight.tensor),
    scoreBias: await read(score.bias!.tensor),
  };
}
