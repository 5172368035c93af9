/** The mean of each window of feature maps, channels last, and its gradient: so many windows, or windows of one size. */
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { element, perShape } from "../runtime/wgsl.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { expectTurns, loopTurns, MOST_TURNS } from "../runtime/turns.ts";
import { POOL_PARAMS, pooledShape, type PoolOptions, poolOptions, poolParams } from "./windows.ts";

/** Options of {@linkcode averagePool2d}. */
export interface AveragePool2dOptions extends PoolOptions {
  /** Divide by the places of the padding under a window, too: true by default. */
  countPadding?: boolean;
}

interface Shape {
  vec4: boolean;
  /** The only window is the whole map; so many windows as are asked for; or windows of one size. */
  windows: "whole" | "adaptive" | Required<AveragePool2dOptions>;
}

// Window o of `out` along a side of `size` pixels: its first pixel, the one behind its last, and the number that it
// divides by. And the windows over a pixel: the first, and the one behind the last. Divisions cost a CPU as much as the rest.
function windowCode({ windows }: Shape): string {
  if (windows === "whole" || windows === "adaptive") {
    const ends = windows === "whole"
      ? "vec2u(0u, size)"
      : "vec2u(o * size / out, ((o + 1u) * size + out - 1u) / out)";
    return /* wgsl */ `
fn window(o: u32, size: u32, out: u32) -> vec3u {
  let ends = ${ends};
  return vec3u(ends, ends.y - ends.x);
}
// window's rule the other way round
fn over(p: u32, size: u32, out: u32) -> vec2u { return window(p, out, size).xy; }
`;
  }
  const { kernel, stride, padding, countPadding } = windows;
  return /* wgsl */ `
fn window(o: u32, size: u32, out: u32) -> vec3u {
  let start = o * ${stride}u;
  let ends = vec2u(max(start, ${padding}u), min(start + ${kernel}u, size + ${padding}u)) - ${padding}u;
  return vec3u(ends, ${
    countPadding ? `min(${kernel}u, size + ${2 * padding}u - start)` : "ends.y - ends.x"
  });
}
fn over(p: u32, size: u32, out: u32) -> vec2u {
  let place = p + ${padding}u;
  return vec2u((max(place + 1u, ${kernel}u) - ${kernel}u + ${
    stride - 1
  }u) / ${stride}u, min(place / ${stride}u + 1u, out));
}
`;
}

// An invocation owns one number of y, or a quad of channels.
const forwardKernel = perShape((_gpu: Gpu, shape: Shape) => {
  const t = element(shape.vec4);
  return defineKernel({
    name: "average pool",
    bindings: { x: `read ${t}`, y: `write ${t}` },
    params: POOL_PARAMS,
    code: /* wgsl */ `${windowCode(shape)}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let channel = i % params.quads;
  let row = i / params.quads / params.out_width;
  let down = window(row % params.out_height, params.height, params.out_height);
  let across = window(i / params.quads % params.out_width, params.width, params.out_width);
  let map = row / params.out_height * params.height;
  var sum = ${t}();
  for (var py = down.x; py < down.y; py++) {
    let line = (map + py) * params.width;
    for (var px = across.x; px < across.y; px++) { sum += x[(line + px) * params.quads + channel]; }
  }
  y[i] = sum / f32(down.z * across.z); // (P14)
}`,
  });
});

// An invocation owns one number of dx, or a quad, and sums over the windows that hold the pixel.
const backwardKernel = perShape((_gpu: Gpu, shape: Shape) => {
  const t = element(shape.vec4);
  return defineKernel({
    name: "average pool backward",
    bindings: { dy: `read ${t}`, dx: `write ${t}` },
    params: POOL_PARAMS,
    code: /* wgsl */ `${windowCode(shape)}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let channel = i % params.quads;
  let row = i / params.quads / params.width;
  let down = over(row % params.height, params.height, params.out_height);
  let across = over(i / params.quads % params.width, params.width, params.out_width);
  let map = row / params.height * params.out_height;
  var sum = ${t}();
  for (var oy = down.x; oy < down.y; oy++) {
    let tall = window(oy, params.height, params.out_height);
    let line = (map + oy) * params.out_width;
    for (var ox = across.x; ox < across.y; ox++) {
      let wide = window(ox, params.width, params.out_width);
      let area = f32(tall.z * wide.z);
      sum += dy[(line + ox) * params.quads + channel] / area; // (P15)
    }
  }
  dx[i] = sum;
}`,
  });
});

function adaptiveShape(
  [, , , channels]: readonly number[],
  [rows, columns]: readonly number[],
): Shape {
  return { vec4: channels % 4 === 0, windows: rows === 1 && columns === 1 ? "whole" : "adaptive" };
}

/** The means of the windows of x. */
function runForward(x: Tensor, [rows, columns]: readonly number[], shape: Shape): Tensor {
  const [batch, , , channels] = x.shape;
  const y = Tensor.empty(x.gpu, [batch, rows, columns, channels], { name: "average pool" });
  const n = y.size / (shape.vec4 ? 4 : 1);
  forwardKernel(x.gpu, shape).run(
    x.gpu,
    { x, y },
    { ...poolParams(x.shape, y.shape), n },
    flatGroups(n),
  );
  return y;
}

function runBackward(dy: Tensor, dx: Tensor, shape: Shape): Tensor {
  const n = dx.size / (shape.vec4 ? 4 : 1);
  backwardKernel(dx.gpu, shape).run(
    dx.gpu,
    { dy, dx },
    { ...poolParams(dx.shape, dy.shape), n },
    flatGroups(n),
  );
  return dx;
}

function checkShape(shape: readonly number[], size: readonly number[], what: string): void {
  if (
    size.length === 2 && [...size, shape[1], shape[2]].every((n) => Number.isInteger(n) && n > 0)
  ) {
    return;
  }
  throw new RangeError(
    `${what} makes maps of [1, 1] pixels or more of such, and is asked for [${
      size.join(", ")
    }] from [${shape.slice(1, 3).join(", ")}]`,
  );
}

/** The most turns of the loops over a window, or over the windows over a pixel, which overlap where sizes do not divide. */
function windowTurns([height, width]: readonly number[], [rows, columns]: readonly number[]) {
  const most = (size: number, count: number) =>
    size % count === 0 ? size / count : Math.min(size, Math.ceil(size / count) + 1);
  return loopTurns(most(height, rows), loopTurns(most(width, columns)));
}

const REMEDY = "take windows of fewer lines and columns";

/**
 * The means of `size = [OH, OW]` windows over each map, as in PyTorch's AdaptiveAvgPool2d: `x [N, H, W, C]`
 * to `[N, OH, OW, C]`, where window i of the rows goes from ⌊i H / OH⌋ to before ⌈(i + 1) H / OH⌉, and
 * likewise across; `[1, 1]` is the mean of the map. One dispatch; windows that take a kernel too many turns
 * (kernels/runtime/turns.ts) are averaged across and then down, in two.
 *
 * Errors: TypeError when x has other axes; RangeError for a size under one pixel and empty maps; GpuError for windows of
 * more lines or columns than that.
 */
export function adaptiveAveragePool2d(x: Tensor, size: readonly [number, number]): Tensor {
  expectShape(x, [null, null, null, null], "An average pool's x [N, H, W, C]");
  checkShape(x.shape, size, "An average pool");
  const [, height, width] = x.shape;
  const turns = windowTurns([height, width], size);
  if (turns > MOST_TURNS && size[0] !== height && size[1] !== width) {
    using rows = adaptiveAveragePool2d(x, [height, size[1]]);
    return adaptiveAveragePool2d(rows, size);
  }
  expectTurns(turns, x, "An average pool of", REMEDY);
  return runForward(x, size, adaptiveShape(x.shape, size));
}

/**
 * The gradient of {@linkcode adaptiveAveragePool2d} on x, written to `dx [N, H, W, C]` whole, from
 * `dy [N, OH, OW, C]`. One dispatch, or two where a pixel is under that many windows.
 */
export function adaptiveAveragePool2dGradient(dy: Tensor, dx: Tensor): Tensor {
  expectShape(dx, [null, null, null, null], "An average pool's gradient dx [N, H, W, C]");
  const [batch, , , channels] = dx.shape;
  expectShape(dy, [batch, null, null, channels], "An average pool's gradient dy [N, OH, OW, C]");
  const size: [number, number] = [dy.shape[1], dy.shape[2]];
  checkShape(dx.shape, size, "An average pool's gradient");
  const [, height, width] = dx.shape;
  const turns = windowTurns(size, [height, width]);
  if (turns > MOST_TURNS && size[0] !== height && size[1] !== width) {
    using rows = Tensor.empty(dx.gpu, [batch, height, size[1], channels], { name: "rows of dx" });
    adaptiveAveragePool2dGradient(dy, rows);
    return adaptiveAveragePool2dGradient(rows, dx);
  }
  expectTurns(turns, dx, "An average pool's gradient on", REMEDY);
  return runBackward(dy, dx, adaptiveShape(dx.shape, size));
}

/** Windows above this are refused whatever the map: their area must be counted in 32 bits. */
const MOST_KERNEL = 65_535;

function averageOptions({ countPadding = true, ...options }: AveragePool2dOptions) {
  return { ...poolOptions("An average pool", options, MOST_KERNEL), countPadding };
}

/**
 * The mean of each window, as PyTorch's avg_pool2d: `x [N, H, W, C]` to `[N, OH, OW, C]`. Places of the padding
 * count as zeros, unless `countPadding` is false. One dispatch.
 *
 * Errors: RangeError for options out of range; GpuError for windows of more numbers than a kernel can add up
 * (kernels/runtime/turns.ts); TypeError when x has other axes, or no window fits.
 */
export function averagePool2d(x: Tensor, given: AveragePool2dOptions): Tensor {
  const windows = averageOptions(given);
  const [, rows, columns, channels] = pooledShape("An average pool", x, windows);
  const [, height, width] = x.shape;
  const most = (size: number) => Math.min(size, windows.kernel);
  expectTurns(loopTurns(most(height), loopTurns(most(width))), x, "An average pool of", REMEDY);
  return runForward(x, [rows, columns], { vec4: channels % 4 === 0, windows });
}

/** The gradient of {@linkcode averagePool2d} on x, written to `dx [N, H, W, C]` whole. One dispatch. */
export function averagePool2dGradient(
  dy: Tensor,
  dx: Tensor,
  given: AveragePool2dOptions,
): Tensor {
  const windows = averageOptions(given);
  const shape = pooledShape("An average pool", dx, windows);
  expectShape(dy, shape, "An average pool's gradient dy");
  const most = (count: number) => Math.min(count, Math.ceil(windows.kernel / windows.stride));
  const turns = loopTurns(most(shape[1]), loopTurns(most(shape[2])));
  expectTurns(turns, dx, "An average pool's gradient on", REMEDY);
  return runBackward(dy, dx, { vec4: shape[3] % 4 === 0, windows });
}
