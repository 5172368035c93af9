/** Recurrent layers as PyTorch has them: several layers, one or both directions, initial and last states. */
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { type Tape, tapeOf, type Variable } from "../tape/autograd.ts";
import { type Initializer, uniform } from "./init.ts";
import { cellLayout, type CellType, Dropout, TORCH_BLOCKS } from "./layers.ts";
import { Module } from "./module.ts";
import { linear, lstmStates, rnn } from "../tape/operations.ts";
import { Parameter } from "./parameters.ts";
import { asVariable, concat, constant } from "../tape/variable.ts";

/** Options of {@linkcode RNN}, {@linkcode LSTM} and {@linkcode GRU}. */
export interface RecurrentLayersOptions {
  /** One on top of the other; 1 by default. */
  layers?: number;
  /** With a second cell in each layer that reads from the end. */
  bidirectional?: boolean;
  /** `[N, T, D]` in and out, in place of the time-major `[T, N, D]`. */
  batchFirst?: boolean;
  /** Dropout between layers, while training; 0 by default. */
  dropout?: number;
  /** With two biases in each cell, which are added, as PyTorch has them; true by default. */
  bias?: boolean;
}

/** Initial states of all layers and directions, `[layers · directions, N, H]` each; zeros by default. */
export interface InitialStates {
  /** The hidden states. */
  h0?: Variable | Tensor;
  /** The cell states of an LSTM. */
  c0?: Variable | Tensor;
}

/** What a recurrent layer gives. */
export interface RecurrentOutput {
  /** The hidden states of the last layer at every step, `[T, N, directions · H]`. */
  output: Variable;
  /** The last hidden states of all layers and directions, `[layers · directions, N, H]`. */
  h: Variable;
}

/** The states of one cell: at every step `[T, N, H]`, and the last cell state `[N, H]` of an LSTM. */
export interface CellStates {
  /** Hidden states. */
  h: Variable;
  /** The last cell state. */
  c?: Variable;
}

/** A layer of one direction. */
export interface RecurrentCell extends Module {
  /** Over `x [T, N, D]` from initial states `[N, H]`. */
  run(x: Variable, h0: Variable, c0: Variable | undefined): CellStates;
}

const last = (x: Variable): Variable => x.slice(0, { start: x.shape[0] - 1 });
const backwards = (x: Variable): Variable => x.slice(0, { step: -1 });

/** What {@linkcode RNN}, {@linkcode LSTM} and {@linkcode GRU} share: layers of cells. */
export abstract class RecurrentLayers extends Module {
  /**
   * Of each layer, one for each direction.
   * @internal
   */
  protected readonly cells: readonly RecurrentCell[][];
  /** Between layers. */
  protected readonly dropout: Dropout;
  /** Whether batches are the first axis. */
  readonly batchFirst: boolean;

  /** @internal */
  constructor(
    /** D */
    readonly inputDim: number,
    /** H */
    readonly hiddenDim: number,
    { layers = 1, bidirectional = false, batchFirst = false, dropout = 0 }: RecurrentLayersOptions,
    make: (inputs: number) => RecurrentCell,
  ) {
    super();
    if (!(Number.isInteger(layers) && layers >= 1)) {
      throw new RangeError(`There must be a whole number of layers from 1: it is ${layers}`);
    }
    const directions = bidirectional ? 2 : 1;
    this.cells = Array.from(
      { length: layers },
      (_, layer) =>
        Array.from(
          { length: directions },
          () => make(layer === 0 ? inputDim : directions * hiddenDim),
        ),
    );
    this.dropout = new Dropout(dropout);
    this.batchFirst = batchFirst;
  }

  /** `weight_ih_l1_reverse` is that of the second layer's second direction. */
  protected override nameOf(path: string): string {
    return path.replace(
      /^cells\.(\d+)\.(\d)\.(\w+)_l0$/,
      (_, layer, direction, name) => `${name}_l${layer}${direction === "1" ? "_reverse" : ""}`,
    );
  }

  /** Run all layers over `x`; the last cell states too where there are some. */
  protected run(
    sequence: Variable | Tensor,
    { h0, c0 }: InitialStates,
  ): RecurrentOutput & { c: Variable | undefined } {
    const given = asVariable(sequence);
    if (given.shape.length !== 3 || given.shape[2] !== this.inputDim) {
      const axes = this.batchFirst ? "N, T" : "T, N";
      throw new TypeError(
        `A recurrent layer reads [${axes}, ${this.inputDim}], and "${given.tensor.name}" has the shape [${
          given.shape.join(", ")
        }]`,
      );
    }
    let x = this.batchFirst ? given.permute([1, 0, 2]) : given;
    const tape = tapeOf(x);
    const batch = x.shape[1];
    const shape = [this.cells.length * this.cells[0].length, batch, this.hiddenDim];
    const initial = (states: Variable | Tensor | undefined, name: string) => {
      if (states === undefined) return () => undefined;
      const all = asVariable(states);
      if (all.shape.join() !== shape.join()) {
        throw new TypeError(
          `${name} must have the shape [${shape.join(", ")}]: it has [${all.shape.join(", ")}]`,
        );
      }
      return (at: number) => all.slice(0, { start: at, end: at + 1 }).reshape(shape.slice(1));
    };
    const [hidden, cells] = [initial(h0, "h0"), initial(c0, "c0")];
    let zeros: Variable | undefined;
    const [lastHidden, lastCells]: [Variable[], Variable[]] = [[], []];
    for (const [layer, directions] of this.cells.entries()) {
      const outputs = directions.map((cell, direction) => {
        const at = layer * directions.length + direction;
        zeros ??= constant(tape.keep(Tensor.zeros(tape.gpu, shape.slice(1), { name: "h0" })));
        const input = direction === 1 ? backwards(x) : x;
        const { h, c } = cell.run(input, hidden(at) ?? zeros, cells(at));
        lastHidden.push(last(h));
        if (c !== undefined) lastCells.push(c.reshape([1, ...c.shape]));
        return direction === 1 ? backwards(h) : h;
      });
      x = outputs.length === 1 ? outputs[0] : concat(outputs);
      if (layer < this.cells.length - 1) x = this.dropout.forward(x);
    }
    return {
      output: this.batchFirst ? x.permute([1, 0, 2]) : x,
      h: concat(lastHidden, 0),
      c: lastCells.length > 0 ? concat(lastCells, 0) : undefined,
    };
  }
}

/** What cells of all kinds have: their weights, with PyTorch's names and first values. */
abstract class Cell extends Module implements RecurrentCell {
  /** `[D, gates · H]` */
  readonly wx: Parameter;
  /** `[H, gates · H]` */
  readonly wh: Parameter;
  /** `[gates · H]` */
  readonly bx: Parameter | undefined;
  /** The same again. */
  readonly bh: Parameter | undefined;

  /** `order` says of each gate of PyTorch's which one it is here. */
  constructor(
    inputDim: number,
    readonly hiddenDim: number,
    order: readonly number[],
    bias: boolean,
  ) {
    super();
    const draw: Initializer = uniform(1 / Math.sqrt(hiddenDim));
    const columns = order.length * hiddenDim;
    const parameter = (key: string, shape: number[]) =>
      new Parameter(shape, (stream) => draw(shape, stream), {
        layout: cellLayout(key, shape, order),
      });
    this.wx = parameter("weight_ih_l0", [inputDim, columns]);
    this.wh = parameter("weight_hh_l0", [hiddenDim, columns]);
    this.bx = bias ? parameter("bias_ih_l0", [columns]) : undefined;
    this.bh = bias ? parameter("bias_hh_l0", [columns]) : undefined;
  }

  abstract run(x: Variable, h0: Variable, c0: Variable | undefined): CellStates;
}

/** A vanilla RNN or LSTM of one layer in one direction. */
class FusedCell extends Cell {
  constructor(readonly cell: CellType, inputDim: number, hiddenDim: number, bias: boolean) {
    super(inputDim, hiddenDim, TORCH_BLOCKS[cell], bias);
  }

  run(x: Variable, h0: Variable, c0: Variable | undefined): CellStates {
    const weights = { wx: this.wx.variable, wh: this.wh.variable, b: this.#bias(tapeOf(x)) };
    return this.cell === "rnn" ? { h: rnn(x, h0, weights) } : lstmStates(x, h0, weights, c0);
  }

  /** The sum of both biases, or zeros. */
  #bias(tape: Tape): Variable {
    if (this.bx !== undefined) return this.bx.variable.add(this.bh!.variable);
    const shape = [this.wx.shape[1]];
    return constant(tape.keep(Tensor.zeros(tape.gpu, shape, { name: "no bias" })));
  }
}

const fused =
  (cell: CellType, hidden: number, { bias = true }: RecurrentLayersOptions) => (inputs: number) =>
    new FusedCell(cell, inputs, hidden, bias);

/** A vanilla RNN with tanh: PyTorch's `nn.RNN`. */
export class RNN extends RecurrentLayers {
  /** RangeError for a count of layers or a dropout that cannot be. */
  constructor(inputDim: number, hiddenDim: number, options: RecurrentLayersOptions = {}) {
    super(inputDim, hiddenDim, options, fused("rnn", hiddenDim, options));
  }

  /** TypeError for a sequence or initial states of another shape. */
  forward(x: Variable | Tensor, { h0 }: Pick<InitialStates, "h0"> = {}): RecurrentOutput {
    const { output, h } = this.run(x, h0 === undefined ? {} : { h0 });
    return { output, h };
  }
}

/** PyTorch's `nn.LSTM`. */
export class LSTM extends RecurrentLayers {
  /** RangeError for a count of layers or a dropout that cannot be. */
  constructor(inputDim: number, hiddenDim: number, options: RecurrentLayersOptions = {}) {
    super(inputDim, hiddenDim, options, fused("lstm", hiddenDim, options));
  }

  /** The last cell states `c` are of the shape of `h`. TypeError for a sequence or initial states of another shape. */
  forward(x: Variable | Tensor, states: InitialStates = {}): RecurrentOutput & { c: Variable } {
    const { output, h, c } = this.run(x, states);
    return { output, h, c: c! };
  }
}

/** A GRU of one layer in one direction, its three gates in PyTorch's order r, z, n. */
class GruCell extends Cell {
  constructor(inputDim: number, hiddenDim: number, bias: boolean) {
    super(inputDim, hiddenDim, [0, 1, 2], bias);
  }

  run(x: Variable, h0: Variable): CellStates {
    const width = this.hiddenDim;
    const part = (gates: Variable, i: number) =>
      gates.slice(-1, { start: i * width, end: (i + 1) * width });
    const inputs = linear(x, this.wx.variable, this.bx?.variable);
    const states: Variable[] = [];
    let h = h0;
    for (let t = 0; t < x.shape[0]; t++) {
      const a = inputs.slice(0, { start: t, end: t + 1 }).reshape([x.shape[1], 3 * width]);
      const b = linear(h, this.wh.variable, this.bh?.variable);
      const r = part(a, 0).add(part(b, 0)).sigmoid();
      const z = part(a, 1).add(part(b, 1)).sigmoid();
      const n = part(a, 2).add(r.mul(part(b, 2))).tanh();
      h = n.add(z.mul(h.sub(n)));
      states.push(h.reshape([1, ...h.shape]));
    }
    return { h: concat(states, 0) };
  }
}

/** PyTorch's `nn.GRU`, step by step on the tape. */
export class GRU extends RecurrentLayers {
  /** RangeError for a count of layers or a dropout that cannot be. */
  constructor(inputDim: number, hiddenDim: number, options: RecurrentLayersOptions = {}) {
    const { bias = true } = options;
    super(inputDim, hiddenDim, options, (inputs) => new GruCell(inputs, hiddenDim, bias));
  }

  /** TypeError for a sequence or initial states of another shape. */
  forward(x: Variable | Tensor, { h0 }: Pick<InitialStates, "h0"> = {}): RecurrentOutput {
    const { output, h } = this.run(x, h0 === undefined ? {} : { h0 });
    return { output, h };
  }
}
