/**
 * Classifiers of sentences: bags of words, averaged word vectors, RNNs, LSTMs and ensembles of LSTMs in both
 * directions, with their training, their files, and the operations that only these need.
 *
 * Sentences and word vectors come from `data/mod.ts`, optimizers from `mod.ts`. Loading this module needs no
 * permission and no package.
 *
 * @example
 * ```ts
 * import { makeReviews, sentenceVocabulary } from "../data/mod.ts";
 * import { Adam, fit, openGpu, RandomStream } from "../mod.ts";
 *
 * const { train } = makeReviews({ seed: 1, train: 200, dev: 2, test: 2 }).data;
 * const vocabulary = sentenceVocabulary(train.sentences);
 * const ids = (words: string[]) => words.map((word) => vocabulary.index(word));
 * const data = { sentences: train.sentences.map(ids), labels: train.labels };
 *
 * using gpu = await openGpu();
 * const stream = new RandomStream(1);
 * const sizes = { vocabularySize: vocabulary.size, wordDim: 0, hiddenDim: 0 };
 * using classifier = makeClassifier(gpu, { kind: "bow", ...sizes }, stream.split("weights"));
 * using optimizer = new Adam(classifier.store, { lr: 0.1 });
 * await fit(classifier, {
 *   optimizer,
 *   epochs: 5,
 *   batches: (epoch) => sentenceBatches(classifier, data.sentences, 20, stream.split(epoch)),
 *   loss: (chosen, { tape }) => sentenceLoss(classifier, data, chosen, tape),
 * });
 * const right = accuracy(await sentenceLogits(classifier, data.sentences), data.labels);
 * if (right < 0.8) throw new Error(`${right} of the sentences are learned`);
 * ```
 *
 * @module
 */
export { type BagMode, type Bags, uploadBags } from "../kernels/embedding/embedding_bag.ts";
export { loadClassifier, saveClassifier } from "./sentences/saved_classifier.ts";
export { AveragedEmbedding, BagOfWords } from "./sentences/bag_classifiers.ts";
export {
  BidirectionalClassifier,
  RecurrentClassifier,
  type SentenceSequences,
  uploadSequences,
} from "./sentences/recurrent_classifiers.ts";
export {
  CLASSIFIER_KINDS,
  type ClassifierConfig,
  type ClassifierInit,
  type ClassifierKind,
  type Sentence,
  SentenceClassifier,
  type WordCost,
} from "./sentences/sentence_classifier.ts";
export { makeClassifier } from "./sentences/sentence_classifiers.ts";
export {
  accuracy,
  checkLengths,
  checkSentences,
  type LabeledSentences,
  sentenceBatches,
  sentenceLogits,
  sentenceLoss,
  stepsOfSentences,
  type WordLimits,
  wordLimits,
} from "./sentences/sentence_training.ts";
export { embeddingBag, maxOverTime } from "./tape/operations.ts";
