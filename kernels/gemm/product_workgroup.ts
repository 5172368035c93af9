/**
 * The product kernel for GPUs: 16 x 8 invocations stage a tile of A and B in workgroup memory; each
 * computes `rows / 8` rows of `quads` quads.
 */
import { COMPONENT, lines, multiplyStaged, type ProductShape, STAGED } from "./product_shape.ts";

/** The entry point. */
export function workgroupBody(shape: ProductShape): string {
  const { transA, transB, rows, quads, columns } = shape;
  const { width, height, depth } = STAGED;
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
  ${multiplyStaged(shape)}
}
if (column >= params.n) { return; }
for (var r = 0u; r < ${each}u; r++) {
  let at = row + local.y * ${each}u + r;
  if (at < params.m) { finish(at, column${lines(quads, (j) => `, s[r][${j}]`)}); }
}
}`;
}
