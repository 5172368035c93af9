/**
 * The first frame of a GIF (https://www.w3.org/Graphics/GIF/spec-gif89a.txt), with the colors that PIL gives it:
 * pixels that are transparent keep the color of their number, which sharp does not tell.
 *
 * @module
 */
import { checkPixels, type RgbImage } from "./rgb_image.ts";
import { UserError } from "../files/user_error.ts";

const EXTENSION = 0x21;
const IMAGE = 0x2c;
const END = 0x3b;
const GRAPHIC_CONTROL = 0xf9;

/** Codes have at most 12 bits. */
const MOST_CODES = 4096;

/**
 * The picture of numbers of colors, `[height, width]`, and colors, `[C, 3]`. As in PIL a number beyond the last
 * color is that grey. The numbers' memory is let go of.
 */
function paint(
  indices: Uint8Array<ArrayBuffer>,
  width: number,
  height: number,
  colors: Uint8Array,
): RgbImage {
  const table = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));
  table.set(colors.subarray(0, 768));
  const data = new Uint8Array(3 * width * height);
  for (let i = 0, to = 0; to < data.length; i++, to += 3) {
    const from = 3 * indices[i];
    data[to] = table[from];
    data[to + 1] = table[from + 1];
    data[to + 2] = table[from + 2];
  }
  indices.buffer.transfer(0);
  return { width, height, data };
}

/** The first frame, not yet decoded. */
interface Frame {
  /** The size of the whole picture, which holds the frame. */
  width: number;
  height: number;
  left: number;
  top: number;
  frameWidth: number;
  frameHeight: number;
  interlaced: boolean;
  transparent: number | undefined;
  /** `[C, 3]` */
  colors: Uint8Array;
  /** Where the bits of the smallest code stand; the data follow. */
  at: number;
}

/** The colors of a table, or none where its numbers stand for greys. */
function readColors(bytes: Uint8Array, at: number, flags: number): Uint8Array | undefined {
  return flags & 0x80 ? bytes.subarray(at, at + (6 << (flags & 7))) : undefined;
}

/** Find the first frame. A UserError where there is none. */
function readFrame(bytes: Uint8Array): Frame {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const short = (at: number) => view.getUint16(at, true);
  const missing = () => new UserError("GIF: it ends before its first frame");
  if (bytes.length < 13) throw missing();
  const shared = readColors(bytes, 13, bytes[10]);
  let at = 13 + (shared === undefined ? 0 : 6 << (bytes[10] & 7));
  let transparent: number | undefined;
  while (at < bytes.length && bytes[at] !== END) {
    const kind = bytes[at++];
    if (kind === EXTENSION) {
      if (bytes[at] === GRAPHIC_CONTROL && bytes[at + 2] & 1) transparent = bytes[at + 5];
      for (at++; bytes[at] > 0; at += bytes[at] + 1);
      at++;
    } else if (kind === IMAGE) {
      if (at + 10 > bytes.length) throw missing();
      const [left, top, frameWidth, frameHeight] = [0, 2, 4, 6].map((place) => short(at + place));
      const flags = bytes[at + 8];
      const own = readColors(bytes, at + 9, flags);
      return {
        width: Math.max(short(6), left + frameWidth),
        height: Math.max(short(8), top + frameHeight),
        ...{ left, top, frameWidth, frameHeight, transparent },
        interlaced: (flags & 0x40) !== 0,
        colors: own ?? shared ?? new Uint8Array(0),
        at: at + 9 + (own === undefined ? 0 : 6 << (flags & 7)),
      };
    }
  }
  throw missing();
}

/** The size of a GIF: that of its screen, or of its first frame where that goes beyond. */
export function gifSize(bytes: Uint8Array): { width: number; height: number } {
  const { width, height } = readFrame(bytes);
  return { width, height };
}

/** The rows of a frame in the order in which they are stored. */
function* rowOrder(height: number, interlaced: boolean): Generator<number> {
  const passes = interlaced ? [[0, 8], [4, 8], [2, 4], [1, 2]] : [[0, 1]];
  for (const [first, step] of passes) {
    for (let row = first; row < height; row += step) yield row;
  }
}

/**
 * Undo GIF's variant of Lempel-Ziv-Welch: `count` numbers of colors. A UserError for codes that are not
 * possible, and for data that end early.
 */
function unpackCodes(bytes: Uint8Array, at: number, count: number): Uint8Array<ArrayBuffer> {
  const least = bytes[at++];
  if (!(least >= 1 && least <= 11)) {
    throw new UserError(`GIF: codes of ${least} bits are not allowed`);
  }
  const [clear, end] = [1 << least, (1 << least) + 1];
  // A code is the text of an earlier one and a last number.
  const earlier = new Uint16Array(MOST_CODES);
  const last = new Uint8Array(MOST_CODES);
  const lengths = new Uint32Array(MOST_CODES);
  for (let code = 0; code < clear; code++) {
    last[code] = code;
    lengths[code] = 1;
  }
  const unpacked = new Uint8Array(count);
  let [next, size] = [end + 1, least + 1];
  let previous = -1;
  let [bits, held] = [0, 0];
  let inBlock = 0;
  for (let to = 0; to < count;) {
    while (held < size) {
      if (inBlock === 0) inBlock = bytes[at++] ?? 0;
      if (inBlock === 0 || at >= bytes.length) {
        throw new UserError(`GIF: its data end after ${to} of ${count} pixels`);
      }
      bits |= bytes[at++] << held;
      held += 8;
      inBlock--;
    }
    const code = bits & ((1 << size) - 1);
    bits >>>= size;
    held -= size;
    if (code === clear) {
      [next, size, previous] = [end + 1, least + 1, -1];
      continue;
    }
    if (code === end) throw new UserError(`GIF: its data end after ${to} of ${count} pixels`);
    if (code > next || (code === next && previous < 0) || (previous < 0 && code > end)) {
      throw new UserError(`GIF: code ${code} at pixel ${to} stands for nothing`);
    }
    if (previous >= 0 && next < MOST_CODES) {
      earlier[next] = previous;
      lengths[next] = lengths[previous] + 1;
      let first = code === next ? previous : code;
      while (first >= clear) first = earlier[first];
      last[next++] = last[first];
      if (next === 1 << size && size < 12) size++;
    }
    let from = code;
    for (let place = to + lengths[code] - 1; place >= to; place--) {
      if (place < count) unpacked[place] = last[from];
      from = earlier[from];
    }
    to += lengths[code];
    previous = code;
  }
  return unpacked;
}

/**
 * Decode the first frame of a GIF. Around a frame that does not fill the picture stands its transparent color,
 * or color 0, as in PIL. What is malformed or truncated, or has more than `maxPixels` pixels, is a UserError.
 */
export function decodeGif(bytes: Uint8Array, maxPixels: number): RgbImage {
  const frame = readFrame(bytes);
  const { width, height, left, top, frameWidth, frameHeight } = frame;
  checkPixels(width, height, maxPixels);
  checkPixels(frameWidth, frameHeight, maxPixels);
  const stored = unpackCodes(bytes, frame.at, frameWidth * frameHeight);
  const whole = frameWidth === width && frameHeight === height;
  if (whole && !frame.interlaced) return paint(stored, width, height, frame.colors);
  const indices = new Uint8Array(width * height).fill(frame.transparent ?? 0);
  let from = 0;
  for (const row of rowOrder(frameHeight, frame.interlaced)) {
    indices.set(stored.subarray(from, from + frameWidth), (top + row) * width + left);
    from += frameWidth;
  }
  stored.buffer.transfer(0); // let go of at once
  return paint(indices, width, height, frame.colors);
}
