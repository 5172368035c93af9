/**
 * Reading zip archives whose entries are stored or deflated, from memory or from a file.
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { failEntry, type ZipEntry, type ZipSource } from "./zip_directory.ts";
import { UserError } from "../../files/user_error.ts";

export { readZipDirectory, type ZipEntry, type ZipSource } from "./zip_directory.ts";

/** How many packed bytes are read at a time. Deno unpacks all of them at once: into 66 MB at worst. */
const CHUNK = 2 ** 16;

/** An archive that is in memory. The bytes read are views. */
export function memorySource(bytes: Uint8Array<ArrayBuffer>): ZipSource {
  return {
    size: bytes.length,
    read: (begin, end) => Promise.resolve(bytes.subarray(begin, end)),
  };
}

/** An archive in an open file, which must stay open as long as it is read. */
export async function fileSource(file: Deno.FsFile): Promise<ZipSource> {
  const { size } = await file.stat();
  return {
    size,
    async read(begin, end) {
      const bytes = new Uint8Array(end - begin);
      await file.seek(begin, Deno.SeekMode.Start);
      for (let done = 0; done < bytes.length;) {
        const count = await file.read(bytes.subarray(done));
        if (count === null) throw new UserError(`The archive ends at byte ${begin + done}`);
        done += count;
      }
      return bytes;
    },
  };
}

/** The bytes of an entry; a view where it is stored and the archive is in memory. Errors as {@link streamZipEntry}. */
export async function readZipEntry(
  source: ZipSource,
  entry: ZipEntry,
): Promise<Uint8Array<ArrayBuffer>> {
  if (!entry.deflated) {
    const bytes = await source.read(entry.begin, entry.begin + entry.packedSize);
    checkCrc(entry, crc32(bytes));
    return bytes;
  }
  const bytes = new Uint8Array(entry.size);
  let done = 0;
  for await (const chunk of streamZipEntry(source, entry)) {
    bytes.set(chunk, done);
    done += chunk.length;
  }
  return bytes;
}

/**
 * The bytes of an entry, piece by piece: never more than the directory says. A UserError when they cannot be
 * unpacked, are fewer or more, or do not have the CRC-32 that the directory says.
 */
export async function* streamZipEntry(
  source: ZipSource,
  entry: ZipEntry,
): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const fail = (reason: string) => failEntry(entry.name, reason);
  let [done, crc] = [0, 0];
  const pieces = packedPieces(source, entry);
  const chunks = entry.deflated
    ? ReadableStream.from(pieces).pipeThrough(new DecompressionStream("deflate-raw"))
    : pieces;
  try {
    for await (const chunk of chunks as AsyncIterable<Uint8Array<ArrayBuffer>>) {
      done += chunk.length;
      if (done > entry.size) fail(`has more than the ${entry.size} bytes that it should have`);
      crc = crc32(chunk, crc);
      yield chunk;
    }
  } catch (error) {
    // How the stream says that it cannot go on.
    if (!(error instanceof TypeError)) throw error;
    fail(`cannot be unpacked: ${error.message}`);
  }
  if (done < entry.size) fail(`has ${done} bytes, and should have ${entry.size}`);
  checkCrc(entry, crc);
}

async function* packedPieces(source: ZipSource, { begin, packedSize }: ZipEntry) {
  const end = begin + packedSize;
  for (let at = begin; at < end; at += CHUNK) {
    yield await source.read(at, Math.min(at + CHUNK, end));
  }
}

function checkCrc({ name, crc }: ZipEntry, found: number): void {
  if (found === crc) return;
  failEntry(name, `is damaged: its CRC-32 is ${hex(found)}, and should be ${hex(crc)}`);
}

function hex(word: number): string {
  return word.toString(16).padStart(8, "0");
}
