/**
 * A captioner in one safetensors file: its state dict in PyTorch's names and layout, the mean and
 * deviation of the features (`features.mean`, `features.deviation`), and its sizes and vocabulary as
 * JSON in the file's metadata.
 */
import { MAX_CAPTION_LENGTH, type Standardizer } from "../../data/sets/captions.ts";
import { quote } from "../../data/files/messages.ts";
import { RandomStream } from "../../data/rng.ts";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import type { Vocabulary } from "../../data/text/vocabulary.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Captioner, type CaptionerConfig } from "./captioner.ts";
import { readSizes, readVocabulary, withFile } from "../layers/saved_sizes.ts";
import { finite } from "../layers/state_dict.ts";
import { UserError } from "../../data/files/user_error.ts";

/** What a captioner needs beside its weights to caption pictures. */
export interface CaptionerSetting {
  /** The words. */
  vocabulary: Vocabulary;
  /** Mean and deviation of the features. */
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
  const tensors = await captioner.stateDict();
  const shape = [captioner.config.featureDim];
  tensors.set(MEAN, { dtype: "F32", shape, data: scale.mean });
  tensors.set(DEVIATION, { dtype: "F32", shape, data: scale.deviation });
  await writeSafetensors(path, tensors, {
    config: JSON.stringify({ ...captioner.config, captionLength }),
    vocabulary: JSON.stringify(vocabulary.words),
  });
}

interface SavedSizes {
  config: CaptionerConfig;
  vocabulary: Vocabulary;
  captionLength: number;
}

/** Read the metadata. UserError where it is not what {@linkcode saveCaptioner} writes. */
function readMetadata({ config, vocabulary }: Record<string, string>): SavedSizes {
  const { captionLength, ...sizes } = readSizes(config) as unknown as CaptionerConfig & {
    captionLength: number;
  };
  const { cell, featureDim, hiddenDim, wordDim, vocabularySize, dropout = 0 } = sizes;
  const counts = [captionLength, featureDim, hiddenDim, wordDim, vocabularySize];
  if (
    (cell !== "rnn" && cell !== "lstm") || !counts.every((n) => Number.isSafeInteger(n) && n > 0) ||
    !(typeof dropout === "number" && dropout >= 0 && dropout < 1)
  ) {
    const other = "kind" in sizes ? ", but of a classifier" : "";
    throw new UserError(`these are not the sizes of a captioner${other}: ${quote(config, 200)}`);
  }
  if (captionLength > MAX_CAPTION_LENGTH) {
    throw new UserError(
      `its captions have ${captionLength} tokens: at most ${MAX_CAPTION_LENGTH} are allowed`,
    );
  }
  return {
    config: { cell, featureDim, hiddenDim, wordDim, vocabularySize, dropout },
    vocabulary: readVocabulary(vocabulary, vocabularySize),
    captionLength,
  };
}

/**
 * Load a captioner that {@linkcode saveCaptioner} wrote.
 *
 * Errors: UserError when the file is something else, and when its weights do not fit its sizes or
 * are not finite.
 */
export async function loadCaptioner(
  gpu: Gpu,
  path: string,
): Promise<{ captioner: Captioner; setting: CaptionerSetting }> {
  const { tensors, metadata } = await readSafetensors(path);
  const [mean, deviation] = [tensors.get(MEAN), tensors.get(DEVIATION)];
  if (!metadata.config || !metadata.vocabulary || mean === undefined || deviation === undefined) {
    throw new UserError(
      `"${path}" holds no captioner: its vocabulary, sizes or feature scale are missing`,
    );
  }
  let sizes: SavedSizes;
  try {
    sizes = readMetadata(metadata);
  } catch (error) {
    throw UserError.within(`"${path}" holds no captioner`, error);
  }
  const { config, vocabulary, captionLength } = sizes;
  const scale = withFile(
    path,
    () => ({ mean: finite(MEAN, mean), deviation: finite(DEVIATION, deviation) }),
  );
  if (!scale.deviation.every((value) => value > 0)) {
    throw new UserError(`The "${DEVIATION}" of "${path}" must be above 0 everywhere`);
  }
  for (const [key, { length }] of [[MEAN, scale.mean], [DEVIATION, scale.deviation]] as const) {
    if (length !== config.featureDim) {
      throw new UserError(
        `The "${key}" of "${path}" has ${length} numbers, and its features ${config.featureDim}`,
      );
    }
    tensors.delete(key);
  }
  const captioner = withFile(
    path,
    () => new Captioner(gpu, config, new RandomStream(0), tensors),
  );
  return { captioner, setting: { vocabulary, scale, captionLength } };
}
