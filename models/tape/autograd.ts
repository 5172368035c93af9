/**
 * Reverse-mode differentiation by a define-by-run tape.
 *
 * Each operation computes its result at once and, when one of its inputs needs a gradient, notes on the
 * tape how to pass the gradient of its result back. `backward` runs these notes from the last to the
 * first. The tape owns every tensor made on the way and lets go of all of them at its end.
 *
 * @module
 */
import { accumulate, add } from "../../kernels/elementwise.ts";
import type { GradientTargets } from "../../kernels/gradients.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { closeTape, openTape, Variable } from "./variable.ts";

export { constant, tapeOf, type TouchedRows, Variable } from "./variable.ts";

/**
 * One forward and backward pass. Operations on parameters and constants alone go to the tape that was opened
 * last; all others to that of their inputs.
 *
 * ```ts
 * import { openGpu } from "../../kernels/runtime/gpu.ts";
 * import { Tensor } from "../../kernels/runtime/tensor.ts";
 *
 * const gpu = await openGpu();
 * using data = Tensor.from(gpu, [0, 1], [2]);
 * using tape = new Tape(gpu);
 * const x = tape.variable(data);
 * const loss = x.tanh().sum();
 * loss.backward();
 * console.log(await x.grad!.read()); // 1, 1 - tanh(1)^2
 * ```
 */
export class Tape {
  /** Whether it records what `backward` needs. */
  readonly training: boolean;
  readonly #notes: (() => void)[] = [];
  readonly #kept: Disposable[] = [];
  /** Variables whose gradient is another variable's too, and must not be added to in place. */
  readonly #shared = new Set<Variable>();
  readonly #one: Tensor | undefined;
  /** Gradients that are the number 1: where `backward` starts, and where a sum hands it on. */
  readonly #ones = new Set<Tensor>();
  #finished = false;

  /** `training` records what `backward` needs (the default); false for evaluation and sampling. */
  constructor(readonly gpu: Gpu, { training = true }: { training?: boolean } = {}) {
    this.training = training;
    // Uploaded now, before anything is recorded: in the middle of a step it would cost a submit.
    if (this.training) this.#one = this.keep(Tensor.from(gpu, [1], [], { name: "one" }));
    openTape(this);
  }

  /** Let the tape own something: it is disposed of with the tape. */
  keep<T extends Disposable>(resource: T): T {
    this.#kept.push(resource);
    return resource;
  }

  /** An input whose gradient is wanted, for instance the pixels of a picture. The tensor stays the caller's. */
  variable(tensor: Tensor): Variable {
    return new Variable(tensor, true, this);
  }

  /**
   * Put the result of an operation on the tape. `backward` gets the gradient of the result and passes
   * gradients on to the parents, with {@linkcode gradients} or {@linkcode pass}. The tape owns `output`.
   */
  record(
    output: Tensor,
    parents: readonly Variable[],
    backward: (dy: Tensor) => void,
  ): Variable {
    this.keep(output);
    const wanted = this.training && parents.some((parent) => parent.requiresGrad);
    const variable = new Variable(output, wanted, this);
    if (wanted) {
      this.#notes.push(() => {
        if (variable.grad !== undefined) backward(variable.grad);
      });
    }
    return variable;
  }

  /**
   * Compute gradients of several variables in one go. `write` gets a tensor to fill for each variable,
   * or `false` where none is needed. A variable that has a gradient already gets the sum.
   */
  gradients<K extends string>(
    variables: Record<K, Variable>,
    write: (targets: GradientTargets<Record<K, Tensor>>) => void,
  ): void {
    const targets: GradientTargets<Record<K, Tensor>> = {};
    const sums: (() => void)[] = [];
    for (const [name, variable] of Object.entries(variables) as [K, Variable][]) {
      if (!variable.requiresGrad) {
        targets[name] = false;
      } else if (variable.grad === undefined) {
        targets[name] = variable.grad = variable.gradientTarget(this);
      } else {
        variable.checkSum();
        const more = Tensor.empty(this.gpu, variable.shape, { name: "more gradient" });
        targets[name] = more;
        sums.push(() => this.#addGradient(variable, more));
      }
    }
    write(targets);
    for (const sum of sums) sum();
  }

  /** The same for one variable. */
  gradient(variable: Variable, write: (target: Tensor) => void): void {
    this.gradients({ only: variable }, ({ only }) => {
      if (only) write(only);
    });
  }

  /** Hand a gradient on unchanged, under the parent's shape, without a copy where possible. */
  pass(variable: Variable, dy: Tensor): void {
    if (!variable.requiresGrad) return;
    const same = dy.view(variable.shape);
    if (variable.grad === undefined && !variable.ownsGradient) {
      variable.grad = this.keep(same);
      this.#shared.add(variable);
      if (this.isSeed(dy)) this.#ones.add(same);
    } else if (variable.grad === undefined) {
      variable.grad = variable.gradientTarget(this);
      variable.grad.copyFrom(same);
      same.dispose();
    } else {
      this.#addGradient(variable, same);
    }
  }

  #addGradient(variable: Variable, more: Tensor): void {
    if (this.#shared.delete(variable)) {
      variable.grad = this.keep(add(variable.grad!, more));
    } else {
      accumulate(variable.grad!, more);
    }
    more.dispose();
  }

  /** True for the gradient that `backward` started from, the number 1, and where a sum of losses hands it on. */
  isSeed(dy: Tensor): boolean {
    return this.#ones.has(dy);
  }

  /**
   * Compute the gradients of a scalar. A tape can be run backward once.
   *
   * Errors: TypeError when `loss` is not one number or needs no gradient; ReferenceError when the tape
   * was run backward or disposed of before.
   */
  backward(loss: Variable): void {
    if (this.#finished) {
      throw new ReferenceError(
        "The tape was run backward or disposed of, and holds no notes any more",
      );
    }
    if (loss.tape !== this) {
      throw new TypeError(
        `"${loss.tensor.name}" is not of this tape, and cannot be run backward on it`,
      );
    }
    if (loss.tensor.size !== 1) {
      throw new TypeError(
        `A backward pass starts from one number, and "${loss.tensor.name}" has the shape [${
          loss.shape.join(", ")
        }]`,
      );
    }
    if (!loss.requiresGrad || this.#one === undefined) {
      throw new TypeError(
        `"${loss.tensor.name}" depends on nothing that needs a gradient, or its tape is not training`,
      );
    }
    this.#finished = true;
    loss.grad = this.keep(this.#one.view(loss.shape));
    this.#ones.add(loss.grad);
    for (const note of this.#notes.splice(0).reverse()) note();
  }

  /** Let go of everything the tape owns. Gradients of parameters live on. */
  dispose(): void {
    this.#finished = true;
    this.#notes.length = 0;
    closeTape(this);
    for (const resource of this.#kept.splice(0).reverse()) resource[Symbol.dispose]();
  }

  /** {@linkcode dispose}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
