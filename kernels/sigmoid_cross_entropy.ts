/** Binary cross-entropy from logits, with its gradient. */
import { defineKernel } from "./kernel.ts";
import { expectShape, Tensor } from "./tensor.ts";

const GROUP = 64;

// One group: invocation i takes the examples i, i + 64, … in order, then the group adds up its 64 sums as
// a tree. max(z, 0) - z y + log(1 + exp(-|z|)) needs no exp that could overflow.
const kernel = defineKernel({
  name: "sigmoid cross-entropy",
  bindings: { logits: "read f32", targets: "read f32", loss: "write f32", gradient: "write f32" },
  params: { n: "u32", scale: "f32" },
  code: /* wgsl */ `
var<workgroup> sums: array<f32, ${GROUP}>;
@compute @workgroup_size(${GROUP})
fn main(@builtin(local_invocation_id) local: vec3u) {
  var sum = 0.0;
  for (var i = local.x; i < params.n; i += ${GROUP}u) {
    let z = logits[i];
    let y = targets[i];
    let e = exp(-min(abs(z), 80.0));
    sum += max(z, 0.0) - z * y + log(1.0 + e);
    let p = select(e, 1.0, z >= 0.0) / (1.0 + e);
    gradient[i] = params.scale * (p - y);
  }
  sums[local.x] = sum;
  for (var half = ${GROUP / 2}u; half > 0u; half /= 2u) {
    workgroupBarrier();
    if (local.x < half) { sums[local.x] += sums[local.x + half]; }
  }
  if (local.x == 0u) { loss[0] = params.scale * sums[0]; }
}`,
});

/** The result of {@linkcode sigmoidCrossEntropy}. */
export interface SigmoidCrossEntropy {
  /** The sum over the examples: one number. */
  loss: Tensor;
  /** Of the loss on the logits, with their shape. */
  gradient: Tensor;
}

/**
 * The cross-entropy between targets `y`, 0 or 1 or between, and the sigmoids of logits `z`: the sum of
 * `max(z, 0) - z y + log(1 + exp(-|z|))`, times `scale`; and its gradient `σ(z) - y`, times `scale`. Finite
 * for every finite logit. One dispatch of one workgroup: made for the sizes of a batch.
 *
 * Errors: TypeError when `logits` and `targets` differ in shape.
 *
 * ```ts
 * import { openGpu } from "./gpu.ts";
 * import { Tensor } from "./tensor.ts";
 * using gpu = await openGpu();
 * using logits = Tensor.from(gpu, [0, 100, -100]);
 * using targets = Tensor.from(gpu, [1, 1, 1]);
 * const { loss, gradient } = sigmoidCrossEntropy(logits, targets);
 * console.log(await loss.read()); // 0.693 + 0 + 100
 * loss.dispose();
 * gradient.dispose();
 * ```
 */
export function sigmoidCrossEntropy(
  logits: Tensor,
  targets: Tensor,
  { scale = 1 }: { scale?: number } = {},
): SigmoidCrossEntropy {
  expectShape(targets, logits.shape, "The targets of a sigmoid cross-entropy");
  const { gpu, shape, size } = logits;
  const loss = Tensor.empty(gpu, [], { name: "loss" });
  const gradient = Tensor.empty(gpu, shape, { name: "gradient of the logits" });
  kernel.run(gpu, { logits, targets, loss, gradient }, { n: size, scale }, [1]);
  return { loss, gradient };
}
