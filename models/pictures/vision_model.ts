/** What networks for pictures have in common: their parameters on the GPU, freezing, loading of weights. */
import { quote } from "../../data/files/messages.ts";
import type { RandomStream } from "../../data/rng.ts";
import { type TensorData, toFloat32, whyNotFloats } from "../../data/formats/tensor_data.ts";
import type { Variable } from "../tape/autograd.ts";
import { Module } from "../layers/module.ts";
import type { LoadReport } from "../layers/state_dict.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Options of a forward pass. */
export interface VisionCall {
  /**
   * Batch norms take the batch's own statistics and move the running ones; by default while the tape
   * is training. Apart from freezing: a frozen network that trains its last layer does so too.
   */
  batchStatistics?: boolean;
  /** Where dropout draws from while the tape is training; by default a stream of the network's own. */
  stream?: RandomStream;
}

/** Which parameters are learned: all of them, the last layer's, or none. */
export type Learned = "all" | "head" | "none";

/** A network that turns pictures `[N, H, W, 3]` into scores of classes. */
export abstract class VisionModel extends Module {
  /** Torchvision's name. */
  abstract readonly kind: string;
  /** How many classes it tells apart. */
  abstract readonly classes: number;
  /** Numbers of a picture's pooled features. */
  abstract readonly featureDim: number;
  /** The last layer. */
  abstract readonly head: Module;

  /** The last feature map, averaged over its places: `[N, featureDim]`. */
  abstract features(x: Variable, options?: VisionCall): Variable;
  /** Scores `[N, classes]`, before the softmax. */
  abstract forward(x: Variable, options?: VisionCall): Variable;

  /** Choose which parameters are learned, before `toGpu`: the others cost no gradient work. */
  learn(learned: Learned): this {
    this.freeze(learned !== "all");
    if (learned === "head") this.head.freeze(false);
    return this;
  }

  /**
   * Load weights under torchvision's names, best before `toGpu`: then no others are drawn.
   *
   * Errors: with `strict` (the default), UserError that names missing, unexpected and misshapen keys; UserError too
   * for a tensor that is not finite, and for a variance below 0.
   */
  load(
    dict: ReadonlyMap<string, TensorData>,
    options: { strict?: boolean; dryRun?: boolean } = {},
  ): LoadReport {
    for (const [key, tensor] of dict) {
      if (!key.endsWith(".running_var") || whyNotFloats(tensor.dtype) !== undefined) continue;
      const first = toFloat32(tensor).findIndex((value) => value < 0);
      if (first === -1) continue;
      // Its square root would be NaN.
      throw new UserError(`The variance at place ${first} of ${quote(key)} is below 0`);
    }
    return this.loadStateDict(dict, options);
  }

  /**
   * Make the parts that miss weights begin as identities, where the network has such parts: their names.
   * Called after {@linkcode load}, with what it found missing.
   */
  startWithout(_missing: readonly string[]): string[] {
    return [];
  }
}
