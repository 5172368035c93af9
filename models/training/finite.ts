/** Runs whose numbers are no longer finite: they are stopped, and what was good is kept. */
import { type TensorData, whyNotFinite } from "../../data/formats/tensor_data.ts";
import { quote } from "../../data/files/messages.ts";
import { sum } from "../../kernels/reduce/reduce.ts";
import { NonFiniteLossError } from "./loss_history.ts";
import type { ParameterStore } from "../layers/parameters.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A run whose loss or weights are not finite any more. */
export class DivergedError extends UserError {
  override name = "DivergedError";
}

/** What to try, as the sentences about losses have it. */
const REMEDY =
  "try a lower learning rate, clip the gradients by their norm (--clip, where the task has it), " +
  "and look at the data and the first weights";

/** Throw a {@link DivergedError} unless all weights are finite: a loss tells only of those that took part. */
export async function checkWeights(store: ParameterStore, step: number): Promise<void> {
  using total = sum(store.values);
  const [value] = await total.read();
  if (Number.isFinite(value)) return;
  throw new DivergedError(`The weights are not finite after step ${step}: ${REMEDY}`);
}

/** What is wrong with the first tensor that is not finite, with its name; nothing where all are. */
export function notFinite(tensors: Iterable<readonly [string, TensorData]>): string | undefined {
  for (const [name, tensor] of tensors) {
    const why = whyNotFinite(tensor);
    if (why !== undefined) return `${quote(name)} ${why}`;
  }
  return undefined;
}

/** The same as {@link checkWeights} for weights that were read. */
export function checkTensors(
  tensors: Iterable<readonly [string, TensorData]>,
  step: number,
): void {
  const why = notFinite(tensors);
  if (why !== undefined) throw new DivergedError(`${why} after step ${step}: ${REMEDY}`);
}

/** Throw a {@link DivergedError} unless a measured loss is finite; `what` begins the sentence. */
export function checkMeasured(loss: number, what: string): void {
  if (Number.isFinite(loss)) return;
  throw new DivergedError(`${what} is ${loss}: ${REMEDY}`);
}

/** The sentence of an error that says so; every other error is thrown again. */
export function divergence(error: unknown): string {
  if (error instanceof DivergedError || error instanceof NonFiniteLossError) return error.message;
  throw error;
}

/** How a run ends that diverged: what happened, and what is left. */
export function diverged(reason: string, kept: string): DivergedError {
  return new DivergedError(`${reason}. ${kept}`);
}
