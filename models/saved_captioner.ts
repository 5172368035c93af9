/**
 * A captioner in one safetensors file: its state dict in PyTorch's names and layout, the mean and
 * deviation of the features (`features.mean`, `features.deviation`), and its sizes and vocabulary as
 * JSON in the file's metadata.
 */
import type { Standardizer } from "../data/captions.ts";
import { RandomStream } from "../data/rng.ts";
import { readSafetensors, toFloat32, writeSafetensors } from "../data/safetensors.ts";
import { Vocabulary } from "../data/vocabulary.ts";
import type { Gpu } from "../kernels/gpu.ts";
import { Captioner, type CaptionerConfig } from "./captioner.ts";
import { loadStateDict, stateDict } from "./state_dict.ts";

/** What a captioner needs beside its weights to caption pictures. */
export interface CaptionerSetting {
  vocabulary: Vocabulary;
  scale: Standardizer;
  /** Tokens in a caption, `<START>` included. */
  captionLength: number;
}

const [MEAN, DEVIATION] = ["features.mean", "features.deviation"];

/** Save a captioner. The file is written beside its place and then moved there. */
export async function saveCaptioner(
  path: string,
  captioner: Captioner,
  { vocabulary, scale, captionLength }: CaptionerSetting,
): Promise<void> {
  const tensors = await stateDict(captioner.parameters);
  const shape = [captioner.config.featureDim];
  tensors.set(MEAN, { dtype: "F32", shape, data: scale.mean });
  tensors.set(DEVIATION, { dtype: "F32", shape, data: scale.deviation });
  await writeSafetensors(path, tensors, {
    config: JSON.stringify({ ...captioner.config, captionLength }),
    vocabulary: JSON.stringify(vocabulary.words),
  });
}

/** Load a captioner that {@linkcode saveCaptioner} wrote. SyntaxError when the file is something else. */
export async function loadCaptioner(
  gpu: Gpu,
  path: string,
): Promise<{ captioner: Captioner; setting: CaptionerSetting }> {
  const { tensors, metadata } = await readSafetensors(path);
  const [mean, deviation] = [tensors.get(MEAN), tensors.get(DEVIATION)];
  if (!metadata.config || !metadata.vocabulary || mean === undefined || deviation === undefined) {
    throw new SyntaxError(
      `"${path}" holds no captioner: its vocabulary, sizes or feature scale are missing`,
    );
  }
  tensors.delete(MEAN);
  tensors.delete(DEVIATION);
  const config = JSON.parse(metadata.config) as CaptionerConfig & { captionLength: number };
  const captioner = new Captioner(gpu, config, new RandomStream(0));
  try {
    loadStateDict(captioner.parameters, tensors);
  } catch (error) {
    captioner.dispose();
    throw error;
  }
  const setting = {
    vocabulary: new Vocabulary(JSON.parse(metadata.vocabulary) as string[]),
    scale: { mean: toFloat32(mean), deviation: toFloat32(deviation) },
    captionLength: config.captionLength,
  };
  return { captioner, setting };
}
