/** The gradient of a convolution on its input. */
import { gatherKernel } from "./conv2d_gather.ts";
import { pictureGradient } from "./conv2d_picture.ts";
import { expectWindow, isPicture, prepareWeights, type Sizes } from "./conv2d_sizes.ts";
import { gemmGroups, tileOf } from "../gemm/engine.ts";
import { factorOf } from "../gemm/product.ts";
import { Tensor } from "../runtime/tensor.ts";

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
  using weights = prepareWeights(w, sizes);
  if (isPicture(sizes)) return pictureGradient({ dy, at }, weights, sizes, out);
  const most = (kernel: number) => Math.ceil(kernel / stride);
  const cut = (m: number, taps: number) =>
    tileOf(gpu, { m, n: channels, k: taps * outChannels, narrow: true });
  expectWindow(
    gpu,
    cut(batch * height * width, most(kernelHeight) * most(kernelWidth)),
    [most(kernelHeight), most(kernelWidth)],
    outChannels,
    w,
  );
  const result = out ?? Tensor.empty(gpu, shape, { name: "dx" });
  const kernel = {
    a: factorOf(dy, false, [outChannels, at, dy.shape[3]]),
    b: factorOf(weights, true, [outChannels]),
    ...{ vec4: channels % 4 === 0, bias: false, relu: false },
  };
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
      const tile = cut(m, taps(py, kernelHeight) * taps(px, kernelWidth));
      gatherKernel(gpu, { ...kernel, tile }).run(
        gpu,
        { a: dy, b: weights, bias: weights, out: result },
        {
          ...{ m, n: channels, k: outChannels },
          ...{ grid_h: grid[0], grid_w: grid[1] },
          ...{ source_h: outHeight, source_w: outWidth },
          ...{ pitch: dy.shape[3], source_at: at },
          ...{ mul: 1, off_y: off(py), off_x: off(px), dir: -1 },
          ...{ taps_y: taps(py, kernelHeight), taps_x: taps(px, kernelWidth) },
          ...{ tap_y: tap(py), tap_x: tap(px), step: stride, kernel_w: kernelWidth },
          ...{ out_h: height, out_w: width, out_pitch: channels, out_at: 0 },
          ...{ spread: stride, at_y: py, at_x: px },
        },
        gemmGroups(gpu, { tile, rowsFirst: true }, m, channels),
      );
    }
  }
  return result;
}
