/** Copies of blocks with zeros around them, or without their rims: how sizes are made to fit a kernel. */
import { defineKernel, FLAT_MAIN, flatGroups } from "./runtime/kernel.ts";
import { expectShape, Tensor } from "./runtime/tensor.ts";
import { loopTurns, MOST_TURNS } from "./runtime/turns.ts";

// Invocation i writes numbers first to before end of the D of place i of out [A, B, C, D], from x [A, b, c, d] shifted by (shift_b, shift_c).
const fitKernel = defineKernel({
  name: "fit",
  bindings: { x: "read f32", out: "write f32" },
  params: {
    places: "u32",
    b: "u32",
    c: "u32",
    d: "u32",
    out_b: "u32",
    out_c: "u32",
    out_d: "u32",
    shift_b: "i32",
    shift_c: "i32",
    first: "u32",
    end: "u32",
  },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.places) { return; }
  let line = i / params.out_c;
  // What lies before the block wraps around and counts as beyond it.
  let c = i - line * params.out_c - u32(params.shift_c);
  let a = line / params.out_b;
  let b = line - a * params.out_b - u32(params.shift_b);
  let start = ((a * params.b + b) * params.c + c) * params.d;
  let there = select(0u, min(params.d, params.end), c < params.c && b < params.b);
  for (var d = params.first; d < there; d++) { out[i * params.out_d + d] = x[start + d]; }
  for (var d = max(params.first, there); d < params.end; d++) { out[i * params.out_d + d] = 0.0; }
}`,
});

/**
 * `x [A, b, c, d]` in a tensor `[A, B, C, D]`: its number (a, i, j, k) goes to
 * `(a, i + shift[0], j + shift[1], k)`. What has no place is left out, and what is not reached is 0.
 * One dispatch for each part of D that takes few enough turns (kernels/runtime/turns.ts).
 */
export function fit(
  x: Tensor,
  shape: readonly [number, number, number, number],
  shift: readonly [number, number] = [0, 0],
  out?: Tensor,
): Tensor {
  expectShape(x, [shape[0], null, null, null], "A block [A, b, c, d] to fit");
  const result = out ?? Tensor.empty(x.gpu, shape, { name: x.name });
  expectShape(result, shape, "A fitted block [A, B, C, D]");
  const [, b, c, d] = x.shape;
  const [, outB, outC, outD] = shape;
  const places = shape[0] * outB * outC;
  const most = MOST_TURNS - 2 * loopTurns(0);
  for (let first = 0; first < outD; first += most) {
    fitKernel.run(x.gpu, { x, out: result }, {
      ...{ places, b, c, d, out_b: outB, out_c: outC, out_d: outD },
      ...{ shift_b: shift[0], shift_c: shift[1] },
      ...{ first, end: Math.min(outD, first + most) },
    }, flatGroups(places));
  }
  return result;
}
