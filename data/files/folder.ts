/**
 * Folders of data: what they are called, and whether they hold what they should.
 *
 * @module
 */

import { listed, printable } from "./messages.ts";

const printableName = (name: string) => printable(name, { most: 60 });

/**
 * A folder's path without the slashes at its end, and its last part as the name of the data.
 *
 * ```ts
 * const { root, name } = folderName("data/sentences/");
 * if (root !== "data/sentences" || name !== "sentences") throw new Error(`got ${root}, ${name}`);
 * ```
 */
export function folderName(folder: string): { root: string; name: string } {
  const root = folder.replace(/[/\\]+$/, "") || folder;
  return { root, name: root.split(/[/\\]/).pop() || root };
}

/** Whether a path leads to a folder. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isDirectory;
  } catch (error) {
    if (error instanceof Deno.errors.NotCapable) throw error;
    return false; // a dead link, one in a circle, or one to where nothing may be read
  }
}

/**
 * Check that a folder holds the `expected` files, or with `kind` folders. When the folder or a file is missing, a
 * `Deno.errors.NotFound` lists what is expected and what was found; so it does of one that is no regular file:
 * a pipe would be waited for, and a device read for ever. `remedy` says at its end what helps.
 *
 * ```ts ignore
 * await checkFiles("data/sentences", ["train.txt", "dev.txt", "test.txt"]);
 * ```
 */
export async function checkFiles(
  folder: string,
  expected: readonly string[],
  kind: "regular file" | "folder" = "regular file",
  remedy: (missing: readonly string[]) => string = () => "",
): Promise<void> {
  const found: string[] = [];
  try {
    for await (const entry of Deno.readDir(folder)) found.push(entry.name);
  } catch (error) {
    const missing = error instanceof Deno.errors.NotFound ||
      error instanceof Deno.errors.NotADirectory;
    if (!missing) throw error;
    const what = error instanceof Deno.errors.NotFound
      ? `There is no folder ${folder}`
      : `${folder} is a file, and no folder`;
    throw new Deno.errors.NotFound(`${what}: it should hold ${expected.join(", ")}`);
  }
  const missing = expected.filter((name) => !found.includes(name));
  if (missing.length > 0) {
    throw new Deno.errors.NotFound(
      `The folder ${folder} misses ${missing.join(", ")}: ${
        missing.length === expected.length ? "" : `expected are ${expected.join(", ")}; `
      }found are ${listed(found.sort(), 20, printableName) || "no files"}${remedy(missing)}`,
    );
  }
  for (const name of expected) {
    const { isFile, isDirectory } = await Deno.stat(`${folder}/${name}`);
    if (kind === "folder" ? isDirectory : isFile) continue;
    throw new Deno.errors.NotFound(
      `${folder}/${name} is no ${kind}: expected are ${expected.join(", ")}`,
    );
  }
}
