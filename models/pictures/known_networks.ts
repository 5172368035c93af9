/** Which of torchvision's networks a state dict is of, so that a wrong file can be called by its name. */
import type { TensorData } from "../../data/formats/tensor_data.ts";

type Dict = ReadonlyMap<string, TensorData>;

/** The blocks of the ResNets' four layers, with blocks of two convolutions (basic) and of three. */
const RESNETS: Readonly<Record<string, string>> = {
  "basic 3,4,6,3": "resnet34",
  "bottleneck 3,4,6,3": "resnet50",
  "bottleneck 3,4,23,3": "resnet101",
  "bottleneck 3,8,36,3": "resnet152",
};

/** VGG by its convolutions. */
const VGGS: Readonly<Record<number, string>> = {
  8: "vgg11",
  10: "vgg13",
  13: "vgg16",
  16: "vgg19",
};

/** Keys that only networks of one family have. */
const FAMILIES: Readonly<Record<string, string>> = {
  "features.denseblock1.denselayer1.conv1.weight": "a DenseNet",
  "features.denseblock1.denselayer1.conv.1.weight": "a DenseNet",
  "features.1.conv.0.0.weight": "mobilenet_v2",
  "features.1.block.0.0.weight": "a MobileNet V3",
  "features.1.0.block.0.0.weight": "an EfficientNet",
  "features.1.0.layer_scale": "a ConvNeXt",
  "Mixed_5b.branch1x1.conv.weight": "inception_v3",
  "inception3a.branch1.conv.weight": "googlenet",
  "class_token": "a vision transformer",
  "cls_token": "a vision transformer",
  "embeddings.cls_token": "a vision transformer",
  "visual.proj": "CLIP",
  "embed.weight": "a captioner or sentence classifier, which other tasks read",
};

/**
 * The network of torchvision that weights are of, by their names and shapes: `resnet18` and `squeezenet1_1` also
 * where some are missing. `undefined` where it is none that is known.
 */
export function networkOf(dict: Dict): string | undefined {
  const shape = (key: string) => dict.get(key)?.shape.join("x");
  if (dict.has("layer1.0.conv1.weight")) return resnetOf(dict);
  if (dict.has("features.3.squeeze.weight")) {
    return dict.has("features.5.squeeze.weight") ? "squeezenet1_0" : "squeezenet1_1";
  }
  if (shape("features.0.weight") === "64x3x11x11") return "alexnet";
  const convolutions = [...dict].filter(([key, { shape }]) =>
    /^features\.\d+\.weight$/.test(key) && shape.length === 4
  );
  const vgg = VGGS[convolutions.length];
  if (vgg !== undefined && shape("features.0.weight") === "64x3x3x3") {
    return dict.has("features.1.running_mean") ? `${vgg}_bn` : vgg;
  }
  return Object.entries(FAMILIES).find(([key]) => dict.has(key))?.[1];
}

/** Names that the networks which are read here have, and few others. */
const MARKS = ["layer1.0.conv1.weight", "features.3.squeeze.weight"];

/**
 * The only ResNet or SqueezeNet inside a larger model, such as the `net.` of a Lightning module beside its losses and
 * metrics: the prefix of its names, its tensors without it, and how many others there are. Nothing where there is none
 * or more than one, or where nothing stands before the names.
 */
export function networkWithin(
  dict: Dict,
): { prefix: string; inner: Map<string, TensorData>; others: number } | undefined {
  const prefixes = new Set<string>();
  for (const name of dict.keys()) {
    const mark = MARKS.find((mark) => name.endsWith(`.${mark}`));
    if (mark !== undefined) prefixes.add(name.slice(0, -mark.length));
  }
  const [prefix] = prefixes;
  if (prefixes.size !== 1 || MARKS.some((mark) => dict.has(mark))) return undefined;
  const own = [...dict].filter(([name]) => name.startsWith(prefix));
  const inner = new Map(own.map(([name, tensor]) => [name.slice(prefix.length), tensor]));
  return { prefix, inner, others: dict.size - inner.size };
}

function resnetOf(dict: Dict): string {
  const blocks = [1, 2, 3, 4].map((layer) => {
    const own = [...dict.keys()].map((key) => key.match(/^layer(\d)\.(\d+)\./))
      .filter((found) => found?.[1] === `${layer}`);
    return new Set(own.map((found) => found![2])).size;
  });
  const kind = dict.has("layer1.0.conv3.weight") ? "bottleneck" : "basic";
  if (kind === "basic" && blocks.every((count) => count <= 2)) return "resnet18";
  const name = RESNETS[`${kind} ${blocks}`];
  const [width = 64, group = 64] = dict.get("layer1.0.conv2.weight")?.shape ?? [];
  if (name === undefined || kind === "basic" || width === 64) {
    return name ?? `a ResNet with ${blocks.join(", ")} blocks`;
  }
  return width === group ? `wide_${name}_2` : `${name.replace("resnet", "resnext")}_32x${group}d`;
}
