/** Captioning one's own pictures, from the command line to the run folder. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { encodePng } from "../../data/images/image.ts";
import { writeSafetensors } from "../../data/formats/safetensors.ts";
import { Vocabulary } from "../../data/text/vocabulary.ts";
import type { CellType } from "../../models/layers/layers.ts";
import { checkCaptioner } from "../../tasks/caption/own.ts";
import { captionSettings } from "../../tasks/caption/settings.ts";
import { UsageError } from "../../tasks/lib/flags.ts";
import { modelFile } from "../../tasks/lib/model_file.ts";
import { withFolder } from "../data/sets/coco_folder.ts";
import { noise } from "../data/images/images.ts";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { randomSqueezeNet } from "./small_network.ts";
import {
  assertRefused,
  jsonLines,
  runFolder,
  runTaskProcess,
  TASK_PERMISSIONS,
  withTempFolder,
} from "./task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

const TINY = ["--hidden=16", "--words=8", "--beam=2", "--pictures=5", "--epochs=1"];

/** The greedy and the beam caption under each picture of a page. */
function captions(run: string): Record<string, string[]> {
  const text = Deno.readTextFileSync(join(run, "index.html"));
  const html = text.replaceAll("&lt;", "<").replaceAll("&gt;", ">");
  const cards = html.split("<article>").slice(1);
  return Object.fromEntries(cards.map((card) => {
    const [, name] = card.match(/<figcaption>(?:.*\/)?(.*)<\/figcaption>/)!;
    return [name, [...card.matchAll(/<li>(.*?)<\/li>/g)].slice(0, 2).map(([, text]) => text)];
  }));
}

async function run(task: string, flags: string[]): Promise<string> {
  const { code, stdout, stderr } = await runTaskProcess(task, flags);
  assertEquals([code, stderr], [0, ""]);
  return stdout;
}

gpuProcessTest(
  "caption-lstm: a model trained on features captions the pictures themselves",
  TASK_PERMISSIONS,
  async () => {
    const urls = "images/one.png\nimages/two.jpg\nimages/three.jpg\n";
    await withFolder((data) => [data.trainUrls, data.ending] = [urls, ".h5"], async (folder) => {
      const images = join(folder, "images");
      await Deno.mkdir(images);
      const names = ["one.png", "two.jpg", "three.jpg", "four.jpg", "five.jpg"];
      for (const [i, name] of names.entries()) {
        await Deno.writeFile(join(images, name), await encodePng(noise(30 + i, 40, i)));
      }
      const weights = `--weights=${join(folder, "squeezenet.safetensors")}`;
      await writeSafetensors(join(folder, "squeezenet.safetensors"), await randomSqueezeNet(2));
      await run("features", [weights, `--data=${folder}`]);
      const [trained, own] = ["trained", "own"].map((name) => join(folder, name));
      const training = [`--data=${folder}`, "--max-train=0", ...TINY, `--out=${trained}`];
      await run("caption-lstm", training);
      const model = runFolder(trained, "caption-lstm");

      await Deno.writeTextFile(join(images, "aaa.png"), "no picture");
      const flags = [`--model=${model}`, `--images=${images}`, weights];
      const stdout = await run("caption-lstm", [...flags, "--beam=2", `--out=${own}`]);
      assertMatch(stdout, /^6 pictures through squeezenet1_1 and the captioner in .*\n/);
      assertMatch(stdout, /\nimages\/five\.jpg\n +greedy .*\n +beam 2 .*\nimages\/four\.jpg\n/);
      assertMatch(stdout, /\nLeft out: .*aaa\.png cannot be read as a picture/);
      const folderOfOwn = runFolder(own, "caption-lstm");
      const files = [...Deno.readDirSync(folderOfOwn)].map(({ name }) => name).sort();
      assertEquals(files, ["config.json", "index.html", "metrics.jsonl"]);
      const shown = captions(folderOfOwn);
      assertEquals(Object.keys(shown).sort(), [...names].sort());
      // The same as the run itself gave to the stored features.
      assertEquals(shown, captions(model));
      const metrics = jsonLines(join(folderOfOwn, "metrics.jsonl"));
      assertEquals(metrics[0].picture, `${images}/five.jpg`);
      assertEquals(
        metrics.map(({ greedy }) => greedy),
        metrics.map(({ picture }) => shown[String(picture).split("/").pop()!][0]),
      );

      await assertRefused("caption-lstm", flags.slice(0, 2), 2, [
        "Flag --weights must be given with --model",
      ]);
    });
  },
);

Deno.test("a captioner that does not fit photographs or flags is refused", () => {
  const vocabulary = Vocabulary.fromWords(["a", "red", "dog"]);
  const sizes = { hiddenDim: 4, wordDim: 4, vocabularySize: vocabulary.size };
  const check = (featureDim: number, mean: number, cell: CellType = "lstm", beam = 5) => {
    const scale = {
      mean: new Float32Array(featureDim).fill(mean, 7, 8),
      deviation: new Float32Array(featureDim).fill(1),
    };
    const config = { cell: "lstm" as const, featureDim, ...sizes };
    checkCaptioner({ config }, { scale, vocabulary }, { cell, beam }, "model.safetensors");
  };
  check(512, 0.5);
  const refused: [run: () => void, kind: new (message: string) => Error, message: string][] = [
    [() => check(771, 0), UserError, "model.safetensors was trained on scenes drawn by neckar"],
    [() => check(4096, 0), UserError, "4096 numbers of a picture, and not 512"],
    [() => check(512, -0.5), UserError, "some are below zero on average, as VGG's are after PCA"],
    [() => check(512, 0, "rnn"), UserError, "has an LSTM: use deno task caption-lstm"],
    [() => check(512, 0, "lstm", 6), UsageError, "vocabulary of 7 words allows 1 to 5"],
  ];
  for (const [run, kind, message] of refused) assertThrows(run, kind, message);
});

permissionTest("modelFile() finds a run's model", [{ name: "write" }], async () => {
  await withTempFolder(async (folder) => {
    await assertRejects(
      () => modelFile(folder, "caption-lstm"),
      UserError,
      `There is no model in ${folder}: --model must be the folder of a caption run, such as runs/caption-lstm/`,
    );
    const path = join(folder, "model.safetensors");
    await Deno.writeTextFile(path, "");
    assertEquals([await modelFile(folder, "a"), await modelFile(path, "a")], [path, path]);
  });
});

const WRONG: [flags: string[], message: string][] = [
  [["--model=a"], "Flag --images, the pictures to caption, must be given with --model"],
  [["--model=a", "--images=b", "--epochs=3"], "Flag --epochs is for training, and with --model"],
  [["--model=a", "--images=b", "--no-pca"], "Flag --pca is for training"],
  [["--model=a", "--images=b", "--seed", "3"], "Flag --seed is for training"],
  [["--images=b"], "Flag --images is for captioning with an earlier run's model"],
  [["--weights=b"], "Flag --weights is for captioning with an earlier run's model"],
  [["--strict"], "Flag --strict is for captioning with an earlier run's model"],
];

Deno.test("caption-lstm: flags of training and of captioning are kept apart", () => {
  for (const [flags, message] of WRONG) {
    assertThrows(() => captionSettings("lstm", flags), UsageError, message);
  }
  assertEquals(captionSettings("rnn", ["--model=a", "--images=b", "--beam=3"]), {
    ...{ cell: "rnn", model: "a", images: "b", strict: false, weights: undefined },
    ...{ beam: 3, lengthPower: 0.7, out: "runs" },
  });
  const training = captionSettings("lstm", []);
  assert(!Object.hasOwn(training, "images") && !Object.hasOwn(training, "model"));
});
