/**
 * Captions for pictures: the captioner with an RNN or LSTM, its training and its files, greedy and beam sampling, and
 * BLEU.
 *
 * Captions and features come from `data/mod.ts`, optimizers from `mod.ts`. Loading this module needs no permission and
 * no package.
 *
 * @example
 * ```ts
 * import { makeScenes, standardizer } from "../data/mod.ts";
 * import { Adam, fit, openGpu, RandomStream } from "../mod.ts";
 *
 * const { train, vocabulary, featureDim } = makeScenes({ seed: 1, train: 40, val: 1 });
 * const split = prepareSplit(train, standardizer(train.features, featureDim));
 *
 * using gpu = await openGpu();
 * const stream = new RandomStream(1);
 * const sizes = { featureDim, hiddenDim: 32, wordDim: 16, vocabularySize: vocabulary.size };
 * using captioner = new Captioner(gpu, { cell: "rnn", ...sizes }, stream.split("weights"));
 * using optimizer = new Adam(captioner.store, { lr: 0.01 });
 * const { losses } = await fit(captioner, {
 *   optimizer,
 *   epochs: 3,
 *   batches: (epoch) => captionBatches(split, { batchSize: 20, stream: stream.split(epoch) }),
 *   loss: (chosen, { tape }) => captioner.loss(tape.keep(captionBatch(captioner, split, chosen))),
 * });
 * if (losses.at(-1)! > 0.8 * losses[0]) throw new Error(`The loss ended at ${losses.at(-1)}`);
 * const [words] = await sampleCaptions(captioner, split, vocabulary);
 * console.log(words.join(" "));
 * ```
 *
 * @module
 */
export { type BleuScore, corpusBleu, unigramPrecision } from "./captions/bleu.ts";
export { type BeamOptions, sampleBeam, sampleGreedy } from "./captions/caption_sampling.ts";
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
} from "./captions/caption_training.ts";
export {
  type CaptionBatch,
  Captioner,
  type CaptionerConfig,
  uploadCaptions,
} from "./captions/captioner.ts";
export { type CaptionerSetting, loadCaptioner, saveCaptioner } from "./captions/saved_captioner.ts";
export type { BatchOptions } from "./training/batches.ts";
export {
  type CellType,
  gatesFromTorch,
  gatesToTorch,
  Recurrent,
  type RecurrentOptions,
} from "./layers/layers.ts";
