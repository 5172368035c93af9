/** Two-dimensional convolution in float64, channels last: the twin of `kernels/conv2d/conv2d.ts`. Tags are those of `docs/pictures.md`. */
import { checkShape } from "./linear_algebra.ts";

/** The sizes of a convolution: `x` `[N, H, W, Cin]`, `w` `[kh, kw, Cin / groups, Cout]`. */
export interface Conv2dShape {
  batch: number;
  height: number;
  width: number;
  inChannels: number;
  outChannels: number;
  kernelHeight: number;
  kernelWidth: number;
  /** Steps of the window, down and across alike. */
  stride: number;
  /** Zeros on each of the four sides. */
  padding: number;
  /** Places from one tap to the next: 1 by default. */
  dilation?: number;
  /** Parts of the channels, each with results of its own: 1 by default. */
  groups?: number;
}

/** The height and width of the result: how many windows fit. */
export function conv2dOutput(shape: Conv2dShape): [height: number, width: number] {
  const { height, width, kernelHeight, kernelWidth, stride, padding, dilation = 1 } = shape;
  const windows = (size: number, kernel: number) =>
    Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;
  return [windows(height, kernelHeight), windows(width, kernelWidth)];
}

/**
 * Call `term` for each product of the convolution: with the places of its factors in `x` and `w`, and of
 * the sum that it belongs to in `y`. Products with the zeros of the padding are left out.
 */
function eachTerm(
  shape: Conv2dShape,
  term: (xAt: number, wAt: number, yAt: number) => void,
): void {
  const { batch, height, width, inChannels, outChannels } = shape;
  const { kernelHeight, kernelWidth, stride, padding, dilation = 1, groups = 1 } = shape;
  const [outHeight, outWidth] = conv2dOutput(shape);
  const [depth, columns] = [inChannels / groups, outChannels / groups];
  for (let n = 0; n < batch; n++) {
    for (let oy = 0; oy < outHeight; oy++) {
      for (let ox = 0; ox < outWidth; ox++) {
        for (let ky = 0; ky < kernelHeight; ky++) {
          for (let kx = 0; kx < kernelWidth; kx++) {
            const y = oy * stride + ky * dilation - padding;
            const x = ox * stride + kx * dilation - padding;
            if (y < 0 || y >= height || x < 0 || x >= width) continue;
            for (let ci = 0; ci < inChannels; ci++) {
              const xAt = ((n * height + y) * width + x) * inChannels + ci;
              const group = Math.floor(ci / depth);
              for (let co = group * columns; co < (group + 1) * columns; co++) {
                const tap = (ky * kernelWidth + kx) * depth + ci % depth;
                const wAt = tap * outChannels + co;
                term(xAt, wAt, ((n * outHeight + oy) * outWidth + ox) * outChannels + co);
              }
            }
          }
        }
      }
    }
  }
}

function checkInputs(x: Float64Array, w: Float64Array, shape: Conv2dShape): void {
  const { batch, height, width, inChannels, outChannels, kernelHeight, kernelWidth } = shape;
  const { groups = 1 } = shape;
  checkShape("x", x, [batch, height, width, inChannels]);
  checkShape("w", w, [kernelHeight, kernelWidth, inChannels / groups, outChannels]);
}

/**
 * `y[n, i, j, co] = b[co] + Σ x[n, i·stride + ky - padding, j·stride + kx - padding, ci] · w[ky, kx, ci, co]`:
 * `[N, OH, OW, Cout]`. `b` `[Cout]` may be left out. A dilation multiplies ky and kx; with groups, the sum is over
 * the channels of the group of `co` alone.
 */
export function conv2dForward(
  x: Float64Array,
  w: Float64Array,
  b: Float64Array | undefined,
  shape: Conv2dShape,
): Float64Array {
  checkInputs(x, w, shape);
  if (b !== undefined) checkShape("b", b, [shape.outChannels]);
  const [outHeight, outWidth] = conv2dOutput(shape);
  const y = new Float64Array(shape.batch * outHeight * outWidth * shape.outChannels);
  if (b !== undefined) y.forEach((_, i) => y[i] = b[i % shape.outChannels]);
  eachTerm(shape, (xAt, wAt, yAt) => y[yAt] += x[xAt] * w[wAt]); // (P1)
  return y;
}

/** The gradients of {@linkcode conv2dForward}. */
export interface Conv2dGradients {
  dx: Float64Array;
  dw: Float64Array;
  db: Float64Array;
}

/** Backward of {@linkcode conv2dForward}, from `dy` `[N, OH, OW, Cout]`. */
export function conv2dBackward(
  dy: Float64Array,
  x: Float64Array,
  w: Float64Array,
  shape: Conv2dShape,
): Conv2dGradients {
  checkInputs(x, w, shape);
  const { batch, outChannels } = shape;
  checkShape("dy", dy, [batch, ...conv2dOutput(shape), outChannels]);
  const dx = new Float64Array(x.length);
  const dw = new Float64Array(w.length);
  const db = new Float64Array(outChannels);
  eachTerm(shape, (xAt, wAt, yAt) => {
    dx[xAt] += dy[yAt] * w[wAt]; // (P2)
    dw[wAt] += dy[yAt] * x[xAt]; // (P3)
  });
  dy.forEach((value, i) => db[i % outChannels] += value); // (P4)
  return { dx, dw, db };
}
