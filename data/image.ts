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
import { pngFault } from "./png_fault.ts";
import { type PictureHeader, pictureHeader } from "./picture_header.ts";
import { checkImage, checkPixels, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";
import { placeTurned } from "./turned.ts";

export { type Box, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";

/** What all decoding together may hold at a time, in bytes: the largest picture and its file. */
const BUDGET = new MemoryBudget(224 * 2 ** 20);

/** Longer files are read while nothing else is decoded, so that their bytes count as well. */
const LONG_FILE = 2 ** 23;

/** They are read in such pieces. */
const READ = 2 ** 20;

/** The kinds that sharp decodes. */
const BY_LIBRARY = new Set(["JPEG", "PNG", "WebP", "TIFF"]);

/** A picture that is turned takes its pixels twice; below so many the orientation is not asked for. */
const LARGE = 2 ** 22;

/** A picture for which that is too much is turned in so many strips. */
const STRIPS = 4;

/** Smaller decoded pictures are copied to memory that the collector knows of, which sharp's is not. */
const SMALL = 2 ** 25;

type Sharp = typeof import("npm:sharp@0.35.5").default;
type SharpInput = ReturnType<Sharp>;

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
    if (typeof source !== "string") return await useBytes(source, 0, use, maxPixels);
    const size = await fileSize(source);
    if (size <= LONG_FILE) return await useBytes(await Deno.readFile(source), size, use, maxPixels);
    return await BUDGET.run(BUDGET.bytes, async () => {
      const bytes = await readLong(source, size);
      try {
        return await (await Picture.open(bytes, size, maxPixels)).decode(use);
      } finally {
        bytes.buffer.transfer(0); // let go of at once
      }
    });
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
    const name = typeof source === "string"
      ? printable(source)
      : `A picture of ${source.length} bytes`;
    throw new SyntaxError(`${name} cannot be read as a picture: ${error.message}`);
  }
}

async function useBytes(
  bytes: Uint8Array,
  fileBytes: number,
  use: (image: RgbImage) => RgbImage,
  maxPixels: number,
): Promise<RgbImage> {
  const picture = await Picture.open(bytes, fileBytes, maxPixels);
  try {
    return await BUDGET.run(picture.cost, () => picture.decode(use));
  } catch (error) {
    if (!(error instanceof LibraryError)) throw error;
    // The library's threads share the place of their messages: alone, the reason is this picture's.
    return await BUDGET.run(BUDGET.bytes, () => picture.decode(use));
  }
}

/** Read a file into memory of its size; `Deno.readFile` takes twice that. */
async function readLong(path: string, size: number): Promise<Uint8Array<ArrayBuffer>> {
  using file = await Deno.open(path);
  const bytes = new Uint8Array(size);
  let done = 0;
  while (done < size) {
    const count = await file.read(bytes.subarray(done, done + READ));
    if (count === null) {
      throw new SyntaxError(`it became shorter than ${size} bytes while it was read`);
    }
    done += count;
  }
  return bytes;
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
  private constructor(
    readonly bytes: Uint8Array,
    readonly header: PictureHeader,
    readonly maxPixels: number,
    /** So many bytes are held while it is decoded. */
    readonly cost: number,
    /** EXIF's, where the picture is turned here, strip by strip; 1 where the library turns it. */
    readonly orientation: number,
  ) {}

  /**
   * Look at the header. A SyntaxError where it is malformed, and where the picture is too large.
   *
   * @param fileBytes So many of `bytes` count.
   */
  static async open(bytes: Uint8Array, fileBytes: number, maxPixels: number): Promise<Picture> {
    if (bytes.length === 0) throw new SyntaxError("it is empty");
    const header = pictureHeader(bytes);
    const { kind, width, height, workBytes } = header;
    checkPixels(width, height, maxPixels);
    const large = width * height > LARGE && BY_LIBRARY.has(kind);
    const orientation = large ? await orientationOf(bytes) : 1;
    const cost = (each: number) => Math.ceil(width * height * (3 + workBytes + each)) + fileBytes;
    const fits = (bytes: number) => bytes <= BUDGET.bytes;
    // What the library turns is held twice. Strips of it are decoded from the start again, and only where
    // there is no other way.
    const [whole, strips] = [cost(orientation > 1 ? 3 : 0), cost(3 / STRIPS)];
    if (fits(whole)) return new Picture(bytes, header, maxPixels, whole, 1);
    if (orientation > 1 && fits(strips)) {
      return new Picture(bytes, header, maxPixels, strips, orientation);
    }
    const [needed, allowed] = [orientation > 1 ? strips : whole, BUDGET.bytes]
      .map((bytes) => Math.ceil(bytes / 2 ** 20));
    throw new SyntaxError(
      `${kind}: ${width} x ${height} pixels stored like this take ${needed} MiB to decode, and at most ` +
        `${allowed} are allowed: make it smaller`,
    );
  }

  async decode(use: (image: RgbImage) => RgbImage): Promise<RgbImage> {
    const { bytes, maxPixels } = this;
    switch (this.header.kind) {
      case "GIF":
        return used(decodeGif(bytes, maxPixels), use);
      case "BMP":
        return used(decodeBmp(bytes, maxPixels), use);
      case "Netpbm":
        return used(decodeNetpbm(bytes, maxPixels), use);
    }
    return used(await this.#decodeBySharp(), use, { copied: true });
  }

  async #decodeBySharp(): Promise<RgbImage> {
    const sharp = await loadSharp();
    const open = () =>
      sharp(this.bytes, {
        failOn: "error", // a truncated file fails, a JPEG with stray bytes does not
        ignoreIcc: true,
        limitInputPixels: this.maxPixels,
      });
    try {
      return this.orientation === 1
        ? await this.#read(open().autoOrient())
        : await this.#readStrips(open);
    } catch (error) {
      throw new LibraryError(this.#explain(oneLine(error)));
    }
  }

  /** The pixels that come out of the library. */
  async #read(input: SharpInput): Promise<RgbImage> {
    const { cmyk } = this.header;
    const pixels = cmyk
      ? input.pipelineColourspace("cmyk").toColourspace("cmyk")
      : input.removeAlpha().toColourspace("srgb");
    const { data, info } = await pixels.raw().toBuffer({ resolveWithObject: true });
    const decoded = { width: info.width, height: info.height, data: plain(data) };
    const image = cmyk ? cmykToRgb(decoded) : decoded;
    checkImage(image);
    return image;
  }

  /** A large picture, turned: only a strip of it is held twice. */
  async #readStrips(open: () => SharpInput): Promise<RgbImage> {
    const { orientation, header: { width, height } } = this;
    const size = orientation > 4 ? { width: height, height: width } : { width, height };
    const image = { ...size, data: new Uint8Array(3 * width * height) };
    const rows = Math.ceil(height / STRIPS);
    for (let top = 0; top < height; top += rows) {
      const part = { left: 0, top, width, height: Math.min(rows, height - top) };
      const strip = await this.#read(open().extract(part));
      placeTurned(image, strip, top, orientation);
      strip.data.buffer.transfer(0);
    }
    return image;
  }

  /** What the library says of a picture that it does not decode, or what can be found where that is nothing. */
  #explain(said: string): string {
    const { kind } = this.header;
    if (kind === "PNG" && /Unknown error|libpng read error/.test(said)) return pngFault(this.bytes);
    const nothing = /^Unknown error$|unsupported image format|corrupt header:?$/.test(said);
    return `${kind}: ${
      nothing ? "its header or its data are damaged" : said.replace(/^Input (buffer|image) /, "it ")
    }`;
  }
}

/** EXIF's orientation of a picture, 1 to 8; 1 of one that the library cannot open. */
async function orientationOf(bytes: Uint8Array): Promise<number> {
  const sharp = await loadSharp();
  try {
    const { orientation = 1 } = await sharp(bytes, { limitInputPixels: MAX_PIXELS }).metadata();
    return orientation >= 1 && orientation <= 8 ? orientation : 1;
  } catch {
    return 1; // decoding gives the reason
  }
}

/**
 * What `use` makes of a picture. The picture's memory is let go of at once unless the result shares it. Of sharp's
 * memory the collector does not know the size, so that a small result is `copied` out of it.
 */
function used(
  decoded: RgbImage,
  use: (image: RgbImage) => RgbImage,
  { copied = false } = {},
): RgbImage {
  const { buffer } = decoded.data;
  const result = use(decoded);
  const shared = result.data.buffer === buffer;
  if (shared && (!copied || result.data.length > SMALL)) return result;
  const own = shared ? { ...result, data: result.data.slice() } : result;
  buffer.transfer(0);
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
