/** What the golden table does not show of the cross-entropy: how much is run, what is refused, what becomes NaN. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { crossEntropy, type CrossEntropyOptions } from "../../models/tape/cross_entropy.ts";
import { temporalSoftmaxLoss } from "../../models/tape/operations.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { countDispatches } from "../kernels/values.ts";

const VALUES = Array.from({ length: 12 }, (_, i) => Math.sin(i * i));

gpuTest("a cross-entropy without weights and label smoothing is one kernel and a sum", (gpu) => {
  using data = Tensor.from(gpu, VALUES, [2, 2, 3]);
  using targets = Tensor.from(gpu, [0, 2, 1, 1], [2, 2], { dtype: "u32" });
  const all: [Tensor<"u32"> | number[], CrossEntropyOptions][] = [
    [targets, {}],
    [targets, { reduction: "sum", ignore: 1 }],
    [[0, 2, 1, 1], { ignore: 1 }],
  ];
  using tape = new Tape(gpu);
  const count = (run: () => unknown) => countDispatches(gpu, run).dispatches;
  const scores = tape.variable(data);
  const homework = count(() => temporalSoftmaxLoss(scores, targets));
  for (const [given, options] of all) {
    assertEquals(count(() => crossEntropy(scores, given, options)), homework);
  }
  const loss = crossEntropy(scores, targets);
  assertEquals(count(() => tape.backward(loss)), 0);
});

gpuTestBothPaths(
  "targets that are no class, or all ignored on the GPU, become NaN",
  async (gpu) => {
    using data = Tensor.from(gpu, VALUES.slice(0, 6), [2, 3]);
    using none = Tensor.from(gpu, [5, 5], [2], { dtype: "u32" });
    using wrong = Tensor.from(gpu, [1, 3], [2], { dtype: "u32" });
    using tape = new Tape(gpu);
    const run = async (
      targets: Tensor<"u32">,
      options: CrossEntropyOptions,
    ) => [...await crossEntropy(tape.variable(data), targets, options).tensor.read()];
    for (const options of [{}, { weight: [1, 2, 3] }, { labelSmoothing: 0.1 }]) {
      assertEquals(await run(none, { ...options, ignore: 5 }), [NaN]);
      assertEquals(await run(none, { ...options, ignore: 5, reduction: "sum" }), [0]);
      const [first, second] = await run(wrong, { ...options, reduction: "none" });
      assert(first > 0 && Number.isNaN(second), `${first} ${second}`);
    }
  },
);

gpuTest("a cross-entropy takes weights as a tensor, and a negative ignored number", async (gpu) => {
  using data = Tensor.from(gpu, VALUES, [4, 3]);
  using weight = Tensor.from(gpu, [1, 0.5, 2]);
  using tape = new Tape(gpu);
  const scores = tape.variable(data);
  const run = async (
    targets: number[],
    options: CrossEntropyOptions,
  ) => [...await crossEntropy(scores, targets, { ...options, reduction: "none" }).tensor.read()];
  const expected = await run([0, 2, 1, 1], { weight: [1, 0.5, 2] });
  assertEquals(await run([0, 2, 1, 1], { weight }), expected);
  expected[1] = expected[2] = 0;
  assertEquals(await run([0, -100, -100, 1], { weight, ignore: -100 }), expected);
});

gpuTest("a cross-entropy refuses what does not fit", (gpu) => {
  using data = Tensor.from(gpu, VALUES, [2, 2, 3]);
  using flat = Tensor.from(gpu, [0, 1, 2, 0], [4], { dtype: "u32", name: "flat" });
  using tape = new Tape(gpu);
  const scores = tape.variable(data);
  const refuse = (
    targets: Tensor<"u32"> | number[],
    options: CrossEntropyOptions,
    kind: typeof TypeError | typeof RangeError,
    part: string,
  ) => assertThrows(() => crossEntropy(scores, targets, options), kind, part);
  refuse(flat, {}, TypeError, `"flat" has [4]`);
  refuse([0, 1], {}, TypeError, "There are 2 targets for 4 rows");
  refuse([0, 1, 2, 3], {}, RangeError, "a class from 0 to 2: that of row 3 is 3");
  refuse([0, -100, 2, 2], {}, RangeError, "a class from 0 to 2: that of row 1 is -100");
  refuse([0, 1, 2, 2], { weight: [1, 2] }, TypeError, "2 weights for 3 classes");
  refuse([0, 1, 2, 2], { labelSmoothing: 1 }, RangeError, "less than 1, and 1 was given");
  refuse([0, 1, 2, 2], { ignore: 0.5 }, RangeError, "a whole one, and 0.5 was given");
  refuse([1, 1, 1, 1], { ignore: 1 }, TypeError, "is a mean over at least one example");
});
