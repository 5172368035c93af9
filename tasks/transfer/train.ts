/** One seed of a transfer run: the network is opened, trained, measured, saved and let go. */
import { join } from "@std/path";
import { IMAGENET_MEAN, IMAGENET_STD } from "../../data/images/augment.ts";
import type { SkippedFile } from "../../data/images/image_loader.ts";
import { RandomStream } from "../../data/rng.ts";
import { writeSafetensors } from "../../data/formats/safetensors.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  type Measure,
  measure,
  type PictureScores,
  trainImageEpoch,
} from "../../models/image_training.ts";
import { LossHistory, NonFiniteLossError } from "../../models/loss_history.ts";
import { Adam, type Optimizer, Sgd } from "../../models/optimizers.ts";
import { BACKBONES } from "../../models/pretrained.ts";
import type { VisionModel } from "../../models/vision_model.ts";
import { type OpenBackbone, openBackbone } from "../lib/backbone.ts";
import { percent } from "../lib/format.ts";
import { checkMeasured, checkTensors, divergence } from "../lib/finite.ts";
import { TaskError } from "../lib/main.ts";
import type { Cell } from "../lib/page.ts";
import { Pace } from "../lib/pace.ts";
import { progress } from "../lib/progress.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import {
  bestEpoch,
  type Checkpoint,
  type Progress,
  readCheckpoint,
  type Weights,
  writeCheckpoint,
} from "./checkpoint.ts";
import {
  checkClassesSeen,
  type LabelledPictures,
  type Loaders,
  makeLoaders,
  type TransferData,
} from "./data.ts";
import { timed, validate, validateFew } from "./validate.ts";
import { settingsInUse, type TransferSettings } from "./settings.ts";

/** All that is left of a seed, its saved model apart. */
export interface SeedResult extends Trained {
  seed: number;
  /** The file of the model in the run folder. */
  file: string;
  /** The epoch whose weights are kept; 0 when none came to its end. */
  keptEpoch: number;
  /** Time of all epochs. */
  seconds: number;
  interrupted: boolean;
  /** The kept weights on the validation pictures. */
  val: Measure;
  valScores: PictureScores;
  /** The pictures that {@link valScores} are of: all to validate, or a few after an interruption. */
  measured: LabelledPictures;
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
  const { learnt } = settings;
  return openBackbone(gpu, settings, { classes: classes.length, newHead: true, learnt, seed });
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

/** Take up a checkpoint. TaskError where it does not fit the network. */
function takeUp(
  path: string,
  checkpoint: Checkpoint,
  model: VisionModel,
  optimizer: Optimizer,
): void {
  try {
    model.load(checkpoint.best, { dryRun: true });
    model.load(checkpoint.model);
    optimizer.loadState(checkpoint.optimizer);
  } catch (error) {
    if (!(error instanceof TypeError || error instanceof RangeError)) throw error;
    throw new TaskError(`${path} cannot be gone on from: ${error.message}`);
  }
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
  if (count % batch !== 1) return;
  throw new TaskError(
    `--batch=${batch} leaves one of the ${count} pictures to the last batch, of which batch norms learn nothing at ` +
      `--size=${size}: choose another --batch, or --batch-norm=eval`,
  );
}

/** How the training of a seed went. */
interface Trained extends Progress {
  /** Why it was stopped, where a loss or a weight was not finite. */
  diverged: string | undefined;
}

/**
 * Train on after `done`, and write a checkpoint after each epoch. Leaves the weights of the best epoch in the
 * network.
 */
export async function trainNetwork(
  model: VisionModel,
  loaders: Loaders,
  options: SeedOptions,
  checkpointPath: string,
): Promise<Trained> {
  const { gpu, settings, data, seed, folder, signal, print = console.log } = options;
  const { epochs: wanted, lr, decay, decayEvery, readEvery, batchNorm } = settings;
  const made = madeWith(settings, data, seed);
  const start = settings.resume && await readCheckpoint(checkpointPath, made) || undefined;
  using optimizer = makeOptimizer(model, settings);
  using pace = new Pace(gpu, signal);
  const epochs = start?.epochs ?? [];
  const losses = start?.losses ?? [];
  let best: Weights | undefined = start?.best;
  if (start !== undefined) takeUp(checkpointPath, start, model, optimizer);
  // A run can end after an epoch's lines and before its checkpoint.
  if (settings.resume) {
    folder.retainMetrics((record) =>
      record.seed !== seed ||
      (typeof record.step === "number"
        ? record.step <= losses.length
        : typeof record.epoch === "number" && record.epoch <= epochs.length)
    );
  }
  const within = { data, pace };
  const validated = start === undefined
    ? await validate(model, loaders, within, { milliseconds: 0 })
    : undefined;
  const few = start === undefined && validated === undefined
    ? (await validateFew(model, loaders, options)).scores
    : undefined;
  const before = start?.before ?? measure((validated ?? few)!);
  checkMeasured(before.loss, "The validation loss before training");
  if (epochs.length < wanted) checkLastBatch(model, loaders, options);
  print(
    start === undefined
      ? `Before training: validation accuracy ${percent(before.accuracy)}` +
        (few === undefined ? "" : `, interrupted after ${few.labels.length} pictures`)
      : `Going on after epoch ${epochs.length} of ${wanted}`,
  );
  const left = (wanted - epochs.length) * loaders.train.batchCount;
  using bar = left > 0 ? progress({ total: left, unit: "step", print }) : undefined;
  let steps = 0;
  /** Train for an epoch and measure it. Whether it came to its end. */
  const trainEpoch = async (epoch: number): Promise<boolean> => {
    const [began, waiting] = [performance.now(), { milliseconds: 0 }];
    optimizer.lr = lr * decay ** Math.floor((epoch - 1) / decayEvery);
    using history = new LossHistory(gpu, readEvery, { firstStep: losses.length + 1 });
    const trained = await trainImageEpoch({
      model,
      optimizer,
      history,
      batches: timed(loaders.train.epoch(epoch), waiting),
      pictures: data.train.pictures.length,
      stream: new RandomStream(seed).split("dropout").split(epoch),
      batchStatistics: batchNorm !== "eval",
      onStep: async () => {
        steps++;
        const goOn = await pace.step();
        if (steps % readEvery === 0) {
          const recent = history.losses;
          bar?.update(steps, recent.length > 0 ? { loss: mean(recent) } : {});
        }
        return goOn;
      },
    }).catch((error) => {
      // Pictures found broken on the way leave another last batch.
      if (!(error instanceof NonFiniteLossError)) checkLastBatch(model, loaders, options);
      throw error;
    });
    const epochLosses = await history.finish();
    bar?.update(steps, epochLosses.length > 0 ? { loss: mean(epochLosses) } : {});
    if (trained === undefined) return false;
    checkClassesSeen("train", data, data.train, trained, loaders.train);
    const weights = await model.stateDict();
    checkTensors(weights, losses.length + epochLosses.length);
    const validated = await validate(model, loaders, within, waiting);
    if (validated === undefined) return false;
    const [seen, val] = [measure(trained), measure(validated)];
    checkMeasured(val.loss, `The validation loss of epoch ${epoch}`);
    const result = {
      epoch,
      lr: optimizer.lr,
      trainLoss: seen.loss,
      trainAccuracy: seen.accuracy,
      valLoss: val.loss,
      valAccuracy: val.accuracy,
      seconds: (performance.now() - began) / 1000,
      waited: waiting.milliseconds / 1000,
    };
    const state = await optimizer.state();
    checkTensors(
      state.moments.map((data, i) => [`moment ${i}`, { dtype: "F32", shape: [data.length], data }]),
      losses.length + epochLosses.length,
    );
    epochs.push(result);
    if (best === undefined || bestEpoch(epochs) === result) best = weights;
    epochLosses.forEach((loss, i) => folder.metric({ seed, step: losses.length + i + 1, loss }));
    losses.push(...epochLosses);
    folder.metric({ seed, ...result });
    await writeCheckpoint(checkpointPath, {
      ...{ before, epochs, losses, made, model: weights, best },
      optimizer: state,
    });
    bar?.note(
      `epoch ${epoch}: training loss ${seen.loss.toFixed(4)}, accuracy ${
        percent(seen.accuracy)
      }; validation loss ${val.loss.toFixed(4)}, accuracy ${percent(val.accuracy)}`,
    );
    return true;
  };
  let failure: string | undefined;
  try {
    while (epochs.length < wanted && !signal.aborted && await trainEpoch(epochs.length + 1));
  } catch (error) {
    failure = divergence(error);
    if (best === undefined) throw error;
  }
  if (best !== undefined) model.load(best);
  return { before, epochs, losses, diverged: failure };
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** Open, train, measure and save the network of one seed. Nothing of it stays on the GPU. */
export async function trainSeed(options: SeedOptions): Promise<SeedResult> {
  const { gpu, settings, data, seed, folder, signal } = options;
  const suffix = settings.seeds === 1 ? "" : `-seed-${seed}`;
  const { model: opened } = await openNetwork(gpu, settings, data, seed);
  using model = opened;
  const loaders = makeLoaders(data, settings, seed);
  const checkpointPath = join(folder.path, `checkpoint${suffix}.safetensors`);
  const progress = await trainNetwork(model, loaders, options, checkpointPath);
  const file = `model${suffix}.safetensors`;
  await writeSafetensors(join(folder.path, file), await model.stateDict(), {
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
  const kept = bestEpoch(progress.epochs);
  return {
    ...progress,
    seed,
    file,
    keptEpoch: kept?.epoch ?? 0,
    seconds: progress.epochs.reduce((sum, { seconds }) => sum + seconds, 0),
    interrupted: signal.aborted && progress.epochs.length < settings.epochs,
    // Of an interrupted run a few pictures are answered, but all were after the epoch.
    val: whole === undefined && kept !== undefined
      ? { loss: kept.valLoss, accuracy: kept.valAccuracy }
      : measure(valScores),
    valScores,
    measured,
    skipped: [...loaders.train.skipped, ...loaders.val.skipped],
  };
}
