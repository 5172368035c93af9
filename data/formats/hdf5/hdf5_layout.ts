/**
 * Where an HDF5 file keeps a dataset's numbers, and whether all of them were ever written: the library reads
 * what was not as zeros, and does not say so. Read from the dataset's header by the HDF5 File Format
 * Specification, version 3.0 (sections III.A to III.D, IV.A).
 *
 * @module
 */
import { UserError } from "../../files/user_error.ts";

/** What is known of a dataset. */
export interface StoredDataset {
  /** The extents in the file. */
  stored: readonly number[];
  /** The extents of a chunk, where the dataset is cut into chunks. */
  chunks: readonly number[] | null;
  /** The address of its header. */
  header: number;
}

/** Messages of a header that are read here. */
const EXTERNAL_FILES = 7, LAYOUT = 8, CONTINUATION = 16;

/** Most blocks of a header, and most nodes of a tree, that a file may want read. */
const MOST_BLOCKS = 1000, MOST_NODES = 1_000_000;

const SIGNATURE = [0x89, 0x48, 0x44, 0x46, 0x0d, 0x0a, 0x1a, 0x0a];

/**
 * Check that the numbers of a dataset are in its file and were written: a UserError says that they are in
 * other files, that none were written, or how many chunks are missing. What a chunk holds is not looked at.
 */
export function checkWritten(path: string, name: string, dataset: StoredDataset): void {
  using file = Deno.openSync(path);
  const { stored, chunks } = dataset;
  const needed = chunks === null
    ? 1
    : stored.reduce((product, extent, d) => product * Math.ceil(extent / chunks[d]), 1);
  const written = countWritten(new Source(file), name, dataset.header);
  if (written === undefined || written >= needed) return;
  const missing = written === 0
    ? "its numbers were never written"
    : `only ${written} of its ${needed} chunks were written`;
  throw new UserError(
    `dataset "${name}" is not whole: ${missing}, and would read as zeros; make the file anew`,
  );
}

/** The chunks that were written, or 1 for numbers in one piece; undefined where that cannot be told. */
function countWritten(source: Source, name: string, header: number): number | undefined {
  let layout: Bytes | undefined;
  for (const { type, bytes } of headerMessages(source, header)) {
    if (type === EXTERNAL_FILES) {
      throw new UserError(
        `dataset "${name}" keeps its numbers in other files (external storage), and these are not read: ` +
          "copy them into this one",
      );
    }
    if (type === LAYOUT) layout = bytes;
  }
  if (layout === undefined) return undefined;
  const version = layout.number(1);
  if (version < 3 || version > 5) return undefined;
  const kind = layout.number(1);
  const CONTIGUOUS = 1, CHUNKED = 2;
  if (kind === CONTIGUOUS) return layout.address() === undefined ? 0 : 1;
  if (kind !== CHUNKED) return undefined;
  return version === 3 ? countOldChunks(source, layout) : countNewChunks(source, layout);
}

/** Layout version 3: a B-tree of version 1, whose leaves have an entry for each chunk. */
function countOldChunks(source: Source, layout: Bytes): number | undefined {
  const dimensions = layout.number(1); // one more than the dataset's
  const root = layout.address();
  if (root === undefined) return 0;
  const open = [root];
  const seen = new Set(open);
  let count = 0;
  for (let node; (node = open.pop()) !== undefined;) {
    const head = source.at(node, 8 + 2 * source.offsetBytes);
    if (head.text(4) !== "TREE") return undefined;
    head.skip(1);
    const [level, used] = [head.number(1), head.number(2)];
    if (level === 0) {
      count += used;
      continue;
    }
    const keyBytes = 8 + 8 * dimensions;
    const entries = source.at(
      node + 8 + 2 * source.offsetBytes,
      used * (keyBytes + source.offsetBytes),
    );
    for (let i = 0; i < used; i++) {
      entries.skip(keyBytes);
      const child = entries.address();
      if (child === undefined || seen.has(child) || seen.size > MOST_NODES) return undefined;
      seen.add(child);
      open.push(child);
    }
  }
  return count;
}

/** Layout version 4: one of five indices. */
function countNewChunks(source: Source, layout: Bytes): number | undefined {
  const SINGLE = 1, IMPLICIT = 2, FIXED_ARRAY = 3, EXTENSIBLE_ARRAY = 4, TREE = 5;
  const FILTERED = 2;
  const flags = layout.number(1);
  const dimensions = layout.number(1);
  layout.skip(layout.number(1) * dimensions);
  const index = layout.number(1);
  if (index === SINGLE && (flags & FILTERED) !== 0) layout.skip(source.lengthBytes + 4);
  layout.skip({ [FIXED_ARRAY]: 1, [EXTENSIBLE_ARRAY]: 5, [TREE]: 6 }[index] ?? 0);
  const address = layout.address();
  if (address === undefined) return 0;
  if (index === SINGLE) return 1;
  if (index === IMPLICIT) return undefined; // all are there as soon as one is
  if (index === FIXED_ARRAY) return countFixedArray(source, address);
  if (index === EXTENSIBLE_ARRAY) {
    const head = source.at(address, 12 + 6 * source.lengthBytes);
    if (head.text(4) !== "EAHD") return undefined;
    head.skip(8 + 4 * source.lengthBytes);
    return head.number(source.lengthBytes); // the highest that was written; holes are not seen
  }
  if (index !== TREE) return undefined;
  const head = source.at(address, 18 + source.offsetBytes + source.lengthBytes);
  if (head.text(4) !== "BTHD") return undefined;
  head.skip(14 + source.offsetBytes);
  return head.number(source.lengthBytes);
}

function countFixedArray(source: Source, address: number): number | undefined {
  const head = source.at(address, 8 + source.lengthBytes + source.offsetBytes);
  if (head.text(4) !== "FAHD") return undefined;
  head.skip(2);
  const [elementBytes, pageBits] = [head.number(1), head.number(1)];
  const elements = head.number(source.lengthBytes);
  const block = head.address();
  if (block === undefined) return 0;
  if (elements > MOST_NODES || elementBytes < source.offsetBytes) return undefined;
  let at = block + 6 + source.offsetBytes;
  const onPage = 2 ** pageBits;
  const count = (from: number, many: number) => {
    const page = source.at(from, many * elementBytes);
    let written = 0;
    for (let i = 0; i < many; i++) {
      if (page.address() !== undefined) written++;
      page.skip(elementBytes - source.offsetBytes);
    }
    return written;
  };
  if (elements <= onPage) return count(at, elements);
  const pages = Math.ceil(elements / onPage);
  const mapBytes = Math.ceil(pages / 8);
  const map = source.at(at, mapBytes);
  at += mapBytes + 4;
  let written = 0;
  for (let page = 0, bits = 0; page < pages; page++) {
    if (page % 8 === 0) bits = map.number(1);
    const many = Math.min(onPage, elements - page * onPage);
    if ((bits & (0x80 >> page % 8)) !== 0) written += count(at, many);
    at += onPage * elementBytes + 4;
  }
  return written;
}

/** The messages of an object header of version 1 or 2, with those of its further blocks. */
function* headerMessages(
  source: Source,
  header: number,
): Generator<{ type: number; bytes: Bytes }> {
  const modern = source.at(header, 4).text(4) === "OHDR";
  const start = source.at(header, 64);
  let fixed: number; // bytes in front of a message's content
  let order = 0;
  const blocks: { at: number; size: number }[] = [];
  if (modern) {
    start.skip(5);
    const flags = start.number(1);
    start.skip(((flags & 0x20) !== 0 ? 16 : 0) + ((flags & 0x10) !== 0 ? 4 : 0));
    const size = start.number(2 ** (flags & 3));
    order = (flags & 4) !== 0 ? 2 : 0;
    fixed = 4 + order;
    blocks.push({ at: header + start.at, size });
  } else {
    start.skip(8);
    fixed = 8;
    blocks.push({ at: header + 16, size: start.number(4) });
  }
  for (let b = 0; b < blocks.length && b < MOST_BLOCKS; b++) {
    const bytes = source.at(blocks[b].at, blocks[b].size);
    while (bytes.left >= fixed) {
      const type = bytes.number(modern ? 1 : 2);
      const size = bytes.number(2);
      bytes.skip(modern ? 1 + order : 4);
      const content = bytes.part(size);
      if (type === CONTINUATION) {
        const at = content.address() ?? 0;
        const length = content.number(source.lengthBytes);
        // A block of version 2 has a signature in front and a checksum behind.
        blocks.push(modern ? { at: at + 4, size: length - 8 } : { at, size: length });
      } else {
        yield { type, bytes: content };
      }
    }
  }
}

/** A file with the sizes of addresses and lengths that its superblock states. */
class Source {
  readonly offsetBytes: number;
  readonly lengthBytes: number;
  #file: Deno.FsFile;
  #base = 0;
  #size: number;
  /** Bytes that may still be read: a damaged file can refer to one place again and again. */
  #left: number;

  constructor(file: Deno.FsFile) {
    this.#file = file;
    this.#size = file.statSync().size;
    this.#left = this.#size + 2 ** 20;
    this.offsetBytes = this.lengthBytes = 8;
    // A block of the user's own may stand in front.
    let start = 0;
    while (start < this.#size && !this.#isSuperblock(start)) start = Math.max(512, 2 * start);
    const version = this.at(start + 8, 1).number(1);
    const sizes = this.at(start + (version < 2 ? 13 : 9), 2);
    this.offsetBytes = sizes.number(1);
    this.lengthBytes = sizes.number(1);
    const base = this.at(start + [24, 28, 12][Math.min(version, 2)], this.offsetBytes);
    this.#base = base.address() ?? 0;
  }

  #isSuperblock(start: number): boolean {
    const bytes = this.at(start, SIGNATURE.length);
    return SIGNATURE.every((byte) => bytes.number(1) === byte);
  }

  /** So many bytes at an address. */
  at(address: number, count: number): Bytes {
    const from = this.#base + address;
    const there = Math.max(0, Math.min(count, this.#size - from));
    this.#left -= there;
    if (this.#left < 0) throw new UserError("its headers refer to the same places too often");
    const bytes = new Uint8Array(there);
    this.#file.seekSync(from, Deno.SeekMode.Start);
    for (let done = 0; done < there;) {
      const read = this.#file.readSync(bytes.subarray(done));
      if (read === null) break;
      done += read;
    }
    return new Bytes(bytes, this.offsetBytes);
  }
}

/** Bytes that are read from front to back; a UserError past their end. */
class Bytes {
  at = 0;
  #bytes: Uint8Array;
  #offsetBytes: number;

  constructor(bytes: Uint8Array, offsetBytes: number) {
    this.#bytes = bytes;
    this.#offsetBytes = offsetBytes;
  }

  get left(): number {
    return this.#bytes.length - this.at;
  }

  skip(count: number): void {
    if (count < 0 || count > this.left) throw new UserError("a header in it is cut short");
    this.at += count;
  }

  part(count: number): Bytes {
    const start = this.at;
    this.skip(count);
    return new Bytes(this.#bytes.subarray(start, this.at), this.#offsetBytes);
  }

  /** An unsigned number, its lowest byte first. */
  number(count: number): number {
    const start = this.at;
    this.skip(count);
    let value = 0;
    for (let i = count - 1; i >= 0; i--) value = 256 * value + this.#bytes[start + i];
    return value;
  }

  text(count: number): string {
    const start = this.at;
    this.skip(count);
    return String.fromCharCode(...this.#bytes.subarray(start, this.at));
  }

  /** An address; undefined where nothing has been given a place. */
  address(): number | undefined {
    const start = this.at;
    const value = this.number(this.#offsetBytes);
    const isUndefined = this.#bytes.subarray(start, this.at).every((byte) => byte === 0xff);
    return isUndefined ? undefined : value;
  }
}
