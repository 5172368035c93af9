/** Modules: everything that learns. Their parameters are found in their fields. */
import type { Gpu } from "../kernels/runtime/gpu.ts";
import type { TensorData } from "../data/formats/tensor_data.ts";
import { Buffer, Parameter, ParameterStore } from "./parameters.ts";
import { type LoadReport, loadStateDict, stateDict } from "./state_dict.ts";

/** The parameters and modules in a field: by itself, in lists, and in maps. */
function* within(field: unknown): Generator<Parameter | Module, void, void> {
  if (field instanceof Parameter || field instanceof Module) yield field;
  else if (Array.isArray(field) || field instanceof Map) {
    for (const one of field.values()) yield* within(one);
  }
}

/**
 * A layer or a network: parameters, buffers and other modules are its fields, in the order of the state dict, alone or
 * in lists and maps. Private fields (`#x`) are not looked at.
 *
 * ```ts
 * import { RandomStream } from "../data/rng.ts";
 * import { Tape, type Variable } from "./autograd.ts";
 * import { Linear } from "./layers.ts";
 * import { openGpu } from "../kernels/runtime/gpu.ts";
 * import { Tensor } from "../kernels/runtime/tensor.ts";
 *
 * class TwoLayers extends Module {
 *   readonly first: Linear;
 *   readonly second: Linear;
 *   constructor(stream: RandomStream) {
 *     super();
 *     this.first = new Linear("first", 2, 8, stream);
 *     this.second = new Linear("second", 8, 1, stream);
 *   }
 *   forward(x: Tensor | Variable) {
 *     return this.second.forward(this.first.forward(x).relu());
 *   }
 * }
 *
 * using gpu = await openGpu();
 * using model = new TwoLayers(new RandomStream(1)).toGpu(gpu);
 * console.log(model.parameters.map(({ name }) => name)); // first.weight, first.bias, …
 * using x = Tensor.from(gpu, [1, 2, 3, 4], [2, 2]);
 * using _tape = new Tape(gpu);
 * console.log(model.forward(x).shape); // 2, 1
 * ```
 */
export abstract class Module {
  #store: ParameterStore | undefined;
  #training = true;

  /** The modules among its fields. */
  get children(): Module[] {
    return [...this.#fields()].filter((one) => one instanceof Module);
  }

  *#fields(): Generator<Parameter | Module, void, void> {
    for (const field of Object.values(this)) yield* within(field);
  }

  /** All parameters and buffers, each once. */
  #all(): Parameter[] {
    const found = new Set<Parameter>();
    for (const one of this.#fields()) {
      if (one instanceof Parameter) found.add(one);
      else for (const parameter of one.#all()) found.add(parameter);
    }
    return [...found];
  }

  /** What is saved: parameters, then buffers. */
  get #saved(): Parameter[] {
    return [...this.parameters, ...this.buffers];
  }

  /** What can be learnt, in the order of the fields. */
  get parameters(): Parameter[] {
    return this.#all().filter((one) => !(one instanceof Buffer));
  }

  /** What is saved and not learnt, as running statistics. */
  get buffers(): Buffer[] {
    return this.#all().filter((one) => one instanceof Buffer);
  }

  /** Whether it behaves as while it is trained: dropout drops. */
  get training(): boolean {
    return this.#training;
  }

  /** Have it and all modules in it behave as while they are trained, or not. */
  train(training = true): this {
    this.#training = training;
    for (const child of this.children) child.train(training);
    return this;
  }

  /** The reverse of {@linkcode train}. */
  eval(): this {
    return this.train(false);
  }

  /** Keep the parameters as they are, or learn them again. Before {@linkcode toGpu}: a ReferenceError afterwards. */
  freeze(frozen = true): this {
    for (const parameter of this.parameters) parameter.frozen = frozen;
    return this;
  }

  /** Put parameters and buffers on a GPU. Those that are frozen cost no gradient work. */
  toGpu(gpu: Gpu): this {
    this.expectNoGpu();
    this.#store = new ParameterStore(gpu, this.#saved);
    return this;
  }

  /** ReferenceError once it is on a GPU. */
  protected expectNoGpu(): void {
    if (this.#store !== undefined) throw new ReferenceError("The network is on a GPU already");
  }

  /** Parameters and buffers on the GPU, as an optimizer takes them. ReferenceError before {@linkcode toGpu}. */
  get store(): ParameterStore {
    if (this.#store === undefined) throw new ReferenceError("The network is not on a GPU yet");
    return this.#store;
  }

  /** Parameters and buffers read from the GPU, under PyTorch's names and in its layout. */
  stateDict(): Promise<Map<string, TensorData>> {
    return stateDict(this.#saved);
  }

  /** Errors as of `loadStateDict`; best before {@linkcode toGpu}: then no other values are drawn. */
  loadStateDict(
    dict: ReadonlyMap<string, TensorData>,
    options: { strict?: boolean; dryRun?: boolean } = {},
  ): LoadReport {
    return loadStateDict(this.#saved, dict, options);
  }

  /** Let go of what is on the GPU. */
  dispose(): void {
    this.#store?.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}
