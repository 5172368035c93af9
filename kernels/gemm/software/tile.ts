/**
 * The tile of a product on a software adapter: one subgroup of `lanes` invocations. Each lane keeps the sums of all
 * `rows` for its own 4·quads columns in registers. Along k, a lane loads four numbers of its own columns, and
 * some of the rows' factor, whose numbers reach the other lanes by `subgroupBroadcast`. No barriers, which a CPU does
 * slowly, and no workgroup memory. All lanes stay until the end, since a broadcast needs them all.
 */
import { COMPONENT, lines } from "../../runtime/wgsl.ts";
import { finishRow, type Gemm, partOfDepth } from "../contract.ts";

/** WGSL for the sums of `gemm`, with the entry point. */
export function softwareBody(gemm: Gemm, lanes: number): string {
  const { rows, quads, narrow } = gemm.tile;
  // The factor that is shared among the lanes, and the one that is read by each for itself.
  const [shared, own] = narrow ? ["b", "a"] as const : ["a", "b"] as const;
  const [sharedQuads, ownQuads] = [gemm[shared].quads, gemm[own].quads];
  const [sharedCount, ownCount] = narrow ? ["params.n", "params.m"] : ["params.m", "params.n"];
  const [sharedFrom, ownFrom] = narrow ? ["column", "row"] : ["row", "column"];
  const [down, across] = gemm.rowsFirst ? ["group.x", "group.y"] : ["group.y", "group.x"];
  const laneWidth = gemm.gates ? 4 : 4 * quads;
  const begin = narrow
    ? `let row = (${down} * ${lanes}u + lane) * ${laneWidth}u;
let column = ${across} * ${rows}u;`
    : `let row = ${down} * ${rows}u;
let column = (${across} * ${lanes}u + lane) * ${laneWidth}u;`;

  // Along k, lane l holds rows l, l + lanes, …, four k of each. Across k, a load covers `span` k of all rows,
  // or one of the `pieces` of the rows at one k.
  const quadRows = rows / 4;
  const span = Math.max(1, Math.min(4, Math.floor(lanes / quadRows)));
  const pieces = sharedQuads === "along"
    ? Math.ceil(rows / lanes)
    : Math.max(1, Math.ceil(quadRows / lanes));
  const sharedValue = (r: number, kk: number): string => {
    if (sharedQuads === "along") return broadcast(Math.floor(r / lanes), kk, r % lanes);
    const quad = r >> 2;
    return pieces > 1
      ? broadcast(kk * pieces + Math.floor(quad / lanes), r & 3, quad % lanes)
      : broadcast(Math.floor(kk / span), r & 3, (kk % span) * quadRows + quad);
  };
  const sharedLines = lines(pieces, (i) => {
    if (sharedQuads === "along") {
      return `let x${i} = ${shared}_line(min(${sharedFrom} + ${
        i * lanes
      }u + lane, ${sharedCount} - 1u), 1u, first);`;
    }
    const quad = pieces > 1 ? `${i * lanes}u + lane` : `lane % ${quadRows}u`;
    return `let i${i} = min(${sharedFrom} + 4u * (${quad}), (${sharedCount} - 1u) & ~3u);
let x${i} = ${shared}_line(i${i}, ${sharedCount} - i${i}, first);`;
  });
  const shift = pieces > 1 || span === 1 ? "" : ` + min(lane / ${quadRows}u, ${span - 1}u)`;
  const sharedLoads = sharedQuads === "along"
    ? lines(pieces, (i) => `let a${i} = ${shared}_load(${tapped("x", i)}, k, depth - k);`)
    : lines(
      Math.ceil(4 / span),
      (q) =>
        lines(
          pieces,
          (i) => across4(`a${q * pieces + i}`, shared, tapped("x", i), `k + ${q * span}u${shift}`),
        ),
    );

  const ownIndex = (j: number, c: number) => {
    const last = ownQuads === "along" ? `${ownCount} - 1u` : `(${ownCount} - 1u) & ~3u`;
    return `min(${ownFrom} + ${gemm.gates ? c : 4 * j + c}u, ${last})`;
  };
  const block = (j: number) => gemm.gates ? `${j}u * ${ownCount} + ` : "";
  const ownLines = ownQuads === "across"
    ? lines(quads, (j) =>
      `let c${j} = ${ownIndex(j, 0)};
let y${j} = ${own}_line(${block(j)}c${j}, ${ownCount} - c${j}, first);`)
    : lines(
      4 * quads,
      (i) =>
        gemm[own].next && i > 0
          ? `let y${i} = ${own}_next(y${i - 1}, ${ownFrom} + ${i}u < ${ownCount});`
          : `let y${i} = ${own}_line(${block(i >> 2)}${ownIndex(i >> 2, i & 3)}, 1u, first);`,
    );
  const ownLoads = ownQuads === "across"
    ? lines(
      4,
      (kk) => lines(quads, (j) => across4(`b${kk}_${j}`, own, tapped("y", j), `k + ${kk}u`)),
    )
    : lines(
      4 * quads,
      (i) => `let t${i} = ${own}_load(${tapped("y", i)}, k, depth - k);`,
    ) + "\n" + lines(4, (kk) =>
      lines(quads, (j) =>
        `let b${kk}_${j} = vec4f(${
          lines(4, (c) => `t${4 * j + c}.${COMPONENT[kk]}`, ", ")
        });`));

  function broadcast(load: number, component: number, lane: number): string {
    return `subgroupBroadcast(a${load}.${COMPONENT[component]}, ${lane}u)`;
  }
  function tapped(name: string, i: number): string {
    return `${name}${i}${gemm.window ? "t" : ""}`;
  }
  function across4(name: string, factor: string, line: string, k: string): string {
    return gemm.ragged
      ? `let ${name}_k = ${k};
let ${name} = select(vec4f(), ${factor}_load(${line}, min(${name}_k, depth - 1u), 4u), ${name}_k < depth);`
      : `let ${name} = ${factor}_load(${line}, ${k}, 4u);`;
  }

  const ownCountOfLines = ownQuads === "across" ? quads : 4 * quads;
  const taps = lines(pieces, (i) => `let x${i}t = ${shared}_tap(x${i}, jy, jx);`) + "\n" +
    lines(ownCountOfLines, (i) => `let y${i}t = ${own}_tap(y${i}, jy, jx);`);
  const sums = (f: (r: number, j: number) => string) =>
    lines(rows, (r) => lines(quads, (j) => f(r, j)));
  return `
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
${begin}
${partOfDepth(gemm)}
${sharedLines}
${ownLines}
${sums((r, j) => `var s${r}_${j} = vec4f();`)}
${
    gemm.window
      ? `for (var jy = 0u; jy < params.taps_y; jy++) {
for (var jx = 0u; jx < params.taps_x; jx++) {
${taps}`
      : ""
  }
for (var k = 0u; k < depth; k += 4u) {
${ownLoads}
${sharedLoads}
${
    lines(rows, (r) =>
      lines(4, (kk) =>
        `{ let v = ${sharedValue(r, kk)}; ${
          lines(quads, (j) =>
            `s${r}_${j} += v * b${kk}_${j};`)
        } }`))
  }
}
${gemm.window ? "}\n}" : ""}
${narrow ? finishNarrow(gemm) : gemm.ending.short ? finishCopies(gemm, lanes) : finishLoop(gemm)}
}`;
}

/** The ending of a tile whose lanes hold all columns of it, of 4·quads rows. */
function finishNarrow(gemm: Gemm): string {
  const { rows: columns, quads } = gemm.tile;
  return lines(4 * quads, (i) =>
    `if (row + ${i}u < params.m) {
let at = ${gemm.ending.placed ? `y${i}.to` : `row + ${i}u`};
${
      lines(columns / 4, (q) =>
        `if (column + ${4 * q}u < params.n) { finish_quad(at, column + ${4 * q}u, vec4f(${
          lines(4, (c) => `s${4 * q + c}_${i >> 2}.${COMPONENT[i & 3]}`, ", ")
        })); }`)
    }
}`);
}

/** A copy of the ending for every row. */
function finishCopies(gemm: Gemm, lanes: number): string {
  return lines(gemm.tile.rows, (r) =>
    `if (row + ${r}u < params.m) {
let at = ${
      gemm.ending.placed
        ? `subgroupBroadcast(x${Math.floor(r / lanes)}.to, ${r % lanes}u)`
        : `row + ${r}u`
    }${gemm.parts ? " + row_of_part" : ""};
${finishRow(gemm, "at", (j) => `s${r}_${j}`)}
}`);
}

/** The ending in a loop over the rows. */
function finishLoop(gemm: Gemm): string {
  const { rows, quads } = gemm.tile;
  const chosen = (j: number) => {
    let value = `s0_${j}`;
    for (let r = 1; r < rows; r++) value = `select(${value}, s${r}_${j}, r == ${r}u)`;
    return value;
  };
  // From a row that is not known before: Mesa 25 unrolls a loop of few turns, which then takes seconds to compile.
  return `let row_end = min(row + ${rows}u, params.m);
for (var at = row; at < row_end; at++) {
let r = at - row;
${lines(quads, (j) => `let v${j} = ${chosen(j)};`)}
${finishRow(gemm, `at${gemm.parts ? " + row_of_part" : ""}`, (j) => `v${j}`)}
}`;
}
