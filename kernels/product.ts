/**
 * The WGSL of a matrix product `op(A) · op(B)`, with the ending left open: the linear layer, the
 * recurrent cells and their gradients are one product with different things done to its results.
 *
 * Two bodies:
 * - `subgroup`, for CPU adapters. One subgroup of L lanes computes `rows` x `4·quads·L` results. Each
 *   lane keeps all rows of its own 4·quads columns in registers. Along k, a lane loads four numbers of
 *   A for every L-th row and its own columns of B, and the numbers of A reach the other lanes by
 *   `subgroupBroadcast`. No barriers, which a CPU does slowly.
 * - `workgroup`, for GPUs. 16 x 8 invocations stage a tile of A and B in workgroup memory; each
 *   computes `rows / 8` rows of `quads` quads.
 *
 * Matrices are addressed by base and distance, so that slices of a larger tensor need no copy. Where
 * all of a matrix' rows start at multiples of four, it is read as vec4 (`vec4`); else by single numbers.
 */
import type { Gpu } from "./gpu.ts";

/** What a product kernel is made for. */
export interface ProductShape {
  /** A is stored `[K, M]`. */
  transA: boolean;
  /** B is stored `[N, K]`. */
  transB: boolean;
  /** Rows of a tile. With `transA`: a multiple of 4. */
  rows: number;
  /** Quads of columns that one invocation computes. */
  quads: number;
  /** Every row of every matrix starts at a multiple of four numbers. */
  vec4: boolean;
  /**
   * The columns of an invocation's quads: `plain`, side by side; `gates`, quad j at the same place of
   * the j-th of `quads` equal blocks (the gates of a recurrent cell), `params.n` wide each.
   */
  columns: "plain" | "gates";
}

/** Parameters that every product kernel has. */
export const PRODUCT_PARAMS = {
  /** Rows of the result. */
  m: "u32",
  /** Columns of the result; with `gates`, of one block. */
  n: "u32",
  k: "u32",
  /** First element of A, and elements from one stored row to the next. */
  a_offset: "u32",
  lda: "u32",
  b_offset: "u32",
  ldb: "u32",
} as const;

/** Repeat a line for i = 0 … n-1. */
export function lines(n: number, line: (i: number) => string): string {
  return Array.from({ length: n }, (_, i) => line(i)).join("\n");
}

/**
 * WGSL `load_NAME(i, count)`: four neighbouring numbers of a buffer from element `i` on, of which the
 * first `count` exist; as one vec4 where everything is aligned, else one by one.
 */
export function quadLoad(name: string, vec4: boolean): string {
  if (vec4) return `fn load_${name}(i: u32, count: u32) -> vec4f { return ${name}[i >> 2u]; }\n`;
  return `fn load_${name}(i: u32, count: u32) -> vec4f {
  var v = vec4f();
  for (var c = 0u; c < min(count, 4u); c++) { v[c] = ${name}[i + c]; }
  return v;
}\n`;
}

/** WGSL `store_NAME(i, count, v)`: the counterpart of {@linkcode quadLoad}. */
export function quadStore(name: string, vec4: boolean): string {
  if (vec4) return `fn store_${name}(i: u32, count: u32, v: vec4f) { ${name}[i >> 2u] = v; }\n`;
  return `fn store_${name}(i: u32, count: u32, v: vec4f) {
  for (var c = 0u; c < min(count, 4u); c++) { ${name}[i + c] = v[c]; }
}\n`;
}

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

/** The element type of a product's buffers in a kernel record. */
export function element(vec4: boolean): "vec4f" | "f32" {
  return vec4 ? "vec4f" : "f32";
}

/** Tile heights: few, since each is a pipeline of its own to compile. 25 is the homework's batch. */
const TILE_ROWS = [4, 8, 16, 25, 32, 64];

// Workgroup memory that WebGPU guarantees, in quads: the results of a tile pass through it.
const MEMORY_QUADS = 1024;

/** Rows of a tile for a product of m rows, chosen so that little of the last tile is empty. */
export function tileRows(
  gpu: Gpu,
  m: number,
  transA: boolean,
  quads: number,
  limit = 64,
): number {
  if (gpu.path === "workgroup") return limit >= 64 && m > 32 ? 64 : 32;
  const most = Math.min(limit, MEMORY_QUADS / (gpu.lanes * quads));
  if (transA) return m >= 48 ? most : Math.min(most, m > 16 ? 32 : 16);
  if (m > 2 * most) return most;
  const even = Math.ceil(m / Math.ceil(m / most));
  return TILE_ROWS.find((rows) => rows >= even)!;
}

/** Workgroups of a product with m rows and n columns (`gates`: of one block). */
export function productGroups(
  gpu: Gpu,
  shape: ProductShape,
  m: number,
  n: number,
): [number, number] {
  const lanes = gpu.path === "subgroup" ? gpu.lanes : 16;
  const width = lanes * 4 * (shape.columns === "gates" ? 1 : shape.quads);
  return [Math.ceil(n / width), Math.ceil(m / shape.rows)];
}

/**
 * The kernel's code, for buffers named `a` and `b`. `ending` is WGSL that defines
 * `fn finish(row: u32, column: u32, v0: vec4f, …)`, called for each row with the invocation's quads;
 * `column` is the first column of the first quad.
 */
export function productCode(
  gpu: Gpu,
  shape: ProductShape,
  ending: string,
): string {
  const body = gpu.path === "subgroup" ? subgroupBody(gpu.lanes, shape) : workgroupBody(shape);
  return quadLoad("a", shape.vec4) + quadLoad("b", shape.vec4) + ending + body;
}

/** The first column of quad j, from `column`, the invocation's own first. */
function quadColumn(shape: ProductShape, j: number): string {
  return shape.columns === "gates" ? `(${j}u * params.n + column)` : `(column + ${4 * j}u)`;
}

const COMPONENT = "xyzw";

function subgroupBody(lanes: number, shape: ProductShape): string {
  const { transA, transB, rows, quads, columns } = shape;
  const step = columns === "gates" ? 4 : 4 * quads;
  const sums = (f: (r: number, j: number) => string) =>
    lines(rows, (r) => lines(quads, (j) => f(r, j)));
  // A by rows: lane l holds rows l, l + L, … in a0, a1, …, four k in each.
  const heldRows = Math.ceil(rows / lanes);
  // A by columns (transA): a load covers `kSpan` k of all rows, four rows to a lane.
  const lanesPerK = rows / 4;
  const kSpan = Math.max(1, Math.min(4, Math.floor(lanes / lanesPerK)));
  // With more rows than the lanes hold at four each, every k takes several loads.
  const partsPerK = Math.max(1, Math.ceil(lanesPerK / lanes));
  const aValue = (r: number, kk: number): string => {
    if (!transA) {
      return `subgroupBroadcast(a${Math.floor(r / lanes)}.${COMPONENT[kk]}, ${r % lanes}u)`;
    }
    const quad = r >> 2;
    if (partsPerK > 1) {
      return `subgroupBroadcast(a${kk * partsPerK + Math.floor(quad / lanes)}.${
        COMPONENT[r & 3]
      }, ${quad % lanes}u)`;
    }
    const lane = (kk % kSpan) * lanesPerK + quad;
    return `subgroupBroadcast(a${Math.floor(kk / kSpan)}.${COMPONENT[r & 3]}, ${lane}u)`;
  };
  // Loads of A for the `span` values of k from k0 on, for transA.
  const loadTransposed = (k0: string, span: number): string =>
    partsPerK > 1
      ? lines(span * partsPerK, (q) => {
        const [kk, part] = [Math.floor(q / partsPerK), q % partsPerK];
        const quad = `(${part * lanes}u + lane)`;
        return `let a${q} = load_a(params.a_offset + (${k0} + ${kk}u) * params.lda + min(row + 4u * ${quad}, last_quad_row), params.m - min(row + 4u * ${quad}, last_quad_row));`;
      })
      : lines(Math.ceil(span / kSpan), (q) => {
        const kk = `min(${q * kSpan}u + min(lane / ${lanesPerK}u, ${kSpan - 1}u), ${span - 1}u)`;
        const at = `min(row + 4u * (lane % ${lanesPerK}u), last_quad_row)`;
        return `let a${q} = load_a(params.a_offset + (${k0} + ${kk}) * params.lda + ${at}, params.m - ${at});`;
      });
  const loadB = (k0: string, kk: number) =>
    lines(
      quads,
      (j) => `let b${kk}_${j} = load_b(cb${j} + (${k0} + ${kk}u) * params.ldb, cn${j});`,
    );
  const multiply = (span: number) =>
    lines(
      rows,
      (r) =>
        lines(span, (kk) =>
          `{ let v = ${aValue(r, kk)}; ${
            lines(quads, (j) => `s${r}_${j} += v * b${kk}_${j};`)
          } }`),
    );

  const prepareA = transA
    ? `let last_quad_row = (params.m - 1u) & ~3u;`
    : lines(heldRows, (i) =>
      `let ra${i} = params.a_offset + min(row + ${
        i * lanes
      }u + lane, params.m - 1u) * params.lda;`);
  const prepareB = transB
    ? lines(
      quads,
      (j) =>
        lines(4, (c) =>
          `let rb${j}_${c} = params.b_offset + min(${
            quadColumn(shape, j)
          } + ${c}u, last_column(${j}u)) * params.ldb;`),
    )
    : lines(
      quads,
      (j) =>
        `let cb${j} = params.b_offset + clamp_quad(${quadColumn(shape, j)}, ${j}u);
let cn${j} = last_column(${j}u) + 1u - clamp_quad(${quadColumn(shape, j)}, ${j}u);`,
    );
  const loadBBlock = transB
    ? lines(
      quads,
      (j) =>
        lines(4, (c) => `let t${j}_${c} = load_b(rb${j}_${c} + k, params.k - k);`) + "\n" +
        lines(4, (kk) =>
          `let b${kk}_${j} = vec4f(${
            [0, 1, 2, 3].map((c) => `t${j}_${c}.${COMPONENT[kk]}`).join(", ")
          });`),
    )
    : lines(4, (kk) => loadB("k", kk));
  const loadA = transA
    ? loadTransposed("k", 4)
    : lines(heldRows, (i) => `let a${i} = load_a(ra${i} + k, params.k - k);`);

  // Blocks of four, then what is left of k one by one. With both stored along k, and with whole quads
  // along k, the loads themselves end the last block with zeros.
  const masked = !transA && (transB || shape.vec4);
  const end = masked ? "params.k" : "params.k & ~3u";
  const loadOneA = transA
    ? loadTransposed("k", 1)
    : lines(heldRows, (i) => `let a${i} = load_a(ra${i} + k, 1u);`);
  const loadOneB = !transB ? loadB("k", 0) : lines(quads, (j) => {
    const columns = [0, 1, 2, 3].map((c) => `load_b(rb${j}_${c} + k, 1u).x`);
    return `let b0_${j} = vec4f(${columns.join(", ")});`;
  });
  const rest = masked ? "" : `for (var k = params.k & ~3u; k < params.k; k++) {
${loadOneA}
${loadOneB}
${multiply(1)}
}`;

  // The results pass through workgroup memory, each lane's own: one copy of the ending in a loop, where
  // a copy for each row, or a private array, takes the driver many seconds to compile.
  const finish = `${sums((r, j) => `results[${(r * quads + j) * lanes}u + lane] = s${r}_${j};`)}
let row_end = min(${rows}u, params.m - row);
for (var r = 0u; r < row_end; r++) {
  let at = r * ${quads * lanes}u + lane;
  finish(row + r, column${lines(quads, (j) => `, results[at + ${j * lanes}u]`)});
}`;

  return `
var<workgroup> results: array<vec4f, ${rows * quads * lanes}>;
fn last_column(block: u32) -> u32 { return ${
    columns === "gates" ? "(block + 1u) * params.n" : "params.n"
  } - 1u; }
fn clamp_quad(column: u32, block: u32) -> u32 {
  return ${
    columns === "gates"
      ? "min(column, block * params.n + ((params.n - 1u) & ~3u))"
      : "min(column, (params.n - 1u) & ~3u)"
  };
}
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.y * ${rows}u;
let column = (group.x * ${lanes}u + lane) * ${step}u;
${prepareA}
${prepareB}
${sums((r, j) => `var s${r}_${j} = vec4f();`)}
let k_end = ${end};
for (var k = 0u; k < k_end; k += 4u) {
${loadBBlock}
${loadA}
${multiply(4)}
}
${rest}
if (column >= params.n) { return; }
${finish}
}`;
}

function workgroupBody(shape: ProductShape): string {
  const { transA, transB, rows, quads, columns } = shape;
  const [width, height, depth] = [16, 8, 8];
  const threads = width * height;
  const each = rows / height;
  const step = columns === "gates" ? 4 : 4 * quads;
  const tileQuads = width * quads;
  const column = (local: string, j: string) =>
    columns === "gates"
      ? `(${j} * params.n + (group.x * ${width}u + ${local}) * 4u)`
      : `((group.x * ${width}u + ${local}) * ${step}u + 4u * ${j})`;
  const limit = (j: string) => columns === "gates" ? `((${j} + 1u) * params.n)` : "params.n";
  const stageA = transA
    ? `for (var q = thread; q < ${(rows / 4) * depth}u; q += ${threads}u) {
    let kk = q / ${rows / 4}u; let r = 4u * (q % ${rows / 4}u);
    var v = vec4f();
    if (k + kk < params.k && row + r < params.m) {
      v = load_a(params.a_offset + (k + kk) * params.lda + row + r, params.m - row - r);
    }
    ${lines(4, (c) => `tile_a[kk * ${rows}u + r + ${c}u] = v.${COMPONENT[c]};`)}
  }`
    : `for (var q = thread; q < ${rows * (depth / 4)}u; q += ${threads}u) {
    let r = q / ${depth / 4}u; let kk = 4u * (q % ${depth / 4}u);
    var v = vec4f();
    if (k + kk < params.k && row + r < params.m) {
      v = load_a(params.a_offset + (row + r) * params.lda + k + kk, params.k - k - kk);
    }
    ${lines(4, (c) => `tile_a[(kk + ${c}u) * ${rows}u + r] = v.${COMPONENT[c]};`)}
  }`;
  const stageB = transB
    ? `for (var q = thread; q < ${tileQuads * (depth / 4)}u; q += ${threads}u) {
    let place = q / ${depth / 4}u; let kk = 4u * (q % ${depth / 4}u);
    let c0 = ${column(`(place / ${quads}u)`, `(place % ${quads}u)`)};
    let c_end = ${limit(`(place % ${quads}u)`)};
    ${
      lines(4, (c) =>
        `var t${c} = vec4f();
    if (k + kk < params.k && c0 + ${c}u < c_end) { t${c} = load_b(params.b_offset + (c0 + ${c}u) * params.ldb + k + kk, params.k - k - kk); }`)
    }
    ${
      lines(4, (kk) =>
        `tile_b[(kk + ${kk}u) * ${tileQuads}u + place] = vec4f(t0.${COMPONENT[kk]}, t1.${
          COMPONENT[kk]
        }, t2.${COMPONENT[kk]}, t3.${COMPONENT[kk]});`)
    }
  }`
    : `for (var q = thread; q < ${tileQuads * depth}u; q += ${threads}u) {
    let kk = q / ${tileQuads}u; let place = q % ${tileQuads}u;
    let c0 = ${column(`(place / ${quads}u)`, `(place % ${quads}u)`)};
    let c_end = ${limit(`(place % ${quads}u)`)};
    var v = vec4f();
    if (k + kk < params.k && c0 < c_end) { v = load_b(params.b_offset + (k + kk) * params.ldb + c0, c_end - c0); }
    tile_b[q] = v;
  }`;
  return `
var<workgroup> tile_a: array<f32, ${rows * depth}>;
var<workgroup> tile_b: array<vec4f, ${tileQuads * depth}>;
@compute @workgroup_size(${width}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let thread = local.y * ${width}u + local.x;
let row = group.y * ${rows}u;
let column = (group.x * ${width}u + local.x) * ${step}u;
var s: array<array<vec4f, ${quads}>, ${each}>;
for (var k = 0u; k < params.k; k += ${depth}u) {
  ${stageA}
  ${stageB}
  workgroupBarrier();
  for (var kk = 0u; kk < ${depth}u; kk++) {
    ${lines(quads, (j) => `let b${j} = tile_b[kk * ${tileQuads}u + local.x * ${quads}u + ${j}u];`)}
    for (var r = 0u; r < ${each}u; r++) {
      let v = tile_a[kk * ${rows}u + local.y * ${each}u + r];
      ${lines(quads, (j) => `s[r][${j}] += v * b${j};`)}
    }
  }
  workgroupBarrier();
}
if (column >= params.n) { return; }
for (var r = 0u; r < ${each}u; r++) {
  let at = row + local.y * ${each}u + r;
  if (at < params.m) { finish(at, column${lines(quads, (j) => `, s[r][${j}]`)}); }
}
}`;
}
