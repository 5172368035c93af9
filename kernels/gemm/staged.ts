/**
 * The tile of a product on a GPU: 16 x 8 invocations stage pieces of both factors in workgroup memory; each
 * computes `rows / 8` rows of `quads` quads.
 */
import { COMPONENT, lines } from "../runtime/wgsl.ts";
import { loopTurns } from "../runtime/turns.ts";
import { type Cut, finishRow, type Gemm, partOfDepth, type Tile } from "./contract.ts";

/** Invocations of a workgroup, and the numbers along k of its staged pieces. */
export const STAGED = { width: 16, height: 8, depth: 8 } as const;

/** As many workgroups keep a GPU at work. */
const ENOUGH = 64;

/** The tile for a product: fewer rows where there would be few workgroups. */
export function stagedTile({ m, n, parts = 1, quads = n > 4 * STAGED.width ? 2 : 1 }: Cut): Tile {
  const groups = (rows: number) =>
    parts * Math.ceil(m / rows) * Math.ceil(n / (4 * STAGED.width * quads));
  let rows = 64;
  while (rows > 16 && (m <= rows / 2 || groups(rows) < ENOUGH)) rows /= 2;
  return { rows, quads };
}

/** The most turns that the loops within one piece of k take. */
export function stagedTurns({ rows, quads }: Tile): number {
  const { width, height, depth } = STAGED;
  const staging = (places: number) => loopTurns(Math.ceil(places / (width * height)));
  return staging(rows / 4 * depth) + staging(width * quads * depth) + loopTurns(depth);
}

/** WGSL for the sums of `gemm`, with the entry point. */
export function stagedBody(gemm: Gemm): string {
  const { rows, quads } = gemm.tile;
  const { width, height, depth } = STAGED;
  const each = rows / height;
  const tileQuads = width * quads;
  const [down, across] = gemm.rowsFirst ? ["group.x", "group.y"] : ["group.y", "group.x"];
  const quadLanes = gemm.gates ? 1 : quads;
  const stage = (count: number, body: string) =>
    `for (var q = thread; q < ${count}u; q += ${width * height}u) {\n${body}\n}`;
  const line = (factor: string, i: string, left: string) => {
    const at = `${factor}_line(${i}, ${left}, first)`;
    return gemm.window ? `${factor}_tap(${at}, jy, jx)` : at;
  };
  const stageA = gemm.a.quads === "across"
    ? stage(
      rows / 4 * depth,
      `let kk = q / ${rows / 4}u;
let r = 4u * (q % ${rows / 4}u);
var v = vec4f();
if (k + kk < depth && row + r < params.m) {
  v = a_load(${line("a", "row + r", "params.m - row - r")}, k + kk, 4u);
}
${lines(4, (c) => `tile_a[kk * ${rows}u + r + ${c}u] = v.${COMPONENT[c]};`)}`,
    )
    : stage(
      rows * depth / 4,
      `let r = q / ${depth / 4}u;
let kk = 4u * (q % ${depth / 4}u);
var v = vec4f();
if (k + kk < depth && row + r < params.m) {
  v = a_load(${line("a", "row + r", "1u")}, k + kk, depth - k - kk);
}
${lines(4, (c) => `tile_a[(kk + ${c}u) * ${rows}u + r] = v.${COMPONENT[c]};`)}`,
    );
  // The columns of a place of the tile: quad `place % quads` of the invocations' column `place / quads`.
  const placed = gemm.gates
    ? `let block = (place % ${quads}u) * params.n;
let c = (${across} * ${width}u + place / ${quads}u) * 4u;`
    : `let block = 0u;
let c = (${across} * ${tileQuads}u + place) * 4u;`;
  const stageB = gemm.b.quads === "across"
    ? stage(
      tileQuads * depth,
      `let kk = q / ${tileQuads}u;
let place = q % ${tileQuads}u;
${placed}
var v = vec4f();
if (k + kk < depth && c < params.n) { v = b_load(${
        line("b", "block + c", "params.n - c")
      }, k + kk, 4u); }
tile_b[q] = v;`,
    )
    : stage(
      tileQuads * depth / 4,
      `let place = q / ${depth / 4}u;
let kk = 4u * (q % ${depth / 4}u);
${placed}
${
        lines(4, (i) =>
          `var t${i} = vec4f();
if (k + kk < depth && c + ${i}u < params.n) { t${i} = b_load(${
            line("b", `block + c + ${i}u`, "1u")
          }, k + kk, depth - k - kk); }`)
      }
${
        lines(4, (i) =>
          `tile_b[(kk + ${i}u) * ${tileQuads}u + place] = vec4f(${
            lines(4, (c) =>
              `t${c}.${COMPONENT[i]}`, ", ")
          });`)
      }`,
    );
  return `
var<workgroup> tile_a: array<f32, ${rows * depth}>;
var<workgroup> tile_b: array<vec4f, ${tileQuads * depth}>;
@compute @workgroup_size(${width}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let thread = local.y * ${width}u + local.x;
let row = ${down} * ${rows}u;
let column = (${across} * ${width}u + local.x) * ${4 * quadLanes}u;
${partOfDepth(gemm)}
var s: array<array<vec4f, ${quads}>, ${each}>;
${
    gemm.window
      ? `for (var jy = 0u; jy < params.taps_y; jy++) {
for (var jx = 0u; jx < params.taps_x; jx++) {`
      : ""
  }
for (var k = 0u; k < depth; k += ${depth}u) {
${stageA}
${stageB}
workgroupBarrier();
for (var kk = 0u; kk < ${depth}u; kk++) {
${lines(quads, (j) => `let b${j} = tile_b[kk * ${tileQuads}u + local.x * ${quads}u + ${j}u];`)}
${
    lines(each, (r) =>
      `{ let v = tile_a[kk * ${rows}u + local.y * ${each}u + ${r}u]; ${
        lines(quads, (j) =>
          `s[${r}][${j}] += v * b${j};`, " ")
      } }`)
  }
}
workgroupBarrier();
}
${gemm.window ? "}\n}" : ""}
for (var r = 0u; r < ${each}u; r++) {
  let at = row + local.y * ${each}u + r;
  if (at >= params.m) { break; }
  ${gemm.ending.placed ? "let to = a_line(at, 1u, first).to;" : ""}
  ${
    finishRow(
      gemm,
      `${gemm.ending.placed ? "to" : "at"}${gemm.parts ? " + row_of_part" : ""}`,
      (j) => `s[r][${j}]`,
    )
  }
}
}`;
}
