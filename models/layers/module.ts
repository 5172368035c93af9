/** Modules: everything that learns. Their parameters are found in their fields. */
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { Buffer, Parameter, ParameterStore } from "./parameters.ts";
import { type LoadReport, loadStateDict, type SavedParameter, stateDict } from "./state_dict.ts";

/** What a module finds in its fields. */
interface Found {
  /** Its place, as PyTorch names it; of a parameter the key of each of its slots. */
  names: string[];
  item: Parameter | Module;
}

/** PyTorch's name for a field: `runningMean` is `running_mean`. */
const snake = (field: string) => field.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);

/** The parameters and modules in a field: by itself, in lists, and in maps. */
function* within(name: string, field: unknown): Generator<[string, Parameter | Module]> {
  if (field instanceof Parameter || field instanceof Module) yield [name, field];
  else if (Array.isArray(field) || field instanceof Map) {
    for (const [key, one] of field.entries()) yield* within(`${name}.${key}`, one);
  }
}

/**
 * A layer or a network: parameters, buffers and other modules are its fields, in the order of the state dict, alone or
 * in lists and maps, and have the fields' names. Private fields (`#x`) are not looked at.
 *
 * ```ts
 * import { Tape, type Variable } from "../tape/autograd.ts";
 * import { Linear } from "./layers.ts";
 * import { openGpu } from "../../kernels/runtime/gpu.ts";
 * import { Tensor } from "../../kernels/runtime/tensor.ts";
 *
 * class TwoLayers extends Module {
 *   readonly first = new Linear(2, 8);
 *   readonly second = new Linear(8, 1);
 *
 *   forward(x: Tensor | Variable) {
 *     return this.second.forward(this.first.forward(x).relu());
 *   }
 * }
 *
 * using gpu = await openGpu();
 * using model = new TwoLayers().toGpu(gpu);
 * console.log(model.parameters.map(({ name }) => name)); // first.weight, first.bias, …
 * using x = Tensor.from(gpu, [1, 2, 3, 4], [2, 2]);
 * using _tape = new Tape(gpu);
 * console.log(model.forward(x).shape); // 2, 1
 * ```
 */
export abstract class Module {
  #store: ParameterStore | undefined;
  #training = true;

  /** Another name than that of the fields for something within: the identity by default. */
  protected nameOf(path: string): string {
    return path;
  }

  /** Called of each module with a stream of its own, before the first values are drawn. */
  protected start(_stream: RandomStream): void {}

  *#found(): Generator<Found, void, void> {
    for (const [field, value] of Object.entries(this)) {
      for (const [path, item] of within(snake(field), value)) {
        const names = item instanceof Module
          ? [path]
          : item.layout.slots.map(({ key }) => key ?? path);
        yield { names: names.map((name) => this.nameOf(name)), item };
        if (item instanceof Parameter) continue;
        for (const { names, item: inner } of item.#found()) {
          yield { names: names.map((name) => this.nameOf(`${path}.${name}`)), item: inner };
        }
      }
    }
  }

  /** The modules in it, those within others too. */
  get modules(): Module[] {
    return [...this.#found()].map(({ item }) => item).filter((item) => item instanceof Module);
  }

  /**
   * What is saved, each once: parameters, then buffers, with their keys in the state dict.
   *
   * @internal
   */
  get saved(): SavedParameter[] {
    const all = new Map<Parameter, SavedParameter>();
    for (const { names, item } of this.#found()) {
      if (item instanceof Parameter && !all.has(item)) {
        all.set(item, { keys: names, parameter: item });
      }
    }
    const [parameters, buffers] = [[], []] as SavedParameter[][];
    for (const one of all.values()) {
      (one.parameter instanceof Buffer ? buffers : parameters).push(one);
    }
    return [...parameters, ...buffers];
  }

  /** What can be learned, in the order of the fields. */
  get parameters(): Parameter[] {
    return this.saved.map(({ parameter }) => parameter).filter((one) => !(one instanceof Buffer));
  }

  /** What is saved and not learned, as running statistics. */
  get buffers(): Buffer[] {
    return this.saved.map(({ parameter }) => parameter).filter((one) => one instanceof Buffer);
  }

  /** Whether it behaves as while it is trained: dropout drops. */
  get training(): boolean {
    return this.#training;
  }

  /** Have it and all modules in it behave as while they are trained, or not. */
  train(training = true): this {
    for (const module of [this, ...this.modules]) module.#training = training;
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

  /**
   * Name the parameters, and let them and the dropouts draw from a seed, or from a stream: each by its name, whatever
   * else there is. Values that were loaded before stay.
   */
  initialize(seed: number | RandomStream = 0): this {
    const stream = typeof seed === "number" ? new RandomStream(seed) : seed;
    for (const { keys: [name], parameter } of this.saved) parameter.start(name, stream);
    for (const { names: [name], item } of this.#found()) {
      if (item instanceof Module) item.start(stream.split(name));
    }
    return this;
  }

  /** {@linkcode initialize}, and put parameters and buffers on a GPU. Those that are frozen cost no gradient work. */
  toGpu(gpu: Gpu, seed: number | RandomStream = 0): this {
    this.expectNoGpu();
    this.initialize(seed);
    this.#store = new ParameterStore(gpu, this.saved.map(({ parameter }) => parameter));
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

  /** Parameters and buffers under PyTorch's names and in its layout, read from the GPU where they are on one. */
  stateDict(): Promise<Map<string, TensorData>> {
    return stateDict(this.saved);
  }

  /** Errors as of `loadStateDict`; best before {@linkcode toGpu}: then no other values are drawn. */
  loadStateDict(
    dict: ReadonlyMap<string, TensorData>,
    options: { strict?: boolean; dryRun?: boolean } = {},
  ): LoadReport {
    return loadStateDict(this.saved, dict, options);
  }

  /** Let go of what is on the GPU. */
  dispose(): void {
    this.#store?.dispose();
  }

  /** {@linkcode dispose}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
