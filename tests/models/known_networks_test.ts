import { assertEquals, assertThrows } from "@std/assert";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { networkOf, networkWithin } from "../../models/pictures/known_networks.ts";
import { loadPretrained, makeBackbone } from "../../models/pictures/pretrained.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A state dict of tensors without memory of their own, by name and shape. */
function dict(shapes: Record<string, number[]>): Map<string, TensorData> {
  const empty = new Float32Array(0);
  return new Map(
    Object.entries(shapes).map(([key, shape]) => [key, { dtype: "F32", shape, data: empty }]),
  );
}

/** The names of a ResNet of so many blocks in each layer. */
function resnet(blocks: number[], bottleneck = false, conv2 = [64, 64, 3, 3]) {
  const shapes: Record<string, number[]> = { "conv1.weight": [64, 3, 7, 7] };
  blocks.forEach((count, i) => {
    for (let block = 0; block < count; block++) {
      const name = `layer${i + 1}.${block}`;
      shapes[`${name}.conv1.weight`] = [64, 64, 1, 1];
      shapes[`${name}.conv2.weight`] = conv2;
      if (bottleneck) shapes[`${name}.conv3.weight`] = [256, 64, 1, 1];
    }
  });
  return dict({ ...shapes, "fc.weight": [1000, 512] });
}

/** The names of a VGG of so many convolutions. */
function vgg(convolutions: number, norm = false) {
  const step = norm ? 3 : 2;
  const shapes = Array.from({ length: convolutions }, (_, i) => [
    [`features.${step * i}.weight`, [64, i === 0 ? 3 : 64, 3, 3]],
    ...(norm ? [[`features.${step * i + 1}.running_mean`, [64]]] : []),
  ]);
  return dict(Object.fromEntries([...shapes.flat(), ["classifier.6.weight", [1000, 4096]]]));
}

Deno.test("networkOf() calls torchvision's networks by their names", () => {
  const networks: [string | undefined, Map<string, TensorData>][] = [
    ["resnet18", resnet([2, 2, 2, 2])],
    ["resnet18", resnet([2, 2, 2, 1])], // one that is not complete
    ["resnet34", resnet([3, 4, 6, 3])],
    ["resnet50", resnet([3, 4, 6, 3], true)],
    ["resnet101", resnet([3, 4, 23, 3], true)],
    ["resnet152", resnet([3, 8, 36, 3], true)],
    ["wide_resnet50_2", resnet([3, 4, 6, 3], true, [128, 128, 3, 3])],
    ["resnext50_32x4d", resnet([3, 4, 6, 3], true, [128, 4, 3, 3])],
    ["resnext101_32x8d", resnet([3, 4, 23, 3], true, [256, 8, 3, 3])],
    ["a ResNet with 3, 3, 3, 3 blocks", resnet([3, 3, 3, 3])],
    ["squeezenet1_1", dict({ "features.3.squeeze.weight": [16, 64, 1, 1] })],
    [
      "squeezenet1_0",
      dict({
        "features.3.squeeze.weight": [16, 96, 1, 1],
        "features.5.squeeze.weight": [32, 128, 1, 1],
      }),
    ],
    ["alexnet", dict({ "features.0.weight": [64, 3, 11, 11] })],
    ["vgg11", vgg(8)],
    ["vgg16", vgg(13)],
    ["vgg19_bn", vgg(16, true)],
    ["a vision transformer", dict({ cls_token: [1, 1, 768] })],
    [undefined, dict({ "a.weight": [1] })],
    [undefined, dict({})],
  ];
  for (const [name, weights] of networks) assertEquals(networkOf(weights), name);
});

Deno.test("networkWithin() finds a network beside the losses and metrics of a Lightning module", () => {
  const network = resnet([2, 2, 2, 2]);
  const under = (prefix: string) =>
    [...network].map(([name, tensor]): [string, TensorData] => [prefix + name, tensor]);
  const others = [...dict({ "loss.weight": [3], "net2.layer1.0.bias": [1] })];
  for (const prefix of ["net.", "model.encoder."]) {
    assertEquals(networkWithin(new Map([...others, ...under(prefix)])), {
      ...{ prefix, inner: network, others: 2 },
    });
  }
  assertEquals(networkWithin(new Map(under("")))?.prefix, undefined);
  assertEquals(networkWithin(new Map([...under("student."), ...under("teacher.")])), undefined);
  assertEquals(networkWithin(new Map(others)), undefined);
});

Deno.test("loadPretrained() names the network that the weights are of, and no long list of keys", () => {
  const model = makeBackbone("resnet18");
  const { message } = assertThrows(() => loadPretrained(model, resnet([3, 4, 6, 3])), UserError);
  assertEquals(
    message,
    "The weights do not fit resnet18: these are the weights of resnet34; known are resnet18, squeezenet1_1",
  );
  const own = assertThrows(() => loadPretrained(model, resnet([2, 2, 2, 2])), UserError).message;
  assertEquals(own.slice(0, 55), "The weights do not fit resnet18; missing: bn1.weight, b");
  assertEquals(own.length < 1000, true, own);
  const none = assertThrows(() => loadPretrained(model, new Map()), UserError).message;
  assertEquals(none.split(". ")[1], "With --partial (`partial` in a script) weights may lack some");
});
