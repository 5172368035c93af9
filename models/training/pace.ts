/** A loop of GPU work that stays answerable: to Ctrl-C, to signals, to timers. */
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";

/** So much work is begun at most before the GPU is waited for, once it is known how long a step takes. */
const MOST_MS = 300;

/** Let the event loop turn once, so that signals and timers are served. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

/** Ends a measurement that is of no use any more. */
class Stopped extends Error {}

/**
 * Keeps the recorded steps at most a fraction of a second ahead of the GPU, and turns the event loop so often.
 * Without it a step that is quickly recorded and slowly computed would let Ctrl-C wait for all of those
 * ahead.
 */
export class Pace implements Disposable {
  readonly #mark: Tensor;
  #ahead = 1;
  #steps = 0;
  #since = performance.now();

  /** `signal` says when to stop; without one it never comes. */
  constructor(gpu: Gpu, readonly signal: Pick<AbortSignal, "aborted"> = { aborted: false }) {
    this.#mark = Tensor.zeros(gpu, [1], { name: "pace" });
  }

  /** Called after each step or batch. Whether to go on. */
  async step(): Promise<boolean> {
    this.#steps++;
    const early = this.#steps < this.#ahead && performance.now() - this.#since < MOST_MS;
    if (!early) {
      await this.#mark.read(); // in order with all that was recorded
      await turn();
      const each = (performance.now() - this.#since) / this.#steps;
      // It grows step by step: the first ones may be quicker than the rest.
      this.#ahead = Math.max(1, Math.min(2 * this.#steps, Math.floor(MOST_MS / each)));
      this.#steps = 0;
      this.#since = performance.now();
    }
    return !this.signal.aborted;
  }

  /**
   * Measure something in batches: `work` gets what it must call after each. Nothing where the signal was set
   * before all was measured.
   */
  async measure<T>(work: (onBatch: () => Promise<void>) => Promise<T>): Promise<T | undefined> {
    if (this.signal.aborted) return undefined;
    try {
      return await work(async () => {
        if (!await this.step()) throw new Stopped();
      });
    } catch (error) {
      if (error instanceof Stopped) return undefined;
      throw error;
    }
  }

  [Symbol.dispose](): void {
    this.#mark.dispose();
  }
}
