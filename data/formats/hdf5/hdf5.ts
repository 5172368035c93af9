/**
 * Reading HDF5 files, by h5wasm (the HDF5 library compiled to WebAssembly). The package is loaded at
 * the first read, and needs no permission but the one to read the file itself.
 *
 * On a damaged file the library can run forever or spoil its own memory. It therefore runs in a thread of
 * its own, which is ended in both cases; the next read starts another.
 *
 * @module
 */
import type { Worker } from "node:worker_threads";
import { saying } from "../../files/file.ts";
import { checkWritten } from "./hdf5_layout.ts";
import type { Hdf5Answer, Hdf5Array, Hdf5Question, Hdf5Reply } from "./hdf5_worker.ts";
import code from "./hdf5_worker.ts" with { type: "text" };
import { expansionLimit } from "../strided.ts";
import { UserError } from "../../files/user_error.ts";

export type { Hdf5Array } from "./hdf5_worker.ts";

/** A dataset of an HDF5 file: its shape, and its values in row-major order. */
export interface Hdf5Dataset {
  /** The extents of what was read, outermost first. */
  shape: number[];
  /** The extents in the file: the same where all rows were read. */
  stored: number[];
  /** The values, in the array class of the stored type. */
  data: Hdf5Array;
}

/** What `readHdf5` can be told. */
export interface Hdf5Options {
  /** How many seconds a read may take; by default 4, and one more for each 5 MB of the file. */
  timeLimit?: number;
  /** Read only these rows of the first dimension, ascending and each once; all by default. */
  rows?: ArrayLike<number>;
}

/** The array classes by their names. */
const ARRAYS: Record<string, new (buffer: ArrayBuffer) => Hdf5Array> = {
  Float64Array,
  Float32Array,
  BigInt64Array,
  BigUint64Array,
  Int32Array,
  Uint32Array,
  Int16Array,
  Uint16Array,
  Int8Array,
  Uint8Array,
};

/**
 * Read datasets by name (`"group/name"` inside groups) from an HDF5 file. They must be arrays of
 * integers, or of floating-point numbers of 32 or 64 bits. Of the file only what they need is read.
 *
 * A file that is truncated or no HDF5, a missing dataset, and one of another kind are a UserError that
 * names the file; so are virtual datasets, links to other files, numbers in other files or behind a filter that
 * the library does not have, numbers that were never written, which HDF5 gives as zeros, datasets of more than
 * 16 times the file and 64 MiB, and a file that cannot be read within the time limit. A limit that is none, or
 * rows that do not ascend, are a TypeError.
 *
 * ```ts ignore
 * const { features } = await readHdf5("train2014_vgg16_fc7_pca.h5", ["features"]);
 * console.log(features.shape);
 * ```
 */
export async function readHdf5<Name extends string>(
  path: string,
  names: readonly Name[],
  { timeLimit, rows }: Hdf5Options = {},
): Promise<Record<Name, Hdf5Dataset>> {
  const { isFile, size } = await Deno.stat(path);
  const seconds = timeLimit ?? 4 + size / 5e6;
  // A timer takes no more than 2^31 milliseconds.
  if (!(seconds > 0 && seconds < 2e6)) {
    throw new TypeError(`The time limit must be above 0 and below 2e6 seconds: it is ${seconds}`);
  }
  const chosen = rows === undefined ? {} : { rows: checkRows(rows) };
  return await saying(path, "cannot be read as HDF5", async () => {
    if (!isFile) throw new UserError("it is no regular file");
    const question = { path, names, most: expansionLimit(size), ...chosen };
    const answer = await ask(question, seconds);
    if ("error" in answer) throw new UserError(answer.error);
    const read = answer.datasets.map((reply, i) => [names[i], take(path, names[i], reply)]);
    return Object.fromEntries(read) as Record<Name, Hdf5Dataset>;
  });
}

function checkRows(rows: ArrayLike<number>): Uint32Array<ArrayBuffer> {
  for (let i = 0; i < rows.length; i++) {
    const before = i === 0 ? -1 : rows[i - 1];
    if (Number.isInteger(rows[i]) && rows[i] > before && rows[i] < 2 ** 32) continue;
    throw new TypeError(`Rows must be whole numbers that ascend: after ${before} comes ${rows[i]}`);
  }
  return Uint32Array.from(rows);
}

function take(path: string, name: string, reply: Hdf5Reply): Hdf5Dataset {
  const { shape, stored, type, buffer } = reply;
  if (!stored.includes(0)) checkWritten(path, name, reply);
  return { shape, stored, data: new ARRAYS[type](buffer) };
}

/** The thread, while there is one. */
let thread: Worker | undefined;

/** The question before: one file is read at a time. */
let before: Promise<unknown> = Promise.resolve();

function ask(question: Hdf5Question, seconds: number): Promise<Hdf5Answer> {
  const answer = before.then(() => askThread(question, seconds));
  before = answer.catch(() => {});
  return answer;
}

/** Start a thread, and wait until the library is loaded: that does not count against the time limit. */
async function start(): Promise<Worker> {
  const { Worker } = await import("node:worker_threads");
  // From its text, since a thread from a file needs the permission to read that file.
  const started = new Worker(new URL(`data:application/typescript,${encodeURIComponent(code)}`));
  await new Promise((resolve, reject) => {
    started.once("message", resolve);
    started.once("error", reject);
  });
  started.removeAllListeners();
  return started;
}

async function askThread(question: Hdf5Question, seconds: number): Promise<Hdf5Answer> {
  thread ??= await start();
  const current = thread;
  current.ref();
  let timer: ReturnType<typeof setTimeout> | undefined;
  try {
    const answer = await new Promise<Hdf5Answer>((resolve, reject) => {
      current.once("message", resolve);
      current.once("error", reject);
      timer = setTimeout(() => {
        resolve({ error: `the HDF5 library did not end within ${seconds} s`, broken: true });
      }, 1000 * seconds);
      current.postMessage(question);
    });
    if ("error" in answer && answer.broken) await end();
    return answer;
  } catch (error) {
    await end();
    throw error;
  } finally {
    clearTimeout(timer);
    current.removeAllListeners();
    // An idle thread does not keep the process alive.
    current.unref();
  }
}

async function end(): Promise<void> {
  const current = thread;
  thread = undefined;
  await current?.terminate();
}
