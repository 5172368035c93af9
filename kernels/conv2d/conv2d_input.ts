/** The gradient of a convolution on its input. */
import { gatherKernel } from "./conv2d_gather.ts";
import { pictureGradient } from "./conv2d_picture.ts";
import { expectWindow, isPicture, prepareWeights, type Sizes } from "./conv2d_sizes.ts";
import { gemmGroups, tileOf } from "../gemm/engine.ts";
import { factorOf } from "../gemm/product.ts";
import { Tensor } from "../runtime/tensor.ts";

function greatestDivisor(a: number, b: number): number {
  return b === 0 ? a : greatestDivisor(b, a % b);
}

export function inputGradient(
  { dy, at }: { dy: Tensor; at: number },
  w: Tensor,
  sizes: Sizes,
  out?: Tensor,
): Tensor {
  const { gpu } = dy;
  const { batch, height, width, channels, kernelHeight, kernelWidth, stride, padding } = sizes;
  const { dilation } = sizes;
  const { outHeight, outWidth, outChannels } = sizes;
  const shape = [batch, height, width, channels];
  using weights = prepareWeights(w, sizes);
  if (isPicture(sizes)) return pictureGradient({ dy, at }, weights, sizes, out);
  // From one of a grid's taps to the next, in the window and in the places of the result.
  const shared = greatestDivisor(stride, dilation);
  const [step, reach] = [stride / shared, dilation / shared];
  const most = (kernel: number) => Math.ceil(kernel / step);
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
      // Input row gy·stride + py meets tap ty + step·j at output row gy + off - reach·j.
      const meets = (p: number, t: number) => (p + padding - dilation * t) % stride === 0;
      const [ty, tx] = ([[py, kernelHeight], [px, kernelWidth]] as const).map(([p, kernel]) => {
        let t = 0;
        while (t < kernel && !meets(p, t)) t++;
        return t;
      });
      const off = (p: number, t: number) => Math.floor((p + padding - dilation * t) / stride);
      const [tapsY, tapsX] = [kernelHeight - ty, kernelWidth - tx].map((n) => Math.ceil(n / step));
      const tile = cut(m, tapsY * tapsX);
      gatherKernel(gpu, { ...kernel, tile }).run(
        gpu,
        { a: dy, b: weights, bias: weights, out: result },
        {
          ...{ m, n: channels, k: outChannels },
          ...{ grid_h: grid[0], grid_w: grid[1] },
          ...{ source_h: outHeight, source_w: outWidth },
          ...{ pitch: dy.shape[3], source_at: at },
          ...{ mul: 1, off_y: off(py, ty), off_x: off(px, tx), dir: -reach },
          ...{ taps_y: tapsY, taps_x: tapsX },
          ...{ tap_y: ty, tap_x: tx, step, kernel_w: kernelWidth },
          ...{ out_h: height, out_w: width, out_pitch: channels, out_at: 0 },
          ...{ spread: stride, at_y: py, at_x: px },
        },
        gemmGroups(gpu, { tile, rowsFirst: true }, m, channels),
      );
    }
  }
  return result;
}
