/** What the tests of pictures share. */
import { assertEquals } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import type { RgbImage } from "../../../data/images/image.ts";
import { RandomStream } from "../../../data/rng.ts";
import type { Permission } from "../../support.ts";

/** What decoding a picture needs. */
export const library: Permission[] = [{ name: "read" }, { name: "env" }, { name: "ffi" }];

/** The path of a picture that PIL wrote. */
export function fixture(name: string): string {
  return join(fromFileUrl(new URL("../../fixtures/images/", import.meta.url)), name);
}

/** A picture of random pixels. */
export function noise(width: number, height: number, seed = 1): RgbImage {
  const stream = new RandomStream(seed);
  return {
    width,
    height,
    data: Uint8Array.from({ length: 3 * width * height }, () => stream.integer(256)),
  };
}

/** The mean of |a - b| over two pictures of the same size. */
export function meanDifference(a: RgbImage, b: RgbImage): number {
  assertEquals([a.width, a.height, a.data.length], [b.width, b.height, b.data.length]);
  let sum = 0;
  for (let i = 0; i < a.data.length; i++) sum += Math.abs(a.data[i] - b.data[i]);
  return sum / a.data.length;
}

/** The red, green and blue at a column and row. */
export function pixel({ width, data }: RgbImage, column: number, row: number): number[] {
  return [...data.subarray(3 * (row * width + column), 3 * (row * width + column) + 3)];
}
