/** Thousands of damaged files: each is read, or refused with an error that the readers declare. */
import { assert, assertLess } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { loadCocoCaptioning } from "../../data/sets/coco_captioning.ts";
import { readGlove } from "../../data/text/glove.ts";
import { readHdf5 } from "../../data/formats/hdf5/hdf5.ts";
import { decodeNpy, decodeNpz } from "../../data/formats/npz.ts";
import { decodePth } from "../../data/formats/pth/pth.ts";
import { RandomStream } from "../../data/rng.ts";
import { decodeSafetensors } from "../../data/formats/safetensors.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { readWeights } from "../../data/formats/weights.ts";
import { memorySource, readZipDirectory, readZipEntry } from "../../data/formats/zip/zip.ts";
import { explain } from "../../tasks/lib/main.ts";
import { permissionTest } from "../support.ts";
import { withFolder } from "./sets/coco_folder.ts";
import { mutate } from "./mutate.ts";
import { writeZip } from "./formats/zip/zip_writer.ts";
import { UserError } from "../../data/files/user_error.ts";

type Bytes = Uint8Array<ArrayBuffer>;

const fixture = (name: string): Bytes =>
  Deno.readFileSync(fromFileUrl(new URL(`../fixtures/${name}`, import.meta.url)));
const weights = (...names: string[]) => names.map((name) => fixture(`weights/${name}`));

/** The slowest file takes so many milliseconds at most, also on a busy machine. */
const MOST_MS = 5000;

/** By so many bytes the process may grow over one test. */
const MOST_GROWTH = 700 * 2 ** 20;

/** What {@link fuzz} damages and how it reads it. */
interface Target {
  seed: number;
  rounds: number;
  files: readonly Bytes[];
  /** Read a damaged file, and say how many bytes the result has. */
  read(bytes: Bytes): number | Promise<number>;
}

/**
 * Read damaged files. Some must be read and some refused, with nothing but UserErrors of the
 * project's own; no file may give more than 16 times its size and 64 MiB.
 */
async function fuzz({ seed, rounds, files, read }: Target): Promise<void> {
  const stream = new RandomStream(seed);
  const { rss } = Deno.memoryUsage();
  const messages = new Set<string>();
  let good = 0;
  for (let round = 0; round < rounds; round++) {
    const bytes = mutate(files, stream);
    const copy = bytes.slice();
    const start = performance.now();
    try {
      const size = await read(bytes);
      assert(size <= Math.max(16 * copy.length, 64 * 2 ** 20), `${size} bytes of ${copy.length}`);
      good++;
    } catch (error) {
      const { text } = explain(error);
      assert(
        error instanceof UserError,
        `round ${round} of seed ${seed}: ${text}\n${(error as Error).stack}`,
      );
      messages.add(text.replaceAll(/\d+|"[^"]*"/g, "…"));
    }
    const ms = performance.now() - start;
    assert(ms < MOST_MS, `round ${round} of seed ${seed} took ${ms} ms`);
  }
  const shown = [...messages].join("\n");
  assert(good > rounds / 100 && good < rounds, `${good} of ${rounds} were read; ${shown}`);
  assert(messages.size > 1, `only these errors: ${shown}`);
  assertLess(Deno.memoryUsage().rss - rss, MOST_GROWTH);
}

function bytesOf(tensors: ReadonlyMap<string, TensorData>): number {
  let sum = 0;
  for (const { data } of tensors.values()) sum += data.byteLength;
  return sum;
}

Deno.test("damaged safetensors files", () =>
  fuzz({
    seed: 1,
    rounds: 3000,
    files: ["dtypes", "unaligned"].map((name) => fixture(`safetensors/${name}.safetensors`)),
    read: (bytes) => bytesOf(decodeSafetensors(bytes).tensors),
  }));

Deno.test("damaged files of PyTorch's zip format", () =>
  fuzz({
    seed: 2,
    rounds: 2000,
    files: weights("zip.pth", "checkpoint.pth", "protocol_4.pth", "system.pth", "stored.npz"),
    read: async (bytes) => bytesOf(await decodePth(bytes)),
  }));

Deno.test("sound archives with a damaged pickle of PyTorch", async () => {
  // The check sum of zip would find the damage first, so the archive is made anew.
  const archives = weights("zip.pth", "checkpoint.pth", "protocol_4.pth", "custom.pth");
  const unpacked = await Promise.all(archives.map(unzip));
  const pickles = unpacked.map((files) => files.find(({ name }) => name.endsWith("/data.pkl"))!);
  const stored = unpacked[0].filter(({ name }) => name.includes("/data/"))
    .map(({ name, bytes }) => ({ name: name.replace(/^[^/]*/, "x"), bytes }));
  await fuzz({
    seed: 3,
    rounds: 1500,
    files: pickles.map(({ bytes }) => bytes),
    read: async (bytes) =>
      bytesOf(await decodePth(writeZip([{ name: "x/data.pkl", bytes }, ...stored]))),
  });
});

async function unzip(bytes: Bytes): Promise<{ name: string; bytes: Bytes }[]> {
  const source = memorySource(bytes);
  const entries = await readZipDirectory(source, 1e6);
  return Promise.all(
    [...entries.values()].map(async (entry) => ({
      name: entry.name,
      bytes: await readZipEntry(source, entry),
    })),
  );
}

Deno.test("damaged files of PyTorch's older format", () =>
  fuzz({
    seed: 4,
    rounds: 4000,
    files: weights("legacy.pth", "module_legacy.pth", "checkpoint_legacy.pth", "system_legacy.pth"),
    read: async (bytes) => bytesOf(await decodePth(bytes)),
  }));

Deno.test("damaged .npz files", () =>
  fuzz({
    seed: 5,
    rounds: 2000,
    files: weights("stored.npz", "compressed.npz", "objects.npz", "zip.pth"),
    read: async (bytes) => bytesOf(await decodeNpz(bytes)),
  }));

Deno.test("damaged .npy files", () =>
  fuzz({
    seed: 6,
    rounds: 3000,
    files: weights("fortran.npy", "big_endian.npy", "records.npy"),
    read: (bytes) => decodeNpy(bytes).data.byteLength,
  }));

permissionTest("damaged GloVe files", [{ name: "write" }], async () => {
  const text = new TextEncoder();
  const lines = Array.from({ length: 12 }, (_, i) => `word${i} ${i / 7} -${i}e-3 .5 1e2`);
  const path = await Deno.makeTempFile();
  try {
    await fuzz({
      seed: 7,
      rounds: 800,
      files: [lines, ["12 4", ...lines]].map((all) => text.encode(`${all.join("\n")}\n`) as Bytes),
      async read(bytes) {
        await Deno.writeFile(path, bytes);
        const { vectors } = await readGlove(path);
        return [...vectors.values()].reduce((sum, vector) => sum + vector.byteLength, 0);
      },
    });
  } finally {
    await Deno.remove(path);
  }
});

permissionTest("damaged HDF5 files", [{ name: "write" }], async () => {
  const names = ["int8", "uint64", "float32", "packed", "group/inside", "empty", "cube"] as const;
  const path = await Deno.makeTempFile();
  try {
    await fuzz({
      seed: 8,
      rounds: 120,
      files: [fixture("hdf5/types.h5")],
      async read(bytes) {
        await Deno.writeFile(path, bytes);
        const read = Object.values(await readHdf5(path, names));
        return read.reduce((sum, { data }) => sum + data.byteLength, 0);
      },
    });
  } finally {
    await Deno.remove(path);
  }
});

permissionTest(
  "damaged vocabularies",
  [{ name: "write" }],
  () =>
    withFolder(() => {}, async (folder) => {
      const path = join(folder, "coco2014_vocab.json");
      await fuzz({
        seed: 9,
        rounds: 60,
        files: [await Deno.readFile(path)],
        async read(bytes) {
          await Deno.writeFile(path, bytes);
          const { vocabulary } = await loadCocoCaptioning(folder);
          return vocabulary.words.join("").length;
        },
      });
    }),
);

permissionTest("parts of weight files of all formats", [{ name: "write" }], async () => {
  const path = await Deno.makeTempFile();
  try {
    await fuzz({
      seed: 10,
      rounds: 800,
      files: [
        fixture("safetensors/dtypes.safetensors"),
        fixture("hdf5/types.h5"),
        ...weights("zip.pth", "legacy.pth", "compressed.npz", "fortran.npy"),
      ],
      async read(bytes) {
        await Deno.writeFile(path, bytes);
        return bytesOf(await readWeights(path));
      },
    });
  } finally {
    await Deno.remove(path);
  }
});
