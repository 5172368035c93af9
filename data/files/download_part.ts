/**
 * The file that a download grows in.
 *
 * @module
 */

import { systemReason } from "./file.ts";
import { UserError } from "./user_error.ts";

/** A download that failed: the message says why, and whether another try goes on. */
export class DownloadError extends UserError {
  /** Its name. */
  override readonly name = "DownloadError";
}

/** What is noted beside a file `.part`: where it comes from. */
interface Origin {
  url: string;
  /** The server's mark of this version of the file, for `If-Range`; null where it gives none. */
  version: string | null;
}

const ANOTHER = "is written by another download: wait for it to end, or end it";
const CHANGED = "was changed by another download in the meantime: try again";

/** The file that a download grows in, and the note beside it. */
export class Part {
  /** Where it grows. */
  readonly path: string;
  readonly #url: string;
  readonly #note: string;

  constructor(path: string, url: string) {
    this.#url = url;
    this.path = `${path}.part`;
    this.#note = `${path}.part.json`;
  }

  /** How many bytes are there from an earlier try, and of which version. */
  async find(isChecked: boolean): Promise<{ start: number; version: string | null }> {
    const none = { start: 0, version: null };
    try {
      const note: Partial<Origin> | null = JSON.parse(await Deno.readTextFile(this.#note));
      const { url, version = null } = note ?? {};
      if (url !== this.#url || !(isChecked || typeof version === "string")) return none;
      return { start: (await Deno.stat(this.path)).size, version };
    } catch (error) {
      // A note that was cut off is none.
      if (error instanceof Deno.errors.NotFound || error instanceof SyntaxError) return none;
      throw error;
    }
  }

  /** Open it to go on after `start` bytes. */
  async open(start: number, version: string | null): Promise<Deno.FsFile> {
    const origin: Origin = { url: this.#url, version };
    return await this.#writing(async () => {
      const file = await Deno.open(this.path, { read: true, write: true, create: true });
      try {
        // The system lets go of it even when a process is killed.
        if (!file.tryLockSync(true)) throw new DownloadError(`${this.path} ${ANOTHER}`);
        if ((await file.stat()).size < start) throw new DownloadError(`${this.path} ${CHANGED}`);
        await Deno.writeTextFile(this.#note, JSON.stringify(origin));
        await file.truncate(start);
      } catch (error) {
        file.close();
        throw error;
      }
      return file;
    });
  }

  write(file: Deno.FsFile, bytes: Uint8Array): Promise<void> {
    return this.#writing(async () => {
      for (let done = 0; done < bytes.length;) done += await file.write(bytes.subarray(done));
    });
  }

  /** Let it take the place of `path`. */
  finish(path: string): Promise<void> {
    return this.#writing(async () => {
      await Deno.rename(this.path, path);
      await Deno.remove(this.#note);
    });
  }

  async remove(): Promise<void> {
    await Deno.remove(this.path);
    await Deno.remove(this.#note);
  }

  /** Say which file cannot be written, and leave a refused permission as it is. */
  async #writing<T>(write: () => Promise<T>): Promise<T> {
    try {
      return await write();
    } catch (error) {
      if (error instanceof Deno.errors.NotCapable || error instanceof DownloadError) throw error;
      throw new DownloadError(`${this.path} cannot be written: ${systemReason(error)}`);
    }
  }
}

/** The next `size` bytes of a file or all that it has, piece by piece; the file then stands after them. */
export async function* pieces(file: Deno.FsFile, size: number): AsyncGenerator<Uint8Array> {
  const buffer = new Uint8Array(2 ** 20);
  for (let left = size; left > 0;) {
    const read = await file.read(buffer.subarray(0, Math.min(left, buffer.length)));
    if (read === null) break;
    yield buffer.subarray(0, read);
    left -= read;
  }
}
