/**
 * Layers: parameters with a forward pass. Names and first values are PyTorch's, and {@linkcode Parameter.layout}
 * turns our layout into PyTorch's where the two differ.
 */
import type { RandomStream } from "../../data/rng.ts";
import { type Indices, uploadIndices } from "../../kernels/embedding/embedding.ts";
import { describeShape } from "../../kernels/runtime/shape.ts";
import type { Tensor } from "../../kernels/runtime/tensor.ts";
import { tapeOf, type Variable } from "../tape/autograd.ts";
import { asVariable } from "../tape/variable.ts";
import { type Initializer, normal, uniform } from "./init.ts";
import * as operations from "../tape/operations.ts";
import { Module } from "./module.ts";
import { Parameter, type StateLayout } from "./parameters.ts";

type Values = Float32Array<ArrayBuffer>;

/** The transpose of a `[rows, columns]` matrix. */
export function transpose(values: Values, rows: number, columns: number): Values {
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = values[r * columns + c];
  }
  return out;
}

/** PyTorch keeps a linear layer's weight as `[out, in]`; we keep `[in, out]`. */
export function transposedLayout(rows: number, columns: number, key?: string): StateLayout {
  return {
    slots: [{ shape: [columns, rows], ...key !== undefined && { key } }],
    encode: (values) => [transpose(values, rows, columns)],
    decode: ([part]) => transpose(part, columns, rows),
  };
}

/** The bias of a layer that reads so many elements: PyTorch's first values by default, or none. */
export function biasOf(
  bias: boolean | Initializer,
  inputs: number,
  outputs: number,
): Parameter | undefined {
  if (bias === false) return undefined;
  const draw = bias === true ? uniform(1 / Math.sqrt(inputs)) : bias;
  return new Parameter([outputs], (stream) => draw([outputs], stream));
}

/** Options of {@linkcode Linear}. */
export interface LinearOptions {
  /** First weights, of shape `[in, out]`; as PyTorch's by default: uniform within ±1/√in. */
  weight?: Initializer;
  /** Without a bias, or its first values; as the weights' by default. */
  bias?: boolean | Initializer;
}

/** `y = x W + b`. */
export class Linear extends Module {
  /** `[in, out]` */
  readonly weight: Parameter;
  /** `[out]` */
  readonly bias: Parameter | undefined;

  /** From so many numbers to so many. */
  constructor(
    readonly inputDim: number,
    readonly outputDim: number,
    { weight = uniform(1 / Math.sqrt(inputDim)), bias = true }: LinearOptions = {},
  ) {
    super();
    const shape = [inputDim, outputDim];
    const layout = transposedLayout(inputDim, outputDim);
    this.weight = new Parameter(shape, (stream) => weight(shape, stream), { layout });
    this.bias = biasOf(bias, inputDim, outputDim);
  }

  /** `x [..., in]` to `[..., out]`. */
  forward(x: Variable | Tensor): Variable {
    return operations.linear(asVariable(x), this.weight.variable, this.bias?.variable);
  }
}

/** A table of word vectors. */
export class Embedding extends Module {
  /** `[size, dim]` */
  readonly weight: Parameter;

  /** The first values are a standard normal distribution's by default, as PyTorch's. */
  constructor(readonly size: number, readonly dim: number, weight: Initializer = normal(1)) {
    super();
    this.weight = new Parameter([size, dim], (stream) => weight([size, dim], stream));
  }

  /** Indices `[M]` to vectors `[M, dim]`. RangeError for an index that is not in the table. */
  forward(indices: Indices | ArrayLike<number>): Variable {
    const { variable } = this.weight;
    if (!("length" in indices)) return operations.embedding(variable, indices);
    const tape = tapeOf(variable);
    return operations.embedding(
      variable,
      tape.keep(uploadIndices(tape.gpu, indices, this.size)),
    );
  }
}

/** Brings the last axis of each position to mean 0 and variance 1: PyTorch's `nn.LayerNorm`. */
export class LayerNorm extends Module {
  /** `[size]`, ones at first. */
  readonly weight: Parameter;
  /** `[size]`, zeros at first. */
  readonly bias: Parameter;

  /** For a last axis of so many elements; `eps`, 1e-5 by default, is added to the variance. */
  constructor(readonly size: number, readonly eps = 1e-5) {
    super();
    this.weight = new Parameter([size], new Float32Array(size).fill(1));
    this.bias = new Parameter([size], new Float32Array(size));
  }

  /** `x [..., size]` to the same shape. TypeError for another last axis. */
  forward(input: Variable | Tensor): Variable {
    const x = asVariable(input);
    if (x.shape.at(-1) !== this.size) {
      throw new TypeError(
        `A LayerNorm of ${this.size} elements reads [..., ${this.size}], and "${x.tensor.name}" has the shape ${
          describeShape(x.shape)
        }`,
      );
    }
    const [weight, bias] = [this.weight.variable, this.bias.variable];
    return operations.layerNorm(x, { weight, bias, eps: this.eps });
  }
}

/** One after the other: PyTorch's `nn.Sequential`, with functions as `(x) => x.relu()` between layers. */
export class Sequential extends Module {
  /** The layers and functions. */
  readonly parts:
    readonly ((Module & { forward(x: Variable): Variable }) | ((x: Variable) => Variable))[];

  /** Names of parameters are by place: `0.weight`. */
  constructor(
    ...parts: ((Module & { forward(x: Variable): Variable }) | ((x: Variable) => Variable))[]
  ) {
    super();
    this.parts = parts;
  }

  /** Parts have no name but their place. */
  protected override nameOf(path: string): string {
    return path.replace(/^parts\./, "");
  }

  /** Through all parts. */
  forward(x: Variable | Tensor): Variable {
    return this.parts.reduce<Variable>(
      (x, part) => part instanceof Module ? part.forward(x) : part(x),
      asVariable(x),
    );
  }
}

/** The kinds of recurrent cell. */
export type CellType = "rnn" | "lstm";

/** Gate blocks of a cell. */
const GATES = { rnn: 1, lstm: 4 } as const;

/**
 * Our gate blocks stand in the homework's order f, i, c̃, o; PyTorch's in the order i, f, g, o (its g is
 * our c̃). Entry j: the block of ours that is PyTorch's j-th.
 */
export const TORCH_BLOCKS = { rnn: [0], lstm: [1, 0, 2, 3] } as const;

/** Reorder the gate blocks of a `[rows, blocks · width]` matrix: block j of the result is `order[j]` of the input. */
function reorderBlocks(values: Values, rows: number, order: readonly number[]): Values {
  const columns = values.length / rows;
  const width = columns / order.length;
  const out = new Float32Array(values.length);
  for (let r = 0; r < rows; r++) {
    order.forEach((from, to) => {
      const start = r * columns + from * width;
      out.set(values.subarray(start, start + width), r * columns + to * width);
    });
  }
  return out;
}

/** The order that undoes `order`. */
function inverse(order: readonly number[]): number[] {
  return order.map((_, j) => order.indexOf(j));
}

/**
 * Turn LSTM weights `[rows, 4H]` from the homework's gate order f, i, c̃, o to PyTorch's i, f, g, o.
 *
 * ```ts
 * const ours = Float32Array.of(1, 2, 3, 4); // f, i, c̃, o of one unit
 * console.log(gatesToTorch(ours, 1)); // 2, 1, 3, 4
 * ```
 */
export function gatesToTorch(
  values: Float32Array<ArrayBuffer>,
  rows: number,
): Float32Array<ArrayBuffer> {
  return reorderBlocks(values, rows, TORCH_BLOCKS.lstm);
}

/** The reverse of {@linkcode gatesToTorch}. */
export function gatesFromTorch(
  values: Float32Array<ArrayBuffer>,
  rows: number,
): Float32Array<ArrayBuffer> {
  return reorderBlocks(values, rows, inverse(TORCH_BLOCKS.lstm));
}

/**
 * The layout of a recurrent cell's `[rows, columns]` matrix, or of its `[columns]` bias: `order` says which gate block
 * of ours is PyTorch's j-th.
 */
export function cellLayout(
  key: string,
  shape: readonly number[],
  order: readonly number[],
): StateLayout {
  const [rows, columns] = shape.length === 1 ? [1, shape[0]] : shape;
  return {
    slots: [{ key, shape: shape.toReversed() }],
    encode: (values) => [transpose(reorderBlocks(values, rows, order), rows, columns)],
    decode: ([part]) => reorderBlocks(transpose(part, columns, rows), rows, inverse(order)),
  };
}

/** PyTorch has two biases, which are only ever added: ours is the first, the second is zero. */
function biasLayout(columns: number, cell: CellType): StateLayout {
  const order = TORCH_BLOCKS[cell];
  const shape = [columns];
  return {
    slots: ["bias_ih_l0", "bias_hh_l0"].map((key) => ({ key, shape })),
    encode: (values) => [reorderBlocks(values, 1, order), new Float32Array(columns)],
    decode: ([a, b]) => reorderBlocks(a.map((v, i) => v + b[i]), 1, inverse(order)),
  };
}

/** First values of a recurrent layer; PyTorch's by default: uniform within ±1/√H. */
export interface RecurrentOptions {
  /** Of the matrices. */
  weight?: Initializer;
  /** Of the bias. */
  bias?: Initializer;
}

/** One layer of a recurrent network in one direction: a vanilla RNN or an LSTM. */
export class Recurrent extends Module {
  /** `[D, H]`, or `[D, 4 H]` of an LSTM: of a step's input. */
  readonly wx: Parameter;
  /** `[H, H]`, or `[H, 4 H]`: of the last hidden state. */
  readonly wh: Parameter;
  /** `[H]`, or `[4 H]`. */
  readonly b: Parameter;

  /** A cell that reads `inputDim` numbers a step, and has `hiddenDim` units. */
  constructor(
    readonly cell: CellType,
    readonly inputDim: number,
    readonly hiddenDim: number,
    options: RecurrentOptions = {},
  ) {
    super();
    const usual = uniform(1 / Math.sqrt(hiddenDim));
    // PyTorch adds two biases, each drawn by itself.
    const two: Initializer = (shape, stream) => {
      const second = usual(shape, stream.split("second"));
      return usual(shape, stream).map((value, i) => value + second[i]);
    };
    const { weight = usual, bias = two } = options;
    const columns = GATES[cell] * hiddenDim;
    const matrix = (key: string, rows: number) =>
      new Parameter([rows, columns], (stream) => weight([rows, columns], stream), {
        layout: cellLayout(key, [rows, columns], TORCH_BLOCKS[cell]),
      });
    this.wx = matrix("weight_ih_l0", inputDim);
    this.wh = matrix("weight_hh_l0", hiddenDim);
    this.b = new Parameter([columns], (stream) => bias([columns], stream), {
      layout: biasLayout(columns, cell),
    });
  }

  /** `x [T, N, D]` from `h0 [N, H]` (and a cell state of zeros) to the states `[T, N, H]`. */
  forward(x: Variable, h0: Variable): Variable {
    const weights = { wx: this.wx.variable, wh: this.wh.variable, b: this.b.variable };
    return operations[this.cell](x, h0, weights);
  }
}

/** Sets elements to zero at random while training. Each call draws a new mask. */
export class Dropout extends Module {
  #stream: RandomStream | undefined;
  readonly #own: boolean;

  /** With a stream of its own, or with that of the module that it is in. */
  constructor(readonly p = 0.5, stream?: RandomStream) {
    super();
    if (!(p >= 0 && p < 1)) {
      throw new RangeError(`Dropout takes a probability from 0 to less than 1, and ${p} was given`);
    }
    this.#stream = stream;
    this.#own = stream !== undefined;
  }

  /** Draw masks from the stream, unless it has one of its own. */
  protected override start(stream: RandomStream): void {
    if (!this.#own) this.#stream = stream;
  }

  /** Where it draws from. */
  get stream(): RandomStream | undefined {
    return this.#stream;
  }

  /**
   * `x` with some numbers set to zero and the others scaled up while it and the tape are training; else `x` itself.
   * ReferenceError without a stream.
   */
  forward(x: Variable, stream: RandomStream | undefined = this.#stream): Variable {
    if (!this.training || this.p === 0 || !tapeOf(x).training) return x;
    if (stream === undefined) {
      throw new ReferenceError(
        "A dropout draws from a stream: give it one, or put its module on a GPU",
      );
    }
    return operations.dropout(x, this.p, [stream.uint32(), stream.uint32()]);
  }
}
