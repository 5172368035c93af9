/** What a network makes of pictures, without learning: scores of classes, or features. */
import type { ImageBatch } from "../../data/images/image_loader.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../tape/autograd.ts";
import type { VisionModel } from "../pictures/vision_model.ts";

/** What is wanted of a network: `[N, classes]` before the softmax, or `[N, featureDim]`, the last map's means. */
export type ImageOutput = "scores" | "features";

/** What a network made of a batch. */
export interface ImageOutputs {
  /** Row by row, one for each picture. */
  values: Float32Array<ArrayBuffer>;
  /** Which of the loader's pictures they are, `[N]`. */
  indices: Uint32Array<ArrayBuffer>;
}

/**
 * Go through batches of pictures, as `ImageLoader.epoch` gives them, and give what the network makes of each:
 * no dropout, and batch norms take their running statistics.
 *
 * ```ts ignore
 * for await (const { values, indices } of imageOutputs(model, loader.epoch(0), "features")) {
 *   console.log(indices.length, values.length / indices.length); // 16 512
 * }
 * ```
 */
export async function* imageOutputs(
  model: VisionModel,
  batches: AsyncIterable<ImageBatch>,
  output: ImageOutput,
): AsyncGenerator<ImageOutputs, void, void> {
  const { gpu } = model.store;
  for await (const { pixels, width, height, indices } of batches) {
    const shape = [indices.length, height, width, 3];
    using pictures = Tensor.from(gpu, pixels, shape, { name: "pictures" });
    using _tape = new Tape(gpu, { training: false });
    const x = constant(pictures);
    const y = output === "scores" ? model.forward(x) : model.features(x);
    yield { values: await y.tensor.read(), indices };
  }
}
