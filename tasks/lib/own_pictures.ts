/** Pictures that a user names: files, and folders of them. */
import { resolve } from "@std/path";
import { resizedCenterCrop } from "../../data/images/augment.ts";
import { unreadable } from "../../data/files/file.ts";
import { type ImageList, listImages } from "../../data/images/image_folder.ts";
import { printable, quote } from "../../data/files/messages.ts";
import type { RgbImage } from "../../data/images/rgb_image.ts";
import type { SkippedFile } from "../../data/images/image_loader.ts";
import { boolean, text } from "./flags.ts";
import { grouped } from "./format.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Flags of every task that works on pictures that are named. */
export const PICTURE_FLAGS = {
  images: text({
    optional: true,
    placeholder: "PATH[,PATH…]",
    help: "Pictures: files, and folders that are searched whole, with commas between them",
  }),
  strict: boolean({
    default: false,
    help: "Refuse broken pictures and files that are none, instead of leaving them out",
  }),
};

/** Pictures that were found. */
export interface OwnPictures {
  /** In the order in which they were named, each once. */
  paths: string[];
  /** Sentences about what was passed over. */
  notes: string[];
}

async function kindOf(path: string): Promise<"file" | "folder" | undefined> {
  try {
    return (await Deno.stat(path)).isDirectory ? "folder" : "file";
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable || unreadable(error) === undefined) throw error;
    return undefined;
  }
}

/**
 * Sentences about what was passed over in folders of pictures. With `strict` a UserError for files that are no
 * pictures by their names, and for folders that cannot be read.
 */
export function passedOverNotes(
  lists: readonly Omit<ImageList, "paths">[],
  strict: boolean,
): string[] {
  const passedOver = lists.flatMap((list) => list.passedOver);
  const hidden = lists.flatMap((list) => list.hidden);
  const folders = lists.flatMap((list) => list.unreadable);
  const notes: string[] = [];
  if (passedOver.length > 0) {
    const first = printable(passedOver[0]);
    const note = passedOver.length === 1
      ? `The name of ${first} is not that of a picture`
      : `The names of ${
        grouped(passedOver.length)
      } files are not those of pictures (the first is ${first})`;
    if (strict) throw new UserError(`${note}, and --strict allows none`);
    notes.push(`${note}: passed over`);
  }
  for (const { reason } of folders) {
    if (strict) throw new UserError(`${reason}; --strict allows no such folder`);
    notes.push(`${reason}: its pictures are left out`);
  }
  if (hidden.length > 0) {
    const [count, first] = [grouped(hidden.length), printable(hidden[0])];
    notes.push(
      hidden.length === 1
        ? `${first} is hidden or a program's own: passed over`
        : `${count} files and folders are hidden or a program's own (the first is ${first}): passed over`,
    );
  }
  return notes;
}

/**
 * Find the pictures of `--images`. Errors: UserError for a path that is not there, and with `strict` for files
 * in folders whose names are not those of pictures; NotFound for a folder without a picture.
 */
export async function findPictures(images: string, strict: boolean): Promise<OwnPictures> {
  // A path may itself hold a comma.
  const whole = await kindOf(images) !== undefined;
  const named = whole ? [images] : images.split(",").filter((path) => path !== "");
  const paths = new Set<string>();
  const lists: ImageList[] = [];
  for (const path of named) {
    const kind = await kindOf(path);
    if (kind === undefined) {
      throw new UserError(
        `There is no picture and no folder ${printable(path)}, which --images names: ` +
          `it was looked for at ${printable(resolve(path))}`,
      );
    }
    const found = kind === "folder" ? await listImages(path) : undefined;
    for (const picture of found?.paths ?? [path]) paths.add(picture);
    if (found !== undefined) lists.push(found);
  }
  if (paths.size === 0) throw new UserError(`Flag --images names no picture: ${quote(images)}`);
  return { paths: [...paths], notes: passedOverNotes(lists, strict) };
}

/** What is said of files that could not be read. */
export function skippedNotes(skipped: readonly SkippedFile[]): string[] {
  return skipped.map(({ reason }) => `Left out: ${reason}`);
}

/** So many pictures, in words. */
export function pictureCount(count: number): string {
  return count === 1 ? "1 picture" : `${grouped(count)} pictures`;
}

/**
 * What pictures are called where there is little room: their names with their folders', as they can be printed,
 * and whole paths where two would be called alike.
 *
 * @example
 * ```ts
 * const names = shortNames(["x/a/0.jpg", "y/a/0.jpg", "y/b/0.jpg"]);
 * if (names.join() !== "x/a/0.jpg,y/a/0.jpg,b/0.jpg") throw new Error(names.join());
 * ```
 */
export function shortNames(paths: readonly string[]): string[] {
  const short = paths.map((path) => path.split(/[/\\]/).slice(-2).join("/"));
  const counts = new Map<string, number>();
  for (const name of short) counts.set(name, (counts.get(name) ?? 0) + 1);
  return short.map((name, i) => printable(counts.get(name) === 1 ? name : paths[i]));
}

/**
 * torchvision's way to prepare a picture for a network that sees `size` x `size` pixels: the shorter side at
 * 256 / 224 of that, and the middle of it.
 */
export function prepareAt(size: number): (image: RgbImage) => RgbImage {
  return (image) => resizedCenterCrop(image, Math.round(size * 256 / 224), size);
}
