/** A network's answers to the validation pictures of a run. */
import { spread } from "../../data/sets/captions.ts";
import type { ImageBatch } from "../../data/images/image_loader.ts";
import { imageScores, type PictureScores } from "../../models/pictures/image_training.ts";
import type { VisionModel } from "../../models/pictures/vision_model.ts";
import type { Pace } from "../../models/training/pace.ts";
import {
  checkClassesSeen,
  type LabeledPictures,
  type Loaders,
  makeLoaders,
  type TransferData,
} from "./data.ts";
import type { TransferSettings } from "./settings.ts";

/** Time spent waiting for batches, in milliseconds. */
export interface Waiting {
  milliseconds: number;
}

/** The batches, with the time that is spent waiting for them added to `waiting`. */
export async function* timed(batches: AsyncIterable<ImageBatch>, waiting: Waiting) {
  let asked = performance.now();
  for await (const batch of batches) {
    waiting.milliseconds += performance.now() - asked;
    yield batch;
    asked = performance.now();
  }
}

/** Answers to all validation pictures; `onBatch` is called after each batch, and may end it. */
export async function validateAll(
  model: VisionModel,
  { val }: Loaders,
  data: TransferData,
  waiting: Waiting,
  onBatch: () => Promise<void>,
): Promise<PictureScores> {
  const count = data.val.pictures.length;
  const scores = await imageScores(model, timed(val.epoch(0), waiting), count, onBatch);
  checkClassesSeen("val", data, data.val, scores, val);
  return scores;
}

/** The same; nothing where it was interrupted. */
export function validate(
  model: VisionModel,
  loaders: Loaders,
  { data, pace }: { data: TransferData; pace: Pace },
  waiting: Waiting,
): Promise<PictureScores | undefined> {
  return pace.measure((onBatch) => validateAll(model, loaders, data, waiting, onBatch));
}

/** After an interruption so many pictures are answered: it must not go on for long. */
const MEASURED_INTERRUPTED = 16;

/** Answers to a few validation pictures, and which these are. */
export async function validateFew(
  model: VisionModel,
  { val: loader }: Loaders,
  { data, settings, seed }: { data: TransferData; settings: TransferSettings; seed: number },
): Promise<{ measured: LabeledPictures; scores: PictureScores }> {
  const { val } = data;
  const broken = new Set(loader.skipped.map(({ path }) => path));
  const readable = [...val.pictures.keys()].filter((i) => !broken.has(String(val.pictures[i])));
  const chosen = spread(readable.length, MEASURED_INTERRUPTED).map((i) => readable[i]);
  const measured: LabeledPictures = {
    pictures: chosen.map((i) => val.pictures[i]),
    labels: Uint32Array.from(chosen, (i) => val.labels[i]),
  };
  const few = makeLoaders({ ...data, val: measured }, settings, seed).val;
  return { measured, scores: await imageScores(model, few.epoch(0), chosen.length) };
}
