import { assert, assertEquals, assertThrows } from "@std/assert";
import { decodeImage } from "../../../data/images/image.ts";
import { crop, resize } from "../../../data/images/resize.ts";
import { permissionTest } from "../../support.ts";
import { fixture, library, meanDifference, noise, pixel } from "./images.ts";

permissionTest("resize() agrees with PIL, larger and smaller", library, async () => {
  const source = await decodeImage(fixture("source.png"));
  for (const [width, height] of [[23, 17], [97, 80], [61, 10], [7, 45], [1, 1], [64, 43]]) {
    const expected = await decodeImage(fixture(`${width}x${height}.png`));
    const difference = meanDifference(resize(source, width, height), expected);
    assert(difference < 0.01, `${width} x ${height}: ${difference}`);
  }
});

permissionTest("resize() of a box agrees with PIL's crop and resize", library, async () => {
  const source = await decodeImage(fixture("source.png"));
  for (
    const [width, height, left, top, right, bottom] of [
      [20, 20, 13, 5, 50, 38],
      [33, 29, 20, 10, 31, 22],
      [15, 9, 0, 0, 61, 3],
    ]
  ) {
    const box = { left, top, width: right - left, height: bottom - top };
    const name = `${width}x${height}_from_${left}_${top}_${right}_${bottom}.png`;
    const difference = meanDifference(
      resize(source, width, height, box),
      await decodeImage(fixture(name)),
    );
    assert(difference < 0.01, `${name}: ${difference}`);
  }
});

Deno.test("resize() keeps a picture of the same size, and one color", () => {
  const image = noise(19, 11);
  assertEquals(resize(image, 19, 11), image);
  const white = { width: 5, height: 4, data: new Uint8Array(60).fill(255) };
  for (const [width, height] of [[1, 1], [3, 9], [40, 2]]) {
    assert(resize(white, width, height).data.every((value) => value === 255));
  }
});

Deno.test("resize() sees nothing outside the box", () => {
  const image = noise(20, 15);
  const box = { left: 4, top: 3, width: 9, height: 8 };
  assertEquals(resize(image, 5, 6, box), resize(crop(image, box), 5, 6));
  assertEquals(resize(image, 9, 8, box), crop(image, box));
});

Deno.test("crop() copies the pixels of a box", () => {
  const image = noise(6, 5);
  const part = crop(image, { left: 2, top: 1, width: 3, height: 4 });
  assertEquals([part.width, part.height, part.data.length], [3, 4, 36]);
  assertEquals(pixel(part, 1, 2), pixel(image, 3, 3));
  part.data.fill(0);
  assert(image.data.some((value) => value > 0));
});

Deno.test("resize() and crop() reject sizes and boxes that are not possible", () => {
  const image = noise(6, 5);
  for (const [width, height] of [[0, 3], [3, -1], [2.5, 2], [NaN, 1]]) {
    assertThrows(() => resize(image, width, height), RangeError, `it is ${width} x ${height}`);
  }
  const boxes = [[-1, 0, 2, 2], [0, 0, 7, 1], [0, 4, 1, 2], [0, 0, 0, 1], [0.5, 0, 1, 1]];
  for (const [left, top, width, height] of boxes) {
    const box = { left, top, width, height };
    const message = `inside the picture of 6 x 5: it is ${width} x ${height} from column ${left}`;
    assertThrows(() => resize(image, 2, 2, box), RangeError, message);
    assertThrows(() => crop(image, box), RangeError, message);
  }
  const short = { ...image, data: image.data.subarray(3) };
  assertThrows(() => resize(short, 2, 2), TypeError, "needs 90 bytes: it has 87");
});
