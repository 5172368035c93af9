/** How products are cut into tiles. */
import type { Gpu } from "../runtime/gpu.ts";
import { gemmGroups, type Tile, tileLanes } from "./engine.ts";

/** Tile heights: few, since each is a pipeline of its own to compile. 25 is the homework's batch. */
const TILE_ROWS = [4, 8, 16, 25, 32, 64];

/** Sums that the lanes of a tile hold, in quads: more of them no longer stay in a core's first cache. */
export const TILE_QUADS = 1024;

/** Rows of a tile for a product of m rows, chosen so that little of the last tile is empty. */
export function tileRows(
  gpu: Gpu,
  m: number,
  transA: boolean,
  quads: number,
  limit = 64,
): number {
  if (gpu.path === "workgroup") return limit >= 64 && m > 32 ? 64 : 32;
  const most = Math.min(limit, TILE_QUADS / (gpu.lanes * quads));
  if (transA) return m >= 48 ? most : Math.min(most, m > 16 ? 32 : 16);
  if (m > 2 * most) return most;
  const even = Math.ceil(m / Math.ceil(m / most));
  return TILE_ROWS.find((rows) => rows >= even)!;
}

/** The tile of a product of m rows and n columns. */
export function productTile(gpu: Gpu, m: number, _n: number, transA: boolean): Tile {
  return { rows: tileRows(gpu, m, transA, 2), quads: 2 };
}

/**
 * The tile of one step of a recurrent cell, a product with few rows: as many quads as leave each core of
 * a CPU several tiles.
 */
export function stepTile(gpu: Gpu, rows: number, columns: number): Tile {
  const widths = gpu.path === "subgroup" ? [4, 2, 1] : [2];
  const cuts = widths.map((quads) => ({ rows: tileRows(gpu, rows, false, quads, 32), quads }));
  const tiles = (tile: Tile) => {
    const [x, y] = gemmGroups(gpu, { tile }, rows, columns);
    return x * y;
  };
  return cuts.find((tile) => tiles(tile) >= 4) ?? cuts.at(-1)!;
}

/** The tile of a convolution of m places and n columns. */
export function placesTile(gpu: Gpu, m: number, n: number): Tile {
  const lanes = tileLanes(gpu);
  const software = gpu.path === "subgroup";
  if (software && n <= 2 * lanes) {
    const tiles = (quads: number) => Math.ceil(m / (4 * lanes * quads));
    let quads = Math.min(4, Math.max(1, Math.floor(TILE_QUADS / (lanes * n))));
    while (quads > 1 && tiles(quads) < 8) quads--;
    return { narrow: true, rows: n, quads };
  }
  const quads = software && n > 4 * lanes ? 2 : 1;
  let rows = software ? Math.min(64, TILE_QUADS / (lanes * quads)) : 64;
  const tiles = () => Math.ceil(n / (4 * lanes * quads)) * Math.ceil(m / rows);
  // Small products are cut finer, so that every core has some of it.
  while (rows > 16 && (m <= rows / 2 || tiles() < 8)) rows /= 2;
  return { rows, quads };
}

/** The tile of a convolution's gradient on its weights, of m numbers of the taps and n columns. */
export function weightTile(gpu: Gpu, m: number, n: number): Tile {
  const lanes = tileLanes(gpu);
  const software = gpu.path === "subgroup";
  const quads = software && n > 4 * lanes ? 2 : 1;
  let rows = software ? Math.min(64, TILE_QUADS / (lanes * quads)) : 64;
  while (rows > 16 && m <= rows / 2) rows /= 2;
  return { rows, quads };
}
