/**
 * Decoded pictures.
 *
 * @module
 */
import { UserError } from "../files/user_error.ts";

/** The most pixels that a picture may have: 192 MiB decoded. */
export const MAX_PIXELS = 2 ** 26;

/** A picture of 8 bits a channel. */
export interface RgbImage {
  /** Pixels in a row. */
  width: number;
  /** How many rows. */
  height: number;
  /** Red, green and blue of each pixel, row by row: `[height, width, 3]`. */
  data: Uint8Array<ArrayBuffer>;
}

/** A rectangle of whole pixels inside a picture. */
export interface Box {
  /** The first column. */
  left: number;
  /** The first row. */
  top: number;
  /** Columns. */
  width: number;
  /** Rows. */
  height: number;
}

/** To the nearest integer, and from the middle between two to the even one, as Python rounds. */
export function roundHalfEven(value: number): number {
  const rounded = Math.round(value);
  return Math.abs(value % 1) === 0.5 && rounded % 2 !== 0 ? rounded - 1 : rounded;
}

/** A UserError unless a file's picture has pixels, and no more than `maxPixels`. */
export function checkPixels(width: number, height: number, maxPixels: number): void {
  if (!(width >= 1 && height >= 1 && width * height <= maxPixels)) {
    throw new UserError(
      `a picture must have 1 to ${maxPixels} pixels: it is ${width} x ${height}`,
    );
  }
}

/**
 * A RangeError unless the size is allowed ({@linkcode checkSize}), and a TypeError unless `data` holds three
 * bytes for each pixel.
 */
export function checkImage({ width, height, data }: RgbImage): void {
  checkSize(width, height);
  if (data.length !== 3 * width * height) {
    throw new TypeError(
      `A picture of ${width} x ${height} needs ${3 * width * height} bytes: it has ${data.length}`,
    );
  }
}

/** A RangeError unless a size is of two integers from 1, and of at most 2^26 pixels. */
export function checkSize(width: number, height: number): void {
  if (!Number.isSafeInteger(width) || !Number.isSafeInteger(height) || width < 1 || height < 1) {
    throw new RangeError(`A picture's size must be integers from 1: it is ${width} x ${height}`);
  }
  if (width * height > MAX_PIXELS) {
    throw new RangeError(
      `A picture must have at most ${MAX_PIXELS} pixels: it is ${width} x ${height}`,
    );
  }
}
