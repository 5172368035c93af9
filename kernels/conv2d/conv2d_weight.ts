/**
 * The product behind a convolution's gradient on its weights: the transpose of what each tap sees of the
 * source, times the gradient of the result, summed over all places of the result.
 *
 * A row is a number of a tap: row `tap·depth + d`, with depth rounded up to whole quads. `group.z` counts parts of
 * the places: with several parts, each leaves a sum of its own, `[parts, taps·depth, n]`. A part is so
 * small that its loops take few enough turns (kernels/runtime/turns.ts).
 */
import type { Operand, Tile } from "../gemm/contract.ts";
import { gemmCode, gemmGroups, mostDepth, partsFor, tileOf } from "../gemm/engine.ts";
import { matrix } from "../gemm/plain.ts";
import { type Factor, factorOf } from "../gemm/product.ts";
import { columnSum } from "../reduce/reduce.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { Tensor } from "../runtime/tensor.ts";
import { element, perShape, quadLoad, quadStore, readFrom } from "../runtime/wgsl.ts";
import { fit } from "../fit.ts";
import { prepare, type Sizes, whole } from "./conv2d_sizes.ts";
import { GpuError } from "../runtime/errors.ts";

/** What a kernel for the gradient on weights is made for. */
interface WeightShape {
  /** The source, and the gradient. */
  a: Factor;
  b: Factor;
  tile: Tile;
  /** Places from one tap to the next. */
  dilation: number;
  /** Results lie in whole quads. */
  vec4: boolean;
}

/** Parameters of the kernel. */
const WEIGHT_PARAMS = {
  /** Rows, and columns: numbers of a place of the result. */
  m: "u32",
  n: "u32",
  /** Places of the result, and those of a part. */
  k: "u32",
  part: "u32",
  /** Numbers of a source place that are used, and those rounded up to whole quads. */
  channels: "u32",
  depth: "u32",
  out_h: "u32",
  out_w: "u32",
  source_h: "u32",
  source_w: "u32",
  /** Numbers from one place of the source to the next. */
  pitch: "u32",
  /** The first number of the result's gradient, and numbers from one place to the next. */
  b_offset: "u32",
  ldb: "u32",
  stride: "u32",
  padding: "u32",
  kernel_w: "u32",
} as const;

/** What the kernel divides, in float32, is below this. */
const DIVIDED = 1 << 20;

const times = (dilation: number) => dilation === 1 ? "" : ` * ${dilation}u`;

/** What each tap sees of the source, from each place of the result: a line is a quad of numbers of a tap. */
const seen = ({ vec4, mirror }: Factor, dilation: number): Operand => ({
  quads: "across",
  code: /* wgsl */ `${quadLoad("a", vec4, mirror)}
// The first number within a place, the shift of the place, and the picture, line and column of the part's first place.
struct Line_a { number: u32, y: u32, x: u32, image: u32, line: u32, column: u32 }
fn a_line(row: u32, left: u32, first: u32) -> Line_a {
  let tap = row / params.depth;
  let line = first / params.out_w;
  return Line_a(row % params.depth, tap / params.kernel_w${times(dilation)} - params.padding,
    tap % params.kernel_w${
    times(dilation)
  } - params.padding, line / params.out_h, line % params.out_h, first % params.out_w);
}
// i / n for i below ${DIVIDED}: a CPU divides vectors of floats at once, and of whole numbers one by one.
fn divide(i: u32, n: u32) -> u32 { return u32((f32(i) + 0.5) / f32(n)); }
fn a_load(row: Line_a, place: u32, left: u32) -> vec4f {
  let lines = divide(row.column + place, params.out_w);
  let line = row.line + lines;
  let images = divide(line, params.out_h);
  let y = (line - images * params.out_h) * params.stride + row.y;
  let x = (row.column + place - lines * params.out_w) * params.stride + row.x;
  let within = y < params.source_h && x < params.source_w;
  let source_line = (row.image + images) * params.source_h + y;
  let at = (source_line * params.source_w + x) * params.pitch + row.number;
  return select(vec4f(), load_a(select(0u, at, within), params.channels - row.number), within);
}
`,
});

const ending = (vec4: boolean) =>
  /* wgsl */ `${quadStore("out", vec4)}
fn finish_quad(row: u32, column: u32, sums: vec4f) {
  store_out(row * params.n + column, params.n - column, sums);
}
`;

const weightKernel = perShape((gpu: Gpu, { a, b, tile, dilation, vec4 }: WeightShape) =>
  defineKernel({
    name: "conv2d weight gradient",
    bindings: {
      a: readFrom(a.vec4, a.mirror),
      b: readFrom(b.vec4, b.mirror),
      out: `write ${element(vec4)}`,
    },
    params: WEIGHT_PARAMS,
    cost: { flops: ({ m, n, k }) => 2 * m * n * k },
    code: gemmCode(gpu, {
      tile,
      a: seen(a, dilation),
      b: matrix("b", "across", b.vec4, b.mirror),
      ending: { code: ending(vec4), short: true },
      ragged: true,
      parts: true,
      rowsFirst: true,
    }),
  })
);

export function weightGradient(
  { dy, at }: { dy: Tensor; at: number },
  x: Tensor,
  sizes: Sizes,
  out?: Tensor,
): Tensor {
  const { gpu } = dy;
  const { kernelHeight, kernelWidth, channels, outChannels, stride } = sizes;
  const prepared = prepare(x, sizes);
  using source = prepared.source;
  const { batch, outHeight, outWidth } = sizes;
  const depth = whole(prepared.depth);
  const m = prepared.kernelHeight * prepared.kernelWidth * depth;
  const places = batch * outHeight * outWidth;
  // Parts are whole lines, where these take few enough turns.
  const lines = batch * outHeight;
  const share = Math.ceil(lines / partsFor(gpu, m, outChannels, lines)) * outWidth;
  const parts = Math.ceil(places / share);
  const tile = tileOf(gpu, { m, n: outChannels, k: share, parts, across: true });
  const mostPlaces = mostDepth(gpu, tile);
  if (Math.max(outHeight, outWidth) + mostPlaces > DIVIDED) {
    throw new GpuError(
      `The gradient of a convolution on its weights takes results of at most ${
        DIVIDED - mostPlaces
      } lines and columns, ` +
        `and those of "${x.name}" have ${outHeight} and ${outWidth}`,
    );
  }
  const result = out ??
    Tensor.empty(gpu, [kernelHeight, kernelWidth, channels, outChannels], { name: "dw" });
  const part = Math.min(share, mostPlaces);
  const used = Math.ceil(places / part);
  const size = m * outChannels;
  const padded = size !== result.size;
  const target = used === 1 && !padded
    ? result.view([used, size])
    : Tensor.empty(gpu, [used, size], { name: "dw" });
  const shape = {
    ...{ tile, dilation: sizes.dilation, vec4: outChannels % 4 === 0 },
    a: factorOf(source, true, [prepared.depth, prepared.shape[2]]),
    b: factorOf(dy, false, [outChannels, at, dy.shape[3]]),
  };
  weightKernel(gpu, shape).run(gpu, { a: source, b: dy, out: target }, {
    m,
    n: outChannels,
    k: places,
    part,
    channels: prepared.depth,
    depth,
    out_h: outHeight,
    out_w: outWidth,
    source_h: prepared.shape[0],
    source_w: prepared.shape[1],
    pitch: prepared.shape[2],
    b_offset: at,
    ldb: dy.shape[3],
    stride,
    padding: prepared.padding,
    kernel_w: prepared.kernelWidth,
  }, [...gemmGroups(gpu, { tile, rowsFirst: true }, m, outChannels), used]);
  if (used > 1 || padded) {
    using flat = result.view([result.size]);
    using sums = used === 1 ? target.view([size]) : columnSum(target, padded ? undefined : flat);
    if (padded) {
      using wide = sums.view([
        kernelHeight * kernelWidth,
        size / (outChannels * kernelHeight * kernelWidth),
        1,
        outChannels,
      ]);
      using narrow = result.view([kernelHeight * kernelWidth, channels, 1, outChannels]);
      fit(wide, [kernelHeight * kernelWidth, channels, 1, outChannels], [0, 0], narrow);
    }
  }
  target.dispose();
  return result;
}
