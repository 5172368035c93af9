/** The pictures of a transfer run: two folders of classes, or drawn ones. */
import { randomHorizontalFlip, randomResizedCrop, resizedCenterCrop } from "../../data/augment.ts";
import { transferDrawings } from "../../data/drawings.ts";
import { checkFiles, folderName } from "../../data/folder.ts";
import { decodeImage } from "../../data/image.ts";
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
  /** Tells pictures of files from others by their names and sizes. */
  fingerprint?: string;
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
  const data = {
    name,
    classes: train.classes,
    train: { pictures: train.paths, labels: train.labels },
    val: { pictures: val.paths, labels: val.labels },
    notes,
  };
  return { ...data, fingerprint: await fingerprint(root, [...train.paths, ...val.paths]) };
}

/** A hash of the files' names, as they are below `root`, and of their sizes. */
async function fingerprint(root: string, paths: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const path of paths) {
    const { size } = await Deno.stat(path);
    lines.push(`${path.slice(root.length)} ${size}`);
  }
  const bytes = new TextEncoder().encode(lines.join("\n"));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return hash.toHex().slice(0, 16);
}

/** A part of the data. */
type Part = "train" | "val";

function allBroken(part: Part, name: string, count: number, reason: string): TaskError {
  const pictures = count === 1 ? "The only picture" : `None of the ${grouped(count)} pictures`;
  const can = count === 1 ? "cannot" : "can";
  return new TaskError(`${pictures} of the class ${name} in ${part} ${can} be read: ${reason}`);
}

/** See that each class has a picture that can be read, before any time goes into training. */
async function checkReadable(
  part: Part,
  { classes }: Pick<TransferData, "classes">,
  { pictures, labels }: LabelledPictures,
): Promise<void> {
  for (const [label, name] of classes.entries()) {
    const own = pictures.filter((_, i) => labels[i] === label);
    let reason = "";
    let readable = false;
    for (const picture of own) {
      try {
        if (typeof picture === "string") await decodeImage(picture);
        readable = true;
        break;
      } catch (error) {
        if (!(error instanceof SyntaxError)) throw error;
        reason ||= error.message;
      }
    }
    if (!readable) throw allBroken(part, name, own.length, reason);
  }
}

/** See after a pass that it had pictures of each class: files can break or go in between. */
export function checkClassesSeen(
  part: Part,
  { classes }: Pick<TransferData, "classes">,
  { labels }: LabelledPictures,
  seen: { labels: Uint32Array },
  loader: ImageLoader,
): void {
  const found = new Set(seen.labels);
  const missing = [...new Set(labels)].find((label) => !found.has(label));
  if (missing === undefined) return;
  const count = labels.filter((label) => label === missing).length;
  throw allBroken(part, classes[missing], count, loader.skipped[0]?.reason ?? "they are gone");
}

/** The pictures that the settings name, or drawn ones. TaskError where of a class none can be read. */
export async function transferData({ data, strict }: TransferSettings): Promise<TransferData> {
  if (data === undefined) return { ...transferDrawings(), notes: [] };
  const found = await folderData(data, strict);
  await checkReadable("train", found, found.train);
  await checkReadable("val", found, found.val);
  return found;
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
      prepare: (image) => resizedCenterCrop(image, Math.round(MARGIN * size), size),
      strict,
    }),
  };
}
