/** The captioning task's flags, their defaults for each kind of data, and the data itself. */
import {
  type CaptionData,
  chooseCaptions,
  chooseImages,
  type Standardizer,
  standardizer,
  takeCaptions,
} from "../../data/sets/captions.ts";
import { loadCocoCaptioning } from "../../data/sets/coco_captioning.ts";
import { RandomStream } from "../../data/rng.ts";
import { makeScenes } from "../../data/made/scenes.ts";
import type { CellType } from "../../models/layers/layers.ts";
import {
  boolean,
  choice,
  commandName,
  defineFlags,
  integer,
  number,
  type Parsed,
  text,
  UsageError,
} from "../lib/flags.ts";
import { parseGpuFlags } from "../lib/gpu.ts";
import { PICTURE_FLAGS } from "../lib/own_pictures.ts";
import { RESUME_FLAGS } from "../lib/resume.ts";

/** What only training reads. */
const TRAINING_FLAGS = defineFlags({
  data: text({
    optional: true,
    placeholder: "DIR",
    help: "A folder in CS231n's coco_captioning layout; without it, scenes drawn by neckar itself",
  }),
  allowOutside: boolean({
    default: false,
    help: "Let the URL files of --data name pictures outside its folder",
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
  wordDeviation: number({
    optional: true,
    moreThan: 0,
    help: "Deviation of the first word vectors; 0.01 with --data, else 0.3 (LSTM), 0.1 (RNN)",
  }),
  scoreDeviation: number({
    optional: true,
    moreThan: 0,
    help: "Deviation of the first weights of the scores; 1/√hidden with --data, else 0.7",
  }),
  batch: integer({
    optional: true,
    min: 1,
    max: 4096,
    help: "Captions in a step; 25 with --data, else 64",
  }),
  sortWithin: integer({
    optional: true,
    min: 1,
    max: 10_000,
    help:
      "Sort the captions of so many batches by length before they are cut, which makes most steps shorter; 1, and nothing is sorted, with --data, else 4",
  }),
  epochs: integer({
    optional: true,
    min: 1,
    max: 100_000,
    help: "Passes over the captions; 50 with --data, else 4",
  }),
  optimizer: choice(["adam", "rmsprop", "sgd"], { default: "adam", help: "The optimizer" }),
  lr: number({
    optional: true,
    moreThan: 0,
    help: "Learning rate at first; 5e-3 with --data, else 6e-3",
  }),
  schedule: choice(["linear", "decay"], {
    optional: true,
    help:
      "The learning rate falls evenly to 0 (linear), or by --decay and --step-decay: decay with one of these or --data",
  }),
  decay: number({
    optional: true,
    moreThan: 0,
    max: 1,
    help:
      "The learning rate times this after each epoch; with --data 0.95 (RNN), 0.995 (LSTM), else 1",
  }),
  stepDecay: number({
    optional: true,
    moreThan: 0,
    max: 1,
    help: "The learning rate times this after each step; 1 unless given",
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
      "The weights to keep: of the epoch with the best validation BLEU-4 (when all captions are learned from), or the last",
  }),
  pictures: integer({ default: 12, min: 1, max: 500, help: "Pictures of each split on the page" }),
  seed: integer({ default: 231, min: 0, help: "Seed of everything random" }),
  readEvery: integer({
    default: 20,
    min: 1,
    max: 10_000,
    help: "Read the loss back every so many steps",
  }),
});

const COMMON_FLAGS = defineFlags({
  beam: integer({ default: 5, min: 1, max: 50, help: "Width of the beam search at the end" }),
  lengthPower: number({
    default: 0.7,
    min: 0,
    max: 2,
    help: "Beam: captions compete by log p / words^this",
  }),
  out: text({ default: "runs", placeholder: "DIR", help: "Folder of the runs" }),
});

/** What captioning one's own pictures reads, which learns nothing. */
const OWN_FLAGS = defineFlags({
  model: text({
    optional: true,
    placeholder: "RUN",
    help:
      "Train nothing, and caption --images with the model of an earlier run: its folder or its model.safetensors",
  }),
  ...PICTURE_FLAGS,
  weights: text({
    optional: true,
    placeholder: "FILE",
    help:
      "With --model: SqueezeNet 1.1's weights, a .safetensors, .pth or .npz file with torchvision's names",
  }),
});

type Given = Omit<
  Parsed<typeof TRAINING_FLAGS & typeof COMMON_FLAGS & typeof RESUME_FLAGS>,
  "resume"
>;

/** The settings of a run that captions pictures with an earlier run's model. */
export interface OwnSettings extends Parsed<typeof COMMON_FLAGS> {
  cell: CellType;
  model: string;
  images: string;
  strict: boolean;
  weights: string | undefined;
}

/** The settings of a captioning run, all decided. */
export type CaptionSettings =
  & { [K in Exclude<keyof Given, "data" | "clip">]: NonNullable<Given[K]> }
  & Pick<Given, "data" | "clip">
  & { cell: CellType };

/** Check the flags of a run that only captions. */
function ownSettings(
  cell: CellType,
  args: readonly string[],
  { model, images, strict, weights, beam, lengthPower, out }:
    & Parsed<typeof OWN_FLAGS & typeof COMMON_FLAGS>
    & { model: string },
): OwnSettings {
  const names = args.map((arg) => arg.split("=")[0].replace(/^--no-/, "--"));
  const training = Object.keys(TRAINING_FLAGS).map(commandName);
  const wrong = names.find((name) => training.includes(name));
  if (wrong !== undefined) {
    throw new UsageError(`Flag ${wrong} is for training, and with --model nothing is trained`);
  }
  if (images === undefined) {
    throw new UsageError("Flag --images, the pictures to caption, must be given with --model");
  }
  return { cell, model, images, strict, weights, beam, lengthPower, out };
}

/**
 * Read the command line. What was not given for training gets the homework's value, or one that suits the
 * scenes.
 */
export function captionSettings(
  cell: CellType,
  args: readonly string[],
): CaptionSettings | OwnSettings {
  const task = `caption-${cell}`;
  const flags = { ...TRAINING_FLAGS, ...COMMON_FLAGS, ...OWN_FLAGS, ...RESUME_FLAGS };
  const { resume: _, ...all } = parseGpuFlags(flags, args, {
    task,
    summary:
      `Train an image captioner with ${cell === "lstm" ? "an LSTM" : "a vanilla RNN"} on WebGPU, ` +
      `caption pictures of the training and validation set, and write a page about it; or caption one's own ` +
      "pictures with a trained one.",
    examples: [
      `deno task ${task}`,
      `deno task ${task} --data=coco_captioning --max-train=50`,
      `deno task ${task} --data=coco_captioning --max-train=0 --epochs=3 --lr=1e-3 --dropout=0.3`,
      `deno task ${task} --resume=runs/${task}/2026-01-31T09-05-00`,
      `deno task ${task} --model=runs/${task}/2026-01-31T09-05-00 --images=holiday --weights=squeezenet1_1-b8a52dc0.pth`,
    ],
  });
  const { model, images, strict, weights, ...given } = all;
  if (model !== undefined) return ownSettings(cell, args, { ...all, model });
  for (const [name, value] of Object.entries({ images, weights, strict: strict || undefined })) {
    if (value === undefined) continue;
    throw new UsageError(
      `Flag --${name} is for captioning with an earlier run's model, and no --model is given`,
    );
  }
  const real = given.data !== undefined;
  if (!real && !given.pca) {
    throw new UsageError("Flag --no-pca needs --data: scenes have no such features");
  }
  if (!real && given.allowOutside) {
    throw new UsageError("Flag --allow-outside needs --data: scenes are drawn, and no files");
  }
  if (real && given.scenes !== undefined) {
    throw new UsageError("Flag --scenes is for drawn scenes, and --data gives pictures: use one");
  }
  if (given.momentum !== undefined && given.optimizer !== "sgd") {
    throw new UsageError(`Flag --momentum is for --optimizer=sgd, and not ${given.optimizer}`);
  }
  const decays = (["decay", "stepDecay"] as const).find((name) => given[name] !== undefined);
  if (decays !== undefined && given.schedule === "linear") {
    throw new UsageError(`Flag ${commandName(decays)} is for --schedule=decay, and not linear`);
  }
  const lstm = cell === "lstm";
  const hidden = given.hidden ?? (real ? 512 : 128);
  const maxTrain = given.maxTrain ?? (real ? 50 : 0);
  return {
    ...given,
    cell,
    data: given.data,
    maxTrain,
    scenes: given.scenes ?? 4000,
    hidden,
    words: given.words ?? (real ? 256 : 64),
    wordDeviation: given.wordDeviation ?? (real ? 0.01 : lstm ? 0.3 : 0.1),
    scoreDeviation: given.scoreDeviation ?? (real ? 1 / Math.sqrt(hidden) : 0.7),
    batch: given.batch ?? (real ? 25 : 64),
    sortWithin: given.sortWithin ?? (real ? 1 : 4),
    epochs: given.epochs ?? (real ? 50 : 4),
    lr: given.lr ?? (real ? 5e-3 : 6e-3),
    schedule: given.schedule ?? (real || decays !== undefined ? "decay" : "linear"),
    decay: given.decay ?? (real ? (lstm ? 0.995 : 0.95) : 1),
    stepDecay: given.stepDecay ?? 1,
    momentum: given.momentum ?? 0.9,
    clip: given.clip ?? (real ? undefined : 5),
    keep: given.keep ?? (maxTrain === 0 ? "best" : "last"),
  };
}

/**
 * Load or draw the data, and keep what `--max-train` and, of a folder, `--max-val` say. Everything wrong with it
 * is found here, before any training.
 */
export async function captionData(settings: CaptionSettings): Promise<CaptionData> {
  const { data: folder, seed, maxTrain, maxVal } = settings;
  const stream = new RandomStream(seed).split("max-train");
  const checkMaxTrain = (count: number) => {
    if (maxTrain <= count) return;
    throw new UsageError(
      `Flag --max-train is ${maxTrain}, and the training set has ${count} captions: 0 (all) to ${count} are allowed`,
    );
  };
  const { pca, allowOutside: outside } = settings;
  const data = folder === undefined
    ? makeScenes({ seed, train: settings.scenes, val: 200 })
    : await loadCocoCaptioning(folder, {
      pca,
      outside,
      choose: {
        ...(maxTrain === 0 ? {} : {
          train: (imageIndex) => {
            checkMaxTrain(imageIndex.length);
            return chooseCaptions(imageIndex, maxTrain, stream);
          },
        }),
        ...(maxVal === 0
          ? {}
          : { val: (imageIndex, images) => chooseImages(imageIndex, images, maxVal) }),
      },
    });
  if (settings.beam > data.vocabulary.size - 2) {
    throw new UsageError(
      `Flag --beam is ${settings.beam}, and the vocabulary of ${data.vocabulary.size} words allows 1 to ${
        data.vocabulary.size - 2
      }`,
    );
  }
  if (maxTrain === 0 || folder !== undefined) return data;
  checkMaxTrain(data.train.imageIndex.length);
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
