/** Layers for pictures and feature maps `[N, H, W, C]`. Their names and saved layouts are PyTorch's. */
import type { RandomStream } from "../data/rng.ts";
import type { WindowOptions } from "../kernels/conv2d/conv2d.ts";
import { sizeOf } from "../kernels/runtime/tensor.ts";
import type { Variable } from "./autograd.ts";
import { batchNorm } from "./image_operations.ts";
import { type Initializer, uniform } from "./init.ts";
import { type Branch, conv2d } from "./operations.ts";
import { Buffer, Parameter, type StateLayout } from "./parameters.ts";
import { biasOf } from "./layers.ts";
import { Module } from "./module.ts";

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
  /** Take the batch's own statistics and move the running ones; else take the running ones. */
  batchStatistics: boolean;
  /** Added before the ReLU. */
  residual?: Variable;
  /** Set what is below zero to zero at the end. */
  relu?: boolean;
}

/**
 * Batch normalization. Which statistics it takes is chosen at each call, whether its weight is frozen
 * or not.
 */
export class BatchNorm2d extends Module {
  /** `[C]`: multiplies what is normalized. */
  readonly weight: Parameter;
  /** `[C]`: is added to it. */
  readonly bias: Parameter;
  /** Moved by the forward pass, never by an optimizer. */
  readonly runningMean: Buffer;
  /** The running variance, moved likewise. */
  readonly runningVar: Buffer;

  /** C channels. */
  constructor(readonly channels: number) {
    super();
    const shape = [channels];
    const filled = (value: number) => new Float32Array(channels).fill(value);
    this.weight = new Parameter(shape, filled(1));
    this.bias = new Parameter(shape, filled(0));
    this.runningMean = new Buffer(shape, filled(0));
    this.runningVar = new Buffer(shape, filled(1));
  }

  /** `x [N, H, W, C]` to the same shape. */
  forward(x: Variable, options: BatchNormCall): Variable {
    const { batchStatistics, residual, relu = false } = options;
    return batchNorm(x, {
      weight: this.weight.variable,
      bias: this.bias.variable,
      runningMean: this.runningMean.tensor,
      runningVar: this.runningVar.tensor,
    }, { training: batchStatistics, relu, residual });
  }
}
