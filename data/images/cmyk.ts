/**
 * Pictures in printing inks.
 *
 * @module
 */
import type { RgbImage } from "./rgb_image.ts";

/**
 * The colors of cyan, magenta, yellow and black, `[height, width, 4]`, as PIL makes them, without a profile:
 * `255 - k - c (255 - k) / 255`, rounded. The first of the memory is written over.
 *
 * ```ts
 * const inks = { width: 1, height: 1, data: Uint8Array.of(0, 255, 100, 55) };
 * if (cmykToRgb(inks).data.join() !== "200,0,122") throw new Error(`got ${inks.data}`);
 * ```
 */
export function cmykToRgb({ width, height, data }: RgbImage): RgbImage {
  const count = width * height;
  for (let pixel = 0; pixel < count; pixel++) {
    const light = 255 - data[4 * pixel + 3];
    for (let c = 0; c < 3; c++) {
      // A byte is written only once all four at its place and before are read.
      const product = data[4 * pixel + c] * light + 128;
      data[3 * pixel + c] = Math.max(0, light - ((product >> 8) + product >> 8));
    }
  }
  return { width, height, data: data.subarray(0, 3 * count) };
}
