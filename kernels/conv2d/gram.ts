/** The Gram matrix of a feature map, and its gradient. */
import { conv2d, conv2dBackward } from "./conv2d.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";

// Invocation i owns number i of `scale · (a + aᵀ)` for `a [C, C]`.
const mirrorSumKernel = defineKernel({
  name: "sum with the transpose",
  bindings: { a: "read f32", out: "write f32" },
  params: { n: "u32", columns: "u32", scale: "f32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.columns;
  let column = i % params.columns;
  out[i] = params.scale * (a[i] + a[column * params.columns + row]);
}`,
});

function mirrorSum(a: Tensor, scale: number, out: Tensor): void {
  const params = { n: a.size, columns: a.shape.at(-1)!, scale };
  mirrorSumKernel.run(a.gpu, { a, out }, params, flatGroups(a.size));
}

function checkMap(f: Tensor, what: string): number {
  expectShape(f, [1, null, null, null], what);
  if (f.size === 0) throw new TypeError(`${what} is empty: [${f.shape.join(", ")}]`);
  return f.shape[3];
}

/**
 * The Gram matrix of a map `f [1, H, W, C]` before it is divided, `Fᵀ F` with F the map as `[H W, C]`:
 * `[1, 1, C, C]`. The gradient on the map is then `F (dP + dPᵀ)`: for a symmetric dP, `conv2d(f, dP)` twice.
 *
 * Errors: TypeError when f has other axes, or more than one map.
 */
export function gramProduct(f: Tensor): Tensor {
  const channels = checkMap(f, "A Gram matrix' map f [1, H, W, C]");
  const product = Tensor.empty(f.gpu, [1, 1, channels, channels], { name: "product" });
  conv2dBackward(f, f, product, {}, { dx: false, dw: product, db: false });
  return product;
}

/**
 * The Gram matrix of a map `f [1, H, W, C]` of features, `Fᵀ F / (C H W)` with F the map as `[H W, C]`:
 * `[C, C]`. The product is that of a 1 x 1 convolution's gradient on its weights.
 *
 * Errors: TypeError when f has other axes, or more than one map.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * using gpu = await openGpu();
 * using f = Tensor.from(gpu, [1, 2, 3, 4], [1, 2, 1, 2]); // two pixels of two channels
 * using g = gramMatrix(f);
 * console.log(await g.read()); // (1 + 9, 2 + 12, 2 + 12, 4 + 16) / 4
 * ```
 */
export function gramMatrix(f: Tensor): Tensor {
  using product = gramProduct(f);
  const out = Tensor.empty(f.gpu, product.shape.slice(2), { name: "Gram matrix" });
  // The product is its own transpose.
  mirrorSum(product, 0.5 / f.size, out); // (P19)
  return out;
}

/**
 * The gradient of {@linkcode gramMatrix} on its map: `F (dG + dGᵀ) / (C H W)`, written to `df [1, H, W, C]`,
 * from `dg [C, C]`.
 */
export function gramMatrixGradient(dg: Tensor, f: Tensor, df: Tensor): Tensor {
  const channels = checkMap(f, "A Gram matrix' map f [1, H, W, C]");
  expectShape(dg, [channels, channels], "A Gram matrix' gradient dg");
  expectShape(df, f.shape, "A Gram matrix' gradient df");
  using both = Tensor.empty(f.gpu, [1, 1, channels, channels], { name: "dG + dGᵀ" });
  mirrorSum(dg, 1 / f.size, both);
  return conv2d(f, both, { out: df }); // (P20)
}
