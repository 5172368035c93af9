/**
 * Pictures that are shown other than they are stored, as their EXIF orientation says.
 *
 * @module
 */
import type { RgbImage } from "./rgb_image.ts";

/**
 * By orientation from 1: how far a step to the next stored column, and to the next stored row, goes right and down
 * in what is shown.
 */
const STEPS: readonly (readonly [number, number, number, number])[] = [
  [1, 0, 0, 1],
  [-1, 0, 0, 1],
  [-1, 0, 0, -1],
  [1, 0, 0, -1],
  [0, 1, 1, 0],
  [0, 1, -1, 0],
  [0, -1, -1, 0],
  [0, -1, 1, 0],
];

/**
 * Put stored rows, of which the first is number `top`, where they are shown in `target`, which has the shown
 * picture's size. `orientation` is EXIF's, 1 to 8.
 *
 * ```ts
 * const target = { width: 1, height: 2, data: new Uint8Array(6) };
 * const row = { width: 2, height: 1, data: Uint8Array.of(1, 1, 1, 2, 2, 2) };
 * placeTurned(target, row, 0, 8);
 * if (target.data.join() !== "2,2,2,1,1,1") throw new Error(`got ${target.data}`);
 * ```
 */
export function placeTurned(
  target: RgbImage,
  rows: RgbImage,
  top: number,
  orientation: number,
): void {
  const [right, down, rowRight, rowDown] = STEPS[orientation - 1];
  const left = right + rowRight < 0 ? target.width - 1 : 0;
  const first = down + rowDown < 0 ? target.height - 1 : 0;
  const step = 3 * (down * target.width + right);
  for (let row = 0, from = 0; row < rows.height; row++) {
    const [x, y] = [left + rowRight * (top + row), first + rowDown * (top + row)];
    let to = 3 * (y * target.width + x);
    for (let column = 0; column < rows.width; column++, from += 3, to += step) {
      target.data[to] = rows.data[from];
      target.data[to + 1] = rows.data[from + 1];
      target.data[to + 2] = rows.data[from + 2];
    }
  }
}
