/**
 * A budget of memory that work running at the same time shares.
 *
 * @module
 */

/** Someone who waits for a part of a budget. */
interface Waiting {
  bytes: number;
  start: () => void;
}

/**
 * Lets work start only while what all running work needs stays within so many bytes. Who came first starts
 * first, so that large work is not passed over for ever.
 *
 * ```ts
 * const budget = new MemoryBudget(100);
 * const order: string[] = [];
 * const all = budget.run(100, () => Promise.resolve(order.push("all")));
 * await Promise.all([all, budget.run(1, () => Promise.resolve(order.push("one")))]);
 * if (order.join() !== "all,one") throw new Error(`got ${order}`);
 * ```
 */
export class MemoryBudget {
  #free: number;
  readonly #queue: Waiting[] = [];

  /** @param bytes How much there is. */
  constructor(readonly bytes: number) {
    this.#free = bytes;
  }

  /**
   * Run `work`, which needs so many `bytes`, as soon as they are free. Work that needs all of the budget, or
   * more, runs while no other does.
   */
  async run<T>(bytes: number, work: () => T | Promise<T>): Promise<T> {
    const taken = Math.min(bytes, this.bytes);
    if (this.#queue.length > 0 || taken > this.#free) {
      await new Promise<void>((start) => this.#queue.push({ bytes: taken, start }));
    } else {
      this.#free -= taken;
    }
    try {
      return await work();
    } finally {
      this.#free += taken;
      while (this.#queue.length > 0 && this.#queue[0].bytes <= this.#free) {
        const { bytes, start } = this.#queue.shift()!;
        this.#free -= bytes;
        start();
      }
    }
  }
}
