/** The pictures of a transfer run: two folders of classes, or drawn ones. */
import {
  centerCrop,
  randomHorizontalFlip,
  randomResizedCrop,
  resizeShorter,
} from "../../data/augment.ts";
import { transferDrawings } from "../../data/drawings.ts";
import { checkFiles, folderName } from "../../data/folder.ts";
import { readImageFolder } from "../../data/image_folder.ts";
import { ImageLoader } from "../../data/image_loader.ts";
import type { RgbImage } from "../../data/rgb_image.ts";
import { RandomStream } from "../../data/rng.ts";
import { grouped } from "../lib/format.ts";
import { TaskError } from "../lib/main.ts";
import type { TransferSettings } from "./settings.ts";

/** Pictures with their classes. */
export interface LabelledPictures {
  /** Paths, or pictures in memory. */
  pictures: readonly (string | RgbImage)[];
  /** The class of each, an index into the classes. */
  labels: Uint32Array<ArrayBuffer>;
}

/** What is learnt from, and what is measured on. */
export interface TransferData {
  name: string;
  /** The classes' names, at least two. */
  classes: readonly string[];
  train: LabelledPictures;
  val: LabelledPictures;
  /** Sentences about the data, for the console and the page. */
  notes: string[];
}

/** Say which classes only one of the two has. */
function checkClasses(root: string, train: readonly string[], val: readonly string[]): void {
  const alone = (part: string, classes: readonly string[], others: readonly string[]) => {
    const only = classes.filter((label) => !others.includes(label));
    return only.length === 0 ? [] : [`only ${part} has ${only.join(", ")}`];
  };
  const differences = [...alone("train", train, val), ...alone("val", val, train)];
  if (differences.length > 0) {
    throw new TaskError(
      `The classes of train and val in ${root} differ: ${differences.join("; ")}`,
    );
  }
  if (train.length < 2) {
    throw new TaskError(
      `There must be two classes or more to tell apart: ${root}/train has only ${train[0]}`,
    );
  }
}

/**
 * List the pictures of a folder that holds `train` and `val`, and in each a folder for each class. With
 * `strict`, files that are no pictures by their names are a TaskError instead of being passed over.
 */
export async function folderData(folder: string, strict: boolean): Promise<TransferData> {
  const { root, name } = folderName(folder);
  await checkFiles(root, ["train", "val"]);
  const train = await readImageFolder(`${root}/train`);
  const val = await readImageFolder(`${root}/val`);
  checkClasses(root, train.classes, val.classes);
  const notes: string[] = [];
  const { length, 0: first } = [...train.passedOver, ...val.passedOver];
  if (length > 0) {
    const files = length === 1 ? "A file's name is" : `${grouped(length)} files' names are`;
    const note = `${files} not those of pictures (${length === 1 ? "" : "the first is "}${first})`;
    if (strict) throw new TaskError(`${note}, and --strict allows none`);
    notes.push(`${note}: passed over`);
  }
  return {
    name,
    classes: train.classes,
    train: { pictures: train.paths, labels: train.labels },
    val: { pictures: val.paths, labels: val.labels },
    notes,
  };
}

/** The pictures that the settings name, or drawn ones. */
export async function transferData({ data, strict }: TransferSettings): Promise<TransferData> {
  return data === undefined ? { ...transferDrawings(), notes: [] } : await folderData(data, strict);
}

/** So many validation pictures are answered at once. */
const VAL_BATCH = 16;

/** torchvision's recipe: the shorter side at 256 where the network sees 224 pixels. */
const MARGIN = 256 / 224;

/** What decodes and prepares the pictures, ahead of the GPU. */
export interface Loaders {
  /** A random part of each, mirrored half the time, in a random order: other ones in each epoch. */
  train: ImageLoader;
  /** The middle of each, in order. */
  val: ImageLoader;
}

/** The loaders of a seed. */
export function makeLoaders(
  { train, val }: TransferData,
  { batch, size, strict }: TransferSettings,
  seed: number,
): Loaders {
  return {
    train: new ImageLoader(train.pictures, {
      batchSize: batch,
      labels: train.labels,
      stream: new RandomStream(seed).split("pictures"),
      augment: (image, stream) =>
        randomHorizontalFlip(randomResizedCrop(image, size, stream), stream),
      strict,
    }),
    val: new ImageLoader(val.pictures, {
      batchSize: VAL_BATCH,
      labels: val.labels,
      prepare: (image) => centerCrop(resizeShorter(image, Math.round(MARGIN * size)), size),
      strict,
    }),
  };
}
