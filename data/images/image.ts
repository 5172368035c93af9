/**
 * Pictures from files and to files.
 *
 * sharp, which does most of it, is loaded at the first use. It needs `--allow-ffi` and
 * `--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX`, and `--allow-read` like every file.
 *
 * @module
 */
import { MemoryBudget } from "../files/memory_budget.ts";
import { printable } from "../files/messages.ts";
import { LibraryError, loadSharp, MOST_BYTES, Picture, plain } from "./picture.ts";
import { checkImage, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";
import { UserError } from "../files/user_error.ts";

export { loadSharp } from "./picture.ts";
export { type Box, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";

/** What all decoding together holds. */
const BUDGET = new MemoryBudget(MOST_BYTES);

/** Longer files are read while nothing else is decoded, so that their bytes count as well. */
const LONG_FILE = 2 ** 23;

/** They are read in such pieces. */
const READ = 2 ** 20;

/**
 * Decode a picture, from a file or its bytes: JPEG, PNG, WebP, TIFF or GIF, as its first bytes say, whatever it
 * is called.
 *
 * The pixels are those of PIL's `convert("RGB")`, with which networks were trained: alpha is dropped and a
 * color profile left aside, of several frames the first counts. Two things are other than there: a picture is
 * turned as its EXIF orientation says, and grey of 16 bits becomes its upper 8, as colors of 16 bits do (PIL
 * makes white of all above 255). Kinds for which PIL's pixels are not to be had here, such as TIFF in
 * floating-point numbers, are a UserError.
 *
 * An empty, truncated or otherwise broken file, one that is no picture, and one of more than `maxPixels` (2^26 if
 * left out, which is also the most) are a UserError that names the file. So is one that takes more than 224 MiB
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
  let decoded = false;
  const take = (image: RgbImage) => {
    decoded = true;
    return use(image);
  };
  try {
    if (typeof source !== "string") return await useBytes(source, 0, take, maxPixels);
    const size = await fileSize(source);
    if (size <= LONG_FILE) {
      return await useBytes(await Deno.readFile(source), size, take, maxPixels);
    }
    return await BUDGET.run(BUDGET.bytes, async () => {
      const bytes = await readLong(source, size);
      try {
        return await (await Picture.open(bytes, size, maxPixels)).decode(take);
      } finally {
        bytes.buffer.transfer(0); // let go of at once
      }
    });
  } catch (error) {
    if (decoded) throw error;
    const name = typeof source === "string"
      ? printable(source)
      : `A picture of ${source.length} bytes`;
    throw UserError.within(`${name} cannot be read as a picture`, error);
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
      throw new UserError(`it became shorter than ${size} bytes while it was read`);
    }
    done += count;
  }
  return bytes;
}

/** The size of a file. A UserError where it is no regular file, or longer than can be read. */
async function fileSize(path: string): Promise<number> {
  const { isFile, size } = await Deno.stat(path);
  if (!isFile) throw new UserError("it is no file");
  if (size > BUDGET.bytes) {
    throw new UserError(`it has ${size} bytes, at most ${BUDGET.bytes} are read`);
  }
  return size;
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
