/** Loops of GPU work that stay answerable. */
import { assert, assertEquals, assertRejects } from "@std/assert";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { Parameter, ParameterStore } from "../../models/layers/parameters.ts";
import {
  checkMeasured,
  checkWeights,
  DivergedError,
  notFinite,
} from "../../models/training/finite.ts";
import { Pace } from "../../models/training/pace.ts";
import { gpuTest } from "../gpu_support.ts";

gpuTest(
  "pace: steps that never wait let timers and signals through twice a second",
  async (gpu) => {
    using pace = new Pace(gpu, { aborted: false });
    let served = 0;
    const timer = setInterval(() => served++, 1);
    const start = performance.now();
    let [longest, before] = [0, start];
    while (performance.now() - start < 1000) {
      // Nothing here turns the event loop.
      const until = performance.now() + 20;
      while (performance.now() < until);
      const seen = served;
      assert(await pace.step());
      if (served > seen) {
        longest = Math.max(longest, performance.now() - before);
        before = performance.now();
      }
    }
    clearInterval(timer);
    assert(served > 0 && longest < 3000, `${served} times, ${longest} ms apart`);
  },
);

gpuTest("pace: a measurement ends with the batch in which it is interrupted", async (gpu) => {
  const signal = { aborted: false };
  using pace = new Pace(gpu, signal);
  let batches = 0;
  const work = async (onBatch: () => Promise<void>) => {
    for (let i = 0; i < 5; i++) {
      batches++;
      if (batches === 8) signal.aborted = true;
      await onBatch();
    }
    return "whole";
  };
  assertEquals([await pace.measure(work), batches], ["whole", 5]);
  assertEquals([await pace.measure(work), batches], [undefined, 8]);
  assertEquals([await pace.measure(work), batches], [undefined, 8]); // not begun
  assertEquals(await pace.step(), false);
  signal.aborted = false;
  await assertRejects(() => pace.measure(() => Promise.reject(new TypeError("x"))), TypeError, "x");
});

gpuTest("finite: weights, tensors and losses that are not are found", async (gpu) => {
  for (const value of [NaN, Infinity, -Infinity]) {
    const parameter = new Parameter([5], Float32Array.of(1, 2, 3, 4, value), { name: "w" });
    using store = new ParameterStore(gpu, [parameter]);
    await assertRejects(
      () => checkWeights(store, 7),
      DivergedError,
      "not finite after step 7: try",
    );
    const data = Float32Array.of(1, value);
    const bad: TensorData = { dtype: "F32", shape: [2], data };
    const good: TensorData = { dtype: "F32", shape: [1], data: Float32Array.of(1) };
    assertEquals(
      notFinite([["a", good], ["b", bad]]),
      `"b" is not finite in 1 of 2 numbers, first ${value} at place 1`,
    );
    await assertRejects(
      async () => await checkMeasured(value, "The loss"),
      DivergedError,
      "The loss is",
    );
  }
  using store = new ParameterStore(gpu, [
    new Parameter([3], Float32Array.of(1e30, -1e30, 0), { name: "w" }),
  ]);
  await checkWeights(store, 1);
});
