/**
 * A convolution in groups, and its gradients: each group of channels has windows, weights and results of its own.
 * There is little to share in such small products, so each number is a sum of its own. Where each channel is a group,
 * and has one result (a depthwise convolution), four side by side are a quad.
 */
import { activations } from "../activations.ts";
import { partsFor } from "../gemm/engine.ts";
import { columnSum } from "../reduce/reduce.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { Tensor } from "../runtime/tensor.ts";
import { expectTurns, loopTurns, SUM_STRETCH } from "../runtime/turns.ts";
import { element, perShape } from "../runtime/wgsl.ts";
import type { Sizes } from "./conv2d_sizes.ts";

/** Parameters of the kernels. All numbers of channels count quads where the kernel takes quads. */
const PARAMS = {
  /** Invocations. */
  n: "u32",
  height: "u32",
  width: "u32",
  channels: "u32",
  out_h: "u32",
  out_w: "u32",
  out_channels: "u32",
  /** Channels and results of a group. */
  depth: "u32",
  columns: "u32",
  /** Numbers from one place of the result to the next, and the first of them. */
  pitch: "u32",
  at: "u32",
  kernel_h: "u32",
  kernel_w: "u32",
  stride: "u32",
  padding: "u32",
  dilation: "u32",
} as const;

// An invocation owns one number of the result, or a quad. Coordinates outside of the map wrap around to large ones.
const forwardKernel = perShape((
  _gpu: Gpu,
  { vec4, bias, relu }: { vec4: boolean; bias: boolean; relu: boolean },
) => {
  const t = element(vec4);
  const sum = bias ? "sum + bias[k]" : "sum";
  return defineKernel({
    name: "conv2d grouped forward",
    bindings: {
      x: `read ${t}`,
      w: `read ${t}`,
      ...(bias ? { bias: `read ${t}` } as const : {}),
      out: `write ${t}`,
    } as { x: "read f32"; w: "read f32"; bias: "read f32"; out: "write f32" },
    params: PARAMS,
    cost: {
      flops: ({ n, kernel_h, kernel_w, depth }) => (vec4 ? 8 : 2) * n * kernel_h * kernel_w * depth,
    },
    code: /* wgsl */ `${relu ? activations(t) : ""}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let k = i % params.out_channels;
  let place = i / params.out_channels;
  let line = place / params.out_w;
  let top = line % params.out_h * params.stride - params.padding;
  let left = place % params.out_w * params.stride - params.padding;
  let map = line / params.out_h * params.height;
  let first = k / params.columns * params.depth;
  var sum = ${t}();
  for (var ky = 0u; ky < params.kernel_h; ky++) {
    let py = top + ky * params.dilation;
    for (var kx = 0u; kx < params.kernel_w; kx++) {
      let px = left + kx * params.dilation;
      let within = py < params.height && px < params.width;
      let source = select(0u, ((map + py) * params.width + px) * params.channels + first, within);
      let tap = (ky * params.kernel_w + kx) * params.depth;
      for (var c = 0u; c < params.depth; c++) {
        sum += select(${t}(), x[source + c], within) * w[(tap + c) * params.out_channels + k]; // (P1)
      }
    }
  }
  out[place * params.pitch + params.at + k] = ${relu ? `relu_${t}(${sum})` : sum};
}`,
  });
});

// An invocation owns one number of dx, or a quad.
const inputKernel = perShape((_gpu: Gpu, { vec4, stride }: { vec4: boolean; stride: number }) => {
  const t = element(vec4);
  return defineKernel({
    name: "conv2d grouped input gradient",
    bindings: { dy: `read ${t}`, w: `read ${t}`, dx: `write ${t}` },
    params: PARAMS,
    cost: {
      flops: ({ n, kernel_h, kernel_w, columns }) =>
        (vec4 ? 8 : 2) * n * kernel_h * kernel_w * columns / stride ** 2,
    },
    code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let channel = i % params.channels;
  let place = i / params.channels;
  let line = place / params.width;
  let map = line / params.height * params.out_h;
  let first = channel / params.depth * params.columns;
  var sum = ${t}();
  for (var ky = 0u; ky < params.kernel_h; ky++) {
    let down = line % params.height + params.padding - ky * params.dilation;
    if (down % ${stride}u != 0u || down / ${stride}u >= params.out_h) { continue; }
    for (var kx = 0u; kx < params.kernel_w; kx++) {
      let across = place % params.width + params.padding - kx * params.dilation;
      if (across % ${stride}u != 0u || across / ${stride}u >= params.out_w) { continue; }
      let target_place = (map + down / ${stride}u) * params.out_w + across / ${stride}u;
      let source = target_place * params.pitch + params.at + first;
      let tap = (ky * params.kernel_w + kx) * params.depth + channel % params.depth;
      let weight = tap * params.out_channels + first;
      for (var k = 0u; k < params.columns; k++) { sum += dy[source + k] * w[weight + k]; } // (P2)
    }
  }
  dx[i] = sum;
}`,
  });
});

// An invocation owns one number of dw, or a quad, and sums over a part of the places of the result.
const weightKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) => {
  const t = element(vec4);
  return defineKernel({
    name: "conv2d grouped weight gradient",
    bindings: { x: `read ${t}`, dy: `read ${t}`, dw: `write ${t}` },
    params: { ...PARAMS, size: "u32", places: "u32", part: "u32" },
    cost: { flops: ({ size, places }) => (vec4 ? 8 : 2) * size * places },
    code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let weight = i % params.size;
  let k = weight % params.out_channels;
  let number = weight / params.out_channels;
  let tap = number / params.depth;
  let down = tap / params.kernel_w * params.dilation - params.padding;
  let across = tap % params.kernel_w * params.dilation - params.padding;
  let channel = k / params.columns * params.depth + number % params.depth;
  let first = i / params.size * params.part;
  var column = first % params.out_w;
  var line = first / params.out_w % params.out_h;
  var map = first / params.out_w / params.out_h * params.height;
  var sum = ${t}();
  for (var place = first; place < min(first + params.part, params.places); place++) {
    let py = line * params.stride + down;
    let px = column * params.stride + across;
    let within = py < params.height && px < params.width;
    let source = select(0u, ((map + py) * params.width + px) * params.channels + channel, within);
    sum += select(${t}(), x[source], within) * dy[place * params.pitch + params.at + k]; // (P3)
    column++;
    if (column == params.out_w) { column = 0u; line++; }
    if (line == params.out_h) { line = 0u; map += params.height; }
  }
  dw[i] = sum;
}`,
  });
});

/** Whether the kernels take quads, the numbers in each, and their parameters. */
function kernelSizes(sizes: Sizes, at: number, pitch: number) {
  const { height, width, channels, outChannels, groups, stride, padding, dilation } = sizes;
  const [depth, columns] = [channels / groups, outChannels / groups];
  const vec4 = depth === 1 && columns === 1 && [channels, at, pitch].every((n) => n % 4 === 0);
  const unit = vec4 ? 4 : 1;
  const params = {
    ...{ height, width, channels: channels / unit, depth, columns, stride, padding, dilation },
    ...{ out_h: sizes.outHeight, out_w: sizes.outWidth, out_channels: outChannels / unit },
    ...{ pitch: pitch / unit, at: at / unit },
    ...{ kernel_h: sizes.kernelHeight, kernel_w: sizes.kernelWidth },
  };
  return { vec4, unit, params };
}

/** GpuError where the sums over all taps of `depth` numbers each take too many turns. */
function expectTaps({ kernelHeight, kernelWidth }: Sizes, depth: number, w: Tensor): void {
  const turns = loopTurns(kernelHeight, loopTurns(kernelWidth, loopTurns(depth)));
  const remedy = "take more groups, fewer channels or a smaller window";
  expectTurns(turns, w, "A convolution with the weights", remedy);
}

export function groupedForward(
  x: Tensor,
  w: Tensor,
  sizes: Sizes,
  { bias, relu = false, out, at }: {
    bias?: Tensor | undefined;
    relu?: boolean;
    out?: Tensor | undefined;
    at: number;
  },
): Tensor {
  const { gpu } = x;
  const { batch, outHeight, outWidth, outChannels } = sizes;
  expectTaps(sizes, w.shape[2], w);
  const shape = [batch, outHeight, outWidth, outChannels];
  const result = out ?? Tensor.empty(gpu, shape, { name: "conv2d" });
  const { vec4, unit, params } = kernelSizes(sizes, at, result.shape[3]);
  const n = batch * outHeight * outWidth * outChannels / unit;
  const kernel = forwardKernel(gpu, { vec4, bias: bias !== undefined, relu });
  kernel.run(gpu, { x, w, bias: bias ?? w, out: result }, { ...params, n }, flatGroups(n));
  return result;
}

export function groupedInputGradient(
  { dy, at }: { dy: Tensor; at: number },
  w: Tensor,
  sizes: Sizes,
  out?: Tensor,
): Tensor {
  const { gpu } = dy;
  const { batch, height, width, channels, outChannels, groups, stride } = sizes;
  expectTaps(sizes, outChannels / groups, w);
  const dx = out ?? Tensor.empty(gpu, [batch, height, width, channels], { name: "dx" });
  const { vec4, unit, params } = kernelSizes(sizes, at, dy.shape[3]);
  const n = batch * height * width * channels / unit;
  inputKernel(gpu, { vec4, stride }).run(gpu, { dy, w, dx }, { ...params, n }, flatGroups(n));
  return dx;
}

export function groupedWeightGradient(
  { dy, at }: { dy: Tensor; at: number },
  x: Tensor,
  sizes: Sizes,
  out?: Tensor,
): Tensor {
  const { gpu } = dy;
  const { batch, channels, groups, outHeight, outWidth, outChannels } = sizes;
  const shape = [sizes.kernelHeight, sizes.kernelWidth, channels / groups, outChannels];
  const dw = out ?? Tensor.empty(gpu, shape, { name: "dw" });
  const { vec4, unit, params } = kernelSizes(sizes, at, dy.shape[3]);
  const size = dw.size / unit;
  const places = batch * outHeight * outWidth;
  // Parts enough for all cores, and small enough for exact sums.
  const share = Math.ceil(places / partsFor(gpu, size, 1, batch * outHeight));
  const part = Math.min(share, SUM_STRETCH);
  const parts = Math.ceil(places / part);
  using sums = parts === 1
    ? dw.view([1, dw.size])
    : Tensor.empty(gpu, [parts, dw.size], { name: "dw" });
  const n = parts * size;
  const given = { ...params, n, size, places, part };
  weightKernel(gpu, { vec4 }).run(gpu, { x, dy, dw: sums }, given, flatGroups(n));
  if (parts > 1) {
    using flat = dw.view([dw.size]);
    columnSum(sums, flat);
  }
  return dw;
}
