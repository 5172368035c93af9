/** Layers for pictures, convolutions side by side, and the loading of pretrained weights. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape } from "../../models/tape/autograd.ts";
import { concat } from "../../models/tape/variable.ts";
import { conv2d, convolutions } from "../../models/tape/operations.ts";
import { loadPretrained, makeBackbone } from "../../models/pictures/pretrained.ts";
import { Conv2d } from "../../models/layers/vision_layers.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { countDispatches, normals, upload } from "../kernels/values.ts";
import { relativeError } from "../support.ts";
import { UserError } from "../../data/files/user_error.ts";

gpuTest("a Conv2d saves its weight as PyTorch has it, and loads it back", async (gpu) => {
  const layer = new Conv2d(2, 3, 2);
  const values = Float32Array.from({ length: 24 }, (_, i) => i);
  layer.weight.write(values);
  using _ = layer.toGpu(gpu);
  const { shape, data } = (await layer.stateDict()).get("weight")!;
  assertEquals(shape, [3, 2, 2, 2]); // [K, C, kh, kw]
  // Our [kh, kw, C, K]: the number at (y, x, c, k) is ((2 y + x) 2 + c) 3 + k.
  const expected = [0, 1, 2].flatMap((k) =>
    [0, 1].flatMap((c) => [0, 1, 2, 3].map((tap) => (2 * tap + c) * 3 + k))
  );
  assertEquals([...data as Float32Array], expected);
  assertEquals(layer.weight.layout.decode([Float32Array.from(expected)]), values);
});

gpuTest("a Conv2d in groups has PyTorch's shape", async (gpu) => {
  using layer = new Conv2d(6, 4, 3, { groups: 2, dilation: 2, padding: 1 }).toGpu(gpu);
  const { shape } = (await layer.stateDict()).get("weight")!;
  assertEquals(shape, [4, 3, 3, 3]);
  using x = Tensor.zeros(gpu, [1, 5, 6, 6]);
  using _tape = new Tape(gpu);
  assertEquals(layer.forward(constant(x)).shape, [1, 3, 4, 4]);
  const wrong = "4 groups do not divide the 6 channels and 4 results of a convolution";
  const make = () => new Conv2d(6, 4, 3, { groups: 4 });
  assertThrows(make, RangeError, wrong);
});

gpuTestBothPaths("convolutions side by side are those one by one", async (gpu) => {
  using x = upload(gpu, normals("x", 2 * 6 * 5 * 4), [2, 6, 5, 4]);
  using w1 = upload(gpu, normals("w1", 4 * 8), [1, 1, 4, 8]);
  using w3 = upload(gpu, normals("w3", 9 * 4 * 12), [3, 3, 4, 12]);
  using b1 = upload(gpu, normals("b1", 8), [8]);
  const results = await Promise.all([true, false].map(async (together) => {
    using tape = new Tape(gpu);
    const inputs = [x, w1, w3, b1].map((tensor) => tape.variable(tensor));
    const [vx, v1, v3, vb] = inputs;
    const y = together
      ? convolutions(vx, [{ w: v1, b: vb }, { w: v3, padding: 1 }], { relu: true })
      : concat([
        conv2d(vx, v1, vb).relu(),
        conv2d(vx, v3, undefined, { padding: 1 }).relu(),
      ]);
    assertEquals(y.shape, [2, 6, 5, 20]);
    tape.backward(y.sum());
    return await Promise.all([y.tensor, ...inputs.map(({ grad }) => grad!)].map((t) => t.read()));
  }));
  results[0].forEach((values, i) => {
    const error = relativeError(values, results[1][i]);
    assert(error < 1e-5, `${["y", "dx", "dw1", "dw3", "db1"][i]}: relative error ${error}`);
  });
});

gpuTest("convolutions side by side must agree in height and width", (gpu) => {
  using x = Tensor.zeros(gpu, [1, 4, 4, 4]);
  using w = Tensor.zeros(gpu, [3, 3, 4, 4]);
  using _tape = new Tape(gpu);
  const [vx, vw] = [constant(x), constant(w)];
  const branches = [{ w: vw, padding: 1 }, { w: vw }];
  assertThrows(() => convolutions(vx, branches), TypeError, "A convolution's result");
  assertThrows(() => convolutions(vx, []), TypeError, "at least one convolution");
});

gpuTest("a frozen convolution costs no gradient work", (gpu) => {
  using x = upload(gpu, normals("x", 128), [1, 4, 4, 8]);
  using w = upload(gpu, normals("w", 32), [1, 1, 8, 4]);
  using tape = new Tape(gpu);
  const y = conv2d(tape.variable(x), constant(w));
  const loss = y.sum();
  const { dispatches } = countDispatches(gpu, () => tape.backward(loss));
  assertEquals(dispatches, 2); // the gradient of the sum, and of x
});

/** Every key of a network, with zeros. */
function zeros(kind: "resnet18" | "squeezenet1_1", classes: number): Map<string, TensorData> {
  const model = makeBackbone(kind, classes);
  return new Map(model.saved.map(({ keys: [key], parameter: { layout } }): [string, TensorData] => {
    const { shape } = layout.slots[0];
    const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
    return [key, { dtype: "F32", shape: [...shape], data }];
  }));
}

gpuTest("loadPretrained lists what does not fit, and changes nothing then", async (gpu) => {
  using model = makeBackbone("squeezenet1_1", 2).learn("head").toGpu(gpu);
  const before = await model.parameters[0].tensor.read();
  const weights = zeros("squeezenet1_1", 3);
  weights.delete("features.3.squeeze.bias");
  weights.set("extra", { dtype: "F32", shape: [1], data: new Float32Array(1) });
  const error = assertThrows(() => loadPretrained(model, weights), UserError);
  for (
    const part of [
      "The weights do not fit squeezenet1_1",
      "missing: features.3.squeeze.bias",
      "unexpected: extra",
      "classifier.1.weight is [3, 512, 1, 1], not [2, 512, 1, 1]",
    ]
  ) assert(error.message.includes(part), error.message);
  assertEquals(await model.parameters[0].tensor.read(), before);
});

gpuTest("loadPretrained leaves a new head, and passes over num_batches_tracked", async (gpu) => {
  using model = makeBackbone("resnet18", 2).learn("head").toGpu(gpu);
  const weights = zeros("resnet18", 1000);
  const data = BigInt64Array.of(7n);
  weights.set("bn1.num_batches_tracked", { dtype: "I64", shape: [], data });
  const { notes } = loadPretrained(model, weights, { newHead: true });
  assertEquals(notes, []);
  assertEquals((await model.parameters[0].tensor.read()).every((v) => v === 0), true);
  assertEquals((await model.head.parameters[0].tensor.read()).some((v) => v !== 0), true);
});

gpuTest("loadPretrained starts a block that misses weights as an identity", async (gpu) => {
  using model = makeBackbone("resnet18", 2);
  const weights = zeros("resnet18", 2);
  for (const [key, { data }] of weights) {
    if (key.endsWith("bn2.weight")) (data as Float32Array).fill(1);
  }
  for (const i of [1, 2]) weights.delete(`layer4.1.conv${i}.weight`);
  assertThrows(() => loadPretrained(model, weights), UserError, "missing: layer4.1.conv1.weight");
  const { notes } = loadPretrained(model, weights, { partial: true });
  model.toGpu(gpu);
  assertEquals(notes.length, 2);
  assert(notes[1].startsWith("layer4.1 begins as an identity"), notes[1]);
  const read = async (name: string) => {
    return [...await model.parameters.find((p) => p.name === name)!.tensor.read()];
  };
  assertEquals(await read("layer4.1.bn2.weight"), new Array(512).fill(0));
  assertEquals(await read("layer4.0.bn2.weight"), new Array(512).fill(1));
});

gpuTest("a network is put on a GPU once", (gpu) => {
  const model = makeBackbone("squeezenet1_1", 2);
  assertThrows(() => model.store, ReferenceError, "not on a GPU yet");
  using _ = model.learn("head").toGpu(gpu);
  assertThrows(() => model.toGpu(gpu), ReferenceError, "on a GPU already");
});
