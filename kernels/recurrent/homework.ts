/**
 * The eight functions of the homework's problems 3 and 4, in its own shapes: batches come first, `[N, T, D]`, and a step
 * gives its states as `[N, H]`. They exchange the axes and call those of rnn.ts and lstm.ts, which a model calls itself.
 */
import { permuted, take } from "../rearrange.ts";
import { expectShape, type Tensor } from "../runtime/tensor.ts";
import {
  type LstmForward,
  type LstmGradients,
  type LstmInputs,
  lstmTimeMajorBackward,
  lstmTimeMajorForward,
} from "./lstm.ts";
import {
  type RnnForward,
  type RnnGradients,
  type RnnInputs,
  rnnTimeMajorBackward,
  rnnTimeMajorForward,
} from "./rnn.ts";

/** `[N, T, D]` as `[T, N, D]`, and the reverse. */
function swapped(x: Tensor, what: string): Tensor {
  expectShape(x, [null, null, null], what);
  return take(permuted(x, [1, 0, 2]));
}

/** What a step or a sequence gives. */
export interface RnnResult extends Disposable {
  /** `[N, H]` after a step; `[N, T, H]`, those of all steps, after a sequence. */
  h: Tensor;
  /** What its gradients need. */
  forward: RnnForward;
}

/** The same of an LSTM. */
export interface LstmResult extends Disposable {
  /** The hidden state after a step, `[N, H]`, or those after each step of a sequence, `[N, T, H]`. */
  h: Tensor;
  /** `[N, H]`: the cell state after a step, or after the last step of a sequence. */
  c: Tensor;
  /** What the backward pass needs. */
  forward: LstmForward;
}

/** A result that lets go of all it holds. */
function owning<R extends object>(result: R, owned: readonly Disposable[]): R & Disposable {
  return {
    ...result,
    [Symbol.dispose]() {
      for (const one of owned) one[Symbol.dispose]();
    },
  };
}

/** The cell state `[N, H]` after the last step. */
function lastCell({ cells }: LstmForward): Tensor {
  const [count, batch, hidden] = cells.shape;
  return cells.view([batch, hidden], (count - 1) * batch * hidden);
}

/** Inputs of {@linkcode rnnStepForward}. */
export interface RnnStepInputs extends Omit<RnnInputs, "x" | "h0"> {
  /** `[N, D]` */
  x: Tensor;
  /** `[N, H]`, the state before the step. */
  hPrev: Tensor;
}

/** The gradients of {@linkcode rnnStepForward}: `dx` is `[N, D]`. */
export interface RnnStepGradients extends Omit<RnnGradients, "dh0"> {
  /** `[N, H]` */
  dhPrev: Tensor;
}

/** One step: `h = tanh(x wx + hPrev wh + b)`. TypeError for shapes that do not fit, as of all eight. */
export function rnnStepForward({ x, hPrev, wx, wh, b }: RnnStepInputs): RnnResult {
  expectShape(x, [null, null], "An RNN step's input x [N, D]");
  const sequence = x.view([1, ...x.shape]);
  const forward = rnnTimeMajorForward({ x: sequence, h0: hPrev, wx, wh, b });
  const h = forward.h.view(hPrev.shape);
  return owning({ h, forward }, [h, forward, sequence]);
}

/** `[1, N, D]` as `[N, D]`. */
function stepOf(dx: Tensor): Tensor {
  using sequence = dx;
  return sequence.view(sequence.shape.slice(1));
}

/** The gradients of {@linkcode rnnStepForward} from `dh [N, H]`. */
export function rnnStepBackward(dh: Tensor, { forward }: RnnResult): RnnStepGradients {
  expectShape(dh, [null, null], "An RNN step's gradient dh [N, H]");
  using sequence = dh.view([1, ...dh.shape]);
  const { dh0, dx, ...rest } = rnnTimeMajorBackward(sequence, forward);
  return { ...rest, dx: stepOf(dx), dhPrev: dh0 };
}

/** A sequence `x [N, T, D]` from `h0 [N, H]`: the states `h [N, T, H]`. */
export function rnnForward({ x, ...rest }: RnnInputs): RnnResult {
  const sequence = swapped(x, "An RNN's input x [N, T, D]");
  const forward = rnnTimeMajorForward({ x: sequence, ...rest });
  const h = swapped(forward.h, "states");
  return owning({ h, forward }, [h, forward, sequence]);
}

/** The gradients of {@linkcode rnnForward} from `dh [N, T, H]`: `dx` is `[N, T, D]`. */
export function rnnBackward(dh: Tensor, { forward }: RnnResult): RnnGradients {
  using sequence = swapped(dh, "An RNN's gradient dh [N, T, H]");
  const { dx, ...rest } = rnnTimeMajorBackward(sequence, forward);
  using each = dx;
  return { ...rest, dx: swapped(each, "dx") };
}

/** Inputs of {@linkcode lstmStepForward}. */
export interface LstmStepInputs extends RnnStepInputs {
  /** `[N, H]`, the cell state before the step. */
  cPrev: Tensor;
}

/** The gradients of {@linkcode lstmStepForward}: `dx` is `[N, D]`. */
export interface LstmStepGradients extends Omit<LstmGradients, "dh0" | "dc0"> {
  /** `[N, H]` */
  dhPrev: Tensor;
  /** `[N, H]` */
  dcPrev: Tensor;
}

/** One step of an LSTM: its next hidden and cell state. The gates of `wx`, `wh` and `b` are f, i, c̃, o. */
export function lstmStepForward({ x, hPrev, cPrev, wx, wh, b }: LstmStepInputs): LstmResult {
  expectShape(x, [null, null], "An LSTM step's input x [N, D]");
  const sequence = x.view([1, ...x.shape]);
  const forward = lstmTimeMajorForward({ x: sequence, h0: hPrev, c0: cPrev, wx, wh, b });
  const [h, c] = [forward.h.view(hPrev.shape), lastCell(forward)];
  return owning({ h, c, forward }, [h, c, forward, sequence]);
}

/** The gradients of {@linkcode lstmStepForward} from `dh [N, H]` and `dc [N, H]`. */
export function lstmStepBackward(
  dh: Tensor,
  dc: Tensor,
  { forward }: LstmResult,
): LstmStepGradients {
  expectShape(dh, [null, null], "An LSTM step's gradient dh [N, H]");
  using sequence = dh.view([1, ...dh.shape]);
  const { dh0, dc0, dx, ...rest } = lstmTimeMajorBackward(sequence, forward, {}, dc);
  return { ...rest, dx: stepOf(dx), dhPrev: dh0, dcPrev: dc0 };
}

/** A sequence `x [N, T, D]` from `h0 [N, H]` (and `c0`, zeros by default): the states `h [N, T, H]`. */
export function lstmForward({ x, ...rest }: LstmInputs): LstmResult {
  const sequence = swapped(x, "An LSTM's input x [N, T, D]");
  const forward = lstmTimeMajorForward({ x: sequence, ...rest });
  const [h, c] = [swapped(forward.h, "states"), lastCell(forward)];
  return owning({ h, c, forward }, [h, c, forward, sequence]);
}

/** The gradients of {@linkcode lstmForward} from `dh [N, T, H]`, and from `dc [N, H]` on the last cell state. */
export function lstmBackward(dh: Tensor, { forward }: LstmResult, dc?: Tensor): LstmGradients {
  using sequence = swapped(dh, "An LSTM's gradient dh [N, T, H]");
  const { dx, ...rest } = lstmTimeMajorBackward(sequence, forward, {}, dc);
  using each = dx;
  return { ...rest, dx: swapped(each, "dx") };
}
