/** Optimizers, in the order of their complexity: SGD, RMSprop, Adam, AdamW. */
import {
  adamRowsStep,
  adamStep,
  rmspropStep,
  sgdStep,
  type StepSizes,
} from "../../kernels/optimizer_steps.ts";
import { sum } from "../../kernels/reduce/reduce.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import type { TouchedRows } from "../tape/autograd.ts";
import { type SavedState, type Stateful, stateNumber, stateTensor } from "./checkpoint.ts";
import type { ParameterStore, SparseTable } from "../layers/parameters.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Options that every optimizer has. */
export interface OptimizerOptions {
  /** Learning rate at first. */
  lr: number;
  /** The learning rate is multiplied by this after each step. 1 by default. */
  decayPerStep?: number;
  /** The learning rate is multiplied by this at each `endEpoch()`. 1 by default. */
  decayPerEpoch?: number;
  /** Largest L2 norm of the whole gradient, which is scaled down to it; no limit by default. */
  clipNorm?: number | undefined;
  /** L2 penalty: this times the parameter is added to its gradient. 0 by default. */
  weightDecay?: number;
}

function check(name: string, value: number, allowed: string, ok: boolean): void {
  if (!ok) throw new RangeError(`The option ${name} must be ${allowed}: it is ${value}`);
}

/** The same for a number of a saved state. */
function checkSaved(name: string, value: number, allowed: string, ok: boolean): void {
  if (!ok) throw new UserError(`Its ${name} must be ${allowed}: it is ${value}`);
}

/** A submit costs as much as a few dispatches: one with fewer than this waits for the next step's. */
const WORTH_A_SUBMIT = 32;

/** Moves the parameters of a store against their gradients. */
export abstract class Optimizer implements Stateful {
  /** The learning rate of the next step. */
  lr: number;
  /** Steps taken. */
  steps = 0;
  readonly #options: OptimizerOptions;
  readonly #squaredNorm: Tensor;
  /** Values and gradients without the sparse tables. */
  readonly #dense: { parameters: Tensor; gradient: Tensor };
  /** The moment buffers, each of the shape of the store's values. */
  protected readonly moments: Tensor[];

  /** `moments` names the moment buffers. RangeError for an option that cannot be. */
  constructor(readonly store: ParameterStore, options: OptimizerOptions, moments: string[]) {
    const { lr, decayPerStep = 1, decayPerEpoch = 1, clipNorm = 1, weightDecay = 0 } = options;
    check("lr", lr, "a number above 0", lr > 0 && lr < Infinity);
    check(
      "decayPerStep",
      decayPerStep,
      "above 0, at most 1",
      decayPerStep > 0 && decayPerStep <= 1,
    );
    check(
      "decayPerEpoch",
      decayPerEpoch,
      "above 0, at most 1",
      decayPerEpoch > 0 && decayPerEpoch <= 1,
    );
    check("clipNorm", clipNorm, "a number above 0", clipNorm > 0 && clipNorm < Infinity);
    check(
      "weightDecay",
      weightDecay,
      "a number from 0",
      weightDecay >= 0 && weightDecay < Infinity,
    );
    const [table] = store.tables;
    if (table !== undefined) {
      const { name } = table.parameter;
      if (this.updateRows === undefined) {
        throw new TypeError(`${new.target.name} cannot move the sparse table "${name}": Adam can`);
      }
      if (options.clipNorm !== undefined || weightDecay !== 0) {
        throw new TypeError(
          `The sparse table "${name}" allows neither clipNorm nor weightDecay: make it dense for them`,
        );
      }
    }
    this.lr = lr;
    this.#options = options;
    this.#dense = {
      parameters: store.values.view([store.denseSize]),
      gradient: store.gradients.view([store.denseSize]),
    };
    this.#squaredNorm = Tensor.zeros(store.gpu, [1], { name: "squared norm of the gradient" });
    const shape = store.values.shape;
    this.moments = moments.map((name) => Tensor.zeros(store.gpu, shape, { name }));
  }

  /** Record the step: move parameters against their gradient. */
  protected abstract update(
    tensors: { parameters: Tensor; gradient: Tensor; squaredNorm: Tensor },
    sizes: StepSizes,
  ): void;

  /**
   * Move the touched rows of a sparse table. Only some optimizers can.
   *
   * @internal
   */
  protected updateRows?(table: SparseTable, rows: TouchedRows): void;

  /**
   * Move the parameters, forget the gradients, and submit what was recorded; small steps share a submit. A
   * parameter that no loss reached counts as having a zero gradient; rows of a sparse table that no
   * loss reached stay.
   */
  step(): void {
    const { clipNorm, weightDecay = 0, decayPerStep = 1 } = this.#options;
    this.store.clearUnreached();
    const { gradient } = this.#dense;
    if (clipNorm !== undefined) sum(gradient, { square: true, out: this.#squaredNorm });
    this.steps++;
    this.update(
      { ...this.#dense, squaredNorm: this.#squaredNorm },
      { lr: this.lr, weightDecay, maxNorm: clipNorm ?? 0 },
    );
    for (const table of this.store.tables) {
      const { rows } = table.parameter.variable;
      if (rows !== undefined) this.updateRows!(table, rows);
    }
    this.lr *= decayPerStep;
    this.store.zeroGradients();
    const { gpu } = this.store;
    if (gpu.recorder.pending >= WORTH_A_SUBMIT) gpu.flush();
  }

  /** Call it after each pass over the data: the learning rate decays. */
  endEpoch(): void {
    this.lr *= this.#options.decayPerEpoch ?? 1;
  }

  /** Begin anew: no moments, and no steps. */
  reset(): void {
    for (const moment of this.moments) moment.clear();
    this.steps = 0;
  }

  /** Read the state back, to save it. */
  async state(): Promise<SavedState> {
    const moments = await Promise.all(this.moments.map((moment) => moment.read()));
    const tensors = moments.map((data, i): [string, TensorData] => [
      `moment.${i}`,
      { dtype: "F32", shape: [data.length], data },
    ]);
    return { tensors: new Map(tensors), values: { steps: this.steps, lr: this.lr } };
  }

  /**
   * Go on from a saved state. UserError when its buffers are those of another model or optimizer, or a count of
   * steps, a learning rate or a moment cannot be.
   */
  loadState(state: SavedState): void {
    const { size } = this.store.values;
    const [steps, lr] = ["steps", "lr"].map((key) => stateNumber(state, key));
    const moments = [...state.tensors?.keys() ?? []].map((key) => stateTensor(state, key, "F32"));
    if (moments.length !== this.moments.length || moments.some((m) => m.length !== size)) {
      throw new UserError(
        `The saved optimizer has moment buffers of [${
          moments.map((m) => m.length).join(", ")
        }] numbers, and this one has ${this.moments.length} of ${size}`,
      );
    }
    checkSaved("steps", steps, "a whole number from 0", Number.isInteger(steps) && steps >= 0);
    checkSaved("lr", lr, "a number above 0", lr > 0 && lr < Infinity);
    for (const moment of moments) {
      const bad = moment.findIndex((value) => !Number.isFinite(value));
      checkSaved(`moment ${bad}`, moment[bad], "a finite number", bad === -1);
    }
    this.moments.forEach((moment, i) => moment.write(moments[i]));
    this.steps = steps;
    this.lr = lr;
  }

  /** Let go of the moments. */
  dispose(): void {
    this.#squaredNorm.dispose();
    for (const view of Object.values(this.#dense)) view.dispose();
    for (const moment of this.moments) moment.dispose();
  }

  /** {@linkcode dispose}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/**
 * Stochastic gradient descent with momentum: `v = momentum v + g; p -= lr v`, or with `nesterov`
 * `p -= lr (g + momentum v)`.
 */
export class Sgd extends Optimizer {
  readonly #momentum: number;
  readonly #nesterov: boolean;

  /** No momentum by default. */
  constructor(
    store: ParameterStore,
    options: OptimizerOptions & { momentum?: number; nesterov?: boolean },
  ) {
    const { momentum = 0, nesterov = false } = options;
    check("momentum", momentum, "from 0 to less than 1", momentum >= 0 && momentum < 1);
    check("momentum", momentum, "above 0 for nesterov", momentum > 0 || !nesterov);
    super(store, options, ["velocity"]);
    this.#momentum = momentum;
    this.#nesterov = nesterov;
  }

  /** One dispatch. */
  protected override update(
    tensors: { parameters: Tensor; gradient: Tensor; squaredNorm: Tensor },
    sizes: StepSizes,
  ): void {
    const options = { ...sizes, momentum: this.#momentum, nesterov: this.#nesterov };
    sgdStep(tensors, this.moments[0], options);
  }
}

/** RMSprop (Hinton 2012): `v = α v + (1-α) g²; p -= lr g / (√v + ε)`. */
export class RmsProp extends Optimizer {
  readonly #alpha: number;
  readonly #epsilon: number;

  /** By default α is 0.99 and ε 1e-8. */
  constructor(
    store: ParameterStore,
    options: OptimizerOptions & { alpha?: number; epsilon?: number },
  ) {
    const { alpha = 0.99, epsilon = 1e-8 } = options;
    check("alpha", alpha, "from 0 to less than 1", alpha >= 0 && alpha < 1);
    check("epsilon", epsilon, "a number above 0", epsilon > 0 && epsilon < Infinity);
    super(store, options, ["mean square"]);
    this.#alpha = alpha;
    this.#epsilon = epsilon;
  }

  /** One dispatch. */
  protected override update(
    tensors: { parameters: Tensor; gradient: Tensor; squaredNorm: Tensor },
    sizes: StepSizes,
  ): void {
    rmspropStep(tensors, this.moments[0], { ...sizes, alpha: this.#alpha, epsilon: this.#epsilon });
  }
}

/** Adam (Kingma and Ba 2015), with bias correction, as PyTorch has it. */
export class Adam extends Optimizer {
  /** Weight decay is no part of the gradient, see {@linkcode AdamW}. */
  protected readonly decoupled: boolean = false;
  readonly #beta1: number;
  readonly #beta2: number;
  readonly #epsilon: number;

  /** By default β₁ is 0.9, β₂ 0.999 and ε 1e-8. */
  constructor(
    store: ParameterStore,
    options: OptimizerOptions & { beta1?: number; beta2?: number; epsilon?: number },
  ) {
    const { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8 } = options;
    check("beta1", beta1, "from 0 to less than 1", beta1 >= 0 && beta1 < 1);
    check("beta2", beta2, "from 0 to less than 1", beta2 >= 0 && beta2 < 1);
    check("epsilon", epsilon, "a number above 0", epsilon > 0 && epsilon < Infinity);
    super(store, options, ["first moment", "second moment"]);
    [this.#beta1, this.#beta2, this.#epsilon] = [beta1, beta2, epsilon];
  }

  /** One dispatch. */
  protected override update(
    tensors: { parameters: Tensor; gradient: Tensor; squaredNorm: Tensor },
    sizes: StepSizes,
  ): void {
    const [mean, square] = this.moments;
    const options = { ...sizes, ...this.#sizes, decoupled: this.decoupled };
    adamStep(tensors, { mean, square }, options);
  }

  /**
   * As PyTorch's SparseAdam, ε apart, which is added where dense Adam adds it: other rows' moments rest.
   *
   * @internal
   */
  protected override updateRows({ parameter, offset }: SparseTable, rows: TouchedRows): void {
    const { tensor, slot } = parameter.variable;
    const [mean, square] = this.moments.map((moment) => moment.view(parameter.shape, offset));
    const table = { parameters: tensor, gradient: slot!, mean, square };
    adamRowsStep(table, rows, { lr: this.lr, ...this.#sizes });
    mean.dispose();
    square.dispose();
  }

  get #sizes() {
    return {
      beta1: this.#beta1,
      beta2: this.#beta2,
      epsilon: this.#epsilon,
      t: this.steps,
    };
  }
}

/**
 * Adam with decoupled weight decay (Loshchilov and Hutter 2019), as PyTorch has it: each step first takes
 * `lr · weightDecay` of a parameter away. 0.01 by default.
 */
export class AdamW extends Adam {
  /** The decay is no part of the gradient. */
  protected override readonly decoupled = true;

  /** Adam's options; `weightDecay` is 0.01 by default. */
  constructor(
    store: ParameterStore,
    options: OptimizerOptions & { beta1?: number; beta2?: number; epsilon?: number },
  ) {
    super(store, { weightDecay: 0.01, ...options });
  }
}
