/**
 * The small network that comes with neckar, for a machine without other weights. It was trained on
 * drawings (data/made/drawings.ts) by `deno task pretrain`, and knows nothing of ImageNet.
 *
 * @module
 */
import { decodeSafetensors } from "../../formats/safetensors.ts";
import type { TensorData } from "../../formats/tensor_data.ts";

/** Its channels, compared with SqueezeNet 1.1. */
export const EMBEDDED_WIDTH = 0.375;

/** Height and width of the pictures that it was trained on, in pixels. */
export const EMBEDDED_SIZE = 96;

/** What to say wherever it is used. */
export const EMBEDDED_NOTE =
  "The network is not ImageNet's: it is a small one that neckar pretrained on its own drawings, " +
  "since no --weights=FILE is given";

/** The embedded network. */
export interface EmbeddedNetwork {
  /** Under the names of torchvision's SqueezeNet 1.1, in 16 bits a number. */
  weights: Map<string, TensorData>;
  /** What its answers mean. */
  classes: string[];
  /** The share of drawings it never saw whose class it told. */
  accuracy: number;
}

/**
 * Read the embedded network: from a file, or from the net where this module came from there. Needs
 * `--allow-read` or `--allow-net`.
 */
export async function readEmbeddedNetwork(): Promise<EmbeddedNetwork> {
  const response = await fetch(new URL("drawings.safetensors", import.meta.url));
  if (!response.ok) {
    throw new Deno.errors.NotFound(
      `The embedded network cannot be read: ${response.url} answers ${response.status}`,
    );
  }
  const { tensors, metadata } = decodeSafetensors(new Uint8Array(await response.arrayBuffer()));
  return {
    weights: tensors,
    classes: JSON.parse(metadata.classes),
    accuracy: Number(metadata.accuracy),
  };
}
