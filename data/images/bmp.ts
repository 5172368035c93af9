/**
 * Windows and OS/2 bitmaps (https://learn.microsoft.com/en-us/windows/win32/gdi/bitmap-storage), with PIL's
 * colours: sharp's builds do not read them.
 *
 * @module
 */
import { paint } from "./palette.ts";
import { checkPixels, type RgbImage } from "./rgb_image.ts";

const [PLAIN, RUNS_8, RUNS_4, MASKS] = [0, 1, 2, 3];

/** Where 16 and 32 bits hold red, green and blue unless masks say so. */
const DEFAULT_MASKS: Record<number, readonly number[]> = {
  16: [0x7c00, 0x3e0, 0x1f],
  24: [0xff0000, 0xff00, 0xff],
  32: [0xff0000, 0xff00, 0xff],
};

/** What stands before the pixels. */
interface Header {
  width: number;
  height: number;
  /** Whether the first row stands at the top. */
  topDown: boolean;
  bits: number;
  compression: number;
  masks: readonly number[];
  /** `[C, 3]`, for 8 bits and less. */
  colours: Uint8Array;
  /** Where the pixels begin. */
  at: number;
}

function readHeader(bytes: Uint8Array): Header {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const int = (at: number) => view.getUint32(at, true);
  const short = (at: number) => view.getUint16(at, true);
  if (bytes.length < 26) throw new SyntaxError("BMP: it ends within the header");
  const length = int(14);
  if (![12, 40, 52, 56, 64, 108, 124].includes(length)) {
    throw new SyntaxError(`BMP: a header of ${length} bytes is not known`);
  }
  const old = length === 12; // sizes of 16 bits, and three bytes a colour
  if (bytes.length < 14 + length) throw new SyntaxError("BMP: it ends within the header");
  const bits = short(old ? 24 : 28);
  const rows = old ? short(20) : view.getInt32(22, true);
  const compression = old ? PLAIN : int(30);
  const possible = {
    [PLAIN]: [1, 4, 8, 16, 24, 32],
    [RUNS_8]: [8],
    [RUNS_4]: [4],
    [MASKS]: length === 64 ? [] : [16, 24, 32], // OS/2 has another code by this number
  }[compression] ?? [];
  if (!possible.includes(bits)) {
    throw new SyntaxError(`BMP: ${bits} bits a pixel with compression ${compression} are not read`);
  }
  let masks = DEFAULT_MASKS[bits] ?? [];
  let after = 14 + length;
  if (compression === MASKS) {
    if (bytes.length < 66) throw new SyntaxError("BMP: it ends within the header");
    const given = [54, 58, 62].map(int);
    if (given.some((mask) => mask !== 0)) masks = given;
    if (length === 40) after += 12;
  }
  let at = int(10);
  let colours = new Uint8Array(0);
  if (bits <= 8) {
    const count = (old ? 0 : int(46)) || 1 << bits;
    const step = old ? 3 : 4;
    colours = new Uint8Array(3 * Math.min(count, 256));
    for (let i = 0; i < colours.length; i += 3) {
      const from = after + i / 3 * step;
      for (let c = 0; c < 3; c++) colours[i + c] = bytes[from + 2 - c] ?? 0;
    }
    // Some files leave out their colours here.
    if (at === after) at += step * count;
  }
  const width = old ? short(18) : view.getInt32(18, true);
  return {
    ...{ width, height: Math.abs(rows), topDown: rows < 0 },
    ...{ bits, compression, masks, colours, at: at || after },
  };
}

/** The size of a BMP. What is malformed is a SyntaxError. */
export function bmpSize(bytes: Uint8Array): { width: number; height: number } {
  const { width, height } = readHeader(bytes);
  return { width, height };
}

/** Where a mask begins, and its largest value. */
function maskShape(mask: number): { shift: number; most: number } {
  const shift = mask === 0 ? 0 : 31 - Math.clz32(mask & -mask);
  return { shift, most: mask >>> shift };
}

/** Pixels of 16, 24 or 32 bits: each colour is a part of them, cut to the 8 bits below it. */
function unpackColours(
  bytes: Uint8Array,
  { width, height, topDown, bits, masks, at }: Header,
): RgbImage {
  const size = bits / 8;
  const stride = Math.ceil(width * size / 4) * 4;
  const data = new Uint8Array(3 * width * height);
  const tables = masks.map((mask) => ({ mask, ...maskShape(mask) }));
  for (let row = 0, to = 0; row < height; row++) {
    let from = at + (topDown ? row : height - 1 - row) * stride;
    for (let column = 0; column < width; column++, from += size) {
      let value = bytes[from] | bytes[from + 1] << 8;
      if (size > 2) value |= bytes[from + 2] << 16;
      if (size > 3) value |= bytes[from + 3] << 24;
      for (const { mask, shift, most } of tables) {
        const part = (value & mask) >>> shift;
        data[to++] = most === 255 ? part : most === 0 ? 0 : Math.floor(part * 255 / most);
      }
    }
  }
  return { width, height, data };
}

/** Numbers of colours of 1, 4 or 8 bits. */
function unpackIndices(
  bytes: Uint8Array,
  { width, height, topDown, bits, at }: Header,
): Uint8Array<ArrayBuffer> {
  const stride = Math.ceil(width * bits / 32) * 4;
  const indices = new Uint8Array(width * height);
  const [perByte, most] = [8 / bits, (1 << bits) - 1];
  for (let row = 0, to = 0; row < height; row++) {
    const from = at + (topDown ? row : height - 1 - row) * stride;
    for (let column = 0; column < width; column++) {
      const shift = 8 - bits * (column % perByte + 1);
      indices[to++] = bytes[from + Math.floor(column / perByte)] >> shift & most;
    }
  }
  return indices;
}

/**
 * Numbers of colours as runs. What is passed over has number 0. A SyntaxError where the runs end before the last
 * row: a few bytes are no picture of many pixels.
 */
function unpackRuns(
  bytes: Uint8Array,
  { width, height, topDown, bits, at }: Header,
): Uint8Array<ArrayBuffer> {
  const indices = new Uint8Array(width * height);
  let [x, y] = [0, 0];
  const put = (value: number) => {
    if (x < width && y < height) indices[(topDown ? y : height - 1 - y) * width + x] = value;
    x++;
  };
  const half = (byte: number, i: number) => bits === 8 ? byte : i % 2 === 0 ? byte >> 4 : byte & 15;
  while (y < height) {
    if (at + 2 > bytes.length) break;
    const [count, byte] = [bytes[at], bytes[at + 1]];
    at += 2;
    if (count > 0) {
      for (let i = 0; i < count; i++) put(half(byte, i));
    } else if (byte === 0) {
      [x, y] = [0, y + 1];
    } else if (byte === 1) {
      break;
    } else if (byte === 2) {
      if (at + 2 > bytes.length) break;
      x += bytes[at];
      y += bytes[at + 1];
      at += 2;
    } else {
      const length = bits === 8 ? byte : Math.ceil(byte / 2);
      if (at + length > bytes.length) break;
      for (let i = 0; i < byte; i++) put(half(bytes[at + (bits === 8 ? i : i >> 1)], i));
      at += length + length % 2;
    }
  }
  if (y >= height || (y === height - 1 && x >= width)) return indices;
  throw new SyntaxError(`BMP: its data end at column ${x} of row ${y} from the bottom`);
}

/**
 * Decode a BMP of 1 to 32 bits a pixel, plain or as runs. Alpha is dropped. What is malformed or truncated, or
 * has more than `maxPixels` pixels, is a SyntaxError.
 */
export function decodeBmp(bytes: Uint8Array, maxPixels: number): RgbImage {
  const header = readHeader(bytes);
  const { width, height, bits, compression, colours, at } = header;
  checkPixels(width, height, maxPixels);
  if (compression === RUNS_8 || compression === RUNS_4) {
    return paint(unpackRuns(bytes, header), width, height, colours);
  }
  const needed = Math.ceil(width * bits / 32) * 4 * height;
  if (bytes.length - at < needed) {
    throw new SyntaxError(
      `BMP: ${width} x ${height} pixels need ${needed} bytes: there are ${
        Math.max(0, bytes.length - at)
      }`,
    );
  }
  return bits > 8
    ? unpackColours(bytes, header)
    : paint(unpackIndices(bytes, header), width, height, colours);
}
