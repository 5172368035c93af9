/** The largest value over the steps of each sequence, padding left out, and its gradient. */
import { activations } from "../activations.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { eachStretch, STRETCH } from "../runtime/turns.ts";

// An invocation owns one unit of an example: its steps from `skip` on, at most a stretch, and the largest value that
// the dispatch before has left. Of equals the first counts, and of NaNs, which count most. A length out of range
// gives NaN.
const forwardKernel = defineKernel({
  name: "max over time",
  bindings: { x: "read f32", lengths: "read u32", out: "write f32", steps: "write u32" },
  params: { n: "u32", units: "u32", skip: "u32", count: "u32" },
  code: /* wgsl */ `${activations("f32")}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let length = lengths[i / params.units];
  let known = length >= 1u && length <= params.count;
  if (params.skip > 0u && (params.skip >= length || !known)) { return; }
  var step = 0u;
  if (params.skip > 0u) { step = steps[i]; }
  var best = x[step * params.n + i];
  for (var t = params.skip; t < min(min(length, params.count), params.skip + ${STRETCH}u); t++) {
    let v = x[t * params.n + i];
    if (order_f32(v) > order_f32(best)) { best = v; step = t; }
  }
  out[i] = select(nan_f32(), best, known);
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
 * from 1 to T, result `[N, H]`; NaN where one of them is, or where a length is out of range. One dispatch, or
 * more for 60,000 steps and more.
 *
 * Errors: TypeError when the shapes do not fit.
 */
export function maxOverTime(x: Tensor, lengths: Tensor<"u32">): MaxOverTime {
  expectShape(x, [null, null, null], "A maximum over time of x [T, N, H]");
  const [count, batch, units] = x.shape;
  if (count === 0) throw new TypeError(`A maximum over time needs at least one step`);
  expectShape(lengths, [batch], "The lengths [N] of a maximum over time");
  const out = Tensor.empty(x.gpu, [batch, units], { name: "max over time" });
  const steps = Tensor.empty(x.gpu, [batch, units], { name: "steps of the maxima", dtype: "u32" });
  const n = batch * units;
  eachStretch(count, STRETCH, (skip) => {
    const params = { n, units, skip, count };
    forwardKernel.run(x.gpu, { x, lengths, out, steps }, params, flatGroups(n));
  });
  return { out, steps };
}

/** The gradient of {@linkcode maxOverTime} on `x`, written to `dx [T, N, H]` whole. One dispatch. */
export function maxOverTimeGradient(dout: Tensor, steps: Tensor<"u32">, dx: Tensor): Tensor {
  expectShape(dx, [null, ...dout.shape], "The gradient [T, N, H] of a maximum over time");
  expectShape(steps, dout.shape, "The steps [N, H] of a maximum over time");
  const params = { n: dx.size, size: dout.size };
  backwardKernel.run(dx.gpu, { dout, steps, dx }, params, flatGroups(dx.size));
  return dx;
}
