/** What the fuzzer damages: sound files of every format, and where a damaged one is put to be read. */
import { dirname, fromFileUrl, join } from "@std/path";
import { type TensorData, writeSafetensors } from "../../data/formats/safetensors.ts";
import { memorySource, readZipDirectory, readZipEntry } from "../../data/formats/zip/zip.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { float64, writeCheckpoint } from "../../models/training/checkpoint.ts";
import { withFolder } from "../data/sets/coco_folder.ts";
import { writeZip } from "../data/formats/zip/zip_writer.ts";
import { randomSqueezeNet, writeTinyModel } from "../tasks/small_network.ts";
import { CHECKPOINT_SIZES, type Format, MADE } from "./readers.ts";

type Bytes = Uint8Array<ArrayBuffer>;

/** Files of a format to damage. */
export interface Target {
  name: string;
  format: Format;
  /** Its part of all files, in per cent. */
  share: number;
  /** Sound files, or part of them that is damaged. */
  files: Bytes[];
  /** Write a damaged one where it is read, `folder` being an empty folder; the path to read. */
  place(bytes: Bytes, folder: string): Promise<string>;
}

const FIXTURES = join(dirname(fromFileUrl(import.meta.url)), "../fixtures");
const fixture = (name: string): Bytes => Deno.readFileSync(join(FIXTURES, name));
const fixtures = (folder: string, ...names: string[]) =>
  names.map((name) => fixture(`${folder}/${name}`));

/** As a file of its own. */
async function alone(bytes: Bytes, folder: string): Promise<string> {
  const path = join(folder, "damaged.bin");
  await Deno.writeFile(path, bytes);
  return path;
}

/** As one file of a folder that is sound otherwise. */
function among(files: Record<string, Bytes>, name: string): Target["place"] {
  return async (bytes, folder) => {
    for (const [other, sound] of Object.entries(files)) {
      await Deno.writeFile(join(folder, other), other === name ? bytes : sound);
    }
    return folder;
  };
}

async function unzip(bytes: Bytes): Promise<{ name: string; bytes: Bytes }[]> {
  const source = memorySource(bytes);
  const entries = await readZipDirectory(source, 1e7);
  return Promise.all(
    [...entries.values()].map(async (entry) => ({
      name: entry.name,
      bytes: await readZipEntry(source, entry),
    })),
  );
}

/** Files that a task would write, by what writes them. */
async function written(write: (path: string) => Promise<void>): Promise<Bytes> {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "file.safetensors");
    await write(path);
    return await Deno.readFile(path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function savedClassifier(): Promise<Bytes> {
  const tensor = (...shape: number[]): TensorData => ({
    ...{ dtype: "F32", shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
  });
  const config = { kind: "lstm", vocabularySize: 7, wordDim: 3, hiddenDim: 5 };
  return await written((path) =>
    writeSafetensors(
      path,
      new Map([
        ["embed.weight", tensor(7, 3)],
        ["recurrent.weight_ih_l0", tensor(20, 3)],
        ["recurrent.weight_hh_l0", tensor(20, 5)],
        ["recurrent.bias_ih_l0", tensor(20)],
        ["recurrent.bias_hh_l0", tensor(20)],
        ["score.weight", tensor(1, 5)],
        ["score.bias", tensor(1)],
      ]),
      {
        config: JSON.stringify(config),
        vocabulary: JSON.stringify(["<NULL>", "<START>", "<END>", "<UNK>", "a", "b", "c"]),
      },
    )
  );
}

async function checkpoint(): Promise<Bytes> {
  const { classes, width } = CHECKPOINT_SIZES;
  const tensors = await randomSqueezeNet(classes, width);
  const model = new SqueezeNet11(classes, { width });
  const size = model.parameters.reduce((sum, p) => sum + Math.ceil(p.size / 64) * 64, 0);
  const flat = (): TensorData => ({ dtype: "F32", shape: [size], data: new Float32Array(size) });
  const streams = [{ key: [1, 2], position: 3 }];
  return await written((path) =>
    writeCheckpoint(path, MADE, {
      model: { tensors },
      optimizer: {
        tensors: new Map([["moment.0", flat()], ["moment.1", flat()]]),
        values: { steps: 3, lr: 1e-3 },
      },
      streams: { values: streams },
      kept: { tensors: new Map([["0", flat()]]), values: { epoch: 1, figure: 0.5 } },
      run: {
        tensors: new Map([["losses", float64([1, 2, 3])]]),
        values: { epoch: 2, inEpoch: 1, seconds: 1, stoppedEarly: false, epochs: [] },
      },
    })
  );
}

/** All targets. */
export async function makeTargets(): Promise<Target[]> {
  const encoder = new TextEncoder();
  const text = (value: string) => encoder.encode(value) as Bytes;
  const archives = fixtures(
    "weights",
    ...["zip.pth", "checkpoint.pth", "protocol_4.pth", "company.pth", "company_4.pth"],
    ...["lightning.ckpt", "system.pth"],
  );
  const unpacked = await Promise.all(archives.map(unzip));
  const legacy = fixtures(
    "weights",
    ...["legacy.pth", "module_legacy.pth", "checkpoint_legacy.pth", "parameters_2017.pth"],
    ...["company_legacy.pth", "system_legacy.pth"],
  );
  const coco: Record<string, Bytes> = {};
  await withFolder(() => {}, async (folder) => {
    for (const { name } of Deno.readDirSync(folder)) {
      coco[name] = await Deno.readFile(join(folder, name));
    }
  });
  const lines = Array.from({ length: 12 }, (_, i) => `word${i} ${i / 7} -${i}e-3 .5 1e2`);
  const sentences = Array.from({ length: 9 }, (_, i) => `${i % 2} word${i} is good\n`).join("");
  const sets = {
    "train.txt": text(sentences),
    "dev.txt": text(sentences),
    "test.txt": text(sentences),
  };
  const pictures = ["jpg", "png", "gif", "tif", "webp"];
  const images = Array.from(Deno.readDirSync(join(FIXTURES, "images")), ({ name }) => name)
    .filter((name) => pictures.includes(name.split(".").pop()!));
  const config = {
    task: "transfer-finetune",
    epochs: 3,
    lr: 0.001,
    weights: "a.pth",
    strict: true,
  };
  const target = (
    name: string,
    format: Format,
    share: number,
    files: Bytes[],
    place: Target["place"] = alone,
  ): Target => ({ name, format, share, files, place });
  return [
    target(
      ...["safetensors", "safetensors", 12] as const,
      fixtures("safetensors", "dtypes.safetensors", "unaligned.safetensors"),
    ),
    target("PyTorch's zip format", "weights", 8, archives),
    ...unpacked.slice(0, 6).map((files, i) =>
      target(
        ...[`pickles in PyTorch's zip format, ${i + 1}`, "weights", 2.5] as const,
        files.filter(({ name }) => name.endsWith("/data.pkl")).map(({ bytes }) => bytes),
        (bytes, folder) =>
          alone(
            writeZip(
              files.map((file) => file.name.endsWith("/data.pkl") ? { ...file, bytes } : file),
            ),
            folder,
          ),
      )
    ),
    target("PyTorch's older format", "weights", 13, legacy),
    target("npz", "weights", 5, fixtures("weights", "stored.npz", "compressed.npz", "objects.npz")),
    target("npy", "npy", 6, fixtures("weights", "fortran.npy", "big_endian.npy", "records.npy")),
    target("zip archives", "unpack", 6, [
      writeZip([
        { name: "a/", bytes: text("") },
        { name: "a/b.txt", bytes: text("some text"), deflated: true },
        { name: "a/c/d.txt", bytes: text("more"), wide: true },
      ], { comment: "note" }),
      archives[0],
    ]),
    target("weights of a network", "network", 2, [
      await written((path) => writeTinyModel(path, ["a", "b"])),
    ]),
    target("saved classifiers", "classifier", 6, [await savedClassifier()]),
    target("saved captioners", "captioner", 6, [fixture("captioner_torch.safetensors")]),
    target("checkpoints", "checkpoint", 3, [await checkpoint()]),
    target(
      ...["configs of runs", "run", 4] as const,
      [text(JSON.stringify(config))],
      among({ "config.json": text("") }, "config.json"),
    ),
    target("features", "features", 2, [
      await written((path) =>
        writeSafetensors(
          path,
          new Map([["features", { dtype: "F32", shape: [2, 3], data: new Float32Array(6) }]]),
          { pictures: '["a.jpg", "b.jpg"]' },
        )
      ),
    ]),
    target("vocabularies", "vocabulary", 3, [coco["coco2014_vocab.json"]]),
    target("word vectors", "glove", 4, [
      text(`${lines.join("\n")}\n`),
      text(`12 4\n${lines.join("\n")}\n`),
    ]),
    target("sentences", "sentences", 3, [text(sentences)], among(sets, "train.txt")),
    target(
      ...["lists of pictures", "coco", 0.5] as const,
      [coco["train2014_urls.txt"]],
      among(coco, "train2014_urls.txt"),
    ),
    target("HDF5", "hdf5", 0.5, [fixture("hdf5/types.h5")]),
    target("pictures", "picture", 2, images.map((name) => fixture(`images/${name}`))),
  ];
}
