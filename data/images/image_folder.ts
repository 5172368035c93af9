/**
 * Folders of pictures: with a folder for each class, as torchvision's `ImageFolder` reads them, or plain.
 *
 * @module
 */
import { unreadable } from "../files/file.ts";
import { folderName, isFolder } from "../files/folder.ts";
import type { SkippedFile } from "./image_loader.ts";
import { printable, quote } from "../files/messages.ts";
import { UserError } from "../files/user_error.ts";

/** What a picture's name ends with, in any case. */
const EXTENSIONS = ["jpg", "jpeg", "png", "tif", "tiff", "webp"];

/** The rest of torchvision's list: pictures that are not read. They count, so that reading says so. */
const NOT_READ = ["ppm", "bmp", "pgm"];

/** The pictures in a folder. */
export interface ImageList {
  /** The pictures' paths. */
  paths: string[];
  /** The paths of files that are passed over, because their names do not end as a picture's. */
  passedOver: string[];
  /** The paths of hidden files and folders, and of folders that programs keep their own pictures in. */
  hidden: string[];
  /** Folders that cannot be read, and why. */
  unreadable: SkippedFile[];
}

/** A folder with a folder of pictures for each class. */
export interface ImageFolder extends ImageList {
  /** The folder's own name. */
  name: string;
  /** The classes' names in order, at least one, in Unicode's composed form (NFC). */
  classes: string[];
  /** The class of each picture, an index into `classes`, `[paths.length]`. */
  labels: Uint32Array<ArrayBuffer>;
}

/** Folders that programs make beside pictures, with small copies or halves of them inside. */
const NOT_PICTURES = new Set([
  "__MACOSX",
  "@eaDir",
  "#recycle",
  "@Recycle",
  "$RECYCLE.BIN",
  "System Volume Information",
  "lost+found",
]);

/** Files of that kind. */
const NOT_PICTURE_FILES = new Set(["thumbs.db", "desktop.ini"]);

/** Whether a file or folder is none that someone put there to be seen. */
function isHidden(name: string): boolean {
  return name.startsWith(".") || NOT_PICTURES.has(name) ||
    NOT_PICTURE_FILES.has(name.toLowerCase());
}

/**
 * List a folder of classes: each folder in it is a class, and the pictures anywhere inside are the
 * class's. Classes, and the pictures of a class, are in the order of their names' characters. Links are
 * followed; hidden files and folders are passed over. The pictures are not opened.
 *
 * No such folder, a folder without folders, and a class without a picture are a `Deno.errors.NotFound`. Two
 * folders whose names differ only in how their characters are composed are a UserError.
 *
 * ```ts ignore
 * const { classes, paths, labels, passedOver } = await readImageFolder("hymenoptera_data/train");
 * console.log(`${paths[0]} shows ${classes[labels[0]]}; ${passedOver.length} files are no pictures`);
 * ```
 */
export async function readImageFolder(folder: string): Promise<ImageFolder> {
  const { root, name } = folderName(folder);
  const { folders, files, hidden } = await readEntries(root);
  if (folders.length === 0) {
    throw new Deno.errors.NotFound(
      `The folder ${
        printable(root)
      } has no classes: it should hold a folder of pictures for each class`,
    );
  }
  // Linux and macOS write the same name in different ways.
  const byName = new Map<string, string>();
  for (const inside of folders) {
    if (inside.includes("\ufffd")) {
      throw new UserError(
        `The name of the class ${quote(inside)} in ${
          printable(root)
        } is no UTF-8: rename the folder`,
      );
    }
    const label = inside.normalize("NFC");
    const other = byName.get(label);
    if (other !== undefined) {
      throw new UserError(
        `The folder ${printable(root)} has two classes of one name, ${
          quote(label)
        }, composed (NFC) in one ` +
          `and decomposed (NFD) in the other: ${escaped(other)} and ${
            escaped(inside)
          } must become one`,
      );
    }
    byName.set(label, inside);
  }
  const classes = [...byName.keys()].sort();
  const all: ImageList = { paths: [], passedOver: [], hidden: [], unreadable: [] };
  for (const file of files) all.passedOver.push(`${root}/${file}`);
  for (const entry of hidden) all.hidden.push(`${root}/${entry}`);
  const labels: number[] = [];
  for (const [label, className] of classes.entries()) {
    const found = await listImages(`${root}/${byName.get(className)}`);
    // Handed over one by one: a call takes some 100,000 arguments at most.
    for (let i = 0; i < found.paths.length; i++) labels.push(label);
    for (const key of ["paths", "passedOver", "hidden"] as const) {
      for (const path of found[key]) all[key].push(path);
    }
    for (const told of found.unreadable) all.unreadable.push(told);
  }
  return { name, classes, labels: Uint32Array.from(labels), ...all };
}

/** A name in quotes with all but ASCII escaped: letters that look the same are told apart. */
function escaped(name: string): string {
  return quote(name).replace(
    /[^\x20-\x7e]/g,
    (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}

/**
 * List the pictures anywhere inside a folder, folder by folder in the order of their paths. Hidden files and
 * folders are passed over, and folders that cannot be read are told.
 *
 * No such folder, and one without a picture, are a `Deno.errors.NotFound`.
 */
export async function listImages(folder: string): Promise<ImageList> {
  const { root } = folderName(folder);
  const found = new Map<string, string[]>();
  const list: ImageList = { paths: [], passedOver: [], hidden: [], unreadable: [] };
  await collectFiles(root, [], found, list);
  for (const path of [...found.keys()].sort()) {
    for (const file of found.get(path) ?? []) {
      const whole = `${path}/${file}`;
      (isPicture(whole) ? list.paths : list.passedOver).push(whole);
    }
  }
  if (list.paths.length > 0) return list;
  const [first] = list.unreadable;
  throw new Deno.errors.NotFound(
    first === undefined
      ? `The folder ${printable(root)} has no pictures: their names should end in ${
        EXTENSIONS.map((extension) => `.${extension}`).join(", ")
      }`
      : `The folder ${printable(root)} has no pictures that can be reached: ${first.reason}`,
  );
}

/** Whether a file's name is one of a picture. */
function isPicture(path: string): boolean {
  const extension = path.slice(path.lastIndexOf(".") + 1).toLowerCase();
  return EXTENSIONS.includes(extension) || NOT_READ.includes(extension);
}

/**
 * Add the files of a folder and all folders in it to `found`, and what is not gone into to `list`; a link back to
 * one of `above` ends there.
 */
async function collectFiles(
  folder: string,
  above: readonly string[],
  found: Map<string, string[]>,
  list: ImageList,
): Promise<void> {
  let entries: Entries;
  try {
    entries = await readEntries(folder);
  } catch (error) {
    const cause = error instanceof MissingFolder ? error.cause : error;
    const reason = unreadable(cause);
    if (reason === undefined || (above.length === 0 && cause !== error)) throw error;
    list.unreadable.push({
      path: folder,
      reason: `The folder ${printable(folder)} cannot be read: ${reason}`,
    });
    return;
  }
  const { folders, files, hidden } = entries;
  found.set(folder, files);
  for (const name of hidden) list.hidden.push(`${folder}/${name}`);
  if (folders.length === 0) return;
  const real = await Deno.realPath(folder);
  if (above.includes(real)) {
    found.delete(folder);
    return;
  }
  for (const name of folders) {
    await collectFiles(`${folder}/${name}`, [...above, real], found, list);
  }
}

/** There is no folder of a name. */
class MissingFolder extends Deno.errors.NotFound {}

/** What is in a folder. */
interface Entries {
  folders: string[];
  files: string[];
  hidden: string[];
}

/** What is in a folder, each in order. What a link leads to counts, a dead one is a file. */
async function readEntries(folder: string): Promise<Entries> {
  const entries: Entries = { folders: [], files: [], hidden: [] };
  try {
    for await (const { name, isDirectory, isSymlink } of Deno.readDir(folder)) {
      if (isHidden(name)) {
        entries.hidden.push(name);
        continue;
      }
      const inside = isDirectory || (isSymlink && await isFolder(`${folder}/${name}`));
      (inside ? entries.folders : entries.files).push(name);
    }
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (!missing) throw error;
    const path = printable(folder);
    const what = error instanceof Deno.errors.NotFound
      ? `There is no folder ${path}`
      : `${path} is a file, and no folder`;
    throw new MissingFolder(what, { cause: error });
  }
  for (const names of Object.values(entries)) names.sort();
  return entries;
}
