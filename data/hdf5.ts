/**
 * Reading HDF5 files, by h5wasm (the HDF5 library compiled to WebAssembly). The package is loaded at
 * the first read, and needs no permission but the one to read the file itself.
 *
 * @module
 */

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

type H5wasm = typeof import("npm:h5wasm@0.10.3");
type H5wasmFile = InstanceType<H5wasm["File"]>;
type H5wasmDataset = InstanceType<H5wasm["Dataset"]>;

/** WebAssembly's memory is small, so datasets pass through it in blocks of at most so many bytes. */
const BLOCK_BYTES = 64 * 2 ** 20;

/**
 * Read datasets by name (`"group/name"` inside groups) from an HDF5 file. They must be arrays of
 * integers, or of floating-point numbers of 32 or 64 bits.
 *
 * A file that is truncated or no HDF5, a missing dataset, and one of another kind are a SyntaxError that
 * names the file.
 *
 * ```ts ignore
 * const { features } = await readHdf5("train2014_vgg16_fc7_pca.h5", ["features"]);
 * console.log(features.shape);
 * ```
 */
export async function readHdf5<Name extends string>(
  path: string,
  names: readonly Name[],
): Promise<Record<Name, Hdf5Dataset>> {
  const bytes = await Deno.readFile(path);
  const h5wasm = await import("npm:h5wasm@0.10.3");
  const module = await h5wasm.ready;
  // Without this the library prints its error stack and goes on with a broken handle.
  module.activate_throwing_error_handler();
  const inMemory = "/file.h5";
  // No await from here to the end: calls at the same time cannot meet in the memory file system.
  // "canOwn" saves a copy; the package's types do not know it.
  const options = { flags: "w", canOwn: true };
  module.FS.writeFile(inMemory, bytes, options);
  try {
    const file = new h5wasm.File(inMemory, "r");
    try {
      return readDatasets(h5wasm, file, names);
    } finally {
      file.close();
    }
  } catch (error) {
    throw new SyntaxError(`${path} cannot be read as HDF5: ${reason(error)}`);
  } finally {
    module.FS.unlink(inMemory);
  }
}

function readDatasets<Name extends string>(
  h5wasm: H5wasm,
  file: H5wasmFile,
  names: readonly Name[],
): Record<Name, Hdf5Dataset> {
  const present = file.paths()
    .map((path) => path.replace(/^\//, ""))
    .filter((path) => file.get(path) instanceof h5wasm.Dataset);
  const read = names.map((name): [Name, Hdf5Dataset] => {
    const dataset = present.includes(name) ? file.get(name) : null;
    if (!(dataset instanceof h5wasm.Dataset)) {
      throw new SyntaxError(
        `it has no dataset "${name}"; present are ${present.join(", ") || "none"}`,
      );
    }
    return [name, readDataset(name, dataset)];
  });
  return Object.fromEntries(read) as Record<Name, Hdf5Dataset>;
}

function readDataset(name: string, dataset: H5wasmDataset): Hdf5Dataset {
  const shape = dataset.shape ?? [];
  const data = allocate(dataset, shape.reduce((product, extent) => product * extent, 1));
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
function allocate(dataset: H5wasmDataset, size: number): Hdf5Array | undefined {
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
