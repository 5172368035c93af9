/** What a product kernel is made of, and the WGSL that both bodies share. */
import { lines } from "../runtime/wgsl.ts";

/** How a product is cut among the workgroups. */
export interface Tile {
  /** Rows of a tile. Where A is read `across`: a multiple of 4. */
  rows: number;
  /** Quads of columns that one invocation computes. */
  quads: number;
  /**
   * On a software adapter: the lanes share out the rows instead, `4 · quads` to a lane, which computes all columns
   * of the tile for them. `rows` is then the number of columns, a multiple of 4.
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

/** A product to cut. */
export interface Cut {
  m: number;
  n: number;
  /** Terms of a sum, those of all taps together. */
  k: number;
  /** Parts of k, which are tiles of their own. */
  parts?: number;
  /** A is read across k: rows in fours. */
  across?: boolean;
  /** Quads that the kernel's ending needs, as those of four gates. */
  quads?: number;
  /** The lanes may share out the rows, see Tile.narrow: n is a multiple of four then. */
  narrow?: boolean;
}

/** WGSL that begins a kernel: its part of k, from `first` on, and the numbers in it. */
export function partOfDepth({ parts }: Gemm): string {
  return parts
    ? `let first = group.z * params.part;
let depth = min(params.part, params.k - first);
let row_of_part = group.z * params.m;`
    : `let first = 0u;
let depth = params.k;`;
}

/** WGSL that hands the quads `value(j)` of a row, which lie `apart` quads from each other, to the ending. */
export function finishRow(
  { gates, tile }: Gemm,
  row: string,
  value: (j: number) => string,
  apart = 1,
): string {
  if (gates) {
    const values = lines(tile.quads, value, ", ");
    return `if (column < params.n) { finish_gates(${row}, column, ${values}); }`;
  }
  return lines(tile.quads, (j) => {
    const at = `column + ${4 * apart * j}u`;
    return `if (${at} < params.n) { finish_quad(${row}, ${at}, ${value(j)}); }`;
  });
}
