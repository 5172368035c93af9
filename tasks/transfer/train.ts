/** One seed of a transfer run: the network is opened, trained, measured, saved and let go. */
import { join } from "@std/path";
import { IMAGENET_MEAN, IMAGENET_STD } from "../../data/images/augment.ts";
import type { SkippedFile } from "../../data/images/image_loader.ts";
import { RandomStream } from "../../data/rng.ts";
import { saveModel } from "../../models/layers/saved_model.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  imageLoss,
  type Measure,
  measure,
  type PictureScores,
  ScoreList,
} from "../../models/pictures/image_training.ts";
import { type Stateful, stateNumber } from "../../models/training/checkpoint.ts";
import type { FitResult } from "../../models/training/fit.ts";
import { NonFiniteLossError } from "../../models/training/loss_history.ts";
import { Adam, type Optimizer, Sgd } from "../../models/training/optimizers.ts";
import { BACKBONES } from "../../models/pictures/pretrained.ts";
import type { VisionModel } from "../../models/pictures/vision_model.ts";
import { type OpenBackbone, openBackbone } from "../lib/backbone.ts";
import { percent } from "../lib/format.ts";
import { checkMeasured } from "../../models/training/finite.ts";
import type { Cell } from "../lib/page.ts";
import { Pace } from "../../models/training/pace.ts";
import { trainModel } from "../lib/training.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import {
  checkClassesSeen,
  type LabeledPictures,
  type Loaders,
  makeLoaders,
  type TransferData,
} from "./data.ts";
import { timed, validate, validateAll, validateFew } from "./validate.ts";
import { settingsInUse, taskName, type TransferSettings } from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** How the training of a seed went. */
interface Trained extends FitResult {
  /** Validation before any training. */
  before: Measure;
}

/** All that is left of a seed, its saved model apart. */
export interface SeedResult extends Trained {
  seed: number;
  /** The file of the model in the run folder. */
  file: string;
  /** The kept weights on the validation pictures. */
  val: Measure;
  valScores: PictureScores;
  /** The pictures that {@link valScores} are of: all to validate, or a few after an interruption. */
  measured: LabeledPictures;
  /** Pictures that could not be read. */
  skipped: SkippedFile[];
}

/** What a seed needs. */
export interface SeedOptions {
  gpu: Gpu;
  settings: TransferSettings;
  data: TransferData;
  seed: number;
  folder: RunFolder;
  /** Go on where the seed's checkpoint was written. */
  resume: boolean;
  /** Set to stop after the step at hand. */
  signal: Pick<AbortSignal, "aborted">;
  /** Writes a line; `console.log` when left out. */
  print?: (line: string) => void;
}

/** The network that a seed starts from, with a new last layer. */
export function openNetwork(
  gpu: Gpu,
  settings: TransferSettings,
  { classes }: TransferData,
  seed: number,
): Promise<OpenBackbone> {
  const { learned } = settings;
  return openBackbone(gpu, settings, { classes: classes.length, newHead: true, learned, seed });
}

function makeOptimizer({ store }: VisionModel, settings: TransferSettings): Optimizer {
  const { optimizer, lr, weightDecay, momentum = 0 } = settings;
  return optimizer === "sgd"
    ? new Sgd(store, { lr, weightDecay, momentum })
    : new Adam(store, { lr, weightDecay });
}

/** What the result of a seed depends on. */
function madeWith(
  settings: TransferSettings,
  { classes, train, val, fingerprint }: TransferData,
  seed: number,
): Record<string, Cell> {
  return {
    ...settingsInUse(settings),
    seed,
    classes: classes.join(", "),
    trainPictures: train.pictures.length,
    valPictures: val.pictures.length,
    pictures: fingerprint,
  };
}

/** Where the last map of a network has one place, batch norms learn nothing of one picture. */
const ONE_PLACE = 32;

/** Refuse a last batch of one picture where batch norms cannot learn of it. */
function checkLastBatch(
  model: VisionModel,
  { train: loader }: Loaders,
  { settings: { batch, size, batchNorm }, data }: SeedOptions,
): void {
  const count = data.train.pictures.length - loader.skipped.length;
  if (model.buffers.length === 0 || batchNorm === "eval" || size > ONE_PLACE) return;
  if (batch > 1 && count % batch !== 1) return;
  throw new UserError(
    `--batch=${batch} leaves one of the ${count} pictures to the last batch, of which batch norms learn nothing at ` +
      `--size=${size}: choose another --batch, or --batch-norm=eval`,
  );
}

/** Train a network, and leave the weights of the best epoch in it. `file` is the name of its checkpoint. */
export async function trainNetwork(
  model: VisionModel,
  loaders: Loaders,
  options: SeedOptions,
  file: string,
): Promise<Trained> {
  const { gpu, settings, data, seed, folder, resume, signal, print = console.log } = options;
  const { epochs, lr, decay, decayEvery, readEvery, saveEvery, batchNorm, learned } = settings;
  using optimizer = makeOptimizer(model, settings);
  using pace = new Pace(gpu, signal);
  using scores = new ScoreList(model, data.train.pictures.length);
  const stream = new RandomStream(seed).split("dropout");
  const waiting = { milliseconds: 0 };
  let [before, began]: [Measure, number] = [{ loss: NaN, accuracy: NaN }, 0];
  const note: Stateful = {
    state: () => ({ values: { ...before } }),
    loadState: (state) => {
      before = { loss: stateNumber(state, "loss"), accuracy: stateNumber(state, "accuracy") };
    },
  };
  try {
    const result = await trainModel(model, {
      ...{ optimizer, epochs, readEvery, saveEvery, signal, folder, resume, file, print },
      task: taskName(learned),
      tag: { seed },
      made: madeWith(settings, data, seed),
      states: { before: note, seen: scores },
      perEpoch: loaders.train.batchCount,
      schedule: (_, epoch) => lr * decay ** Math.floor((epoch - 1) / decayEvery),
      batches: (epoch) => timed(loaders.train.epoch(epoch), waiting),
      loss: (batch, { tape, epoch, inEpoch }) =>
        imageLoss(model, batch, {
          ...{ tape, scores, batchStatistics: batchNorm !== "eval" },
          stream: stream.split(epoch).split(inEpoch),
        }),
      async onStart(_, resumed) {
        if (!resumed) {
          const all = await validate(model, loaders, { data, pace }, { milliseconds: 0 });
          const few = all ?? (await validateFew(model, loaders, options)).scores;
          before = measure(few);
          checkMeasured(before.loss, "The validation loss before training");
          print(
            `Before training: validation accuracy ${percent(before.accuracy)}` +
              (all === undefined ? `, interrupted after ${few.labels.length} pictures` : ""),
          );
        }
        checkLastBatch(model, loaders, options);
      },
      onEpochStart(_, done) {
        if (done === 0) scores.clear();
        [began, waiting.milliseconds] = [performance.now(), 0];
      },
      async evaluate(onBatch, epoch) {
        const trained = await scores.read();
        checkClassesSeen("train", data, data.train, trained, loaders.train);
        const validated = await validateAll(model, loaders, data, waiting, onBatch);
        const [seen, val] = [measure(trained), measure(validated)];
        checkMeasured(val.loss, `The validation loss of epoch ${epoch}`);
        return {
          lr: optimizer.lr,
          trainLoss: seen.loss,
          trainAccuracy: seen.accuracy,
          valLoss: val.loss,
          valAccuracy: val.accuracy,
          seconds: (performance.now() - began) / 1000,
          waited: waiting.milliseconds / 1000,
        };
      },
      keep: { best: "valAccuracy" },
      describe: ({ trainLoss, trainAccuracy, valLoss, valAccuracy }) =>
        `training loss ${trainLoss.toFixed(4)}, accuracy ${
          percent(trainAccuracy)
        }; validation loss ${valLoss.toFixed(4)}, accuracy ${percent(valAccuracy)}`,
    });
    return { ...result, before };
  } catch (error) {
    // Pictures found broken on the way leave another last batch.
    if (!(error instanceof NonFiniteLossError)) checkLastBatch(model, loaders, options);
    throw error;
  }
}

/** Open, train, measure and save the network of one seed. Nothing of it stays on the GPU. */
export async function trainSeed(options: SeedOptions): Promise<SeedResult> {
  const { gpu, settings, data, seed, folder, signal } = options;
  const suffix = settings.seeds === 1 ? "" : `-seed-${seed}`;
  const { model: opened } = await openNetwork(gpu, settings, data, seed);
  using model = opened;
  const loaders = makeLoaders(data, settings, seed);
  const trained = await trainNetwork(model, loaders, options, `checkpoint${suffix}.safetensors`);
  const file = `model${suffix}.safetensors`;
  await saveModel(join(folder.path, file), model, {
    // Of its widths the shapes of its weights tell.
    backbone: BACKBONES.find((name) => model.kind.startsWith(name))!,
    classes: JSON.stringify(data.classes),
    normalisation: JSON.stringify({ mean: IMAGENET_MEAN, std: IMAGENET_STD, size: settings.size }),
    // Models are given away: they do not tell where things lay.
    settings: JSON.stringify({
      ...settingsInUse(settings),
      ...{ seed, data: data.name, weights: undefined },
    }),
  });
  using pace = new Pace(gpu, signal);
  const scores = await validate(model, loaders, { data, pace }, { milliseconds: 0 });
  const whole = scores && { measured: data.val, scores };
  const { measured, scores: valScores } = whole ?? await validateFew(model, loaders, options);
  const kept = trained.epochs.find(({ epoch }) => epoch === trained.keptEpoch);
  return {
    ...trained,
    seed,
    file,
    interrupted: signal.aborted && trained.epochs.length < settings.epochs,
    // Of an interrupted run a few pictures are answered, but all were after the epoch.
    val: whole === undefined && kept !== undefined
      ? { loss: kept.valLoss, accuracy: kept.valAccuracy }
      : measure(valScores),
    valScores,
    measured,
    skipped: [...loaders.train.skipped, ...loaders.val.skipped],
  };
}
