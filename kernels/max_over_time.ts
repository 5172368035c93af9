/** The largest value over the steps of each sequence, padding left out, and its gradient. */
import { defineKernel, FLAT_MAIN, flatGroups } from "./kernel.ts";
import { expectShape, Tensor } from "./tensor.ts";

// An invocation owns one unit of an example. Of equals the first counts.
const forwardKernel = defineKernel({
  name: "max over time",
  bindings: { x: "read f32", lengths: "read u32", out: "write f32", steps: "write u32" },
  params: { n: "u32", units: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let length = max(lengths[i / params.units], 1u);
  var best = x[i];
  var step = 0u;
  for (var t = 1u; t < length; t++) {
    let v = x[t * params.n + i];
    if (v > best) { best = v; step = t; }
  }
  out[i] = best;
  steps[i] = step;
}`,
});

// Invocation i owns number i of dx [T, N, H].
const backwardKernel = defineKernel({
  name: "max over time backward",
  bindings: { dout: "read f32", steps: "read u32", dx: "write f32" },
  params: { n: "u32", size: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let place = i % params.size;
  dx[i] = select(0.0, dout[place], steps[place] == i / params.size);
}`,
});

/** The result of {@linkcode maxOverTime}. */
export interface MaxOverTime {
  /** `[N, H]` */
  out: Tensor;
  /** `[N, H]`: the step that each largest value comes from. */
  steps: Tensor<"u32">;
}

/**
 * The largest value over the first `lengths[n]` steps of each example: `x [T, N, H]`, `lengths [N]`,
 * from 1 to T, result `[N, H]`. One dispatch.
 *
 * Errors: TypeError when the shapes do not fit.
 */
export function maxOverTime(x: Tensor, lengths: Tensor<"u32">): MaxOverTime {
  expectShape(x, [null, null, null], "A maximum over time of x [T, N, H]");
  const [steps, batch, units] = x.shape;
  if (steps === 0) throw new TypeError(`A maximum over time needs at least one step`);
  expectShape(lengths, [batch], "The lengths [N] of a maximum over time");
  const out = Tensor.empty(x.gpu, [batch, units], { name: "max over time" });
  const from = Tensor.empty(x.gpu, [batch, units], { name: "steps of the maxima", dtype: "u32" });
  const n = batch * units;
  forwardKernel.run(x.gpu, { x, lengths, out, steps: from }, { n, units }, flatGroups(n));
  return { out, steps: from };
}

/** The gradient of {@linkcode maxOverTime} on `x`, written to `dx [T, N, H]` whole. One dispatch. */
export function maxOverTimeGradient(dout: Tensor, steps: Tensor<"u32">, dx: Tensor): Tensor {
  expectShape(dx, [null, ...dout.shape], "The gradient [T, N, H] of a maximum over time");
  expectShape(steps, dout.shape, "The steps [N, H] of a maximum over time");
  const params = { n: dx.size, size: dout.size };
  backwardKernel.run(dx.gpu, { dout, steps, dx }, params, flatGroups(dx.size));
  return dx;
}
