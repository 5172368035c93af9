/**
 * Zip archives unpacked into folders.
 *
 * @module
 */
import { writeError } from "../../files/file.ts";
import { printable, quote } from "../../files/messages.ts";
import { expansionLimit } from "../strided.ts";
import { fileSource, readZipDirectory, streamZipEntry, type ZipEntry } from "./zip.ts";
import { UserError } from "../../files/user_error.ts";

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
 * Before anything is written the whole archive is refused with a UserError for a name that leads out of the
 * folder, one that is too long, for a link, and for a file that is a folder too, and with a UserError if it would unpack to more than 16 times its size and 64 MiB.
 * Its damages are UserErrors as of `readZipDirectory` and `streamZipEntry`. All these name the archive. A
 * folder that exists is a `Deno.errors.AlreadyExists`, and an archive that another process unpacks a
 * `Deno.errors.Busy`.
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
  if (!tryLock(file)) {
    throw new Deno.errors.Busy(`${archive} is unpacked by another process: wait for it to end`);
  }
  const part = `${folder}.part`;
  let path = part;
  try {
    const source = await fileSource(file);
    const all = [...(await readZipDirectory(source, expansionLimit(source.size))).values()];
    for (const entry of all) checkEntry(entry);
    checkPlaces(all);
    const entries = all.filter(({ name }) => !name.startsWith("__MACOSX/"));
    const skipped = commonFolder(entries).length;
    const total = entries.reduce((sum, { size }) => sum + size, 0);
    let done = 0;
    onProgress?.(done, total);
    if (await exists(part)) await Deno.remove(part, { recursive: true });
    await Deno.mkdir(part);
    const made = new Set([part]);
    for (const entry of entries) {
      signal?.throwIfAborted();
      path = `${part}/${entry.name.slice(skipped)}`;
      const parent = path.slice(0, path.lastIndexOf("/"));
      if (!made.has(parent)) await Deno.mkdir(parent, { recursive: true });
      made.add(parent);
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
    const said = UserError.within(`${archive} cannot be unpacked`, error);
    throw said === error ? writeError(path, error) : said;
  }
}

/** Keep other processes off; the system lets go of it even when this one is killed. Some disks have no locks. */
function tryLock(file: Deno.FsFile): boolean {
  try {
    return file.tryLockSync(true);
  } catch {
    return true;
  }
}

/**
 * See whether a file is a zip archive with its end, without unpacking it. A UserError says what is
 * wrong.
 */
export async function checkZip(archive: string): Promise<void> {
  using file = await Deno.open(archive);
  const begin = new Uint8Array(512);
  const length = await file.read(begin) ?? 0;
  const text = new TextDecoder().decode(begin.subarray(0, length)).trimStart();
  if (/^<(!doctype|html|\?xml)/i.test(text)) {
    throw new UserError("it is a web page, as networks send that want one to log in first");
  }
  const source = await fileSource(file);
  await readZipDirectory(source, expansionLimit(source.size));
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

/** The longest name that a file or folder can have on the usual systems, and the longest path, in bytes. */
const MAX_NAME = 255, MAX_PATH = 1000;

/** How deep folders may lie in each other. */
const MAX_DEPTH = 30;

/** Refuse what could write outside the folder, on any system, and names that cannot be or should not be. */
function checkEntry({ name, isLink }: ZipEntry): void {
  const parts = name.replace(/\/$/, "").split("/");
  const leadsOut = /[\\\0]|^[a-z]:/i.test(name) || parts.some((part) => /^\.{0,2}$/.test(part));
  if (leadsOut) throw new UserError(`its entry ${quote(name)} leads out of the folder`);
  if (isLink) throw new UserError(`its entry ${quote(name)} is a link, which is not allowed`);
  if (printable(name, { most: name.length }) !== name) {
    throw new UserError(`its entry ${quote(name)} has control characters in its name`);
  }
  const bytes = (text: string) => new TextEncoder().encode(text).length;
  if (parts.length > MAX_DEPTH) {
    throw new UserError(
      `its entry ${
        quote(name)
      } lies ${parts.length} folders deep: at most ${MAX_DEPTH} are allowed`,
    );
  }
  if (parts.some((part) => bytes(part) > MAX_NAME) || bytes(name) > MAX_PATH) {
    throw new UserError(
      `its entry ${quote(name)} has a name that is too long: at most ${MAX_NAME} bytes are ` +
        `allowed, and ${MAX_PATH} for the whole path`,
    );
  }
}

/** Refuse a file in the place of a folder that others lie in. */
function checkPlaces(entries: readonly ZipEntry[]): void {
  const folders = new Set<string>();
  for (const { name } of entries) {
    for (let at = name.lastIndexOf("/"); at > 0; at = name.lastIndexOf("/", at - 1)) {
      const folder = name.slice(0, at);
      if (folders.has(folder)) break;
      folders.add(folder);
    }
  }
  const twice = entries.find(({ name }) => folders.has(name));
  if (twice === undefined) return;
  throw new UserError(`its entry ${quote(twice.name)} is a file, and a folder of others`);
}

/** The folder that all entries lie in, with its slash; empty where there is not one such. */
function commonFolder(entries: readonly ZipEntry[]): string {
  const first = entries[0]?.name.match(/^[^/]+\//)?.[0] ?? "";
  return entries.every(({ name }) => name.startsWith(first)) ? first : "";
}
