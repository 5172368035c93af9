/** The caption tasks from the command line to the run folder. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { readSafetensors } from "../../data/formats/safetensors.ts";
import { withFolder } from "../data/sets/coco_folder.ts";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import {
  assertRefused,
  ended,
  hasLosses,
  jsonLines,
  runFolder,
  runTaskProcess,
  TASK_PERMISSIONS,
  taskCommand,
  withTempFolder,
} from "./task_process.ts";

/** A run of a few seconds. */
const TINY = ["--hidden=16", "--words=8", "--beam=2", "--pictures=2"];
const SCENES = ["--scenes=40", "--max-val=30", ...TINY];

/** A black PNG of 400 x 300 pixels. */
const BLACK =
  "iVBORw0KGgoAAAANSUhEUgAAAZAAAAEsAQAAAADFzNhvAAAAJklEQVR42u3BMQEAAADCoPVPbQlPoAAAAAAA" +
  "AAAAAAAAAAAAgKcBO8QAAfyeO9sAAAAASUVORK5CYII=";

/** How often a text holds another. */
function count(text: string, part: string): number {
  return text.split(part).length - 1;
}

gpuProcessTest("caption-lstm: what a run on scenes leaves", TASK_PERMISSIONS, async () => {
  await withTempFolder(async (out) => {
    const { code, stdout, stderr } = await runTaskProcess("caption-lstm", [
      ...SCENES,
      "--epochs=2",
      `--out=${out}`,
    ]);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(
      stdout,
      "200 captions of 40 pictures to learn from, 150 of 30 to validate",
    );
    assertMatch(stdout, /\n100 % {2}8\/8 steps {2}loss \d+\.\d+ .*\n/);
    assertNotMatch(stdout, /\r|NaN|undefined/);
    assert(!stdout.includes("\x1b"), "a log has no colors");
    const folder = runFolder(out, "caption-lstm");
    assertStringIncludes(stdout, `Done; see ${folder}/index.html`);
    const names = [...Deno.readDirSync(folder)].map(({ name }) => name).sort();
    const expected = [
      ...["checkpoint.safetensors", "config.json", "index.html", "loss.svg", "metrics.jsonl"],
    ];
    assertEquals(names, [...expected, "model.safetensors"]);

    const config = JSON.parse(Deno.readTextFileSync(join(folder, "config.json")));
    const { task, seed, hidden, batch, keep, optimizer, model } = config;
    assertEquals([task, seed, hidden, batch, keep, optimizer], [
      "caption-lstm",
      231,
      16,
      64,
      "best",
      "adam",
    ]);

    const metrics = jsonLines(join(folder, "metrics.jsonl"));
    const [first, second] = [4, 8].map((at) => metrics.splice(at, 1)[0]);
    // The rate of the last step.
    assertEquals([first.epoch, first.lr, typeof first.validationBleu4], [1, 3.75e-3, "number"]);
    assertEquals([second.epoch, second.lr, typeof second.validationBleu4], [2, 7.5e-4, "number"]);
    assertEquals(metrics.slice(0, 8).map(({ step }) => step), [1, 2, 3, 4, 5, 6, 7, 8]);
    for (const { loss } of metrics.slice(0, 8)) {
      assert(typeof loss === "number" && loss > 10 && loss < 100, `loss ${loss}`);
    }
    const results = metrics.slice(8);
    assertEquals(results.map(({ split, way }) => `${split} ${way}`), [
      "train greedy",
      "train beam",
      "validation greedy",
      "validation beam",
    ]);
    for (const result of results) {
      for (const name of ["bleu1", "bleu2", "bleu3", "bleu4", "unigramPrecision"]) {
        const value = result[name];
        assert(typeof value === "number" && value >= 0 && value <= 1, `${name} ${value}`);
      }
    }

    const { tensors, metadata } = await readSafetensors(join(folder, "model.safetensors"));
    const words = JSON.parse(metadata.vocabulary) as string[];
    assertEquals(words.slice(0, 4), ["<NULL>", "<START>", "<END>", "<UNK>"]);
    assertEquals(tensors.get("recurrent.weight_ih_l0")?.shape, [64, 8]);
    assertEquals(tensors.get("score.weight")?.shape, [words.length, 16]);
    assertEquals(tensors.get("features.mean")?.shape, [model.featureDim]);

    const chart = Deno.readTextFileSync(join(folder, "loss.svg"));
    assertMatch(chart, /^<svg[^]*LSTM captioner on scenes[^]*<\/svg>\s*$/);

    const html = Deno.readTextFileSync(join(folder, "index.html"));
    assertStringIncludes(html, "<h1>Image captioning with an LSTM</h1>");
    for (const part of ["BLEU-4", "unigram precision", "beam 2", "lengthPower", "2 of 30"]) {
      assertStringIncludes(html, part);
    }
    // Two pictures of each split, and the chart.
    assertEquals(count(html, 'src="data:image/svg+xml;base64,'), 5);
    assertEquals(count(html, "<img"), 5);
    assertNotMatch(html, /NaN|undefined|<script|src="http/);
  });
});

gpuProcessTest(
  "caption-rnn: photographs come into the page, made smaller",
  TASK_PERMISSIONS,
  async () => {
    const local = "images/one.png\nimages/two.jpg\nimages/three.jpg\n";
    await withFolder((data) => data.trainUrls = local, async (folder) => {
      await Deno.mkdir(join(folder, "images"));
      await Deno.writeFile(join(folder, "images", "one.png"), Uint8Array.fromBase64(BLACK));
      const out = join(folder, "runs");
      const flags = [`--data=${folder}`, "--max-train=0", "--epochs=1", ...TINY, `--out=${out}`];
      const { code, stderr } = await runTaskProcess("caption-rnn", flags);
      assertEquals([code, stderr], [0, ""]);
      const html = Deno.readTextFileSync(join(runFolder(out, "caption-rnn"), "index.html"));
      const png = html.match(/src="data:image\/png;base64,([^"]*)"/);
      assert(png !== null, "the page has no photograph");
      // The header of a PNG holds its size: it was 400 x 300.
      const header = new DataView(Uint8Array.fromBase64(png[1]).buffer);
      assertEquals([header.getUint32(16), header.getUint32(20)], [320, 240]);
      assertStringIncludes(html, "A picture could not be read: two.jpg: ");
      assertStringIncludes(html, "<li>a &lt;UNK&gt;</li>");
    });
  },
);

const wrong: [flags: string[], parts: string[]][] = [
  [["--hiden=5"], ["Unknown flag --hiden, did you mean --hidden?"]],
  [["--hidden=-5"], ["Flag --hidden takes a whole number, at least 1", '"-5"']],
  [["--lr=NaN"], ["Flag --lr takes a finite number, more than 0", '"NaN"']],
  [["--batch=2.5"], ["Flag --batch takes a whole number, at least 1", '"2.5"']],
  [["--dropout=1"], ["Flag --dropout takes a finite number, at least 0, less than 1"]],
  [["--data="], ["Flag --data needs a value"]],
  [["--optimizer=adagrad"], ["adam, rmsprop, sgd", '"adagrad"']],
  [["--momentum=0.5"], ["Flag --momentum is for --optimizer=sgd"]],
  [["--scenes=9", "--data=x"], ["Flag --scenes is for drawn scenes"]],
  [["--no-pca"], ["Flag --no-pca needs --data"]],
  [["--scenes=9", "--max-train=46"], ["Flag --max-train is 46", "0 (all) to 45"]],
  [["--epochs", "3", "7"], ['"7" has none']],
];

for (const [flags, parts] of wrong) {
  const name = `caption-lstm: refuses ${flags.join(" ")}`;
  permissionTest(name, TASK_PERMISSIONS, () => assertRefused("caption-lstm", flags, 2, parts));
}

permissionTest(
  "caption-lstm: refuses a missing and an empty folder",
  TASK_PERMISSIONS,
  async () => {
    await withTempFolder(async (folder) => {
      const missing = join(folder, "nothing");
      await assertRefused("caption-lstm", [`--data=${missing}`], 1, [
        `There is no folder ${missing}`,
      ]);
      await assertRefused("caption-lstm", [`--data=${folder}`], 1, [
        `The folder ${folder} misses coco2014_captions.h5, coco2014_vocab.json`,
        "found are no files",
      ]);
    });
  },
);

permissionTest("caption-lstm: refuses a truncated HDF5 file", TASK_PERMISSIONS, async () => {
  await withFolder(() => {}, async (folder) => {
    const path = join(folder, "train2014_vgg16_fc7_pca.h5");
    await Deno.truncate(path, Math.floor((await Deno.stat(path)).size / 2));
    const args = [`--data=${folder}`, "--max-train=3"];
    await assertRefused("caption-lstm", args, 1, [path, "truncated file"]);
  });
});

permissionTest(
  "caption-lstm: refuses data that do not fit together",
  TASK_PERMISSIONS,
  async () => {
    await withFolder((data) => data.captions.train_captions.data[6] = 7, async (folder) => {
      const parts = ["coco2014_captions.h5, train_captions: caption 1 holds word 7", "from 0 to 6"];
      await assertRefused("caption-lstm", [`--data=${folder}`], 1, parts);
    });
    await withFolder((data) => data.trainUrls = "one.jpg\ntwo.jpg\n", async (folder) => {
      const parts = ["caption 0 belongs to image 2, ", "train2014_urls.txt names 2"];
      await assertRefused("caption-lstm", [`--data=${folder}`], 1, parts);
    });
    await withFolder((data) => data.trainUrls += "four.jpg\n", async (folder) => {
      const parts = ['"features" has shape [3,2], but train2014_urls.txt names 4 images'];
      await assertRefused("caption-lstm", [`--data=${folder}`, "--max-train=3"], 1, parts);
    });
    await withFolder((data) => data.valUrls = "a.jpg\n../b.jpg", async (folder) => {
      const parts = ["val2014_urls.txt, line 2", '"../b.jpg"', "--allow-outside"];
      await assertRefused("caption-lstm", [`--data=${folder}`, "--max-train=3"], 1, parts);
    });
    await withFolder(() => {}, async (folder) => {
      const few = [`--data=${folder}`, "--max-train=3"];
      await assertRefused("caption-lstm", [...few, "--beam=6"], 2, [
        "Flag --beam is 6",
        "allows 1 to 5",
      ]);
      await assertRefused("caption-lstm", [`--data=${folder}`], 2, ["--max-train", "4 captions"]);
    });
  },
);

gpuProcessTest(
  "caption-lstm: refuses a folder that cannot be written",
  TASK_PERMISSIONS,
  async () => {
    await withTempFolder(async (folder) => {
      const file = join(folder, "file");
      await Deno.writeTextFile(file, "");
      const flags = [...SCENES, `--out=${join(file, "runs")}`];
      const { code, stdout, stderr } = await runTaskProcess("caption-lstm", flags);
      assertEquals([code, stdout], [1, ""]);
      assertMatch(stderr, /^error: The output folder ".*file.runs" cannot be written: .*\n$/);
    });
  },
);

permissionTest("caption-lstm: says so when there is no adapter", TASK_PERMISSIONS, async () => {
  if (Deno.build.os !== "linux") return; // where this backend is never there
  const env = { DENO_WEBGPU_BACKEND: "dx12" };
  await assertRefused("caption-lstm", ["--scenes=9"], 1, [
    "Deno ",
    " on linux finds no WebGPU adapter: install ",
  ], env);
});

permissionTest("caption tasks: --help shows the flags and examples", TASK_PERMISSIONS, async () => {
  for (const task of ["caption-lstm", "caption-rnn"]) {
    const { code, stdout, stderr } = await runTaskProcess(task, ["--help"]);
    assertEquals([code, stderr], [0, ""]);
    for (const part of ["--hidden <integer>", "(default 231, at least 0)", "Examples:"]) {
      assertStringIncludes(stdout, part);
    }
    assertStringIncludes(stdout, `\n  deno task ${task} --data=coco_captioning --max-train=50\n`);
  }
});

gpuProcessTest("caption-lstm: Ctrl-C keeps what was learned", TASK_PERMISSIONS, async () => {
  if (Deno.build.os === "windows") return; // a child cannot be sent Ctrl-C there
  await withTempFolder(async (out) => {
    const long = ["--epochs=2000", "--read-every=2", "--keep=last", `--out=${out}`];
    const child = taskCommand("caption-lstm", [...SCENES, ...long]).spawn();
    const output = child.output();
    let over = false;
    child.status.then(() => over = true);
    while (!over && !hasLosses(join(out, "caption-lstm"))) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!over) child.kill("SIGINT");
    const { code, stdout, stderr } = ended(await output);
    assertEquals(code, 130);
    assertStringIncludes(stderr, "Stopping after this step");
    assertStringIncludes(stdout, "Interrupted; what was learned so far is in ");
    const folder = runFolder(out, "caption-lstm");
    const steps = jsonLines(join(folder, "metrics.jsonl")).filter(({ step }) => step !== undefined);
    assert(steps.length >= 1 && steps.length < 8000, `${steps.length} steps`);
    const { tensors } = await readSafetensors(join(folder, "model.safetensors"));
    assert(tensors.has("recurrent.weight_hh_l0"));
    const html = Deno.readTextFileSync(join(folder, "index.html"));
    assertStringIncludes(html, "The run was interrupted");
  });
});
