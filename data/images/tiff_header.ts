/**
 * What a TIFF's first directory says (TIFF 6.0, https://www.itu.int/itudoc/itu-t/com16/tiff-fx/docs/tiff6.pdf),
 * and whether it is of those whose pixels come out as PIL's.
 *
 * @module
 */
import { UserError } from "../files/user_error.ts";

/** A directory of a real file has some dozens. */
const MOST_ENTRIES = 4096;

/** More values than the samples of a pixel are of no use here. */
const MOST_VALUES = 16;

const TAGS = {
  width: 256,
  height: 257,
  bits: 258,
  compression: 259,
  photometric: 262,
  samples: 277,
  rowsPerStrip: 278,
  tileWidth: 322,
  tileHeight: 323,
  format: 339,
} as const;

/** How the values of an entry are stored: as 8, 16, 32 or 64 bits without a sign. */
const BYTES_OF_TYPE: Record<number, number> = { 1: 1, 3: 2, 4: 4, 16: 8 };

/** None, bilevel codes, LZW, JPEG, deflate, PackBits. */
const COMPRESSIONS = [1, 2, 3, 4, 5, 7, 8, 32773, 32946];

const [WHITE_IS_0, BLACK_IS_0, RGB, PALETTE, CMYK, YCBCR] = [0, 1, 2, 3, 5, 6];
const JPEG = 7;

/** The values of the tags above in the first directory. */
function readTags(view: DataView): Map<number, number[]> {
  const little = view.getUint8(0) === 0x49;
  const big = view.getUint16(2, little) === 43;
  const offset = (at: number) =>
    big ? Number(view.getBigUint64(at, little)) : view.getUint32(at, little);
  const start = offset(big ? 8 : 4);
  const count = big ? Number(view.getBigUint64(start, little)) : view.getUint16(start, little);
  if (count > MOST_ENTRIES) {
    throw new UserError(
      `TIFF: its directory has ${count} entries, and at most ${MOST_ENTRIES} are read`,
    );
  }
  const wanted = new Set<number>(Object.values(TAGS));
  const tags = new Map<number, number[]>();
  for (let i = 0; i < count; i++) {
    const at = start + (big ? 8 + 20 * i : 2 + 12 * i);
    const tag = view.getUint16(at, little);
    const bytes = BYTES_OF_TYPE[view.getUint16(at + 2, little)];
    if (!wanted.has(tag) || bytes === undefined) continue;
    const length = Math.min(offset(at + 4), MOST_VALUES);
    const inline = at + (big ? 12 : 8);
    const from = bytes * offset(at + 4) > (big ? 8 : 4) ? offset(inline) : inline;
    tags.set(
      tag,
      Array.from({ length }, (_, k) => {
        const place = from + k * bytes;
        if (bytes === 1) return view.getUint8(place);
        if (bytes === 2) return view.getUint16(place, little);
        return bytes === 4
          ? view.getUint32(place, little)
          : Number(view.getBigUint64(place, little));
      }),
    );
  }
  return tags;
}

/**
 * The size of a TIFF's first picture, whether it is in inks, and what decoding it takes. A UserError for what
 * is malformed, and for kinds whose pixels would not be PIL's: samples that are signed or no integers, inks of 16
 * bits, Lab, and codes that are rare. A RangeError where the file ends early.
 */
export function tiffHeader(
  view: DataView,
): { width: number; height: number; cmyk: boolean; workBytes: number } {
  const tags = readTags(view);
  const values = (name: keyof typeof TAGS, otherwise: number) =>
    tags.get(TAGS[name]) ?? [otherwise];
  const value = (name: keyof typeof TAGS, otherwise: number) =>
    values(name, otherwise)[0] ?? otherwise;
  const [width, height] = [value("width", 0), value("height", 0)];
  const [bits, samples] = [value("bits", 1), value("samples", 1)];
  const [photometric, compression] = [value("photometric", BLACK_IS_0), value("compression", 1)];
  const refuse = (what: string, allowed: string) => {
    throw new UserError(`TIFF: ${what} are not read, only ${allowed}`);
  };
  if (values("format", 1).some((format) => format !== 1)) {
    refuse("samples that are signed or no integers", "integers without a sign");
  }
  if (values("bits", 1).some((other) => other !== bits) || ![1, 2, 4, 8, 16].includes(bits)) {
    refuse(`samples of ${values("bits", 1).join(", ")} bits`, "those of 1, 2, 4, 8 or 16");
  }
  if (!COMPRESSIONS.includes(compression)) {
    refuse(
      `files of compression ${compression}`,
      "plain ones, bilevel codes, LZW, JPEG, deflate and PackBits",
    );
  }
  const cmyk = photometric === CMYK;
  const readable = photometric === RGB
    ? samples >= 3 && bits >= 8
    : cmyk
    ? samples === 4 && bits === 8
    : photometric === YCBCR
    ? compression === JPEG
    : photometric === PALETTE
    ? bits <= 8
    : [WHITE_IS_0, BLACK_IS_0].includes(photometric) && samples <= 2;
  if (!readable) {
    refuse(
      `${samples} samples of ${bits} bits with the meaning ${photometric}`,
      "black and white, grey, palette, RGB, CMYK of 8 bits and JPEG's YCbCr",
    );
  }
  const tileWidth = value("tileWidth", width);
  const blockRows = Math.max(
    value("tileHeight", 0),
    Math.min(height, value("rowsPerStrip", height)),
  );
  const pixels = Math.max(1, width * height);
  // A row of tiles, or a strip, is held as it is stored and as it is decoded.
  const across = Math.ceil(width / Math.max(1, tileWidth)) * tileWidth;
  const block = 2 * samples * Math.max(1, bits / 8) * across * blockRows / pixels;
  return { width, height, cmyk, workBytes: block + (cmyk ? 1 : 0) };
}
