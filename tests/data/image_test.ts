import { assert, assertEquals, assertRejects } from "@std/assert";
import { decodeImage, encodeJpeg, encodePng, loadSharp, type RgbImage } from "../../data/image.ts";
import { decodeNetpbm } from "../../data/netpbm.ts";
import { RandomStream } from "../../data/rng.ts";
import { dataTest, permissionTest } from "../support.ts";
import { fixture, library, meanDifference, noise, pixel } from "./images.ts";

permissionTest(
  "decodeImage() makes the RGB that PIL makes of every kind of file",
  library,
  async () => {
    const kinds = {
      small: [
        "small_alpha.png",
        "small_alpha.webp",
        "small_alpha.bmp",
        "small_lzw.tif",
        "small.bmp",
      ],
      grey: ["grey_l.png", "grey_alpha.png", "grey_16.png", "grey.pgm", "grey.bmp"],
      palette: ["palette_p.png", "palette.gif", "palette.bmp"],
    };
    for (const [expected, names] of Object.entries(kinds)) {
      const image = await decodeImage(fixture(`${expected}.png`));
      assertEquals([image.width, image.height], [23, 16]);
      for (const name of names) assertEquals(await decodeImage(fixture(name)), image, name);
    }
    assertEquals(
      await decodeImage(await Deno.readFile(fixture("small.ppm"))),
      await decodeImage(fixture("small.png")),
    );
  },
);

permissionTest("decodeImage() reads JPEG in colour, grey and CMYK", library, async () => {
  const small = await decodeImage(fixture("small.png"));
  const grey = await decodeImage(fixture("grey.png"));
  assert(meanDifference(await decodeImage(fixture("small.jpg")), small) < 1.5);
  assert(meanDifference(await decodeImage(fixture("grey.jpg")), grey) < 1);
  // CMYK goes through a profile of printing inks, which are less vivid.
  const cmyk = await decodeImage(fixture("small_cmyk.jpg"));
  assert(meanDifference(cmyk, small) < 40);
  const [red, green, blue] = pixel(cmyk, 6, 6);
  assert(red > 180 && green < 110 && blue < 110, `the disk is rgb(${red}, ${green}, ${blue})`);
});

permissionTest("decodeImage() turns a picture as its EXIF orientation says", library, async () => {
  const sharp = await loadSharp();
  const { width, height, data } = noise(3, 2);
  // Where the stored column and row are shown, by orientation.
  const shown: Record<number, (column: number, row: number) => [number, number]> = {
    1: (c, r) => [c, r],
    2: (c, r) => [width - 1 - c, r],
    3: (c, r) => [width - 1 - c, height - 1 - r],
    4: (c, r) => [c, height - 1 - r],
    5: (c, r) => [r, c],
    6: (c, r) => [height - 1 - r, c],
    7: (c, r) => [height - 1 - r, width - 1 - c],
    8: (c, r) => [r, width - 1 - c],
  };
  for (const [orientation, place] of Object.entries(shown)) {
    const file = await sharp(data, { raw: { width, height, channels: 3 } })
      .withMetadata({ orientation: Number(orientation) }).png().toBuffer();
    const image = await decodeImage(file);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        assertEquals(
          pixel(image, ...place(column, row)),
          pixel({ width, height, data }, column, row),
          `orientation ${orientation}, column ${column}, row ${row}`,
        );
      }
    }
  }
});

permissionTest("decodeImage() names a file that is empty, truncated or no picture", [
  ...library,
  { name: "write" },
], async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/a.jpg`;
  const refuse = async (bytes: Uint8Array, reason: string) => {
    await Deno.writeFile(path, bytes);
    const error = await assertRejects(() => decodeImage(path), SyntaxError, reason);
    assert(error.message.startsWith(`${path} cannot be read as a picture: `), error.message);
    assert(!error.message.includes("\n"), error.message);
  };
  try {
    await refuse(new Uint8Array(0), "it is empty");
    await refuse(new TextEncoder().encode("<html></html>"), "unsupported image format");
    for (const name of ["small.jpg", "small_alpha.png", "small_alpha.webp", "palette.gif"]) {
      const whole = await Deno.readFile(fixture(name));
      for (const share of [0.02, 0.3, 0.7, 0.95]) {
        await refuse(whole.subarray(0, Math.floor(share * whole.length)), "picture");
      }
    }
    await assertRejects(() => decodeImage(folder), SyntaxError, "it is no file");
    await assertRejects(() => decodeImage(`${folder}/b.jpg`), Deno.errors.NotFound, "b.jpg");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

permissionTest("decodeImage() refuses more pixels than allowed", library, async () => {
  for (const name of ["small.png", "small.ppm", "small.bmp"]) {
    const { width } = await decodeImage(fixture(name), { maxPixels: 23 * 16 });
    assertEquals(width, 23);
    await assertRejects(() => decodeImage(fixture(name), { maxPixels: 367 }), SyntaxError, "pixel");
  }
  await assertRejects(() => decodeImage("a.png", { maxPixels: 0 }), RangeError, "it is 0");
});

permissionTest(
  "decodeImage() gives a picture or a SyntaxError for spoilt files",
  library,
  async () => {
    const stream = new RandomStream(4);
    const counts = { decoded: 0, refused: 0 };
    const names = [
      "small.jpg",
      "palette_p.png",
      "small_alpha.webp",
      "palette.gif",
      "small_lzw.tif",
    ];
    for (const name of [...names, "palette.bmp", "small.bmp", "small.ppm"]) {
      const whole = await Deno.readFile(fixture(name));
      for (let trial = 0; trial < 60; trial++) {
        const bytes = whole.slice(0, trial % 2 ? stream.integer(whole.length) : undefined);
        // Most of what can go wrong stands at the start.
        for (let k = 0; k < 3; k++) {
          bytes[stream.integer(k ? 60 : whole.length)] = stream.integer(
            256,
          );
        }
        try {
          const { width, height, data } = await decodeImage(bytes, { maxPixels: 2 ** 20 });
          assertEquals(data.length, 3 * width * height);
          counts.decoded++;
        } catch (error) {
          assert(error instanceof SyntaxError, `${name}: ${error}`);
          counts.refused++;
        }
      }
    }
    assert(counts.decoded > 20 && counts.refused > 200, JSON.stringify(counts));
  },
);

const ascii = (text: string) => new TextEncoder().encode(text);

Deno.test("decodeNetpbm() reads text, comments, 16 bits and other largest values", () => {
  const read = (bytes: Uint8Array): RgbImage => decodeNetpbm(bytes, 100);
  const text = read(ascii("P2\n# made\n#\n2 1\n# by hand\n3\n0 # black\n 2 "));
  assertEquals(text, { width: 2, height: 1, data: Uint8Array.of(0, 0, 0, 170, 170, 170) });
  const wide = read(Uint8Array.of(...ascii("P6 1 1 65535\n"), 255, 255, 128, 0, 0, 127));
  assertEquals([...wide.data], [255, 128, 0]);
  const grey = read(Uint8Array.of(...ascii("P5\t1\r\n2 1\n"), 0, 1));
  assertEquals(grey, { width: 1, height: 2, data: Uint8Array.of(0, 0, 0, 255, 255, 255) });
});

Deno.test("decodeNetpbm() refuses what is malformed", () => {
  const cases: [string, string][] = [
    ["P1 1 1\n1", "must start with P2, P3, P5 or P6"],
    ["P6", "must start with"],
    ["P6 ", "at byte 3 the width must be a number"],
    ["P6 1 -1 255\n", "the height must be a number"],
    ["P5 1 1 # 255", "the largest value must be a number"],
    ["P5 1 1 0\nx", "must be 1 to 65535: it is 0"],
    ["P5 0 1 255\nx", "it is 0 x 1"],
    ["P5 99999 99999 255\n", "must have 1 to 100 pixels: it is 99999 x 99999"],
    ["P6 2 1 255\nabcde", "2 x 1 pixels need 6 bytes: there are 5"],
    ["P2 2 1 255\n1", "need 3 bytes: there are 1"],
    ["P2 2 1 255\n1 256", "must be 0 to 255: before byte 16 it is 256"],
    ["P2 2 1 255\n1   ", "at byte 15 a value must be a number"],
  ];
  for (const [text, reason] of cases) {
    let message = "";
    try {
      decodeNetpbm(ascii(text), 100);
    } catch (error) {
      assert(error instanceof SyntaxError, `${text}: ${error}`);
      message = error.message;
    }
    assert(message.includes(reason), `${JSON.stringify(text)}: ${message || "no error"}`);
  }
});

Deno.test("decodeNetpbm() gives a picture or a SyntaxError for spoilt bytes", () => {
  const stream = new RandomStream(6);
  const whole = [
    ascii("P3 # text\n4 2 255\n" + "17 0 255 ".repeat(8)),
    ascii("P5\n6 5 99\n" + "a".repeat(30)),
  ];
  const counts = { decoded: 0, refused: 0 };
  for (let trial = 0; trial < 4000; trial++) {
    const bytes = whole[trial % 2].slice(0, trial % 3 ? undefined : stream.integer(40));
    for (let k = 0; k < 2; k++) bytes[stream.integer(k ? 18 : 40)] = stream.integer(k ? 64 : 256);
    try {
      const { width, height, data } = decodeNetpbm(bytes, 1000);
      assertEquals(data.length, 3 * width * height);
      counts.decoded++;
    } catch (error) {
      assert(error instanceof SyntaxError, `${bytes}: ${error}`);
      counts.refused++;
    }
  }
  assert(counts.decoded > 200 && counts.refused > 2000, JSON.stringify(counts));
});

permissionTest("encodePng() and encodeJpeg() write what decodeImage() reads", library, async () => {
  const image = noise(13, 7);
  assertEquals(await decodeImage(await encodePng(image)), image);
  const small = await decodeImage(fixture("small.png"));
  // Of colours JPEG keeps half the columns and rows, whatever the quality.
  const grey = await decodeImage(fixture("grey.png"));
  const fine = await encodeJpeg(grey, { quality: 100 });
  assert(meanDifference(await decodeImage(fine), grey) < 0.6);
  assert((await encodeJpeg(grey, { quality: 20 })).length < fine.length / 1.5);
  await assertRejects(() => encodeJpeg(small, { quality: 0 }), RangeError, "1 to 100: it is 0");
  await assertRejects(() => encodePng({ ...small, width: 0 }), RangeError, "0 x 16");
  await assertRejects(() => encodePng({ ...small, width: 22 }), TypeError, "needs 1056 bytes");
});

dataTest(
  "decodeImage() reads a photograph",
  "hymenoptera_data/train/ants/0013035.jpg",
  async (path) => {
    const { width, height } = await decodeImage(path);
    assertEquals([width, height], [768, 512]);
  },
  library,
);
