/**
 * The directory of a zip archive (PKWARE's APPNOTE 6.3, with zip64). What the archive says of itself is
 * checked against its real size before anything is read or allocated.
 *
 * @module
 */
import { quote } from "../../files/messages.ts";
import { checkNumberKeys } from "../../files/table_keys.ts";

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

const CENTRAL = 0x02014b50, LOCAL = 0x04034b50;
const END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50;
const END_SIZE = 22, LOCATOR64_SIZE = 20, END64_SIZE = 56, CENTRAL_SIZE = 46, LOCAL_SIZE = 30;

/** The most entries that are read. Data sets here have some hundred, large models some thousand tensors. */
const MAX_ENTRIES = 20_000;

/** The largest directory that is read, in bytes. */
const MAX_DIRECTORY = 16 * 2 ** 20;

/** Deflate cannot pack more than so many bytes into one. */
const MAX_RATIO = 1032;

/** Throw the SyntaxError for what is wrong with an entry. */
export function failEntry(name: string, reason: string): never {
  throw new SyntaxError(`The zip archive's entry ${quote(name)} ${reason}`);
}

function view(bytes: Uint8Array<ArrayBuffer>): DataView {
  return new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** A 64-bit count. Past 2^53 it is inexact, but then it fails every comparison with a real size. */
function count64(view: DataView, at: number): number {
  return Number(view.getBigUint64(at, true));
}

/**
 * The entries of an archive by name, in the order of its directory. `maxTotal` is how many bytes they may
 * have in all once unpacked: more is a RangeError.
 *
 * A SyntaxError when this is no zip archive or a damaged one: an end or directory that is missing, entries
 * that overlap or lie outside, two of one name, impossible sizes. So is what is not supported: encryption,
 * several volumes, other methods than store and deflate.
 */
export async function readZipDirectory(
  source: ZipSource,
  maxTotal: number,
): Promise<Map<string, ZipEntry>> {
  const { begin, end, count } = await findDirectory(source);
  const bytes = await source.read(begin, end);
  const found = readCentral(bytes, count);
  let total = 0;
  for (const { size } of found) total += size;
  if (total > maxTotal) {
    throw new RangeError(
      `The zip archive of ${source.size} bytes would unpack to ${total}: at most ${maxTotal} are allowed`,
    );
  }
  checkNumberKeys(found.map(({ name }) => name), "The zip archive");
  await locate(source, found, begin);
  const entries = new Map(found.map((entry) => [entry.name, entry]));
  if (entries.size < found.length) {
    const twice = found.find((entry) => entries.get(entry.name) !== entry)!;
    throw new SyntaxError(`The zip archive holds ${quote(twice.name)} twice`);
  }
  return entries;
}

/** Where the central directory lies, and how many entries it has. */
async function findDirectory(source: ZipSource) {
  const tailStart = Math.max(0, source.size - END_SIZE - 0xffff - LOCATOR64_SIZE);
  const tail = view(await source.read(tailStart, source.size));
  let at = tail.byteLength - END_SIZE;
  // A comment of up to 65,535 bytes may follow the end record.
  const isEnd = () =>
    tail.getUint32(at, true) === END &&
    at + END_SIZE + tail.getUint16(at + 20, true) === tail.byteLength;
  while (at >= 0 && !isEnd()) at--;
  if (at < 0) {
    throw new SyntaxError("This is no zip archive, or its end is missing: there is no end record");
  }
  let directory = {
    disks: [tail.getUint16(at + 4, true), tail.getUint16(at + 6, true)],
    count: tail.getUint16(at + 10, true),
    size: tail.getUint32(at + 12, true),
    begin: tail.getUint32(at + 16, true),
  };
  let limit = tailStart + at;
  const locator = at - LOCATOR64_SIZE;
  if (locator >= 0 && tail.getUint32(locator, true) === LOCATOR64) {
    limit = count64(tail, locator + 8);
    if (limit + END64_SIZE > tailStart + locator) {
      throw new SyntaxError(
        `The zip archive's zip64 end record cannot be at byte ${limit} of ${source.size}`,
      );
    }
    const record = view(await source.read(limit, limit + END64_SIZE));
    if (record.getUint32(0, true) !== END64) {
      throw new SyntaxError(`The zip archive has no zip64 end record at byte ${limit}`);
    }
    directory = {
      disks: [record.getUint32(16, true), record.getUint32(20, true)],
      count: count64(record, 32),
      size: count64(record, 40),
      begin: count64(record, 48),
    };
  }
  const { disks, count, size, begin } = directory;
  if (disks.some((disk) => disk !== 0)) {
    throw new SyntaxError("The zip archive has several volumes, which is not supported");
  }
  if (begin + size > limit || count * CENTRAL_SIZE > size) {
    throw new SyntaxError(
      `The zip archive's directory of ${count} entries in ${size} bytes cannot be at byte ${begin}: ` +
        `${limit} bytes are before its end`,
    );
  }
  if (count > MAX_ENTRIES) {
    throw new RangeError(
      `The zip archive has ${count} entries: at most ${MAX_ENTRIES} are allowed`,
    );
  }
  if (size > MAX_DIRECTORY) {
    throw new RangeError(
      `The zip archive's directory has ${size} bytes: at most ${MAX_DIRECTORY} are allowed`,
    );
  }
  return { begin, end: begin + size, count };
}

/** The entries of a central directory. Until {@link locate}, `begin` is where the local header is. */
function readCentral(bytes: Uint8Array<ArrayBuffer>, count: number): ZipEntry[] {
  const directory = view(bytes);
  const entries: ZipEntry[] = [];
  let at = 0;
  while (entries.length < count) {
    const left = bytes.length - at - CENTRAL_SIZE;
    const isEntry = left >= 0 && directory.getUint32(at, true) === CENTRAL;
    const nameEnd = isEntry ? directory.getUint16(at + 28, true) : 0;
    const extraEnd = isEntry ? nameEnd + directory.getUint16(at + 30, true) : 0;
    const end = isEntry ? extraEnd + directory.getUint16(at + 32, true) : 0;
    if (!isEntry || end > left) {
      throw new SyntaxError(
        `The zip archive's directory says ${count} entries, and entry ${entries.length} is damaged`,
      );
    }
    const start = at + CENTRAL_SIZE;
    const name = decodeName(bytes.subarray(start, start + nameEnd));
    const record = view(bytes.subarray(at, start));
    entries.push(readCentralEntry(name, record, bytes.subarray(start + nameEnd, start + extraEnd)));
    at = start + end;
  }
  return entries;
}

function decodeName(bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    const shown = quote(new TextDecoder().decode(bytes));
    throw new SyntaxError(`A name in the zip archive is not UTF-8: ${shown}`);
  }
}

function readCentralEntry(
  name: string,
  record: DataView,
  extra: Uint8Array<ArrayBuffer>,
): ZipEntry {
  const fail = (reason: string) => failEntry(name, reason);
  const flags = record.getUint16(8, true);
  const method = record.getUint16(10, true);
  if (flags & 0x41) fail("is encrypted, which is not supported");
  if (method !== 0 && method !== 8) {
    fail(`is packed by method ${method}: supported are 0 (stored) and 8 (deflated)`);
  }
  // The counts that do not fit 32 bits stand in the zip64 field, in this order.
  const wide = zip64Field(extra);
  let next = 0;
  const [size, packedSize, begin] = [24, 20, 42].map((at) => {
    const count = record.getUint32(at, true);
    if (count !== 0xffffffff) return count;
    if (wide === undefined || next + 8 > wide.byteLength) return fail("misses its zip64 sizes");
    return count64(wide, (next += 8) - 8);
  });
  if (method === 0 ? size !== packedSize : size > packedSize * MAX_RATIO) {
    fail(`cannot have ${size} bytes in ${packedSize}`);
  }
  const isUnix = record.getUint8(5) === 3;
  const isLink = isUnix && (record.getUint32(38, true) >>> 28) === 0xa;
  const crc = record.getUint32(16, true);
  return { name, isLink, deflated: method === 8, size, packedSize, begin, crc };
}

/** The extra field of zip64, where there is one. */
function zip64Field(extra: Uint8Array<ArrayBuffer>): DataView | undefined {
  const fields = view(extra);
  for (let at = 0; at + 4 <= extra.length;) {
    const end = at + 4 + fields.getUint16(at + 2, true);
    if (fields.getUint16(at, true) === 1 && end <= extra.length) {
      return view(extra.subarray(at + 4, end));
    }
    at = end;
  }
  return undefined;
}

/** Follow each entry to its bytes, and check that no two share any. `limit` is where the directory begins. */
async function locate(source: ZipSource, entries: ZipEntry[], limit: number): Promise<void> {
  const encoder = new TextEncoder();
  let covered = 0;
  for (const entry of entries.toSorted((a, b) => a.begin - b.begin)) {
    const fail = (reason: string) => failEntry(entry.name, reason);
    const name = encoder.encode(entry.name);
    const { begin } = entry;
    if (begin < covered) fail(`overlaps the one before it`);
    const nameEnd = begin + LOCAL_SIZE + name.length;
    if (nameEnd > limit) fail(`lies outside the archive, at byte ${begin}`);
    const header = await source.read(begin, nameEnd);
    const local = view(header);
    const isSame = local.getUint32(0, true) === LOCAL &&
      local.getUint16(26, true) === name.length &&
      name.every((byte, i) => header[LOCAL_SIZE + i] === byte);
    if (!isSame) fail(`has no header of its own at byte ${begin}`);
    entry.begin = nameEnd + local.getUint16(28, true);
    covered = entry.begin + entry.packedSize;
    if (covered > limit) fail(`has ${entry.packedSize} bytes, which reach past the archive's end`);
  }
}
