/** Losses of many steps, gathered on the GPU and read together: training waits for the GPU only here. */
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A loss that is not a finite number: what was learned in its step, and since, is worth nothing. */
export class NonFiniteLossError extends UserError {
  /** Its name. */
  override name = "NonFiniteLossError";

  /** The message says what to try. `unit` is what a step is called in it. */
  constructor(
    /** NaN, Infinity or -Infinity. */
    readonly loss: number,
    /** The step of the loss. */
    readonly step: number,
    /** The loss noted just before it; nothing where it was the first. */
    readonly lastFinite: number | undefined,
    unit = "step",
  ) {
    const before = lastFinite === undefined
      ? "no loss before it was finite"
      : `the last finite one was ${lastFinite}`;
    super(
      `The loss is ${loss} at ${unit} ${step}, and ${before}: try a lower learning rate, clip the ` +
        `gradients by their norm, and look at the data and the first weights`,
    );
  }
}

/**
 * Collects one loss a step; a read is started every `every` losses and stays in flight meanwhile.
 *
 * Errors: `add` and `finish` throw {@linkcode NonFiniteLossError} once a loss that was read is not finite;
 * `losses` then ends with the last finite one.
 */
export class LossHistory {
  /** The losses read so far, in order; all are finite. */
  readonly losses: number[] = [];
  readonly #slots: Tensor;
  readonly #firstStep: number;
  readonly #perStep: number;
  readonly #unit: string;
  #filled = 0;
  #reading: Promise<void> | undefined;

  /** RangeError where `every`, `firstStep` or `perStep` is no whole number from 1. */
  constructor(
    gpu: Gpu,
    /** So many losses are read together. */
    readonly every: number,
    { firstStep = 1, perStep = 1, unit = "step" }: {
      /** The number of the first step noted here; 1 by default. */
      firstStep?: number;
      /** Losses noted in one step; 1 by default. */
      perStep?: number;
      /** What a step is called in messages; "step" by default. */
      unit?: string;
    } = {},
  ) {
    for (const n of [every, firstStep, perStep]) {
      if (Number.isSafeInteger(n) && n >= 1) continue;
      throw new RangeError(`Losses are read every so many steps, a whole number from 1: not ${n}`);
    }
    this.#firstStep = firstStep;
    this.#perStep = perStep;
    this.#unit = unit;
    this.#slots = Tensor.empty(gpu, [every], { name: "losses" });
  }

  /** Note the loss of a step, one number on the GPU. Waits only for a read that was started `every` losses ago. */
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
    this.#reading = used.startRead().then((values) => this.#take(values));
    // A failed read is thrown by the next wait; until then it must not end the program.
    this.#reading.catch(() => {});
  }

  #take(values: Float32Array): void {
    for (const loss of values) {
      if (!Number.isFinite(loss)) {
        const step = this.#firstStep + Math.floor(this.losses.length / this.#perStep);
        throw new NonFiniteLossError(loss, step, this.losses.at(-1), this.#unit);
      }
      this.losses.push(loss);
    }
  }

  /** Wait for all losses noted so far. */
  async finish(): Promise<number[]> {
    await this.#read();
    await this.#reading;
    return this.losses;
  }

  /** Let go of what is on the GPU. */
  dispose(): void {
    this.#slots.dispose();
  }

  /** {@linkcode dispose}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
