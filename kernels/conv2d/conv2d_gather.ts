/**
 * The product behind a convolution's result and behind its gradient on the input: each row is a place of
 * a grid, and gathers its numbers from a window of the source, tap by tap. No im2col matrix is made.
 *
 * Row r is the place (n, gy, gx) of a grid. Tap (jy, jx) takes the source's numbers at
 * `(gy·mul + off_y + dir·jy, gx·mul + off_x + dir·jx)`, which count as zeros outside of it, times the
 * weights of tap `(tap_y + step·jy, tap_x + step·jx)`. For the result: `mul` is the stride, `off` is
 * minus the padding, `dir` the dilation. For the gradient on the input: `dir` is -1, or less with a dilation, and a
 * stride s splits the input into s · s grids, each with its own taps.
 */
import { activations } from "../activations.ts";
import type { Operand, Tile } from "../gemm/contract.ts";
import { gemmCode } from "../gemm/engine.ts";
import type { Factor } from "../gemm/product.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { element, perShape, quadLoad, quadStore, readFrom } from "../runtime/wgsl.ts";

/** What a gathering kernel is made for. */
export interface GatherShape {
  /** The source. */
  a: Factor;
  /** The weights: those of a tap are `[columns, depth]` where they are transposed, else `[depth, columns]`. */
  b: Factor;
  tile: Tile;
  /** Results and bias lie in whole quads. */
  vec4: boolean;
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
  k: "u32",
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

/** The source, seen from the places of the grid through a window. A line's `to` is the place of its result. */
const seen = ({ vec4, mirror }: Factor): Operand => ({
  quads: "along",
  next: true,
  code: /* wgsl */ `${quadLoad("a", vec4, mirror)}
struct Place { n: u32, y: u32, x: u32 }
struct Line_a { place: Place, to: u32 }
fn line_at(p: Place) -> Line_a {
  let y = p.y * params.spread + params.at_y;
  let x = p.x * params.spread + params.at_x;
  return Line_a(p, ((p.n * params.out_h + y) * params.out_w + x) * params.out_pitch + params.out_at);
}
fn a_line(row: u32, left: u32, first: u32) -> Line_a {
  let line = row / params.grid_w;
  return line_at(Place(line / params.grid_h, line % params.grid_h, row % params.grid_w));
}
// The next place: without the divisions, which a CPU does one by one.
fn a_next(line: Line_a, more: bool) -> Line_a {
  let p = line.place;
  let x_ends = p.x + 1u == params.grid_w;
  let y_ends = x_ends && p.y + 1u == params.grid_h;
  let next = line_at(Place(p.n + select(0u, 1u, y_ends),
    select(p.y + select(0u, 1u, x_ends), 0u, y_ends), select(p.x + 1u, 0u, x_ends)));
  if (more) { return next; }
  return line;
}
// What a tap sees: the first number of a place of the source, or nothing outside of it.
struct Seen { at: u32, within: bool }
fn a_tap(line: Line_a, jy: u32, jx: u32) -> Seen {
  let p = line.place;
  let y = p.y * params.mul + u32(params.off_y) + u32(params.dir) * jy;
  let x = p.x * params.mul + u32(params.off_x) + u32(params.dir) * jx;
  let within = y < params.source_h && x < params.source_w;
  let at = ((p.n * params.source_h + y) * params.source_w + x) * params.pitch + params.source_at;
  return Seen(select(0u, at, within), within);
}
fn a_load(seen: Seen, k: u32, left: u32) -> vec4f {
  return select(vec4f(), load_a(seen.at + k, left), seen.within);
}
`,
});

/** The weights of the window's taps. */
function tapWeights({ trans, vec4, mirror }: Factor): Operand {
  return {
    quads: trans ? "along" : "across",
    code: /* wgsl */ `${quadLoad("b", vec4, mirror)}
struct Line_b { at: u32, left: u32 }
fn b_line(column: u32, left: u32, first: u32) -> Line_b {
  return Line_b(${trans ? "column * params.k" : "column"}, left);
}
fn b_tap(line: Line_b, jy: u32, jx: u32) -> Line_b {
  let tap = (params.tap_y + params.step * jy) * params.kernel_w + params.tap_x + params.step * jx;
  return Line_b(tap * params.k * params.n + line.at, line.left);
}
fn b_load(line: Line_b, k: u32, left: u32) -> vec4f {
  return load_b(line.at + ${trans ? "k, left" : "k * params.n, line.left"});
}
`,
  };
}

/** WGSL of the ending: `to` is the place of a result. */
function ending({ bias, relu, vec4 }: GatherShape): string {
  const sum = bias ? "sums + load_bias(column, count)" : "sums";
  return `${relu ? activations("vec4f") : ""}${quadStore("out", vec4)}${
    bias ? quadLoad("bias", vec4) : ""
  }
fn finish_quad(to: u32, column: u32, sums: vec4f) {
  let count = params.n - column;
  store_out(to + column, count, ${relu ? `relu_vec4f(${sum})` : sum});
}\n`;
}

/** The kernel of a shape. */
export const gatherKernel = perShape((gpu: Gpu, shape: GatherShape) =>
  defineKernel({
    name: `conv2d ${shape.b.trans ? "input gradient" : "forward"}`,
    bindings: {
      a: readFrom(shape.a.vec4, shape.a.mirror),
      b: readFrom(shape.b.vec4, shape.b.mirror),
      ...(shape.bias ? { bias: `read ${element(shape.vec4)}` } as const : {}),
      out: `write ${element(shape.vec4)}`,
    } as { a: "read f32"; b: "read f32"; bias: "read f32"; out: "write f32" },
    params: GATHER_PARAMS,
    cost: { flops: ({ m, n, k, taps_y, taps_x }) => 2 * m * n * k * taps_y * taps_x },
    code: gemmCode(gpu, {
      tile: shape.tile,
      a: seen(shape.a),
      b: tapWeights(shape.b),
      ending: { code: ending(shape), placed: true, short: true },
      window: true,
      ragged: !shape.a.vec4,
      rowsFirst: true,
    }),
  })
);
