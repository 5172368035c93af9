/** SqueezeNet's channels at every width. */
import { assert, assertEquals, assertLess, assertRejects, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../../models/tape/autograd.ts";
import { makeBackbone } from "../../models/pictures/pretrained.ts";
import { SqueezeNet11, squeezeNetWidth } from "../../models/pictures/squeezenet.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { relativeError } from "../support.ts";

/** The shape of each tensor of a state dict. */
function shapes(model: SqueezeNet11): Record<string, readonly number[]> {
  return Object.fromEntries(
    model.saved.map(({ keys: [key], parameter: { layout } }) => [key, layout.slots[0].shape]),
  );
}

Deno.test("SqueezeNet has torchvision's channels at width 1, and multiples of four at others", () => {
  const whole = new SqueezeNet11(10);
  assertEquals([whole.kind, whole.featureDim], ["squeezenet1_1", 512]);
  const at1 = shapes(whole);
  assertEquals(at1["features.0.weight"], [64, 3, 3, 3]);
  assertEquals(at1["features.9.squeeze.weight"], [48, 256, 1, 1]);
  assertEquals(at1["features.12.expand3x3.weight"], [256, 64, 3, 3]);
  assertEquals(at1["classifier.1.weight"], [10, 512, 1, 1]);

  const small = new SqueezeNet11(10, { width: 0.375 });
  assertEquals([small.kind, small.featureDim], ["squeezenet1_1 of width 0.375", 192]);
  const less = shapes(small);
  assertEquals(Object.keys(less), Object.keys(at1));
  assertEquals(less["features.0.weight"], [24, 3, 3, 3]);
  assertEquals(less["features.9.squeeze.weight"], [20, 96, 1, 1]);
  assertEquals(less["features.10.squeeze.weight"], [20, 144, 1, 1]);
  assertEquals(less["classifier.1.weight"], [10, 192, 1, 1]);
  const least = shapes(new SqueezeNet11(10, { width: 1 / 16 }));
  assertEquals(least["features.3.squeeze.weight"], [4, 4, 1, 1]);
});

Deno.test("SqueezeNet refuses widths that weights would not tell, and ResNets any", () => {
  for (const width of [0, -1, 0.3, 4.5, NaN]) {
    const message = `a multiple of 1/16 above 0, at most 4: it is ${width}`;
    assertThrows(() => new SqueezeNet11(10, { width }), RangeError, message);
  }
  assertThrows(
    () => makeBackbone("resnet18", 10, { width: 0.5 }),
    TypeError,
    "Only squeezenet1_1 can have a width, and resnet18 was given one",
  );
});

gpuTest(
  "SqueezeNet's width is found in its weights, and its maps have its channels",
  async (gpu) => {
    for (const width of [1 / 16, 0.375]) {
      using model = new SqueezeNet11(3, { width }).toGpu(gpu);
      assertEquals(squeezeNetWidth(await model.stateDict()), width);
      using pictures = Tensor.zeros(gpu, [2, 40, 33, 3]);
      using _tape = new Tape(gpu, { training: false });
      const x = constant(pictures);
      assertEquals(model.forward(x).shape, [2, 3]);
      assertEquals(model.features(x).shape, [2, model.featureDim]);
      const maps = model.featureMaps(x, [1, 12]);
      assertEquals(maps.get(1)!.shape, [2, 19, 16, 64 * width]);
      assertEquals(maps.get(12)!.shape[3], model.featureDim);
    }
    assertEquals(squeezeNetWidth(new Map()), 1);
    const odd = new Float32Array(5 * 27);
    const strange = new Map([["features.0.weight", {
      dtype: "F32",
      shape: [5, 3, 3, 3],
      data: odd,
    }]]);
    assertEquals(squeezeNetWidth(strange as Parameters<typeof squeezeNetWidth>[0]), 1);
  },
);

gpuTestBothPaths("SqueezeNet's batch norms become part of its convolutions", async (gpu) => {
  const draw = new RandomStream(5);
  using trained = new SqueezeNet11(3, { width: 0.125, batchNorm: true }).toGpu(gpu, draw);
  const norms = [...trained.parameters, ...trained.buffers].filter(({ name }) => /norm/.test(name));
  assertEquals(norms.length, 4 * 17);
  for (const { tensor } of norms) {
    tensor.write(Float32Array.from({ length: tensor.size }, () => 0.5 + draw.uniform()));
  }
  const scales = Array.from({ length: 17 }, (_, i) => 1 + i / 4);
  const weights = await trained.withoutBatchNorms(scales);
  using plain = new SqueezeNet11(3, { width: 0.125 }).toGpu(gpu);
  plain.load(weights);
  using pictures = Tensor.from(
    gpu,
    Float32Array.from({ length: 2 * 35 * 35 * 3 }, () => draw.normal()),
    [2, 35, 35, 3],
  );
  using _tape = new Tape(gpu, { training: false });
  const x = constant(pictures);
  const map = async (model: SqueezeNet11, at: number, batchStatistics = false) =>
    await model.featureMaps(x, [at], { batchStatistics }).get(at)!.tensor.read();
  for (const [at, unit] of [[0, 0], [3, 2], [12, 16]]) {
    const larger = (await map(trained, at)).map((value) => value * scales[unit]);
    assertLess(relativeError(larger, await map(plain, at)), 1e-4, `features.${at}`);
    assert(larger.some((value) => value > 0));
  }
  const [scores, same] = [trained, plain].map((model) => model.forward(x).tensor);
  assertLess(relativeError(await scores.read(), await same.read()), 1e-4);
  // The batch's own statistics are others.
  assert(relativeError(await map(trained, 0, true), await map(trained, 0)) > 0.01);
  assertEquals([...weights.keys()].sort(), Object.keys(shapes(plain)).sort());

  const refused = (model: SqueezeNet11, given?: number[]) => model.withoutBatchNorms(given);
  await assertRejects(() => refused(plain), TypeError, "The network has no batch norms");
  await assertRejects(() => refused(trained, [1]), TypeError, "17 maps to scale, and 1 scales");
  const zero = scales.with(3, 0);
  await assertRejects(() => refused(trained, zero), RangeError, "a number above 0: it is 0");
});
