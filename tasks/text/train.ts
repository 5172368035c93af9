/** One seed of a text run: the classifier is made, trained, measured, saved and let go. */
import { join } from "@std/path";
import { spread } from "../../data/sets/captions.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { LossHistory } from "../../models/loss_history.ts";
import { Adam } from "../../models/optimizers.ts";
import { saveClassifier } from "../../models/saved_classifier.ts";
import type { ClassifierConfig, SentenceClassifier } from "../../models/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentence_classifiers.ts";
import {
  accuracy,
  type LabelledSentences,
  sentenceLogits,
  stepsOfSentences,
  trainSentenceEpoch,
} from "../../models/sentence_training.ts";
import { WeightAverage } from "../../models/weight_average.ts";
import { percent } from "../lib/format.ts";
import { checkWeights, divergence } from "../lib/finite.ts";
import { interruptSignal } from "../lib/main.ts";
import { Pace } from "../lib/pace.ts";
import { progress } from "../lib/progress.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import { encode, firstTable, type Split, SPLITS, type TextData, wordWidth } from "./data.ts";
import type { TextSettings } from "./settings.ts";

/** How good an epoch was. */
export interface EpochResult {
  epoch: number;
  /** Mean over the steps of the epoch. */
  trainLoss: number;
  /** On a part of the training sentences, at most {@linkcode MOST_WATCHED}. */
  trainAccuracy: number;
  devAccuracy: number;
}

/** How the training of a seed went. */
export interface Training {
  losses: number[];
  epochs: EpochResult[];
  keptEpoch: number;
  seconds: number;
  interrupted: boolean;
  /** Why training was stopped, where a loss or a weight was not finite. */
  diverged: string | undefined;
}

/** All that is left of a seed, its saved model apart. */
export interface SeedResult extends Training {
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
function some({ sentences, labels }: LabelledSentences, most: number): LabelledSentences {
  const chosen = spread(sentences.length, most);
  return { sentences: chosen.map((i) => sentences[i]), labels: chosen.map((i) => labels[i]) };
}

async function measure(
  classifier: SentenceClassifier,
  { sentences, labels }: LabelledSentences,
  onBatch?: () => Promise<void>,
): Promise<number> {
  return accuracy(await sentenceLogits(classifier, sentences, undefined, onBatch), labels);
}

/** Train, watch dev, and leave the weights of the best epoch in the classifier. */
async function train(
  classifier: SentenceClassifier,
  { encoded }: TextData,
  settings: TextSettings,
  seed: number,
  folder: RunFolder,
  pace: Pace,
): Promise<Training> {
  const { gpu, store } = classifier;
  const { epochs, batch, readEvery, lr, decay, clip, patience } = settings;
  const stream = new RandomStream(seed).split("batches");
  const perEpoch = stepsOfSentences(classifier, encoded.train.sentences, batch);
  const part = some(encoded.train, MOST_WATCHED);
  const { signal } = pace;
  using optimizer = new Adam(store, {
    lr,
    decayPerEpoch: decay,
    clipNorm: clip === 0 ? undefined : clip,
  });
  using average = settings.average === 0 ? undefined : new WeightAverage(store, settings.average);
  using history = new LossHistory(gpu, readEvery);
  using best = Tensor.empty(gpu, store.values.shape, { name: "best weights" });
  using bar = progress({ total: epochs * perEpoch, unit: "step" });
  const { losses } = history;
  const result: Training = {
    losses,
    epochs: [],
    keptEpoch: 0,
    seconds: 0,
    interrupted: false,
    diverged: undefined,
  };
  const start = performance.now();
  let [step, written, bestAccuracy] = [0, 0, -1];
  const report = () => {
    for (; written < losses.length; written++) {
      folder.metric({ seed, step: written + 1, loss: losses[written] });
    }
    const recent = losses.slice(-perEpoch);
    bar.update(step, recent.length > 0 ? { loss: mean(recent) } : {});
  };
  const keepBest = (epoch: number) => {
    result.keptEpoch = epoch;
    best.copyFrom(store.values);
  };
  try {
    for (let epoch = 1; epoch <= epochs && !signal.aborted; epoch++) {
      const [before, rate] = [step, optimizer.lr];
      const finished = await trainSentenceEpoch({
        classifier,
        optimizer,
        data: encoded.train,
        batchSize: batch,
        stream: stream.split(epoch),
        history,
        onStep: async () => {
          step++;
          average?.update();
          const goOn = await pace.step();
          if (step % readEvery === 0) report();
          return goOn;
        },
      });
      if (!finished && result.keptEpoch > 0) break;
      await history.finish(); // measuring waits for the GPU anyway
      await checkWeights(store, step);
      report();
      average?.swap();
      const measured = await pace.measure(async (onBatch) => ({
        trainAccuracy: await measure(classifier, part, onBatch),
        devAccuracy: await measure(classifier, encoded.dev, onBatch),
      }));
      if (measured === undefined) { // interrupted: without an epoch that is known to be better, this is kept
        if (result.keptEpoch === 0) keepBest(epoch);
        average?.swap();
        break;
      }
      const { trainAccuracy, devAccuracy } = measured;
      if (devAccuracy > bestAccuracy) {
        bestAccuracy = devAccuracy;
        keepBest(epoch);
      }
      average?.swap();
      const trainLoss = mean(losses.slice(before));
      result.epochs.push({ epoch, trainLoss, trainAccuracy, devAccuracy });
      folder.metric({ seed, epoch, trainLoss, trainAccuracy, devAccuracy, lr: rate });
      bar.note(
        `epoch ${epoch}: training loss ${trainLoss.toFixed(4)}, dev accuracy ${
          percent(devAccuracy)
        }`,
      );
      if (patience > 0 && epoch - result.keptEpoch >= patience) {
        const epochs = patience === 1 ? "an epoch" : `${patience} epochs`;
        bar.note(`No better dev accuracy for ${epochs}: stopped early`);
        break;
      }
    }
    await history.finish();
  } catch (error) {
    result.diverged = divergence(error);
    if (result.keptEpoch === 0) throw error;
  }
  report();
  bar.stop();
  if (result.keptEpoch > 0) store.values.copyFrom(best);
  gpu.flush();
  result.seconds = (performance.now() - start) / 1000;
  result.interrupted = signal.aborted;
  return result;
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** After an interruption so many sentences of a split are answered: it must not go on for long. */
const MEASURED_INTERRUPTED = 100;

/** Accuracy on all splits, or after an interruption, or one on the way, on some sentences of them. */
async function measureSplits(
  classifier: SentenceClassifier,
  data: TextData,
  pace: Pace,
): Promise<Pick<SeedResult, "accuracy" | "testLogits" | "predictions" | "measuredOn">> {
  const { unlabelled, vocabulary } = data;
  const of = async (most: number | undefined, onBatch?: () => Promise<void>) => {
    const part = (all: LabelledSentences) => most === undefined ? all : some(all, most);
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
      ...(unlabelled !== undefined && most === undefined && {
        predictions: await sentenceLogits(
          classifier,
          encode(unlabelled.sentences, vocabulary),
          undefined,
          onBatch,
        ),
      }),
    };
  };
  return await pace.measure((onBatch) => of(undefined, onBatch)) ?? await of(MEASURED_INTERRUPTED);
}

/** Make, train, measure and save the classifier of one seed. Nothing of it stays on the GPU. */
export async function trainSeed(
  gpu: Gpu,
  settings: TextSettings,
  data: TextData,
  seed: number,
  folder: RunFolder,
): Promise<SeedResult> {
  using classifier = firstClassifier(gpu, settings, data, seed);
  using pace = new Pace(gpu, interruptSignal());
  const training = await train(classifier, data, settings, seed, folder, pace);
  const file = settings.seeds === 1 ? "model.safetensors" : `model-seed-${seed}.safetensors`;
  await saveClassifier(join(folder.path, file), classifier, data.vocabulary);
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
