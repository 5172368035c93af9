/** Style transfer against PyTorch (fixtures/style_torch.py, in float64), and what an iteration costs. */
import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { paint, type StyleSettings, StyleTransfer } from "../../models/pictures/style_transfer.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { numbers } from "./torch_captioner.ts";
import fixture from "../fixtures/style_torch.json" with { type: "json" };

/** Those of the fixture. */
const SETTINGS: StyleSettings = {
  contentLayer: 3,
  contentWeight: 0.1,
  styleLayers: [1, 4, 6],
  styleWeights: [800, 120, 12],
  tvWeight: 0.05,
  lr: 0.3,
  lrLate: 0.05,
  lateAt: 6,
  clampUntil: 8,
};

/** The fixture's numbers without a seed. */
function formula(count: number, seed: number, scale: number): Float32Array<ArrayBuffer> {
  return Float32Array.from(
    { length: count },
    (_, i) => scale * Math.sin(0.7 * i * i + 1.3 * i + seed),
  );
}

/** SqueezeNet with the fixture's weights. */
function makeNetwork(gpu: Gpu): SqueezeNet11 {
  const network = new SqueezeNet11(10).learn("none").toGpu(gpu);
  const dict = new Map<string, TensorData>();
  const slots = network.saved.map(({ keys: [key], parameter: { layout } }) => ({
    key,
    shape: layout.slots[0].shape,
  }));
  slots.forEach(({ key, shape }, number) => {
    const size = shape.reduce((a, b) => a * b, 1);
    const fan = shape.length === 4 ? size / shape[0] : 100;
    const data = formula(size, number, Math.sqrt(3.2 / fan));
    dict.set(key, { dtype: "F32", shape: [...shape], data });
  });
  network.load(dict);
  return network;
}

/** The fixture's picture, `[1, height, width, 3]` from `[3, height, width]`. */
function makePicture(gpu: Gpu, [height, width]: readonly number[], seed: number): Tensor {
  const planes = formula(3 * height * width, seed, 1.8);
  const place = (i: number) => (i % 3) * height * width + Math.floor(i / 3);
  return Tensor.from(gpu, planes.map((_, i) => planes[place(i)]), [1, height, width, 3]);
}

gpuTestBothPaths("style transfer: losses, gradient and pixels are PyTorch's", async (gpu) => {
  using network = makeNetwork(gpu);
  using content = makePicture(gpu, fixture.contentSize, 0.1);
  using style = makePicture(gpu, fixture.styleSize, 0.2);
  using transfer = new StyleTransfer(network, { content, style }, SETTINGS);
  const first = await paint(transfer, { until: 1 });
  assertLess(relativeError(await transfer.gradient.read(), numbers(fixture.gradient)), 1e-5);
  const rest = await paint(transfer, { until: fixture.losses.length, readEvery: 5 });
  const losses = transfer.lossesOf([...first.losses, ...rest.losses]);
  assertEquals(losses.length, fixture.losses.length);
  losses.forEach(({ content, style, variation, total }, i) => {
    const expected = numbers(fixture.losses[i]);
    [content, style, variation].forEach((loss, part) => {
      const error = Math.abs(loss / expected[part] - 1);
      assertLess(error, 1e-4, `iteration ${i}, part ${part}: ${loss} for ${expected[part]}`);
    });
    assertEquals(total, content + style + variation);
  });
  assertLess(relativeError(await transfer.pixels.read(), numbers(fixture.pixels)), 1e-4);
});

gpuTest(
  "style transfer: every iteration costs the same, and leaves nothing behind",
  async (gpu) => {
    using network = makeNetwork(gpu);
    using content = makePicture(gpu, fixture.contentSize, 0.1);
    using style = makePicture(gpu, fixture.styleSize, 0.2);
    using transfer = new StyleTransfer(network, { content, style }, SETTINGS);
    const { counts } = gpu.recorder;
    const dispatches: number[] = [];
    const live = new Set<number>();
    let before = 0;
    await paint(transfer, {
      ...{ until: 20, readEvery: 100 },
      onStep(step) {
        // The clamp is one more, and so is the first clear of the moments.
        const clamps = step <= SETTINGS.clampUntil ? 1 : 0;
        if (step > 1) {
          dispatches.push(counts.dispatches - before - clamps);
          live.add(gpu.pool.liveBuffers);
        }
        before = counts.dispatches;
      },
    });
    assertEquals(live.size, 1);
    assertEquals(new Set(dispatches).size, 1);
    assertLess(dispatches[0], 80);
  },
);

gpuTest(
  "style transfer: starts from other pixels, and pictures of one size need no more",
  async (gpu) => {
    using network = makeNetwork(gpu);
    using content = makePicture(gpu, [27, 22], 0.1);
    const start = new Float32Array(content.size).fill(0.25);
    const pictures = { content, style: content, start };
    const alone = { ...SETTINGS, contentWeight: 0, styleWeights: [0, 0, 0] };
    using transfer = new StyleTransfer(network, pictures, alone);
    assertEquals(await transfer.pixels.read(), start);
    const [first] = transfer.lossesOf((await paint(transfer, { until: 1 })).losses);
    assertEquals(first, { content: 0, style: 0, variation: 0, total: 0 });
    // A picture is all that its own content and style ask for.
    using same = new StyleTransfer(network, { content, style: content }, {
      ...SETTINGS,
      tvWeight: 0,
      clampUntil: 0,
    });
    const [still] = same.lossesOf((await paint(same, { until: 1 })).losses);
    assert(still.content === 0 && still.style < 1e-6, `${still.content} and ${still.style}`);
  },
);

gpuTest("style transfer: refuses what does not fit", (gpu) => {
  using network = makeNetwork(gpu);
  using learning = new SqueezeNet11(2, { width: 0.25 }).learn("head").toGpu(gpu);
  using content = makePicture(gpu, [27, 22], 0.1);
  const refuse = (
    settings: Partial<StyleSettings>,
    error: new (message: string) => Error,
    part: string,
    pictures = { content, style: content },
    model = network,
  ) =>
    assertThrows(
      () => new StyleTransfer(model, pictures, { ...SETTINGS, ...settings }),
      error,
      part,
    );
  refuse({ styleWeights: [1] }, TypeError, "there are 3 layers and 1 weights");
  refuse({ styleLayers: [1, 4, 1] }, TypeError, "must differ: they are 1, 4, 1");
  refuse({ styleLayers: [1, 4, 13] }, RangeError, "13 was given");
  refuse({ contentLayer: -1 }, RangeError, "-1 was given");
  refuse({ tvWeight: -0.5 }, RangeError, "a number from 0: it is -0.5");
  refuse({ contentWeight: Infinity }, RangeError, "it is Infinity");
  refuse({ styleWeights: [1, NaN, 1] }, RangeError, "it is NaN");
  refuse({ lateAt: 1.5 }, RangeError, "a whole number from 0: it is 1.5");
  refuse({ lr: 0 }, RangeError, "A learning rate must be a number above 0: it is 0");
  refuse({ lrLate: -1 }, RangeError, "A learning rate must be a number above 0: it is -1");
  using flat = content.view([27, 22, 3]);
  refuse({}, TypeError, "needs the shape [1, any, any, 3]", { content, style: flat });
  refuse({}, TypeError, "learns nothing", { content, style: content }, learning);
  using tiny = makePicture(gpu, [5, 5], 0.1);
  refuse({}, TypeError, "No window of 3 by 3 fits", { content, style: tiny });
  const start = new Float32Array(5);
  assertThrows(
    () => new StyleTransfer(network, { content, style: content, start }, SETTINGS),
    TypeError,
    "cannot start from 5 numbers",
  );
});
