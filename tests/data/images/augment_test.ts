import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import {
  augmentForTraining,
  centerCrop,
  denormalize,
  horizontalFlip,
  IMAGENET_MEAN,
  IMAGENET_STD,
  normalize,
  prepareForEvaluation,
  randomCropBox,
  randomHorizontalFlip,
  randomResizedCrop,
  resizedCenterCrop,
  resizeShorter,
} from "../../../data/images/augment.ts";
import { crop, resize } from "../../../data/images/resize.ts";
import { RandomStream } from "../../../data/rng.ts";
import { noise, pixel } from "./images.ts";

Deno.test("randomCropBox() draws areas, ratios and places in their ranges, and all over them", () => {
  const stream = new RandomStream(3);
  const [width, height] = [500, 375];
  const [areas, ratios, lefts] = [[], [], []] as number[][];
  for (let i = 0; i < 2000; i++) {
    const box = randomCropBox(width, height, stream);
    assert(box.left >= 0 && box.top >= 0 && box.width >= 1 && box.height >= 1);
    assert(box.left + box.width <= width && box.top + box.height <= height, JSON.stringify(box));
    areas.push(box.width * box.height / (width * height));
    ratios.push(Math.log(box.width / box.height));
    if (box.width < width) lefts.push(box.left / (width - box.width));
  }
  const mean = (values: number[]) => values.reduce((a, b) => a + b) / values.length;
  assert(Math.min(...areas) > 0.079 && Math.min(...areas) < 0.1, `from ${Math.min(...areas)}`);
  assert(Math.max(...areas) > 0.95 && Math.max(...areas) <= 1);
  // torchvision 0.14's means over 20,000 draws: a box that does not fit is drawn again, so large areas and
  // upright boxes are fewer.
  assertAlmostEquals(mean(areas), 0.434, 0.015);
  assertAlmostEquals(mean(ratios), 0.03, 0.012);
  assertAlmostEquals(Math.min(...ratios), Math.log(3 / 4), 0.02);
  assertAlmostEquals(Math.max(...ratios), Math.log(4 / 3), 0.02);
  assertAlmostEquals(mean(lefts), 0.5, 0.03);
});

Deno.test("randomCropBox() takes the middle where no draw fits", () => {
  const stream = new RandomStream(1);
  const wide = { scale: [0.9, 1], ratio: [0.5, 2] } as const;
  assertEquals(randomCropBox(1000, 10, stream, wide), { left: 490, top: 0, width: 20, height: 10 });
  assertEquals(randomCropBox(11, 900, stream, wide), { left: 0, top: 439, width: 11, height: 22 });
  const large = { scale: [2, 3] } as const;
  assertEquals(randomCropBox(40, 35, stream, large), { left: 0, top: 0, width: 40, height: 35 });
});

Deno.test("randomCropBox() rejects ranges that are empty", () => {
  const stream = new RandomStream(1);
  for (const range of [[0, 1], [2, 1], [NaN, 1], [1, Infinity]] as [number, number][]) {
    const message = `the smaller one first: it is [${range[0]}, ${range[1]}]`;
    assertThrows(() => randomCropBox(9, 9, stream, { scale: range }), RangeError, message);
    assertThrows(() => randomCropBox(9, 9, stream, { ratio: range }), RangeError, message);
  }
});

Deno.test("randomResizedCrop() is the resized box, and the same for a seed", () => {
  const image = noise(40, 30);
  const box = randomCropBox(40, 30, new RandomStream(8));
  const drawn = randomResizedCrop(image, 12, new RandomStream(8));
  assertEquals(drawn, resize(image, 12, 12, box));
  assert(
    drawn.data.some((value, i) =>
      value !== randomResizedCrop(image, 12, new RandomStream(9)).data[i]
    ),
  );
});

Deno.test("randomHorizontalFlip() mirrors as often as it should", () => {
  const image = noise(5, 4);
  const mirrored = horizontalFlip(image);
  for (const [column, row] of [[0, 0], [1, 3], [2, 2], [4, 1]]) {
    assertEquals(pixel(mirrored, column, row), pixel(image, 4 - column, row));
  }
  assertEquals(horizontalFlip(mirrored), image);
  const stream = new RandomStream(2);
  let count = 0;
  for (let i = 0; i < 1000; i++) count += Number(randomHorizontalFlip(image, stream) !== image);
  assert(count > 450 && count < 550, `${count} of 1000`);
  assertEquals(randomHorizontalFlip(image, stream, 0), image);
  assertEquals(randomHorizontalFlip(image, stream, 1), mirrored);
  assertThrows(() => randomHorizontalFlip(image, stream, 1.1), RangeError, "0 to 1: it is 1.1");
});

Deno.test("resizeShorter() gives torchvision's sizes", () => {
  const sizes = [[500, 375, 341, 256], [375, 500, 256, 341], [333, 333, 256, 256], [
    9,
    100,
    256,
    2844,
  ]];
  for (const [width, height, ...expected] of sizes) {
    const resized = resizeShorter(noise(width, height), 256);
    assertEquals([resized.width, resized.height], expected);
  }
  for (const size of [0, 2.5, NaN]) {
    assertThrows(() => resizeShorter(noise(4, 3), size), RangeError, `from 1: it is ${size}`);
  }
  assertThrows(() => resizeShorter(noise(1, 3000), 256), RangeError, "it is 256 x 768000");
});

Deno.test("centerCrop() rounds the middle as torchvision does", () => {
  const image = noise(10, 9);
  // (10 - 4) / 2 = 3 and (9 - 4) / 2 = 2.5, which goes to 2; (10 - 3) / 2 = 3.5 goes to 4.
  assertEquals(centerCrop(image, 4), crop(image, { left: 3, top: 2, width: 4, height: 4 }));
  assertEquals(centerCrop(image, 3), crop(image, { left: 4, top: 3, width: 3, height: 3 }));
  for (const size of [0, 10, 1.5]) {
    assertThrows(() => centerCrop(image, size), RangeError, `10 x 9: it is ${size}`);
  }
});

Deno.test("resizedCenterCrop() is the middle of the resized picture", () => {
  for (const [width, height] of [[31, 20], [20, 31], [9, 9], [7, 83], [301, 26], [5, 400]]) {
    const image = noise(width, height);
    for (const [shorter, size] of [[13, 11], [13, 13], [40, 29], [3, 1]]) {
      assertEquals(
        resizedCenterCrop(image, shorter, size),
        centerCrop(resizeShorter(image, shorter), size),
        `${width} x ${height}, ${shorter}, ${size}`,
      );
    }
  }
  assertThrows(() => resizedCenterCrop(noise(9, 9), 4, 5), RangeError, "4 x 4: it is 5");
  assertThrows(() => resizedCenterCrop(noise(9, 9), 0, 5), RangeError, "must be an integer from 1");
  // The whole would have 256 x 768000 pixels.
  assertEquals(resizedCenterCrop(noise(1, 3000), 256, 224).data.length, 3 * 224 * 224);
});

Deno.test("augmentForTraining() and prepareForEvaluation() give 224 x 224", () => {
  const image = noise(301, 260);
  const varied = augmentForTraining(image, new RandomStream(5));
  assertEquals([varied.width, varied.height], [224, 224]);
  assertEquals(varied, augmentForTraining(image, new RandomStream(5)));
  const still = prepareForEvaluation(image);
  assertEquals([still.width, still.height], [224, 224]);
  assertEquals(still, centerCrop(resize(image, 296, 256), 224));
});

Deno.test("normalize() follows its formula, and denormalize() undoes it", () => {
  const data = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));
  const image = { width: 16, height: 16, data };
  const pixels = normalize(image);
  for (let i = 0; i < 768; i++) {
    const expected = (data[i] / 255 - IMAGENET_MEAN[i % 3]) / IMAGENET_STD[i % 3];
    assertAlmostEquals(pixels[i], expected, 1e-6);
  }
  assertEquals(denormalize(pixels, 16, 16), image);
  assertEquals([...denormalize(Float32Array.of(9, -9, 0), 1, 1).data], [255, 0, 104]);
  const slot = new Float32Array(800);
  normalize(image, slot.subarray(10, 778));
  assertEquals(slot.subarray(10, 778), pixels);
  assert(slot.subarray(778).every((value) => value === 0));
  assertThrows(
    () => normalize(image, slot),
    TypeError,
    "768 numbers for 16 x 16 pixels: there are 800",
  );
  assertThrows(() => denormalize(slot, 16, 16), TypeError, "there are 800");
});
