/**
 * Pictures from files and to files, by sharp (https://sharp.pixelplumbing.com) and, where its colours are not
 * PIL's, by decoders here. sharp decodes in its own threads.
 *
 * The package is loaded at the first use. It needs `--allow-ffi` and
 * `--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX`, and `--allow-read` like every file.
 *
 * @module
 */
import { decodeBmp } from "./bmp.ts";
import { cmykToRgb } from "./cmyk.ts";
import { decodeGif } from "./gif.ts";
import { MemoryBudget } from "./memory_budget.ts";
import { printable } from "./messages.ts";
import { decodeNetpbm } from "./netpbm.ts";
import { type PictureHeader, pictureHeader } from "./picture_header.ts";
import { checkImage, checkPixels, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";

export { type Box, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";

/** What all decoding together may hold at a time, in bytes: the largest picture and its file. */
const BUDGET = new MemoryBudget(224 * 2 ** 20);

/** Longer files are read while nothing else is decoded, so that their bytes count as well. */
const LONG_FILE = 2 ** 23;

/** A picture that is turned takes its pixels twice; below so many the orientation is not asked for. */
const LARGE = 2 ** 22;

/** Smaller decoded pictures are copied to memory that the collector knows of, which sharp's is not. */
const SMALL = 2 ** 25;

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
 * Decode a picture, from a file or its bytes: JPEG, PNG, WebP, TIFF, GIF, BMP, PPM or PGM, as its first bytes
 * say, whatever it is called.
 *
 * The pixels are those of PIL's `convert("RGB")`, with which networks were trained: alpha is dropped and a
 * colour profile left aside, of several frames the first counts. Two things are other than there: a picture is
 * turned as its EXIF orientation says, and grey of 16 bits becomes its upper 8, as colours of 16 bits do (PIL
 * makes white of all above 255). Kinds for which PIL's pixels are not to be had here, such as TIFF in
 * floating-point numbers, are a SyntaxError.
 *
 * An empty, truncated or otherwise broken file, one that is no picture, and one of more than `maxPixels` (2^26 if
 * left out, which is also the most) are a SyntaxError that names the file. So is one that takes more than 224 MiB
 * to decode; all decoding together stays within that. A file that is not there is a `Deno.errors.NotFound`.
 *
 * ```ts ignore
 * const { width, height, data } = await decodeImage("ant.jpg");
 * console.log(`${width} x ${height}, the first pixel is rgb(${data.subarray(0, 3)})`);
 * ```
 */
export function decodeImage(
  source: string | Uint8Array,
  { maxPixels = MAX_PIXELS }: { maxPixels?: number } = {},
): Promise<RgbImage> {
  return useImage(source, (image) => image, maxPixels);
}

/**
 * Decode a picture as {@linkcode decodeImage} does, and hand it to `use` while the memory that it takes still
 * counts. `use` must not keep the picture: its memory is let go of at once, unless it is the result's.
 */
export async function useImage(
  source: string | Uint8Array,
  use: (image: RgbImage) => RgbImage,
  maxPixels: number = MAX_PIXELS,
): Promise<RgbImage> {
  if (!Number.isSafeInteger(maxPixels) || maxPixels < 1 || maxPixels > MAX_PIXELS) {
    throw new RangeError(
      `maxPixels must be an integer from 1 to ${MAX_PIXELS}: it is ${maxPixels}`,
    );
  }
  try {
    const size = typeof source === "string" ? await fileSize(source) : 0;
    const read = async () =>
      new Picture(
        typeof source === "string" ? await Deno.readFile(source) : source,
        size,
        maxPixels,
      );
    if (size > LONG_FILE) {
      return await BUDGET.run(BUDGET.bytes, async () => (await read()).decode(use));
    }
    const picture = await read();
    try {
      return await BUDGET.run(picture.cost, () => picture.decode(use));
    } catch (error) {
      if (!(error instanceof LibraryError)) throw error;
      // The library's threads share the place of their messages: alone, the reason is this picture's.
      return await BUDGET.run(BUDGET.bytes, () => picture.decode(use));
    }
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const name = typeof source === "string"
      ? printable(source)
      : `A picture of ${source.length} bytes`;
    throw new SyntaxError(`${name} cannot be read as a picture: ${error.message}`);
  }
}

/** The size of a file. A SyntaxError where it is no regular file, or longer than can be read. */
async function fileSize(path: string): Promise<number> {
  const { isFile, size } = await Deno.stat(path);
  if (!isFile) throw new SyntaxError("it is no file");
  if (size > BUDGET.bytes) {
    throw new SyntaxError(`it has ${size} bytes, at most ${BUDGET.bytes} are read`);
  }
  return size;
}

/** What sharp says of a picture that it does not decode. */
class LibraryError extends SyntaxError {}

/** The bytes of a picture, checked as far as its header tells. */
class Picture {
  readonly #header: PictureHeader;

  /** @param fileBytes What counts of `bytes`. */
  constructor(readonly bytes: Uint8Array, readonly fileBytes: number, readonly maxPixels: number) {
    if (bytes.length === 0) throw new SyntaxError("it is empty");
    this.#header = pictureHeader(bytes);
    checkPixels(this.#header.width, this.#header.height, maxPixels);
    this.#checkCost(this.cost);
  }

  /** So many bytes are held while it is decoded. */
  get cost(): number {
    const { width, height, workBytes } = this.#header;
    return Math.ceil(width * height * (3 + workBytes)) + this.fileBytes;
  }

  #checkCost(cost: number): void {
    if (cost <= BUDGET.bytes) return;
    const { kind, width, height } = this.#header;
    const [needed, allowed] = [cost, BUDGET.bytes].map((bytes) => Math.ceil(bytes / 2 ** 20));
    throw new SyntaxError(
      `${kind}: ${width} x ${height} pixels stored like this take ${needed} MiB to decode, and at most ` +
        `${allowed} are allowed: make it smaller`,
    );
  }

  async decode(use: (image: RgbImage) => RgbImage): Promise<RgbImage> {
    const { bytes, maxPixels } = this;
    switch (this.#header.kind) {
      case "GIF":
        return use(decodeGif(bytes, maxPixels));
      case "BMP":
        return use(decodeBmp(bytes, maxPixels));
      case "Netpbm":
        return use(decodeNetpbm(bytes, maxPixels));
    }
    return used(await this.#decodeBySharp(), use);
  }

  async #decodeBySharp(): Promise<RgbImage> {
    const sharp = await loadSharp();
    const { cmyk, width, height } = this.#header;
    try {
      const input = sharp(this.bytes, {
        failOn: "error", // a truncated file fails, a JPEG with stray bytes does not
        ignoreIcc: true,
        limitInputPixels: this.maxPixels,
      });
      if (width * height > LARGE) {
        const { orientation = 1 } = await input.metadata();
        if (orientation > 1) this.#checkCost(this.cost + 3 * width * height);
      }
      const upright = input.autoOrient();
      const pixels = cmyk
        ? upright.pipelineColourspace("cmyk").toColourspace("cmyk")
        : upright.removeAlpha().toColourspace("srgb");
      const { data, info } = await pixels.raw().toBuffer({ resolveWithObject: true });
      const decoded = { width: info.width, height: info.height, data: plain(data) };
      const image = cmyk ? cmykToRgb(decoded) : decoded;
      checkImage(image);
      return image;
    } catch (error) {
      if (error instanceof SyntaxError) throw error;
      throw new LibraryError(oneLine(error).replace(/^Input (buffer|image) /, "it "));
    }
  }
}

/** What `use` makes of a picture in sharp's memory, which the collector does not know the size of. */
function used(decoded: RgbImage, use: (image: RgbImage) => RgbImage): RgbImage {
  const { buffer } = decoded.data;
  const result = use(decoded);
  if (result.data.buffer === buffer && result.data.length > SMALL) return result;
  const own = result.data.buffer === buffer ? { ...result, data: result.data.slice() } : result;
  buffer.transfer(0); // let go of at once
  return own;
}

/** Node's Buffer as the plain class it extends. */
function plain(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);
}

/** Encode a picture as PNG. A picture of a wrong size or length is a RangeError or a TypeError. */
export async function encodePng(image: RgbImage): Promise<Uint8Array<ArrayBuffer>> {
  const input = await fromRgb(image);
  return plain(await BUDGET.run(image.data.length, () => input.png().toBuffer()));
}

/** Encode a picture as JPEG, of `quality` 1 to 100; another one is a RangeError. */
export async function encodeJpeg(
  image: RgbImage,
  { quality = 90 }: { quality?: number } = {},
): Promise<Uint8Array<ArrayBuffer>> {
  if (!Number.isInteger(quality) || quality < 1 || quality > 100) {
    throw new RangeError(`quality must be an integer from 1 to 100: it is ${quality}`);
  }
  const input = await fromRgb(image);
  return plain(await BUDGET.run(image.data.length, () => input.jpeg({ quality }).toBuffer()));
}

async function fromRgb(image: RgbImage) {
  checkImage(image);
  const { width, height, data } = image;
  return (await loadSharp())(data, { raw: { width, height, channels: 3 } });
}
