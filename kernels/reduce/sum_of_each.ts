/** Kernels that do something with each element and add up one number over all of them, such as losses with their gradients. */
import { blockSum } from "./block_sum.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { sum } from "./reduce.ts";
import { Tensor } from "../runtime/tensor.ts";

const GROUP = 64;
/** Numbers, or quads, of an invocation, and the most workgroups. */
const EACH = 16;
const MOST_GROUPS = 512;

/**
 * WGSL of a kernel that runs `body` for each element i, where it may add to `loss`, an f32 that is 0 before. An invocation has the
 * elements `first`, `first + stride` and so on, and runs `start` before them. A single workgroup adds the sums of
 * its invocations up as a tree; of several each invocation leaves its own: a barrier would cost a CPU more.
 */
export const sumOfEach = (single: boolean, body: string, start = "") => /* wgsl */ `
${single ? `var<workgroup> sums: array<f32, ${GROUP}>;` : ""}
@compute @workgroup_size(${GROUP})
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u,
        @builtin(num_workgroups) groups: vec3u) {
  let first = group.x * ${GROUP}u + local.x;
  let stride = groups.x * ${GROUP}u;
  ${start}
  ${
  blockSum(
    "sum",
    "f32",
    { variable: "i", first: "first", end: "params.n", step: "stride" },
    (add) =>
      `var loss = 0.0;
    ${body}
    ${add("loss")}`,
  )
}
  ${
  single
    ? `sums[local.x] = sum;
  for (var half = ${GROUP / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local.x < half) { sums[local.x] += sums[local.x + half]; }
  }
  if (local.x == 0u) { parts[0] = params.weight * sums[0]; }`
    : "parts[first] = params.weight * sum;"
}
}`;

/** Run a kernel of {@linkcode sumOfEach} over n elements, and add up what it leaves. */
export function summed(
  gpu: Gpu,
  n: number,
  run: (single: boolean, parts: Tensor, groups: [number]) => void,
): Tensor {
  const groups = Math.max(1, Math.min(MOST_GROUPS, Math.ceil(n / (GROUP * EACH))));
  if (groups === 1) {
    const loss = Tensor.empty(gpu, [], { name: "loss" });
    run(true, loss, [1]);
    return loss;
  }
  using parts = Tensor.empty(gpu, [groups * GROUP], { name: "partial losses" });
  run(false, parts, [groups]);
  return sum(parts, { name: "loss" });
}
