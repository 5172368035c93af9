/** One seed of a text run: the classifier is made, trained, measured, saved and let go. */
import { join } from "@std/path";
import { spread } from "../../data/sets/captions.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import type { FitResult } from "../../models/training/fit.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { saveClassifier } from "../../models/sentences/saved_classifier.ts";
import type {
  ClassifierConfig,
  SentenceClassifier,
} from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import {
  accuracy,
  checkSentences,
  type LabeledSentences,
  sentenceBatches,
  sentenceLogits,
  sentenceLoss,
  stepsOfSentences,
} from "../../models/sentences/sentence_training.ts";
import { WeightAverage } from "../../models/training/weight_average.ts";
import { percent } from "../lib/format.ts";
import { interruptSignal } from "../lib/main.ts";
import { Pace } from "../../models/training/pace.ts";
import { digestOf } from "../lib/digest.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import { trainModel } from "../lib/training.ts";
import { encode, firstTable, type Split, SPLITS, type TextData, wordWidth } from "./data.ts";
import { settingsInUse, type TextSettings } from "./settings.ts";

/** All that is left of a seed, its saved model apart. */
export interface SeedResult extends FitResult {
  seed: number;
  /** The file of the model in the run folder. */
  file: string;
  accuracy: Record<Split, number>;
  /** Sentences of each split that accuracy was measured on at the end of an interrupted run: not all. */
  measuredOn: number | undefined;
  /** Answers to the test sentences, all of them unless it was interrupted. */
  testLogits: Float32Array;
  /** For the sentences of `--predict`. */
  predictions?: Float32Array;
}

/** On so many training sentences accuracy is watched while training: a small part of an epoch's work. */
export const MOST_WATCHED = 2000;

/** The classifier's sizes. Where a model has no such part, the size is 1. */
export function classifierConfig(settings: TextSettings, data: TextData): ClassifierConfig {
  const { model: { kind }, hidden, dropout, wordDropout, members, sparse } = settings;
  return {
    kind,
    vocabularySize: data.vocabulary.size,
    wordDim: wordWidth(settings, data),
    hiddenDim: kind === "bow" || kind === "average" ? 1 : hidden,
    dropout,
    wordDropout,
    members,
    sparse,
  };
}

/** The classifier that a seed starts from. */
export function firstClassifier(
  gpu: Gpu,
  settings: TextSettings,
  data: TextData,
  seed: number,
): SentenceClassifier {
  const stream = new RandomStream(seed);
  const config = classifierConfig(settings, data);
  const init = data.vectors === undefined
    ? {}
    : { table: firstTable(data, data.vectors, config.wordDim, stream.split("vectors")) };
  return makeClassifier(gpu, config, stream.split("weights"), init);
}

/** At most so many of the sentences, spread over them. */
function some({ sentences, labels }: LabeledSentences, most: number): LabeledSentences {
  const chosen = spread(sentences.length, most);
  return { sentences: chosen.map((i) => sentences[i]), labels: chosen.map((i) => labels[i]) };
}

async function measure(
  classifier: SentenceClassifier,
  { sentences, labels }: LabeledSentences,
  onBatch?: () => Promise<void>,
): Promise<number> {
  return accuracy(await sentenceLogits(classifier, sentences, undefined, onBatch), labels);
}

/** Train, watch dev, and leave the weights of the best epoch in the classifier. */
async function train(
  classifier: SentenceClassifier,
  { encoded, sentences, generated }: TextData,
  settings: TextSettings,
  { seed, suffix, folder, resume }: SeedOptions,
): Promise<FitResult> {
  const { epochs, batch, readEvery, saveEvery, lr, decay, clip, patience } = settings;
  const stream = new RandomStream(seed).split("batches");
  const part = some(encoded.train, MOST_WATCHED);
  using optimizer = new Adam(classifier.store, {
    lr,
    decayPerEpoch: decay,
    clipNorm: clip === 0 ? undefined : clip,
  });
  using average = settings.average === 0
    ? undefined
    : new WeightAverage(classifier.store, settings.average);
  checkSentences(classifier, encoded.train);
  const digests = SPLITS.slice(0, 2).map(async (split) =>
    await digestOf(
      Uint32Array.from(encoded[split].sentences.flatMap((ids) => [ids.length, ...Array.from(ids)])),
      Uint8Array.from(encoded[split].labels),
    )
  );
  return await trainModel(classifier, {
    ...{ optimizer, average, epochs, readEvery, saveEvery, patience, folder, resume },
    task: `text-${settings.model.name}`,
    file: `checkpoint${suffix}.safetensors`,
    perEpoch: stepsOfSentences(classifier, encoded.train.sentences, batch),
    tag: { seed },
    made: {
      ...settingsInUse(settings),
      ...{ out: undefined, seeds: undefined, saveEvery: undefined, readEvery: undefined },
      ...{ predict: undefined, seed, data: generated ? undefined : sentences.name },
      digest: (await Promise.all(digests)).join(" "),
    },
    batches: (epoch) =>
      sentenceBatches(classifier, encoded.train.sentences, batch, stream.split(epoch)),
    loss: (chosen, { tape }) => sentenceLoss(classifier, encoded.train, chosen, tape),
    evaluate: async (onBatch) => ({
      trainAccuracy: await measure(classifier, part, onBatch),
      devAccuracy: await measure(classifier, encoded.dev, onBatch),
    }),
    keep: { best: "devAccuracy" },
    describe: ({ trainLoss, devAccuracy }) =>
      `training loss ${trainLoss.toFixed(4)}, dev accuracy ${percent(devAccuracy)}`,
    note: (record) => ({ ...record, lr: optimizer.lr }),
  });
}

/** After an interruption so many sentences of a split are answered: it must not go on for long. */
const MEASURED_INTERRUPTED = 100;

/** Accuracy on all splits, or after an interruption, or one on the way, on some sentences of them. */
async function measureSplits(
  classifier: SentenceClassifier,
  data: TextData,
  pace: Pace,
): Promise<Pick<SeedResult, "accuracy" | "testLogits" | "predictions" | "measuredOn">> {
  const { unlabeled, vocabulary } = data;
  const of = async (most: number | undefined, onBatch?: () => Promise<void>) => {
    const part = (all: LabeledSentences) => most === undefined ? all : some(all, most);
    const [train, dev, test] = SPLITS.map((split) => part(data.encoded[split]));
    const testLogits = await sentenceLogits(classifier, test.sentences, undefined, onBatch);
    return {
      testLogits,
      accuracy: {
        train: await measure(classifier, train, onBatch),
        dev: await measure(classifier, dev, onBatch),
        test: accuracy(testLogits, test.labels),
      },
      measuredOn: most,
      ...(unlabeled !== undefined && most === undefined && {
        predictions: await sentenceLogits(
          classifier,
          encode(unlabeled.sentences, vocabulary),
          undefined,
          onBatch,
        ),
      }),
    };
  };
  return await pace.measure((onBatch) => of(undefined, onBatch)) ?? await of(MEASURED_INTERRUPTED);
}

/** What a seed needs. */
interface SeedOptions {
  seed: number;
  /** What is added to the names of its files. */
  suffix: string;
  folder: RunFolder;
  /** Go on where its checkpoint was written. */
  resume: boolean;
}

/** Make, train, measure and save the classifier of one seed. Nothing of it stays on the GPU. */
export async function trainSeed(
  gpu: Gpu,
  settings: TextSettings,
  data: TextData,
  { seed, folder, resume }: Omit<SeedOptions, "suffix">,
): Promise<SeedResult> {
  using classifier = firstClassifier(gpu, settings, data, seed);
  const suffix = settings.seeds === 1 ? "" : `-seed-${seed}`;
  const training = await train(classifier, data, settings, { seed, suffix, folder, resume });
  const file = `model${suffix}.safetensors`;
  await saveClassifier(join(folder.path, file), classifier, data.vocabulary);
  using pace = new Pace(gpu, interruptSignal());
  const measured = await measureSplits(classifier, data, pace);
  for (const split of SPLITS) {
    folder.metric({
      seed,
      split,
      accuracy: measured.accuracy[split],
      ...(measured.measuredOn !== undefined && { measuredOn: measured.measuredOn }),
    });
  }
  return { ...training, seed, file, ...measured, interrupted: pace.signal.aborted };
}
