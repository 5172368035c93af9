/**
 * The directory of a zip archive, read by zip.js, which is loaded with the first archive. What the archive says of
 * itself is checked against its real size before anything is unpacked.
 *
 * @module
 */
import type { FileEntry, Reader } from "npm:@zip.js/zip.js@2.24.0";
import { quote } from "../../files/messages.ts";
import { checkNumberKeys } from "../../files/table_keys.ts";
import { UserError } from "../../files/user_error.ts";

/** Where an archive's bytes come from: memory ({@link memorySource}) or a file. */
export interface ZipSource {
  /** How many bytes there are. */
  readonly size: number;
  /** The bytes from `begin` up to `end`, which lie within the size. */
  read(begin: number, end: number): Promise<Uint8Array<ArrayBuffer>>;
}

/** A file or folder in an archive. */
export interface ZipEntry {
  /** The path inside the archive; that of a folder ends with a slash. */
  name: string;
  /** Whether the entry is a link, as Unix archives can hold. */
  isLink: boolean;
  /** Whether the bytes are deflated. */
  deflated: boolean;
  /** How many bytes the entry has. */
  size: number;
  /** How many bytes it takes in the archive. */
  packedSize: number;
  /** Where these begin in the archive. */
  begin: number;
  /** The CRC-32 of the entry's bytes. */
  crc: number;
}

/** The most entries that are read. Data sets here have some hundred, large models some thousand tensors. */
const MAX_ENTRIES = 20_000;

/** The largest directory that is read, in bytes, and how often zip.js may read to find it, or an entry. */
const MAX_DIRECTORY = 16 * 2 ** 20, MAX_READS = 500;

/** Deflate cannot pack more than so many bytes into one. */
const MAX_RATIO = 1032;

const DAMAGED = "This is no zip archive, or its end is missing or damaged";

/** Throw the UserError for what is wrong with an entry. */
export function failEntry(name: string, reason: string): never {
  throw new UserError(`The zip archive's entry ${quote(name)} ${reason}`);
}

/**
 * The entries of an archive by name, in the order of its directory. `maxTotal` is how many bytes they may
 * have in all once unpacked: more is a UserError.
 *
 * A UserError when this is no zip archive or a damaged one: an end or directory that is missing, entries
 * that overlap or lie outside, two of one name, impossible sizes. So is what is not supported: encryption,
 * several volumes, other methods than store and deflate.
 */
export async function readZipDirectory(
  source: ZipSource,
  maxTotal: number,
): Promise<Map<string, ZipEntry>> {
  const { ZipReader } = await import("npm:@zip.js/zip.js@2.24.0");
  const reader = limitedReader(source);
  const zip = new ZipReader(reader as unknown as Reader<unknown>, {
    decodeText: (bytes, _, kind) => kind === "filename" ? decodeName(bytes) : "",
    // Which names may be files is for the one who unpacks to say.
    filenameValidation: "tolerant",
    // Only a wrong name there is refused below: careless writers get other things wrong.
    ...{ checkLocalDirectory: false, checkLocalFilename: true },
    checkOverlappingEntryOnly: true,
    maxAppendedDataSize: 0,
    useWebWorkers: false,
  });
  const listed: FileEntry[] = [];
  try {
    for await (const entry of zip.getEntriesGenerator()) {
      if (listed.push(entry as FileEntry) > MAX_ENTRIES) break;
    }
  } catch (error) {
    fail(error, DAMAGED);
  }
  checkWarnings(zip, DAMAGED);
  if (listed.length > MAX_ENTRIES) {
    throw new UserError(
      `The zip archive has more than ${MAX_ENTRIES} entries, which is the limit`,
    );
  }
  const total = listed.reduce((sum, { uncompressedSize }) => sum + uncompressedSize, 0);
  if (total > maxTotal) {
    throw new UserError(
      `The zip archive of ${source.size} bytes would unpack to ${total}: at most ${maxTotal} are allowed`,
    );
  }
  checkNumberKeys(listed.map(({ filename }) => filename), "The zip archive");
  const entries = new Map<string, ZipEntry>();
  for (const entry of listed) {
    const name = entry.filename;
    if (entries.has(name)) throw new UserError(`The zip archive holds ${quote(name)} twice`);
    reader.reads = 0;
    entries.set(name, await locate(entry));
  }
  return entries;
}

/** Check an entry, and find its bytes. */
async function locate(entry: FileEntry): Promise<ZipEntry> {
  const { filename: name, compressionMethod: method } = entry;
  const { uncompressedSize: size, compressedSize: packedSize } = entry;
  if (entry.rawBitFlag! & 0x41 || entry.extraFieldAES) {
    failEntry(name, "is encrypted, which is not supported");
  }
  if (method !== 0 && method !== 8) {
    failEntry(name, `is packed by method ${method}: supported are 0 (stored) and 8 (deflated)`);
  }
  if (method === 0 ? size !== packedSize : size > packedSize * MAX_RATIO) {
    failEntry(name, `cannot have ${size} bytes in ${packedSize}`);
  }
  const damaged = `The zip archive's entry ${quote(name)} is damaged`;
  try {
    await entry.getData(new WritableStream());
  } catch (error) {
    fail(error, damaged);
  }
  checkWarnings(entry, damaged);
  const begin = entry.localDirectory!.dataOffset;
  return {
    ...{ name, size, packedSize, begin, isLink: entry.symlink, deflated: method === 8 },
    crc: entry.crc32!,
  };
}

/** A source as zip.js takes it. What is read past the end is short. */
function limitedReader({ size, read }: ZipSource) {
  const reader = {
    size,
    reads: 0,
    readUint8Array(begin: number, length: number) {
      if (length > MAX_DIRECTORY || ++reader.reads > MAX_READS) {
        throw new UserError(
          `The zip archive's directory is damaged, or has more than ${MAX_DIRECTORY} bytes, the limit`,
        );
      }
      return read(Math.min(begin, size), Math.min(begin + length, size));
    },
  };
  return reader;
}

function decodeName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const shown = quote(new TextDecoder().decode(bytes));
    throw new UserError(`A name in the zip archive is not UTF-8: ${shown}`);
  }
}

/** Refuse what zip.js would make the best of. */
function checkWarnings({ warnings }: { warnings?: { reason: string }[] }, what: string): void {
  const wrong = warnings?.find(({ reason }) => /directory offset|\(filename\)/.test(reason));
  if (wrong) throw new UserError(`${what}: ${wrong.reason}`);
}

/** Throw what zip.js found as a UserError; one from here, or of the system, as it is. */
function fail(error: unknown, what: string): never {
  const { message, reason } = error as Error & { reason?: string };
  const isOurs = error instanceof UserError || Error.isError(error) && "code" in error;
  if (isOurs) throw error;
  throw new UserError(`${what}: ${message}${reason === undefined ? "" : ` (${reason})`}`);
}
