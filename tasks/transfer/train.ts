/** One seed of a transfer run: the network is opened, trained, measured, saved and let go. */
import { join } from "@std/path";
import { IMAGENET_MEAN, IMAGENET_STD } from "../../data/augment.ts";
import type { ImageBatch, SkippedFile } from "../../data/image_loader.ts";
import { RandomStream } from "../../data/rng.ts";
import { writeSafetensors } from "../../data/safetensors.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import {
  imageScores,
  type Measure,
  measure,
  type PictureScores,
  trainImageEpoch,
} from "../../models/image_training.ts";
import { LossHistory } from "../../models/loss_history.ts";
import { Adam, type Optimizer, Sgd } from "../../models/optimizers.ts";
import { stateDict } from "../../models/state_dict.ts";
import { BACKBONES } from "../../models/pretrained.ts";
import type { VisionModel } from "../../models/vision_model.ts";
import { type OpenBackbone, openBackbone } from "../lib/backbone.ts";
import { percent } from "../lib/format.ts";
import { turn } from "../lib/main.ts";
import type { Cell } from "../lib/page.ts";
import { progress } from "../lib/progress.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import {
  bestEpoch,
  type Progress,
  readCheckpoint,
  type Weights,
  writeCheckpoint,
} from "./checkpoint.ts";
import { type Loaders, makeLoaders, type TransferData } from "./data.ts";
import { settingsInUse, type TransferSettings } from "./settings.ts";

/** All that is left of a seed, its saved model apart. */
export interface SeedResult extends Progress {
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
  { classes, train, val }: TransferData,
  seed: number,
): Record<string, Cell> {
  return {
    ...settingsInUse(settings),
    seed,
    classes: classes.join(", "),
    trainPictures: train.pictures.length,
    valPictures: val.pictures.length,
  };
}

/** Time spent waiting for batches, in milliseconds. */
interface Waiting {
  milliseconds: number;
}

async function* timed(batches: AsyncIterable<ImageBatch>, waiting: Waiting) {
  let asked = performance.now();
  for await (const batch of batches) {
    waiting.milliseconds += performance.now() - asked;
    yield batch;
    asked = performance.now();
  }
}

function validate(model: VisionModel, { val }: Loaders, data: TransferData, waiting: Waiting) {
  return imageScores(model, timed(val.epoch(0), waiting), data.val.pictures.length);
}

/**
 * Train on after `done`, and write a checkpoint after each epoch. Leaves the weights of the best epoch in the
 * network.
 */
export async function trainNetwork(
  model: VisionModel,
  loaders: Loaders,
  { gpu, settings, data, seed, folder, signal, print = console.log }: SeedOptions,
  checkpointPath: string,
): Promise<Progress> {
  const { epochs: wanted, lr, decay, decayEvery, readEvery, batchNorm } = settings;
  const made = madeWith(settings, data, seed);
  const start = settings.resume && await readCheckpoint(checkpointPath, made) || undefined;
  using optimizer = makeOptimizer(model, settings);
  const epochs = start?.epochs ?? [];
  const losses = start?.losses ?? [];
  let best: Weights | undefined = start?.best;
  if (start !== undefined) {
    model.load(start.model);
    optimizer.loadState(start.optimizer);
  }
  const before = start?.before ??
    measure(await validate(model, loaders, data, { milliseconds: 0 }));
  print(
    start === undefined
      ? `Before training: validation accuracy ${percent(before.accuracy)}`
      : `Going on after epoch ${epochs.length} of ${wanted}`,
  );
  const left = (wanted - epochs.length) * loaders.train.batchCount;
  using bar = left > 0 ? progress({ total: left, unit: "step", print }) : undefined;
  let steps = 0;
  while (epochs.length < wanted && !signal.aborted) {
    const epoch = epochs.length + 1;
    const [began, waiting] = [performance.now(), { milliseconds: 0 }];
    optimizer.lr = lr * decay ** Math.floor((epoch - 1) / decayEvery);
    using history = new LossHistory(gpu, readEvery);
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
        if (steps % readEvery === 0) {
          await turn();
          const recent = history.losses;
          bar?.update(steps, recent.length > 0 ? { loss: mean(recent) } : {});
        }
        return !signal.aborted;
      },
    });
    const epochLosses = await history.finish();
    bar?.update(steps, epochLosses.length > 0 ? { loss: mean(epochLosses) } : {});
    if (trained === undefined) break;
    const [seen, val] = [measure(trained), measure(await validate(model, loaders, data, waiting))];
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
    epochs.push(result);
    const weights = await stateDict(model.store.parameters);
    if (best === undefined || bestEpoch(epochs) === result) best = weights;
    epochLosses.forEach((loss, i) => folder.metric({ seed, step: losses.length + i + 1, loss }));
    losses.push(...epochLosses);
    folder.metric({ seed, ...result });
    await writeCheckpoint(checkpointPath, {
      ...{ before, epochs, losses, made, model: weights, best },
      optimizer: await optimizer.state(),
    });
    bar?.note(
      `epoch ${epoch}: training loss ${seen.loss.toFixed(4)}, accuracy ${
        percent(seen.accuracy)
      }; validation loss ${val.loss.toFixed(4)}, accuracy ${percent(val.accuracy)}`,
    );
  }
  if (best !== undefined) model.load(best);
  return { before, epochs, losses };
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
  await writeSafetensors(join(folder.path, file), await stateDict(model.store.parameters), {
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
  const valScores = await validate(model, loaders, data, { milliseconds: 0 });
  return {
    ...progress,
    seed,
    file,
    keptEpoch: bestEpoch(progress.epochs)?.epoch ?? 0,
    seconds: progress.epochs.reduce((sum, { seconds }) => sum + seconds, 0),
    interrupted: signal.aborted && progress.epochs.length < settings.epochs,
    val: measure(valScores),
    valScores,
    skipped: [...loaders.train.skipped, ...loaders.val.skipped],
  };
}
