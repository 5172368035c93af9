/** An exponential moving average of the weights: it forgets the noise of single steps. */
import { blend } from "../../kernels/elementwise.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { type SavedState, stateNumber, stateTensor } from "./checkpoint.ts";
import type { ParameterStore } from "../layers/parameters.ts";

/**
 * `average += (1 - d) (weights - average)` after each step, with `d` growing to `decay` as
 * `(1 + t) / (10 + t)`, so that the first steps do not weigh too much (as in TensorFlow's
 * ExponentialMovingAverage).
 */
export class WeightAverage {
  readonly #average: Tensor;
  #steps = 0;

  /** RangeError when `decay` is not from 0 to less than 1. */
  constructor(readonly store: ParameterStore, readonly decay: number) {
    if (!(decay >= 0 && decay < 1)) {
      throw new RangeError(
        `The decay of a weight average is from 0 to less than 1, and ${decay} was given`,
      );
    }
    this.#average = Tensor.empty(store.gpu, store.values.shape, { name: "average weights" });
    this.#average.copyFrom(store.values);
  }

  /** Take the weights of one more step into the average. One dispatch. */
  update(): void {
    this.#steps++;
    const decay = Math.min(this.decay, (1 + this.#steps) / (10 + this.#steps));
    blend(this.#average, this.store.values, 1 - decay);
  }

  /** Exchange weights and average: once to measure or save the average, once more to go on training. */
  swap(): void {
    const { values } = this.store;
    using weights = Tensor.empty(values.gpu, values.shape, { name: "weights" });
    weights.copyFrom(values);
    values.copyFrom(this.#average);
    this.#average.copyFrom(weights);
  }

  /** Read the average back, to save it. */
  async state(): Promise<SavedState> {
    const data = await this.#average.read();
    const tensors = new Map([["average", { dtype: "F32" as const, shape: [data.length], data }]]);
    return { tensors, values: { steps: this.#steps } };
  }

  /** Go on from a saved average. UserError where it is of another size. */
  loadState(state: SavedState): void {
    const steps = stateNumber(state, "steps");
    this.#average.write(stateTensor(state, "average", "F32", this.#average.size));
    this.#steps = steps;
  }

  /** Let go of what is on the GPU. */
  dispose(): void {
    this.#average.dispose();
  }

  /** {@linkcode dispose}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
