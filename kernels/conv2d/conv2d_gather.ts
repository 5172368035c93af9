/**
 * The product behind a convolution's result and behind its gradient on the input: each row is a place of
 * a grid, and gathers its numbers from a window of the source, tap by tap. No im2col matrix is made.
 *
 * Row r is the place (n, gy, gx) of a grid. Tap (jy, jx) takes the source's numbers at
 * `(gy·mul + off_y + dir·jy, gx·mul + off_x + dir·jx)`, which count as zeros outside of it, times the
 * weights of tap `(tap_y + step·jy, tap_x + step·jx)`. For the result: `mul` is the stride, `off` is
 * minus the padding, `dir` 1. For the gradient on the input: `dir` is -1, and a stride s splits the
 * input into s · s grids, each with its own taps. All numbers are read as quads.
 */
import { activations } from "../activations.ts";
import { gatherNarrowCode } from "./conv2d_narrow.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { perShape } from "../gemm/product.ts";
import {
  COMPONENT,
  lines,
  multiplyStaged,
  readFrom,
  STAGED,
  stagedTurns,
} from "../gemm/product_shape.ts";
import { expectTurns, loopTurns } from "../runtime/turns.ts";

/** What a gathering kernel is made for. */
export interface GatherShape {
  /** The weights of a tap are `[columns, depth]` instead of `[depth, columns]`. */
  transB: boolean;
  /** The tile, see conv2d_sizes.ts. */
  narrow: boolean;
  rows: number;
  quads: number;
  /** Source and weights are read from mirrors. */
  mirror: boolean;
  /** Add a bias, and set what is below zero to zero. */
  bias: boolean;
  relu: boolean;
}

/** Parameters of a gathering kernel; offsets and `dir` wrap around, as whole numbers of 32 bits do. */
const GATHER_PARAMS = {
  /** Rows: places of the grid. */
  m: "u32",
  /** Columns, and numbers of a source place that are summed over. */
  n: "u32",
  depth: "u32",
  grid_h: "u32",
  grid_w: "u32",
  source_h: "u32",
  source_w: "u32",
  /** Numbers from one source place to the next, and the first of them. */
  pitch: "u32",
  source_at: "u32",
  mul: "u32",
  off_y: "i32",
  off_x: "i32",
  dir: "i32",
  taps_y: "u32",
  taps_x: "u32",
  tap_y: "u32",
  tap_x: "u32",
  step: "u32",
  /** Taps in a row of the weights. */
  kernel_w: "u32",
  /** The result's place of (gy, gx) is `(gy·spread + at_y, gx·spread + at_x)` of `[out_h, out_w, out_pitch]`. */
  out_h: "u32",
  out_w: "u32",
  out_pitch: "u32",
  out_at: "u32",
  spread: "u32",
  at_y: "u32",
  at_x: "u32",
} as const;

/** Parameters of a plain product: one tap, and the results of a place at that place. */
export const NO_WINDOW = {
  ...{ source_at: 0, mul: 1, off_y: 0, off_x: 0, dir: 1 },
  ...{ taps_y: 1, taps_x: 1, tap_y: 0, tap_x: 0, step: 1, kernel_w: 1 },
  ...{ out_at: 0, spread: 1, at_y: 0, at_x: 0 },
} as const;

const PLACES = /* wgsl */ `
struct Place { n: u32, y: u32, x: u32 }
fn place_of(row: u32) -> Place {
  let line = row / params.grid_w;
  return Place(line / params.grid_h, line % params.grid_h, row % params.grid_w);
}
// The first quad of a place in the result.
fn result_quad(p: Place) -> u32 {
  let y = p.y * params.spread + params.at_y;
  let x = p.x * params.spread + params.at_x;
  return (((p.n * params.out_h + y) * params.out_w + x) * params.out_pitch + params.out_at) >> 2u;
}
// Where the taps of a place start in the source; n counts its lines.
fn corner_of(p: Place) -> Place {
  return Place(
    p.n * params.source_h,
    p.y * params.mul + u32(params.off_y),
    p.x * params.mul + u32(params.off_x),
  );
}
// What a tap sees of the source: the first quad, or 0 where that lies outside.
struct Seen { at: u32, within: bool }
fn seen(corner: Place, jy: u32, jx: u32) -> Seen {
  let y = corner.y + u32(params.dir) * jy;
  let x = corner.x + u32(params.dir) * jx;
  let within = y < params.source_h && x < params.source_w;
  let at = (((corner.n + y) * params.source_w + x) * params.pitch + params.source_at) >> 2u;
  return Seen(select(0u, at, within), within);
}
// The first quad of the weights of a tap.
fn tap_quad(jy: u32, jx: u32) -> u32 {
  let tap = (params.tap_y + params.step * jy) * params.kernel_w + params.tap_x + params.step * jx;
  return (tap * params.depth * params.n) >> 2u;
}
`;

/** WGSL `ending(v, column)`: what is done to a quad of sums. */
function ending({ bias, relu }: GatherShape): string {
  const sum = bias ? "v + bias[column >> 2u]" : "v";
  return `${relu ? activations("vec4f") : ""}
fn ending(v: vec4f, column: u32) -> vec4f { return ${relu ? `relu_vec4f(${sum})` : sum}; }\n`;
}

/** The kernel for CPU adapters of `lanes` lanes: as {@linkcode subgroupBody}, a subgroup to a tile. */
function gatherSubgroupCode(lanes: number, shape: GatherShape): string {
  const { transB, rows, quads } = shape;
  const held = Math.ceil(rows / lanes);
  const each = (f: (i: number) => string) => lines(held, f);
  const sums = (f: (r: number, j: number) => string) =>
    lines(rows, (r) => lines(quads, (j) => f(r, j)));
  const last = "((params.n - 1u) & ~3u)";
  const prepareB = transB
    ? lines(
      quads,
      (j) =>
        lines(4, (c) =>
          `let cb${j}_${c} = min(column + ${4 * j + c}u, params.n - 1u) * (params.depth >> 2u);`),
    )
    : lines(quads, (j) => `let cb${j} = min(column + ${4 * j}u, ${last}) >> 2u;`);
  const loadB = transB
    ? lines(
      quads,
      (j) =>
        lines(4, (c) => `let t${j}_${c} = w_quad(tap + cb${j}_${c} + k);`) + "\n" +
        lines(4, (kk) =>
          `let b${kk}_${j} = vec4f(${
            [0, 1, 2, 3].map((c) => `t${j}_${c}.${COMPONENT[kk]}`).join(", ")
          });`),
    )
    : lines(
      4,
      (kk) =>
        lines(quads, (j) => `let b${kk}_${j} = w_quad(tap + (4u * k + ${kk}u) * n4 + cb${j});`),
    );
  const multiply = lines(
    rows,
    (r) =>
      lines(
        4,
        (kk) =>
          `{ let v = subgroupBroadcast(a${Math.floor(r / lanes)}.${COMPONENT[kk]}, ${
            r % lanes
          }u); ${lines(quads, (j) => `s${r}_${j} += v * b${kk}_${j};`)} }`,
      ),
  );
  return `
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.x * ${rows}u;
let column = (group.y * ${lanes}u + lane) * ${4 * quads}u;
let n4 = params.n >> 2u;
let depth4 = params.depth >> 2u;
${
    each((i) =>
      `let p${i} = place_of(min(row + ${i * lanes}u + lane, params.m - 1u));
let q${i} = result_quad(p${i});
let corner${i} = corner_of(p${i});`
    )
  }
${prepareB}
${sums((r, j) => `var s${r}_${j} = vec4f();`)}
for (var jy = 0u; jy < params.taps_y; jy++) {
for (var jx = 0u; jx < params.taps_x; jx++) {
let tap = tap_quad(jy, jx);
${
    each((i) =>
      `let seen${i} = seen(corner${i}, jy, jx);
`
    )
  }
for (var k = 0u; k < depth4; k++) {
${loadB}
${each((i) => `let a${i} = select(vec4f(), source_quad(seen${i}.at + k), seen${i}.within);`)}
${multiply}
}
}
}
if (column >= params.n) { return; }
${
    lines(rows, (r) =>
      `if (row + ${r}u < params.m) {
  let at = subgroupBroadcast(q${Math.floor(r / lanes)}, ${r % lanes}u) + (column >> 2u);
  ${
        lines(quads, (j) =>
          `if (column + ${4 * j}u < params.n) { out[at + ${j}u] = ending(s${r}_${j}, column + ${
            4 * j
          }u); }`)
      }
}`)
  }
}`;
}

/** The kernel for GPUs: 16 x 8 invocations, `rows / 8` rows of a quad each, with staged tiles. */
function gatherWorkgroupCode(shape: GatherShape): string {
  const { transB, rows, quads } = shape;
  const { width, height, depth } = STAGED;
  const threads = width * height;
  const each = rows / height;
  const tileQuads = width * quads;
  const stageB = transB
    ? `for (var q = thread; q < ${tileQuads * (depth / 4)}u; q += ${threads}u) {
    let place = q / ${depth / 4}u;
    let kk = q % ${depth / 4}u;
    let c = (group.y * ${tileQuads}u + place) * 4u;
    ${
      lines(4, (c) =>
        `var t${c} = vec4f();
    if (k + kk < depth4 && c + ${c}u < params.n) { t${c} = w_quad(tap + (c + ${c}u) * depth4 + k + kk); }`)
    }
    ${
      lines(4, (i) =>
        `tile_b[(4u * kk + ${i}u) * ${tileQuads}u + place] = vec4f(${
          [0, 1, 2, 3].map((c) => `t${c}.${COMPONENT[i]}`).join(", ")
        });`)
    }
  }`
    : `for (var q = thread; q < ${tileQuads * depth}u; q += ${threads}u) {
    let kk = q / ${tileQuads}u;
    let c = group.y * ${tileQuads}u + q % ${tileQuads}u;
    var v = vec4f();
    if (4u * k + kk < params.depth && c < n4) { v = w_quad(tap + (4u * k + kk) * n4 + c); }
    tile_b[q] = v;
  }`;
  return `
var<workgroup> tile_a: array<f32, ${rows * depth}>;
var<workgroup> tile_b: array<vec4f, ${tileQuads * depth}>;
@compute @workgroup_size(${width}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let thread = local.y * ${width}u + local.x;
let row = group.x * ${rows}u;
let column = (group.y * ${width}u + local.x) * ${4 * quads}u;
let n4 = params.n >> 2u;
let depth4 = params.depth >> 2u;
var s: array<array<vec4f, ${quads}>, ${each}>;
for (var jy = 0u; jy < params.taps_y; jy++) {
for (var jx = 0u; jx < params.taps_x; jx++) {
let tap = tap_quad(jy, jx);
for (var k = 0u; k < depth4; k += ${depth / 4}u) {
  for (var q = thread; q < ${rows * (depth / 4)}u; q += ${threads}u) {
    let r = q / ${depth / 4}u;
    let kk = q % ${depth / 4}u;
    let spot = seen(corner_of(place_of(min(row + r, params.m - 1u))), jy, jx);
    var v = vec4f();
    if (k + kk < depth4 && row + r < params.m && spot.within) { v = source_quad(spot.at + k + kk); }
    ${lines(4, (c) => `tile_a[(4u * kk + ${c}u) * ${rows}u + r] = v.${COMPONENT[c]};`)}
  }
  ${stageB}
  ${multiplyStaged(shape)}
}
}
}
if (column >= params.n) { return; }
for (var r = 0u; r < ${each}u; r++) {
  let at = row + local.y * ${each}u + r;
  if (at >= params.m) { break; }
  let quad = result_quad(place_of(at)) + (column >> 2u);
  ${
    lines(quads, (j) =>
      `if (column + ${4 * j}u < params.n) { out[quad + ${j}u] = ending(s[r][${j}], column + ${
        4 * j
      }u); }`)
  }
}
}`;
}

/** The entry point of a shape's kernel. */
function gatherBody(gpu: Gpu, shape: GatherShape): string {
  if (gpu.path === "workgroup") return gatherWorkgroupCode(shape);
  return (shape.narrow ? gatherNarrowCode : gatherSubgroupCode)(gpu.lanes, shape);
}

/** The kernel of a shape. */
export const gatherKernel = perShape((gpu: Gpu, shape: GatherShape) =>
  defineKernel({
    name: `conv2d ${shape.transB ? "input gradient" : "forward"}`,
    bindings: {
      source: readFrom(true, shape.mirror),
      w: readFrom(true, shape.mirror),
      ...(shape.bias ? { bias: "read vec4f" } as const : {}),
      out: "write vec4f",
    } as { source: "read vec4f"; w: "read vec4f"; bias: "read vec4f"; out: "write vec4f" },
    params: GATHER_PARAMS,
    cost: { flops: ({ m, n, depth, taps_y, taps_x }) => 2 * m * n * depth * taps_y * taps_x },
    code: PLACES + ending(shape) + gatherBody(gpu, shape),
  })
);

/** RangeError where the sums over `taps` of `depth` numbers each take too many turns; the weights are named. */
export function expectGather(
  gpu: Gpu,
  shape: { rows: number; quads: number },
  taps: readonly [number, number],
  depth: number,
  weights: { name: string; shape: readonly number[] },
): void {
  const along = gpu.path === "subgroup"
    ? loopTurns(depth / 4)
    : loopTurns(Math.ceil(depth / STAGED.depth), stagedTurns(shape));
  expectTurns(
    loopTurns(taps[0], loopTurns(taps[1], along)) + loopTurns(shape.rows),
    weights,
    "A convolution with the weights",
    "take fewer channels or a smaller window",
  );
}
