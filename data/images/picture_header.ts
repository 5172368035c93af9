/**
 * What kind of picture a file is by its first bytes, how large it is, and what decoding it takes, all before
 * anything is decoded.
 *
 * @module
 */
import { gifSize } from "./gif.ts";
import { quote } from "../files/messages.ts";
import { tiffHeader } from "./tiff_header.ts";
import { UserError } from "../files/user_error.ts";

/** The kinds of picture that are read. */
export type PictureKind = "JPEG" | "PNG" | "WebP" | "TIFF" | "GIF";

/** What is known of a picture before it is decoded. */
export interface PictureHeader {
  kind: PictureKind;
  width: number;
  height: number;
  /** Whether it is in inks, cyan, magenta, yellow and black. */
  cmyk?: boolean;
  /** What a decoder holds for each pixel besides the three bytes of the result. */
  workBytes: number;
}

/** Files that are often taken for pictures of these kinds, by how they begin after `at` bytes. */
const OTHERS: readonly (readonly [start: string, what: string, at?: number])[] = [
  ["<svg", "an SVG drawing"],
  ["<?xml", "an XML or SVG file"],
  ["<!DOCTYPE html", "a web page"],
  ["<html", "a web page"],
  ["%PDF", "a PDF file"],
  ["%!PS", "a PostScript file"],
  ["ftyp", "a HEIF, AVIF or video file", 4],
  ["\x1f\x8b", "a gzip file"],
  ["PK\x03\x04", "a zip file"],
  ["\0\0\0\fjP  ", "a JPEG 2000 file"],
  ["\xff\x4f\xff\x51", "a JPEG 2000 file"],
  ["8BPS", "a Photoshop file"],
  ["\0\0\x01\0", "an icon file"],
  ["BM", "a BMP file"],
  ...[1, 2, 3, 4, 5, 6].map((n): [string, string] => [`P${n}`, "a Netpbm file"]),
  ["version https://git-lfs", "a Git LFS pointer, and the file itself is not fetched"],
];

const startsWith = (bytes: Uint8Array, start: string, at = 0): boolean =>
  [...start].every((character, i) => bytes[at + i] === character.charCodeAt(0));

function kindOf(bytes: Uint8Array): PictureKind {
  if (startsWith(bytes, "\xff\xd8\xff")) return "JPEG";
  if (startsWith(bytes, "\x89PNG\r\n\x1a\n")) return "PNG";
  if (startsWith(bytes, "RIFF") && startsWith(bytes, "WEBP", 8)) return "WebP";
  if (["II*\0", "MM\0*", "II+\0", "MM\0+"].some((start) => startsWith(bytes, start))) return "TIFF";
  if (startsWith(bytes, "GIF87a") || startsWith(bytes, "GIF89a")) return "GIF";
  const text = String.fromCharCode(...bytes.subarray(0, 24));
  const other = OTHERS.find(([start, , at]) =>
    startsWith(bytes, start, at) || text.trimStart().toLowerCase().startsWith(start.toLowerCase())
  );
  throw new UserError(
    `it is none of the kinds that are read (JPEG, PNG, WebP, TIFF, GIF): ${
      other === undefined
        ? `it begins with ${quote(text.slice(0, 8))}`
        : `it seems to be ${other[1]}`
    }`,
  );
}

/**
 * Read the header of a picture. What is of no kind that is read, or malformed, is a UserError.
 *
 * ```ts
 * const bytes = Uint8Array.fromBase64("R0lGODlhAwACAIAAAAAAAAAAACwAAAAAAwACAAACA4RvBQA7");
 * const { kind, width, height } = pictureHeader(bytes);
 * if (kind !== "GIF" || width !== 3 || height !== 2) throw new Error(`${kind} ${width} ${height}`);
 * ```
 */
export function pictureHeader(bytes: Uint8Array): PictureHeader {
  const kind = kindOf(bytes);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  try {
    switch (kind) {
      case "JPEG":
        return { kind, ...jpegHeader(view) };
      case "PNG":
        return { kind, ...pngHeader(view) };
      case "WebP":
        return { kind, ...webpHeader(view) };
      case "TIFF":
        return { kind, ...tiffHeader(view) };
      case "GIF":
        return { kind, ...gifSize(bytes), workBytes: 1 };
    }
  } catch (error) {
    // A DataView's, of which only the place says something.
    if (error instanceof RangeError) throw new UserError(`${kind}: it ends within the header`);
    throw error;
  }
}

/** Programs write ten scans or so; each one takes a pass over the whole picture. */
const MOST_SCANS = 100;

/** Frame headers: C0 to CF but for tables (C4), an extension (C8) and arithmetic coding's settings (CC). */
const isFrame = (marker: number) =>
  marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);

function jpegHeader(view: DataView): Omit<PictureHeader, "kind"> {
  const bytes = new Uint8Array(view.buffer, view.byteOffset, view.byteLength);
  let frame: { width: number; height: number; samples: number[] } | undefined;
  let sequential = false;
  let scans = 0;
  let inOneScan = false;
  // What stands between segments is coded data, or stray bytes, which decoders pass over.
  for (let at = bytes.indexOf(0xff, 2); at >= 0 && at + 4 <= bytes.length && !inOneScan;) {
    const marker = bytes[at + 1];
    if (marker === 0xd9) break;
    if (marker <= 1 || marker === 0xff || (marker >= 0xd0 && marker <= 0xd8)) {
      at = bytes.indexOf(0xff, at + (marker === 0xff ? 1 : 2)); // no segment follows
      continue;
    }
    if (isFrame(marker) && frame === undefined) {
      if (bytes[at + 4] !== 8) {
        throw new UserError(`JPEG: it has ${bytes[at + 4]} bits a sample, and only 8 are read`);
      }
      const channels = view.getUint8(at + 9);
      frame = {
        width: view.getUint16(at + 7),
        height: view.getUint16(at + 5),
        samples: Array.from({ length: channels }, (_, i) => view.getUint8(at + 11 + 3 * i)),
      };
      sequential = marker === 0xc0 || marker === 0xc1;
    } else if (marker === 0xda) {
      if (++scans > MOST_SCANS) throw new UserError(`JPEG: it has more than ${MOST_SCANS} scans`);
      inOneScan = sequential && bytes[at + 4] === frame?.samples.length;
    }
    at = bytes.indexOf(0xff, at + 2 + view.getUint16(at + 2));
  }
  if (frame === undefined) throw new UserError("JPEG: it ends before its size");
  const { width, height, samples } = frame;
  const cmyk = samples.length === 4;
  // Until the last of several scans all coefficients are held, two bytes each.
  const area = (factors: number) => (factors >> 4) * (factors & 15);
  const coefficients = samples.reduce((sum, factors) => sum + area(factors), 0) /
    Math.max(1, ...samples.map(area));
  return { width, height, cmyk, workBytes: (inOneScan ? 0 : 2 * coefficients) + (cmyk ? 1 : 0) };
}

function pngHeader(view: DataView): Omit<PictureHeader, "kind"> {
  const [width, height, bits, color] = [
    view.getUint32(16),
    view.getUint32(20),
    view.getUint8(24),
    view.getUint8(25),
  ];
  const channels = { 0: 1, 2: 3, 3: 3, 4: 2, 6: 4 }[color] ?? 4;
  const interlaced = view.getUint8(28) !== 0;
  return { width, height, workBytes: interlaced ? Math.max(4, channels * bits / 8) : 0 };
}

function webpHeader(view: DataView): Omit<PictureHeader, "kind"> {
  // A decoder holds the whole picture with its alpha, and without losses once more.
  const workBytes = 8;
  const kind = String.fromCharCode(...[12, 13, 14, 15].map((at) => view.getUint8(at)));
  if (kind === "VP8 ") {
    const [width, height] = [view.getUint16(26, true) & 0x3fff, view.getUint16(28, true) & 0x3fff];
    return { width, height, workBytes };
  }
  if (kind === "VP8L") {
    const bits = view.getUint32(21, true);
    return { width: (bits & 0x3fff) + 1, height: (bits >>> 14 & 0x3fff) + 1, workBytes };
  }
  if (kind !== "VP8X") throw new UserError("WebP: its first chunk is of no kind that is known");
  const size = (at: number) => view.getUint16(at, true) + (view.getUint8(at + 2) << 16) + 1;
  return { width: size(24), height: size(27), workBytes };
}
