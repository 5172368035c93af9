/**
 * Pictures whose pixels are numbers of colours.
 *
 * @module
 */
import type { RgbImage } from "./rgb_image.ts";

/**
 * The picture of numbers of colours, `[height, width]`, and colours, `[C, 3]`. As in PIL a number beyond the last
 * colour is that grey. The numbers' memory is let go of.
 *
 * ```ts
 * const { data } = paint(Uint8Array.of(1, 9), 2, 1, Uint8Array.of(0, 0, 0, 255, 0, 0));
 * if (data.join() !== "255,0,0,9,9,9") throw new Error(`got ${data}`);
 * ```
 */
export function paint(
  indices: Uint8Array<ArrayBuffer>,
  width: number,
  height: number,
  colours: Uint8Array,
): RgbImage {
  const table = Uint8Array.from({ length: 768 }, (_, i) => Math.floor(i / 3));
  table.set(colours.subarray(0, 768));
  const data = new Uint8Array(3 * width * height);
  for (let i = 0, to = 0; to < data.length; i++, to += 3) {
    const from = 3 * indices[i];
    data[to] = table[from];
    data[to + 1] = table[from + 1];
    data[to + 2] = table[from + 2];
  }
  indices.buffer.transfer(0);
  return { width, height, data };
}
