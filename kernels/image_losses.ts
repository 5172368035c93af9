/** Losses of style transfer, each with its gradient: squared differences, and the total variation. */
import type { Gpu } from "./runtime/gpu.ts";
import { type Binding, defineKernel } from "./runtime/kernel.ts";
import { perShape } from "./runtime/wgsl.ts";
import { SUM_PARAMS, summed, sumOfEach } from "./reduce/reduce.ts";
import { expectShape, Tensor } from "./runtime/tensor.ts";

/** Options of the losses. */
export interface ImageLossOptions {
  /** Multiplies the loss, and so its gradient: 1 by default. */
  weight?: number;
  /** Also compute the gradient (the default). */
  withGradient?: boolean;
}

/** A loss, one number, and its gradient. */
export interface ImageLoss {
  loss: Tensor;
  /** With the shape of the first argument; missing when it was not asked for. */
  gradient?: Tensor;
}

interface Shape {
  /** There is a single workgroup. */
  single: boolean;
  withGradient: boolean;
}

// Element i is a quad, of whose last one `size` leaves a part. The gradient has room behind that.
const differenceKernel = perShape((_gpu: Gpu, { single, withGradient }: Shape) =>
  defineKernel({
    name: "squared difference",
    bindings: {
      a: "read vec4f",
      b: "read vec4f",
      parts: "write f32",
      ...withGradient && { gradient: "write vec4f" as Binding },
    },
    params: { ...SUM_PARAMS, size: "u32" },
    code: sumOfEach(
      single,
      `let d = select(vec4f(), a[i] - b[i], 4u * i + vec4u(0u, 1u, 2u, 3u) < vec4u(params.size));
    term = dot(d, d);
    // (P18)
    ${withGradient ? "gradient[i] = 2.0 * params.weight * d;" : ""}`,
    ),
  })
);

// Element i is a channel of a pixel: it counts the differences to the pixel below and to the one on the right,
// and its gradient has those above and on the left too. Its place is counted on: a CPU divides whole numbers one by one.
const variationKernel = perShape((_gpu: Gpu, { single, withGradient }: Shape) =>
  defineKernel({
    name: "total variation",
    bindings: {
      x: "read f32",
      parts: "write f32",
      ...withGradient && { gradient: "write f32" as Binding },
    },
    params: { ...SUM_PARAMS, height: "u32", line: "u32", channels: "u32" },
    code: sumOfEach(
      single,
      `let v = x[i];
    var slope = 0.0;
    if (row + 1u < params.height) {
      let d = x[i + params.line] - v;
      term += d * d; // (P21)
      slope -= d;
    }
    if (column + params.channels < params.line) {
      let d = x[i + params.channels] - v;
      term += d * d;
      slope -= d;
    }
    ${
        withGradient
          // (P22)
          ? `if (row > 0u) { slope += v - x[i - params.line]; }
    if (column >= params.channels) { slope += v - x[i - params.channels]; }
    gradient[i] = 2.0 * params.weight * slope;`
          : ""
      }
    column += columns;
    row += select(rows, rows + 1u, column >= params.line);
    column -= select(0u, params.line, column >= params.line);
    row -= select(0u, params.height, row >= params.height);`,
      `var column = first % params.line;
  var row = first / params.line % params.height;
  let columns = stride % params.line;
  let rows = stride / params.line % params.height;`,
    ),
  })
);

function checkWeight(weight: number): void {
  if (Number.isFinite(weight)) return;
  throw new RangeError(`The weight of a loss is a finite number, and ${weight} was given`);
}

/**
 * The weighted squared difference `w Σ (a - b)²` of two tensors of one shape, and its gradient on the first,
 * `2 w (a - b)`: the content loss of style transfer with feature maps, the style loss with Gram matrices.
 * One dispatch, or two for many numbers.
 *
 * Errors: TypeError when the shapes differ; RangeError when the weight is not finite.
 */
export function squaredDifference(
  a: Tensor,
  b: Tensor,
  { weight = 1, withGradient = true }: ImageLossOptions = {},
): ImageLoss {
  expectShape(b, a.shape, "A squared difference's second tensor");
  checkWeight(weight);
  const { gpu } = a;
  const n = Math.ceil(a.size / 4);
  const gradient = withGradient
    ? { gradient: Tensor.empty(gpu, a.shape, { name: "gradient" }) }
    : {};
  const loss = summed(gpu, n, ({ single, parts, at, groups }) => {
    const kernel = differenceKernel(gpu, { single, withGradient });
    kernel.run(gpu, { a, b, parts, ...gradient }, { n, weight, at, size: a.size }, groups);
  });
  return { loss, ...gradient };
}

/**
 * The total variation of pictures `x [N, H, W, C]`, `w Σ (x[i + 1, j] - x[i, j])² + w Σ (x[i, j + 1] - x[i, j])²`
 * over all channels, and its gradient. One dispatch, or two for many numbers.
 *
 * Errors: TypeError when x has other axes; RangeError when the weight is not finite.
 */
export function totalVariation(
  x: Tensor,
  { weight = 1, withGradient = true }: ImageLossOptions = {},
): ImageLoss {
  expectShape(x, [null, null, null, null], "A total variation's x [N, H, W, C]");
  checkWeight(weight);
  const { gpu, size: n } = x;
  const [, height, width, channels] = x.shape;
  const params = { n, weight, height, line: width * channels, channels };
  const gradient = withGradient
    ? { gradient: Tensor.empty(gpu, x.shape, { name: "gradient" }) }
    : {};
  const loss = summed(gpu, n, ({ single, parts, at, groups }) => {
    const kernel = variationKernel(gpu, { single, withGradient });
    kernel.run(gpu, { x, parts, ...gradient }, { ...params, at }, groups);
  });
  return { loss, ...gradient };
}
