/**
 * The tile engine: WGSL of a matrix product `A · B` whose factors are read, and whose results are finished, by
 * functions of the kernel's own. Linear layers, recurrent cells, convolutions and all their gradients are this one
 * product: they differ in where a factor's numbers lie, and in what is done to the sums.
 *
 * A tile is `rows` x `4 · quads · lanes` results. There are two bodies: staged.ts for GPUs, and software/tile.ts
 * for software adapters. Each sum runs over k in order, whatever the tile.
 */
import type { Gpu, KernelPath } from "../runtime/gpu.ts";
import { expectTurns, loopTurns, MOST_TURNS } from "../runtime/turns.ts";
import type { Cut, Gemm, Tile } from "./contract.ts";
import { softwareTile } from "./software/cut.ts";
import { softwareBody } from "./software/tile.ts";
import { STAGED, stagedBody, stagedDepth, stagedTile, stagedTurns } from "./staged.ts";

/** How the product is done on a path. */
interface Way {
  /** The WGSL that follows the loaders and the ending. */
  body(gemm: Gemm, gpu: Gpu): string;
  tile(cut: Cut, gpu: Gpu): Tile;
  /** As many workgroups keep all cores, or all of a GPU, at work. */
  enough: number;
  /** Invocations that share out the columns of a tile. */
  lanes(gpu: Gpu): number;
  /** Numbers along k of a turn of the loop, and the turns of the loops within it. */
  depth(tile: Tile): number;
  turns(tile: Tile): number;
}

const WAYS: Record<KernelPath, Way> = {
  subgroup: {
    body: (gemm, { lanes }) => softwareBody(gemm, lanes),
    tile: (cut, { lanes, costs }) => softwareTile(cut, lanes, costs),
    enough: 16,
    lanes: ({ lanes }) => lanes,
    depth: () => 4,
    turns: () => 0,
  },
  workgroup: {
    body: stagedBody,
    tile: stagedTile,
    enough: 256,
    lanes: () => STAGED.width,
    depth: stagedDepth,
    turns: stagedTurns,
  },
};

/** The WGSL of a product kernel. */
export function gemmCode(gpu: Gpu, gemm: Gemm): string {
  return gemm.a.code + gemm.b.code + gemm.ending.code + WAYS[gpu.path].body(gemm, gpu);
}

/** The tile of a product. Whatever is chosen, each sum runs over k in the same order. */
export function tileOf(gpu: Gpu, cut: Cut): Tile {
  return WAYS[gpu.path].tile(cut, gpu);
}

/** Workgroups for m rows and n columns. */
export function gemmGroups(
  gpu: Gpu,
  { tile, gates, rowsFirst }: Pick<Gemm, "tile" | "gates" | "rowsFirst">,
  m: number,
  n: number,
): [number, number] {
  const width = WAYS[gpu.path].lanes(gpu) * 4 * (gates ? 1 : tile.quads);
  const [across, down] = tile.narrow
    ? [Math.ceil(n / tile.rows), Math.ceil(m / width)]
    : [Math.ceil(n / width), Math.ceil(m / tile.rows)];
  return rowsFirst ? [down, across] : [across, down];
}

/** Parts to cut k into, at most `most`, for a product of m rows and n columns: the same whatever its tiles. */
export function partsFor(gpu: Gpu, m: number, n: number, most: number): number {
  const groups = Math.ceil(m / 64) * Math.ceil(n / 64);
  return Math.max(1, Math.floor(Math.min(most, WAYS[gpu.path].enough / groups)));
}

/** At least those of the loop over the rows of a tile: the same for all, so that no sum depends on how it is cut. */
const ENDING_TURNS = loopTurns(64);

/** The turns that the loops of a product over k numbers and `taps` take, with its ending. */
function gemmTurns(gpu: Gpu, tile: Tile, k: number, taps: readonly number[] = []): number {
  const { turns, depth } = WAYS[gpu.path];
  const along = loopTurns(Math.ceil(k / depth(tile)), turns(tile));
  return taps.reduceRight((inner, count) => loopTurns(count, inner), along) + ENDING_TURNS;
}

/** The most numbers along k, a multiple of four, that one dispatch of a product sums up. */
export function mostDepth(gpu: Gpu, tile: Tile): number {
  const depth = WAYS[gpu.path].depth(tile);
  const none = gemmTurns(gpu, tile, 0);
  return depth * Math.floor((MOST_TURNS - none) / (gemmTurns(gpu, tile, depth) - none));
}

/** GpuError where one dispatch cannot sum up over `taps` of k numbers each; the rest as in {@linkcode expectTurns}. */
export function expectDepth(
  gpu: Gpu,
  tile: Tile,
  k: number,
  weights: { name: string; shape: readonly number[] },
  what: string,
  remedy = "take fewer units",
  taps: readonly number[] = [],
): void {
  expectTurns(gemmTurns(gpu, tile, k, taps), weights, what, remedy);
}
