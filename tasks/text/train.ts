/** One seed of a text run: the classifier is made, trained, measured, saved and let go. */
import { join } from "@std/path";
import { spread } from "../../data/captions.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { Tensor } from "../../kernels/tensor.ts";
import { LossHistory } from "../../models/loss_history.ts";
import { Adam } from "../../models/optimizers.ts";
import { saveClassifier } from "../../models/saved_classifier.ts";
import type { ClassifierConfig, SentenceClassifier } from "../../models/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentence_classifiers.ts";
import {
  accuracy,
  type LabelledSentences,
  sentenceLogits,
  trainSentenceEpoch,
} from "../../models/sentence_training.ts";
import { WeightAverage } from "../../models/weight_average.ts";
import { percent } from "../lib/format.ts";
import { interruptSignal, turn } from "../lib/main.ts";
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
}

/** All that is left of a seed, its saved model apart. */
export interface SeedResult extends Training {
  seed: number;
  /** The file of the model in the run folder. */
  file: string;
  accuracy: Record<Split, number>;
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

function watched({ sentences, labels }: LabelledSentences): LabelledSentences {
  const chosen = spread(sentences.length, MOST_WATCHED);
  return { sentences: chosen.map((i) => sentences[i]), labels: chosen.map((i) => labels[i]) };
}

async function measure(classifier: SentenceClassifier, data: LabelledSentences): Promise<number> {
  return accuracy(await sentenceLogits(classifier, data.sentences), data.labels);
}

/** Train, watch dev, and leave the weights of the best epoch in the classifier. */
async function train(
  classifier: SentenceClassifier,
  { encoded }: TextData,
  settings: TextSettings,
  seed: number,
  folder: RunFolder,
): Promise<Training> {
  const { gpu, store } = classifier;
  const { epochs, batch, readEvery, lr, decay, clip, patience } = settings;
  const stream = new RandomStream(seed).split("batches");
  const perEpoch = Math.ceil(encoded.train.sentences.length / batch);
  const part = watched(encoded.train);
  const signal = interruptSignal();
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
  const result: Training = { losses, epochs: [], keptEpoch: 0, seconds: 0, interrupted: false };
  const start = performance.now();
  let [step, written, bestAccuracy] = [0, 0, -1];
  const report = () => {
    for (; written < losses.length; written++) {
      folder.metric({ seed, step: written + 1, loss: losses[written] });
    }
    const recent = losses.slice(-perEpoch);
    bar.update(step, recent.length > 0 ? { loss: mean(recent) } : {});
  };
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
        if (step % readEvery === 0) {
          await turn();
          report();
        }
        return !signal.aborted;
      },
    });
    if (!finished && result.keptEpoch > 0) break;
    await history.finish(); // measuring waits for the GPU anyway
    report();
    average?.swap();
    const trainLoss = mean(losses.slice(before));
    const trainAccuracy = await measure(classifier, part);
    const devAccuracy = await measure(classifier, encoded.dev);
    if (devAccuracy > bestAccuracy) {
      bestAccuracy = devAccuracy;
      result.keptEpoch = epoch;
      best.copyFrom(store.values);
    }
    average?.swap();
    result.epochs.push({ epoch, trainLoss, trainAccuracy, devAccuracy });
    folder.metric({ seed, epoch, trainLoss, trainAccuracy, devAccuracy, lr: rate });
    bar.note(
      `epoch ${epoch}: training loss ${trainLoss.toFixed(4)}, dev accuracy ${percent(devAccuracy)}`,
    );
    if (patience > 0 && epoch - result.keptEpoch >= patience) {
      const epochs = patience === 1 ? "an epoch" : `${patience} epochs`;
      bar.note(`No better dev accuracy for ${epochs}: stopped early`);
      break;
    }
  }
  await history.finish();
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

/** Make, train, measure and save the classifier of one seed. Nothing of it stays on the GPU. */
export async function trainSeed(
  gpu: Gpu,
  settings: TextSettings,
  data: TextData,
  seed: number,
  folder: RunFolder,
): Promise<SeedResult> {
  using classifier = firstClassifier(gpu, settings, data, seed);
  const training = await train(classifier, data, settings, seed, folder);
  const file = settings.seeds === 1 ? "model.safetensors" : `model-seed-${seed}.safetensors`;
  await saveClassifier(join(folder.path, file), classifier, data.vocabulary);
  const { train: seen, dev, test } = data.encoded;
  const testLogits = await sentenceLogits(classifier, test.sentences);
  const measured = {
    train: await measure(classifier, seen),
    dev: await measure(classifier, dev),
    test: accuracy(testLogits, test.labels),
  };
  for (const split of SPLITS) folder.metric({ seed, split, accuracy: measured[split] });
  const answers = data.unlabelled === undefined ? {} : {
    predictions: await sentenceLogits(
      classifier,
      encode(data.unlabelled.sentences, data.vocabulary),
    ),
  };
  return { ...training, seed, file, accuracy: measured, testLogits, ...answers };
}
