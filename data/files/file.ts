/**
 * Files that are read or written whole, and those that cannot be read.
 *
 * @module
 */
import { UserError } from "./user_error.ts";

/**
 * Read a file whole and hand its bytes to `decode`. A UserError out of it comes out with the
 * file's path and `what`, what that means for the file, in front.
 *
 * ```ts ignore
 * const tensors = await decodeFile("model.pth", "is not a PyTorch file", decodePth);
 * ```
 */
export async function decodeFile<T>(
  path: string,
  what: string,
  decode: (bytes: Uint8Array<ArrayBuffer>) => T | Promise<T>,
): Promise<T> {
  const bytes = await readBytes(path);
  return await saying(path, what, () => decode(bytes));
}

/** Put a file's path and `what` in front of the UserErrors out of `decode`. */
export async function saying<T>(
  path: string,
  what: string,
  decode: () => T | Promise<T>,
): Promise<T> {
  try {
    return await decode();
  } catch (error) {
    throw UserError.within(`${path} ${what}`, error);
  }
}

/** The largest file that is read whole, in bytes: the weights of the largest networks for pictures have 0.6e9. */
const MOST_BYTES = 2 ** 31;

/**
 * Read a regular file of at most `most` bytes. What is neither that nor a folder, such as a pipe or `/dev/zero` behind
 * a link in a stranger's folder, is a UserError that names it, and so is a longer file.
 */
export async function readBytes(
  path: string,
  most = MOST_BYTES,
): Promise<Uint8Array<ArrayBuffer>> {
  const { isFile, isDirectory, size } = await Deno.stat(path);
  if (!isFile && !isDirectory) throw new UserError(`${path} is no regular file`);
  if (size > most) {
    throw new UserError(`${path} has ${size} bytes, and at most ${most} are read`);
  }
  return await Deno.readFile(path);
}

/**
 * Read a text file of at most `most` bytes, which is UTF-8; a byte order mark is left out. A longer file and what
 * is no regular one are a UserError that names it.
 */
export async function readText(path: string, most: number): Promise<string> {
  return new TextDecoder().decode(await readBytes(path, most));
}

/** A file that cannot be written; the message is a sentence with its path and the reason. */
export class WriteError extends UserError {
  override readonly name = "WriteError";
}

/** What the system's refusals mean. Deno gives some of them as plain errors with a code. */
const REASONS: Readonly<Record<string, string>> = {
  ENOSPC: "the disk is full",
  EDQUOT: "the disk quota is used up",
  EFBIG: "the file would be too large for the disk",
  ENAMETOOLONG: "the name is too long",
  EISDIR: "it is a folder",
  ENOTDIR: "a part of the path is a file, and not a folder",
  ENOTEMPTY: "it is a folder with files in it",
  EEXIST: "there is a file of that name",
  ENOENT: "there is no such file or folder",
  EACCES: "permission is denied",
  EPERM: "the system does not allow it",
  EROFS: "the disk can only be read",
  EIO: "the disk does not answer",
};

/** Whether an error is the operating system's. */
export function isSystemError(error: unknown): error is Error & { code: string } {
  return error instanceof Error && "code" in error && typeof error.code === "string" &&
    /^E[A-Z0-9]+$/.test(error.code);
}

/** Why the system refused, in words: `the disk is full`. Other errors keep their message. */
export function systemReason(error: unknown): string {
  if (isSystemError(error) && error.code in REASONS) return REASONS[error.code];
  if (isForbidden(error)) {
    return "Deno keeps tasks out of the system's own folders, such as /dev, /proc and /sys; name a place elsewhere";
  }
  return error instanceof Error ? error.message : String(error);
}

/** Whether Deno refuses a path of the system's own, which only the flag --allow-all would open. */
function isForbidden(error: unknown): boolean {
  return error instanceof Deno.errors.NotCapable && error.message.startsWith("Requires all access");
}

/** The error of a write to `path` as a {@linkcode WriteError}; a refused permission of Deno's stays as it is. */
export function writeError(path: string, error: unknown): unknown {
  const isRefused = error instanceof Deno.errors.NotCapable;
  if (isRefused ? !isForbidden(error) : !isSystemError(error)) return error;
  return new WriteError(`${path} cannot be written: ${systemReason(error)}`);
}

/**
 * Write a file whole: first to `path` + ".part", which then takes the place of `path`. An interruption or a
 * full disk leaves the old file or the new one, never half of one.
 *
 * Errors: {@linkcode WriteError} where the system refuses.
 */
export async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const part = `${path}.part`;
  try {
    {
      using file = await Deno.open(part, { write: true, create: true, truncate: true });
      for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
      await file.sync();
    }
    await Deno.rename(part, path);
  } catch (error) {
    await Deno.remove(part).catch(() => {}); // it may not have come to be
    throw writeError(path, error);
  }
}

/**
 * See whether {@linkcode writeWhole} can write a file, before work goes into what it is to hold. Leaves nothing.
 *
 * Errors: {@linkcode WriteError} where it cannot.
 */
export async function checkWritable(path: string): Promise<void> {
  const part = `${path}.part`;
  try {
    const there = await Deno.stat(path).catch((error) => {
      if (error instanceof Deno.errors.NotFound) return undefined;
      throw error;
    });
    if (there?.isDirectory) throw new WriteError(`${path} cannot be written: it is a folder`);
    (await Deno.open(part, { write: true, create: true })).close();
    await Deno.remove(part);
  } catch (error) {
    throw writeError(path, error);
  }
}

/** The same as {@linkcode writeWhole} at once, for small files. */
export function writeWholeSync(path: string, bytes: Uint8Array): void {
  const part = `${path}.part`;
  try {
    Deno.writeFileSync(part, bytes);
    Deno.renameSync(part, path);
  } catch (error) {
    try {
      Deno.removeSync(part);
    } catch {
      // It may not have come to be.
    }
    throw writeError(path, error);
  }
}

/** Why one file or folder cannot be read, by the system's code. */
const UNREADABLE: Readonly<Record<string, string>> = {
  ENOENT: "it is not there, or a link that leads nowhere",
  EACCES: "it may not be read",
  EPERM: "it may not be read",
  ELOOP: "it is a link that leads back to itself",
  ENOTDIR: "a folder of its path is none",
  ENAMETOOLONG: "its name is too long",
  EIO: "the disk gives an error",
};

/**
 * Why a file or folder cannot be read, where the reason is its own; `undefined` for errors that others would meet
 * as well, such as a missing permission of Deno's or too many open files.
 */
export function unreadable(error: unknown): string | undefined {
  if (!isSystemError(error)) return undefined;
  // What Deno puts in place of bytes that are no UTF-8 is the name of nothing.
  const odd = error.code === "ENOENT" && error.message.includes("\ufffd");
  return odd ? "its name is no UTF-8" : UNREADABLE[error.code];
}
