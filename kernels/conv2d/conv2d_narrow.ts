/**
 * The kernel of conv2d_gather.ts for CPU adapters where there are few columns, as where a network squeezes its
 * channels: side by side they would leave most lanes of a subgroup idle, so the lanes share out the places.
 */
import { COMPONENT, lines } from "../gemm/product_shape.ts";

/** What a narrow kernel is made for: a part of a `GatherShape`. */
interface NarrowShape {
  transB: boolean;
  /** Columns. */
  rows: number;
  /** Quads of places. */
  quads: number;
}

/**
 * WGSL for n = `rows` columns, with what conv2d_gather.ts puts before it. A lane computes 4·quads places, one
 * after another. Along the depth it loads four numbers of each and some of the weights, which reach the other
 * lanes by `subgroupBroadcast`.
 */
export function gatherNarrowCode(lanes: number, shape: NarrowShape): string {
  const { transB, rows: n, quads } = shape;
  const places = (f: (i: number) => string) => lines(4 * quads, f);
  const sums = (f: (r: number, j: number) => string) =>
    lines(n, (r) => lines(quads, (j) => f(r, j)));
  const loads = Math.ceil(n / lanes); // n quads of weights for four numbers of each place
  const value = (r: number, kk: number): string => {
    const [quad, c] = transB ? [r, kk] : [kk * n / 4 + (r >> 2), r & 3];
    return `subgroupBroadcast(a${Math.floor(quad / lanes)}.${COMPONENT[c]}, ${quad % lanes}u)`;
  };
  const next = (i: number) =>
    `let x_ends${i} = p${i}.x + 1u == params.grid_w;
let y_ends${i} = x_ends${i} && p${i}.y + 1u == params.grid_h;
let p${i + 1} = Place(p${i}.n + select(0u, 1u, y_ends${i}),
  select(p${i}.y + select(0u, 1u, x_ends${i}), 0u, y_ends${i}), select(p${i}.x + 1u, 0u, x_ends${i}));`;
  return `
@compute @workgroup_size(${lanes})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = (group.x * ${lanes}u + lane) * ${4 * quads}u;
let depth4 = params.depth >> 2u;
let p0 = place_of(min(row, params.m - 1u));
${lines(4 * quads - 1, next)}
${
    places((i) =>
      `let corner${i} = corner_of(p${i});
let there${i} = row + ${i}u < params.m;`
    )
  }
${
    lines(loads, (i) => {
      const quad = `min(${i * lanes}u + lane, ${n - 1}u)`;
      return `let w${i} = ${transB ? `${quad} * depth4` : quad};`;
    })
  }
${sums((r, j) => `var s${r}_${j} = vec4f();`)}
for (var jy = 0u; jy < params.taps_y; jy++) {
for (var jx = 0u; jx < params.taps_x; jx++) {
let tap = tap_quad(jy, jx);
${
    places((i) =>
      `let seen${i} = seen(corner${i}, jy, jx);
let at${i} = select(0u, seen${i}.at, there${i});`
    )
  }
for (var k = 0u; k < depth4; k++) {
${lines(loads, (i) => `let a${i} = w_quad(tap + w${i} + ${transB ? "k" : `k * ${n}u`});`)}
${places((i) => `let b${i} = select(vec4f(), source_quad(at${i} + k), seen${i}.within);`)}
${
    lines(quads, (j) =>
      lines(4, (kk) =>
        `let t${kk}_${j} = vec4f(${
          [0, 1, 2, 3].map((i) =>
            `b${4 * j + i}.${COMPONENT[kk]}`
          ).join(", ")
        });`))
  }
${
    lines(n, (r) =>
      lines(4, (kk) =>
        `{ let v = ${value(r, kk)}; ${
          lines(quads, (j) =>
            `s${r}_${j} += v * t${kk}_${j};`)
        } }`))
  }
}
}
}
${
    places((i) =>
      `if (there${i}) {
  let at = result_quad(p${i});
  ${
        lines(n / 4, (q) =>
          `out[at + ${q}u] = ending(vec4f(${
            [0, 1, 2, 3].map((c) => `s${4 * q + c}_${i >> 2}.${COMPONENT[i & 3]}`).join(", ")
          }), ${4 * q}u);`)
      }
}`
    )
  }
}`;
}
