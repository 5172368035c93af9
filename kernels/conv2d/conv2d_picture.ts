/**
 * The gradient of a convolution on a picture, of at most four channels: a product says what each window
 * wants of each number under it, then each place sums what the windows over it want.
 */
import { takeColumns } from "../concat.ts";
import { expectGather, gatherKernel, NO_WINDOW } from "./conv2d_gather.ts";
import { type Sizes, TILE_QUADS, whole } from "./conv2d_sizes.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, MOST_GROUPS } from "../runtime/kernel.ts";
import { worthMirror } from "../runtime/mirror.ts";
import { lines, perShape, tileLanes } from "../gemm/product.ts";
import { Tensor } from "../runtime/tensor.ts";
import { expectTurns, loopTurns } from "../runtime/turns.ts";

// An invocation gathers a place of the picture, (id.x, row id.y of all pictures), from the windows over it:
// `sums [taps, 4, pitch]`. No division of each place: a CPU does those of whole numbers one by one.
const foldKernel = perShape((
  _gpu: Gpu,
  { stride, channels }: { stride: number; channels: number },
) =>
  defineKernel({
    name: "conv2d picture gradient",
    bindings: { sums: "read f32", out: "write f32" },
    params: {
      height: "u32",
      width: "u32",
      lines: "u32",
      out_h: "u32",
      out_w: "u32",
      kernel_h: "u32",
      kernel_w: "u32",
      padding: "u32",
      pitch: "u32",
    },
    code: /* wgsl */ `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u) {
  if (id.x >= params.width) { return; }
  let x = id.x + params.padding;
  for (var line = group.y; line < params.lines; line += groups.y) {
  let image = line / params.height;
  let y = line - image * params.height + params.padding;
  ${lines(channels, (c) => `var sum${c} = 0.0;`)}
  for (var ky = y % ${stride}u; ky < min(params.kernel_h, y + 1u); ky += ${stride}u) {
    let oy = (y - ky) / ${stride}u;
    if (oy >= params.out_h) { continue; }
    for (var kx = x % ${stride}u; kx < min(params.kernel_w, x + 1u); kx += ${stride}u) {
      let ox = (x - kx) / ${stride}u;
      if (ox >= params.out_w) { continue; }
      let place = (image * params.out_h + oy) * params.out_w + ox;
      let at = 4u * (ky * params.kernel_w + kx) * params.pitch + place;
      ${lines(channels, (c) => `sum${c} += sums[at + ${c}u * params.pitch];`)}
    }
  }
  let to = (line * params.width + id.x) * ${channels}u;
  ${lines(channels, (c) => `out[to + ${c}u] = sum${c};`)}
  }
}`,
  })
);

/** The gradient on a picture, from the `weights [kh, kw, 4, K]`. */
export function pictureGradient(
  { dy, at }: { dy: Tensor; at: number },
  weights: Tensor,
  sizes: Sizes,
  out?: Tensor,
): Tensor {
  const { gpu } = dy;
  const { batch, height, width, channels, kernelHeight, kernelWidth, stride, padding } = sizes;
  const { outHeight, outWidth } = sizes;
  const columns = weights.shape[3];
  const lineCount = batch * height;
  const groups = [Math.ceil(width / 64), Math.min(lineCount, MOST_GROUPS)] as const;
  const taps = (kernel: number) => Math.ceil(kernel / stride);
  expectTurns(
    loopTurns(
      Math.ceil(lineCount / groups[1]),
      loopTurns(taps(kernelHeight), loopTurns(taps(kernelWidth))),
    ),
    weights,
    "The gradient on pictures of a convolution with the weights",
    "take fewer pictures or a smaller window",
  );
  // The numbers under a window are the rows, of which there are few, and its places the columns.
  const m = kernelHeight * kernelWidth * 4;
  const lanes = tileLanes(gpu);
  const rows = gpu.path === "subgroup"
    ? Math.min(TILE_QUADS / lanes, m)
    : Math.min(64, 8 * Math.ceil(m / 8));
  const cut = { narrow: false, rows, quads: 1 };
  expectGather(gpu, cut, [1, 1], columns, weights);
  const result = out ?? Tensor.empty(gpu, [batch, height, width, channels], { name: "dx" });
  const places = batch * outHeight * outWidth;
  using flat = dy.view([places, dy.shape[3]]);
  using part = at === 0 && dy.shape[3] === columns
    ? flat.view(flat.shape)
    : Tensor.empty(gpu, [places, columns], { name: dy.name });
  if (part.size !== flat.size) takeColumns(flat, at, part);
  const pitch = whole(places);
  using sums = Tensor.empty(gpu, [m, pitch], { name: "sums" });
  const mirror = worthMirror(part) && worthMirror(weights);
  gatherKernel(gpu, { transB: true, mirror, ...cut, bias: false, relu: false }).run(
    gpu,
    { source: weights, w: part, bias: weights, out: sums },
    {
      ...NO_WINDOW,
      ...{ m, n: places, depth: columns },
      ...{ grid_h: 1, grid_w: m, source_h: 1, source_w: m, pitch: columns },
      ...{ out_h: 1, out_w: m, out_pitch: pitch },
    },
    [Math.ceil(m / rows), Math.ceil(places / (4 * lanes))],
  );
  foldKernel(gpu, { stride, channels }).run(gpu, { sums, out: result }, {
    height,
    width,
    lines: lineCount,
    out_h: outHeight,
    out_w: outWidth,
    kernel_h: kernelHeight,
    kernel_w: kernelWidth,
    padding,
    pitch,
  }, groups);
  return result;
}
