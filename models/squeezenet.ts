/**
 * SqueezeNet 1.1 (Iandola et al. 2016, https://arxiv.org/abs/1602.07360), with torchvision's names.
 *
 * @module
 */
import type { RandomStream } from "../data/rng.ts";
import type { TensorData } from "../data/formats/tensor_data.ts";
import { tapeOf, type Variable } from "./autograd.ts";
import { adaptiveAveragePool2d, maxPool2d } from "./image_operations.ts";
import { normal } from "./init.ts";
import { convolutions, dropout } from "./operations.ts";
import type { Parameter } from "./parameters.ts";
import { type VisionCall, VisionModel } from "./vision_model.ts";
import { BatchNorm2d, Conv2d } from "./vision_layers.ts";
import { stateDict } from "./state_dict.ts";
import { Module } from "./module.ts";

/** Convolutions of the same maps side by side, a batch norm where the network has them, a ReLU. */
class Unit extends Module {
  readonly norm: BatchNorm2d | undefined;

  constructor(readonly layers: readonly Conv2d[], name: string, batchNorm: boolean) {
    super();
    const channels = layers.reduce((sum, layer) => sum + layer.outChannels, 0);
    if (batchNorm) this.norm = new BatchNorm2d(`${name}.norm`, channels);
  }

  forward(x: Variable, batchStatistics: boolean): Variable {
    const branches = this.layers.map((layer) => layer.branch);
    if (this.norm === undefined) return convolutions(x, branches, { relu: true });
    const y = convolutions(x, branches);
    return this.norm.forward(y, { batchStatistics, relu: true });
  }
}

/** One entry of torchvision's `features`, or two: a convolution has its ReLU in it. */
type Stage = readonly Unit[] | "pooling";

/** Options of {@linkcode SqueezeNet11}. */
export interface SqueezeNetOptions {
  /**
   * All channels times this, rounded to a multiple of 4: for a small network. A multiple of 1/16, at most
   * 4; 1 by default.
   */
  width?: number;
  /**
   * With a batch norm between each convolution and its ReLU, which SqueezeNet has not: to train it from
   * scratch. {@linkcode SqueezeNet11.withoutBatchNorms} gives the weights of the same network without them.
   */
  batchNorm?: boolean;
}

/** What a batch norm adds to variances. */
const EPS = 1e-5;

/** Channels of the first convolution at width 1. */
const FIRST = 64;

function isWidth(width: number): boolean {
  return width > 0 && width <= 4 && Number.isInteger(16 * width);
}

/** The width of the network that weights are of; 1 where their first convolution does not tell. */
export function squeezeNetWidth(weights: ReadonlyMap<string, TensorData>): number {
  const width = (weights.get("features.0.weight")?.shape[0] ?? FIRST) / FIRST;
  return isWidth(width) ? width : 1;
}

/** Entries of `features`, counted as torchvision does: module 1 is the ReLU of the convolution 0. */
export const SQUEEZENET_MODULES = 13;

/**
 * SqueezeNet 1.1: a convolution, eight fire modules with three poolings between, a convolution to the
 * classes, the mean over all places.
 *
 * ```ts ignore
 * using model = new SqueezeNet11(new RandomStream(0));
 * model.load(await readWeights("squeezenet1_1-b8a52dc0.pth"));
 * model.toGpu(gpu);
 * using tape = new Tape(gpu, { training: false });
 * const maps = model.featureMaps(constant(pixels), [3, 7]);
 * ```
 */
export class SqueezeNet11 extends VisionModel {
  readonly kind: string;
  readonly featureDim: number;
  /** By torchvision's numbers; the ReLU has none of its own. */
  readonly modules: ReadonlyMap<number, Stage>;
  readonly classifier: Conv2d;
  readonly #stream: RandomStream;

  /** RangeError for a width that is not allowed. */
  constructor(
    stream: RandomStream,
    readonly classes = 1000,
    { width = 1, batchNorm = false }: SqueezeNetOptions = {},
  ) {
    super();
    if (!isWidth(width)) {
      throw new RangeError(
        `SqueezeNet's width must be a multiple of 1/16 above 0, at most 4: it is ${width}`,
      );
    }
    this.kind = width === 1 ? "squeezenet1_1" : `squeezenet1_1 of width ${width}`;
    const channels = (at1: number) => 4 * Math.max(Math.round(at1 * width / 4), 1);
    this.featureDim = 2 * channels(256);
    // Few channels, then many: by windows of 1 x 1 and of 3 x 3, side by side.
    const fire = (at: number, input: number, squeezed: number, expanded: number): Unit[] => {
      const name = `features.${at}`;
      const [few, many] = [channels(squeezed), channels(expanded)];
      const layer = (part: string, from: number, to: number, kernel: number, padding = 0) =>
        new Conv2d(`${name}.${part}`, from, to, stream, { kernel, padding, bias: !batchNorm });
      const squeeze = layer("squeeze", input, few, 1);
      const expand = [layer("expand1x1", few, many, 1), layer("expand3x3", few, many, 3, 1)];
      return [
        new Unit([squeeze], `${name}.squeeze`, batchNorm),
        new Unit(expand, `${name}.expand`, batchNorm),
      ];
    };
    const first = new Conv2d("features.0", 3, channels(FIRST), stream, {
      ...{ kernel: 3, stride: 2, bias: !batchNorm },
    });
    const [a, b, c] = [64, 128, 192].map((expanded) => 2 * channels(expanded));
    this.modules = new Map<number, Stage>([
      [0, [new Unit([first], "features.0", batchNorm)]],
      [2, "pooling"],
      [3, fire(3, first.outChannels, 16, 64)],
      [4, fire(4, a, 16, 64)],
      [5, "pooling"],
      [6, fire(6, a, 32, 128)],
      [7, fire(7, b, 32, 128)],
      [8, "pooling"],
      [9, fire(9, b, 48, 192)],
      [10, fire(10, c, 48, 192)],
      [11, fire(11, c, 64, 256)],
      [12, fire(12, this.featureDim, 64, 256)],
    ]);
    this.classifier = new Conv2d("classifier.1", this.featureDim, classes, stream, {
      kernel: 1,
      weight: normal(0.01),
    });
    this.#stream = stream.split("dropout");
  }

  get #units(): Unit[] {
    return [...this.modules.values()].flatMap((module) => module === "pooling" ? [] : module);
  }

  get head(): readonly Parameter[] {
    return this.classifier.parameters;
  }

  /**
   * The results `[1, H, W, C]` of some modules of torchvision's `features`, counted from 0; module 0 is
   * given after its ReLU, as module 1 is. What lies behind the last of them is not computed.
   *
   * Errors: RangeError for a module that there is not.
   */
  featureMaps(
    x: Variable,
    wanted: readonly number[],
    { batchStatistics = tapeOf(x).training }: VisionCall = {},
  ): Map<number, Variable> {
    for (const at of wanted) {
      if (Number.isInteger(at) && at >= 0 && at < SQUEEZENET_MODULES) continue;
      throw new RangeError(
        `SqueezeNet's features have the layers 0 to ${SQUEEZENET_MODULES - 1}, and ${at} was given`,
      );
    }
    const last = Math.max(...wanted);
    const maps = new Map<number, Variable>();
    let map = x;
    for (const [at, module] of this.modules) {
      if (at > last) break;
      map = module === "pooling"
        ? maxPool2d(map, { kernel: 3, stride: 2, ceilMode: true })
        : module.reduce((x, unit) => unit.forward(x, batchStatistics), map);
      maps.set(at, map);
      if (at === 0) maps.set(1, map);
    }
    return new Map(wanted.map((at) => [at, maps.get(at)!]));
  }

  #lastMap(x: Variable, options: VisionCall): Variable {
    const last = SQUEEZENET_MODULES - 1;
    return this.featureMaps(x, [last], options).get(last)!;
  }

  features(x: Variable, options: VisionCall = {}): Variable {
    const pooled = adaptiveAveragePool2d(this.#lastMap(x, options), [1, 1]);
    return pooled.reshape([x.shape[0], this.featureDim]);
  }

  /** As torchvision's classifier, with dropout (p = 0.5) while the tape is training. */
  forward(x: Variable, options: VisionCall = {}): Variable {
    const { stream = this.#stream } = options;
    const key = [stream.uint32(), stream.uint32()] as const;
    const dropped = dropout(this.#lastMap(x, options), 0.5, key);
    const scores = this.classifier.forward(dropped, { relu: true });
    const pooled = adaptiveAveragePool2d(scores, [1, 1]);
    return pooled.reshape([x.shape[0], this.classes]);
  }

  /**
   * The weights of the same network without batch norms, read from the GPU: their running statistics
   * become part of the convolutions, `w' = w γ / √(v + ε)` and `b' = β - m γ / √(v + ε)`.
   *
   * The maps behind each of its 17 ReLUs become so much larger as `scales` says, one by default, and the
   * weights that read them so much smaller. As `relu(s x) = s relu(x)`, the scores stay the same.
   *
   * Errors: TypeError when it has no batch norms, or for another count of scales; RangeError for a scale
   * that is not above 0.
   */
  async withoutBatchNorms(scales?: readonly number[]): Promise<Map<string, TensorData>> {
    const units = this.#units;
    checkScales(units.length, scales);
    const dict = await stateDict(this.store.parameters);
    const values = ({ name }: Parameter) => dict.get(name)!.data as Float32Array<ArrayBuffer>;
    let before = 1;
    units.forEach(({ norm, layers }, i) => {
      if (norm === undefined) throw new TypeError("The network has no batch norms");
      const larger = scales?.[i] ?? 1;
      const [weight, bias, mean, variance] = [...norm.parameters, ...norm.buffers].map(values);
      const scale = weight.map((value, k) => larger * value / Math.sqrt(variance[k] + EPS));
      const shift = bias.map((value, k) => larger * value - mean[k] * scale[k]);
      let at = 0;
      for (const { weight: kernel, outChannels } of layers) {
        const data = values(kernel); // [K, C, kh, kw]
        const each = data.length / outChannels;
        data.forEach((value, j) => data[j] = value * scale[at + Math.floor(j / each)] / before);
        dict.set(kernel.name.replace(/weight$/, "bias"), {
          dtype: "F32",
          shape: [outChannels],
          data: shift.slice(at, at + outChannels),
        });
        at += outChannels;
      }
      for (const { name } of [...norm.parameters, ...norm.buffers]) dict.delete(name);
      before = larger;
    });
    const last = values(this.classifier.weight);
    last.forEach((value, j) => last[j] = value / before);
    return dict;
  }
}

/** One scale above 0 for each of so many maps. */
function checkScales(count: number, scales: readonly number[] = Array(count).fill(1)): void {
  if (scales.length !== count) {
    throw new TypeError(`There are ${count} maps to scale, and ${scales.length} scales`);
  }
  for (const scale of scales) {
    if (scale > 0 && scale < Infinity) continue;
    throw new RangeError(`A scale of maps must be a number above 0: it is ${scale}`);
  }
}
