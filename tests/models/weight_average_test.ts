/** The moving average of weights against plain float64 sums. */
import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { Parameter, ParameterStore } from "../../models/layers/parameters.ts";
import { WeightAverage } from "../../models/training/weight_average.ts";
import { gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { normals } from "./small_captioner.ts";

const SIZE = 7;

for (const decay of [0, 0.3, 0.999]) {
  gpuTest(`the average of weights with decay ${decay} agrees with its twin`, async (gpu) => {
    const parameter = new Parameter([SIZE], normals("step 0", SIZE), { name: "w" });
    const table = new Parameter([3, 2], normals("table", 6), { name: "t" });
    table.sparse = true;
    using store = new ParameterStore(gpu, [parameter, table]);
    using average = new WeightAverage(store, decay);
    const expected = Float64Array.from(parameter.initial);
    for (let step = 1; step <= 30; step++) {
      const weights = normals(`step ${step}`, SIZE);
      parameter.tensor.write(weights);
      const { dispatches } = { ...gpu.recorder.counts };
      average.update();
      assertEquals(gpu.recorder.counts.dispatches - dispatches, 1);
      // 2/11, 3/12, 4/13, …: the first steps count more, up to the decay that is asked for.
      const d = Math.min(decay, (1 + step) / (10 + step));
      expected.forEach((old, i) => expected[i] = d * old + (1 - d) * weights[i]);
    }
    average.swap();
    assertLess(relativeError(await parameter.tensor.read(), expected), 1e-6);
    assertEquals(await table.tensor.read(), table.initial); // of equal weights: the same
    average.swap();
    assertEquals(await parameter.tensor.read(), normals("step 30", SIZE));
  });
}

gpuTest("exchanging twice changes no bit, nor what comes after", async (gpu) => {
  const run = async (swaps: number) => {
    const parameter = new Parameter([SIZE], normals("step 0", SIZE), { name: "w" });
    using store = new ParameterStore(gpu, [parameter]);
    using average = new WeightAverage(store, 0.9);
    for (let step = 1; step <= 5; step++) {
      parameter.tensor.write(normals(`step ${step}`, SIZE));
      average.update();
      for (let i = 0; i < swaps; i++) average.swap();
    }
    const weights = await store.values.read();
    average.swap();
    return [weights, await store.values.read()];
  };
  assertEquals(await run(2), await run(0));
});

gpuTest("a decay out of range is refused", (gpu) => {
  using store = new ParameterStore(gpu, [new Parameter([1], new Float32Array(1), { name: "w" })]);
  for (const decay of [-0.1, 1, NaN]) {
    const message = `from 0 to less than 1, and ${decay} was given`;
    assertThrows(() => new WeightAverage(store, decay), RangeError, message);
  }
});
