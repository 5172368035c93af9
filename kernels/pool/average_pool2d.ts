/** The mean of each window of feature maps, channels last, and its gradient. */
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { element, perShape } from "../runtime/wgsl.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { expectTurns, loopTurns, MOST_TURNS } from "../runtime/turns.ts";

const PARAMS = {
  n: "u32",
  quads: "u32",
  height: "u32",
  width: "u32",
  out_height: "u32",
  out_width: "u32",
} as const;

interface Shape {
  vec4: boolean;
  /** The only window is the whole map. */
  whole: boolean;
}

// Window o of `out` along a side of `size` pixels: from its first pixel to the one behind its last. Divisions
// cost a CPU as much as the rest.
const windowCode = ({ whole }: Shape) => /* wgsl */ `
fn window(o: u32, size: u32, out: u32) -> vec2u {
  return ${whole ? "vec2u(0u, size)" : "vec2u(o * size / out, ((o + 1u) * size + out - 1u) / out)"};
}
`;

// An invocation owns one number of y, or a quad of channels.
const forwardKernel = perShape((_gpu: Gpu, shape: Shape) => {
  const t = element(shape.vec4);
  return defineKernel({
    name: "average pool",
    bindings: { x: `read ${t}`, y: `write ${t}` },
    params: PARAMS,
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
  y[i] = sum / f32((down.y - down.x) * (across.y - across.x)); // (P14)
}`,
  });
});

// An invocation owns one number of dx, or a quad: windows overlap where sizes do not divide. They are
// those windows that hold the pixel: window's rule the other way round.
const backwardKernel = perShape((_gpu: Gpu, shape: Shape) => {
  const t = element(shape.vec4);
  return defineKernel({
    name: "average pool backward",
    bindings: { dy: `read ${t}`, dx: `write ${t}` },
    params: PARAMS,
    code: /* wgsl */ `${windowCode(shape)}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let channel = i % params.quads;
  let row = i / params.quads / params.width;
  let down = window(row % params.height, params.out_height, params.height);
  let across = window(i / params.quads % params.width, params.out_width, params.width);
  let map = row / params.height * params.out_height;
  var sum = ${t}();
  for (var oy = down.x; oy < down.y; oy++) {
    let tall = window(oy, params.height, params.out_height);
    let line = (map + oy) * params.out_width;
    for (var ox = across.x; ox < across.y; ox++) {
      let wide = window(ox, params.width, params.out_width);
      let area = f32((tall.y - tall.x) * (wide.y - wide.x));
      sum += dy[(line + ox) * params.quads + channel] / area; // (P15)
    }
  }
  dx[i] = sum;
}`,
  });
});

function kernelShape(
  [batch, height, width, channels]: readonly number[],
  [out_height, out_width]: readonly [number, number],
) {
  const vec4 = channels % 4 === 0;
  const quads = vec4 ? channels / 4 : channels;
  const shape: Shape = { vec4, whole: out_height === 1 && out_width === 1 };
  const sizes = { quads, height, width, out_height, out_width };
  const [inputs, outputs] = [height * width, out_height * out_width].map((n) => batch * quads * n);
  return { shape, sizes, inputs, outputs };
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
 * Errors: TypeError when x has other axes; RangeError for a size under one pixel, empty maps, or windows of
 * more lines or columns than that.
 */
export function adaptiveAveragePool2d(x: Tensor, size: readonly [number, number]): Tensor {
  expectShape(x, [null, null, null, null], "An average pool's x [N, H, W, C]");
  checkShape(x.shape, size, "An average pool");
  const [batch, height, width, channels] = x.shape;
  const turns = windowTurns([height, width], size);
  if (turns > MOST_TURNS && size[0] !== height && size[1] !== width) {
    using rows = adaptiveAveragePool2d(x, [height, size[1]]);
    return adaptiveAveragePool2d(rows, size);
  }
  expectTurns(turns, x, "An average pool of", REMEDY);
  const y = Tensor.empty(x.gpu, [batch, ...size, channels], { name: "average pool" });
  const { shape, sizes, outputs: n } = kernelShape(x.shape, size);
  forwardKernel(x.gpu, shape).run(x.gpu, { x, y }, { ...sizes, n }, flatGroups(n));
  return y;
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
  const { shape, sizes, inputs: n } = kernelShape(dx.shape, size);
  backwardKernel(dx.gpu, shape).run(dx.gpu, { dy, dx }, { ...sizes, n }, flatGroups(n));
  return dx;
}
