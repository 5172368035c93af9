/**
 * ResNet-18 (He et al. 2016, https://arxiv.org/abs/1512.03385), with torchvision's names.
 *
 * @module
 */
import { tapeOf, type Variable } from "../tape/autograd.ts";
import { adaptiveAveragePool2d, maxPool2d } from "../tape/image_operations.ts";
import { type Initializer, normal, zeros } from "../layers/init.ts";
import { Linear } from "../layers/layers.ts";
import { type VisionCall, VisionModel } from "./vision_model.ts";
import { BatchNorm2d, Conv2d } from "../layers/vision_layers.ts";
import { Module } from "../layers/module.ts";

/** He et al. 2015, for a kernel `[kh, kw, C, K]`: normal of deviation √(2 / (kh·kw·K)). */
const kaimingNormalKernel: Initializer = (shape, stream) =>
  normal(Math.sqrt(2 / (shape[0] * shape[1] * shape[3])))(shape, stream);

/** `relu(bn2(conv2(relu(bn1(conv1(x))))) + x)`, with x convolved where the shape changes. */
class BasicBlock extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: readonly [Conv2d, BatchNorm2d] | undefined;

  constructor(input: number, output: number, stride: number) {
    super();
    const common = { bias: false, weight: kaimingNormalKernel };
    const wide = { ...common, padding: 1 };
    this.conv1 = new Conv2d(input, output, 3, { ...wide, stride });
    this.bn1 = new BatchNorm2d(output);
    this.conv2 = new Conv2d(output, output, 3, wide);
    this.bn2 = new BatchNorm2d(output);
    if (stride === 1 && input === output) return;
    this.downsample = [
      new Conv2d(input, output, 1, { ...common, stride }),
      new BatchNorm2d(output),
    ];
  }

  /** The block hands its input on until its last batch norm has learned otherwise. */
  startAsIdentity(): void {
    for (const parameter of this.bn2.parameters) parameter.write(new Float32Array(parameter.size));
  }

  forward(x: Variable, options: { batchStatistics: boolean }): Variable {
    const inner = this.bn1.forward(this.conv1.forward(x), { ...options, relu: true });
    const [conv, norm] = this.downsample ?? [];
    const residual = conv && norm ? norm.forward(conv.forward(x), options) : x;
    const outer = this.conv2.forward(inner);
    return this.bn2.forward(outer, { ...options, residual, relu: true });
  }
}

/** Channels of the four layers; each but the first halves height and width. */
const CHANNELS = [64, 128, 256, 512];

/**
 * ResNet-18: a stem of 7 x 7, four layers of two blocks each, the mean over all places, a linear layer.
 *
 * ```ts ignore
 * using model = new ResNet18();
 * model.load(await readWeights("resnet18-f37072fd.pth"));
 * model.toGpu(gpu);
 * using tape = new Tape(gpu, { training: false });
 * const scores = model.forward(constant(pixels)); // [N, 1000]
 * ```
 */
export class ResNet18 extends VisionModel {
  /** Torchvision's name. */
  readonly kind = "resnet18";
  /** Numbers of a picture's pooled features. */
  readonly featureDim = 512;
  /** The stem. */
  readonly conv1: Conv2d;
  /** The batch norm of the stem. */
  readonly bn1: BatchNorm2d;
  /** @internal */
  readonly layers: readonly (readonly [BasicBlock, BasicBlock])[];
  /** The last layer. */
  readonly fc: Linear;

  /** So many classes; those of ImageNet by default. */
  constructor(readonly classes = 1000) {
    super();
    this.conv1 = new Conv2d(3, 64, 7, {
      ...{ stride: 2, padding: 3, bias: false, weight: kaimingNormalKernel },
    });
    this.bn1 = new BatchNorm2d(64);
    this.layers = CHANNELS.map((output, i) => [
      new BasicBlock(CHANNELS[Math.max(0, i - 1)], output, i === 0 ? 1 : 2),
      new BasicBlock(output, output, 1),
    ]);
    this.fc = new Linear(this.featureDim, classes, { bias: zeros });
  }

  /** Torchvision counts the layers from 1. */
  protected override nameOf(path: string): string {
    return path.replace(/^layers\.(\d)/, (_, i) => `layer${Number(i) + 1}`);
  }

  /** The last layer. */
  get head(): Linear {
    return this.fc;
  }

  /**
   * A block keeps its input's shape unless it has a `downsample`; one that misses weights can then begin
   * as an identity.
   */
  override startWithout(missing: readonly string[]): string[] {
    const started: string[] = [];
    for (const [i, layer] of this.layers.entries()) {
      for (const [j, block] of layer.entries()) {
        const name = `layer${i + 1}.${j}`;
        if (block.downsample !== undefined) continue;
        if (!missing.some((key) => key.startsWith(`${name}.`))) continue;
        block.startAsIdentity();
        started.push(name);
      }
    }
    return started;
  }

  /** The last feature map, averaged over its places: `[N, 512]`. */
  features(x: Variable, options: VisionCall = {}): Variable {
    const { batchStatistics = tapeOf(x).training } = options;
    const stem = this.bn1.forward(this.conv1.forward(x), {
      batchStatistics,
      relu: true,
    });
    let map = maxPool2d(stem, { kernel: 3, stride: 2, padding: 1 });
    for (const block of this.layers.flat()) map = block.forward(map, { batchStatistics });
    const pooled = adaptiveAveragePool2d(map, [1, 1]);
    return pooled.reshape([x.shape[0], this.featureDim]);
  }

  /** Pictures `[N, H, W, 3]` to scores `[N, classes]`. */
  forward(x: Variable, options: VisionCall = {}): Variable {
    return this.fc.forward(this.features(x, options));
  }
}
