/** Training steps of the networks for pictures as subjects of the benchmark: batch 4, 224 x 224, two classes. */
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { Tensor } from "../../kernels/tensor.ts";
import { Tape } from "../../models/autograd.ts";
import { crossEntropy } from "../../models/image_operations.ts";
import { LossHistory } from "../../models/loss_history.ts";
import { Sgd } from "../../models/optimizers.ts";
import { type BackboneName, makeBackbone } from "../../models/pretrained.ts";
import type { Learnt } from "../../models/vision_model.ts";
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

/** All of them. */
export function visionSubjects(gpu: Gpu): Subject[] {
  return [
    trainingStep(gpu, "resnet18", "all"),
    trainingStep(gpu, "resnet18", "head"),
    trainingStep(gpu, "squeezenet1_1", "all"),
  ];
}
