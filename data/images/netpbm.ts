/**
 * Netpbm's grey and colour pictures (.pgm and .ppm), as text or as bytes
 * (https://netpbm.sourceforge.net/doc/ppm.html): sharp's builds do not read them.
 *
 * @module
 */
import { checkPixels, type RgbImage, roundHalfEven } from "./rgb_image.ts";

const LINE_FEED = 10;
const HASH = 35;
const DIGIT_ZERO = 48;

/** What the two letters at a file's start say. */
const KINDS: Record<string, { channels: 1 | 3; text: boolean }> = {
  P2: { channels: 1, text: true },
  P3: { channels: 3, text: true },
  P5: { channels: 1, text: false },
  P6: { channels: 3, text: false },
};

function kindOf(bytes: Uint8Array) {
  return KINDS[String.fromCharCode(bytes[0], bytes[1])];
}

/** Whether bytes start as a grey or a colour picture of Netpbm does. */
export function isNetpbm(bytes: Uint8Array): boolean {
  return kindOf(bytes) !== undefined && isSpace(bytes[2]);
}

function isSpace(byte: number): boolean {
  return byte === 32 || (byte >= 9 && byte <= 13);
}

/** What stands before the samples. */
interface Header {
  width: number;
  height: number;
  /** The largest value. */
  most: number;
  channels: 1 | 3;
  text: boolean;
}

/** A number at the place of `cursor`, after white space and comments. */
function readNumber(bytes: Uint8Array, cursor: { at: number }, what: string): number {
  let at = cursor.at;
  while (isSpace(bytes[at]) || bytes[at] === HASH) {
    if (bytes[at++] === HASH) { while (at < bytes.length && bytes[at] !== LINE_FEED) at++; }
  }
  const start = at;
  let value = 0;
  for (let digit; (digit = bytes[at] - DIGIT_ZERO) >= 0 && digit <= 9; at++) {
    value = 10 * value + digit;
  }
  if (at === start) throw new SyntaxError(`Netpbm: at byte ${at} ${what} must be a number`);
  cursor.at = at;
  return value;
}

function readHeader(bytes: Uint8Array, cursor: { at: number }): Header {
  if (!isNetpbm(bytes)) throw new SyntaxError("Netpbm: it must start with P2, P3, P5 or P6");
  cursor.at = 2;
  const width = readNumber(bytes, cursor, "the width");
  const height = readNumber(bytes, cursor, "the height");
  return { width, height, most: readNumber(bytes, cursor, "the largest value"), ...kindOf(bytes) };
}

/** The size of a picture of Netpbm. What is malformed is a SyntaxError. */
export function netpbmSize(bytes: Uint8Array): { width: number; height: number } {
  const { width, height } = readHeader(bytes, { at: 0 });
  return { width, height };
}

/**
 * Decode a grey or colour picture of Netpbm, `P2`, `P3`, `P5` or `P6`, to 8 bits a channel. What is
 * malformed or truncated, or has more than `maxPixels` pixels, is a SyntaxError.
 *
 * ```ts
 * const bytes = new TextEncoder().encode("P3 # one red pixel\n1 1 15\n15 0 0");
 * const { data } = decodeNetpbm(bytes, 100);
 * if (data.join() !== "255,0,0") throw new Error(`got ${data}`);
 * ```
 */
export function decodeNetpbm(bytes: Uint8Array, maxPixels: number): RgbImage {
  const cursor = { at: 0 };
  const { width, height, most, channels, text } = readHeader(bytes, cursor);
  checkPixels(width, height, maxPixels);
  if (most < 1 || most > 65535) {
    throw new SyntaxError(`Netpbm: the largest value must be 1 to 65535: it is ${most}`);
  }
  let at = cursor.at + 1; // one white space byte ends the header
  const sampleBytes = most > 255 ? 2 : 1;
  // As text a value takes a digit at least, and all but the last one a space.
  const needed = width * height * channels * (text ? 2 : sampleBytes) - (text ? 1 : 0);
  if (bytes.length - at < needed) {
    throw new SyntaxError(
      `Netpbm: ${width} x ${height} pixels need ${needed} bytes: there are ${
        Math.max(0, bytes.length - at)
      }`,
    );
  }
  const sample = (): number => {
    if (text) {
      cursor.at = at;
      const value = readNumber(bytes, cursor, "a value");
      at = cursor.at;
      return value;
    }
    return sampleBytes === 1 ? bytes[at++] : 256 * bytes[at++] + bytes[at++];
  };
  const data = new Uint8Array(3 * width * height);
  for (let i = 0; i < data.length; i++) {
    if (channels === 1 && i % 3 > 0) {
      data[i] = data[i - 1];
      continue;
    }
    const value = sample();
    if (value > most) {
      throw new SyntaxError(
        `Netpbm: a value must be 0 to ${most}: before byte ${at} it is ${value}`,
      );
    }
    data[i] = most === 255 ? value : roundHalfEven(value / most * 255);
  }
  return { width, height, data };
}
