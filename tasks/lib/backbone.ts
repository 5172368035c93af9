/** The flags that name a pretrained network, and the network that they name. */
import { join } from "@std/path";
import {
  EMBEDDED_NOTE,
  EMBEDDED_SIZE,
  readEmbeddedNetwork,
} from "../../data/made/embedded/network.ts";
import { isFolder } from "../../data/files/folder.ts";
import { RandomStream } from "../../data/rng.ts";
import { parseJson } from "../../data/files/json.ts";
import { listed, quote } from "../../data/files/messages.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { readWeightFile } from "../../data/formats/weights.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { networkOf, networkWithin } from "../../models/pictures/known_networks.ts";
import {
  type BackboneName,
  BACKBONES,
  loadPretrained,
  makeBackbone,
} from "../../models/pictures/pretrained.ts";
import { withFile } from "../../models/layers/saved_sizes.ts";
import { squeezeNetWidth } from "../../models/pictures/squeezenet.ts";
import type { Learned, VisionModel } from "../../models/pictures/vision_model.ts";
import { boolean, choice, text } from "./flags.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Flags of every task that uses a pretrained network. */
export const BACKBONE_FLAGS = {
  backbone: choice(BACKBONES, {
    help: "The network that --weights are of",
    default: "resnet18",
  }),
  weights: text({
    placeholder: "FILE",
    help:
      "Weights of a network, a .safetensors, .pth or .npz file with torchvision's names; without it, a small network that neckar pretrained on its own drawings",
    optional: true,
  }),
  partial: boolean({
    help: "Accept weights that are not complete: blocks that miss some begin as identities",
    default: false,
  }),
};

/** What the flags say. */
export interface BackboneSettings {
  /** The network of the weights, told from their names where it is not given; has no say without them. */
  backbone?: BackboneName | undefined;
  /** A file; without one, the embedded network. */
  weights: string | undefined;
  partial: boolean;
}

/** Options of {@linkcode openBackbone}. */
export interface OpenBackboneOptions {
  /** Classes of the last layer; by default as many as the weights have. With `newHead` it begins at random. */
  classes?: number;
  newHead?: boolean;
  /** What is learned; all by default. */
  learned?: Learned;
  /** Seed of what begins at random. */
  seed?: number;
}

/** A network that is ready, and what to say about it. */
export interface OpenBackbone {
  model: VisionModel;
  /** Height and width of the pictures that it was pretrained on, in pixels. */
  size: number;
  /** The names of the classes that it was trained on, where they come with the weights. */
  classNames: readonly string[] | undefined;
  /** Sentences for the console and the page, such as which blocks begin as identities. */
  notes: string[];
}

/** Weights, and what is known of them. */
interface Source extends Omit<OpenBackbone, "model"> {
  name: BackboneName;
  dict: ReadonlyMap<string, TensorData>;
}

/** The network that weights are of. UserError where it is none that is known, or not the one that was named. */
function recognise(dict: Source["dict"], path: string, named?: BackboneName): BackboneName {
  const network = networkOf(dict);
  const found = BACKBONES.find((name) => name === network);
  if (found === undefined) {
    const what = network !== undefined
      ? `are those of ${network}, which is none of the networks here`
      : `are of no network that is known here: ${
        dict.size === 0 ? "it holds no tensor" : `its tensors are ${listed([...dict.keys()], 3)}`
      }`;
    throw new UserError(`The weights in ${path} ${what}; known are ${BACKBONES.join(", ")}`);
  }
  if (named !== undefined && named !== found) {
    throw new UserError(
      `The weights in ${path} are of ${found}, and not of ${named}: use --backbone=${found}`,
    );
  }
  return found;
}

/** The least and the largest height and width of pictures that a model file may ask for. */
const [MIN_SIZE, MAX_SIZE] = [32, 1024];

const show = (value: unknown) => quote(JSON.stringify(value) ?? "missing");

/** What a model that a transfer task saved tells of itself; nothing for other weights. */
function readCard(
  path: string,
  { backbone, classes, normalisation }: Record<string, string>,
): { size?: number; classNames?: string[] } {
  if (backbone === undefined) return {};
  try {
    const classNames = parseJson(classes ?? "", { what: "the list of its classes", depth: 1 });
    const card = parseJson(normalisation ?? "", {
      what: "its normalisation",
      depth: 2,
      values: 100,
    });
    const { size } = (card ?? {}) as { size?: unknown };
    const named = Array.isArray(classNames) && classNames.every((name) => typeof name === "string");
    if (!named) throw new UserError("its classes are no list of names");
    if (!(Number.isInteger(size) && Number(size) >= MIN_SIZE && Number(size) <= MAX_SIZE)) {
      throw new UserError(
        `its pictures' size must be from ${MIN_SIZE} to ${MAX_SIZE}: it is ${show(size)}`,
      );
    }
    return { classNames, size: Number(size) };
  } catch (error) {
    throw UserError.within(`${path} is no model that a transfer task saved`, error);
  }
}

/** The file of weights: where the folder of a run is named, its model. */
async function fileOf(weights: string): Promise<string> {
  return await isFolder(weights) ? join(weights, "model.safetensors") : weights;
}

async function findWeights({ backbone, weights }: BackboneSettings): Promise<Source> {
  if (weights === undefined) {
    const { weights: dict, classes } = await readEmbeddedNetwork();
    const known = { size: EMBEDDED_SIZE, classNames: classes, notes: [EMBEDDED_NOTE] };
    return { name: "squeezenet1_1", dict, ...known };
  }
  const { tensors: all, metadata, notes } = await readWeightFile(await fileOf(weights));
  const within = networkWithin(all);
  const tensors = within?.inner ?? all;
  if (within !== undefined) {
    const { prefix, others } = within;
    const rest = others === 0
      ? "every name"
      : `its names, and passed over ${others} other tensor${others === 1 ? "" : "s"}`;
    notes.push(`The network is a part of a larger model: left out ${quote(prefix)} before ${rest}`);
  }
  const { size = 224, classNames } = readCard(weights, metadata);
  return {
    name: recognise(tensors, weights, backbone),
    dict: tensors,
    size,
    classNames,
    notes,
  };
}

/** Make the network on the GPU and load its weights. The model is the caller's to dispose of. */
export async function openBackbone(
  gpu: Gpu,
  settings: BackboneSettings,
  options: OpenBackboneOptions = {},
): Promise<OpenBackbone> {
  const { newHead = false, learned = "all", seed = 0 } = options;
  const { name, dict, notes, ...known } = await findWeights(settings);
  const last = dict.get("fc.weight") ?? dict.get("classifier.1.weight");
  const classes = options.classes ?? (last?.shape[0] || 1000);
  const shape = name === "squeezenet1_1" ? { width: squeezeNetWidth(dict) } : {};
  const model = makeBackbone(name, classes, shape);
  const load = () => loadPretrained(model, dict, { newHead, partial: settings.partial });
  const report = settings.weights === undefined ? load() : withFile(settings.weights, load);
  model.learn(learned).toGpu(gpu, new RandomStream(seed).split("weights"));
  return { model, ...known, notes: [...notes, ...report.notes] };
}
