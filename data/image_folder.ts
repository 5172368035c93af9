/**
 * Folders of pictures: with a folder for each class, as torchvision's `ImageFolder` reads them, or plain.
 *
 * @module
 */
import { folderName } from "./folder.ts";

/** What a picture's name ends with, in any case; torchvision's list. */
const EXTENSIONS = ["jpg", "jpeg", "png", "ppm", "bmp", "pgm", "tif", "tiff", "webp"];

/** The pictures in a folder. */
export interface ImageList {
  /** The pictures' paths. */
  paths: string[];
  /** The paths of files that are passed over, because their names do not end as a picture's. */
  passedOver: string[];
}

/** A folder with a folder of pictures for each class. */
export interface ImageFolder extends ImageList {
  /** The folder's own name. */
  name: string;
  /** The classes' names in order, at least one. */
  classes: string[];
  /** The class of each picture, an index into `classes`, `[paths.length]`. */
  labels: Uint32Array<ArrayBuffer>;
}

/**
 * List a folder of classes: each folder in it is a class, and the pictures anywhere inside are the
 * class's. Classes, and the pictures of a class, are in the order of their names' characters. Links are
 * followed. The pictures are not opened.
 *
 * No such folder, a folder without folders, and a class without a picture are a `Deno.errors.NotFound`.
 *
 * ```ts ignore
 * const { classes, paths, labels, passedOver } = await readImageFolder("hymenoptera_data/train");
 * console.log(`${paths[0]} shows ${classes[labels[0]]}; ${passedOver.length} files are no pictures`);
 * ```
 */
export async function readImageFolder(folder: string): Promise<ImageFolder> {
  const { root, name } = folderName(folder);
  const { folders: classes, files } = await readEntries(root);
  if (classes.length === 0) {
    throw new Deno.errors.NotFound(
      `The folder ${root} has no classes: it should hold a folder of pictures for each class`,
    );
  }
  const paths: string[] = [];
  const labels: number[] = [];
  const passedOver = files.map((file) => `${root}/${file}`);
  for (const [label, inside] of classes.entries()) {
    const found = await listImages(`${root}/${inside}`);
    paths.push(...found.paths);
    labels.push(...found.paths.map(() => label));
    passedOver.push(...found.passedOver);
  }
  return { name, classes, paths, labels: Uint32Array.from(labels), passedOver };
}

/**
 * List the pictures anywhere inside a folder, folder by folder in the order of their paths.
 *
 * No such folder, and one without a picture, are a `Deno.errors.NotFound`.
 */
export async function listImages(folder: string): Promise<ImageList> {
  const { root } = folderName(folder);
  const found = new Map<string, string[]>();
  await collectFiles(root, [], found);
  const files = [...found.keys()].sort().flatMap((path) =>
    (found.get(path) ?? []).map((file) => `${path}/${file}`)
  );
  const paths = files.filter(isPicture);
  if (paths.length === 0) {
    throw new Deno.errors.NotFound(
      `The folder ${root} has no pictures: their names should end in ${
        EXTENSIONS.map((extension) => `.${extension}`).join(", ")
      }`,
    );
  }
  return { paths, passedOver: files.filter((path) => !isPicture(path)) };
}

function isPicture(path: string): boolean {
  return EXTENSIONS.includes(path.slice(path.lastIndexOf(".") + 1).toLowerCase());
}

/** Add the files of a folder and all folders in it to `found`; a link back to one of `above` ends there. */
async function collectFiles(
  folder: string,
  above: readonly string[],
  found: Map<string, string[]>,
): Promise<void> {
  const { folders, files } = await readEntries(folder);
  found.set(folder, files);
  if (folders.length === 0) return;
  const real = await Deno.realPath(folder);
  if (above.includes(real)) {
    found.delete(folder);
    return;
  }
  for (const name of folders) await collectFiles(`${folder}/${name}`, [...above, real], found);
}

/** The folders and the files in a folder, each in order. What a link leads to counts, a dead one is a file. */
async function readEntries(folder: string): Promise<{ folders: string[]; files: string[] }> {
  const folders: string[] = [];
  const files: string[] = [];
  try {
    for await (const { name, isDirectory, isSymlink } of Deno.readDir(folder)) {
      const inside = isDirectory || (isSymlink && await isFolder(`${folder}/${name}`));
      (inside ? folders : files).push(name);
    }
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (!missing) throw error;
    throw new Deno.errors.NotFound(`There is no folder ${folder}`);
  }
  return { folders: folders.sort(), files: files.sort() };
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.PermissionDenied || error instanceof Deno.errors.NotCapable) {
      throw error;
    }
    return false; // a dead link, or one in a circle
  }
}
