/**
 * PyTorch's files of `torch.save`: today's zip archives, and the format before them
 * (https://github.com/pytorch/pytorch/blob/main/torch/serialization.py). Both hold a pickle, which is read
 * by the restricted reader of `pickle.ts`, and the raw bytes of the tensors' storages.
 *
 * @module
 */
import { decodeFile } from "../../files/file.ts";
import { quote } from "../../files/messages.ts";
import { unpickle } from "./pickle.ts";
import { show, stateDict } from "./pth_state_dict.ts";
import { readStorage, type Storage } from "./pth_storage.ts";
import { GLOBALS, PTH_TIMES, readViews } from "./pth_tensors.ts";
import { expansionLimit } from "../strided.ts";
import type { TensorData } from "../tensor_data.ts";
import { memorySource, readZipDirectory, readZipEntry, type ZipEntry } from "../zip/zip.ts";
import { UserError } from "../../files/user_error.ts";

/** How the older format begins: a pickle of the number 0x1950a86a20f9469cfc6c. */
const MAGIC = 0x1950a86a20f9469cfc6cn;
const PROTOCOL = 1001;

/** Is told in a sentence what was passed over in a file. */
export type Note = (text: string) => void;

/**
 * Read the bytes of a file that `torch.save` wrote, in either format: a dict of tensors by name, or a checkpoint
 * that holds one, as under `state_dict`, `model_state_dict`, `model` or `net`. Strided tensors come in row-major
 * order; the others are views of `bytes` where they are aligned. Settings, counters, numbers of NumPy and such
 * beside the tensors are passed over, and nothing of them is executed; `note` is told of those in the state dict
 * itself.
 *
 * A UserError says what is wrong with a malformed file, and names what the pickle may not hold: any other
 * class or function. A UserError refuses tensors that would take more memory than 4 times the file and 64 MiB,
 * and a pickle whose values would take more than twice its bytes and 64 MiB, or more than 128 MiB.
 */
export function decodePth(
  bytes: Uint8Array<ArrayBuffer>,
  note?: Note,
): Promise<Map<string, TensorData>> {
  return isZip(bytes)
    ? decodeZip(bytes, note)
    : Promise.resolve().then(() => decodeLegacy(bytes, note));
}

/** Whether bytes start as a zip archive does. */
export function isZip(bytes: Uint8Array): boolean {
  return bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4;
}

async function decodeZip(
  bytes: Uint8Array<ArrayBuffer>,
  note?: Note,
): Promise<Map<string, TensorData>> {
  const source = memorySource(bytes);
  const entries = await readZipDirectory(source, expansionLimit(bytes.length, PTH_TIMES));
  const root = pickleFolder(entries.keys());
  if (root === undefined) {
    throw new UserError("The zip archive has no folder with a data.pkl, as PyTorch writes it");
  }
  const order = entries.get(`${root}/byteorder`);
  if (order !== undefined) checkByteOrder(await readZipEntry(source, order));
  const pickle = await readZipEntry(source, entries.get(`${root}/data.pkl`)!);
  const { value } = unpickle(pickle, 0, { globals: GLOBALS, persistent: readStorage });
  const views = stateDict(value, note);
  const stored = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const { storage } of views.values()) {
    if (stored.has(storage.key)) continue;
    const entry = storageEntry(storage, entries.get(`${root}/data/${storage.key}`));
    stored.set(storage.key, await readZipEntry(source, entry));
  }
  return readViews(views, stored, bytes.length);
}

/** The folder of PyTorch's pickle among the names in a zip archive; undefined where there is not exactly one. */
export function pickleFolder(names: Iterable<string>): string | undefined {
  const roots = [...names].map((name) => name.match(/^([^/]+)\/data\.pkl$/)?.[1])
    .filter((root) => root !== undefined);
  return roots.length === 1 ? roots[0] : undefined;
}

function checkByteOrder(bytes: Uint8Array): void {
  const order = new TextDecoder().decode(bytes);
  if (order !== "little") {
    throw new UserError(`The byte order is ${quote(order)}: supported is "little"`);
  }
}

function storageEntry(storage: Storage, entry: ZipEntry | undefined): ZipEntry {
  const { key, name, size } = storage;
  if (entry === undefined) throw new UserError(`The zip archive has no storage ${quote(key)}`);
  if (entry.size === storage.byteLength) return entry;
  throw new UserError(
    `Storage ${
      quote(key)
    } of ${size} elements (${name}) needs ${storage.byteLength} bytes: it has ${entry.size}`,
  );
}

/** Whether bytes start with PyTorch's magic number in a pickle, as the older format does. */
export function isLegacyPth(bytes: Uint8Array<ArrayBuffer>): boolean {
  if (bytes[0] !== 0x80) return false;
  try {
    return unpickle(bytes.subarray(0, 40), 0).value === MAGIC;
  } catch (error) {
    if (error instanceof UserError) return false;
    throw error;
  }
}

function decodeLegacy(
  bytes: Uint8Array<ArrayBuffer>,
  note?: Note,
): Map<string, TensorData> {
  if (!isLegacyPth(bytes)) {
    throw new UserError("It starts neither as a zip archive nor with PyTorch's magic number");
  }
  let at = 0;
  const storages = new Map<string, Storage>();
  const persistent = (id: unknown) => {
    const storage = readStorage(id);
    const first = storages.get(storage.key) ?? storage;
    if (first.kind !== storage.kind || first.size !== storage.size) {
      throw new UserError(`describes the storage ${quote(storage.key)} in two ways`);
    }
    storages.set(storage.key, first);
    return storage;
  };
  const next = () => {
    const { value, end } = unpickle(bytes, at, { globals: GLOBALS, persistent });
    at = end;
    return value;
  };
  next(); // the magic number
  const protocol = next();
  if (protocol !== PROTOCOL) {
    throw new UserError(`The protocol version is ${show(protocol)}: supported is ${PROTOCOL}`);
  }
  const system = next();
  if (!(system instanceof Map) || system.get("little_endian") !== true) {
    throw new UserError("The numbers are not little-endian, which is not supported");
  }
  const views = stateDict(next(), note);
  const keys = next();
  if (!Array.isArray(keys)) throw new UserError("There is no list of the storages");
  const stored = new Map<string, Uint8Array<ArrayBuffer>>();
  for (const key of keys) {
    const storage = storages.get(key);
    if (storage === undefined || stored.has(key)) {
      throw new UserError(
        `The list of the storages has ${show(key)}, which is none or was before`,
      );
    }
    const begin = at + 8;
    at = begin + storage.byteLength;
    const size = begin <= bytes.length
      ? Number(new DataView(bytes.buffer, bytes.byteOffset + begin - 8).getBigUint64(0, true))
      : NaN;
    if (size !== storage.size || at > bytes.length) {
      throw new UserError(
        `Storage ${
          quote(key)
        } of ${storage.size} elements (${storage.name}) cannot start at byte ${begin} of ` +
          `${bytes.length}`,
      );
    }
    stored.set(key, bytes.subarray(begin, at));
  }
  if (at !== bytes.length) {
    throw new UserError(`The storages end at byte ${at}, and the file has ${bytes.length}`);
  }
  return readViews(views, stored, bytes.length);
}

/**
 * Read a file that `torch.save` wrote, as {@link decodePth} reads its bytes. The errors name the file.
 *
 * ```ts ignore
 * const tensors = await readPth("squeezenet1_1-b8a52dc0.pth");
 * console.log(tensors.get("features.0.weight")?.shape);
 * ```
 */
export function readPth(path: string): Promise<Map<string, TensorData>> {
  return decodeFile(path, "is not a PyTorch file", decodePth);
}
