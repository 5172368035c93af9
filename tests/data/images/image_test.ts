import { assert, assertEquals, assertRejects } from "@std/assert";
import {
  decodeImage,
  encodeJpeg,
  encodePng,
  loadSharp,
  useImage,
} from "../../../data/images/image.ts";
import { placeTurned } from "../../../data/images/turned.ts";
import { RandomStream } from "../../../data/rng.ts";
import { dataTest, permissionTest } from "../../support.ts";
import { fixture, library, meanDifference, noise, pixel } from "./images.ts";
import { UserError } from "../../../data/files/user_error.ts";

permissionTest(
  "decodeImage() makes the RGB that PIL makes of every kind of file",
  library,
  async () => {
    const kinds = {
      small: [
        "small_alpha.png",
        "small_alpha.webp",
        "small_lzw.tif",
      ],
      grey: ["grey_l.png", "grey_alpha.png", "grey_16.png"],
      palette: ["palette_p.png", "palette.gif"],
    };
    for (const [expected, names] of Object.entries(kinds)) {
      const image = await decodeImage(fixture(`${expected}.png`));
      assertEquals([image.width, image.height], [23, 16]);
      for (const name of names) assertEquals(await decodeImage(fixture(name)), image, name);
    }
    assertEquals(
      await decodeImage(await Deno.readFile(fixture("small_lzw.tif"))),
      await decodeImage(fixture("small.png")),
    );
  },
);

permissionTest("decodeImage() reads JPEG in color, grey and CMYK", library, async () => {
  const small = await decodeImage(fixture("small.png"));
  const grey = await decodeImage(fixture("grey.png"));
  assert(meanDifference(await decodeImage(fixture("small.jpg")), small) < 1.5);
  assert(meanDifference(await decodeImage(fixture("grey.jpg")), grey) < 1);
  // Colors in, inks and colors out: of 8 bits each.
  assert(meanDifference(await decodeImage(fixture("small_cmyk.jpg")), small) < 2);
});

/** Where the stored column and row are shown, by orientation. */
const SHOWN: Record<
  number,
  (column: number, row: number, width: number, height: number) => [number, number]
> = {
  1: (c, r) => [c, r],
  2: (c, r, width) => [width - 1 - c, r],
  3: (c, r, width, height) => [width - 1 - c, height - 1 - r],
  4: (c, r, _, height) => [c, height - 1 - r],
  5: (c, r) => [r, c],
  6: (c, r, _, height) => [height - 1 - r, c],
  7: (c, r, width, height) => [height - 1 - r, width - 1 - c],
  8: (c, r, width) => [r, width - 1 - c],
};

permissionTest("decodeImage() turns a picture as its EXIF orientation says", library, async () => {
  const sharp = await loadSharp();
  const { width, height, data } = noise(3, 2);
  for (const [orientation, place] of Object.entries(SHOWN)) {
    const file = await sharp(data, { raw: { width, height, channels: 3 } })
      .withMetadata({ orientation: Number(orientation) }).png().toBuffer();
    const image = await decodeImage(file);
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        assertEquals(
          pixel(image, ...place(column, row, width, height)),
          pixel({ width, height, data }, column, row),
          `orientation ${orientation}, column ${column}, row ${row}`,
        );
      }
    }
  }
});

Deno.test("placeTurned() puts rows where each orientation shows them", () => {
  const { width, height, data } = noise(4, 5);
  for (const [orientation, place] of Object.entries(SHOWN)) {
    const size = Number(orientation) > 4 ? [height, width] : [width, height];
    const target = { width: size[0], height: size[1], data: new Uint8Array(data.length) };
    for (const [top, end] of [[2, 5], [0, 2]]) {
      const rows = { width, height: end - top, data: data.slice(12 * top, 12 * end) };
      placeTurned(target, rows, top, Number(orientation));
    }
    for (let row = 0; row < height; row++) {
      for (let column = 0; column < width; column++) {
        assertEquals(
          pixel(target, ...place(column, row, width, height)),
          pixel({ width, height, data }, column, row),
          `orientation ${orientation}, column ${column}, row ${row}`,
        );
      }
    }
  }
});

permissionTest(
  "decodeImage() turns pictures that are too large to be held twice",
  library,
  async () => {
    const sharp = await loadSharp();
    const [width, height] = [6400, 6200];
    const create = { width, height, channels: 3 as const, background: "#123" };
    const dot = { create: { ...create, width: 2, height: 1, background: "#fed" } };
    const [left, top] = [5, 4711];
    const file = await sharp({ create }).composite([{ input: dot, left, top }])
      .withMetadata({ orientation: 6 }).png({ compressionLevel: 1 }).toBuffer();
    const image = await decodeImage(file);
    assertEquals([image.width, image.height], [height, width]);
    const dotted = [[height - 1 - top, left], [height - 1 - top, left + 1]];
    for (const [column, row] of dotted) assertEquals(pixel(image, column, row), [255, 238, 221]);
    for (const [column, row] of [[0, 0], [height - 1, width - 1], [height - 1 - top, left + 2]]) {
      assertEquals(pixel(image, column, row), [17, 34, 51]);
    }
  },
);

permissionTest("decodeImage() names a file that is empty, truncated or no picture", [
  ...library,
  { name: "write" },
], async () => {
  const folder = await Deno.makeTempDir();
  const path = `${folder}/a.jpg`;
  const refuse = async (bytes: Uint8Array, reason: string) => {
    await Deno.writeFile(path, bytes);
    const error = await assertRejects(() => decodeImage(path), UserError, reason);
    assert(error.message.startsWith(`${path} cannot be read as a picture: `), error.message);
    assert(!error.message.includes("\n"), error.message);
  };
  try {
    await refuse(new Uint8Array(0), "it is empty");
    await refuse(new TextEncoder().encode("<html></html>"), "it seems to be a web page");
    for (const name of ["small.jpg", "small_alpha.png", "small_alpha.webp", "palette.gif"]) {
      const whole = await Deno.readFile(fixture(name));
      for (const share of [0.02, 0.3, 0.7, 0.95]) {
        await refuse(whole.subarray(0, Math.floor(share * whole.length)), "picture");
      }
    }
    await assertRejects(() => decodeImage(folder), UserError, "it is no file");
    await assertRejects(() => decodeImage(`${folder}/b.jpg`), Deno.errors.NotFound, "b.jpg");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

permissionTest("decodeImage() refuses more pixels than allowed", library, async () => {
  for (const name of ["small.png", "small.jpg", "small_lzw.tif"]) {
    const { width } = await decodeImage(fixture(name), { maxPixels: 23 * 16 });
    assertEquals(width, 23);
    await assertRejects(() => decodeImage(fixture(name), { maxPixels: 367 }), UserError, "pixel");
  }
  await assertRejects(() => decodeImage("a.png", { maxPixels: 0 }), RangeError, "it is 0");
});

permissionTest(
  "decodeImage() gives a picture or a UserError for spoilt files",
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
    for (const name of names) {
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
          assert(error instanceof UserError, `${name}: ${error}`);
          counts.refused++;
        }
      }
    }
    assert(counts.decoded > 20 && counts.refused > 200, JSON.stringify(counts));
  },
);

const ascii = (text: string) => new TextEncoder().encode(text);

permissionTest("decodeImage() goes by the first bytes, not by the name", library, async () => {
  const binary = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
  const none = "it is none of the kinds that are read (JPEG, PNG, WebP, TIFF, GIF): ";
  const cases: [string, string][] = [
    [
      '<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>',
      "it seems to be an SVG drawing",
    ],
    ['\n  <?xml version="1.0"?><svg/>', "it seems to be an XML or SVG file"],
    ["<!doctype HTML>", "it seems to be a web page"],
    ["%PDF-1.7", "it seems to be a PDF file"],
    ["\x1f\x8b\x08\0\0", "it seems to be a gzip file"],
    ["\0\0\0\x1cftypheic\0\0", "it seems to be a HEIF, AVIF or video file"],
    ["\0\0\0\fjP  \r\n", "it seems to be a JPEG 2000 file"],
    ["PK\x03\x04", "it seems to be a zip file"],
    ["P4 1 1\n1", "it seems to be a Netpbm file"],
    ["P6 1 1 255\nabc", "it seems to be a Netpbm file"],
    ["BM\x46\0\0\0", "it seems to be a BMP file"],
    ["version https://git-lfs.github.com/spec/v1\n", "it seems to be a Git LFS pointer"],
    ["\x1b[2Jx", 'it begins with "\\u001b[2Jx"'],
    ["\x89PNX", "it begins with"],
  ];
  for (const [text, reason] of cases) {
    await assertRejects(() => decodeImage(binary(text)), UserError, none + reason);
  }
});

permissionTest(
  "decodeImage() refuses what claims more than it holds, before it decodes",
  library,
  async () => {
    const jpeg = await Deno.readFile(fixture("small.jpg"));
    const at = jpeg.findIndex((byte, i) => byte === 0xff && jpeg[i + 1] === 0xc0);
    const sized = (marker: number, size: number) => {
      const bytes = jpeg.slice();
      bytes[at + 1] = marker;
      new DataView(bytes.buffer).setUint32(at + 5, size << 16 | size);
      return bytes;
    };
    const scan = [0xff, 0xda, 0, 8, 1, 1, 0, 0, 0, 0, 0xff, 0];
    const scans = Uint8Array.from([
      ...[0xff, 0xd8, 0xff, 0xc2, 0, 11, 8, 0, 16, 0, 16, 1, 1, 0x11, 0],
      ...Array.from({ length: 101 }, () => scan).flat(),
    ]);
    const png = (await Deno.readFile(fixture("small.png"))).slice();
    new DataView(png.buffer).setUint32(16, 50_000);
    new DataView(png.buffer).setUint32(20, 50_000);
    const cases: [Uint8Array, string][] = [
      [sized(0xc0, 9000), "a picture must have 1 to 67108864 pixels: it is 9000 x 9000"],
      [
        sized(0xc2, 8000),
        "JPEG: 8000 x 8000 pixels stored like this take 550 MiB to decode, and at most 224",
      ],
      [scans, "JPEG: it has more than 100 scans"],
      [png, "it is 50000 x 50000"],
      [ascii("GIF89a\xff\xff\xff\xff\0\0\0"), "GIF: it ends before its first frame"],
    ];
    for (const [bytes, reason] of cases) {
      await assertRejects(() => decodeImage(bytes), UserError, reason);
    }
  },
);

permissionTest(
  "decodeImage() gives each broken picture its own reason under load",
  library,
  async () => {
    // The library's threads share one place for their messages.
    const broken = async (name: string, cut: (bytes: Uint8Array) => Uint8Array) =>
      cut(await Deno.readFile(fixture(name)));
    const half = (bytes: Uint8Array) => bytes.slice(0, bytes.length >> 1);
    const longer = (bytes: Uint8Array) => bytes.map((byte, i) => i === 19 ? byte + 9 : byte);
    const spoilt = (bytes: Uint8Array) => bytes.map((byte, i) => i > bytes.length / 2 ? 85 : byte);
    const files = [
      await broken("small.jpg", half),
      await broken("small_alpha.png", half),
      await broken("small_alpha.png", spoilt),
      await broken("small.png", longer),
      await broken("small_alpha.webp", spoilt),
      await broken("small_lzw.tif", half),
    ];
    const reason = async (bytes: Uint8Array) =>
      (await assertRejects(() => decodeImage(bytes), UserError)).message;
    const alone: string[] = [];
    for (const bytes of files) alone.push(await reason(bytes));
    assertEquals(new Set(alone).size, files.length);
    const part = (reason: string) => reason.slice(reason.indexOf("picture: ") + 9);
    assertEquals(alone.slice(0, 4).map(part), [
      "JPEG: VipsJpeg: premature end of JPEG image",
      "PNG: it ends within its chunks, after 529 bytes",
      'PNG: its chunk "IDAT" at byte 33 is damaged: the checksum is wrong',
      'PNG: its chunk "IHDR" at byte 8 is damaged: the checksum is wrong',
    ]);
    const together = await Promise.all(
      Array.from({ length: 150 }, (_, i) => reason(files[i % files.length])),
    );
    together.forEach((message, i) => assertEquals(message, alone[i % files.length]));
  },
);

permissionTest("decodeImage() lets go of what it decoded", library, async () => {
  const large = await encodePng({ width: 3000, height: 3000, data: new Uint8Array(27e6) });
  let held: Uint8Array | undefined;
  const small = await useImage(large, (image) => {
    held = image.data;
    return { width: 1, height: 1, data: image.data.slice(0, 3) };
  });
  assertEquals([small.data.length, held?.length], [3, 0]);
  assertEquals((await useImage(large, (image) => image)).data.length, 27e6);
});

permissionTest("encodePng() and encodeJpeg() write what decodeImage() reads", library, async () => {
  const image = noise(13, 7);
  assertEquals(await decodeImage(await encodePng(image)), image);
  const small = await decodeImage(fixture("small.png"));
  // Of colors JPEG keeps half the columns and rows, whatever the quality.
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
