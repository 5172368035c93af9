/** Parameters: what is learned. All trainable ones of a model lie in one buffer, so that an optimizer's step is one dispatch. */
import type { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { sizeOf, Tensor } from "../../kernels/runtime/tensor.ts";
import { type Tape, type TouchedRows, Variable } from "../tape/autograd.ts";

/**
 * How a parameter appears in a PyTorch state dict, where its layout differs from ours: `encode` gives
 * the values for each slot, `decode` the reverse.
 */
export interface StateLayout {
  /**
   * The tensors of the state dict: PyTorch's shapes, and PyTorch's keys within the module that has the parameter, the
   * name of the parameter's field by default.
   */
  slots: readonly { key?: string; shape: readonly number[] }[];
  /** Our values as those of each slot. */
  encode(values: Float32Array<ArrayBuffer>): Float32Array<ArrayBuffer>[];
  /** The values of each slot as ours. */
  decode(parts: Float32Array<ArrayBuffer>[]): Float32Array<ArrayBuffer>;
}

type Values = Float32Array<ArrayBuffer>;

/** The values to start from, or what draws them from a stream of the parameter's own. */
export type Initial = Values | ((stream: RandomStream) => Values);

/** A tensor that is learned, or kept fixed with `frozen`. In a field of a module it has the field's name. */
export class Parameter {
  /** How it appears in a state dict. */
  readonly layout: StateLayout;
  /** Its name in the whole model, as PyTorch's `score.weight`, once that is on a GPU or drawn. */
  name: string;
  #initial: Initial;
  #stream: RandomStream | undefined;
  #frozen = false;
  #sparse = false;
  #variable: ParameterVariable | undefined;

  /** The values to start from, or what draws them, which may wait until they are asked for. */
  constructor(
    /** Our shape. */
    readonly shape: readonly number[],
    initial: Initial,
    { name = "parameter", layout }: { name?: string; layout?: StateLayout } = {},
  ) {
    this.name = name;
    this.#initial = typeof initial === "function" ? initial : this.#fitting(initial);
    this.layout = layout ?? {
      slots: [{ shape }],
      encode: (values) => [values],
      decode: ([values]) => values,
    };
  }

  /** Its numbers. */
  get size(): number {
    return sizeOf(this.shape);
  }

  /** Take a name and a stream to draw from, when the values to start from are first asked for. */
  start(name: string, stream: RandomStream): void {
    this.name = name;
    this.#stream = stream;
  }

  /**
   * The values to start from. TypeError where they are not as many as the shape has room for; ReferenceError where
   * they are to be drawn, and no stream was given by `toGpu` or `initialize` of its module.
   */
  get initial(): Float32Array<ArrayBuffer> {
    if (typeof this.#initial === "function") {
      if (this.#stream === undefined) {
        throw new ReferenceError(
          `The parameter "${this.name}" has no values yet: they are drawn by toGpu or initialize of its module`,
        );
      }
      this.#initial = this.#fitting(this.#initial(this.#stream.split(this.name)));
    }
    return this.#initial;
  }

  #fitting(values: Values): Values {
    if (values.length === this.size) return values;
    throw new TypeError(
      `The parameter "${this.name}" of shape [${
        this.shape.join(", ")
      }] cannot start from ${values.length} numbers`,
    );
  }

  /** Whether it is in a {@linkcode ParameterStore} that was not disposed of. */
  get stored(): boolean {
    return this.#variable !== undefined && !this.#variable.tensor.disposed;
  }

  /** Give it other values: to start from, or once it is on the GPU there. TypeError for too few or too many. */
  write(values: Float32Array<ArrayBuffer>): void {
    if (this.stored) this.tensor.write(values);
    else this.#initial = this.#fitting(values);
  }

  /**
   * A frozen parameter costs no gradient work. Set it before the {@linkcode ParameterStore} is made: a
   * ReferenceError afterwards.
   */
  get frozen(): boolean {
    return this.#frozen;
  }

  set frozen(frozen: boolean) {
    this.#mustBeFree("freeze it");
    this.#frozen = frozen;
  }

  /**
   * The gradient of a sparse table `[V, D]` is that of the rows looked up, once a step, and the optimizer
   * moves only these. For large tables, of which a step sees little. Set it before the
   * {@linkcode ParameterStore} is made: a ReferenceError afterwards; a TypeError for other shapes.
   */
  get sparse(): boolean {
    return this.#sparse;
  }

  set sparse(sparse: boolean) {
    this.#mustBeFree("make it sparse");
    if (sparse && this.shape.length !== 2) {
      throw new TypeError(
        `Only a table [V, D] can be sparse, and "${this.name}" has the shape [${
          this.shape.join(", ")
        }]`,
      );
    }
    this.#sparse = sparse;
  }

  #mustBeFree(wish: string): void {
    if (!this.stored) return;
    throw new ReferenceError(
      `The parameter "${this.name}" is in a ParameterStore already: ${wish} before`,
    );
  }

  /** The parameter on the GPU, to compute with. ReferenceError before that. */
  get variable(): ParameterVariable {
    if (this.#variable === undefined) {
      throw new ReferenceError(`The parameter "${this.name}" is not in a ParameterStore yet`);
    }
    return this.#variable;
  }

  /** Its numbers on the GPU. ReferenceError before that. */
  get tensor(): Tensor {
    return this.variable.tensor;
  }

  /**
   * Called by the store.
   *
   * @internal
   */
  bind(tensor: Tensor, gradient: Tensor | undefined): void {
    this.#variable = new ParameterVariable(tensor, gradient, this.#sparse);
  }
}

/** What is saved with the parameters and moved by the forward pass alone, as running statistics. */
export class Buffer extends Parameter {
  /** As that of a parameter. */
  constructor(
    shape: readonly number[],
    initial: Initial,
    options: { name?: string; layout?: StateLayout } = {},
  ) {
    super(shape, initial, options);
    this.frozen = true;
  }
}

/** A parameter on a tape. Its gradient lives beyond the tape, in the store's gradient buffer. */
export class ParameterVariable extends Variable {
  /**
   * Of a sparse table: the rows that the last backward pass reached.
   *
   * @internal
   */
  rows: TouchedRows | undefined;

  /** @internal */
  constructor(tensor: Tensor, readonly slot: Tensor | undefined, readonly sparse = false) {
    super(tensor, slot !== undefined);
  }

  /** @internal */
  override touchRows(rows: TouchedRows): boolean {
    if (!this.sparse) return false;
    if (this.rows !== undefined) {
      throw new TypeError(
        `The sparse table "${this.tensor.name}" is looked up twice in one step: look all rows up together`,
      );
    }
    this.rows = rows;
    return true;
  }

  /** @internal */
  override get ownsGradient(): boolean {
    return true;
  }

  /** @internal */
  override gradientTarget(_tape: Tape): Tensor {
    if (this.rows === undefined) this.checkSum();
    return this.slot!;
  }

  /** @internal */
  override checkSum(): void {
    if (!this.sparse) return;
    throw new TypeError(
      `The sparse table "${this.tensor.name}" is learned by looking up rows only: make it dense for other operations`,
    );
  }
}

/** Storage bindings start at multiples of 256 bytes. */
const ALIGNMENT = 64;

/** A sparse table in the flat buffers of a store. */
export interface SparseTable {
  parameter: Parameter;
  /** Its first number in the flat buffers. */
  offset: number;
}

/** The parameters of a model on the GPU: values and gradients of all trainable ones side by side. */
export class ParameterStore {
  /** All trainable values; each parameter is a view. The sparse tables come last. */
  readonly values: Tensor;
  /** All gradients, in the same places. */
  readonly gradients: Tensor;
  /** The parameters that are learned. */
  readonly trainable: readonly Parameter[];
  /**
   * The sparse tables.
   *
   * @internal
   */
  readonly tables: readonly SparseTable[];
  /**
   * Numbers before the first sparse table.
   *
   * @internal
   */
  readonly denseSize: number;
  readonly #owned: DisposableStack;

  /**
   * Put parameters on the GPU, with the values that they start from.
   *
   * Errors: TypeError for two parameters of one name, and for one that another store holds, whose values and
   * optimizer would be cut off: dispose of that store first.
   */
  constructor(readonly gpu: Gpu, readonly parameters: readonly Parameter[]) {
    const names = new Set<string>();
    // Drawn and checked before anything is allocated.
    for (const { name, stored, initial: _ } of parameters) {
      if (names.has(name)) throw new TypeError(`Two parameters have the name "${name}"`);
      names.add(name);
      if (!stored) continue;
      throw new TypeError(
        `The parameter "${name}" is in a ParameterStore already, whose optimizer moves it: go on with that ` +
          `store, or dispose of it first`,
      );
    }
    const learned = parameters.filter((p) => !p.frozen);
    this.trainable = [...learned.filter((p) => !p.sparse), ...learned.filter((p) => p.sparse)];
    const padded = (p: Parameter) => Math.ceil(p.size / ALIGNMENT) * ALIGNMENT;
    const total = this.trainable.reduce((sum, p) => sum + padded(p), 0);
    using owned = new DisposableStack(); // until all went well
    this.values = owned.use(Tensor.zeros(gpu, [total], { name: "parameters" }));
    this.gradients = owned.use(Tensor.zeros(gpu, [total], { name: "gradients" }));
    gpu.flush(); // the clears, before the first values are written
    for (const parameter of parameters.filter((p) => p.frozen)) {
      const { name, shape, initial } = parameter;
      const tensor = owned.use(Tensor.from(gpu, initial, shape, { name }));
      parameter.bind(tensor, undefined);
    }
    const tables: SparseTable[] = [];
    let offset = 0;
    for (const parameter of this.trainable) {
      const { name, shape } = parameter;
      const tensor = owned.use(this.values.view(shape, offset, name));
      const gradient = owned.use(this.gradients.view(shape, offset, `gradient of ${name}`));
      tensor.write(parameter.initial);
      parameter.bind(tensor, gradient);
      if (parameter.sparse) tables.push({ parameter, offset });
      offset += padded(parameter);
    }
    this.tables = tables;
    this.denseSize = tables[0]?.offset ?? total;
    this.#owned = owned.move();
  }

  /** Numbers that are learned, padding not counted. */
  get count(): number {
    return this.trainable.reduce((sum, p) => sum + p.size, 0);
  }

  /** Forget all gradients: the next backward pass starts anew. */
  zeroGradients(): void {
    for (const { variable } of this.trainable) variable.grad = variable.rows = undefined;
  }

  /**
   * Make the gradients of parameters that the last backward passes did not reach zero.
   *
   * @internal
   */
  clearUnreached(): void {
    for (const { variable, sparse } of this.trainable) {
      if (!sparse && variable.grad === undefined) variable.slot!.clear();
    }
  }

  /** Let go of all parameters on the GPU. */
  dispose(): void {
    this.#owned.dispose();
  }

  /** {@linkcode dispose}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}
