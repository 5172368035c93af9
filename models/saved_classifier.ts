/**
 * A sentence classifier in one safetensors file: its state dict in PyTorch's names and layout, and its
 * sizes and vocabulary as JSON in the file's metadata.
 */
import { RandomStream } from "../data/rng.ts";
import { readSafetensors, writeSafetensors } from "../data/safetensors.ts";
import { Vocabulary } from "../data/vocabulary.ts";
import type { Gpu } from "../kernels/gpu.ts";
import {
  CLASSIFIER_KINDS,
  type ClassifierConfig,
  type SentenceClassifier,
} from "./sentence_classifier.ts";
import { makeClassifier } from "./sentence_classifiers.ts";
import { loadStateDict, stateDict } from "./state_dict.ts";

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
  await writeSafetensors(path, await stateDict(classifier.store.parameters), {
    config: JSON.stringify(classifier.config),
    vocabulary: JSON.stringify(vocabulary.words),
  });
}

/** Read the metadata. SyntaxError where it is not what {@linkcode saveClassifier} writes. */
function readMetadata(metadata: Record<string, string>): [ClassifierConfig, Vocabulary] {
  const sizes = JSON.parse(metadata.config) as ClassifierConfig;
  const { kind, vocabularySize, wordDim, hiddenDim, members = 1, sparse = false } = sizes;
  const { wordDropout = 0, dropout = 0 } = sizes;
  const counts = [vocabularySize, members]; // the sizes that the kind reads
  if (kind !== "bow") counts.push(wordDim);
  if (kind !== "bow" && kind !== "average") counts.push(hiddenDim);
  if (
    !CLASSIFIER_KINDS.includes(kind) || !counts.every((n) => Number.isInteger(n) && n > 0) ||
    ![wordDropout, dropout].every((p) => p >= 0 && p < 1)
  ) {
    throw new SyntaxError(`these are not the sizes of a classifier: ${metadata.config}`);
  }
  const vocabulary = new Vocabulary(JSON.parse(metadata.vocabulary) as string[]);
  if (vocabulary.size !== vocabularySize) {
    throw new SyntaxError(`there are ${vocabulary.size} words, and ${vocabularySize} in the sizes`);
  }
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
 * Errors: SyntaxError when the file is something else, TypeError when its weights do not fit its sizes.
 */
export async function loadClassifier(
  gpu: Gpu,
  path: string,
): Promise<{ classifier: SentenceClassifier; vocabulary: Vocabulary }> {
  const { tensors, metadata } = await readSafetensors(path);
  if (!metadata.config || !metadata.vocabulary) {
    throw new SyntaxError(
      `"${path}" holds no sentence classifier: its vocabulary or sizes are missing`,
    );
  }
  let read: [ClassifierConfig, Vocabulary];
  try {
    read = readMetadata(metadata);
  } catch (error) {
    throw new SyntaxError(`"${path}" holds no sentence classifier: ${(error as Error).message}`);
  }
  const [config, vocabulary] = read;
  const classifier = makeClassifier(gpu, config, new RandomStream(0));
  try {
    loadStateDict(classifier.store.parameters, tensors);
  } catch (error) {
    classifier.dispose();
    throw error;
  }
  return { classifier, vocabulary };
}
