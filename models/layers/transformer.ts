/** Attention and the layers of a transformer (Vaswani et al. 2017), batches first: `[N, T, E]`. */
import { describeShape } from "../../kernels/runtime/shape.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { type Tape, tapeOf, type Variable } from "../tape/autograd.ts";
import { xavierUniform, zeros } from "./init.ts";
import { Dropout, LayerNorm, Linear, transposedLayout } from "./layers.ts";
import { Module } from "./module.ts";
import { linear } from "../tape/operations.ts";
import { Parameter } from "./parameters.ts";
import { asVariable } from "../tape/variable.ts";

/** What positions may look at. */
export interface AttentionOptions {
  /** No position looks at a later one. */
  causal?: boolean;
  /** Added to the scores before the softmax, of a shape that is repeated to `[N, heads, T, S]`; -∞ forbids. */
  mask?: Variable | Tensor | undefined;
}

/** The causal masks of a tape, by their sizes: layers share them. */
const masks = new WeakMap<Tape, Map<string, Tensor>>();

/** What is added to scores `[…, steps, others]` to forbid each step to look at a later one of the others. */
function causalMask(tape: Tape, steps: number, others: number): Tensor {
  const known = masks.get(tape) ?? new Map<string, Tensor>();
  masks.set(tape, known);
  const key = `${steps} ${others}`;
  const found = known.get(key);
  if (found !== undefined) return found;
  const values = Float32Array.from(
    { length: steps * others },
    (_, i) => i % others > Math.floor(i / others) ? -Infinity : 0,
  );
  const mask = Tensor.from(tape.gpu, values, [steps, others], { name: "causal mask" });
  known.set(key, tape.keep(mask));
  return mask;
}

/** Attention by several heads side by side: PyTorch's `nn.MultiheadAttention` with `batch_first`. */
export class MultiheadAttention extends Module {
  /** Of queries, keys and values side by side, `[E, 3 E]`. */
  readonly inProjWeight: Parameter;
  /** `[3 E]` */
  readonly inProjBias: Parameter;
  /** Joins the heads. */
  readonly outProj: Linear;
  /** Of the weights with which positions look at others. */
  readonly dropout: Dropout;

  /** The dropout is 0 by default. TypeError where the heads do not divide the width. */
  constructor(
    /** E, elements of a position. */
    readonly width: number,
    /** Heads, each of E / heads elements. */
    readonly heads: number,
    { dropout = 0 }: { dropout?: number } = {},
  ) {
    super();
    if (!Number.isInteger(width / heads)) {
      throw new TypeError(`${heads} heads do not divide a width of ${width}`);
    }
    const shape = [width, 3 * width];
    this.inProjWeight = new Parameter(shape, (stream) => xavierUniform(shape, stream), {
      layout: transposedLayout(width, 3 * width),
    });
    this.inProjBias = new Parameter([3 * width], new Float32Array(3 * width));
    this.outProj = new Linear(width, width, { bias: zeros });
    this.dropout = new Dropout(dropout);
  }

  /**
   * Positions `query [N, T, E]` look at `key [N, S, E]` and take from `value [N, S, E]`, which is the key by default, as
   * the query is the key: `[N, T, E]`. A position that may look at none becomes NaN.
   *
   * Errors: TypeError for other shapes.
   */
  forward(
    query: Variable | Tensor,
    key: Variable | Tensor = query,
    value: Variable | Tensor = key,
    { causal = false, mask }: AttentionOptions = {},
  ): Variable {
    const inputs = [query, key, value].map(asVariable);
    this.#check(inputs);
    const [q, k, v] = this.#project(inputs);
    const each = this.width / this.heads;
    const [batch, steps] = q.shape;
    const split = (x: Variable) => x.reshape([batch, x.shape[1], this.heads, each]);
    let scores = split(q).permute([0, 2, 1, 3]).matmul(split(k).permute([0, 2, 3, 1]))
      .mul(1 / Math.sqrt(each));
    if (causal) scores = scores.add(causalMask(tapeOf(q), steps, k.shape[1]));
    if (mask !== undefined) scores = scores.add(mask);
    const weights = this.dropout.forward(scores.softmax(-1));
    const heads = weights.matmul(split(v).permute([0, 2, 1, 3]));
    return this.outProj.forward(heads.permute([0, 2, 1, 3]).reshape([batch, steps, this.width]));
  }

  #check([query, key, value]: Variable[]): void {
    const [batch] = query.shape;
    for (const { tensor: { name, shape } } of [query, key, value]) {
      if (shape.length === 3 && shape[0] === batch && shape[2] === this.width) continue;
      throw new TypeError(
        `An attention's queries, keys and values are [${batch}, …, ${this.width}], and "${name}" has the shape ${
          describeShape(shape)
        }`,
      );
    }
    if (key.shape[1] === value.shape[1]) return;
    throw new TypeError(
      `An attention takes one value for each key: there are ${key.shape[1]} keys and ${
        value.shape[1]
      } values`,
    );
  }

  /** Queries, keys and values; by one product where all are of the same positions. */
  #project(inputs: Variable[]): Variable[] {
    const { width } = this;
    const [w, b] = [this.inProjWeight.variable, this.inProjBias.variable];
    const part = (x: Variable, i: number) =>
      x.slice(-1, { start: i * width, end: (i + 1) * width });
    if (new Set(inputs.map(({ tensor }) => tensor)).size === 1) {
      const all = linear(inputs[0], w, b);
      return [0, 1, 2].map((i) => part(all, i));
    }
    return inputs.map((x, i) => linear(x, part(w, i), part(b, i)));
  }
}

/** Options of {@linkcode TransformerEncoderLayer} and {@linkcode TransformerDecoderLayer}; the defaults are PyTorch's. */
export interface TransformerLayerOptions {
  /** Elements between the two linear layers; 2048 by default. */
  feedforward?: number;
  /** 0.1 by default. */
  dropout?: number;
  /** "relu" by default. */
  activation?: "relu" | "gelu";
  /** Normalize what a part reads, and not the sum that it is added to; false by default. */
  normFirst?: boolean;
}

/** What encoder and decoder layers share, in the order of PyTorch's state dicts. */
export abstract class TransformerLayer extends Module {
  /** Of positions with those before them. */
  readonly selfAttn: MultiheadAttention;
  /** Of a decoder's positions with those of the memory. */
  readonly multiheadAttn: MultiheadAttention | undefined;
  /** Of each position alone. */
  readonly linear1: Linear;
  /** Back to the width. */
  readonly linear2: Linear;
  /** Of the self attention. */
  readonly norm1: LayerNorm;
  /** Of the second part. */
  readonly norm2: LayerNorm;
  /** Of a decoder's third part. */
  readonly norm3: LayerNorm | undefined;
  /** Of all parts. */
  readonly dropout: Dropout;
  readonly #activation: "relu" | "gelu";
  readonly #normFirst: boolean;

  /** @internal */
  constructor(width: number, heads: number, options: TransformerLayerOptions, memory: boolean) {
    super();
    const { feedforward = 2048, dropout = 0.1, activation = "relu", normFirst = false } = options;
    this.selfAttn = new MultiheadAttention(width, heads, { dropout });
    this.multiheadAttn = memory ? new MultiheadAttention(width, heads, { dropout }) : undefined;
    this.linear1 = new Linear(width, feedforward);
    this.linear2 = new Linear(feedforward, width);
    this.norm1 = new LayerNorm(width);
    this.norm2 = new LayerNorm(width);
    this.norm3 = memory ? new LayerNorm(width) : undefined;
    this.dropout = new Dropout(dropout);
    this.#activation = activation;
    this.#normFirst = normFirst;
  }

  /** A part that is added to what it reads, with its norm. */
  protected residual(x: Variable, norm: LayerNorm, part: (x: Variable) => Variable): Variable {
    if (this.#normFirst) return x.add(this.dropout.forward(part(norm.forward(x))));
    return norm.forward(x.add(this.dropout.forward(part(x))));
  }

  /** The linear layers. */
  protected feedForward(x: Variable): Variable {
    const inner = this.linear1.forward(x);
    return this.linear2.forward(this.dropout.forward(inner[this.#activation]()));
  }
}

/** PyTorch's `nn.TransformerEncoderLayer` with `batch_first`. */
export class TransformerEncoderLayer extends TransformerLayer {
  /** `width` elements of a position, by `heads` heads. TypeError where the heads do not divide the width. */
  constructor(width: number, heads: number, options: TransformerLayerOptions = {}) {
    super(width, heads, options, false);
  }

  /** `x [N, T, E]` to the same shape. */
  forward(x: Variable | Tensor, options: AttentionOptions = {}): Variable {
    const attended = this.residual(
      asVariable(x),
      this.norm1,
      (x) => this.selfAttn.forward(x, x, x, options),
    );
    return this.residual(attended, this.norm2, (x) => this.feedForward(x));
  }
}

/** PyTorch's `nn.TransformerDecoderLayer` with `batch_first`. */
export class TransformerDecoderLayer extends TransformerLayer {
  /** Of positions with those of the memory. */
  declare readonly multiheadAttn: MultiheadAttention;
  /** Of the linear layers. */
  declare readonly norm3: LayerNorm;

  /** `width` elements of a position, by `heads` heads. TypeError where the heads do not divide the width. */
  constructor(width: number, heads: number, options: TransformerLayerOptions = {}) {
    super(width, heads, options, true);
  }

  /** `x [N, T, E]` looks at itself and at `memory [N, S, E]`; the options are of its look at itself. */
  forward(
    x: Variable | Tensor,
    memory: Variable | Tensor,
    options: AttentionOptions = {},
  ): Variable {
    const seen = asVariable(memory);
    const own = this.residual(
      asVariable(x),
      this.norm1,
      (x) => this.selfAttn.forward(x, x, x, options),
    );
    const both = this.residual(
      own,
      this.norm2,
      (x) => this.multiheadAttn.forward(x, seen, seen),
    );
    return this.residual(both, this.norm3, (x) => this.feedForward(x));
  }
}
