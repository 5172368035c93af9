/**
 * The WGSL of a matrix product `op(A) · op(B)`, with the ending left open: the linear layer, the
 * recurrent cells and their gradients are one product with different things done to its results.
 *
 * There are two bodies, one for CPU adapters (product_subgroup.ts) and one for GPUs
 * (product_workgroup.ts). Matrices are addressed by base and distance, so that slices of a larger tensor
 * need no copy. Where all of a matrix' rows start at multiples of four, it is read as vec4 (`vec4`); else
 * by single numbers.
 */
import type { Gpu } from "../runtime/gpu.ts";
import { worthMirror } from "../runtime/mirror.ts";
import { type ProductShape, quadLoad, tileLanes } from "./product_shape.ts";
import { subgroupBody } from "./product_subgroup.ts";
import { workgroupBody } from "./product_workgroup.ts";
import type { Tensor } from "../runtime/tensor.ts";

export * from "./product_shape.ts";

/** Tile heights: few, since each is a pipeline of its own to compile. 25 is the homework's batch. */
const TILE_ROWS = [4, 8, 16, 25, 32, 64];

// Workgroup memory that WebGPU guarantees, in quads: the results of a tile pass through it.
const MEMORY_QUADS = 1024;

/** Rows of a tile for a product of m rows, chosen so that little of the last tile is empty. */
export function tileRows(
  gpu: Gpu,
  m: number,
  transA: boolean,
  quads: number,
  limit = 64,
): number {
  if (gpu.path === "workgroup") return limit >= 64 && m > 32 ? 64 : 32;
  const most = Math.min(limit, MEMORY_QUADS / (gpu.lanes * quads));
  if (transA) return m >= 48 ? most : Math.min(most, m > 16 ? 32 : 16);
  if (m > 2 * most) return most;
  const even = Math.ceil(m / Math.ceil(m / most));
  return TILE_ROWS.find((rows) => rows >= even)!;
}

/** How each step of a recurrent cell reads its weights `[H, …]`, the same in all steps. */
export function stepReads(weights: Tensor, steps: number): Pick<ProductShape, "vec4" | "mirrors"> {
  const vec4 = weights.shape[0] % 4 === 0;
  return { vec4, mirrors: vec4 && worthMirror(weights, steps) ? "b" : "" };
}

/**
 * The shape of one step of a recurrent cell, a product with few rows: as many quads as leave each core of
 * a CPU several tiles.
 */
export function stepShape(
  gpu: Gpu,
  rows: number,
  columns: number,
  { transB, vec4, mirrors }: Pick<ProductShape, "transB" | "vec4" | "mirrors">,
): ProductShape {
  const widths = gpu.path === "subgroup" ? [4, 2, 1] : [2];
  const shapes = widths.map((quads): ProductShape => ({
    transA: false,
    transB,
    rows: tileRows(gpu, rows, false, quads, 32),
    quads,
    vec4,
    columns: "plain",
    mirrors,
  }));
  const tiles = (shape: ProductShape) => {
    const [x, y] = productGroups(gpu, shape, rows, columns);
    return x * y;
  };
  return shapes.find((shape) => tiles(shape) >= 4) ?? shapes.at(-1)!;
}

/** Workgroups of a product with m rows and n columns (`gates`: of one block). */
export function productGroups(
  gpu: Gpu,
  shape: Pick<ProductShape, "rows" | "quads" | "columns">,
  m: number,
  n: number,
): [number, number] {
  const width = tileLanes(gpu) * 4 * (shape.columns === "gates" ? 1 : shape.quads);
  return [Math.ceil(n / width), Math.ceil(m / shape.rows)];
}

/**
 * The kernel's code, for buffers named `a` and `b`. `ending` is WGSL that defines
 * `fn finish(row: u32, column: u32, v0: vec4f, …)`, called for each row with the invocation's quads;
 * `column` is the first column of the first quad.
 */
export function productCode(
  gpu: Gpu,
  shape: ProductShape,
  ending: string,
): string {
  const body = gpu.path === "subgroup" ? subgroupBody(gpu.lanes, shape) : workgroupBody(shape);
  return quadLoad("a", shape.vec4) + quadLoad("b", shape.vec4) + ending + body;
}
