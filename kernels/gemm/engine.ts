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
import { softwareBody } from "./software/tile.ts";
import { STAGED, stagedBody, stagedTurns } from "./staged.ts";

/** How a product is cut among the workgroups. */
export interface Tile {
  /** Rows of a tile. Where A is read `across`: a multiple of 4. */
  rows: number;
  /** Quads of columns that one invocation computes. */
  quads: number;
  /**
   * Few columns, on a software adapter: the lanes share out the rows instead, `4 · quads` to a lane, which
   * computes all columns of them. `rows` is then the number of columns.
   */
  narrow?: boolean;
}

/** How a kernel reads one factor, `a` or `b`: four neighbors at a time. */
export interface Operand {
  /** The four are neighbors `along` k, of one row of A or column of B; or rows (columns) side by side, `across` k. */
  quads: "along" | "across";
  /**
   * WGSL of three functions, here for A:
   * - `a_line(i, left, first)`: what does not change along k, of row i, or of the rows from i on, of which `left`
   *   exist. The kernel's part of k begins at `first`.
   * - `a_tap(line, jy, jx)`: the same for a tap of a window; only with {@linkcode Gemm}.window.
   * - `a_load(line, k, left) -> vec4f`: the four numbers at k, counted from `first`. Along k, those beyond the
   *   `left` that exist are zeros.
   */
  code: string;
  /** `a_next(line, more)` gives the line of the next row cheaper than a_line; the same line unless `more`. */
  next?: boolean;
}

/** What is done to the sums. */
export interface Ending {
  /** WGSL `finish_quad(row, column, sums: vec4f)`; with gates, `finish_gates(row, column, s0, s1, s2, s3)`. */
  code: string;
  /** Instead of its number, `row` is what A's lines hold as `to`: the place of a result that takes divisions to find. */
  placed?: boolean;
  /** So short that a copy for every row compiles quickly. */
  short?: boolean;
}

/** A product kernel. Its parameters hold m, n and k, and those of {@linkcode Gemm}.parts and window. */
export interface Gemm {
  tile: Tile;
  a: Operand;
  b: Operand;
  ending: Ending;
  /** Loads across k must not reach beyond its end: it may be no multiple of four. */
  ragged?: boolean;
  /** Quad j of an invocation lies in block j of `quads` equal blocks of n columns: the gates of a recurrent cell. */
  gates?: boolean;
  /** The sums run over the taps `params.taps_y` x `params.taps_x` of a window, and k within each. */
  window?: boolean;
  /** k is cut into parts of `params.part`, counted by group.z: row r of a part is row `part · m + r`. */
  parts?: boolean;
  /** Workgroups are counted along x by rows, not by columns. */
  rowsFirst?: boolean;
}

const BODIES: Record<KernelPath, (gemm: Gemm, lanes: number) => string> = {
  subgroup: softwareBody,
  workgroup: stagedBody,
};

/** The WGSL of a product kernel. */
export function gemmCode(gpu: Gpu, gemm: Gemm): string {
  return gemm.a.code + gemm.b.code + gemm.ending.code + BODIES[gpu.path](gemm, gpu.lanes);
}

/** Invocations that share out the columns of a tile. */
export function tileLanes(gpu: Gpu): number {
  return gpu.path === "subgroup" ? gpu.lanes : STAGED.width;
}

/** Workgroups for m rows and n columns. */
export function gemmGroups(
  gpu: Gpu,
  { tile, gates, rowsFirst }: Pick<Gemm, "tile" | "gates" | "rowsFirst">,
  m: number,
  n: number,
): [number, number] {
  const width = tileLanes(gpu) * 4 * (gates ? 1 : tile.quads);
  const [across, down] = tile.narrow
    ? [1, Math.ceil(m / width)]
    : [Math.ceil(n / width), Math.ceil(m / tile.rows)];
  return rowsFirst ? [down, across] : [across, down];
}

const TURNS: Record<KernelPath, { turns(tile: Tile): number; depth: number }> = {
  subgroup: { turns: () => 0, depth: 4 },
  workgroup: { turns: stagedTurns, depth: STAGED.depth },
};

/** The turns that the loops of a product over k numbers and `taps` take, with its ending. */
function gemmTurns(gpu: Gpu, tile: Tile, k: number, taps: readonly number[] = []): number {
  const { turns, depth } = TURNS[gpu.path];
  const along = loopTurns(Math.ceil(k / depth), turns(tile));
  return taps.reduceRight((inner, count) => loopTurns(count, inner), along) +
    loopTurns(tile.rows);
}

/** The most numbers along k, a multiple of four, that one dispatch of a product sums up. */
export function mostDepth(gpu: Gpu, tile: Tile): number {
  const { depth } = TURNS[gpu.path];
  const none = gemmTurns(gpu, tile, 0);
  return depth * Math.floor((MOST_TURNS - none) / (gemmTurns(gpu, tile, depth) - none));
}

/** RangeError where one dispatch cannot sum up over `taps` of k numbers each; the rest as in {@linkcode expectTurns}. */
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

/** WGSL that begins a kernel: its part of k, from `first` on, and the quads of numbers there. */
export function partOfDepth({ parts }: Gemm): string {
  return parts
    ? `let first = group.z * params.part;
let depth = min(params.part, params.k - first);
let row_of_part = group.z * params.m;`
    : `let first = 0u;
let depth = params.k;`;
}

/** WGSL that hands the quads `value(j)` of a row to the ending. */
export function finishRow(
  { gates, tile }: Gemm,
  row: string,
  value: (j: number) => string,
): string {
  const quads = Array.from({ length: tile.quads }, (_, j) => j);
  if (gates) {
    return `if (column < params.n) { finish_gates(${row}, column, ${
      quads.map(value).join(", ")
    }); }`;
  }
  return quads.map((j) =>
    `if (column + ${4 * j}u < params.n) { finish_quad(${row}, column + ${4 * j}u, ${value(j)}); }`
  ).join("\n");
}
