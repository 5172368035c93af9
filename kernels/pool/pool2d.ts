/** The largest value of each window of feature maps, channels last, and its gradient. */
import { activations } from "../activations.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { worthMirror } from "../runtime/memory/mirror.ts";
import { element, lines, load, perShape, readFrom } from "../runtime/wgsl.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { POOL_PARAMS, pooledShape, type PoolOptions, poolOptions, poolParams } from "./windows.ts";

/** The result of {@linkcode maxPool2dForward}, and what {@linkcode maxPool2dBackward} needs of it. */
export interface MaxPool2dForward {
  /** `[N, OH, OW, C]` */
  y: Tensor;
  /** Where in its window each value was found; four to a number where C is a multiple of four. */
  places: Tensor<"u32">;
  /** The windows. */
  options: Required<PoolOptions>;
  /** `[N, H, W, C]` */
  inputShape: readonly number[];
  /** Let go of the tensors above. */
  [Symbol.dispose](): void;
}

// An invocation owns one number of y, or a quad of channels.
const maxKernel = perShape((_gpu: Gpu, { vec4, mirror }: { vec4: boolean; mirror: boolean }) => {
  const t = element(vec4);
  const u = vec4 ? "vec4u" : "u32";
  const bool = vec4 ? "vec4<bool>" : "bool";
  const packed = vec4 ? "place.x | place.y << 8u | place.z << 16u | place.w << 24u" : "place";
  return defineKernel({
    name: "max pool",
    bindings: { x: readFrom(vec4, mirror), y: `write ${t}`, places: "write u32" },
    params: { ...POOL_PARAMS, kernel: "u32", stride: "u32", padding: "u32" },
    code: /* wgsl */ `${activations(t)}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let channel = i % params.quads;
  let column = i / params.quads % params.out_width;
  let row = i / params.quads / params.out_width;
  // Where the window starts, counted from the corner of the padding, and which part of it is in the map.
  let start_y = row % params.out_height * params.stride;
  let start_x = column * params.stride;
  let first_y = max(params.padding, start_y) - start_y;
  let first_x = max(params.padding, start_x) - start_x;
  let end_y = min(params.kernel, params.height + params.padding - start_y);
  let end_x = min(params.kernel, params.width + params.padding - start_x);
  let map = row / params.out_height * params.height;
  var best = ${t}();
  var place = ${u}();
  var first = true;
  for (var ky = first_y; ky < end_y; ky++) {
    let line = (map + start_y + ky - params.padding) * params.width;
    for (var kx = first_x; kx < end_x; kx++) {
      let at = (line + start_x + kx - params.padding) * params.quads + channel;
      let v = ${load("x", vec4, "at")};
      let more = (v > best) | is_nan_${t}(v) | ${bool}(first);
      first = false;
      best = select(best, v, more); // (P12)
      place = select(place, ${u}(ky * params.kernel + kx), more);
    }
  }
  y[i] = best;
  places[i] = ${packed};
}`,
  });
});

interface GradientShape {
  vec4: boolean;
  kernel: number;
  stride: number;
}

// An invocation owns the stride · stride pixels (of one channel, or quad) in which the same windows start: each
// window that reaches them is read once. Window (d, e) lies d windows above and e to the left of the last.
const maxGradientKernel = perShape((_gpu: Gpu, { vec4, kernel, stride }: GradientShape) => {
  const t = element(vec4);
  const reach = Math.ceil(kernel / stride);
  const pixels = (code: (y: number, x: number) => string) =>
    lines(stride, (y) => lines(stride, (x) => code(y, x)));
  const unpacked = vec4
    ? "vec4u(place & 255u, place >> 8u & 255u, place >> 16u & 255u, place >> 24u)"
    : "place";
  const window = (d: number, e: number) =>
    `{
    let above = block_y - ${d}u;
    let before = block_x - ${e}u;
    let at = ((map * params.out_height + min(above, params.out_height - 1u)) * params.out_width +
      min(before, params.out_width - 1u)) * params.quads + channel;
    let place = select(0xffffffffu, places[at], above < params.out_height && before < params.out_width);
    let found = ${unpacked};
    let g = dy[at];
    ${
      pixels((y, x) => {
        const [ky, kx] = [d * stride + y, e * stride + x];
        if (ky >= kernel || kx >= kernel) return "";
        const here = `found == ${vec4 ? "vec4u" : "u32"}(${ky * kernel + kx}u)`;
        return `sum${y}_${x} += select(${t}(), g, ${here});`; // (P13)
      })
    }
  }`;
  return defineKernel({
    name: "max pool backward",
    bindings: { dy: `read ${t}`, places: "read u32", dx: `write ${t}` },
    params: { ...POOL_PARAMS, padding: "u32", blocks_y: "u32", blocks_x: "u32" },
    code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let channel = i % params.quads;
  let block_x = i / params.quads % params.blocks_x;
  let row = i / params.quads / params.blocks_x;
  let block_y = row % params.blocks_y;
  let map = row / params.blocks_y;
  ${pixels((y, x) => `var sum${y}_${x} = ${t}();`)}
  ${lines(reach, (d) => lines(reach, (e) => window(d, e)))}
  ${
      pixels((y, x) =>
        `{
    let py = block_y * ${stride}u + ${y}u - params.padding;
    let px = block_x * ${stride}u + ${x}u - params.padding;
    if (py < params.height && px < params.width) {
      dx[((map * params.height + py) * params.width + px) * params.quads + channel] = sum${y}_${x};
    }
  }`
      )
    }
}`,
  });
});

/**
 * The largest value of each window: `x [N, H, W, C]` to `[N, OH, OW, C]`; of equal ones the first,
 * and NaN before all others, of several the last, as in PyTorch. One dispatch.
 *
 * Errors: RangeError for options out of range; TypeError when x has other axes, or no window fits.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 3, 3, 1]);
 * using forward = maxPool2dForward(x, { kernel: 2, ceilMode: true });
 * console.log(forward.y.shape, await forward.y.read()); // [1, 2, 2, 1]: 5, 6, 8, 9
 * ```
 */
export function maxPool2dForward(x: Tensor, given: PoolOptions): MaxPool2dForward {
  const options = poolOptions("A max pool", given, 8);
  const { gpu, shape } = x;
  const pooled = pooledShape("A max pool", x, options);
  const vec4 = shape[3] % 4 === 0;
  const y = Tensor.empty(gpu, pooled, { name: "max pool" });
  const params = poolParams(shape, pooled);
  const places = Tensor.empty(gpu, [...pooled.slice(0, 3), params.quads], {
    name: "places of the maxima",
    dtype: "u32",
  });
  const { kernel, stride, padding } = options;
  const n = places.size;
  maxKernel(gpu, { vec4, mirror: vec4 && worthMirror(x, (kernel / stride) ** 2) }).run(
    gpu,
    { x, y, places },
    { ...params, n, kernel, stride, padding },
    flatGroups(n),
  );
  return {
    ...{ y, places, options, inputShape: shape },
    [Symbol.dispose]() {
      y.dispose();
      places.dispose();
    },
  };
}

/** The gradient of {@linkcode maxPool2dForward} on x, from `dy [N, OH, OW, C]`. One dispatch. */
export function maxPool2dBackward(dy: Tensor, forward: MaxPool2dForward, out?: Tensor): Tensor {
  const { places, options, inputShape, y } = forward;
  const { kernel, stride, padding } = options;
  expectShape(dy, y.shape, "A max pool's gradient dy");
  const dx = out ?? Tensor.empty(dy.gpu, inputShape, { name: "max pool dx" });
  expectShape(dx, inputShape, "A max pool's gradient dx");
  const params = poolParams(inputShape, y.shape);
  const blocks_y = Math.ceil((params.height + padding) / stride);
  const blocks_x = Math.ceil((params.width + padding) / stride);
  const n = inputShape[0] * blocks_y * blocks_x * params.quads;
  maxGradientKernel(dy.gpu, { vec4: inputShape[3] % 4 === 0, kernel, stride }).run(
    dy.gpu,
    { dy, places, dx },
    { ...params, n, padding, blocks_y, blocks_x },
    flatGroups(n),
  );
  return dx;
}
