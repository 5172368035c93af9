/** The captioner's features of pictures: SqueezeNet's last feature map, averaged over its places. */
import { ImageLoader } from "../../data/images/image_loader.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { imageOutputs } from "../../models/captions/image_features.ts";
import { type OpenBackbone, openBackbone } from "./backbone.ts";
import { interruptSignal } from "./main.ts";
import { turn } from "../../models/training/pace.ts";
import { prepareAt, skippedNotes } from "./own_pictures.ts";
import { progress } from "./progress.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Numbers that SqueezeNet 1.1 gives for a picture. */
export const SQUEEZENET_FEATURES = 512;

/** Open SqueezeNet 1.1 with weights from a file. UserError for another network, or another width. */
export async function openSqueezeNet(gpu: Gpu, weights: string): Promise<OpenBackbone> {
  const flags = { backbone: "squeezenet1_1", weights, partial: false } as const;
  const opened = await openBackbone(gpu, flags, { learned: "none" });
  const { model } = opened;
  if (model.featureDim === SQUEEZENET_FEATURES) return opened;
  model.dispose();
  throw new UserError(
    `The weights in ${weights} give ${model.featureDim} features of a picture, and a captioner's ` +
      `are the ${SQUEEZENET_FEATURES} of a whole SqueezeNet 1.1`,
  );
}

/** Features of pictures. */
export interface ExtractedFeatures {
  /** `[paths, 512]` */
  features: Float32Array<ArrayBuffer>;
  /** The pictures that could be read. */
  paths: string[];
  /** Sentences about those that could not. */
  notes: string[];
}

/**
 * Compute the features of picture files, in order; nothing where Ctrl-C came first. Broken files are left out,
 * with `strict` the first one is a UserError.
 */
export async function extractFeatures(
  { model, size }: OpenBackbone,
  paths: readonly string[],
  strict: boolean,
): Promise<ExtractedFeatures | undefined> {
  const loader = new ImageLoader(paths, {
    batchSize: 8,
    cacheBytes: 0, // each picture is seen once
    prepare: prepareAt(size),
    strict,
  });
  const signal = interruptSignal();
  const features = new Float32Array(paths.length * model.featureDim);
  const kept: string[] = [];
  using bar = progress({ total: paths.length, unit: "picture" });
  for await (const { values, indices } of imageOutputs(model, loader.epoch(0), "features")) {
    features.set(values, kept.length * model.featureDim);
    for (const index of indices) kept.push(paths[index]);
    bar.update(kept.length + loader.skipped.length);
    await turn();
    if (signal.aborted) return undefined;
  }
  return {
    features: features.slice(0, kept.length * model.featureDim),
    paths: kept,
    notes: skippedNotes(loader.skipped),
  };
}
