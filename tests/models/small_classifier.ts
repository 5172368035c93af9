/** Small classifiers and sentences for the tests, with their float64 weights. */
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import type {
  ClassifierConfig,
  ClassifierKind,
  Sentence,
  SentenceClassifier,
} from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import type { ClassifierWeights } from "../../kernels/reference/sentence_classifiers.ts";
import { normals } from "./small_captioner.ts";

/** Sizes of which none is a multiple of four. */
export const SIZES = { vocabularySize: 11, wordDim: 6, hiddenDim: 5 };

/**
 * Sentences of 1 to 7 words, with repeated words, the unknown word 3 (also alone), and <NULL>, 0, as a
 * word of its own. Word 2 occurs nowhere.
 */
export const SENTENCES = [[4, 9, 3, 10, 4], [7], [5, 5, 0, 5], [3], [8, 4, 9, 6, 6, 1, 10], [6, 4]];
export const LABELS = [1, 0, 0, 1, 1, 0];

/** A classifier of {@linkcode SIZES}, with weights large enough to make words matter. */
export function smallClassifier(
  gpu: Gpu,
  kind: ClassifierKind,
  options: Partial<ClassifierConfig> & { seed?: number } = {},
): SentenceClassifier {
  const { seed = 1, ...config } = options;
  const classifier = makeClassifier(gpu, { ...SIZES, ...config, kind }, new RandomStream(seed));
  for (const { tensor, name } of classifier.store.parameters) {
    tensor.write(normals(name, tensor.size).map((v) => 0.7 * v));
  }
  return classifier;
}

/** Read a classifier's weights for its twin. */
export async function weightsOf({ store }: SentenceClassifier): Promise<ClassifierWeights> {
  const entries = store.parameters.map(async ({ name, tensor }) =>
    [name, Float64Array.from(await tensor.read())] as const
  );
  return Object.fromEntries(await Promise.all(entries));
}

/** The logits of one batch. */
export async function logitsOf(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  { training = false } = {},
): Promise<Float32Array> {
  using input = classifier.upload(sentences);
  using _tape = new Tape(classifier.gpu, { training });
  return await classifier.logits(input).tensor.read();
}

/** The loss of one batch, and its gradients by parameter. */
export async function gradientsOf(
  classifier: SentenceClassifier,
  sentences: readonly Sentence[],
  labels: readonly number[],
): Promise<{ loss: number; gradients: Record<string, Float32Array> }> {
  const { gpu, store } = classifier;
  using input = classifier.upload(sentences);
  using targets = Tensor.from(gpu, labels);
  using tape = new Tape(gpu);
  store.zeroGradients();
  const loss = classifier.loss(input, targets);
  tape.backward(loss);
  const gradients: Record<string, Float32Array> = {};
  for (const { name, variable } of store.trainable) gradients[name] = await variable.grad!.read();
  store.zeroGradients();
  return { loss: (await loss.tensor.read())[0], gradients };
}
