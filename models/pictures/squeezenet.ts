/**
 * SqueezeNet 1.1 (Iandola et al. 2016, https://arxiv.org/abs/1602.07360), with torchvision's names.
 *
 * @module
 */
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { tapeOf, type Variable } from "../tape/autograd.ts";
import { adaptiveAveragePool2d, maxPool2d } from "../tape/image_operations.ts";
import { normal, zeros } from "../layers/init.ts";
import { Dropout } from "../layers/layers.ts";
import { convolutions } from "../tape/operations.ts";
import type { Parameter } from "../layers/parameters.ts";
import { type VisionCall, VisionModel } from "./vision_model.ts";
import { BatchNorm2d, Conv2d, kaimingUniformKernel } from "../layers/vision_layers.ts";
import { Module } from "../layers/module.ts";

/** Convolutions of the same maps side by side, a batch norm where the network has them, a ReLU. */
class Unit extends Module {
  readonly norm: BatchNorm2d | undefined;
  readonly #name: string;

  /** The convolutions by torchvision's names; `name` is the batch norm's, before its own. */
  constructor(readonly layers: ReadonlyMap<string, Conv2d>, name: string, batchNorm: boolean) {
    super();
    this.#name = name;
    if (!batchNorm) return;
    this.norm = new BatchNorm2d(layers.values().reduce((sum, one) => sum + one.outChannels, 0));
  }

  protected override nameOf(path: string): string {
    const name = path.replace(/^layers\./, "").replace(/^norm/, `${this.#name}.norm`);
    return name.replace(/^\./, "");
  }

  forward(x: Variable, batchStatistics: boolean): Variable {
    const branches = this.layers.values().map((layer) => layer.branch).toArray();
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
 * using model = new SqueezeNet11();
 * model.load(await readWeights("squeezenet1_1-b8a52dc0.pth"));
 * model.toGpu(gpu);
 * using tape = new Tape(gpu, { training: false });
 * const maps = model.featureMaps(constant(pixels), [3, 7]);
 * ```
 */
export class SqueezeNet11 extends VisionModel {
  /** Torchvision's name, with a width that is not 1. */
  readonly kind: string;
  /** Numbers of a picture's pooled features. */
  readonly featureDim: number;
  /**
   * By torchvision's numbers; the ReLU has none of its own.
   *
   * @internal
   */
  readonly stages: ReadonlyMap<number, Stage>;
  /** Dropout, and a convolution by windows of 1 x 1 to the classes. */
  readonly classifier: readonly [Dropout, Conv2d];

  /** RangeError for a width that is not allowed. */
  constructor(
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
    const begin = { weight: kaimingUniformKernel, bias: batchNorm ? false : zeros };
    const fire = (input: number, squeezed: number, expanded: number): Unit[] => {
      const [few, many] = [channels(squeezed), channels(expanded)];
      const squeeze = new Conv2d(input, few, 1, begin);
      const narrow = new Conv2d(few, many, 1, begin);
      const wide = new Conv2d(few, many, 3, { ...begin, padding: 1 });
      return [
        new Unit(new Map([["squeeze", squeeze]]), "squeeze", batchNorm),
        new Unit(new Map([["expand1x1", narrow], ["expand3x3", wide]]), "expand", batchNorm),
      ];
    };
    const first = new Conv2d(3, channels(FIRST), 3, { ...begin, stride: 2 });
    const [a, b, c] = [64, 128, 192].map((expanded) => 2 * channels(expanded));
    this.stages = new Map<number, Stage>([
      [0, [new Unit(new Map([["", first]]), "", batchNorm)]],
      [2, "pooling"],
      [3, fire(first.outChannels, 16, 64)],
      [4, fire(a, 16, 64)],
      [5, "pooling"],
      [6, fire(a, 32, 128)],
      [7, fire(b, 32, 128)],
      [8, "pooling"],
      [9, fire(b, 48, 192)],
      [10, fire(c, 48, 192)],
      [11, fire(c, 64, 256)],
      [12, fire(this.featureDim, 64, 256)],
    ]);
    this.classifier = [
      new Dropout(),
      new Conv2d(this.featureDim, classes, 1, {
        weight: normal(0.01),
        bias: zeros,
      }),
    ];
  }

  /** Torchvision knows no units. */
  protected override nameOf(path: string): string {
    return path.replace(/^stages\.(\d+)\.\d+/, "features.$1").replace(/\.\./, ".");
  }

  get #units(): Unit[] {
    return [...this.stages.values()].flatMap((module) => module === "pooling" ? [] : module);
  }

  /** The last convolution. */
  get head(): Conv2d {
    return this.classifier[1];
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
    for (const [at, module] of this.stages) {
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

  /** The last feature map, averaged over its places: `[N, featureDim]`. */
  features(x: Variable, options: VisionCall = {}): Variable {
    const pooled = adaptiveAveragePool2d(this.#lastMap(x, options), [1, 1]);
    return pooled.reshape([x.shape[0], this.featureDim]);
  }

  /** As torchvision's classifier, with dropout (p = 0.5) while the tape is training. */
  forward(x: Variable, options: VisionCall = {}): Variable {
    const [dropout, last] = this.classifier;
    const dropped = dropout.forward(this.#lastMap(x, options), options.stream);
    const scores = last.forward(dropped, { relu: true });
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
    const dict = await this.stateDict();
    const values = ({ name }: Parameter) => dict.get(name)!.data as Float32Array<ArrayBuffer>;
    let before = 1;
    units.forEach(({ norm, layers }, i) => {
      if (norm === undefined) throw new TypeError("The network has no batch norms");
      const larger = scales?.[i] ?? 1;
      const [weight, bias, mean, variance] = [...norm.parameters, ...norm.buffers].map(values);
      const scale = weight.map((value, k) => larger * value / Math.sqrt(variance[k] + EPS));
      const shift = bias.map((value, k) => larger * value - mean[k] * scale[k]);
      let at = 0;
      for (const { weight: kernel, outChannels } of layers.values()) {
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
    const last = values(this.head.weight);
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
