/**
 * The networks for pictures as subjects of the benchmark: training steps at batch 4, 224 x 224, two classes,
 * and an iteration of style transfer at the homework's size.
 */
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import type { BackboneName } from "../../models/pictures/pretrained.ts";
import type { Learned } from "../../models/pictures/vision_model.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { paint, StyleTransfer } from "../../models/pictures/style_transfer.ts";
import { millisecondsOf, pictureSteps, type Steps } from "./steps.ts";
import type { Subject } from "./subject.ts";

function trainingStep(gpu: Gpu, backbone: BackboneName, learned: Learned): Subject {
  let steps: Steps | undefined;
  return {
    name: `${backbone} training step${learned === "head" ? ", frozen but for the last layer" : ""}`,
    peerName: `vision-${backbone}-${learned}`,
    runs: 3,
    ours(runs) {
      steps ??= pictureSteps(gpu, backbone, { batch: 4, side: 224, learned, lr: 1e-3 });
      return millisecondsOf(steps, runs);
    },
  };
}

/** The homework's settings for Composition VII. */
const COMPOSITION = {
  ...{ contentLayer: 3, contentWeight: 5e-2, tvWeight: 5e-2 },
  ...{ styleLayers: [1, 4, 6, 7], styleWeights: [20000, 500, 12, 1] },
  ...{ lr: 3, lrLate: 0.1, lateAt: 180, clampUntil: 190 },
};

/** An iteration of Composition VII, with random pictures and weights. */
function styleIteration(gpu: Gpu): Subject {
  const stream = new RandomStream(1);
  const shape = [1, 192, 265, 3];
  const size = shape.reduce((a, b) => a * b);
  const picture = () => {
    const pixels = Float32Array.from({ length: size }, () => stream.normal());
    return Tensor.from(gpu, pixels, shape);
  };
  let run: StyleTransfer | undefined;
  return {
    name: "style transfer iteration, 192 x 265",
    peerName: "style",
    runs: 10,
    async ours(runs) {
      run ??= new StyleTransfer(
        new SqueezeNet11().learn("none").toGpu(gpu),
        { content: picture(), style: picture() },
        COMPOSITION,
      );
      const start = performance.now();
      await paint(run, { until: run.iterations + runs, readEvery: runs });
      return (performance.now() - start) / runs;
    },
  };
}

/** All of them. */
export function visionSubjects(gpu: Gpu): Subject[] {
  return [
    trainingStep(gpu, "resnet18", "all"),
    trainingStep(gpu, "resnet18", "head"),
    trainingStep(gpu, "squeezenet1_1", "all"),
    styleIteration(gpu),
  ];
}
