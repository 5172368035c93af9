/** Products of matrices for the layers: their kernels' shapes and parameters, and how they are cut into tiles. */
import type { Gpu } from "../runtime/gpu.ts";
import { worthMirror } from "../runtime/memory/mirror.ts";
import type { Tensor } from "../runtime/tensor.ts";
import type { Tile } from "./contract.ts";
import { gemmCode } from "./engine.ts";
import { matrix, MATRIX_PARAMS } from "./plain.ts";

/** How a product's kernel reads a factor. */
export interface Factor {
  /** The transpose of what is stored. */
  trans: boolean;
  /** Every stored row starts at a multiple of four numbers. */
  vec4: boolean;
  /** From a mirror, see kernels/runtime/memory/mirror.ts. */
  mirror: boolean;
}

/** What a product kernel is made for. */
export interface ProductShape {
  a: Factor;
  b: Factor;
  tile: Tile;
  /** See engine.ts. */
  gates?: boolean;
  parts?: boolean;
}

/** Parameters that every product kernel has: the sizes, and where the factors lie. */
export const PRODUCT_PARAMS = { m: "u32", n: "u32", k: "u32", ...MATRIX_PARAMS } as const;

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

/** The kernel's code, for buffers named `a` and `b`. */
export function productCode(gpu: Gpu, shape: ProductShape, code: string): string {
  const { a, b, tile, gates = false, parts = false } = shape;
  return gemmCode(gpu, {
    tile,
    a: matrix("a", a.trans ? "across" : "along", a.vec4, a.mirror, parts),
    b: matrix("b", b.trans ? "along" : "across", b.vec4, b.mirror, parts),
    ending: { code },
    // With whole quads along k in A, there are some in k.
    ragged: a.trans || (!b.trans && !a.vec4),
    gates,
    parts,
  });
}

/** How a kernel reads a factor, `reads` times over: from whole quads where `sizes` are multiples of four. */
export function factorOf(
  tensor: Tensor,
  trans: boolean,
  sizes: readonly number[],
  reads = Infinity,
): Factor {
  const vec4 = sizes.every((n) => n % 4 === 0);
  return { trans, vec4, mirror: worthMirror(tensor, reads, vec4 ? 1 : 2) };
}

/** The factors of each step of a recurrent cell: its states, and weights `[H, …]` that are the same in all steps. */
export function stepFactors(
  weights: Tensor,
  steps: number,
  trans: boolean,
): Pick<ProductShape, "a" | "b"> {
  const b = factorOf(weights, trans, [weights.shape[0]], steps);
  return { a: { trans: false, vec4: b.vec4, mirror: false }, b };
}
