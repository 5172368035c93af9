/**
 * Style transfer (Gatys, Ecker and Bethge 2016, "Image style transfer using convolutional neural networks"),
 * as the third assignment of CS231n has it: the pixels of a picture are moved until a network sees the
 * content of one picture and the style of another in them.
 *
 * @module
 */
import { clampInPlace } from "../../kernels/elementwise.ts";
import { expectShape, Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, type Variable } from "../tape/autograd.ts";
import { gram, squaredDifference, totalVariation } from "../tape/image_operations.ts";
import { fit, type FitOptions, type FitResult } from "../training/fit.ts";
import { Module } from "../layers/module.ts";
import { Adam } from "../training/optimizers.ts";
import { Parameter } from "../layers/parameters.ts";
import type { SqueezeNet11 } from "./squeezenet.ts";

/** What is wanted of the picture, and how it is sought. */
export interface StyleSettings {
  /** The layer whose maps are to be those of the content picture; torchvision's `features`, from 0. */
  contentLayer: number;
  /** Weight of the content. */
  contentWeight: number;
  /** The layers whose Gram matrices are to be those of the style picture, each with its weight. */
  styleLayers: readonly number[];
  /** The weights of these layers. */
  styleWeights: readonly number[];
  /** Of the squared differences between neighboring pixels. */
  tvWeight: number;
  /** Learning rate of Adam, and the one from iteration `lateAt` on, where Adam starts anew. */
  lr: number;
  /** Learning rate from iteration `lateAt` on. */
  lrLate: number;
  /** The iteration at which Adam starts anew. */
  lateAt: number;
  /** Before this iteration the pixels are kept within ±{@linkcode PIXEL_BOUND}. */
  clampUntil: number;
}

/** How far normalized pixels may be from 0 while they are kept within bounds. */
export const PIXEL_BOUND = 1.5;

/** The weighted losses of an iteration. */
export interface StyleLosses {
  /** Of the content. */
  content: number;
  /** Of the style. */
  style: number;
  /** Total variation. */
  variation: number;
  /** Their sum. */
  total: number;
}

/** The pictures, normalized as the network wants them, channels last. */
export interface StylePictures {
  /** `[1, H, W, 3]` */
  content: Tensor;
  /** `[1, h, w, 3]` */
  style: Tensor;
  /** The first values of the pixels, `[H, W, 3]`; those of the content picture by default. */
  start?: Float32Array<ArrayBuffer> | undefined;
}

function checkSettings({ styleLayers, styleWeights, ...rest }: StyleSettings): void {
  if (styleLayers.length !== styleWeights.length) {
    throw new TypeError(
      `Every style layer has a weight: there are ${styleLayers.length} layers and ` +
        `${styleWeights.length} weights`,
    );
  }
  if (new Set(styleLayers).size < styleLayers.length) {
    throw new TypeError(`The style layers must differ: they are ${styleLayers.join(", ")}`);
  }
  const { contentWeight, tvWeight, lateAt, clampUntil, lr, lrLate } = rest;
  for (const weight of [...styleWeights, contentWeight, tvWeight]) {
    if (weight >= 0 && weight < Infinity) continue;
    throw new RangeError(`The weight of a loss must be a number from 0: it is ${weight}`);
  }
  for (const rate of [lr, lrLate]) {
    if (rate > 0 && rate < Infinity) continue;
    throw new RangeError(`A learning rate must be a number above 0: it is ${rate}`);
  }
  for (const iteration of [lateAt, clampUntil]) {
    if (Number.isInteger(iteration) && iteration >= 0) continue;
    throw new RangeError(`An iteration must be a whole number from 0: it is ${iteration}`);
  }
}

/**
 * The search for a picture: its pixels are what is learned. Of the content and style pictures only what the network sees
 * in them is kept. {@linkcode paint} searches.
 */
export class StyleTransfer extends Module {
  /** Iterations begun. */
  iterations = 0;
  /** Moves the pixels. */
  readonly optimizer: Adam;
  /** Numbers noted of an iteration: the losses of content, total variation, and each style layer. */
  readonly parts: number;
  readonly #network: SqueezeNet11;
  /** The pixels as a parameter. */
  readonly picture: Parameter;
  readonly #contentTarget: Tensor;
  /** Gram matrices of the style picture's maps. */
  readonly #styleTargets: readonly Tensor[];
  readonly #owned: DisposableStack;

  /**
   * `network` must learn nothing (`learn("none")`).
   *
   * Errors: TypeError for pictures of another shape, and for settings that do not fit each other; RangeError
   * for a layer that there is not, or a weight or iteration below 0.
   */
  constructor(
    network: SqueezeNet11,
    { content, style, start }: StylePictures,
    readonly settings: StyleSettings,
  ) {
    super();
    checkSettings(settings);
    expectShape(content, [1, null, null, 3], "A content picture [1, H, W, 3]");
    expectShape(style, [1, null, null, 3], "A style picture [1, h, w, 3]");
    if (network.store.trainable.length > 0) {
      throw new TypeError(
        'Style transfer needs a network that learns nothing: network.learn("none")',
      );
    }
    const { gpu } = content;
    const { contentLayer, styleLayers, lr } = settings;
    using owned = new DisposableStack(); // until all went well
    this.#network = network;
    this.picture = new Parameter(content.shape, start ?? new Float32Array(content.size));
    this.parts = 2 + styleLayers.length;
    {
      using _tape = new Tape(gpu, { training: false });
      const maps = this.#maps(constant(content));
      const kept = ({ tensor }: Variable, name: string) => {
        const copy = owned.use(Tensor.empty(gpu, tensor.shape, { name }));
        copy.copyFrom(tensor);
        return copy;
      };
      this.#contentTarget = kept(maps.get(contentLayer)!, "content");
      const styleMaps = this.#maps(constant(style));
      this.#styleTargets = styleLayers.map((at) => kept(gram(styleMaps.get(at)!), "style"));
      gpu.flush();
    }
    this.toGpu(gpu);
    owned.adopt(this, () => super.dispose());
    if (start === undefined) this.pixels.copyFrom(content);
    this.optimizer = owned.use(new Adam(this.store, { lr }));
    this.#owned = owned.move();
  }

  /** The pixels as they are now: `[1, H, W, 3]`, normalized. They stay this object's. */
  get pixels(): Tensor {
    return this.picture.tensor;
  }

  /** The gradient of the total loss on the pixels in the last iteration, `[1, H, W, 3]`. */
  get gradient(): Tensor {
    return this.picture.variable.slot!;
  }

  /** The losses of iterations, of the numbers that were noted of each. */
  lossesOf(noted: readonly number[]): StyleLosses[] {
    const { parts } = this;
    return Array.from({ length: Math.floor(noted.length / parts) }, (_, i) => {
      const [content, variation, ...styles] = noted.slice(parts * i, parts * (i + 1));
      const style = styles.reduce((a, b) => a + b, 0);
      return { content, style, variation, total: content + style + variation };
    });
  }

  /** What the network sees in a picture, in the layers that count. */
  #maps(x: Variable): Map<number, Variable> {
    const { contentLayer, styleLayers } = this.settings;
    return this.#network.featureMaps(x, [...new Set([contentLayer, ...styleLayers])]);
  }

  /**
   * The loss of iteration `at`, and what is noted of it: the pixels are brought within bounds before it, and at
   * `lateAt` the optimizer begins anew.
   */
  loss(at: number): [Variable, ...Tensor[]] {
    const { lateAt, lr, lrLate, clampUntil } = this.settings;
    if (at < clampUntil) clampInPlace(this.pixels, -PIXEL_BOUND, PIXEL_BOUND);
    if (at === lateAt) this.optimizer.reset();
    this.optimizer.lr = at < lateAt ? lr : lrLate;
    this.iterations = at + 1;
    const { contentLayer, contentWeight, styleLayers, styleWeights, tvWeight } = this.settings;
    const pixels = this.picture.variable;
    const maps = this.#maps(pixels);
    const losses = [
      squaredDifference(maps.get(contentLayer)!, this.#contentTarget, contentWeight),
      totalVariation(pixels, tvWeight),
      ...styleLayers.map((at, i) =>
        squaredDifference(gram(maps.get(at)!), this.#styleTargets[i], styleWeights[i])
      ),
    ];
    return [losses.reduce((sum, loss) => sum.add(loss)), ...losses.map(({ tensor }) => tensor)];
  }

  /** Let go of what is on the GPU. */
  override dispose(): void {
    this.#owned.dispose();
  }
}

/** What is to be done, besides the options of `fit`. */
export interface PaintOptions
  extends Omit<FitOptions<number>, "optimizer" | "batches" | "loss" | "parts"> {
  /** So many iterations in all. */
  until: number;
}

/**
 * Go on with a search until so many iterations are done: what `fit` gives, its losses in their parts
 * ({@linkcode StyleTransfer.lossesOf}).
 *
 * ```ts ignore
 * using transfer = new StyleTransfer(network, { content, style }, settings);
 * const { losses } = await paint(transfer, { until: 200 });
 * console.log(transfer.lossesOf(losses).at(-1));
 * const pixels = await transfer.pixels.read(); // denormalize(pixels, width, height) makes a picture of them
 * ```
 */
export function paint(transfer: StyleTransfer, options: PaintOptions): Promise<FitResult> {
  return fit(transfer, { ...options, ...painting(transfer, options.until) });
}

/** What {@linkcode paint} does, as options of `fit`. */
export function painting(
  transfer: StyleTransfer,
  until: number,
): Pick<Required<FitOptions<number>>, "optimizer" | "batches" | "loss" | "parts" | "unit"> {
  const { optimizer, parts, iterations } = transfer;
  return {
    ...{ optimizer, parts, unit: "iteration" },
    batches: () => Array.from({ length: until - iterations }, (_, i) => iterations + i),
    loss: (at) => transfer.loss(at),
  };
}
