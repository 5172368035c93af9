/** How much the target of each row of scores counts. */
import { activations } from "../activations.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { type Binding, defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { perShape } from "../runtime/wgsl.ts";

const kernel = perShape((_gpu: Gpu, { weighted }: { weighted: boolean }) =>
  defineKernel({
    name: "target weights",
    bindings: {
      targets: "read u32",
      ...weighted && { weight: "read f32" as Binding },
      out: "write f32",
    },
    params: { n: "u32", classes: "u32", ignores: "u32", ignore: "u32" },
    code: /* wgsl */ `${activations("f32")}${FLAT_MAIN}
  if (i >= params.n) { return; }
  let y = targets[i];
  var counts = ${weighted ? "weight[min(y, params.classes - 1u)]" : "1.0"};
  if (y >= params.classes) { counts = nan_f32(); }
  out[i] = select(counts, 0.0, params.ignores == 1u && y == params.ignore);
}`,
  })
);

/**
 * For each of `targets [M]`, classes from 0 to `classes` - 1, its number in `weight [classes]`, or 1 without weights;
 * 0 for the class `ignore`, which may be any number; NaN for what is no class. `[M]`
 *
 * Errors: TypeError when the shapes do not fit.
 */
export function targetWeights(
  targets: Tensor<"u32">,
  classes: number,
  { weight, ignore }: { weight?: Tensor | undefined; ignore?: number | undefined } = {},
): Tensor {
  expectShape(targets, [null], "The targets [M] of weights");
  if (weight !== undefined) expectShape(weight, [classes], "The weights [K] of classes");
  const { gpu, size: n } = targets;
  const out = Tensor.empty(gpu, [n], { name: "target weights" });
  const ignores = ignore === undefined ? 0 : 1;
  kernel(gpu, { weighted: weight !== undefined }).run(
    gpu,
    { targets, out, ...weight && { weight } },
    { n, classes, ignores, ignore: ignore ?? 0 },
    flatGroups(n),
  );
  return out;
}
