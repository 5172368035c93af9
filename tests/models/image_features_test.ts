/** What a network makes of pictures in batches. */
import { assertEquals, assertLess } from "@std/assert";
import { join } from "@std/path";
import { normalize, prepareForEvaluation } from "../../data/images/augment.ts";
import { readPictures } from "../../data/sets/coco_captioning.ts";
import { readHdf5 } from "../../data/formats/hdf5/hdf5.ts";
import { ImageLoader } from "../../data/images/image_loader.ts";
import { readWeights } from "../../data/formats/weights.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../../models/tape/autograd.ts";
import { imageOutputs } from "../../models/captions/image_features.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { library, noise } from "../data/images/images.ts";
import { gpuDataTest, gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";

gpuTest("imageOutputs() gives what the network makes of each picture", async (gpu) => {
  using model = new SqueezeNet11(5, { width: 1 / 16 }).learn("none").toGpu(gpu);
  const pictures = [1, 2, 3].map((seed) => noise(40, 33, seed));
  const loader = new ImageLoader(pictures, { batchSize: 2 });
  for (const [output, width] of [["scores", 5], ["features", 32]] as const) {
    const seen: number[] = [];
    for await (const { values, indices } of imageOutputs(model, loader.epoch(0), output)) {
      assertEquals(values.length, width * indices.length);
      for (const [i, index] of indices.entries()) {
        using x = Tensor.from(gpu, normalize(pictures[index]), [1, 33, 40, 3]);
        using _tape = new Tape(gpu, { training: false });
        const alone = output === "scores"
          ? model.forward(constant(x))
          : model.features(constant(x));
        const row = values.subarray(width * i, width * (i + 1));
        assertLess(relativeError(row, await alone.tensor.read()), 1e-5);
        seen.push(index);
      }
    }
    assertEquals(seen, [0, 1, 2]);
  }
});

gpuDataTest(
  "imageOutputs() gives the features of photographs that PIL and torchvision gave",
  "captions/coco_mini/val2014_vgg16_fc7_pca.h5",
  async (gpu, path) => {
    const folder = join(path, "..");
    const { features: { data } } = await readHdf5(path, ["features"]);
    const pictures = (await readPictures(folder, "val")).slice(0, 6);
    const paths = pictures.map(({ name }) => join(folder, "images", name));
    using model = new SqueezeNet11().learn("none").toGpu(gpu);
    model.load(await readWeights(join(folder, "../../weights/squeezenet1_1.safetensors")));
    const loader = new ImageLoader(paths, { batchSize: 6, prepare: prepareForEvaluation });
    for await (const { values } of imageOutputs(model, loader.epoch(0), "features")) {
      const expected = (data as Float32Array).subarray(0, 6 * 512);
      assertLess(relativeError(values, expected), 1e-4);
    }
  },
  library,
);
