/**
 * The bytes of a picture, and how they are decoded: by sharp (https://sharp.pixelplumbing.com) but for GIF,
 * of which its colors are not PIL's. sharp decodes in its own threads.
 *
 * @module
 */
import { cmykToRgb } from "./cmyk.ts";
import { decodeGif } from "./gif.ts";
import { type PictureHeader, pictureHeader } from "./picture_header.ts";
import { pngFault } from "./png_fault.ts";
import { checkImage, checkPixels, MAX_PIXELS, type RgbImage } from "./rgb_image.ts";
import { placeTurned } from "./turned.ts";
import { UserError } from "../files/user_error.ts";

/** What decoding may hold at a time, in bytes: the largest picture and its file. */
export const MOST_BYTES: number = 224 * 2 ** 20;

/** A picture that is turned takes its pixels twice; below so many the orientation is not asked for. */
const LARGE = 2 ** 22;

/** A picture for which that is too much is turned in so many strips. */
const STRIPS = 4;

/** Smaller decoded pictures are copied to memory that the collector knows of, which sharp's is not. */
const SMALL = 2 ** 25;

type Sharp = typeof import("npm:sharp@0.35.5").default;
type SharpInput = ReturnType<Sharp>;

/** Load sharp. Where it has no build for the platform or a permission is missing: a `Deno.errors.NotSupported` with the reason. */
export async function loadSharp(): Promise<Sharp> {
  try {
    return (await import("npm:sharp@0.35.5")).default;
  } catch (error) {
    throw new Deno.errors.NotSupported(
      "The image library sharp cannot be loaded (it needs --allow-ffi and " +
        `--allow-env=npm_package_config_libvips,MALLOC_ARENA_MAX): ${oneLine(error)}`,
    );
  }
}

function oneLine(error: unknown): string {
  const text = error instanceof Error ? error.message : String(error);
  return text.replace(/\s+/g, " ").trim().slice(0, 300);
}

/** What sharp says of a picture that it does not decode. */
export class LibraryError extends UserError {}

/** The bytes of a picture, checked as far as its header tells. */
export class Picture {
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
   * Look at the header. A UserError where it is malformed, and where the picture is too large.
   *
   * @param fileBytes So many of `bytes` count.
   */
  static async open(bytes: Uint8Array, fileBytes: number, maxPixels: number): Promise<Picture> {
    if (bytes.length === 0) throw new UserError("it is empty");
    const header = pictureHeader(bytes);
    const { kind, width, height, workBytes } = header;
    checkPixels(width, height, maxPixels);
    const large = width * height > LARGE && kind !== "GIF";
    const orientation = large ? await orientationOf(bytes) : 1;
    const cost = (each: number) => Math.ceil(width * height * (3 + workBytes + each)) + fileBytes;
    const fits = (bytes: number) => bytes <= MOST_BYTES;
    // What the library turns is held twice. Strips of it are decoded from the start again, and only where
    // there is no other way.
    const [whole, strips] = [cost(orientation > 1 ? 3 : 0), cost(3 / STRIPS)];
    if (fits(whole)) return new Picture(bytes, header, maxPixels, whole, 1);
    if (orientation > 1 && fits(strips)) {
      return new Picture(bytes, header, maxPixels, strips, orientation);
    }
    const [needed, allowed] = [orientation > 1 ? strips : whole, MOST_BYTES]
      .map((bytes) => Math.ceil(bytes / 2 ** 20));
    throw new UserError(
      `${kind}: ${width} x ${height} pixels stored like this take ${needed} MiB to decode, and at most ` +
        `${allowed} are allowed: make it smaller`,
    );
  }

  async decode(use: (image: RgbImage) => RgbImage): Promise<RgbImage> {
    const { bytes, maxPixels } = this;
    if (this.header.kind === "GIF") return used(decodeGif(bytes, maxPixels), use);
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
      ? input.pipelineColorspace("cmyk").toColorspace("cmyk")
      : input.removeAlpha().toColorspace("srgb");
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
export function plain(buffer: Uint8Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(buffer.buffer as ArrayBuffer, buffer.byteOffset, buffer.length);
}
