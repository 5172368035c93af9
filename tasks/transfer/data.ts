/** The pictures of a transfer run: two folders of classes, or drawn ones. */
import {
  randomHorizontalFlip,
  randomResizedCrop,
  resizedCenterCrop,
} from "../../data/images/augment.ts";
import { transferDrawings } from "../../data/made/drawings.ts";
import { unreadable } from "../../data/files/file.ts";
import { checkFiles, folderName } from "../../data/files/folder.ts";
import { useImage } from "../../data/images/image.ts";
import { readImageFolder } from "../../data/images/image_folder.ts";
import { ImageLoader } from "../../data/images/image_loader.ts";
import { listed, printable, quote } from "../../data/files/messages.ts";
import type { RgbImage } from "../../data/images/rgb_image.ts";
import { RandomStream } from "../../data/rng.ts";
import { grouped } from "../lib/format.ts";
import { passedOverNotes } from "../lib/own_pictures.ts";
import type { TransferSettings } from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Pictures with their classes. */
export interface LabeledPictures {
  /** Paths, or pictures in memory. */
  pictures: readonly (string | RgbImage)[];
  /** The class of each, an index into the classes. */
  labels: Uint32Array<ArrayBuffer>;
}

/** What is learned from, and what is measured on. */
export interface TransferData {
  name: string;
  /** The classes' names, at least two. */
  classes: readonly string[];
  train: LabeledPictures;
  val: LabeledPictures;
  /** Tells pictures of files from others by their names and sizes. */
  fingerprint?: string;
  /** Sentences about the data, for the console and the page. */
  notes: string[];
}

/** Say which classes only one of the two has. */
function checkClasses(root: string, train: readonly string[], val: readonly string[]): void {
  const only = (classes: readonly string[], others: readonly string[]) =>
    classes.filter((label) => !others.includes(label));
  const [inTrain, inVal] = [only(train, val), only(val, train)];
  const where = printable(root);
  if (inTrain.length > 0 || inVal.length > 0) {
    const differences = [
      ...(inTrain.length > 0 ? [`only train has ${listed(inTrain, 20)}`] : []),
      ...(inVal.length > 0 ? [`only val has ${listed(inVal, 20)}`] : []),
    ];
    const lower = (names: readonly string[]) =>
      names.map((name) => name.toLowerCase()).sort().join("/");
    const hint = lower(inTrain) === lower(inVal) ? " (capitals count in names of classes)" : "";
    throw new UserError(
      `The classes of train and val in ${where} differ: ${differences.join("; ")}${hint}`,
    );
  }
  if (train.length < 2) {
    throw new UserError(
      `There must be two classes or more to tell apart: ${where}/train has only ${quote(train[0])}`,
    );
  }
}

/**
 * List the pictures of a folder that holds `train` and `val`, and in each a folder for each class. With
 * `strict`, files that are no pictures by their names are a UserError instead of being passed over.
 */
export async function folderData(folder: string, strict: boolean): Promise<TransferData> {
  const { root, name } = folderName(folder);
  await checkFiles(root, ["train", "val"], "folder");
  const train = await readImageFolder(`${root}/train`);
  const val = await readImageFolder(`${root}/val`);
  checkClasses(root, train.classes, val.classes);
  const data = {
    name,
    classes: train.classes,
    train: { pictures: train.paths, labels: train.labels },
    val: { pictures: val.paths, labels: val.labels },
    notes: passedOverNotes([train, val], strict),
  };
  return { ...data, fingerprint: await fingerprint(root, [...train.paths, ...val.paths]) };
}

/** A hash of the files' names, as they are below `root`, and of their sizes. */
async function fingerprint(root: string, paths: readonly string[]): Promise<string> {
  const lines: string[] = [];
  for (const path of paths) {
    lines.push(`${path.slice(root.length)} ${await sizeOf(path)}`);
  }
  const bytes = new TextEncoder().encode(lines.join("\n"));
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
  return hash.toHex().slice(0, 16);
}

/** The size of a file, and words for one that cannot be read. */
async function sizeOf(path: string): Promise<number | string> {
  try {
    return (await Deno.stat(path)).size;
  } catch (error) {
    const reason = unreadable(error);
    if (reason === undefined) throw error;
    return reason;
  }
}

/** A part of the data. */
type Part = "train" | "val";

function allBroken(part: Part, name: string, count: number, reason: string): UserError {
  const pictures = count === 1 ? "The only picture" : `None of the ${grouped(count)} pictures`;
  const can = count === 1 ? "cannot" : "can";
  return new UserError(
    `${pictures} of the class ${printable(name)} in ${part} ${can} be read: ${reason}`,
  );
}

/** All that is kept of a picture that is decoded to see whether it can be. */
function firstPixel({ data }: RgbImage): RgbImage {
  return { width: 1, height: 1, data: data.slice(0, 3) };
}

/** See that each class has a picture that can be read, before any time goes into training. */
async function checkReadable(
  part: Part,
  { classes }: Pick<TransferData, "classes">,
  { pictures, labels }: LabeledPictures,
): Promise<void> {
  for (const [label, name] of classes.entries()) {
    const own = pictures.filter((_, i) => labels[i] === label);
    let reason = "";
    let readable = false;
    for (const picture of own) {
      try {
        if (typeof picture === "string") await useImage(picture, firstPixel);
        readable = true;
        break;
      } catch (error) {
        const gone = unreadable(error);
        if (!(error instanceof UserError) && gone === undefined) throw error;
        reason ||= gone === undefined
          ? (error as UserError).message
          : `${printable(String(picture))}: ${gone}`;
      }
    }
    if (!readable) throw allBroken(part, name, own.length, reason);
  }
}

/** See after a pass that it had pictures of each class: files can break or go in between. */
export function checkClassesSeen(
  part: Part,
  { classes }: Pick<TransferData, "classes">,
  { pictures, labels }: LabeledPictures,
  seen: { labels: Uint32Array },
  loader: ImageLoader,
): void {
  const found = new Set(seen.labels);
  const missing = [...new Set(labels)].find((label) => !found.has(label));
  if (missing === undefined) return;
  const own = pictures.filter((_, i) => labels[i] === missing);
  const reason = loader.skipped.find(({ path }) => own.includes(path))?.reason ?? "they are gone";
  throw allBroken(part, classes[missing], own.length, reason);
}

/** The pictures that the settings name, or drawn ones. UserError where of a class none can be read. */
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
