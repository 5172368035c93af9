/**
 * Pictures from files and to files, by sharp (https://sharp.pixelplumbing.com). Decoding runs in sharp's
 * own threads.
 *
 * The packages are loaded at the first use. sharp needs `--allow-ffi` and
 * `--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX`, and `--allow-read` like every file.
 *
 * @module
 */
import { decodeNetpbm, isNetpbm } from "./netpbm.ts";
import { checkImage, checkPixels, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";

export { type Box, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";

/** The longest file that is read, in bytes. */
const MAX_FILE = 2 ** 29;

type Sharp = typeof import("npm:sharp@0.35.5").default;

/** Load sharp. Where it has no build for the platform or a permission is missing: a TypeError with the reason. */
export async function loadSharp(): Promise<Sharp> {
  try {
    return (await import("npm:sharp@0.35.5")).default;
  } catch (error) {
    throw new TypeError(
      "The image library sharp cannot be loaded (it needs --allow-ffi and " +
        `--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX): ${oneLine(error)}`,
    );
  }
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, " ").trim().slice(0, 300);
}

/**
 * Decode a picture, from a file or its bytes: JPEG, PNG, WebP, TIFF, GIF, AVIF, SVG, BMP, PPM or PGM.
 *
 * It is turned as its EXIF orientation says. Grey, palette and CMYK become RGB, 16 bits a channel become 8,
 * of several frames the first counts. As in PIL's `convert("RGB")`, alpha is dropped and a colour profile
 * left aside, so a network sees what it saw in training.
 *
 * An empty, truncated or otherwise broken file, one that is no picture, and one of more than `maxPixels`
 * (2^27 if left out) are a SyntaxError that names the file. A file that is not there is a `Deno.errors.NotFound`.
 *
 * ```ts ignore
 * const { width, height, data } = await decodeImage("ant.jpg");
 * console.log(`${width} x ${height}, the first pixel is rgb(${data.subarray(0, 3)})`);
 * ```
 */
export async function decodeImage(
  source: string | Uint8Array,
  { maxPixels = MAX_PIXELS }: { maxPixels?: number } = {},
): Promise<RgbImage> {
  if (!Number.isSafeInteger(maxPixels) || maxPixels < 1 || maxPixels > MAX_PIXELS) {
    throw new RangeError(
      `maxPixels must be an integer from 1 to ${MAX_PIXELS}: it is ${maxPixels}`,
    );
  }
  const name = typeof source === "string" ? source : `A picture of ${source.length} bytes`;
  try {
    const bytes = typeof source === "string" ? await readFile(source) : source;
    if (bytes.length === 0) throw new SyntaxError("it is empty");
    if (isNetpbm(bytes)) return decodeNetpbm(bytes, maxPixels);
    if (bytes[0] === 0x42 && bytes[1] === 0x4d) return await decodeBmp(bytes, maxPixels);
    return await decodeBySharp(bytes, maxPixels);
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    throw new SyntaxError(`${name} cannot be read as a picture: ${error.message}`);
  }
}

async function readFile(path: string): Promise<Uint8Array> {
  const { isFile, size } = await Deno.stat(path);
  if (!isFile) throw new SyntaxError("it is no file");
  if (size > MAX_FILE) {
    throw new SyntaxError(`it has ${size} bytes, at most ${MAX_FILE} are read`);
  }
  return await Deno.readFile(path);
}

async function decodeBySharp(bytes: Uint8Array, maxPixels: number): Promise<RgbImage> {
  const sharp = await loadSharp();
  try {
    const { data, info } = await sharp(bytes, {
      failOn: "error", // a truncated file fails, a JPEG with stray bytes does not
      ignoreIcc: true,
      limitInputPixels: maxPixels,
    }).autoOrient().removeAlpha().toColourspace("srgb").raw().toBuffer({ resolveWithObject: true });
    const { width, height } = info;
    const image = { width, height, data: plain(data) };
    checkImage(image);
    return image;
  } catch (error) {
    const reason = oneLine(error).replace(/^Input (buffer|image) /, "it ");
    throw new SyntaxError(reason);
  }
}

/** Node's Buffer as the plain class it extends. */
function plain(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);
}

/** sharp's builds do not read BMP; libnsbmp, compiled to WebAssembly, does. */
async function decodeBmp(bytes: Uint8Array, maxPixels: number): Promise<RgbImage> {
  if (bytes.length < 26) throw new SyntaxError("BMP: it ends within the header");
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  const old = view.getUint32(14, true) === 12; // OS/2's header has sizes of 16 bits
  const columns = old ? view.getUint16(18, true) : view.getInt32(18, true);
  const rows = old ? view.getUint16(20, true) : Math.abs(view.getInt32(22, true)); // below 0: from the top
  checkPixels(columns, rows, maxPixels);
  const { default: nsbmp } = await import("npm:@cwasm/nsbmp@0.1.3");
  try {
    const { width, height, data: rgba } = nsbmp.decode(bytes);
    const data = new Uint8Array(3 * width * height);
    for (let i = 0; i < data.length; i++) data[i] = rgba[i + Math.floor(i / 3)];
    return { width, height, data };
  } catch {
    throw new SyntaxError("BMP: it is truncated, broken or of a kind that is not read");
  }
}

/** Encode a picture as PNG. A picture of a wrong size or length is a RangeError or a TypeError. */
export async function encodePng(image: RgbImage): Promise<Uint8Array<ArrayBuffer>> {
  return plain(await (await fromRgb(image)).png().toBuffer());
}

/** Encode a picture as JPEG, of `quality` 1 to 100; another one is a RangeError. */
export async function encodeJpeg(
  image: RgbImage,
  { quality = 90 }: { quality?: number } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new RangeError(`quality must be an integer from 1 to 100: it is ${quality}`);
  }
  return plain(await (await fromRgb(image)).jpeg({ quality }).toBuffer());
}

async function fromRgb(image: RgbImage) {
  checkImage(image);
  const { width, height, data } = image;
  return (await loadSharp())(data, { raw: { width, height, channels: 3 } });
}
