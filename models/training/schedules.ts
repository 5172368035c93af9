/** Schedules: the learning rate of each step (or epoch, where one counts those), from 0 on. */

import { type SavedState, stateNumber } from "./checkpoint.ts";

/** The learning rate of step `step`: `optimizer.lr = schedule(step)` before it. */
export type Schedule = (step: number) => number;

function check(name: string, value: number, allowed: string, fits: boolean): void {
  if (!fits) throw new RangeError(`The ${name} of a schedule must be ${allowed}: it is ${value}`);
}

function checkSteps(name: string, steps: number): void {
  check(name, steps, "a whole number from 1", Number.isInteger(steps) && steps >= 1);
}

function checkRate(name: string, rate: number): void {
  check(name, rate, "a number above 0", rate > 0 && rate < Infinity);
}

/** `lr` times `factor` after every `every` steps: PyTorch's `StepLR`; exponential where `every` is 1. */
export function stepDecay(
  lr: number,
  { every = 1, factor }: { every?: number; factor: number },
): Schedule {
  checkRate("lr", lr);
  checkSteps("every", every);
  checkRate("factor", factor);
  return (step) => lr * factor ** Math.floor(step / every);
}

/** Half a wave of a cosine from `lr` to `least` within so many steps, and `least` from there on. */
export function cosine(
  lr: number,
  { steps, least = 0 }: { steps: number; least?: number },
): Schedule {
  checkRate("lr", lr);
  checkSteps("steps", steps);
  check("least", least, "a number from 0 to lr", least >= 0 && least <= lr);
  return (step) => least + (lr - least) * (1 + Math.cos(Math.PI * Math.min(step / steps, 1))) / 2;
}

/** For so many steps a share of `schedule` that grows from `from` to 1: PyTorch's `LinearLR`, times the schedule. */
export function warmUp(
  schedule: Schedule,
  { steps, from = 1 / 3 }: { steps: number; from?: number },
): Schedule {
  checkSteps("steps", steps);
  check("from", from, "above 0, at most 1", from > 0 && from <= 1);
  return (step) => schedule(step) * (from + (1 - from) * Math.min(step / steps, 1));
}

/**
 * Up to the largest rate and down again within so many steps, by cosines (Smith and Topin 2018): PyTorch's
 * `OneCycleLR`. The rate grows in the share `growing` of the steps; the first is the largest one divided by `first`,
 * the last is the first divided by `last`.
 */
export function oneCycle(
  largest: number,
  { steps, growing = 0.3, first = 25, last = 1e4 }: {
    steps: number;
    growing?: number;
    first?: number;
    last?: number;
  },
): Schedule {
  checkRate("largest rate", largest);
  checkSteps("steps", steps);
  check("growing", growing, "a share above 0 and below 1", growing > 0 && growing < 1);
  checkRate("first", first);
  checkRate("last", last);
  const peak = growing * steps - 1;
  const between = (from: number, to: number, share: number) =>
    to + (from - to) * (1 + Math.cos(Math.PI * share)) / 2;
  return (step) => {
    const at = Math.min(step, steps - 1);
    if (at <= peak) return between(largest / first, largest, at / peak);
    return between(largest, largest / first / last, (at - peak) / (steps - 1 - peak));
  };
}

/** A rate that falls when results get no better: PyTorch's `ReduceLROnPlateau`. */
export class Plateau {
  readonly #options: Required<NonNullable<ConstructorParameters<typeof Plateau>[1]>>;
  #best: number;
  #waited = 0;

  /** RangeError for an option that cannot be. */
  constructor(
    /** The rate from now on. */
    public lr: number,
    options: {
      /** What the rate is multiplied by; 0.1 by default. */
      factor?: number;
      /** So many results that are no better are let pass; 10 by default. */
      patience?: number;
      /** Better is by this share; 1e-4 by default. */
      threshold?: number;
      /** The larger a result, the better; by default the smaller. */
      larger?: boolean;
      /** The rate does not fall below it; 0 by default. */
      least?: number;
    } = {},
  ) {
    checkRate("lr", lr);
    this.#options = {
      ...{ factor: 0.1, patience: 10, threshold: 1e-4, larger: false, least: 0 },
      ...options,
    };
    const { factor, patience, least } = this.#options;
    check("factor", factor, "above 0 and below 1", factor > 0 && factor < 1);
    check(
      "patience",
      patience,
      "a whole number from 0",
      Number.isInteger(patience) && patience >= 0,
    );
    check("least", least, "a number from 0 to lr", least >= 0 && least <= lr);
    this.#best = this.#options.larger ? -Infinity : Infinity;
  }

  /** What it needs to go on. */
  state(): SavedState {
    const best = Number.isFinite(this.#best) ? this.#best : null;
    return { values: { lr: this.lr, best, waited: this.#waited } };
  }

  /** Go on from a saved state. UserError where it is of something else. */
  loadState(state: SavedState): void {
    this.lr = stateNumber(state, "lr");
    this.#waited = stateNumber(state, "waited");
    const { best } = state.values as { best: number | null };
    if (best !== null) this.#best = stateNumber(state, "best");
  }

  /** Take a result, for instance the loss on validation, and say the rate from now on. */
  next(result: number): number {
    const { factor, patience, threshold, larger, least } = this.#options;
    const better = larger
      ? result > this.#best * (1 + Math.sign(this.#best) * threshold)
      : result < this.#best * (1 - Math.sign(this.#best) * threshold);
    if (better) this.#best = result;
    this.#waited = better ? 0 : this.#waited + 1;
    if (this.#waited > patience) {
      this.lr = Math.max(least, this.lr * factor);
      this.#waited = 0;
    }
    return this.lr;
  }
}
