/** The flags that name a pretrained network, and the network that they name. */
import { RandomStream } from "../../data/rng.ts";
import { readWeights } from "../../data/weights.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import {
  type BackboneName,
  BACKBONES,
  loadPretrained,
  makeBackbone,
} from "../../models/pretrained.ts";
import type { Learnt, VisionModel } from "../../models/vision_model.ts";
import { boolean, choice, text } from "./flags.ts";
import { TaskError } from "./main.ts";

/** Flags of every task that uses a pretrained network. */
export const BACKBONE_FLAGS = {
  backbone: choice(BACKBONES, {
    help: "The network",
    default: "resnet18",
  }),
  weights: text({
    placeholder: "FILE",
    help: "Its weights: a .safetensors, .pth or .npz file with torchvision's names",
    optional: true,
  }),
  partial: boolean({
    help: "Accept weights that are not complete: blocks that miss some begin as identities",
    default: false,
  }),
};

/** What the flags say. */
export interface BackboneSettings {
  backbone: BackboneName;
  weights: string | undefined;
  partial: boolean;
}

/** Options of {@linkcode openBackbone}. */
export interface OpenBackboneOptions {
  /** Classes of the last layer; with `newHead` it begins at random. */
  classes?: number;
  newHead?: boolean;
  /** What is learnt; all by default. */
  learnt?: Learnt;
  /** Seed of what begins at random. */
  seed?: number;
}

/** A network that is ready, and what to say about it. */
export interface OpenBackbone {
  model: VisionModel;
  /** Sentences for the console and the page, such as which blocks begin as identities. */
  notes: string[];
}

/** Make the network on the GPU and load its weights. The model is the caller's to dispose of. */
export async function openBackbone(
  gpu: Gpu,
  { backbone, weights, partial }: BackboneSettings,
  { classes = 1000, newHead = false, learnt = "all", seed = 0 }: OpenBackboneOptions = {},
): Promise<OpenBackbone> {
  if (weights === undefined) {
    throw new TaskError("There are no weights: name a file with --weights");
  }
  const dict = await readWeights(weights);
  const model = makeBackbone(backbone, new RandomStream(seed).split("weights"), classes);
  model.toGpu(gpu, learnt);
  try {
    const { notes } = loadPretrained(model, dict, { newHead, partial });
    return { model, notes };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
