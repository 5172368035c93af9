/**
 * Layers: parameters with a forward pass. Their names are PyTorch's keys, and {@linkcode Parameter.layout}
 * turns our layout into PyTorch's where the two differ.
 */
import type { RandomStream } from "../data/rng.ts";
import type { Indices } from "../kernels/embedding/embedding.ts";
import type { Tensor } from "../kernels/runtime/tensor.ts";
import { tapeOf, type Variable } from "./autograd.ts";
import { asVariable } from "./variable.ts";
import { type Initializer, normal, scaledNormal, zeros } from "./init.ts";
import * as operations from "./operations.ts";
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
function transposedLayout(key: string, rows: number, columns: number): StateLayout {
  return {
    slots: [{ key, shape: [columns, rows] }],
    encode: (values) => [transpose(values, rows, columns)],
    decode: ([part]) => transpose(part, columns, rows),
  };
}

/** Options of {@linkcode Linear}. */
export interface LinearOptions {
  /** First weight values, of shape `[in, out]`; normal of deviation 1/√in by default. */
  weight?: Initializer;
  /** With a bias (the default, zeros at first). */
  bias?: boolean;
}

/** `y = x W + b`. */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | undefined;

  constructor(
    name: string,
    readonly inputDim: number,
    readonly outputDim: number,
    stream: RandomStream,
    options: LinearOptions = {},
  ) {
    super();
    const key = `${name}.weight`;
    const shape = [inputDim, outputDim];
    const { weight = scaledNormal } = options;
    const values = () => weight(shape, stream.split(key));
    this.weight = new Parameter(key, shape, values, transposedLayout(key, inputDim, outputDim));
    if (options.bias !== false) {
      this.bias = new Parameter(`${name}.bias`, [outputDim], () => new Float32Array(outputDim));
    }
  }

  /** `x [M, in]` to `[M, out]`. */
  forward(x: Variable | Tensor): Variable {
    return operations.linear(asVariable(x), this.weight.variable, this.bias?.variable);
  }

  /** `x [T, N, in]` to `[T, N, out]`. */
  forwardSequence(x: Variable | Tensor): Variable {
    return operations.temporalLinear(asVariable(x), this.weight.variable, this.bias?.variable);
  }
}

/** A table of word vectors. */
export class Embedding extends Module {
  readonly weight: Parameter;

  constructor(
    name: string,
    readonly size: number,
    readonly dim: number,
    stream: RandomStream,
    weight: Initializer = normal(1),
  ) {
    super();
    const key = `${name}.weight`;
    this.weight = new Parameter(key, [size, dim], () => weight([size, dim], stream.split(key)));
  }

  /** Indices `[M]` to vectors `[M, dim]`. */
  forward(indices: Indices): Variable {
    return operations.embedding(this.weight.variable, indices);
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
const TORCH_BLOCKS = { rnn: [0], lstm: [1, 0, 2, 3] } as const;

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
export function gatesToTorch(values: Values, rows: number): Values {
  return reorderBlocks(values, rows, TORCH_BLOCKS.lstm);
}

/** The reverse of {@linkcode gatesToTorch}. */
export function gatesFromTorch(values: Values, rows: number): Values {
  return reorderBlocks(values, rows, inverse(TORCH_BLOCKS.lstm));
}

function cellLayout(key: string, rows: number, columns: number, cell: CellType): StateLayout {
  const order = TORCH_BLOCKS[cell];
  return {
    slots: [{ key, shape: [columns, rows] }],
    encode: (values) => [transpose(reorderBlocks(values, rows, order), rows, columns)],
    decode: ([part]) => reorderBlocks(transpose(part, columns, rows), rows, inverse(order)),
  };
}

/** PyTorch has two biases, which are only ever added: ours is the first, the second is zero. */
function biasLayout(keys: [string, string], columns: number, cell: CellType): StateLayout {
  const order = TORCH_BLOCKS[cell];
  const shape = [columns];
  return {
    slots: keys.map((key) => ({ key, shape })),
    encode: (values) => [reorderBlocks(values, 1, order), new Float32Array(columns)],
    decode: ([a, b]) => reorderBlocks(a.map((v, i) => v + b[i]), 1, inverse(order)),
  };
}

/** Options of {@linkcode Recurrent}. */
export interface RecurrentOptions {
  /** First values of the matrices; normal of deviation 1/√rows by default. */
  init?: Initializer;
  /** Name the parameters as the second direction of a bidirectional layer of PyTorch (`…_l0_reverse`). */
  reverse?: boolean;
}

/** A recurrent layer: a vanilla RNN or an LSTM. */
export class Recurrent extends Module {
  readonly wx: Parameter;
  readonly wh: Parameter;
  readonly b: Parameter;

  constructor(
    name: string,
    readonly cell: CellType,
    readonly inputDim: number,
    readonly hiddenDim: number,
    stream: RandomStream,
    { init = scaledNormal, reverse = false }: RecurrentOptions = {},
  ) {
    super();
    const key = (part: string) => `${name}.${part}_l0${reverse ? "_reverse" : ""}`;
    const columns = GATES[cell] * hiddenDim;
    const matrix = (part: string, rows: number) =>
      new Parameter(
        key(part),
        [rows, columns],
        () => init([rows, columns], stream.split(key(part))),
        cellLayout(key(part), rows, columns, cell),
      );
    this.wx = matrix("weight_ih", inputDim);
    this.wh = matrix("weight_hh", hiddenDim);
    const keys: [string, string] = [key("bias_ih"), key("bias_hh")];
    const bias = () => zeros([columns], stream);
    this.b = new Parameter(keys[0], [columns], bias, biasLayout(keys, columns, cell));
  }

  /** `x [T, N, D]` from `h0 [N, H]` (and a cell state of zeros) to the states `[T, N, H]`. */
  forward(x: Variable, h0: Variable): Variable {
    const weights = { wx: this.wx.variable, wh: this.wh.variable, b: this.b.variable };
    return operations[this.cell](x, h0, weights);
  }
}

/** Zeroes numbers at random while training. Each call draws a new mask from its stream. */
export class Dropout extends Module {
  readonly #stream: RandomStream;

  constructor(readonly p: number, stream: RandomStream) {
    super();
    if (!(p >= 0 && p < 1)) {
      throw new RangeError(`Dropout takes a probability from 0 to less than 1, and ${p} was given`);
    }
    this.#stream = stream;
  }

  forward(x: Variable): Variable {
    if (!this.training || this.p === 0 || !tapeOf(x).training) return x;
    const key = [this.#stream.uint32(), this.#stream.uint32()] as const;
    return operations.dropout(x, this.p, key);
  }
}
