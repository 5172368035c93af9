/** Layers for pictures and feature maps `[N, H, W, C]`. Their names and saved layouts are PyTorch's. */
import type { RandomStream } from "../../data/rng.ts";
import type { WindowOptions } from "../../kernels/conv2d/conv2d.ts";
import { describeShape } from "../../kernels/runtime/shape.ts";
import { sizeOf, type Tensor } from "../../kernels/runtime/tensor.ts";
import type { AveragePool2dOptions } from "../../kernels/pool/average_pool2d.ts";
import type { PoolOptions } from "../../kernels/pool/windows.ts";
import { tapeOf, type Variable } from "../tape/autograd.ts";
import { averagePool2d, batchNorm, maxPool2d } from "../tape/image_operations.ts";
import { type Initializer, uniform } from "./init.ts";
import { type Branch, conv2d } from "../tape/operations.ts";
import { Buffer, Parameter, type StateLayout } from "./parameters.ts";
import { biasOf } from "./layers.ts";
import { Module } from "./module.ts";
import { asVariable } from "../tape/variable.ts";

type Values = Float32Array<ArrayBuffer>;

/** PyTorch keeps a convolution's weight as `[K, C, kh, kw]`; we keep `[kh, kw, C, K]`. C is that of a group. */
function kernelLayout([kh, kw, c, k]: readonly number[]): StateLayout {
  const window = kh * kw;
  const each = (move: (ours: number, torch: number) => void) => {
    for (let tap = 0; tap < window; tap++) {
      for (let i = 0; i < c; i++) {
        for (let o = 0; o < k; o++) move((tap * c + i) * k + o, (o * c + i) * window + tap);
      }
    }
  };
  return {
    slots: [{ shape: [k, c, kh, kw] }],
    encode: (values: Values) => {
      const part = new Float32Array(values.length);
      each((ours, torch) => part[torch] = values[ours]);
      return [part];
    },
    decode: ([part]: Values[]) => {
      const values = new Float32Array(part.length);
      each((ours, torch) => values[ours] = part[torch]);
      return values;
    },
  };
}

/** He et al. 2015, for a kernel `[kh, kw, C, K]`: even over ±√(6 / fan), with fan the numbers under a window. */
export function kaimingUniformKernel(
  shape: readonly number[],
  stream: RandomStream,
): Float32Array<ArrayBuffer> {
  return uniform(Math.sqrt(6 / sizeOf(shape.slice(0, 3))))(shape, stream);
}

/** Options of {@linkcode Conv2d}. */
export interface Conv2dLayerOptions extends WindowOptions {
  /**
   * First weights, `[kernel, kernel, in / groups, out]`; as PyTorch's by default: uniform within ±1/√inputs, with
   * the elements under a window as inputs.
   */
  weight?: Initializer;
  /** Without a bias, or its first values; as the weights' by default. */
  bias?: boolean | Initializer;
}

/** A convolution by windows of `kernel` x `kernel`. */
export class Conv2d extends Module {
  /** `[kernel, kernel, in / groups, out]` */
  readonly weight: Parameter;
  /** `[out]` */
  readonly bias: Parameter | undefined;
  readonly #window: Required<WindowOptions>;

  /** RangeError where the groups do not divide the channels. */
  constructor(
    readonly inChannels: number,
    readonly outChannels: number,
    kernel: number,
    options: Conv2dLayerOptions = {},
  ) {
    super();
    const { stride = 1, padding = 0, dilation = 1, groups = 1 } = options;
    if (![inChannels / groups, outChannels / groups].every(Number.isInteger)) {
      throw new RangeError(
        `${groups} groups do not divide the ${inChannels} channels and ${outChannels} results of a convolution`,
      );
    }
    const shape = [kernel, kernel, inChannels / groups, outChannels];
    const inputs = sizeOf(shape.slice(0, 3));
    const { weight = uniform(1 / Math.sqrt(inputs)), bias = true } = options;
    this.weight = new Parameter(shape, (stream) => weight(shape, stream), {
      layout: kernelLayout(shape),
    });
    this.bias = biasOf(bias, inputs, outChannels);
    this.#window = { stride, padding, dilation, groups };
  }

  /**
   * The layer as one of several that stand side by side.
   *
   * @internal
   */
  get branch(): Branch {
    return { w: this.weight.variable, b: this.bias?.variable, ...this.#window };
  }

  /** `x [N, H, W, in]` to `[N, OH, OW, out]`, with a ReLU at the end where wanted. */
  forward(x: Variable, { relu = false }: { relu?: boolean } = {}): Variable {
    const { w, b, ...window } = this.branch;
    return conv2d(x, w, b, { ...window, relu });
  }
}

/** Options of a batch norm's forward pass. */
export interface BatchNormCall {
  /**
   * Take the batch's own statistics and move the running ones; else take the running ones. By default while the layer
   * and the tape are training.
   */
  batchStatistics?: boolean;
  /** Added before the ReLU. */
  residual?: Variable;
  /** Set what is below zero to zero at the end. */
  relu?: boolean;
}

/** Options of a batch norm; the defaults are PyTorch's. */
export interface BatchNormLayerOptions {
  /** How far the running statistics move, from 0 to 1: 0.1 by default. */
  momentum?: number;
  /** Added to the variance: 1e-5 by default. */
  eps?: number;
}

/**
 * Batch normalization of `[N, C]` or `[N, T, C]`: PyTorch's `nn.BatchNorm1d`, with the channels last, as everywhere here.
 */
export class BatchNorm1d extends Module {
  /** `[C]`: multiplies what is normalized. */
  readonly weight: Parameter;
  /** `[C]`: is added to it. */
  readonly bias: Parameter;
  /** Moved by the forward pass, never by an optimizer. */
  readonly runningMean: Buffer;
  /** The running variance, moved likewise. */
  readonly runningVar: Buffer;

  readonly #options: BatchNormLayerOptions;

  /** C channels. */
  constructor(readonly channels: number, options: BatchNormLayerOptions = {}) {
    super();
    this.#options = options;
    const shape = [channels];
    const filled = (value: number) => new Float32Array(channels).fill(value);
    this.weight = new Parameter(shape, filled(1));
    this.bias = new Parameter(shape, filled(0));
    this.runningMean = new Buffer(shape, filled(0));
    this.runningVar = new Buffer(shape, filled(1));
  }

  /**
   * What it reads, by the count of axes.
   *
   * @internal
   */
  protected get shapes(): Record<number, string> {
    return { 2: "[N, C]", 3: "[N, T, C]" };
  }

  /** To the same shape. TypeError for one of other axes or channels; RangeError for a single row of them. */
  forward(input: Variable | Tensor, options: BatchNormCall = {}): Variable {
    const x = asVariable(input);
    const { shapes } = this;
    if (!(x.shape.length in shapes && x.shape.at(-1) === this.channels)) {
      throw new TypeError(
        `A batch norm of ${this.channels} channels reads ${
          Object.values(shapes).join(" or ")
        }, and "${x.tensor.name}" has the shape ${describeShape(x.shape)}`,
      );
    }
    const { residual, relu = false } = options;
    const { batchStatistics = this.training && tapeOf(x).training } = options;
    return batchNorm(x, {
      weight: this.weight.variable,
      bias: this.bias.variable,
      runningMean: this.runningMean.tensor,
      runningVar: this.runningVar.tensor,
    }, { training: batchStatistics, relu, residual, ...this.#options });
  }
}

/** Batch normalization of `[N, H, W, C]`: PyTorch's `nn.BatchNorm2d`, with the channels last. */
export class BatchNorm2d extends BatchNorm1d {
  /** @internal */
  protected override get shapes(): Record<number, string> {
    return { 4: "[N, H, W, C]" };
  }
}

/** The largest of each window: PyTorch's `nn.MaxPool2d`. */
export class MaxPool2d extends Module {
  /** The stride is the window's size by default. */
  constructor(readonly kernel: number, readonly options: Omit<PoolOptions, "kernel"> = {}) {
    super();
  }

  /** `x [N, H, W, C]` to `[N, OH, OW, C]`. */
  forward(x: Variable | Tensor): Variable {
    return maxPool2d(asVariable(x), { kernel: this.kernel, ...this.options });
  }
}

/** The mean of each window: PyTorch's `nn.AvgPool2d`. */
export class AveragePool2d extends Module {
  /** The stride is the window's size by default. */
  constructor(
    readonly kernel: number,
    readonly options: Omit<AveragePool2dOptions, "kernel"> = {},
  ) {
    super();
  }

  /** `x [N, H, W, C]` to `[N, OH, OW, C]`. */
  forward(x: Variable | Tensor): Variable {
    return averagePool2d(asVariable(x), { kernel: this.kernel, ...this.options });
  }
}
