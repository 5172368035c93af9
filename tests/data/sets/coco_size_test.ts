/** CS231n's coco_captioning at its real size: names, types, shapes and layout; the numbers are random. */
import { assert, assertEquals, assertLess } from "@std/assert";
import { join } from "@std/path";
import * as h5wasm from "npm:h5wasm@0.10.3";
import { chooseCaptions, chooseImages } from "../../../data/sets/captions.ts";
import { loadCocoCaptioning } from "../../../data/sets/coco_captioning.ts";
import { RandomStream } from "../../../data/rng.ts";
import { permissionTest } from "../../support.ts";

const SIZES = {
  train: { images: 82_783, captions: 400_135 },
  val: { images: 40_504, captions: 195_954 },
};
const [WIDTH, LENGTH, WORDS] = [512, 17, 1004];

/** By so many bytes the process may grow: the features of both splits are 241 MiB of it. */
const MOST_GROWTH = 900 * 2 ** 20;

/** The bytes of a file with these datasets, in the layout that h5py writes by itself. */
async function hdf5(
  datasets: Record<string, { shape: number[]; data: Int32Array | Float32Array }>,
): Promise<Uint8Array> {
  const { FS } = await h5wasm.ready;
  const file = new h5wasm.File("/size.h5", "w", { libver: ["earliest", "latest"] });
  for (const [name, { shape, data }] of Object.entries(datasets)) {
    file.create_dataset({ name, data, shape });
  }
  file.close();
  const bytes: Uint8Array = FS.readFile("/size.h5").slice();
  FS.unlink("/size.h5");
  return bytes;
}

/** Put another whole number of 64 bits wherever one stands. Says how often. */
function replace(bytes: Uint8Array, from: number, to: number): number {
  const view = new DataView(bytes.buffer);
  let count = 0;
  for (let at = 0; at + 8 <= bytes.length; at++) {
    if (view.getBigUint64(at, true) !== BigInt(from)) continue;
    view.setBigUint64(at, BigInt(to), true);
    count++;
  }
  return count;
}

/** A file of features, grown from a small one: its rows follow its headers, to the end of the file. */
async function writeFeatures(path: string, images: number, seed: number): Promise<void> {
  const few = 15;
  const bytes = await hdf5({
    features: { shape: [few, WIDTH], data: new Float32Array(few * WIDTH) },
  });
  const start = bytes.length - 4 * few * WIDTH;
  const header = bytes.slice(0, start);
  assertEquals(replace(header, few, images), 2); // its extent, and the largest it may have
  assertEquals(replace(header, 4 * few * WIDTH, 4 * images * WIDTH), 1);
  assertEquals(replace(header, bytes.length, start + 4 * images * WIDTH), 1);
  using file = await Deno.create(path);
  await file.write(header);
  for (let first = 0; first < images; first += 10_000) {
    const rows = Math.min(10_000, images - first);
    const block = new Float32Array(rows * WIDTH);
    for (let i = 0; i < block.length; i++) block[i] = feature(first * WIDTH + i, seed);
    file.writeSync(new Uint8Array(block.buffer));
  }
}

/** A number of the features by its place. */
function feature(place: number, seed: number): number {
  return Math.fround(Math.imul(place + seed, 2654435761) / 2 ** 28);
}

async function writeFolder(folder: string): Promise<void> {
  const captions: Parameters<typeof hdf5>[0] = {};
  for (const split of ["train", "val"] as const) {
    const { images, captions: count } = SIZES[split];
    const ids = new Int32Array(count * LENGTH);
    for (let c = 0; c < count; c++) {
      const words = 8 + c % 7;
      for (let t = 1; t <= words; t++) ids[c * LENGTH + t] = 4 + (c * 31 + t * 17) % (WORDS - 4);
      ids[c * LENGTH] = 1;
      ids[c * LENGTH + words + 1] = 2;
    }
    const index = Int32Array.from({ length: count }, (_, c) => (c * 7919) % images);
    captions[`${split}_captions`] = { shape: [count, LENGTH], data: ids };
    captions[`${split}_image_idxs`] = { shape: [count], data: index };
    const seed = split === "train" ? 1 : 2;
    await writeFeatures(join(folder, `${split}2014_vgg16_fc7_pca.h5`), images, seed);
    const urls = Array.from(
      { length: images },
      (_, i) => `http://farm1.example.org/${i}/${i}_z.jpg`,
    );
    await Deno.writeTextFile(join(folder, `${split}2014_urls.txt`), urls.join("\n") + "\n");
  }
  await Deno.writeFile(join(folder, "coco2014_captions.h5"), await hdf5(captions));
  const words = Array.from({ length: WORDS - 4 }, (_, i) => `word${i}`);
  const idx_to_word = ["<NULL>", "<START>", "<END>", "<UNK>", ...words];
  await Deno.writeTextFile(
    join(folder, "coco2014_vocab.json"),
    JSON.stringify({
      idx_to_word,
      word_to_idx: Object.fromEntries(idx_to_word.map((w, i) => [w, i])),
    }),
  );
}

permissionTest(
  "loadCocoCaptioning() reads coco_captioning at its real size, whole and a part of it",
  [{ name: "write" }],
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      await writeFolder(folder);
      const { rss } = Deno.memoryUsage();
      const start = performance.now();
      const some = await loadCocoCaptioning(folder, {
        choose: {
          train: (imageIndex) => chooseCaptions(imageIndex, 50, new RandomStream(231)),
          val: (imageIndex, images) => chooseImages(imageIndex, images, 1000),
        },
      });
      assertLess(performance.now() - start, 20_000); // alone on the machine 2 s
      assertEquals(some.train.imageIndex.length, 50);
      assertEquals([some.val.pictures.length, some.featureDim, some.captionLength], [
        1000,
        512,
        17,
      ]);
      for (const [i, { id }] of some.train.pictures.entries()) {
        const image = Number(id!.split("/")[3]);
        for (const k of [0, 1, 511]) {
          assertEquals(some.train.features[i * WIDTH + k], feature(image * WIDTH + k, 1));
        }
      }
      const all = await loadCocoCaptioning(folder);
      assertLess(performance.now() - start, 60_000); // 4 s
      for (const split of ["train", "val"] as const) {
        const { features, pictures, captions, imageIndex } = all[split];
        const { images, captions: count } = SIZES[split];
        assertEquals([pictures.length, imageIndex.length], [images, count]);
        assertEquals([features.length, captions.length], [images * WIDTH, count * LENGTH]);
        const seed = split === "train" ? 1 : 2;
        for (let at = 0; at < features.length; at += 100_003) {
          assert(features[at] === feature(at, seed), `number ${at} is ${features[at]}`);
        }
      }
      assertEquals(all.notes, []);
      assertLess(Deno.memoryUsage().rss - rss, MOST_GROWTH);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);
