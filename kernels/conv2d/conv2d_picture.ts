/**
 * The gradient of a convolution on a picture, of at most four channels: a product says what each window
 * wants of each number under it, then each place sums what the windows over it want.
 */
import { sliced, take } from "../rearrange.ts";
import { matmul } from "../gemm/matmul.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, MOST_GROUPS } from "../runtime/kernel.ts";
import { Tensor } from "../runtime/tensor.ts";
import { expectTurns, loopTurns } from "../runtime/turns.ts";
import { lines, perShape } from "../runtime/wgsl.ts";
import type { Sizes } from "./conv2d_sizes.ts";

// An invocation gathers a place of the picture, (id.x, row id.y of all pictures), from the windows over it:
// `sums [taps, 4, places]`. No division of each place: a CPU does those of whole numbers one by one.
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
  const over = (kernel: number) => Math.ceil(kernel / stride);
  expectTurns(
    loopTurns(
      Math.ceil(lineCount / groups[1]),
      loopTurns(over(kernelHeight), loopTurns(over(kernelWidth))),
    ),
    weights,
    "The gradient on pictures of a convolution with the weights",
    "take fewer pictures or a smaller window",
  );
  const result = out ?? Tensor.empty(gpu, [batch, height, width, channels], { name: "dx" });
  const places = batch * outHeight * outWidth;
  using flat = dy.view([places, dy.shape[3]]);
  using part = at === 0 && dy.shape[3] === columns
    ? flat.view(flat.shape)
    : Tensor.empty(gpu, [places, columns], { name: dy.name });
  if (part.size !== flat.size) take(sliced(flat, 1, { start: at, end: at + columns }), part);
  // The numbers under a window are the rows, of which there are few, and its places the columns.
  using taps = weights.view([kernelHeight * kernelWidth * 4, columns]);
  using sums = matmul(taps, part, { transB: true, name: "sums" });
  foldKernel(gpu, { stride, channels }).run(gpu, { sums, out: result }, {
    height,
    width,
    lines: lineCount,
    out_h: outHeight,
    out_w: outWidth,
    kernel_h: kernelHeight,
    kernel_w: kernelWidth,
    padding,
    pitch: places,
  }, groups);
  return result;
}
