/** Weights with NaN or infinity: no way in, and no way out. */
import { assert, assertEquals, assertRejects, assertThrows } from "@std/assert";
import {
  decodeSafetensors,
  encodeSafetensors,
  type TensorData,
} from "../../data/formats/safetensors.ts";
import { whyNotFinite } from "../../data/formats/tensor_data.ts";
import { Vocabulary } from "../../data/text/vocabulary.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { loadPretrained, makeBackbone } from "../../models/pictures/pretrained.ts";
import { loadCaptioner, saveCaptioner } from "../../models/captions/saved_captioner.ts";
import { loadClassifier, saveClassifier } from "../../models/sentences/saved_classifier.ts";
import { WeightAverage } from "../../models/training/weight_average.ts";
import { gpuTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { smallCaptioner } from "./small_captioner.ts";
import { SIZES, smallClassifier } from "./small_classifier.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A GPU test that gets a path for a file; skipped, with the reason, where a permission is missing. */
function fileTest(name: string, fn: (gpu: Gpu, path: string) => Promise<void>): void {
  const write = { name: "write" } as const;
  if (Deno.permissions.querySync(write).state !== "granted") {
    return permissionTest(name, [write], () => {});
  }
  gpuTest(name, async (gpu) => {
    const folder = await Deno.makeTempDir();
    try {
      await fn(gpu, `${folder}/weights.safetensors`);
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** One number of a tensor put to another value, in a copy. */
function spoilt(tensor: TensorData, place: number, value: number): TensorData {
  const data = Float32Array.from(tensor.data as Float32Array);
  data[place] = value;
  return { dtype: "F32", shape: tensor.shape, data };
}

Deno.test("what is not finite in a tensor is counted, in every type of floats", () => {
  const values = [1, -0, NaN, 65504, Infinity, NaN];
  const said = "is not finite in 3 of 6 numbers, first NaN at place 2";
  const shape = [6];
  const bits = Uint16Array.of(0x3f80, 0x8000, 0x7fc0, 0x477f, 0x7f80, 0xffff);
  assertEquals(whyNotFinite({ dtype: "F64", shape, data: Float64Array.from(values) }), said);
  assertEquals(whyNotFinite({ dtype: "F32", shape, data: Float32Array.from(values) }), said);
  assertEquals(whyNotFinite({ dtype: "F16", shape, data: Float16Array.from(values) }), said);
  assertEquals(whyNotFinite({ dtype: "BF16", shape, data: bits }), said);
  for (const value of [1, -3.4e38, 1e-45, 0]) {
    assertEquals(
      whyNotFinite({ dtype: "F32", shape: [1], data: Float32Array.of(value) }),
      undefined,
    );
  }
  const last = Float32Array.of(0, -Infinity);
  assertEquals(
    whyNotFinite({ dtype: "F32", shape: [2], data: last }),
    "is not finite in 1 of 2 numbers, first -Infinity at place 1",
  );
  assertEquals(whyNotFinite({ dtype: "U16", shape, data: bits }), undefined);
});

gpuTest("no weight that is not finite comes in, and nothing is written before", async (gpu) => {
  using captioner = smallCaptioner(gpu, "lstm");
  const before = await captioner.stateDict();
  for (const [key, tensor] of before) {
    for (const value of [NaN, Infinity, -Infinity]) {
      const place = tensor.data.length - 1;
      const bad = new Map(
        [...before].map(([k, t]) => [k, k === key ? spoilt(t, place, value) : t]),
      );
      for (const options of [{}, { strict: false }, { dryRun: true }]) {
        assertThrows(
          () => captioner.loadStateDict(bad, options),
          UserError,
          `The tensor "${key}" is not finite in 1 of ${
            place + 1
          } numbers, first ${value} at place ${place}`,
        );
      }
    }
  }
  const large = new Map(before);
  const { shape } = before.get("score.bias")!;
  const data = new Float64Array(shape[0]).fill(1e39, 1, 2);
  large.set("score.bias", { dtype: "F64", shape, data });
  assertThrows(
    () => captioner.loadStateDict(large),
    UserError,
    "first Infinity at place 1 once they are float32",
  );
  assertEquals(await captioner.stateDict(), before);
});

Deno.test("of pretrained weights those that are used are checked", async () => {
  const make = () => makeBackbone("squeezenet1_1", 3, { width: 1 / 16 }).initialize();
  const model = make();
  const head = model.head.parameters.map((parameter) => parameter.name);
  const dict = await model.stateDict();
  for (const key of ["features.0.weight", "features.12.expand3x3.bias", ...head]) {
    const bad = new Map(dict).set(key, spoilt(dict.get(key)!, 0, NaN));
    const load = (newHead: boolean) => loadPretrained(make(), bad, { newHead });
    assertThrows(() => load(false), UserError, `The tensor "${key}" is not finite`);
    if (head.includes(key)) load(true);
    else assertThrows(() => load(true), UserError, `The tensor "${key}" is not finite`);
  }
});

Deno.test("the running statistics of batch norms are checked, and what nothing reads is not", () => {
  const model = makeBackbone("resnet18", 3);
  const load = (key: string, values: number[]) => {
    const shape = [64];
    const data = new Float32Array(64).fill(1);
    data.set(values);
    return model.load(new Map([[key, { dtype: "F32", shape, data }]]), { strict: false });
  };
  const key = "layer1.0.bn1.running_var";
  assertThrows(() => load(key, [1, Infinity]), UserError, `The tensor "${key}" is not finite`);
  assertThrows(
    () => load(key, [1, 0, -1e-3]),
    UserError,
    `The variance at place 2 of "${key}" is below 0`,
  );
  assertEquals(load(key, [0, 1]).misshapen, []);
  load("layer1.0.bn1.num_batches_tracked", [NaN]);
});

fileTest("a file with such weights is refused by its path and the tensor", async (gpu, path) => {
  const vocabulary = Vocabulary.fromWords(["a", "red", "blue", "star", "on", "the", "left"]);
  const check = async (
    load: () => Promise<unknown>,
    keys: string[],
    value: number,
    said: string,
  ) => {
    const bytes = await Deno.readFile(path);
    const { tensors, metadata } = decodeSafetensors(bytes);
    for (const key of keys) {
      const bad = new Map(tensors).set(key, spoilt(tensors.get(key)!, 1, value));
      await Deno.writeFile(path, encodeSafetensors(bad, metadata));
      const error = await assertRejects(load, UserError, `"${path}"`);
      assert(error.message.includes(`"${key}"`) && error.message.includes(said), error.message);
    }
    await Deno.writeFile(path, bytes);
    return tensors;
  };
  {
    using captioner = smallCaptioner(gpu, "rnn");
    const scale = { mean: Float32Array.of(1, 2, 3, 4, 5), deviation: new Float32Array(5).fill(1) };
    await saveCaptioner(path, captioner, { vocabulary, scale, captionLength: 6 });
  }
  const keys = ["features.mean", "features.deviation", "embed.weight", "recurrent.bias_hh_l0"];
  await check(() => loadCaptioner(gpu, path), keys, NaN, "not finite in 1 of");
  await check(() => loadCaptioner(gpu, path), ["features.deviation"], 0, "above 0 everywhere");
  {
    using classifier = smallClassifier(gpu, "average");
    await saveClassifier(path, classifier, vocabulary);
  }
  await check(
    () => loadClassifier(gpu, path),
    ["embed.weight"],
    Infinity,
    "first Infinity at place 1",
  );
});

fileTest("weights that are not finite are not saved, and the file stays", async (gpu, path) => {
  const vocabulary = Vocabulary.fromWords(["a", "good", "bad", "film", "not", "very", "…"]);
  assertEquals(vocabulary.size, SIZES.vocabularySize);
  using classifier = smallClassifier(gpu, "lstm");
  await saveClassifier(path, classifier, vocabulary);
  const before = await Deno.readFile(path);
  const { store } = classifier;
  using average = new WeightAverage(store, 0.9);
  const parameter = store.parameters.at(-1)!;
  const values = await parameter.tensor.read();
  const refused = async (value: number) => {
    await assertRejects(
      () => saveClassifier(path, classifier, vocabulary),
      UserError,
      `${path} is not written: tensor "${parameter.name}" is not finite in ` +
        `1 of ${values.length} numbers, first ${value}`,
    );
    assertEquals(await Deno.readFile(path), before);
    assertEquals(Array.from(Deno.readDirSync(path.replace(/\/[^/]*$/, ""))).length, 1);
  };
  for (const value of [NaN, Infinity, -Infinity]) {
    parameter.tensor.write(values.with(0, value));
    await refused(value);
  }
  parameter.tensor.write(values.with(0, NaN));
  average.update();
  average.swap(); // the average of them
  await refused(NaN);
  parameter.tensor.write(values);
  await saveClassifier(path, classifier, vocabulary);

  using captioner = smallCaptioner(gpu, "rnn");
  const scale = { mean: new Float32Array(5), deviation: Float32Array.of(1, 1, NaN, 1, 1) };
  await assertRejects(
    () => saveCaptioner(path, captioner, { vocabulary, scale, captionLength: 6 }),
    UserError,
    'tensor "features.deviation" is not finite',
  );
  assertEquals(await Deno.readFile(path), before);
});
