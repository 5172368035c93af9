/** The captioning task's flags, their defaults for each kind of data, and the data itself. */
import {
  type CaptionData,
  type Standardizer,
  standardizer,
  takeCaptions,
} from "../../data/captions.ts";
import { loadCocoCaptioning } from "../../data/coco_captioning.ts";
import { RandomStream } from "../../data/rng.ts";
import { makeScenes } from "../../data/scenes.ts";
import type { CellType } from "../../models/layers.ts";
import {
  boolean,
  choice,
  defineFlags,
  integer,
  number,
  type Parsed,
  parseFlags,
  text,
  UsageError,
} from "../lib/flags.ts";

const FLAGS = defineFlags({
  data: text({
    optional: true,
    placeholder: "DIR",
    help: "A folder in CS231n's coco_captioning layout; without it, scenes drawn by neckar itself",
  }),
  pca: boolean({ default: true, help: "Read the features reduced by PCA (…_fc7_pca.h5)" }),
  maxTrain: integer({
    optional: true,
    min: 0,
    help: "Learn from this many captions chosen at random, 0 for all; 50 with --data, else all",
  }),
  maxVal: integer({
    default: 1000,
    min: 0,
    help: "Measure on so many validation pictures, spread over them; 0 for all",
  }),
  scenes: integer({
    optional: true,
    min: 1,
    max: 100_000,
    help: "Scenes to draw for training, without --data; 4000 unless given",
  }),
  hidden: integer({
    optional: true,
    min: 1,
    max: 8192,
    help: "Units of the cell; 512 with --data, else 128",
  }),
  words: integer({
    optional: true,
    min: 1,
    max: 8192,
    help: "Width of the word vectors; 256 with --data, else 64",
  }),
  batch: integer({
    optional: true,
    min: 1,
    max: 4096,
    help: "Captions in a step; 25 with --data, else 64",
  }),
  epochs: integer({
    optional: true,
    min: 1,
    max: 100_000,
    help: "Passes over the captions; 50 with --data, else 10",
  }),
  optimizer: choice(["adam", "rmsprop", "sgd"], { default: "adam", help: "The optimizer" }),
  lr: number({ optional: true, moreThan: 0, help: "Learning rate; 5e-3 with --data, else 3e-3" }),
  decay: number({
    optional: true,
    moreThan: 0,
    max: 1,
    help:
      "The learning rate times this after each epoch; with --data 0.95 (RNN), 0.995 (LSTM), else 0.75",
  }),
  stepDecay: number({
    default: 1,
    moreThan: 0,
    max: 1,
    help: "The learning rate times this after each step",
  }),
  momentum: number({
    optional: true,
    min: 0,
    lessThan: 1,
    help: "Momentum of sgd; 0.9 unless given",
  }),
  clip: number({
    optional: true,
    moreThan: 0,
    help: "Largest norm of the gradient; without --data 5, else none",
  }),
  weightDecay: number({ default: 0, min: 0, help: "L2 penalty" }),
  dropout: number({
    default: 0,
    min: 0,
    lessThan: 1,
    help: "Dropout of the states before the scores",
  }),
  keep: choice(["best", "last"], {
    optional: true,
    help:
      "The weights to keep: of the epoch with the best validation BLEU-4 (when all captions are learnt from), or the last",
  }),
  beam: integer({ default: 5, min: 1, max: 50, help: "Width of the beam search at the end" }),
  lengthPower: number({
    default: 0.7,
    min: 0,
    max: 2,
    help: "Beam: captions compete by log p / words^this",
  }),
  pictures: integer({ default: 12, min: 1, max: 500, help: "Pictures of each split on the page" }),
  seed: integer({ default: 231, min: 0, help: "Seed of everything random" }),
  readEvery: integer({
    default: 20,
    min: 1,
    max: 10_000,
    help: "Read the loss back every so many steps",
  }),
  out: text({ default: "runs", placeholder: "DIR", help: "Folder of the runs" }),
});

type Given = Parsed<typeof FLAGS>;

/** The settings of a captioning run, all decided. */
export type CaptionSettings =
  & { [K in Exclude<keyof Given, "data" | "clip">]: NonNullable<Given[K]> }
  & Pick<Given, "data" | "clip">
  & { cell: CellType };

/** Read the command line; what was not given gets the homework's value, or one that suits the scenes. */
export function captionSettings(cell: CellType, args: readonly string[]): CaptionSettings {
  const task = `caption-${cell}`;
  const given = parseFlags(FLAGS, args, {
    task,
    summary:
      `Train an image captioner with ${cell === "lstm" ? "an LSTM" : "a vanilla RNN"} on WebGPU, ` +
      `caption pictures of the training and validation set, and write a page about it.`,
    examples: [
      `deno task ${task}`,
      `deno task ${task} --data=coco_captioning --max-train=50`,
      `deno task ${task} --data=coco_captioning --max-train=0 --epochs=3 --lr=1e-3 --dropout=0.3`,
    ],
  });
  const real = given.data !== undefined;
  if (!real && !given.pca) {
    throw new UsageError("Flag --no-pca needs --data: scenes have no such features");
  }
  if (real && given.scenes !== undefined) {
    throw new UsageError("Flag --scenes is for drawn scenes, and --data gives pictures: use one");
  }
  if (given.momentum !== undefined && given.optimizer !== "sgd") {
    throw new UsageError(`Flag --momentum is for --optimizer=sgd, and not ${given.optimizer}`);
  }
  const maxTrain = given.maxTrain ?? (real ? 50 : 0);
  return {
    ...given,
    cell,
    data: given.data,
    maxTrain,
    scenes: given.scenes ?? 4000,
    hidden: given.hidden ?? (real ? 512 : 128),
    words: given.words ?? (real ? 256 : 64),
    batch: given.batch ?? (real ? 25 : 64),
    epochs: given.epochs ?? (real ? 50 : 10),
    lr: given.lr ?? (real ? 5e-3 : 3e-3),
    decay: given.decay ?? (real ? (cell === "rnn" ? 0.95 : 0.995) : 0.75),
    momentum: given.momentum ?? 0.9,
    clip: given.clip ?? (real ? undefined : 5),
    keep: given.keep ?? (maxTrain === 0 ? "best" : "last"),
  };
}

/** Load or draw the data. Everything wrong with it is found here, before any training. */
export async function captionData(settings: CaptionSettings): Promise<CaptionData> {
  const { data: folder, pca, scenes, seed, maxTrain } = settings;
  const data = folder === undefined
    ? makeScenes({ seed, train: scenes, val: 200 })
    : await loadCocoCaptioning(folder, { pca });
  const count = data.train.imageIndex.length;
  if (maxTrain > count) {
    throw new UsageError(
      `Flag --max-train is ${maxTrain}, and the training set has ${count} captions: 0 (all) to ${count} are allowed`,
    );
  }
  if (settings.beam > data.vocabulary.size - 2) {
    throw new UsageError(
      `Flag --beam is ${settings.beam}, and the vocabulary of ${data.vocabulary.size} words allows 1 to ${
        data.vocabulary.size - 2
      }`,
    );
  }
  if (maxTrain === 0) return data;
  const stream = new RandomStream(seed).split("max-train");
  return { ...data, train: takeCaptions(data.train, maxTrain, stream) };
}

/**
 * How features are scaled: by the mean and deviation of the training set. The drawn scenes' features are
 * centred only: their pixels already share one unit, and dividing would blow up the rare ones.
 */
export function featureScale(data: CaptionData): Standardizer {
  const scale = standardizer(data.train.features, data.featureDim);
  return data.name === "scenes" ? { ...scale, deviation: scale.deviation.fill(1) } : scale;
}
