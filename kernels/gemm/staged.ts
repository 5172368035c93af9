/**
 * The tile of a product on a GPU: `width` x `height` invocations stage pieces of both factors in workgroup memory; each
 * computes `rows / height` rows of `quads` quads. The quads of an invocation lie `width` quads apart, so that
 * neighbors read neighbors.
 */
import { COMPONENT, lines } from "../runtime/wgsl.ts";
import { loopTurns } from "../runtime/turns.ts";
import { type Cut, finishRow, type Gemm, partOfDepth, type Tile } from "./contract.ts";

/** Invocations of a workgroup. */
export const STAGED = { width: 16, height: 16 } as const;

/** Numbers of workgroup memory that WebGPU guarantees. */
const MEMORY = 4096;

/** The numbers along k of the staged pieces of a tile. */
export function stagedDepth({ rows, quads }: Tile): number {
  return 16 * (rows + 4 * STAGED.width * quads) <= MEMORY ? 16 : 8;
}

/** Rows of the largest tile, and as many workgroups as keep a GPU at work: with fewer, tiles get smaller. */
const MOST_ROWS = 128;
const ENOUGH = 128;

/** The tile for a product. */
export function stagedTile({ m, n, parts = 1, quads }: Cut): Tile {
  const { width, height } = STAGED;
  const groups = (rows: number, quads: number) =>
    parts * Math.ceil(m / rows) * Math.ceil(n / (4 * width * quads));
  const tile = { rows: MOST_ROWS, quads: quads ?? 2 };
  while (tile.rows > height && m <= tile.rows / 2) tile.rows /= 2;
  while (groups(tile.rows, tile.quads) < ENOUGH) {
    if (quads === undefined && tile.quads > 1) tile.quads = 1;
    else if (tile.rows > height) tile.rows /= 2;
    else break;
  }
  return tile;
}

/** The most turns that the loops within one piece of k take. */
export function stagedTurns(tile: Tile): number {
  const { rows, quads } = tile;
  const { width, height } = STAGED;
  const depth = stagedDepth(tile);
  const staging = (places: number) => loopTurns(Math.ceil(places / (width * height)));
  return staging(rows / 4 * depth) + staging(width * quads * depth) + loopTurns(depth);
}

/** WGSL for the sums of `gemm`, with the entry point. */
export function stagedBody(gemm: Gemm): string {
  const { rows, quads } = gemm.tile;
  const { width, height } = STAGED;
  const depth = stagedDepth(gemm.tile);
  const each = rows / height;
  const tileQuads = width * quads;
  const [down, across] = gemm.rowsFirst ? ["group.x", "group.y"] : ["group.y", "group.x"];
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
tile_a[kk * ${rows / 4}u + (r >> 2u)] = v;`,
    )
    : stage(
      rows * depth / 4,
      `let r = q / ${depth / 4}u;
let kk = 4u * (q % ${depth / 4}u);
var v = vec4f();
if (k + kk < depth && row + r < params.m) {
  v = a_load(${line("a", "row + r", "1u")}, k + kk, depth - k - kk);
}
${lines(4, (c) => `tile_a[(kk + ${c}u) * ${rows / 4}u + (r >> 2u)][r & 3u] = v.${COMPONENT[c]};`)}`,
    );
  // Place j · width + x of the tile is quad j of the invocations in column x.
  const placed = gemm.gates
    ? `let block = (place / ${width}u) * params.n;
let c = (${across} * ${width}u + place % ${width}u) * 4u;`
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
  // An invocation's rows follow each other: whole quads of A where there are four of them or more.
  const quadRows = each % 4 === 0 ? each / 4 : 0;
  const value = (r: number) =>
    quadRows > 0
      ? `a${r >> 2}.${COMPONENT[r & 3]}`
      : `tile_a[kk * ${rows / 4}u + ((own + ${r}u) >> 2u)][(own + ${r}u) & 3u]`;
  return `
var<workgroup> tile_a: array<vec4f, ${rows / 4 * depth}>;
var<workgroup> tile_b: array<vec4f, ${tileQuads * depth}>;
@compute @workgroup_size(${width}, ${height})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let thread = local.y * ${width}u + local.x;
let own = local.y * ${each}u;
let row = ${down} * ${rows}u;
let column = (${across} * ${gemm.gates ? width : tileQuads}u + local.x) * 4u;
${partOfDepth(gemm)}
${lines(each, (r) => lines(quads, (j) => `var s${r}_${j} = vec4f();`))}
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
${lines(quads, (j) => `let b${j} = tile_b[kk * ${tileQuads}u + ${j * width}u + local.x];`)}
${lines(quadRows, (i) => `let a${i} = tile_a[kk * ${rows / 4}u + local.y * ${quadRows}u + ${i}u];`)}
${
    lines(each, (r) =>
      `{ let v = ${value(r)}; ${lines(quads, (j) => `s${r}_${j} += v * b${j};`, " ")} }`)
  }
}
workgroupBarrier();
}
${gemm.window ? "}\n}" : ""}
${
    lines(each, (r) => {
      const at = gemm.ending.placed ? "a_line(at, 1u, first).to" : "at";
      return `if (row + own + ${r}u < params.m) {
let at = row + own + ${r}u;
let to = ${at}${gemm.parts ? " + row_of_part" : ""};
${finishRow(gemm, "to", (j) => `s${r}_${j}`, width)}
}`;
    })
  }
}`;
}
