/** What losses share whose kernels give the gradient along with the loss. */
import { scaleBy } from "../../kernels/elementwise.ts";
import type { Tensor } from "../../kernels/runtime/tensor.ts";
import { tapeOf, type Variable } from "./autograd.ts";

/** A loss, and its gradient on what it is of, where that was asked for. */
export interface FusedLoss {
  /** One number. */
  loss: Tensor;
  /** Of its input's shape. */
  gradient?: Tensor;
}

/** The share of one example in a mean over `count`. TypeError where there is none. */
export function meanShare(count: number, what: string): number {
  if (count > 0) return 1 / count;
  throw new TypeError(`${what} is a mean over at least one example, and there is none`);
}

/** A loss of `x` on the tape. */
export function recordLoss(
  x: Variable,
  compute: (options: { withGradient: boolean }) => FusedLoss,
): Variable {
  const tape = tapeOf(x);
  const { loss, gradient } = compute({ withGradient: tape.training && x.requiresGrad });
  if (gradient !== undefined) tape.keep(gradient);
  return tape.record(loss, [x], (dy) => {
    if (tape.isSeed(dy)) tape.pass(x, gradient!);
    else tape.gradient(x, (out) => scaleBy(gradient!, dy, out));
  });
}
