/** The gradient of a convolution on its input. */
import { takeColumns } from "./concat.ts";
import { gatherKernel } from "./conv2d_gather.ts";
import { isPicture, prepareWeights, type Sizes, tile, whole } from "./conv2d_sizes.ts";
import { fit } from "./fit.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "./kernel.ts";
import { matmul } from "./matmul.ts";
import { worthMirrors } from "./mirror.ts";
import { Tensor } from "./tensor.ts";

export function inputGradient(
  { dy, at }: { dy: Tensor; at: number },
  w: Tensor,
  sizes: Sizes,
  out?: Tensor,
): Tensor {
  const { gpu } = dy;
  const { batch, height, width, channels, kernelHeight, kernelWidth, stride, padding } = sizes;
  const { outHeight, outWidth, outChannels } = sizes;
  const shape = [batch, height, width, channels];
  const result = out ?? Tensor.empty(gpu, shape, { name: "dx" });
  using weights = prepareWeights(w, sizes);
  if (isPicture(sizes)) {
    pictureGradient({ dy, at }, weights, sizes, result);
    return result;
  }
  const columns = whole(channels);
  const target = columns === channels
    ? result.view(shape)
    : Tensor.empty(gpu, [batch, height, width, columns], { name: "dx" });
  const mirror = worthMirrors(dy, weights);
  for (let py = 0; py < stride; py++) {
    for (let px = 0; px < stride; px++) {
      const grid = [Math.ceil((height - py) / stride), Math.ceil((width - px) / stride)];
      const m = batch * grid[0] * grid[1];
      if (m <= 0) continue;
      // Input row gy·stride + py meets tap ty + stride·j at output row gy + off - j.
      const tap = (p: number) => (p + padding) % stride;
      const off = (p: number) => Math.floor((p + padding) / stride);
      const taps = (p: number, kernel: number) =>
        Math.max(0, Math.ceil((kernel - tap(p)) / stride));
      const { rows, quads, tiles } = tile(gpu, m, columns);
      gatherKernel(gpu, { transB: true, mirror, rows, quads, bias: false, relu: false }).run(
        gpu,
        { source: dy, w: weights, bias: weights, out: target },
        {
          m,
          n: columns,
          depth: whole(outChannels),
          grid_h: grid[0],
          grid_w: grid[1],
          source_h: outHeight,
          source_w: outWidth,
          pitch: dy.shape[3],
          source_at: at,
          mul: 1,
          off_y: off(py),
          off_x: off(px),
          dir: -1,
          taps_y: taps(py, kernelHeight),
          taps_x: taps(px, kernelWidth),
          tap_y: tap(py),
          tap_x: tap(px),
          step: stride,
          kernel_w: kernelWidth,
          out_h: height,
          out_w: width,
          out_pitch: columns,
          out_at: 0,
          spread: stride,
          at_y: py,
          at_x: px,
        },
        [tiles[1], tiles[0]],
      );
    }
  }
  if (columns !== channels) fit(target, [batch, height, width, channels], [0, 0], result);
  target.dispose();
  return result;
}

// Invocation i gathers the place i of the picture from the windows over it: `sums [N, OH, OW, taps, 4]`.
const foldKernel = defineKernel({
  name: "conv2d picture gradient",
  bindings: { sums: "read vec4f", out: "write f32" },
  params: {
    n: "u32",
    height: "u32",
    width: "u32",
    channels: "u32",
    out_h: "u32",
    out_w: "u32",
    kernel_h: "u32",
    kernel_w: "u32",
    stride: "u32",
    padding: "u32",
  },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let x = i % params.width + params.padding;
  let line = i / params.width;
  let y = line % params.height + params.padding;
  let image = line / params.height;
  var sum = vec4f();
  for (var ky = y % params.stride; ky < min(params.kernel_h, y + 1u); ky += params.stride) {
    let oy = (y - ky) / params.stride;
    if (oy >= params.out_h) { continue; }
    for (var kx = x % params.stride; kx < min(params.kernel_w, x + 1u); kx += params.stride) {
      let ox = (x - kx) / params.stride;
      if (ox >= params.out_w) { continue; }
      let place = (image * params.out_h + oy) * params.out_w + ox;
      sum += sums[(place * params.kernel_h + ky) * params.kernel_w + kx];
    }
  }
  for (var c = 0u; c < params.channels; c++) { out[i * params.channels + c] = sum[c]; }
}`,
});

/** The gradient on a picture: what each window says of each number under it, then their sums. */
function pictureGradient(
  { dy, at }: { dy: Tensor; at: number },
  weights: Tensor,
  sizes: Sizes,
  out: Tensor,
): void {
  const { batch, height, width, channels, kernelHeight, kernelWidth, stride, padding } = sizes;
  const { outHeight, outWidth } = sizes;
  const columns = weights.shape[3];
  const places = batch * outHeight * outWidth;
  using flat = dy.view([places, dy.shape[3]]);
  using part = at === 0 && dy.shape[3] === columns
    ? flat.view(flat.shape)
    : Tensor.empty(dy.gpu, [places, columns], { name: dy.name });
  if (part.size !== flat.size) takeColumns(flat, at, part);
  using matrix = weights.view([kernelHeight * kernelWidth * 4, columns]);
  using sums = matmul(part, matrix, { transB: true });
  const n = batch * height * width;
  foldKernel.run(dy.gpu, { sums, out }, {
    n,
    height,
    width,
    channels,
    out_h: outHeight,
    out_w: outWidth,
    kernel_h: kernelHeight,
    kernel_w: kernelWidth,
    stride,
    padding,
  }, flatGroups(n));
}
