/** The kernels for the mean and the variance of a batch, for batch_norm.ts. */
import { activations } from "../activations.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { eachRow, PARAMS, type RowShape } from "./batch_norm_kernels.ts";
import { defineKernel, FLAT_MAIN } from "../runtime/kernel.ts";
import { element, load, perShape, readFrom } from "../runtime/wgsl.ts";

// The number that a channel's means are counted from, and the share of each number in the sum that shows whether all
// are finite: what is not is the mean, as in PyTorch. So small that the sum of what is finite is.
const ORIGIN = (t: "f32" | "vec4f", first: string) =>
  `select(${t}(), ${first}, is_finite_${t}(${first}))`;
const SHARE = "1e-9";

/**
 * Mean and sum of squared distances from it in each chunk, by Welford's way: no large sums are subtracted. All
 * means are counted from the channel's first number: where numbers lie far from zero and close together, each would
 * else be rounded to what float32 has there. Should the first lie far from the others, a base near the mean does the
 * same within a chunk; it moves there when the rows have doubled.
 */
export const statisticsKernel = perShape((_gpu: Gpu, shape: RowShape) => {
  const t = element(shape.vec4);
  return defineKernel({
    name: "batch norm statistics",
    bindings: { x: readFrom(shape.vec4, shape.mirror), means: `write ${t}`, squares: `write ${t}` },
    params: PARAMS,
    code: activations(t) + eachRow(
      `var count = 0.0; var mean = ${t}(); var sum = ${t}();
  let origin = ${ORIGIN(t, load("x", shape.vec4, "column"))};
  var base = ${t}(); var next = 1.0; var shares = ${t}();`,
      `let value = ${load("x", shape.vec4, "at")};
    let v = (value - origin) - base;
    shares += ${SHARE} * value;
    let d = v - mean;
    count += 1.0;
    mean += d * (1.0 / count);
    sum += d * (v - mean);
    if (count == next) { base += mean; mean = ${t}(); next *= 2.0; }`,
      `means[i] = select(shares, base + mean, is_finite_${t}(shares)); squares[i] = sum;`,
    ),
  });
});

/**
 * The statistics of all chunks put together, by the rule of Chan, Golub and LeVeque (1983), and the running
 * ones moved. An invocation owns one element of all chunks.
 */
export const combineKernel = perShape((_gpu: Gpu, { vec4 }: RowShape) => {
  const t = element(vec4);
  return defineKernel({
    name: "batch norm combine",
    bindings: {
      x: `read ${t}`,
      means: `read ${t}`,
      squares: `read ${t}`,
      statistics: `write ${t}`,
      running_mean: `write ${t}`,
      running_var: `write ${t}`,
    },
    params: { ...PARAMS, momentum: "f32" },
    code: /* wgsl */ `${activations(t)}${FLAT_MAIN}
  if (i >= params.columns) { return; }
  // Counted from the first chunk's, in case that is far from the origin.
  let base = means[i];
  var shares = ${t}();
  var count = 0.0; var mean = ${t}(); var sum = ${t}();
  for (var chunk = 0u; chunk < params.chunks; chunk++) {
    let more = f32(min(params.each, params.rows - chunk * params.each));
    let at = chunk * params.columns + i;
    let d = (means[at] - base) - mean;
    shares += ${SHARE} * means[at];
    let share = more / (count + more);
    mean += d * share;
    sum += squares[at] + d * d * (count * share);
    count += more;
  }
  mean = select(shares, ${ORIGIN(t, "x[i]")} + (base + mean), is_finite_${t}(shares));
  statistics[i] = mean; // (P6)
  statistics[params.columns + i] = sum / count;
  // (P8)
  let rest = 1.0 - params.momentum;
  running_mean[i] = params.momentum * mean + rest * running_mean[i];
  running_var[i] = params.momentum * (sum / (count - 1.0)) + rest * running_var[i];
}`,
  });
});
