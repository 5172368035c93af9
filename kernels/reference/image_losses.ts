/** The losses of style transfer in float64: the twins of `kernels/conv2d/gram.ts` and `kernels/image_losses.ts`. */
import { add, checkShape, matmul } from "./linear_algebra.ts";

/** The Gram matrix `Fᵀ F / (C M)` of the features `f` `[M, C]`, M pixels: `[C, C]`. */
export function gramForward(f: Float64Array, pixels: number, channels: number): Float64Array {
  const product = matmul(f, f, channels, pixels, channels, { transposeA: true });
  return product.map((v) => v / (pixels * channels)); // (P19)
}

/** Backward of {@linkcode gramForward}, from `dg` `[C, C]`: F (dG + dGᵀ) / (C M). */
export function gramBackward(
  dg: Float64Array,
  f: Float64Array,
  pixels: number,
  channels: number,
): Float64Array {
  const straight = matmul(f, dg, pixels, channels, channels);
  const crossed = matmul(f, dg, pixels, channels, channels, { transposeB: true });
  return add(straight, crossed).map((v) => v / (pixels * channels)); // (P20)
}

/** A loss and its gradient on the first argument. */
export interface Loss {
  loss: number;
  gradient: Float64Array;
}

/** `w Σ (a - b)²` */
export function squaredDifference(a: Float64Array, b: Float64Array, weight: number): Loss {
  checkShape("b", b, [a.length]);
  return {
    loss: weight * a.reduce((sum, v, i) => sum + (v - b[i]) ** 2, 0),
    gradient: a.map((v, i) => 2 * weight * (v - b[i])), // (P18)
  };
}

/** `w Σ (x[i + 1, j] - x[i, j])² + w Σ (x[i, j + 1] - x[i, j])²` for pictures `x` `[N, H, W, C]`. */
export function totalVariation(
  x: Float64Array,
  [batch, height, width, channels]: readonly [number, number, number, number],
  weight: number,
): Loss {
  checkShape("x", x, [batch, height, width, channels]);
  const gradient = new Float64Array(x.length);
  let loss = 0;
  const count = (from: number, to: number) => {
    const d = x[to] - x[from];
    loss += weight * d * d; // (P21)
    gradient[to] += 2 * weight * d; // (P22)
    gradient[from] -= 2 * weight * d;
  };
  for (let at = 0; at < x.length; at++) {
    const pixel = Math.floor(at / channels);
    if (pixel % width < width - 1) count(at, at + channels);
    if (Math.floor(pixel / width) % height < height - 1) count(at, at + width * channels);
  }
  return { loss, gradient };
}
