/** Pieces of WGSL that many kernels are made of: repeated lines, and buffers read as quads or number by number. */
import type { Gpu } from "./gpu.ts";
import { FLAT_MAIN, flatGroups } from "./kernel.ts";

/** Remember the kernel made for each shape and kind of device. */
export function perShape<S, K>(make: (gpu: Gpu, shape: S) => K): (gpu: Gpu, shape: S) => K {
  const made = new Map<string, K>();
  return (gpu, shape) => {
    const key = JSON.stringify([gpu.path, gpu.lanes, shape]);
    let kernel = made.get(key);
    if (kernel === undefined) made.set(key, kernel = make(gpu, shape));
    return kernel;
  };
}

/** Repeat a line for i = 0 … n-1. */
export function lines(n: number, line: (i: number) => string, between = "\n"): string {
  return Array.from({ length: n }, (_, i) => line(i)).join(between);
}

/** The names of a vector's components. */
export const COMPONENT = "xyzw";

/**
 * WGSL `load_NAME(i, count)`: four neighboring numbers of a buffer from element `i` on, of which the
 * first `count` (at least one) exist, and the others count as zeros; as one vec4 where everything is aligned,
 * of two from a mirror, else one by one. Without a loop: its turns would add up, see kernels/runtime/turns.ts.
 */
export function quadLoad(name: string, vec4: boolean, mirror = false): string {
  if (vec4) {
    return `fn load_${name}(i: u32, count: u32) -> vec4f { return ${name}_quad(i >> 2u); }\n`;
  }
  if (mirror) {
    return `fn load_${name}(i: u32, count: u32) -> vec4f {
  let u = ${name}_quad(i >> 2u);
  let v = ${name}_quad((i >> 2u) + 1u);
  let odd = (i & 1u) == 1u;
  let early = select(u, vec4f(u.yzw, v.x), odd);
  let late = select(vec4f(u.zw, v.xy), vec4f(u.w, v.xyz), odd);
  return select(vec4f(), select(early, late, (i & 2u) == 2u), vec4u(0u, 1u, 2u, 3u) < vec4u(count));
}\n`;
  }
  const next = [1, 2, 3].map((c) => `select(0.0, ${name}[min(i + ${c}u, last)], count > ${c}u)`);
  return `fn load_${name}(i: u32, count: u32) -> vec4f {
  let last = i + count - 1u;
  return vec4f(${name}[i], ${next.join(", ")});
}\n`;
}

/** WGSL `store_NAME(i, count, v)`: the counterpart of {@linkcode quadLoad}. */
export function quadStore(name: string, vec4: boolean): string {
  if (vec4) return `fn store_${name}(i: u32, count: u32, v: vec4f) { ${name}[i >> 2u] = v; }\n`;
  return `fn store_${name}(i: u32, count: u32, v: vec4f) {
  ${name}[i] = v.x;
  ${lines(3, (c) => `if (count > ${c + 1}u) { ${name}[i + ${c + 1}u] = v.${COMPONENT[c + 1]}; }`)}
}\n`;
}

/** The element type of a buffer in a kernel record. */
export function element(vec4: boolean): "vec4f" | "f32" {
  return vec4 ? "vec4f" : "f32";
}

/** The binding of what a kernel reads: from a mirror, or as quads or single numbers. */
export function readFrom(
  vec4: boolean,
  mirror: boolean,
): "mirror vec4f" | "read vec4f" | "read f32" {
  return mirror ? "mirror vec4f" : `read ${element(vec4)}`;
}

/** WGSL that reads element `place` of NAME, which is bound by {@linkcode readFrom}. */
export function load(name: string, vec4: boolean, place: string): string {
  return vec4 ? `${name}_quad(${place})` : `${name}[${place}]`;
}

/** Parameters of a kernel of {@linkcode eachOfRows}. */
export const ROW_PARAMS = { count: "u32", width: "u32", shift: "u32" } as const;

/**
 * WGSL of a kernel that runs `body` for each `column` of `params.count` rows of `params.width` elements, after `start` for
 * the `row`. Invocations side by side share a row: a division for each element would cost a CPU as much as the rest.
 */
export function eachOfRows(start: string, body: string): string {
  return /* wgsl */ `${FLAT_MAIN}
  let row = i >> params.shift;
  if (row >= params.count) { return; }
  ${start}
  for (var column = i & ((1u << params.shift) - 1u); column < params.width; column += 1u << params.shift) {
    ${body}
  }
}`;
}

/** The parameters, and the groups, for so many rows of so many elements: an invocation takes up to four. */
export function shareColumns(count: number, width: number) {
  const shift = Math.max(0, Math.ceil(Math.log2(width / 4)));
  return { params: { count, width, shift }, groups: flatGroups(count * 2 ** shift) };
}
