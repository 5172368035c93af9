/**
 * A sentence classifier in one safetensors file: its state dict in PyTorch's names and layout, and its
 * sizes and vocabulary as JSON in the file's metadata.
 */
import { quote } from "../../data/files/messages.ts";
import { RandomStream } from "../../data/rng.ts";
import { readSafetensors } from "../../data/formats/safetensors.ts";
import type { Vocabulary } from "../../data/text/vocabulary.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  CLASSIFIER_KINDS,
  type ClassifierConfig,
  type SentenceClassifier,
} from "./sentence_classifier.ts";
import { makeClassifier } from "./sentence_classifiers.ts";
import { saveModel } from "../layers/saved_model.ts";
import { readSizes, readVocabulary, withFile } from "../layers/saved_sizes.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Save a classifier with its vocabulary. The file is written beside its place and then moved there. */
export async function saveClassifier(
  path: string,
  classifier: SentenceClassifier,
  vocabulary: Vocabulary,
): Promise<void> {
  const { vocabularySize } = classifier.config;
  if (vocabulary.size !== vocabularySize) {
    throw new TypeError(
      `A vocabulary of ${vocabulary.size} words does not fit a classifier of ${vocabularySize}`,
    );
  }
  await saveModel(path, classifier, {
    config: JSON.stringify(classifier.config),
    vocabulary: JSON.stringify(vocabulary.words),
  });
}

/** Read the metadata. UserError where it is not what {@linkcode saveClassifier} writes. */
function readMetadata(
  metadata: Record<string, string>,
  tensors: number,
): [ClassifierConfig, Vocabulary] {
  const sizes = readSizes(metadata.config) as unknown as ClassifierConfig;
  const { kind, vocabularySize, wordDim, hiddenDim, members = 1, sparse = false } = sizes;
  const { wordDropout = 0, dropout = 0 } = sizes;
  const counts = [vocabularySize, members]; // the sizes that the kind reads
  if (kind !== "bow") counts.push(wordDim);
  if (kind !== "bow" && kind !== "average") counts.push(hiddenDim);
  if (
    !CLASSIFIER_KINDS.includes(kind) || !counts.every((n) => Number.isSafeInteger(n) && n > 0) ||
    ![wordDropout, dropout].every((p) => typeof p === "number" && p >= 0 && p < 1) ||
    typeof sparse !== "boolean"
  ) {
    throw new UserError(
      `these are not the sizes of a classifier${"cell" in sizes ? ", but of a captioner" : ""}: ${
        quote(metadata.config, 200)
      }`,
    );
  }
  // Each has several tensors; layers are made for it before these are looked up.
  if (members > tensors) {
    throw new UserError(`its ${members} members cannot have ${tensors} tensors`);
  }
  const vocabulary = readVocabulary(metadata.vocabulary, vocabularySize);
  const config = {
    kind,
    vocabularySize,
    wordDim,
    hiddenDim,
    wordDropout,
    dropout,
    members,
    sparse,
  };
  return [config, vocabulary];
}

/**
 * Load a classifier that {@linkcode saveClassifier} wrote.
 *
 * Errors: UserError when the file is something else, and when its weights do not fit its sizes or
 * are not finite.
 */
export async function loadClassifier(
  gpu: Gpu,
  path: string,
): Promise<{ classifier: SentenceClassifier; vocabulary: Vocabulary }> {
  const { tensors, metadata } = await readSafetensors(path);
  if (!metadata.config || !metadata.vocabulary) {
    throw new UserError(
      `"${path}" holds no sentence classifier: its vocabulary or sizes are missing`,
    );
  }
  let read: [ClassifierConfig, Vocabulary];
  try {
    read = readMetadata(metadata, tensors.size);
  } catch (error) {
    throw UserError.within(`"${path}" holds no sentence classifier`, error);
  }
  const [config, vocabulary] = read;
  return {
    classifier: withFile(
      path,
      () => makeClassifier(gpu, config, new RandomStream(0), { weights: tensors }),
    ),
    vocabulary,
  };
}
