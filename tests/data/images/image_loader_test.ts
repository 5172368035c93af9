import { assert, assertEquals, assertInstanceOf, assertRejects, assertThrows } from "@std/assert";
import {
  augmentForTraining,
  normalize,
  prepareForEvaluation,
} from "../../../data/images/augment.ts";
import { decodeImage, encodePng, type RgbImage } from "../../../data/images/image.ts";
import { readImageFolder } from "../../../data/images/image_folder.ts";
import {
  type ImageBatch,
  ImageLoader,
  type ImageLoaderOptions,
} from "../../../data/images/image_loader.ts";
import { crop } from "../../../data/images/resize.ts";
import { RandomStream } from "../../../data/rng.ts";
import { dataTest, permissionTest } from "../../support.ts";
import { fixture, library, noise } from "./images.ts";
import { UserError } from "../../../data/files/user_error.ts";

/** A part of 2 x 2 at a random place. */
function randomPart(image: RgbImage, stream: RandomStream): RgbImage {
  const left = stream.integer(image.width - 1);
  return crop(image, { left, top: stream.integer(image.height - 1), width: 2, height: 2 });
}

const pictures = Array.from({ length: 7 }, (_, i) => noise(5 + i, 9 - i, i));
const labels = Uint32Array.of(3, 1, 4, 1, 5, 9, 2);
const varied = { labels, stream: new RandomStream(12), augment: randomPart };

/** All batches of an epoch. */
async function collect(loader: ImageLoader, epoch: number): Promise<ImageBatch[]> {
  return await Array.fromAsync(loader.epoch(epoch));
}

/** The pictures of all batches, in order. */
function order(batches: ImageBatch[]): number[] {
  return batches.flatMap(({ indices }) => [...indices]);
}

Deno.test("ImageLoader gives the pictures in order without a stream, the short batch too", async () => {
  const same = pictures.map((image) => crop(image, { left: 1, top: 0, width: 3, height: 2 }));
  const loader = new ImageLoader(same, { batchSize: 3, labels });
  assertEquals(loader.batchCount, 3);
  const batches = await collect(loader, 0);
  assertEquals(batches.map(({ indices }) => [...indices]), [[0, 1, 2], [3, 4, 5], [6]]);
  assertEquals(batches.map((batch) => [...batch.labels]), [[3, 1, 4], [1, 5, 9], [2]]);
  for (const { pixels, width, height, indices } of batches) {
    assertEquals([width, height, pixels.length], [3, 2, 18 * indices.length]);
    for (const [i, index] of indices.entries()) {
      assertEquals(pixels.subarray(18 * i, 18 * (i + 1)), normalize(same[index]));
    }
  }
  assertEquals(await collect(loader, 1), batches);
  const [{ labels: none }] = await collect(new ImageLoader(same, { batchSize: 7 }), 0);
  assertEquals(none.length, 0);
});

Deno.test("ImageLoader shuffles and varies anew each epoch, by the seed and the epoch alone", async () => {
  const loader = new ImageLoader(pictures, { ...varied, batchSize: 2 });
  const epochs = [await collect(loader, 0), await collect(loader, 1), await collect(loader, 2)];
  for (const batches of epochs) {
    assertEquals(order(batches).sort(), [0, 1, 2, 3, 4, 5, 6]);
    for (const batch of batches) {
      assertEquals([...batch.labels], [...batch.indices].map((i) => labels[i]));
    }
  }
  assert(order(epochs[0]).join() !== order(epochs[1]).join());
  const parts = epochs.map((batches) => {
    const at = order(batches).indexOf(4);
    return batches[Math.floor(at / 2)].pixels.subarray(12 * (at % 2), 12 * (at % 2 + 1)).join();
  });
  assertEquals(new Set(parts).size, 3);

  const others: Partial<ImageLoaderOptions>[] = [{ ahead: 0 }, { ahead: 9 }, { cacheBytes: 0 }];
  for (const other of others) {
    const again = new ImageLoader(pictures, { ...varied, batchSize: 2, ...other });
    assertEquals(await collect(again, 2), epochs[2]);
    assertEquals(await collect(again, 0), epochs[0]);
  }
  const stream = new RandomStream(13);
  const reseeded = new ImageLoader(pictures, { ...varied, batchSize: 2, stream });
  assert(order(await collect(reseeded, 0)).join() !== order(epochs[0]).join());
});

Deno.test("ImageLoader works ahead so far and no further, and stops when the loop ends", async () => {
  let prepared = 0;
  const prepare = (image: RgbImage) => {
    prepared++;
    return crop(image, { left: 0, top: 0, width: 1, height: 1 });
  };
  const many = Array.from({ length: 40 }, (_, i) => noise(2, 2, i));
  const settle = () => new Promise((resolve) => setTimeout(resolve, 2));
  for (const ahead of [0, 1, 3]) {
    prepared = 0;
    const loader = new ImageLoader(many, { batchSize: 4, ahead, prepare });
    let seen = 0;
    for await (const _ of loader.epoch(0)) {
      await settle();
      assertEquals(prepared, 4 * (++seen + ahead));
      if (seen === 3) break;
    }
    await settle();
    assertEquals(prepared, 4 * (3 + ahead));
  }
});

Deno.test("ImageLoader prepares once what fits its memory, and still gives the same", async () => {
  const counts: number[] = [];
  const results: ImageBatch[][] = [];
  // Each prepared picture takes 12 bytes: all seven, three, or none are kept.
  for (const cacheBytes of [7 * 12, 3 * 12 + 11, 0]) {
    let prepared = 0;
    const prepare = (image: RgbImage) => {
      prepared++;
      return crop(image, { left: 1, top: 1, width: 2, height: 2 });
    };
    const loader = new ImageLoader(pictures, { batchSize: 3, prepare, cacheBytes });
    await collect(loader, 0);
    results.push(await collect(loader, 1));
    counts.push(prepared);
  }
  assertEquals(counts, [7, 11, 14]);
  assertEquals(results[1], results[0]);
  assertEquals(results[2], results[0]);
});

permissionTest("ImageLoader leaves out broken files, and the others move up", library, async () => {
  const files = ["small.png", "make.py", "grey.png", "palette.gif", "make.py", "grey.jpg"];
  const paths = files.map(fixture);
  const loader = new ImageLoader(paths, { batchSize: 2, labels: labels.slice(0, 6) });
  assertEquals([loader.batchCount, loader.skipped], [3, []]);
  const batches = await collect(loader, 0);
  assertEquals(batches.map(({ indices }) => [...indices]), [[0, 2], [3, 5]]);
  assertEquals(batches.map((batch) => [...batch.labels]), [[3, 4], [1, 9]]);
  assertEquals([loader.batchCount, loader.skipped.length], [2, 2]);
  assertEquals(loader.skipped[0].path, paths[1]);
  assert(loader.skipped[0].reason.startsWith(`${paths[1]} cannot be read as a picture: `));
  assertEquals(await collect(loader, 1), batches);
  assertEquals(loader.skipped.length, 2);
  // Deno's test runner would tell of a file left open or a read not awaited.
  for await (const _ of new ImageLoader(paths, { batchSize: 1 }).epoch(0)) break;
  assertEquals(batches[1].pixels.subarray(0, 1104), normalize(await decodeImage(paths[3])));

  const strict = new ImageLoader(paths, { batchSize: 2, strict: true });
  await assertRejects(() => collect(strict, 0), UserError, paths[1]);
  await assertRejects(() => collect(strict, 1), UserError, paths[1]);
  const none = new ImageLoader([paths[1]], { batchSize: 2 });
  await assertRejects(() => collect(none, 0), UserError, "None of the 1 files is a picture: ");
});

permissionTest("ImageLoader leaves out files that are gone, or no files, as it does broken ones", [
  ...library,
  { name: "write" },
], async () => {
  const folder = await Deno.makeTempDir();
  try {
    await Deno.symlink(`${folder}/nowhere`, `${folder}/dangling.jpg`);
    await Deno.symlink(`${folder}/loop.jpg`, `${folder}/loop.jpg`);
    await Deno.symlink("/dev/zero", `${folder}/zero.jpg`);
    await Deno.mkdir(`${folder}/folder.jpg`);
    await Deno.writeFile(`${folder}/empty.jpg`, new Uint8Array(0));
    await Deno.writeFile(`${folder}/a\x1b[2J.jpg`, new Uint8Array(9));
    const cases = [
      ["dangling.jpg", "cannot be read: it is not there"],
      ["loop.jpg", "cannot be read: it is a link that leads back to itself"],
      ["zero.jpg", "cannot be read as a picture: it is no file"],
      ["folder.jpg", "cannot be read as a picture: it is no file"],
      ["empty.jpg", "cannot be read as a picture: it is empty"],
      ["empty.jpg/x", "cannot be read: a folder of its path is none"],
      [`${"x".repeat(300)}.jpg`, "cannot be read: its name is too long"],
      ["a\x1b[2J.jpg", "it is none of the kinds that are read"],
    ];
    const paths = [fixture("small.png"), ...cases.map(([name]) => `${folder}/${name}`)];
    const loader = new ImageLoader(paths, { batchSize: 3 });
    assertEquals(order(await collect(loader, 0)), [0]);
    assertEquals(order(await collect(loader, 1)), [0]);
    const reasons = loader.skipped.map(({ reason }) => reason);
    assertEquals(reasons.length, cases.length);
    for (const [i, [, reason]] of cases.entries()) {
      assert(reasons[i].includes(reason) && !reasons[i].includes("\x1b"), reasons[i]);
    }
    for (const path of paths.slice(1)) {
      const strict = new ImageLoader([path, paths[0]], { batchSize: 2, strict: true });
      const error = await assertRejects(() => collect(strict, 0));
      assertInstanceOf(error, UserError);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

permissionTest(
  "ImageLoader leaves out files that prepare or augment cannot use",
  library,
  async () => {
    const paths = ["small.png", "small_lzw.tif", "1x1.png"].map(fixture);
    const part = (image: RgbImage) => crop(image, { left: 0, top: 0, width: 9, height: 9 });
    const stream = new RandomStream(1);
    for (const options of [{ prepare: part }, { augment: part, stream }]) {
      const loader = new ImageLoader(paths, { ...options, batchSize: 3 });
      assertEquals(order(await collect(loader, 0)).sort(), [0, 1]);
      assert(loader.skipped[0].reason.startsWith(`${paths[2]}: A box must be`));
    }
    // The middle of a strip is made without the whole of it.
    const strip = await encodePng({ width: 1, height: 3000, data: new Uint8Array(9000).fill(7) });
    const image = prepareForEvaluation(await decodeImage(strip));
    assertEquals([image.width, image.height, image.data.every((value) => value === 7)], [
      224,
      224,
      true,
    ]);
  },
);

permissionTest("ImageLoader holds few decoded pictures, however many are decoded", [
  ...library,
  { name: "write" },
], async () => {
  // 16 pictures of 48 MB, which the collector does not know of, would be 768 MB.
  const bytes = await encodePng({ width: 4000, height: 4000, data: new Uint8Array(48e6) });
  const path = await Deno.makeTempFile({ suffix: ".png" });
  try {
    await Deno.writeFile(path, bytes);
    const before = Deno.memoryUsage().rss;
    const loader = new ImageLoader(Array.from({ length: 16 }, () => path), {
      batchSize: 16,
      prepare: (image) => crop(image, { left: 0, top: 0, width: 1, height: 1 }),
    });
    let most = 0;
    const watch = setInterval(() => most = Math.max(most, Deno.memoryUsage().rss), 5);
    await collect(loader, 0);
    clearInterval(watch);
    assert(most - before < 350e6, `${(most - before) / 1e6} MB more`);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("ImageLoader names pictures whose sizes differ or that cannot be prepared", async () => {
  const mixed = new ImageLoader(pictures, { batchSize: 2 });
  await assertRejects(
    () => collect(mixed, 0),
    RangeError,
    "must have one size: picture 0 is 5 x 9, picture 1 is 6 x 8",
  );
  const prepare = (image: RgbImage) => crop(image, { left: 0, top: 0, width: 7, height: 1 });
  const small = new ImageLoader(pictures, { batchSize: 2, prepare });
  await assertRejects(() => collect(small, 0), RangeError, "picture 0: A box must be");
});

Deno.test("ImageLoader rejects options that are not possible", async () => {
  const make = (options: Partial<ImageLoaderOptions>) => () =>
    new ImageLoader(pictures, { batchSize: 2, ...options });
  assertThrows(make({ batchSize: 0 }), RangeError, "batchSize must be an integer from 1: it is 0");
  assertThrows(make({ ahead: -1 }), RangeError, "ahead must be an integer from 0: it is -1");
  assertThrows(make({ cacheBytes: NaN }), RangeError, "it is NaN");
  assertThrows(
    make({ labels: labels.slice(1) }),
    RangeError,
    "as many as the 7 pictures: there are 6",
  );
  assertThrows(make({ augment: randomPart }), TypeError, "augment needs a stream");
  assertThrows(() => new ImageLoader([], { batchSize: 2 }), RangeError, "at least one picture");
  await assertRejects(() => collect(make({})(), 0.5), RangeError, "epoch must be an integer");
});

dataTest("ImageLoader goes through the ants and bees", "hymenoptera_data", async (path) => {
  const train = await readImageFolder(`${path}/train`);
  const few = train.paths.slice(118, 128);
  const stream = new RandomStream(1);
  const training = new ImageLoader(few, {
    batchSize: 4,
    labels: train.labels.slice(118, 128),
    stream,
    augment: augmentForTraining,
  });
  const batches = await collect(training, 0);
  assertEquals(batches.map(({ pixels }) => pixels.length), [4, 4, 2].map((n) => n * 224 * 224 * 3));
  const ants = batches.flatMap((batch) => [...batch.labels]).filter((label) => label === 0);
  assertEquals(ants.length, 5);
  const evaluation = new ImageLoader(few, { batchSize: 10, prepare: prepareForEvaluation });
  const [{ pixels }] = await collect(evaluation, 0);
  const first = normalize(prepareForEvaluation(await decodeImage(few[0])));
  assertEquals(pixels.subarray(0, first.length), first);
}, library);
