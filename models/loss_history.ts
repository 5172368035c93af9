/** Losses of many steps, gathered on the GPU and read together: training waits for the GPU only here. */
import type { Gpu } from "../kernels/gpu.ts";
import { Tensor } from "../kernels/tensor.ts";

/** Collects one loss a step; a read is started every `every` steps and stays in flight meanwhile. */
export class LossHistory {
  /** The losses read so far, in order. */
  readonly losses: number[] = [];
  readonly #slots: Tensor;
  #filled = 0;
  #reading: Promise<void> | undefined;

  constructor(gpu: Gpu, readonly every: number) {
    if (!Number.isInteger(every) || every < 1) {
      throw new RangeError(
        `Losses are read every so many steps, a whole number from 1: not ${every}`,
      );
    }
    this.#slots = Tensor.empty(gpu, [every], { name: "losses" });
  }

  /** Note the loss of a step, one number on the GPU. Waits only for a read that was started `every` steps ago. */
  async add(loss: Tensor): Promise<void> {
    using slot = this.#slots.view([1], this.#filled);
    slot.copyFrom(loss);
    this.#filled++;
    if (this.#filled === this.every) await this.#read();
  }

  async #read(): Promise<void> {
    await this.#reading;
    const count = this.#filled;
    this.#filled = 0;
    if (count === 0) return;
    using used = this.#slots.view([count]);
    this.#reading = used.startRead().then((values) => {
      this.losses.push(...values);
    });
    // A failed read is thrown by the next wait; until then it must not end the program.
    this.#reading.catch(() => {});
  }

  /** Wait for all losses noted so far. */
  async finish(): Promise<number[]> {
    await this.#read();
    await this.#reading;
    return this.losses;
  }

  dispose(): void {
    this.#slots.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
