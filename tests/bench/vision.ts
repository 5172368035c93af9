/**
 * The networks for pictures as subjects of the benchmark: training steps at batch 4, 224 x 224, two classes,
 * and an iteration of style transfer at the homework's size.
 */
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/autograd.ts";
import { crossEntropy } from "../../models/image_operations.ts";
import { LossHistory } from "../../models/loss_history.ts";
import { Sgd } from "../../models/optimizers.ts";
import { type BackboneName, makeBackbone } from "../../models/pretrained.ts";
import type { Learnt } from "../../models/vision_model.ts";
import { SqueezeNet11 } from "../../models/squeezenet.ts";
import { StyleTransfer } from "../../models/style_transfer.ts";
import type { Subject } from "./subject.ts";

const [BATCH, SIZE, CLASSES] = [4, 224, 2];

function trainingStep(gpu: Gpu, backbone: BackboneName, learnt: Learnt): Subject {
  const stream = new RandomStream(1);
  const shape = [BATCH, SIZE, SIZE, 3];
  const pixels = Float32Array.from({ length: BATCH * SIZE * SIZE * 3 }, () => stream.normal());
  const make = () => {
    const model = makeBackbone(backbone, stream, CLASSES).toGpu(gpu, learnt);
    const optimizer = new Sgd(model.store, { lr: 1e-3, momentum: 0.9 });
    return { model, optimizer };
  };
  let parts: ReturnType<typeof make> | undefined;
  return {
    name: `${backbone} training step${learnt === "head" ? ", frozen but for the last layer" : ""}`,
    peerName: `vision-${backbone}-${learnt}`,
    runs: 3,
    async ours(runs) {
      const { model, optimizer } = parts ??= make();
      using history = new LossHistory(gpu, runs);
      const start = performance.now();
      for (let i = 0; i < runs; i++) {
        using x = Tensor.from(gpu, pixels, shape);
        using targets = Tensor.from(gpu, [0, 1, 1, 0], [BATCH], { dtype: "u32" });
        using tape = new Tape(gpu);
        const loss = crossEntropy(tape, model.forward(tape, tape.constant(x)), targets);
        tape.backward(loss);
        optimizer.step();
        await history.add(loss.tensor);
      }
      await history.finish();
      return (performance.now() - start) / runs;
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
        new SqueezeNet11(stream).toGpu(gpu, "none"),
        { content: picture(), style: picture() },
        COMPOSITION,
      );
      const start = performance.now();
      for (let i = 0; i < runs; i++) await run.step();
      await run.finish();
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
