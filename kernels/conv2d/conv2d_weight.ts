/**
 * The product behind a convolution's gradient on its weights: the transpose of what each tap sees of the
 * source, times the gradient of the result, summed over all places of the result.
 *
 * A row is a number of a tap: row `tap·depth + d`. `group.z` counts parts of the places: with several
 * parts, each leaves a sum of its own, `[parts, taps·depth, n]`. All numbers are read as quads. A part is so
 * small that its loops take few enough turns (kernels/runtime/turns.ts).
 */
import { prepare, type Sizes, TILE_QUADS } from "./conv2d_sizes.ts";
import { fit } from "../fit.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { worthMirror } from "../runtime/mirror.ts";
import { perShape } from "../gemm/product.ts";
import {
  COMPONENT,
  lines,
  mostDepth,
  multiplyStaged,
  readFrom,
  STAGED,
  tileLanes,
} from "../gemm/product_shape.ts";
import { columnSum } from "../reduce/reduce.ts";
import { Tensor } from "../runtime/tensor.ts";

/** What a kernel for the gradient on weights is made for. */
interface WeightShape {
  /** Source and gradient are read from mirrors. */
  mirror: boolean;
  /** Rows of a tile, a multiple of 4. */
  rows: number;
  /** Quads of columns that one invocation computes. */
  quads: number;
}

/** Parameters of the kernel. */
const WEIGHT_PARAMS = {
  /** Rows, numbers of a source place that are used, and columns: numbers of a place of the result. */
  m: "u32",
  depth: "u32",
  n: "u32",
  /** Places of the result, and those of a part. */
  places: "u32",
  part: "u32",
  out_h: "u32",
  out_w: "u32",
  source_h: "u32",
  source_w: "u32",
  /** Numbers from one place to the next, of the source and of the result's gradient; and the first of these. */
  pitch: "u32",
  dy_pitch: "u32",
  dy_at: "u32",
  stride: "u32",
  padding: "u32",
  kernel_w: "u32",
} as const;

/** What {@linkcode WALK} divides, in float32, is below this. */
const DIVIDED = 1 << 20;

// Where a row's tap looks: the quad within a place, and the shift of the place.
const WALK = /* wgsl */ `
struct Row { quad: u32, ky: u32, kx: u32 }
fn row_of(quad: u32) -> Row {
  let row = 4u * quad;
  let tap = row / params.depth;
  return Row((row % params.depth) >> 2u, tap / params.kernel_w, tap % params.kernel_w);
}
// i / n for i below ${DIVIDED}: a CPU divides vectors of floats at once, and of whole numbers one by one.
fn divide(i: u32, n: u32) -> u32 { return u32((f32(i) + 0.5) / f32(n)); }
// The first place of a part: its picture, and its line and column there.
struct Start { image: u32, line: u32, column: u32 }
// The quad of the source that row r meets at a place, counted from the first one of the part.
fn seen_quad(r: Row, place: u32, start: Start) -> vec4f {
  let lines = divide(start.column + place, params.out_w);
  let line = start.line + lines;
  let images = divide(line, params.out_h);
  let y = (line - images * params.out_h) * params.stride + r.ky - params.padding;
  let x = (start.column + place - lines * params.out_w) * params.stride + r.kx - params.padding;
  let within = y < params.source_h && x < params.source_w;
  let source_line = (start.image + images) * params.source_h + y;
  let at = (((source_line * params.source_w + x) * params.pitch) >> 2u) + r.quad;
  return select(vec4f(), source_quad(select(0u, at, within)), within);
}
`;

/** WGSL that begins a kernel: its part of the places. */
const PART = /* wgsl */ `
let first = group.z * params.part;
let first_line = first / params.out_w;
let start = Start(first_line / params.out_h, first_line % params.out_h, first % params.out_w);
let count = min(params.part, params.places - first);
`;

/** The kernel for CPU adapters of `lanes` lanes: a subgroup to a tile. */
function weightSubgroupCode(lanes: number, shape: WeightShape): string {
  const { rows, quads } = shape;
  const sums = (f: (r: number, j: number) => string) =>
    lines(rows, (r) => lines(quads, (j) => f(r, j)));
  // A load of the source covers `span` places, or a part of the rows of one.
  const lanesPerPlace = rows / 4;
  const span = Math.max(1, Math.min(4, Math.floor(lanes / lanesPerPlace)));
  const parts = Math.max(1, Math.ceil(lanesPerPlace / lanes));
  const loads = Math.max(1, 4 / span);
  const value = (r: number, kk: number): string => {
    const quad = r >> 2;
    const [load, lane] = parts > 1
      ? [kk * parts + Math.floor(quad / lanes), quad % lanes]
      : [Math.floor(kk / span), (kk % span) * lanesPerPlace + quad];
    return `subgroupBroadcast(a${load}.${COMPONENT[r & 3]}, ${lane}u)`;
  };
  return `${WALK}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.x * ${rows}u;
let column = (group.y * ${lanes}u + lane) * ${4 * quads}u;
${PART}
let own = ${parts > 1 ? "0u" : `min(lane / ${lanesPerPlace}u, ${span - 1}u)`};
${
    lines(parts, (i) =>
      `let r${i} = row_of(min((row >> 2u) + ${
        parts > 1 ? `${i * lanes}u + lane` : `lane % ${lanesPerPlace}u`
      }, (params.m >> 2u) - 1u));`)
  }
${lines(quads, (j) => `let cb${j} = min(column + ${4 * j}u, params.n - 4u) >> 2u;`)}
${sums((r, j) => `var s${r}_${j} = vec4f();`)}
for (var place = 0u; place < count; place += 4u) {
${
    lines(4, (kk) =>
      `let dyq${kk} = ((first + min(place + ${kk}u, count - 1u)) * params.dy_pitch + params.dy_at) >> 2u;
` +
      lines(quads, (j) =>
        `let b${kk}_${j} = select(vec4f(), dy_quad(dyq${kk} + cb${j}), place + ${kk}u < count);`))
  }
${
    lines(loads, (q) =>
      `let p${q} = place + ${q * span}u + own;
` +
      lines(
        parts,
        (i) =>
          `let a${
            q * parts + i
          } = select(vec4f(), seen_quad(r${i}, min(p${q}, count - 1u), start), p${q} < count);`,
      ))
  }
${
    lines(rows, (r) =>
      lines(4, (kk) =>
        `{ let v = ${value(r, kk)}; ${
          lines(quads, (j) =>
            `s${r}_${j} += v * b${kk}_${j};`)
        } }`))
  }
}
if (column >= params.n) { return; }
let base = ((group.z * params.m + row) * params.n + column) >> 2u;
${
    sums((r, j) =>
      `if (row + ${r}u < params.m && column + ${
        4 * j
      }u < params.n) { out[base + ${r}u * (params.n >> 2u) + ${j}u] = s${r}_${j}; }`
    )
  }
}`;
}

/** The kernel for GPUs: 16 x 8 invocations, `rows / 8` rows of `quads` quads each, with staged tiles. */
function weightWorkgroupCode(shape: WeightShape): string {
  const { rows, quads } = shape;
  const { width, height, depth } = STAGED;
  const threads = width * height;
  const each = rows / height;
  const tileQuads = width * quads;
  return `${WALK}
var<workgroup> tile_a: array<f32, ${rows * depth}>;
var<workgroup> tile_b: array<vec4f, ${tileQuads * depth}>;
@compute @workgroup_size(${width}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let thread = local.y * ${width}u + local.x;
let row = group.x * ${rows}u;
let column = (group.y * ${width}u + local.x) * ${4 * quads}u;
${PART}
var s: array<array<vec4f, ${quads}>, ${each}>;
for (var place = 0u; place < count; place += ${depth}u) {
  for (var q = thread; q < ${(rows / 4) * depth}u; q += ${threads}u) {
    let kk = q / ${rows / 4}u;
    let r = 4u * (q % ${rows / 4}u);
    var v = vec4f();
    if (place + kk < count && row + r < params.m) {
      v = seen_quad(row_of((row + r) >> 2u), place + kk, start);
    }
    ${lines(4, (c) => `tile_a[kk * ${rows}u + r + ${c}u] = v.${COMPONENT[c]};`)}
  }
  for (var q = thread; q < ${tileQuads * depth}u; q += ${threads}u) {
    let kk = q / ${tileQuads}u;
    let c = 4u * (group.y * ${tileQuads}u + q % ${tileQuads}u);
    var v = vec4f();
    if (place + kk < count && c < params.n) {
      v = dy_quad(((first + place + kk) * params.dy_pitch + params.dy_at + c) >> 2u);
    }
    tile_b[q] = v;
  }
  ${multiplyStaged(shape)}
}
if (column >= params.n) { return; }
for (var r = 0u; r < ${each}u; r++) {
  let at = row + local.y * ${each}u + r;
  if (at >= params.m) { break; }
  let quad = ((group.z * params.m + at) * params.n + column) >> 2u;
  ${lines(quads, (j) => `if (column + ${4 * j}u < params.n) { out[quad + ${j}u] = s[r][${j}]; }`)}
}
}`;
}

const weightKernel = perShape((gpu: Gpu, shape: WeightShape) =>
  defineKernel({
    name: "conv2d weight gradient",
    bindings: {
      source: readFrom(true, shape.mirror),
      dy: readFrom(true, shape.mirror),
      out: "write vec4f",
    },
    params: WEIGHT_PARAMS,
    cost: { flops: ({ m, n, places }) => 2 * m * n * places },
    code: gpu.path === "subgroup"
      ? weightSubgroupCode(gpu.lanes, shape)
      : weightWorkgroupCode(shape),
  })
);

/** As many workgroups keep all cores of a CPU, or all of a GPU, at work. */
const ENOUGH_GROUPS = { subgroup: 16, workgroup: 256 };

export function weightGradient(
  { dy, at }: { dy: Tensor; at: number },
  x: Tensor,
  sizes: Sizes,
  out?: Tensor,
): Tensor {
  const { gpu } = dy;
  const { kernelHeight, kernelWidth, channels, outChannels, stride } = sizes;
  const shape = [kernelHeight, kernelWidth, channels, outChannels];
  const prepared = prepare(x, sizes);
  using source = prepared.source;
  const { depth, columns, batch, outHeight, outWidth } = prepared;
  const m = prepared.kernelHeight * prepared.kernelWidth * depth;
  const lanes = tileLanes(gpu);
  const quads = gpu.path === "subgroup" && columns > 4 * lanes ? 2 : 1;
  const most = gpu.path === "subgroup" ? Math.min(64, TILE_QUADS / (lanes * quads)) : 64;
  let rows = most;
  while (rows > 16 && m <= rows / 2) rows /= 2;
  const tiles = [Math.ceil(m / rows), Math.ceil(columns / (4 * lanes * quads))];
  const places = batch * outHeight * outWidth;
  const mostPlaces = mostDepth(gpu, { rows, quads });
  if (Math.max(outHeight, outWidth) + mostPlaces > DIVIDED) {
    throw new RangeError(
      `The gradient of a convolution on its weights takes results of at most ${
        DIVIDED - most
      } lines and columns, ` +
        `and those of "${x.name}" have ${outHeight} and ${outWidth}`,
    );
  }
  const result = out ?? Tensor.empty(gpu, shape, { name: "dw" });
  // Parts are whole lines, where these take few enough turns.
  const wanted = Math.min(batch * outHeight, ENOUGH_GROUPS[gpu.path] / (tiles[0] * tiles[1]));
  const share = Math.ceil(batch * outHeight / Math.max(1, Math.floor(wanted))) * outWidth;
  const part = Math.min(share, mostPlaces);
  const used = Math.ceil(places / part);
  const size = m * columns;
  const padded = size !== result.size;
  const target = used === 1 && !padded
    ? result.view([used, size])
    : Tensor.empty(gpu, [used, size], { name: "dw" });
  const mirror = worthMirror(source) && worthMirror(dy);
  weightKernel(gpu, { rows, quads, mirror }).run(gpu, { source, dy, out: target }, {
    m,
    depth,
    n: columns,
    places,
    part,
    out_h: outHeight,
    out_w: outWidth,
    source_h: prepared.shape[0],
    source_w: prepared.shape[1],
    pitch: prepared.shape[2],
    dy_pitch: dy.shape[3],
    dy_at: at,
    stride,
    padding: prepared.padding,
    kernel_w: prepared.kernelWidth,
  }, [tiles[0], tiles[1], used]);
  if (used > 1 || padded) {
    using flat = result.view([result.size]);
    using sums = used === 1 ? target.view([size]) : columnSum(target, padded ? undefined : flat);
    if (padded) {
      using wide = sums.view([
        kernelHeight * kernelWidth,
        size / (columns * kernelHeight * kernelWidth),
        1,
        columns,
      ]);
      using narrow = result.view([kernelHeight * kernelWidth, channels, 1, outChannels]);
      fit(wide, [kernelHeight * kernelWidth, channels, 1, outChannels], [0, 0], narrow);
    }
  }
  target.dispose();
  return result;
}
