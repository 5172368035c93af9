/** Whole networks for pictures against PyTorch: scores, losses, gradients and weights over steps of training. */
import { assert } from "@std/assert";
import { join } from "@std/path";
import { normalize, prepareForEvaluation } from "../../data/images/augment.ts";
import { decodeImage } from "../../data/images/image.ts";
import { readWeights } from "../../data/formats/weights.ts";
import type { VisionModel } from "../../models/pictures/vision_model.ts";
import { library } from "../data/images/images.ts";
import { gpuDataTest, gpuTest } from "../gpu_support.ts";
import {
  compareWithTorch,
  makeTorchNetwork,
  noise,
  type RunErrors,
  type TorchRun,
} from "./torch_networks.ts";
import fixture from "../fixtures/networks_torch.json" with { type: "json" };
import real from "../fixtures/networks_torch_real.json" with { type: "json" };

/**
 * With batch norms, what steps change may be further off: in float32 some sum comes out on the other side of
 * a ReLU, which counts in every later step. PyTorch's own float32 is 3 % off its float64 after ten. On the photograph
 * that may be so in the first step: of the 50,176 sums of layer3.1.bn1, one lies within a rounding error of zero.
 */
function assertErrors(errors: RunErrors, { buffers }: VisionModel, nearZero = false): void {
  for (const [what, { key, error }] of Object.entries(errors)) {
    const far = what === "changes" || (what === "gradients" && nearZero);
    const most = !far ? 1e-4 : buffers.length > 0 ? 0.05 : 1e-3;
    assert(error < most, `${what}: ${key} is ${error} off, ${most} is allowed`);
  }
}

function title({ backbone, learned, statistics }: TorchRun): string {
  if (backbone === "squeezenet1_1") return backbone;
  return `${backbone}, ${learned === "all" ? "" : "its last layer, "}with ${statistics} statistics`;
}

for (const run of fixture.runs) {
  gpuTest(`trains as in PyTorch, from a formula: ${title(run)}`, async (gpu) => {
    using model = makeTorchNetwork(gpu, run);
    const errors = await compareWithTorch(
      model,
      run,
      (step) => noise(run.labels.length, fixture.size, step),
    );
    assertErrors(errors, model);
  });
}

for (const run of real.runs) {
  gpuDataTest(
    `trains as in PyTorch, on a photograph: ${title(run)}`,
    run.weights,
    async (gpu, path) => {
      const folder = join(path, "../..");
      const given = await readWeights(path);
      // The identity that stands for a block of which two tensors are missing.
      for (const key of ["layer4.1.bn2.weight", "layer4.1.bn2.bias"]) {
        if (run.backbone !== "resnet18") continue;
        given.set(key, { dtype: "F32", shape: [512], data: new Float32Array(512) });
      }
      const picture = await decodeImage(`${folder}/${real.picture}`);
      const pixels = normalize(prepareForEvaluation(picture));
      using model = makeTorchNetwork(gpu, run);
      const errors = await compareWithTorch(model, run, () => pixels, given);
      assertErrors(errors, model, run.statistics === "batch");
    },
    library,
  );
}
