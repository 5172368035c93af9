/**
 * How often the loops of a kernel may turn. Mesa's software driver (llvmpipe) counts the turns of all loops of
 * an invocation together, inner ones and those that follow each other. After 65,535 it ends each of them at
 * once, without an error: what was not summed is missing, and what was not written keeps its old contents.
 * So work that takes more is cut into parts, on every device, and what cannot be cut is refused.
 */

import { GpuError } from "./errors.ts";

/** Turns that all loops of one invocation may take together: the driver's limit less a margin. */
export const MOST_TURNS = 60_000;

/** Turns that a loop of `rounds` counts with what it holds: the test that ends it counts as one. */
export function loopTurns(rounds: number, inner = 0): number {
  return rounds * (1 + inner) + 1;
}

/**
 * GpuError where a kernel would take too many turns. `what` names what is computed, from which tensor, and
 * `remedy` says what to make smaller.
 */
export function expectTurns(
  turns: number,
  { name, shape }: { name: string; shape: readonly number[] },
  what: string,
  remedy: string,
): void {
  if (turns <= MOST_TURNS) return;
  throw new GpuError(
    `${what} "${name}" of shape [${
      shape.join(", ")
    }] takes loops of ${turns} turns, and a kernel is given ` +
      `${MOST_TURNS}, since software GPU drivers cut longer ones: ${remedy}`,
  );
}

/** The most turns of a loop that is alone in its kernel, where one dispatch follows the other. */
export const STRETCH = MOST_TURNS - 1;

/** The same for a sum: few enough for its rounding errors to stay small. */
export const SUM_STRETCH = 4096;

/** Record a dispatch for each stretch of a loop of at most `most` turns, handing it the turns to skip. At least one. */
export function eachStretch(most: number, stretch: number, record: (skip: number) => void): void {
  for (let skip = 0; skip === 0 || skip < most; skip += stretch) record(skip);
}
