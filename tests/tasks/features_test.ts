/** The features task from the command line to the files. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { loadCocoCaptioning } from "../../data/sets/coco_captioning.ts";
import { readFeatures } from "../../data/sets/feature_files.ts";
import { encodePng } from "../../data/images/image.ts";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import { withFolder } from "../data/sets/coco_folder.ts";
import { noise } from "../data/images/images.ts";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { randomSqueezeNet, writeTinyModel } from "./small_network.ts";
import { runTaskProcess, TASK_PERMISSIONS, withTempFolder } from "./task_process.ts";

/** A `coco_captioning` folder whose pictures are files, without features, and weights beside it. */
async function withPictures(
  use: (folder: string, weights: string) => Promise<void>,
): Promise<void> {
  const urls = "images/one.png\nimages/two.jpg\nimages/three.jpg\n";
  await withFolder((data) => [data.trainUrls, data.ending] = [urls, ".h5"], async (folder) => {
    await Deno.mkdir(join(folder, "images"));
    for (const [i, name] of ["one.png", "two.jpg", "three.jpg", "four.jpg", "five.jpg"].entries()) {
      await Deno.writeFile(join(folder, "images", name), await encodePng(noise(30 + i, 40, i)));
    }
    const weights = join(folder, "squeezenet.safetensors");
    await writeSafetensors(weights, await randomSqueezeNet(2));
    await use(folder, weights);
  });
}

async function assertRefused(flags: string[], code: 1 | 2, part: string): Promise<void> {
  const refused = await runTaskProcess("features", flags);
  assertStringIncludes(refused.stderr, part);
  assertEquals([refused.code, refused.stdout], [code, ""]);
  assertMatch(refused.stderr, /^error: .*[^.]\n(Run the task with --help.*\n)?$/);
}

gpuProcessTest("features: of pictures and of a folder of captions", TASK_PERMISSIONS, async () => {
  await withPictures(async (folder, weights) => {
    const images = join(folder, "images");
    await Deno.writeTextFile(join(images, "aaa.png"), "no picture");
    const to = join(folder, "made", "here");
    const plain = await runTaskProcess("features", [
      ...[`--weights=${weights}`, `--images=${images}`, `--to=${to}`],
    ]);
    assertEquals([plain.code, plain.stderr], [0, ""]);
    assertMatch(plain.stdout, /\nLeft out: .*aaa\.png cannot be read as a picture: /);
    const path = join(to, "features.safetensors");
    assertStringIncludes(plain.stdout, `512 numbers for each of 5 pictures are in ${path}\n`);
    const { features, pictures } = await readFeatures(path);
    const names = ["five.jpg", "four.jpg", "one.png", "three.jpg", "two.jpg"];
    assertEquals(pictures, names.map((name) => `${images}/${name}`));
    assertEquals((await readSafetensors(path)).metadata.network, "squeezenet1_1");
    const row = (i: number) => features.subarray(512 * i, 512 * (i + 1));
    // The last feature map comes out of a ReLU; different pictures have different ones.
    assert(features.every((value) => value >= 0) && row(0).some((value) => value > 0));
    assert(row(0).some((value, i) => value !== row(1)[i]));

    // Without --to they go where runs go.
    const unnamed = await runTaskProcess("features", [
      `--weights=${weights}`,
      `--images=${images}`,
    ]);
    const [, made] = /are in (runs\/features\/.*)\/features\.safetensors\n$/.exec(unnamed.stdout)!;
    assertEquals(
      [(await readFeatures(join(made, "features.safetensors"))).features, unnamed.code],
      [
        features,
        0,
      ],
    );
    await Deno.remove(made, { recursive: true });

    const ofData = [`--weights=${weights}`, `--data=${folder}`];
    const { code, stdout, stderr } = await runTaskProcess("features", ofData);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /of 3 pictures are in .*train2014_squeezenet\.safetensors\n/);
    assertMatch(stdout, /of 2 pictures are in .*val2014_squeezenet\.safetensors\n/);
    const data = await loadCocoCaptioning(folder);
    assertEquals(data.featureDim, 512);
    assertEquals(data.val.features.subarray(0, 512), row(1));
    assertEquals(data.train.features.subarray(512, 1024), row(4));
  });
});

gpuProcessTest("features: refuses other networks", TASK_PERMISSIONS, async () => {
  await withPictures(async (folder, weights) => {
    await writeTinyModel(weights, ["a", "b"]);
    const flags = [`--weights=${weights}`, `--images=${folder}`, `--to=${folder}/made`];
    const part = "give 32 features of a picture, and a captioner's are the 512";
    await assertRefused(flags, 1, part);
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "made"));
  });
});

permissionTest("features: refuses what cannot be done", TASK_PERMISSIONS, async () => {
  const weights = "--weights=squeezenet.pth";
  await assertRefused([weights], 2, "Either --images, pictures, or --data");
  await assertRefused([weights, "--images=a.jpg"], 1, "There is no picture and no folder a.jpg");
  await assertRefused([weights, "--data=a", "--strict"], 2, "Flag --strict is for --images");
  const outside = [weights, "--images=a.jpg", "--to=b", "--allow-outside"];
  await assertRefused(outside, 2, "Flag --allow-outside is for --data");
  await withFolder((data) => data.trainUrls = "a.jpg\n/etc/b.jpg\n", async (folder) => {
    const message = 'train2014_urls.txt, line 2: "/etc/b.jpg" is an absolute path';
    await assertRefused([weights, `--data=${folder}`], 1, message);
    const allowed = [weights, `--data=${folder}`, "--allow-outside"];
    await assertRefused(allowed, 1, "squeezenet.pth");
  });
  await assertRefused(["--images=a.jpg", "--to=b"], 2, "Flag --weights must be given");
  await withTempFolder((folder) =>
    assertRefused([weights, `--data=${folder}`], 1, "misses train2014_urls.txt, val2014_urls.txt")
  );
  await withFolder(
    () => {},
    (folder) =>
      assertRefused([weights, `--data=${folder}`], 1, "names pictures on the web, such as one.jpg"),
  );
});
