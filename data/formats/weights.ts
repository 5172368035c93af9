/**
 * Weight files of every format that is known here.
 *
 * @module
 */
import { readBytes } from "../files/file.ts";
import { quote } from "../files/messages.ts";
import { decodeNpz } from "./npz.ts";
import { decodePth, isLegacyPth, isZip, type Note, pickleFolder } from "./pth/pth.ts";
import { decodeSafetensors } from "./safetensors.ts";
import type { TensorData } from "./tensor_data.ts";
import { memorySource, readZipDirectory } from "./zip/zip.ts";
import { UserError } from "../files/user_error.ts";

/** A format of weights: what it is called and how its bytes are read. */
interface Format {
  name: string;
  decode(bytes: Uint8Array<ArrayBuffer>, note: Note): Promise<Tensors | Decoded>;
}

type Tensors = Map<string, TensorData>;

interface Decoded {
  tensors: Tensors;
  metadata: Record<string, string>;
}

/** What a weight file holds. */
export interface WeightFile extends Decoded {
  /** The tensors by name, without what wrappers put before every name. */
  tensors: Map<string, TensorData>;
  /** Of a safetensors file its metadata; else empty. */
  metadata: Record<string, string>;
  /** Sentences to show to the user: what was left out of names, and what was passed over. */
  notes: string[];
}

/** What wrappers put before every name of a network's tensors. */
const PREFIXES: readonly [prefix: string, by: string][] = [
  ["module.", "PyTorch's DataParallel"],
  ["model.", "PyTorch Lightning and others"],
  ["_orig_mod.", "torch.compile"],
];

const SAFETENSORS: Format = {
  name: "safetensors",
  decode: (bytes) => Promise.resolve().then(() => decodeSafetensors(bytes)),
};
const PTH_ZIP: Format = { name: "PyTorch's zip format", decode: decodePth };
const PTH_LEGACY: Format = { name: "PyTorch's older format", decode: decodePth };
const NPZ: Format = { name: "NumPy's .npz", decode: decodeNpz };

const ALLOWED = "allowed are safetensors, PyTorch's .pth (either format) and NumPy's .npz";

/** How other files begin that people take for weights, and what they are. */
const OTHERS: readonly [begin: string, what: string][] = [
  ["\x89HDF\r\n\x1a\n", "an HDF5 file"],
  ["\x93NUMPY", "a single NumPy array, whose tensor has no name: write it with numpy.savez"],
  ["\x1f\x8b", "a gzip file: unpack it first"],
  ["\x80", "a pickle that torch.save did not write"],
  ["version https://git-lfs", "a pointer of Git LFS, and not the file itself"],
  ["<", "a page of HTML or XML, as a failed download leaves it"],
];

/**
 * Read the tensors of a weight file by name. The format is found by the file's content: safetensors, PyTorch's
 * `.pth` in either format ({@link decodePth} says which it accepts), or NumPy's `.npz`. What `DataParallel`
 * (`module.`), Lightning (`model.`) and `torch.compile` (`_orig_mod.`) put before every name is left out.
 *
 * A UserError says what the file is instead or what is wrong with it, or that it would take too much memory;
 * it names the file.
 *
 * ```ts ignore
 * const tensors = await readWeights("squeezenet1_1-b8a52dc0.pth");
 * console.log(tensors.get("features.0.weight")?.shape);
 * ```
 */
export async function readWeights(path: string): Promise<Map<string, TensorData>> {
  return (await readWeightFile(path)).tensors;
}

/** The same with the file's metadata, and notes on what was left out. */
export async function readWeightFile(path: string): Promise<WeightFile> {
  const bytes = await readBytes(path);
  let name = "a weight file";
  try {
    const format = await findFormat(bytes);
    name = format.name;
    const notes: string[] = [];
    const decoded = await format.decode(bytes, (text) => notes.push(text));
    const { tensors, metadata } = decoded instanceof Map
      ? { tensors: decoded, metadata: {} }
      : decoded;
    return { tensors: withoutPrefixes(tensors, (text) => notes.push(text)), metadata, notes };
  } catch (error) {
    throw UserError.within(`${path} cannot be read as ${name}`, error);
  }
}

/** The tensors without the prefixes that every name has. */
function withoutPrefixes(tensors: Tensors, note: Note): Tensors {
  const found = PREFIXES.find(([prefix]) =>
    tensors.size > 0 && [...tensors.keys()].every((name) => name.startsWith(prefix))
  );
  if (found === undefined) return tensors;
  const [prefix, by] = found;
  note(`Left out "${prefix}" before every name, as ${by} put it there`);
  const shorter = [...tensors].map(([name, tensor]): [string, TensorData] => [
    name.slice(prefix.length),
    tensor,
  ]);
  return withoutPrefixes(new Map(shorter), note);
}

/** The format of a file, by its content. A UserError says what it is where it is no weight file. */
async function findFormat(bytes: Uint8Array<ArrayBuffer>): Promise<Format> {
  if (isZip(bytes)) return await findZipFormat(bytes);
  if (isLegacyPth(bytes)) return PTH_LEGACY;
  // Eight bytes of length, then a JSON object.
  if (bytes.length >= 10 && bytes[8] === 0x7b) return SAFETENSORS;
  throw new UserError(`It is ${describe(bytes)}; ${ALLOWED}`);
}

async function findZipFormat(bytes: Uint8Array<ArrayBuffer>): Promise<Format> {
  const names = [...(await readZipDirectory(memorySource(bytes), Infinity)).keys()];
  if (pickleFolder(names) !== undefined) return PTH_ZIP;
  if (names.some((name) => name.endsWith(".npy"))) return NPZ;
  const shown = names.slice(0, 3).map((name) => quote(name)).join(", ");
  const more = names.length > 3 ? ` and ${names.length - 3} others` : "";
  throw new UserError(`It is a zip archive with ${shown || "nothing"}${more}; ${ALLOWED}`);
}

function describe(bytes: Uint8Array): string {
  if (bytes.length === 0) return "empty";
  const begin = String.fromCharCode(...bytes.subarray(0, 40));
  const other = OTHERS.find(([magic]) => begin.startsWith(magic));
  if (other !== undefined) return other[1];
  const start = Array.from(bytes.subarray(0, 8), (byte) => byte.toString(16).padStart(2, "0"));
  return `a file of ${bytes.length} bytes that starts with ${start.join(" ")}`;
}
