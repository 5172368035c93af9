/**
 * Zip archives unpacked into folders.
 *
 * @module
 */
import { quote } from "./messages.ts";
import { expansionLimit } from "./strided.ts";
import { fileSource, readZipDirectory, streamZipEntry, type ZipEntry } from "./zip.ts";

/** What {@link unpackZip} can be told. */
export interface UnpackOptions {
  /** Is told how many bytes are unpacked, and how many there are in all. */
  onProgress?: (done: number, total: number) => void;
  /** Stops the work; then it is rejected with the signal's reason, and nothing is left. */
  signal?: AbortSignal;
}

/**
 * Unpack a zip archive into a folder, which must not exist yet. The files go to `folder` + ".part" first, so
 * that the folder is either whole or not there. If all of them are in one folder of the archive, the new
 * folder takes its place; what macOS adds under `__MACOSX` is left out.
 *
 * Before anything is written the whole archive is refused with a SyntaxError for a name that leads out of the
 * folder and for a link, and with a RangeError if it would unpack to more than 16 times its size and 64 MiB.
 * Its damages are SyntaxErrors as of `readZipDirectory` and `streamZipEntry`. All these name the archive. A
 * folder that exists is a `Deno.errors.AlreadyExists`.
 *
 * ```ts ignore
 * await unpackZip("hymenoptera_data.zip", "hymenoptera_data");
 * ```
 */
export async function unpackZip(
  archive: string,
  folder: string,
  { onProgress, signal }: UnpackOptions = {},
): Promise<void> {
  if (await exists(folder)) {
    throw new Deno.errors.AlreadyExists(
      `${folder} exists: ${archive} is unpacked into a new folder`,
    );
  }
  using file = await Deno.open(archive);
  const part = `${folder}.part`;
  try {
    const source = await fileSource(file);
    const all = [...(await readZipDirectory(source, expansionLimit(source.size))).values()];
    for (const entry of all) checkEntry(entry);
    const entries = all.filter(({ name }) => !name.startsWith("__MACOSX/"));
    const skipped = commonFolder(entries).length;
    const total = entries.reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    onProgress?.(done, total);
    if (await exists(part)) await Deno.remove(part, { recursive: true });
    await Deno.mkdir(part);
    for (const entry of entries) {
      const path = `${part}/${entry.name.slice(skipped)}`;
      await Deno.mkdir(path.slice(0, path.lastIndexOf("/")), { recursive: true });
      if (path.endsWith("/")) continue;
      using unpacked = await Deno.open(path, { write: true, createNew: true });
      for await (const bytes of streamZipEntry(source, entry)) {
        signal?.throwIfAborted();
        for (let at = 0; at < bytes.length;) at += await unpacked.write(bytes.subarray(at));
        onProgress?.(done += bytes.length, total);
      }
    }
    await Deno.rename(part, folder);
  } catch (error) {
    if (await exists(part)) await Deno.remove(part, { recursive: true });
    const message = () => `${archive} cannot be unpacked: ${(error as Error).message}`;
    if (error instanceof SyntaxError) throw new SyntaxError(message());
    if (error instanceof RangeError) throw new RangeError(message());
    throw error;
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.lstat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Refuse what could write outside the folder, on any system. */
function checkEntry({ name, isLink }: ZipEntry): void {
  const parts = name.replace(/\/$/, "").split("/");
  const leadsOut = /[\\\0]|^[a-z]:/i.test(name) || parts.some((part) => /^\.{0,2}$/.test(part));
  if (leadsOut) throw new SyntaxError(`its entry ${quote(name)} leads out of the folder`);
  if (isLink) throw new SyntaxError(`its entry ${quote(name)} is a link, which is not allowed`);
}

/** The folder that all entries lie in, with its slash; empty where there is not one such. */
function commonFolder(entries: readonly ZipEntry[]): string {
  const first = entries[0]?.name.match(/^[^/]+\//)?.[0] ?? "";
  return entries.every(({ name }) => name.startsWith(first)) ? first : "";
}
