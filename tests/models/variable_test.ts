/** What the golden table does not show of variables: errors, lifetimes, constants, gradients that meet. */
import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { huberLoss } from "../../models/tape/losses.ts";
import { layerNorm } from "../../models/tape/operations.ts";
import { Parameter, ParameterStore } from "../../models/layers/parameters.ts";
import { concat, constant, stack, where } from "../../models/tape/variable.ts";
import { gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";

gpuTest("tensors and numbers are constants of an operation", async (gpu) => {
  using data = Tensor.from(gpu, [1, 2, 3]);
  using other = Tensor.from(gpu, [10, 20, 30], [3], { name: "other" });
  using tape = new Tape(gpu);
  const x = tape.variable(data);
  const y = x.mul(other).sub(4).div(2);
  assertEquals([...await y.tensor.read()], [3, 18, 43]);
  y.sum().backward();
  assertEquals([...await x.grad!.read()], [5, 10, 15]);
});

gpuTest("gradients of one variable in several places add up", async (gpu) => {
  using data = Tensor.from(gpu, [1, 2, -3, 4], [2, 2]);
  using tape = new Tape(gpu);
  const x = tape.variable(data);
  // Σ x² + Σ x·rowmean + x[0, 1], with x as both factors of a product.
  const mean = x.mean(1, { keepDims: true });
  x.mul(x).sum().add(x.mul(mean).sum()).add(x.slice(0, { end: 1 }).slice(1, { start: 1 }).sum())
    .backward();
  const means = [1.5, 1.5, 0.5, 0.5];
  const expected = [1, 2, -3, 4].map((v, i) => 2 * v + 2 * means[i] + Number(i === 1));
  assertLess(relativeError(await x.grad!.read(), expected), 1e-6);
});

gpuTest("a repeated parameter gets the sum of its gradients, in the store's place", async (gpu) => {
  const bias = new Parameter([3], new Float32Array([1, 2, 3]), { name: "bias" });
  using store = new ParameterStore(gpu, [bias]);
  using data = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3]);
  using _tape = new Tape(gpu);
  const loss = constant(data).mul(bias.variable).sum();
  loss.backward();
  assertEquals(bias.variable.grad, bias.variable.slot);
  assertEquals([...(await store.gradients.read()).subarray(0, 3)], [5, 7, 9]);
});

gpuTest("everything an operation makes goes with its tape", (gpu) => {
  using data = Tensor.from(gpu, Float32Array.from({ length: 24 }, (_, i) => i / 10), [2, 3, 4]);
  const before = gpu.pool.liveBuffers;
  {
    using tape = new Tape(gpu);
    const x = tape.variable(data);
    const parts = [
      x.softmax(1).sum(),
      x.logSoftmax(-1).mean(),
      x.max(2).sum(),
      x.variance([0, 2]).sum(),
      x.matmul(x.transpose()).sum(),
      x.gather(2, [3, 0, 1, 1, 2, 2], [2, 3, 1]).sum(),
      x.indexSelect(1, [2, 0]).sum(),
      concat([x, x], 0).sum(),
      where(x.greater(1), x, 0).sum(),
      x.expand([5, 2, 3, 4]).sum(),
    ];
    stack(parts).sum().backward();
  }
  assertEquals(gpu.pool.liveBuffers, before);
});

gpuTest("an evaluation tape records no gradients of the vocabulary", (gpu) => {
  using data = Tensor.from(gpu, [1, 2, 3]);
  using tape = new Tape(gpu, { training: false });
  const y = tape.variable(data).exp().sum();
  assertEquals(y.requiresGrad, false);
});

gpuTest("operations say what does not fit", (gpu) => {
  using data = Tensor.zeros(gpu, [2, 3], { name: "x" });
  using other = Tensor.zeros(gpu, [4, 2], { name: "other" });
  using tape = new Tape(gpu);
  const x = tape.variable(data);
  const refuse = (call: () => unknown, kind: new () => Error, message: string) =>
    void assertThrows(call, kind, message);
  refuse(() => x.reshape([4, -1]), TypeError, '"x" of shape [2, 3] cannot be reshaped to [4, -1]');
  refuse(() => x.reshape([-1, -1]), TypeError, "cannot be reshaped to [-1, -1]");
  refuse(() => x.expand([2, 4]), TypeError, "do not broadcast");
  refuse(() => x.expand([3]), TypeError, '"x" of shape [2, 3] cannot be expanded to [3]');
  refuse(() => x.matmul(other), TypeError, "has inner sizes 3 and 4");
  refuse(() => x.sum().matmul(other), TypeError, "takes at least two axes");
  refuse(() => x.transpose(0, 2), RangeError, "has no axis 2: -2 to 1 are allowed");
  refuse(() => x.clamp(2, 1), RangeError, "A clamp needs a range, and 2 to 1 was given");
  refuse(() => x.indexSelect(1, [0, 3]), RangeError, "3");
  refuse(
    () => x.gather(1, [0, 3], [2, 1]),
    RangeError,
    "Index 1 is 3: 0 to 2 are allowed along axis 1",
  );
  refuse(() => x.gather(1, [0], [2, 1]), TypeError, "1 indices of shape [2, 1] do not gather from");
  refuse(() => huberLoss(x, data, 0), RangeError, "delta is a number above 0, and 0 was given");
  refuse(() => layerNorm(x, { axes: 3 }), RangeError, 'over 1 to 2 axes of "x", and 3 were given');
  refuse(() => concat([]), TypeError, "There must be at least one tensor to concatenate");
  refuse(
    () => concat([x, other], 0),
    TypeError,
    '"other" of shape [4, 2] cannot be concatenated to "x" of shape [2, 3] along axis 0',
  );
});
