/**
 * The thread in which the HDF5 library reads. `hdf5.ts` starts it from this file's text, so nothing of the
 * project can be imported here.
 *
 * @module
 */

// Not static, since `mod.ts` must be loadable where there is no npm registry.
const { parentPort } = await import("node:worker_threads");
const h5wasm = await import("npm:h5wasm@0.10.3");

type File = InstanceType<typeof h5wasm.File>;
type Dataset = InstanceType<typeof h5wasm.Dataset>;

/** The arrays that a numeric dataset can come in. */
export type Hdf5Array =
  | Float64Array<ArrayBuffer>
  | Float32Array<ArrayBuffer>
  | BigInt64Array<ArrayBuffer>
  | BigUint64Array<ArrayBuffer>
  | Int32Array<ArrayBuffer>
  | Uint32Array<ArrayBuffer>
  | Int16Array<ArrayBuffer>
  | Uint16Array<ArrayBuffer>
  | Int8Array<ArrayBuffer>
  | Uint8Array<ArrayBuffer>;

/** What the thread is asked. */
export interface Hdf5Question {
  /** The file. */
  path: string;
  /** The datasets to read. */
  names: readonly string[];
  /** Rows of the first dimension, ascending; all when left out. */
  rows?: Uint32Array<ArrayBuffer>;
  /** How many bytes they may have in all. */
  most: number;
}

/**
 * A dataset as the thread hands it over. Deno walks over every element of a typed array in a message, and not
 * over those of its buffer.
 */
export interface Hdf5Reply {
  /** The extents of what was read. */
  shape: number[];
  /** The extents in the file. */
  stored: number[];
  /** The values, and the name of their array class. */
  buffer: ArrayBuffer;
  type: string;
  /** Where in the file the dataset's header is, and how its values are cut into chunks. */
  header: number;
  chunks: number[] | null;
  elementBytes: number;
}

/** What it answers. */
export type Hdf5Answer =
  | { datasets: Hdf5Reply[] }
  /** `broken` when the thread must be ended. */
  | { error: string; broken: boolean };

/** Datasets pass through WebAssembly's memory in blocks of at most so many bytes. */
const BLOCK_BYTES = 8 * 2 ** 20;

/** Rows with no more between them than so many bytes are read in one block: a chunk is unpacked whole. */
const GAP_BYTES = 2 ** 20;

/** The most memory that the library may keep between two files. */
const MEMORY_BYTES = 512 * 2 ** 20;

/** How many files may fail: an error never gives back its piece of the library's stack. */
const MAX_FAILURES = 50;

/** Filters that the library has, by number. */
const LAST_FILTER = 6;

/** Filters that other programs write with. */
const OTHER_FILTERS: Record<number, string> = {
  305: "LZO",
  307: "BZIP2",
  32000: "LZF",
  32001: "Blosc",
  32004: "LZ4",
  32008: "Bitshuffle",
  32013: "ZFP",
  32015: "Zstandard",
  32026: "Blosc2",
};

let failures = 0;

const library = await h5wasm.ready;

parentPort!.on("message", (question: Hdf5Question) => {
  const answer = reply(library, question);
  const transfer = "datasets" in answer ? answer.datasets.map(({ buffer }) => buffer) : [];
  parentPort!.postMessage(answer, transfer);
});

parentPort!.postMessage("ready");

type Module = Awaited<typeof h5wasm.ready>;

function reply(module: Module, question: Hdf5Question): Hdf5Answer {
  try {
    return { datasets: read(module, question) };
  } catch (error) {
    // WebAssembly's own faults leave the library in any state.
    const isFault = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    const broken = isFault || ++failures >= MAX_FAILURES ||
      module.HEAPU8.length > MEMORY_BYTES;
    return { error: isFault ? "the HDF5 library failed on it" : reason(error), broken };
  }
}

function read(module: Module, question: Hdf5Question): Hdf5Reply[] {
  // Without this the library prints its error stack and goes on with a broken handle.
  module.activate_throwing_error_handler();
  using source = Deno.openSync(question.path);
  const mounted = "/file.h5";
  mount(module, mounted, source);
  try {
    const file = new h5wasm.File(mounted, "r");
    try {
      return readDatasets(module, file, question);
    } finally {
      file.close();
    }
  } finally {
    module.FS.unlink(mounted);
  }
}

/** Let the library read a file where it lies: only the parts that it asks for enter the memory. */
function mount(module: Module, path: string, source: Deno.FsFile): void {
  module.FS.writeFile(path, new Uint8Array(0));
  const { node } = module.FS.lookupPath(path, {}) as unknown as { node: FileNode };
  const { size } = source.statSync();
  Object.defineProperty(node, "usedBytes", { get: () => size });
  const read = (
    _stream: unknown,
    heap: Int8Array<ArrayBuffer>,
    offset: number,
    length: number,
    position: number,
  ) => {
    const wanted = Math.max(0, Math.min(length, size - position));
    source.seekSync(position, Deno.SeekMode.Start);
    for (let done = 0; done < wanted;) {
      const bytes = new Uint8Array(heap.buffer, heap.byteOffset + offset + done, wanted - done);
      const count = source.readSync(bytes);
      if (count === null) return done;
      done += count;
    }
    return wanted;
  };
  node.stream_ops = { ...node.stream_ops, read };
}

/** A file of the library's own file system, as far as it is changed here. */
interface FileNode {
  usedBytes: number;
  stream_ops: Record<string, unknown>;
}

function readDatasets(module: Module, file: File, question: Hdf5Question): Hdf5Reply[] {
  let left = question.most;
  return question.names.map((name) => {
    const dataset = find(file, name);
    const read = readDataset(module, name, dataset, question.rows, left);
    left -= read.buffer.byteLength;
    return read;
  });
}

function find(file: File, name: string): Dataset {
  const found = file.get(name);
  if (found instanceof h5wasm.Dataset) return found;
  if (found instanceof h5wasm.ExternalLink) {
    throw new Error(
      `"${name}" is a link to "${found.obj_path}" in another file, ${found.filename}, and links to other ` +
        "files are not followed: copy the dataset into this one",
    );
  }
  if (found instanceof h5wasm.BrokenSoftLink) {
    throw new Error(`"${name}" is a link to "${found.target}", which the file does not hold`);
  }
  const present = file.paths()
    .map((path) => path.replace(/^\//, ""))
    .filter((path) => file.get(path) instanceof h5wasm.Dataset);
  throw new Error(
    `it has no dataset "${name}"; present are ${present.join(", ") || "none"}`,
  );
}

function checkSource(name: string, dataset: Dataset): void {
  const sources = dataset.metadata.virtual_sources;
  if (sources !== undefined) {
    const files = [...new Set(sources.map(({ file_name }) => file_name))];
    throw new Error(
      `dataset "${name}" is a virtual one, whose numbers are in other files (${
        files.slice(0, 5).join(", ")
      }${files.length > 5 ? ", …" : ""}), and these are not read: copy them into one dataset`,
    );
  }
  const unknown = dataset.filters.find(({ id }) => id < 1 || id > LAST_FILTER);
  if (unknown !== undefined) {
    const known = OTHER_FILTERS[unknown.id];
    throw new Error(
      `dataset "${name}" is packed with the filter ${
        known ?? (unknown.name || "without a name")
      } (number ${unknown.id}), which cannot be unpacked here: write it anew with gzip or unpacked, by ` +
        "h5repack -f NONE or by h5py",
    );
  }
}

function readDataset(
  module: Module,
  name: string,
  dataset: Dataset,
  chosen: Uint32Array | undefined,
  most: number,
): Hdf5Reply {
  const stored = dataset.shape ?? [];
  checkSource(name, dataset);
  const shape = chosen === undefined ? stored : [chosen.length, ...stored.slice(1)];
  const size = shape.reduce((product, extent) => product * extent, 1);
  // The file may claim any shape: what was never written reads as zeros.
  if (size * dataset.metadata.size > most) {
    throw new Error(
      `dataset "${name}" of shape [${shape}] would take more than the ${most} bytes allowed`,
    );
  }
  const data = allocate(dataset, size);
  if (data === undefined || stored.length === 0) {
    throw new Error(
      `dataset "${name}" is not an array of integers or of 32 or 64-bit floating-point numbers`,
    );
  }
  if (chosen !== undefined && chosen.length > 0 && chosen[chosen.length - 1] >= stored[0]) {
    throw new Error(
      `dataset "${name}" has ${stored[0]} rows, and row ${chosen[chosen.length - 1]} is wanted`,
    );
  }
  if (data.length > 0) readRows(name, dataset, chosen, data);
  const reference = module.create_object_reference(dataset.file_id, dataset.path);
  return {
    shape,
    stored,
    buffer: data.buffer,
    type: data.constructor.name,
    header: Number(new DataView(Uint8Array.from(reference).buffer).getBigUint64(0, true)),
    chunks: dataset.metadata.chunks,
    elementBytes: dataset.metadata.size,
  };
}

/** Read the chosen rows, or all, in blocks of neighbours. */
function readRows(
  name: string,
  dataset: Dataset,
  chosen: Uint32Array | undefined,
  data: Hdf5Array,
): void {
  const [stored, ...inner] = dataset.shape!;
  const count = chosen?.length ?? stored;
  const bytes = new Uint8Array(data.buffer);
  const rowBytes = bytes.length / count;
  const most = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes));
  const gap = Math.max(1, Math.floor(GAP_BYTES / rowBytes));
  const row = (place: number) => chosen === undefined ? place : chosen[place];
  for (let place = 0; place < count;) {
    const first = row(place);
    let last = place;
    while (
      last + 1 < count && row(last + 1) - first < most && row(last + 1) - row(last) <= gap
    ) last++;
    const end = row(last) + 1;
    const block = dataset.slice([[first, end], ...inner.map((): [] => [])]);
    if (!ArrayBuffer.isView(block) || block.byteLength !== (end - first) * rowBytes) {
      throw new Error(`dataset "${name}" has no rows ${first} to ${end - 1}`);
    }
    const from = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
    if (end - first === last + 1 - place) {
      bytes.set(from, place * rowBytes);
    } else {
      for (let p = place; p <= last; p++) {
        const start = (row(p) - first) * rowBytes;
        bytes.set(from.subarray(start, start + rowBytes), p * rowBytes);
      }
    }
    place = last + 1;
  }
}

/** An array for the values of a dataset, or undefined for a type that is not supported. */
function allocate(dataset: Dataset, size: number): Hdf5Array | undefined {
  const { type, signed, size: bytes } = dataset.metadata;
  const INTEGER = 0;
  const FLOAT = 1;
  if (type === INTEGER) {
    if (bytes === 8) return signed ? new BigInt64Array(size) : new BigUint64Array(size);
    if (bytes === 4) return signed ? new Int32Array(size) : new Uint32Array(size);
    if (bytes === 2) return signed ? new Int16Array(size) : new Uint16Array(size);
    if (bytes === 1) return signed ? new Int8Array(size) : new Uint8Array(size);
  }
  if (type === FLOAT && bytes === 8) return new Float64Array(size);
  if (type === FLOAT && bytes === 4) return new Float32Array(size);
  return undefined;
}

/** One sentence out of an error; of the HDF5 library's stack the innermost entry. */
function reason(error: unknown): string {
  const message = error instanceof Error ? error.message : String(error);
  const stack = [...message.matchAll(/#\d+: .*? in \w+\(\): (.*)/g)];
  const said = stack.length > 0 ? stack[stack.length - 1][1] : message.split("\n")[0];
  return /external raw data file/.test(said)
    ? "a dataset keeps its numbers in other files (external storage), and these are not read: copy them into " +
      "this one"
    : said;
}
