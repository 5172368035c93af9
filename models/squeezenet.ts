/**
 * SqueezeNet 1.1 (Iandola et al. 2016, https://arxiv.org/abs/1602.07360), with torchvision's names.
 *
 * @module
 */
import type { RandomStream } from "../data/rng.ts";
import type { TensorData } from "../data/tensor_data.ts";
import type { Tape, Variable } from "./autograd.ts";
import { adaptiveAveragePool2d, maxPool2d } from "./image_operations.ts";
import { normal } from "./init.ts";
import { convolutions, dropout, reshape } from "./operations.ts";
import type { Parameter } from "./parameters.ts";
import { type VisionCall, VisionModel } from "./vision_model.ts";
import { Conv2d } from "./vision_layers.ts";

/** One entry of torchvision's `features`, or two: a convolution has its ReLU in it. */
interface Module {
  layers: readonly Conv2d[];
  forward(tape: Tape, x: Variable): Variable;
}

/** A convolution with its ReLU. */
function convolution(layer: Conv2d): Module {
  return { layers: [layer], forward: (tape, x) => layer.forward(tape, x, { relu: true }) };
}

const pooling: Module = {
  layers: [],
  forward: (tape, x) => maxPool2d(tape, x, { kernel: 3, stride: 2, ceilMode: true }),
};

/** Few channels, then many: by windows of 1 x 1 and of 3 x 3, side by side. */
function fire(
  name: string,
  input: number,
  squeezed: number,
  expanded: number,
  stream: RandomStream,
): Module {
  const layer = (part: string, from: number, to: number, kernel: number, padding = 0) =>
    new Conv2d(`${name}.${part}`, from, to, stream, { kernel, padding });
  const squeeze = layer("squeeze", input, squeezed, 1);
  const expand1 = layer("expand1x1", squeezed, expanded, 1);
  const expand3 = layer("expand3x3", squeezed, expanded, 3, 1);
  return {
    layers: [squeeze, expand1, expand3],
    forward(tape, x) {
      const few = squeeze.forward(tape, x, { relu: true });
      return convolutions(tape, few, [expand1.branch, expand3.branch], { relu: true });
    },
  };
}

/** Options of {@linkcode SqueezeNet11}. */
export interface SqueezeNetOptions {
  /**
   * All channels times this, rounded to a multiple of 4: for a small network. A multiple of 1/16, at most
   * 4; 1 by default.
   */
  width?: number;
}

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
 * using model = new SqueezeNet11(new RandomStream(0)).toGpu(gpu);
 * model.load(await readWeights("squeezenet1_1-b8a52dc0.pth"));
 * using tape = new Tape(gpu, { training: false });
 * const maps = model.featureMaps(tape, tape.constant(pixels), [3, 7]);
 * ```
 */
export class SqueezeNet11 extends VisionModel {
  readonly kind: string;
  readonly featureDim: number;
  readonly parameters: readonly Parameter[];
  readonly buffers: readonly Parameter[] = [];
  /** By torchvision's numbers; the ReLU has none of its own. */
  readonly #modules: ReadonlyMap<number, Module>;
  readonly #classifier: Conv2d;
  readonly #stream: RandomStream;

  /** RangeError for a width that is not allowed. */
  constructor(
    stream: RandomStream,
    readonly classes = 1000,
    { width = 1 }: SqueezeNetOptions = {},
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
    const burn = (at: number, input: number, squeezed: number, expanded: number) =>
      fire(`features.${at}`, input, channels(squeezed), channels(expanded), stream);
    const first = channels(FIRST);
    const [a, b, c] = [64, 128, 192].map((expanded) => 2 * channels(expanded));
    this.#modules = new Map<number, Module>([
      [0, convolution(new Conv2d("features.0", 3, first, stream, { kernel: 3, stride: 2 }))],
      [2, pooling],
      [3, burn(3, first, 16, 64)],
      [4, burn(4, a, 16, 64)],
      [5, pooling],
      [6, burn(6, a, 32, 128)],
      [7, burn(7, b, 32, 128)],
      [8, pooling],
      [9, burn(9, b, 48, 192)],
      [10, burn(10, c, 48, 192)],
      [11, burn(11, c, 64, 256)],
      [12, burn(12, this.featureDim, 64, 256)],
    ]);
    this.#classifier = new Conv2d("classifier.1", this.featureDim, classes, stream, {
      kernel: 1,
      weight: normal(0.01),
    });
    this.#stream = stream.split("dropout");
    const layers = [...this.#modules.values()].flatMap((module) => module.layers);
    this.parameters = [...layers, this.#classifier].flatMap((layer) => layer.parameters);
  }

  get head(): readonly Parameter[] {
    return this.#classifier.parameters;
  }

  /**
   * The results `[1, H, W, C]` of some modules of torchvision's `features`, counted from 0; module 0 is
   * given after its ReLU, as module 1 is. What lies behind the last of them is not computed.
   *
   * Errors: RangeError for a module that there is not.
   */
  featureMaps(tape: Tape, x: Variable, wanted: readonly number[]): Map<number, Variable> {
    for (const at of wanted) {
      if (Number.isInteger(at) && at >= 0 && at < SQUEEZENET_MODULES) continue;
      throw new RangeError(
        `SqueezeNet's features have the layers 0 to ${SQUEEZENET_MODULES - 1}, and ${at} was given`,
      );
    }
    const last = Math.max(...wanted);
    const maps = new Map<number, Variable>();
    let map = x;
    for (const [at, module] of this.#modules) {
      if (at > last) break;
      map = module.forward(tape, map);
      maps.set(at, map);
      if (at === 0) maps.set(1, map);
    }
    return new Map(wanted.map((at) => [at, maps.get(at)!]));
  }

  #lastMap(tape: Tape, x: Variable): Variable {
    const last = SQUEEZENET_MODULES - 1;
    return this.featureMaps(tape, x, [last]).get(last)!;
  }

  features(tape: Tape, x: Variable): Variable {
    const pooled = adaptiveAveragePool2d(tape, this.#lastMap(tape, x), [1, 1]);
    return reshape(tape, pooled, [x.shape[0], this.featureDim]);
  }

  /** As torchvision's classifier, with dropout (p = 0.5) while the tape is training. */
  forward(tape: Tape, x: Variable, { stream = this.#stream }: VisionCall = {}): Variable {
    const key = [stream.uint32(), stream.uint32()] as const;
    const dropped = dropout(tape, this.#lastMap(tape, x), 0.5, key);
    const scores = this.#classifier.forward(tape, dropped, { relu: true });
    const pooled = adaptiveAveragePool2d(tape, scores, [1, 1]);
    return reshape(tape, pooled, [x.shape[0], this.classes]);
  }
}
