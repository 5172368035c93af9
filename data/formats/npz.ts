/**
 * NumPy's files: `.npy`, an array (https://numpy.org/doc/stable/reference/generated/numpy.lib.format.html),
 * and `.npz`, a zip archive of them.
 *
 * @module
 */
import { decodeFile } from "../files/file.ts";
import { quote } from "../files/messages.ts";
import {
  expansionLimit,
  MAX_DIMENSIONS,
  rowMajorStrides,
  sizeOf,
  stridedTensor,
} from "./strided.ts";
import { ARRAY_TYPES, type TensorData, type TensorDtype } from "./tensor_data.ts";
import { memorySource, readZipDirectory, readZipEntry } from "./zip/zip.ts";
import { UserError } from "../files/user_error.ts";

/** NumPy's names of little-endian types. */
const DTYPES = new Map<string, TensorDtype>(Object.entries<TensorDtype>({
  "<f8": "F64",
  "<f4": "F32",
  "<f2": "F16",
  "<i8": "I64",
  "<i4": "I32",
  "<i2": "I16",
  "|i1": "I8",
  "<u8": "U64",
  "<u4": "U32",
  "<u2": "U16",
  "|u1": "U8",
  "|b1": "BOOL",
}));

/** What is to be said of the types that are not read, by the letter of their kind. */
const REFUSED = new Map(Object.entries({
  O: "Python objects, which are pickles",
  c: "complex numbers",
  S: "bytes",
  U: "text",
  M: "dates",
  m: "durations",
  V: "raw records",
}));

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59];

/** The longest header that is read, in bytes. */
const MAX_HEADER = 2 ** 16;

/** The dict of Python in a header, with its keys in any order: NumPy sorts them. */
const HEADER =
  /^\{'descr': ('[^']*'|\[.*\]), 'fortran_order': (True|False), 'shape': \(([\d, ]*)\),? *\}[ \0]*\n?$/s;

/**
 * Read the bytes of a `.npy` file: an array of numbers or booleans, little-endian, in C or Fortran order; it
 * comes in row-major order. A view of `bytes` where the values are aligned and in order already.
 *
 * A UserError says what is wrong with a malformed file, or names the type that is not supported: Python
 * objects, which are pickles, big-endian numbers, complex numbers, text, records.
 *
 * ```ts
 * const header = "{'descr': '<u2', 'fortran_order': False, 'shape': (2,), }\n";
 * const start = [0x93, ...new TextEncoder().encode("NUMPY"), 1, 0, header.length, 0];
 * const bytes = Uint8Array.of(...start, ...new TextEncoder().encode(header), 7, 0, 0, 1);
 * const { dtype, shape, data } = decodeNpy(bytes);
 * if (dtype !== "U16" || shape.join() !== "2" || data.join() !== "7,256") throw new Error("wrong");
 * ```
 */
export function decodeNpy(bytes: Uint8Array<ArrayBuffer>): TensorData {
  const { descr, isFortran, shape, begin } = readHeader(bytes);
  const dtype = findDtype(descr);
  const needed = sizeOf(shape) * ARRAY_TYPES[dtype].BYTES_PER_ELEMENT;
  if (needed !== bytes.length - begin) {
    throw new UserError(
      `An array of type ${descr} and shape [${shape}] needs ${needed} bytes: it has ${
        bytes.length - begin
      }`,
    );
  }
  const strides = isFortran
    ? rowMajorStrides(shape.toReversed()).reverse()
    : rowMajorStrides(shape);
  return stridedTensor(dtype, { shape, strides, offset: 0 }, bytes.subarray(begin));
}

function readHeader(bytes: Uint8Array<ArrayBuffer>) {
  if (!MAGIC.every((byte, i) => bytes[i] === byte) || bytes.length < 12) {
    throw new UserError("It does not start as an array of NumPy does");
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const version = bytes[6];
  if (version < 1 || version > 3) {
    throw new UserError(`The format version is ${version}: supported are 1, 2 and 3`);
  }
  const start = version === 1 ? 10 : 12;
  const length = version === 1 ? view.getUint16(8, true) : view.getUint32(8, true);
  const most = Math.min(bytes.length - start, MAX_HEADER);
  if (length > most) {
    throw new UserError(`The header's length is ${length} bytes: at most ${most} are possible`);
  }
  const header = new TextDecoder().decode(bytes.subarray(start, start + length));
  const [, descr, order, extents] = header.match(HEADER) ?? [];
  if (descr === undefined) throw new UserError(`The header cannot be read: ${quote(header)}`);
  const shape = extents.split(",").map((text) => text.trim()).filter((text) => text !== "");
  const counts = shape.map(Number);
  if (!counts.every(Number.isSafeInteger)) {
    throw new UserError(`The shape must be of whole numbers: it is (${quote(extents)})`);
  }
  if (counts.length > MAX_DIMENSIONS) {
    throw new UserError(
      `The array has ${counts.length} dimensions: at most ${MAX_DIMENSIONS} are allowed`,
    );
  }
  return { descr, isFortran: order === "True", shape: counts, begin: start + length };
}

function findDtype(descr: string): TensorDtype {
  const name = descr.slice(1, -1);
  const dtype = DTYPES.get(name);
  if (dtype !== undefined) return dtype;
  const isRecord = descr.startsWith("[");
  const isBig = name.startsWith(">");
  const what = isRecord ? "records" : isBig ? "big-endian numbers" : REFUSED.get(name[1]);
  throw new UserError(
    `The type ${quote(isRecord ? descr : name)}${
      what ? ` (${what})` : ""
    } is not supported: supported are ${[...DTYPES.keys()].join(", ")}`,
  );
}

/**
 * Read the bytes of a `.npz` file, which `numpy.savez` or `numpy.savez_compressed` wrote: the arrays by name.
 *
 * A UserError as of {@link decodeNpy} names the array; it also says what is wrong with the zip archive. A
 * UserError refuses an archive that would unpack to more than 16 times its size and 64 MiB.
 */
export async function decodeNpz(
  bytes: Uint8Array<ArrayBuffer>,
): Promise<Map<string, TensorData>> {
  const source = memorySource(bytes);
  const tensors = new Map<string, TensorData>();
  for (const [path, entry] of await readZipDirectory(source, expansionLimit(bytes.length))) {
    const name = path.replace(/\.npy$/, "");
    try {
      if (name === path) throw new UserError("Its name must end with .npy");
      tensors.set(name, decodeNpy(await readZipEntry(source, entry)));
    } catch (error) {
      throw UserError.within(`Array ${quote(path)}`, error);
    }
  }
  return tensors;
}

/** Read a `.npz` file, as {@link decodeNpz} reads its bytes. The errors name the file. */
export function readNpz(path: string): Promise<Map<string, TensorData>> {
  return decodeFile(path, "is not a .npz file", decodeNpz);
}
