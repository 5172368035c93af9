/** What the bodies of a product kernel and its endings have in common: shapes, parameters, access to buffers. */
import type { Gpu } from "../runtime/gpu.ts";

import { expectTurns, loopTurns, MOST_TURNS } from "../runtime/turns.ts";
import { lines, readFrom } from "../runtime/wgsl.ts";

export * from "../runtime/wgsl.ts";

/** What a product kernel is made for. */
export interface ProductShape {
  /** A is stored `[K, M]`. */
  transA: boolean;
  /** B is stored `[N, K]`. */
  transB: boolean;
  /** Rows of a tile. With `transA`: a multiple of 4. */
  rows: number;
  /** Quads of columns that one invocation computes. */
  quads: number;
  /** Every row of every matrix starts at a multiple of four numbers. */
  vec4: boolean;
  /**
   * The columns of an invocation's quads: `plain`, side by side; `gates`, quad j at the same place of
   * the j-th of `quads` equal blocks (the gates of a recurrent cell), `params.n` wide each.
   */
  columns: "plain" | "gates";
  /** Factors that are read from mirrors, see kernels/runtime/mirror.ts: only with `vec4`. */
  mirrors: "" | "a" | "b" | "ab";
}

/** Parameters that every product kernel has. */
export const PRODUCT_PARAMS = {
  /** Rows of the result. */
  m: "u32",
  /** Columns of the result; with `gates`, of one block. */
  n: "u32",
  k: "u32",
  /** First element of A, and elements from one stored row to the next. */
  a_offset: "u32",
  lda: "u32",
  b_offset: "u32",
  ldb: "u32",
} as const;

/** Parameters of {@linkcode PRODUCT_PARAMS} that say how much work there is. */
type Sizes = Record<"m" | "n" | "k", number>;

/** The floating-point operations of a product: a multiplication and an addition for each of its terms. */
export function productFlops({ m, n, k }: Sizes): number {
  return 2 * m * n * k;
}

/**
 * What a step of a recurrent cell costs, of `blocks` blocks of n columns: the cell's tensors hold all steps, and a
 * step reads and writes `numbers` for each of its m x n results beside the two factors.
 */
export function stepCost(
  blocks: number,
  numbers: number,
): { flops(params: Sizes): number; bytes(params: Sizes): number } {
  return {
    flops: (params) => blocks * productFlops(params),
    bytes: ({ m, n, k }) => 4 * (m * k + k * n * blocks + numbers * m * n),
  };
}

/** How a product's kernel reads a factor. */
export function factor(
  name: "a" | "b",
  { vec4, mirrors }: ProductShape,
): ReturnType<typeof readFrom> {
  return readFrom(vec4, mirrors.includes(name));
}

/** The first column of quad j, from `column`, the invocation's own first. */
export function quadColumn(shape: ProductShape, j: number): string {
  return shape.columns === "gates" ? `(${j}u * params.n + column)` : `(column + ${4 * j}u)`;
}

/** WGSL `finish` for endings that treat every quad alike: `finish_quad(row, column, v)` for each that exists. */
export function finishEachQuad(quads: number): string {
  return `
fn finish(row: u32, column: u32${lines(quads, (j) => `, v${j}: vec4f`)}) {
${
    lines(quads, (j) =>
      `if (column + ${4 * j}u < params.n) { finish_quad(row, column + ${4 * j}u, v${j}); }`)
  }
}\n`;
}

/** Invocations of a kernel for GPUs, and the numbers along k of its staged tiles. */
export const STAGED = { width: 16, height: 8, depth: 8 } as const;

/** Invocations that share out the columns of a tile. */
export function tileLanes(gpu: Gpu): number {
  return gpu.path === "subgroup" ? gpu.lanes : STAGED.width;
}

/** The most turns that the staged kernels take for each {@linkcode STAGED}.depth numbers along k. */
export function stagedTurns({ rows, quads }: { rows: number; quads: number }): number {
  const { width, height, depth } = STAGED;
  const staging = (places: number) => loopTurns(Math.ceil(places / (width * height)));
  return staging(rows / 4 * depth) + staging(width * quads * depth) + loopTurns(depth);
}

/** The turns that a product over k numbers takes: along k by fours and what is left of them, and for its ending. */
function productTurns(gpu: Gpu, shape: { rows: number; quads: number }, k: number): number {
  const ending = loopTurns(3) + loopTurns(shape.rows);
  const along = gpu.path === "subgroup"
    ? loopTurns(Math.ceil(k / 4))
    : loopTurns(Math.ceil(k / STAGED.depth), stagedTurns(shape));
  return along + ending;
}

/** The most numbers along k, a multiple of four, that one dispatch of a product sums up. */
export function mostDepth(gpu: Gpu, shape: { rows: number; quads: number }): number {
  const each = gpu.path === "subgroup" ? 4 : STAGED.depth;
  const none = productTurns(gpu, shape, 0);
  return each * Math.floor((MOST_TURNS - none) / (productTurns(gpu, shape, each) - none));
}

/** RangeError where one dispatch of a product cannot sum up over k; `what` as in {@linkcode expectTurns}. */
export function expectDepth(
  gpu: Gpu,
  shape: { rows: number; quads: number },
  k: number,
  weights: { name: string; shape: readonly number[] },
  what: string,
): void {
  expectTurns(productTurns(gpu, shape, k), weights, what, "take fewer units");
}

/**
 * WGSL of the kernels for GPUs: wait for the staged `tile_a` (k by rows) and `tile_b` (k by quads), add their
 * product to the invocation's sums `s`, and wait until everybody has.
 */
export function multiplyStaged({ rows, quads }: { rows: number; quads: number }): string {
  const each = rows / STAGED.height;
  return `workgroupBarrier();
  for (var kk = 0u; kk < ${STAGED.depth}u; kk++) {
    ${
    lines(quads, (j) =>
      `let b${j} = tile_b[kk * ${STAGED.width * quads}u + local.x * ${quads}u + ${j}u];`)
  }
    ${
    lines(each, (r) =>
      `{ let v = tile_a[kk * ${rows}u + local.y * ${each}u + ${r}u]; ${
        lines(quads, (j) =>
          `s[${r}][${j}] += v * b${j};`)
      } }`)
  }
  }
  workgroupBarrier();`;
}
