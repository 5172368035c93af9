/** The captioner against PyTorch: losses, gradients and weights over ten steps of training. */
import { assertAlmostEquals, assertEquals, assertLess } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { Captioner, uploadCaptions } from "../../models/captions/captioner.ts";
import { Adam, type Optimizer, RmsProp, Sgd } from "../../models/training/optimizers.ts";
import { gpuTestBothPaths } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { BATCH, CAPTIONS, RUNS, type TorchRun } from "./torch_captioner.ts";

function makeOptimizer(captioner: Captioner, { optimizer, options, clip }: TorchRun): Optimizer {
  const { weight_decay: weightDecay = 0, ...rest } = options;
  const ours = { ...rest, weightDecay, clipNorm: clip };
  switch (optimizer) {
    case "Adam":
      return new Adam(captioner.store, ours);
    case "RMSprop":
      return new RmsProp(captioner.store, ours);
    case "SGD":
      return new Sgd(captioner.store, ours);
    default:
      throw new TypeError(`The fixture has the optimizer ${optimizer}`);
  }
}

for (const run of RUNS) {
  gpuTestBothPaths(`a captioner trains as in PyTorch: ${run.name}`, async (gpu) => {
    const { config, features, losses } = run;
    using captioner = new Captioner(gpu, config, new RandomStream(0));
    captioner.loadStateDict(run.initial);
    using optimizer = makeOptimizer(captioner, run);
    using batch = uploadCaptions(gpu, CAPTIONS, features, {
      batch: BATCH,
      vocabularySize: config.vocabularySize,
    });
    for (const [step, expected] of losses.entries()) {
      using tape = new Tape(gpu);
      const loss = captioner.loss(batch);
      tape.backward(loss);
      if (step === 0) await compareGradients(captioner, run);
      optimizer.step();
      const [got] = await loss.tensor.read();
      assertAlmostEquals(got, expected, 1e-4 * expected, `the loss of step ${step}`);
    }
    const final = await captioner.stateDict();
    assertEquals([...final.keys()].sort(), [...run.final.keys()].sort());
    for (const [key, { shape, data }] of run.final) {
      assertEquals(final.get(key)!.shape, shape);
      const error = relativeError(final.get(key)!.data as Float32Array, data as Float32Array);
      assertLess(error, 1e-4, `${key} after ten steps: ${error}`);
    }
  });
}

/** Gradients have the layout of the parameter; that of the second bias, which is frozen there, is not stored. */
async function compareGradients(captioner: Captioner, { gradients }: TorchRun): Promise<void> {
  const compared = new Set<string>();
  for (const { keys, parameter: { layout, variable } } of captioner.saved) {
    const parts = layout.encode(await variable.grad!.read());
    layout.slots.forEach(({ shape }, i) => {
      const key = keys[i];
      const expected = gradients.get(key);
      if (expected === undefined) return;
      compared.add(key);
      assertEquals([...shape], expected.shape);
      const error = relativeError(parts[i], expected.data as Float32Array);
      assertLess(error, 1e-5, `the gradient of ${key}: ${error}`);
    });
  }
  assertEquals([...compared].sort(), [...gradients.keys()].sort());
}
