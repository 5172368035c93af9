/** The operations on pictures against PyTorch: results, losses, running statistics and every gradient. */
import { assertEquals, assertLess } from "@std/assert";
import { conv2d, conv2dBackward } from "../../kernels/conv2d/conv2d.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, tapeOf, type Variable } from "../../models/tape/autograd.ts";
import { crossEntropy } from "../../models/tape/cross_entropy.ts";
import * as images from "../../models/tape/image_operations.ts";
import { linear } from "../../models/tape/operations.ts";
import { disposeAll } from "../kernels/values.ts";
import { gpuTestBothPaths } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { numbers } from "./torch_captioner.ts";
import fixture from "../fixtures/vision_torch.json" with { type: "json" };

interface Stored {
  shape: number[];
  data: string;
}

/** An operation as it went in PyTorch. */
interface Entry {
  inputs: Record<string, Stored>;
  y: Stored;
  dy: Stored;
  gradients: Record<string, Stored>;
}

const TOLERANCE = 1e-5;

function upload(gpu: Gpu, { shape, data }: Stored): Tensor {
  return Tensor.from(gpu, numbers(data), shape);
}

async function compare(got: Tensor, { shape, data }: Stored, what: string): Promise<void> {
  assertEquals([...got.shape], shape, what);
  const error = relativeError(await got.read(), numbers(data));
  assertLess(error, TOLERANCE, `${what}: ${error}`);
}

/** Run an operation on a tape, and compare its result and its gradients from the stored direct one. */
async function check(
  gpu: Gpu,
  { inputs, y, dy, gradients }: Entry,
  run: (inputs: Record<string, Variable>) => Variable,
): Promise<void> {
  using tape = new Tape(gpu);
  const variables = Object.fromEntries(
    Object.entries(inputs).map(([name, stored]) => {
      return [name, tape.variable(tape.keep(upload(gpu, stored)))];
    }),
  );
  const result = run(variables);
  await compare(result.tensor, y, "y");
  // A loss whose gradient on the result is dy.
  const column = tape.keep(Tensor.from(gpu, numbers(dy.data), [result.tensor.size, 1]));
  const row = result.reshape([1, result.tensor.size]);
  tape.backward(linear(row, constant(column)));
  for (const [name, stored] of Object.entries(gradients)) {
    await compare(variables[name].grad!, stored, `the gradient of ${name}`);
  }
}

gpuTestBothPaths(
  "batch norm as in PyTorch, over two steps and then without training",
  async (gpu) => {
    using runningMean = Tensor.zeros(gpu, [4]);
    using runningVar = Tensor.from(gpu, [1, 1, 1, 1]);
    for (const { training, ...entry } of fixture.batchNorm) {
      await check(gpu, entry, ({ x, residual, weight, bias }) => {
        const channels = { weight, bias, runningMean, runningVar };
        return images.batchNorm(x, channels, { training, relu: true, residual });
      });
      await compare(runningMean, entry.runningMean, "running mean");
      await compare(runningVar, entry.runningVar, "running variance");
    }
  },
);

gpuTestBothPaths("pooling as in PyTorch", async (gpu) => {
  for (const { options, ...entry } of fixture.maxPool) {
    await check(gpu, entry, ({ x }) => images.maxPool2d(x, options));
  }
  for (const { size: [height, width], ...entry } of fixture.averagePool) {
    await check(gpu, entry, ({ x }) => {
      return images.adaptiveAveragePool2d(x, [height, width]);
    });
  }
});

gpuTestBothPaths("the losses as in PyTorch", async (gpu) => {
  const { style, totalVariation, crossEntropy: classes } = fixture;
  await check(gpu, style, ({ x }) => {
    const target = tapeOf(x).keep(upload(gpu, style.target));
    return images.squaredDifference(images.gram(x), target, style.weight);
  });
  await check(gpu, totalVariation, ({ x }) => {
    return images.totalVariation(x, totalVariation.weight);
  });
  await check(gpu, classes, ({ x }) => {
    const targets = Tensor.from(gpu, classes.targets, [3], { dtype: "u32" });
    return crossEntropy(x, tapeOf(x).keep(targets));
  });
});

gpuTestBothPaths("convolution as in PyTorch", async (gpu) => {
  for (const { stride, padding, ...entry } of fixture.conv2d) {
    const [x, w, bias, dy] = [entry.inputs.x, entry.inputs.w, entry.inputs.b, entry.dy]
      .map((stored) => upload(gpu, stored));
    const y = conv2d(x, w, { bias, stride, padding });
    await compare(y, entry.y, "y");
    const { dx, dw, db } = conv2dBackward(dy, x, w, { stride, padding });
    await compare(dx, entry.gradients.x, "dx");
    await compare(dw, entry.gradients.w, "dw");
    await compare(db, entry.gradients.b, "db");
    disposeAll({ x, w, bias, dy, y, dx, dw, db });
  }
});
