/** How an operation with several gradients is told which are wanted, and where they go. */
import { expectShape, type Tensor } from "./runtime/tensor.ts";

/** For each gradient: the tensor to write it to, or `false` when it is not needed. By default new tensors. */
export type GradientTargets<G> = { [K in keyof G]?: Tensor | false };

/** Throw a TypeError unless every target has the shape of its gradient. Call it before any work is recorded. */
export function checkTargets<G extends object>(
  targets: GradientTargets<G>,
  shapes: { [K in keyof G]: readonly number[] },
  what: string,
): void {
  for (const name of Object.keys(shapes) as (keyof G & string)[]) {
    const target = targets[name];
    if (target) expectShape(target, shapes[name], `${what} ${name}`);
  }
}

type Compute<G> = { [K in keyof G]: (out: Tensor | undefined) => Tensor };

/** Compute the gradients that are wanted, each into its target. Those not wanted are missing in the result. */
export function collectGradients<G extends object>(
  targets: GradientTargets<G>,
  compute: Compute<G>,
): G {
  const gradients: Partial<Record<keyof G, Tensor>> = {};
  try {
    for (const name of Object.keys(compute) as (keyof G)[]) {
      const target = targets[name];
      if (target !== false) gradients[name] = compute[name](target);
    }
  } catch (error) {
    // One is refused: the others have no owner.
    for (const name of Object.keys(gradients) as (keyof G)[]) {
      if (!targets[name]) gradients[name]!.dispose();
    }
    throw error;
  }
  return gradients as G;
}
