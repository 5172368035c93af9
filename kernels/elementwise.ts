/** Operations on single numbers that are no functions of kernels/pointwise: in place, by a number on the GPU, dropout. */
import { activations, type FloatType } from "./activations.ts";
import type { Gpu } from "./runtime/gpu.ts";
import {
  type Binding,
  defineKernel,
  FLAT_MAIN,
  flatGroups,
  type ParamType,
} from "./runtime/kernel.ts";
import { expectShape, Tensor } from "./runtime/tensor.ts";
import { element, perShape } from "./runtime/wgsl.ts";

/**
 * A kernel over n numbers that runs over quads of them where n is a multiple of four: nothing costs more
 * than loads, and those of quads are cheaper. `make` gets the type of an element.
 */
function flatKernel<
  const B extends Record<string, Binding>,
  const P extends Record<string, ParamType>,
>(name: string, make: (t: FloatType) => { bindings: B; params?: P; code: string }) {
  const kernelOf = perShape((_gpu: Gpu, t: FloatType) => {
    const { bindings, params, code } = make(t);
    return defineKernel<Record<string, Binding>, Record<string, ParamType>>({
      name,
      bindings,
      params: { n: "u32", ...params },
      code: /* wgsl */ `${activations(t)}${FLAT_MAIN}
  if (i >= params.n) { return; }
  ${code}
}`,
    });
  });
  return (
    gpu: Gpu,
    n: number,
    tensors: Record<keyof B & string, Tensor>,
    params?: Record<keyof P & string, number>,
  ) => {
    const vec4 = n % 4 === 0;
    const count = vec4 ? n / 4 : n;
    kernelOf(gpu, element(vec4)).run(gpu, tensors, { n: count, ...params }, flatGroups(count));
  };
}

/** The tensor that receives a result of `x`'s shape: the given one, or a new one. */
function resultLike(x: Tensor, name: string, out?: Tensor): Tensor {
  if (out !== undefined) expectShape(out, x.shape, `The result "${name}"`);
  return out ?? Tensor.empty(x.gpu, x.shape, { name });
}

const addScaledKernel = flatKernel("add", (t) => ({
  bindings: { a: `read ${t}`, b: `read ${t}`, out: `write ${t}` },
  params: { scale: "f32" },
  code: "out[i] = a[i] + params.scale * b[i];",
}));

/** `a + scale · b`, number by number. */
export function add(a: Tensor, b: Tensor, scale = 1, out?: Tensor): Tensor {
  expectShape(b, a.shape, `A sum with "${a.name}"`);
  const result = resultLike(a, "sum", out);
  addScaledKernel(a.gpu, a.size, { a, b, out: result }, { scale });
  return result;
}

const accumulateKernel = flatKernel("accumulate", (t) => ({
  bindings: { x: `read ${t}`, total: `write ${t}` },
  code: "total[i] += x[i];",
}));

/** Add `x` to `total` in place. */
export function accumulate(total: Tensor, x: Tensor): void {
  if (x.size !== total.size) {
    throw new TypeError(
      `"${x.name}" of ${x.size} numbers cannot be added to "${total.name}" of ${total.size}`,
    );
  }
  accumulateKernel(x.gpu, x.size, { x, total });
}

const blendKernel = defineKernel({
  name: "blend",
  bindings: { x: "read vec4f", total: "write vec4f" },
  params: { n: "u32", rate: "f32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let t = total[i];
  total[i] = t + params.rate * (x[i] - t);
}`,
});

/** `total += rate · (x - total)` in place. Sizes that are no multiple of 4 are rounded up to it. */
export function blend(total: Tensor, x: Tensor, rate: number): void {
  expectShape(x, total.shape, "The tensor to blend in");
  const n = Math.ceil(x.size / 4);
  blendKernel.run(x.gpu, { x, total }, { n, rate }, flatGroups(n));
}

const scaleKernel = flatKernel("scale", (t) => ({
  bindings: { x: `read ${t}`, factor: "read f32", out: `write ${t}` },
  code: "out[i] = x[i] * factor[0];",
}));

/** `x` times the one number in `factor`, which stays on the GPU. */
export function scaleBy(x: Tensor, factor: Tensor, out?: Tensor): Tensor {
  if (factor.size !== 1) {
    throw new TypeError(`A factor is one number, and "${factor.name}" has ${factor.size}`);
  }
  const result = resultLike(x, "scaled", out);
  scaleKernel(x.gpu, x.size, { x, factor, out: result });
  return result;
}

const clampKernel = flatKernel("clamp", (t) => ({
  bindings: { x: `write ${t}` },
  params: { low: "f32", high: "f32" },
  code: `x[i] = clamp_${t}(x[i], ${t}(params.low), ${t}(params.high));`,
}));

/** Bring each number into the range from `low` to `high`, in place. RangeError when `low` is above `high`. */
export function clampInPlace(x: Tensor, low: number, high: number): void {
  if (!(low <= high)) {
    throw new RangeError(`A clamp needs a range, and ${low} to ${high} was given`);
  }
  clampKernel(x.gpu, x.size, { x }, { low, high });
}

/** Threefry-2x32 with 20 rounds (Salmon et al. 2011), as in data/rng.ts. */
export const THREEFRY = /* wgsl */ `
fn threefry(key: vec2u, counter: vec2u) -> vec2u {
  let ks = array<u32, 3>(key.x, key.y, 0x1BD11BDAu ^ key.x ^ key.y);
  let rotations = array<u32, 8>(13u, 15u, 26u, 6u, 17u, 29u, 16u, 24u);
  var x = counter + key;
  for (var round = 0u; round < 20u; round++) {
    let r = rotations[round % 8u];
    x.x += x.y;
    x.y = ((x.y << r) | (x.y >> (32u - r))) ^ x.x;
    if (round % 4u == 3u) {
      let s = round / 4u + 1u;
      x.x += ks[s % 3u];
      x.y += ks[(s + 1u) % 3u] + s;
    }
  }
  return x;
}
`;

// Number i is kept when its random word is at or above the threshold. One that is not finite times 0 is NaN, as
// in PyTorch; a compiler may take that product for 0.
const dropoutKernel = defineKernel({
  name: "dropout",
  bindings: { x: "read f32", out: "write f32" },
  params: { n: "u32", key0: "u32", key1: "u32", threshold: "u32", scale: "f32" },
  code: /* wgsl */ `${THREEFRY}${activations("f32")}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let word = threefry(vec2u(params.key0, params.key1), vec2u(i, 0u)).x;
  let v = x[i];
  let dropped = select(0.0, nan_f32(), !is_finite_f32(v));
  out[i] = select(dropped, v * params.scale, word >= params.threshold);
}`,
});

/**
 * Set each number to zero with probability `p`, and multiply the others by 1 / (1 - p). The two words
 * of `key` decide which; applied to a gradient with the same key, it is the backward pass.
 */
export function dropout(
  x: Tensor,
  p: number,
  key: readonly [number, number],
  out?: Tensor,
): Tensor {
  if (!(p >= 0 && p < 1)) {
    throw new RangeError(`Dropout takes a probability from 0 to less than 1, and ${p} was given`);
  }
  const result = resultLike(x, "dropout", out);
  const params = {
    n: x.size,
    key0: key[0],
    key1: key[1],
    threshold: Math.floor(p * 2 ** 32),
    scale: 1 / (1 - p),
  };
  dropoutKernel.run(x.gpu, { x, out: result }, params, flatGroups(x.size));
  return result;
}
