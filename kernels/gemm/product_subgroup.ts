/**
 * The product kernel for CPU adapters. One subgroup of L lanes computes `rows` x `4·quads·L` results.
 * Each lane keeps all rows of its own 4·quads columns in registers. Along k, a lane loads four numbers of
 * A for every L-th row and its own columns of B, and the numbers of A reach the other lanes by
 * `subgroupBroadcast`. No barriers, which a CPU does slowly.
 */
import { COMPONENT, lines, type ProductShape, quadColumn } from "./product_shape.ts";

/** The entry point for L = `lanes`. */
export function subgroupBody(lanes: number, shape: ProductShape): string {
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
