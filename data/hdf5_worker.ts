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

/** A dataset of an HDF5 file: its shape, and its values in row-major order. */
export interface Hdf5Dataset {
  /** The extents, outermost first. */
  shape: number[];
  /** The values, in the array class of the stored type. */
  data: Hdf5Array;
}

/** What the thread is asked. */
export interface Hdf5Question {
  /** The whole file. */
  bytes: Uint8Array<ArrayBuffer>;
  /** The datasets to read. */
  names: readonly string[];
  /** How many bytes they may have in all. */
  most: number;
}

/** What it answers. */
export type Hdf5Answer =
  | { datasets: Hdf5Dataset[] }
  /** `broken` when the thread must be ended. */
  | { error: string; broken: boolean };

/** Datasets pass through WebAssembly's memory in blocks of at most so many bytes. */
const BLOCK_BYTES = 64 * 2 ** 20;

/** The most memory that the library may keep between two files. */
const MEMORY_BYTES = 512 * 2 ** 20;

/** How many files may fail: an error never gives back its piece of the library's stack. */
const MAX_FAILURES = 50;

let failures = 0;

parentPort!.on("message", async (question: Hdf5Question) => {
  const answer = await reply(question);
  const transfer = "datasets" in answer ? answer.datasets.map(({ data }) => data.buffer) : [];
  parentPort!.postMessage(answer, transfer);
});

type Module = Awaited<typeof h5wasm.ready>;

async function reply(question: Hdf5Question): Promise<Hdf5Answer> {
  const module = await h5wasm.ready;
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

function read(module: Module, question: Hdf5Question): Hdf5Dataset[] {
  // Without this the library prints its error stack and goes on with a broken handle.
  module.activate_throwing_error_handler();
  const inMemory = "/file.h5";
  // "canOwn" saves a copy; the package's types do not know it.
  const options = { flags: "w", canOwn: true };
  module.FS.writeFile(inMemory, question.bytes, options);
  try {
    const file = new h5wasm.File(inMemory, "r");
    try {
      return readDatasets(file, question);
    } finally {
      file.close();
    }
  } finally {
    module.FS.unlink(inMemory);
  }
}

function readDatasets(file: File, { names, most }: Hdf5Question): Hdf5Dataset[] {
  const present = file.paths()
    .map((path) => path.replace(/^\//, ""))
    .filter((path) => file.get(path) instanceof h5wasm.Dataset);
  let left = most;
  return names.map((name) => {
    const dataset = present.includes(name) ? file.get(name) : null;
    if (!(dataset instanceof h5wasm.Dataset)) {
      throw new SyntaxError(
        `it has no dataset "${name}"; present are ${present.join(", ") || "none"}`,
      );
    }
    const read = readDataset(name, dataset, left);
    left -= read.data.byteLength;
    return read;
  });
}

function readDataset(name: string, dataset: Dataset, most: number): Hdf5Dataset {
  const shape = dataset.shape ?? [];
  const size = shape.reduce((product, extent) => product * extent, 1);
  // The file may claim any shape: what was never written reads as zeros.
  if (size * dataset.metadata.size > most) {
    throw new SyntaxError(
      `dataset "${name}" of shape [${shape}] would take more than the ${most} bytes allowed`,
    );
  }
  const data = allocate(dataset, size);
  if (data === undefined || shape.length === 0) {
    throw new SyntaxError(
      `dataset "${name}" is not an array of integers or of 32 or 64-bit floating-point numbers`,
    );
  }
  if (data.length === 0) return { shape, data };
  const bytes = new Uint8Array(data.buffer);
  const rowBytes = bytes.length / shape[0];
  const rows = Math.max(1, Math.floor(BLOCK_BYTES / rowBytes));
  for (let row = 0; row < shape[0]; row += rows) {
    const end = Math.min(row + rows, shape[0]);
    const block = dataset.slice([[row, end], ...shape.slice(1).map((): [] => [])]);
    if (!ArrayBuffer.isView(block) || block.byteLength !== (end - row) * rowBytes) {
      throw new SyntaxError(`dataset "${name}" has no rows ${row} to ${end - 1}`);
    }
    bytes.set(new Uint8Array(block.buffer, block.byteOffset, block.byteLength), row * rowBytes);
  }
  return { shape, data };
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
  return stack.length > 0 ? stack[stack.length - 1][1] : message.split("\n")[0];
}
