import { assertEquals, assertRejects } from "@std/assert";
import { loadCocoCaptioning } from "../../../data/sets/coco_captioning.ts";
import { readFeatures, writeFeatures } from "../../../data/sets/feature_files.ts";
import {
  encodeSafetensors,
  type TensorData,
  writeSafetensors,
} from "../../../data/formats/safetensors.ts";
import { permissionTest } from "../../support.ts";
import { withFolder } from "./coco_folder.ts";
import { UserError } from "../../../data/files/user_error.ts";

const write: Deno.PermissionDescriptor[] = [{ name: "write" }];

permissionTest("writeFeatures() and readFeatures() are inverse", write, async () => {
  const path = await Deno.makeTempFile();
  try {
    const made = { features: Float32Array.of(0, 1, 2, 3, 4, 5), pictures: ["a.jpg", "b/ü.jpg"] };
    await writeFeatures(path, made, { network: "squeezenet1_1" });
    assertEquals(await readFeatures(path), made);
    const uneven = { ...made, pictures: ["a", "b", "c", "d"] };
    await assertRejects(() => writeFeatures(path, uneven), TypeError, "6 numbers for 4 pictures");
    const tensor: TensorData = { dtype: "F32", shape: [2, 3], data: made.features };
    const wrong: [Record<string, TensorData>, Record<string, string>, string][] = [
      [{ a: tensor }, {}, `it has no tensor "features"`],
      [{ features: { ...tensor, shape: [6] } }, {}, "must have the shape [pictures, featureDim]"],
      [{ features: tensor }, {}, "its metadata has no list of pictures"],
      [{ features: tensor }, { pictures: '["a"]' }, "its metadata must name the 2 pictures"],
      [{ features: tensor }, { pictures: '["a", 1]' }, "its metadata must name the 2 pictures"],
    ];
    for (const [tensors, metadata, message] of wrong) {
      await writeSafetensors(path, new Map(Object.entries(tensors)), metadata);
      const error = await assertRejects(() => readFeatures(path), UserError, message);
      assertEquals(error.message.startsWith(`${path} holds no features: `), true);
    }
  } finally {
    await Deno.remove(path);
  }
});

permissionTest("loadCocoCaptioning() reads features of one's own making", write, async () => {
  await withFolder((data) => data.ending = ".h5", async (folder) => {
    const [train, val] = ["train", "val"].map((split) =>
      `${folder}/${split}2014_squeezenet.safetensors`
    );
    const features = Float32Array.of(9, 8, 7, 6, 5, 4, 3, 2, 1);
    await writeFeatures(train, { features, pictures: ["one.jpg", "two.jpg", "three.jpg"] });
    const missing = "misses val2014_squeezenet.safetensors";
    await assertRejects(() => loadCocoCaptioning(folder), Deno.errors.NotFound, missing);
    const two = { features: features.slice(0, 6), pictures: ["four.jpg", "five.jpg"] };
    await writeFeatures(val, two);
    const data = await loadCocoCaptioning(folder);
    assertEquals([data.featureDim, data.train.features, data.val.features], [
      3,
      features,
      two.features,
    ]);
    // VGG's come first where they are asked for.
    assertEquals((await loadCocoCaptioning(folder, { pca: false })).featureDim, 2);
    const rejects = (message: string) =>
      assertRejects(() => loadCocoCaptioning(folder), UserError, message);
    await writeFeatures(val, { ...two, pictures: ["five.jpg", "four.jpg"] });
    await rejects(
      "other pictures than val2014_urls.txt: picture 0 is five.jpg instead of images/four.jpg",
    );
    await writeFeatures(val, { features, pictures: ["a", "b", "c"] });
    await rejects("other pictures than val2014_urls.txt: of 3 instead of 2");
    const spoilt = { ...two, features: features.slice(0, 6).fill(NaN, 4, 5) };
    await assertRejects(() => writeFeatures(val, spoilt), UserError, "is not written");
    const tensor: TensorData = { dtype: "F32", shape: [2, 3], data: spoilt.features };
    const bytes = encodeSafetensors(new Map([["features", tensor]]), {
      pictures: JSON.stringify(two.pictures),
    });
    await Deno.writeFile(val, bytes);
    await rejects('"features" must be finite: number 1 of image 1 is NaN');
  });
  await withFolder(() => {}, async (folder) => {
    const path = `${folder}/train2014_squeezenet.safetensors`;
    await writeFeatures(path, { features: new Float32Array(3), pictures: ["a", "b", "c"] });
    assertEquals((await loadCocoCaptioning(folder)).featureDim, 2);
  });
});

permissionTest("features belong to pictures by their whole paths", write, async () => {
  const urls = "a/0.jpg\nb/0.jpg";
  await withFolder((data) => {
    data.ending = ".h5";
    data.valUrls = urls;
  }, async (folder) => {
    const [train, val] = ["train", "val"].map((split) =>
      `${folder}/${split}2014_squeezenet.safetensors`
    );
    const features = Float32Array.of(9, 8, 7, 6, 5, 4);
    await writeFeatures(train, { features, pictures: ["one.jpg", "two.jpg", "three.jpg"] });
    const two = features.slice(0, 4);
    const pictures = ["a/0.jpg", "b/0.jpg"];
    await writeFeatures(val, { features: two, pictures });
    const { val: read } = await loadCocoCaptioning(folder);
    assertEquals(read.features, two);
    assertEquals(read.pictures.map(({ name }) => name), pictures);
    const cases: [string[], string][] = [
      [["b/0.jpg", "a/0.jpg"], "picture 0 is b/0.jpg instead of a/0.jpg"],
      [["a/0.jpg", "a/0.jpg"], "picture 1 is a/0.jpg instead of b/0.jpg"],
      [
        ["0.jpg", "0.jpg"],
        "names pictures without their folders, and val2014_urls.txt has several 0.jpg",
      ],
    ];
    for (const [pictures, message] of cases) {
      await writeFeatures(val, { features: two, pictures });
      await assertRejects(() => loadCocoCaptioning(folder), UserError, message);
    }
  });
});
