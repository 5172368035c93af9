/** The text tasks from the command line to the run folder. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
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
import { plainSentences, withSentences } from "./text_folder.ts";

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

gpuProcessTest(
  "text-bow: what a run on a folder leaves, and text-predict",
  TASK_PERMISSIONS,
  async () => {
    await withSentences({}, async (folder) => {
      const unlabeled = join(folder, "unlabelled.txt");
      await Deno.writeTextFile(unlabeled, "the food was good .\n\nbad zorbly food\n");
      const out = join(folder, "runs");
      const { code, stdout, stderr } = await runTaskProcess("text-bow", [
        ...[`--data=${join(folder, "sentences")}`, `--out=${out}`, `--predict=${unlabeled}`],
        ...["--epochs=50", "--patience=1", "--batch=8", "--lr=0.5"],
      ]);
      assertEquals([code, stderr], [0, ""]);
      for (
        const part of [
          "Data: sentences\nSentences: train 40 (50.0 % positive), dev 10 (50.0 % positive), test 10",
          "vocabulary of 14 words\nNote: test.txt: 1 line without words was passed over (line 11)",
          "No better dev accuracy for an epoch: stopped early",
          "\naccuracy %    train     dev    test\nthis run     100.00  100.00  100.00\n",
          "\n2019 report   98.07   96.06   95.45\n",
          ": 1 positive (1); 1 of 8 words unknown (12.5 %); 1 without words, answered all the same\n",
        ]
      ) {
        assertStringIncludes(stdout, part);
      }
      assertNotMatch(stdout, /\r|NaN|undefined|GloVe/);

      const run = runFolder(out, "text-bow");
      assertStringIncludes(stdout, `Done; see ${join(run, "index.html")}`);
      assertEquals(names(run), [
        ...[
          "accuracy.svg",
          "checkpoint.safetensors",
          "config.json",
          "index.html",
          "loss.svg",
          "metrics.jsonl",
        ],
        ...["model.safetensors", "predictions.txt"],
      ]);
      const config = JSON.parse(Deno.readTextFileSync(join(run, "config.json")));
      assertEquals([config.task, config.seed, config.lr, config.model.kind, config.hidden], [
        ...["text-bow", 231, 0.5, "bow"],
        undefined,
      ]);

      const metrics = jsonLines(join(run, "metrics.jsonl"));
      const steps = metrics.filter(({ step }) => step !== undefined);
      const epochs = metrics.filter(({ epoch }) => epoch !== undefined);
      assertEquals(steps.map(({ step }) => step), steps.map((_, i) => i + 1));
      assertEquals(steps.length, 5 * epochs.length);
      assert(steps.every(({ seed, loss }) => seed === 231 && typeof loss === "number" && loss > 0));
      assert(epochs.length >= 2 && epochs.length < 50, `${epochs.length} epochs`);
      assertEquals(Object.keys(epochs[0]), [
        ...["seed", "epoch", "trainLoss", "trainAccuracy", "devAccuracy", "lr"],
      ]);
      assertEquals(epochs.at(-2)?.devAccuracy, 1);
      const measured = metrics.filter(({ split }) => split !== undefined);
      assertEquals(measured.map(({ split, accuracy }) => [split, accuracy]), [
        ...[["train", 1], ["dev", 1], ["test", 1]],
      ]);

      const { tensors, metadata } = await readSafetensors(join(run, "model.safetensors"));
      const words = JSON.parse(metadata.vocabulary) as string[];
      assertEquals(words.slice(0, 4), ["<NULL>", "<START>", "<END>", "<UNK>"]);
      assertEquals(tensors.get("score.weight")?.shape, [1, words.length]);

      const html = Deno.readTextFileSync(join(run, "index.html"));
      for (
        const part of [
          "<h1>Sentence classification with a bag of words</h1>",
          '<th scope="row">2019 report</th><td class="number">98.07</td>',
          '<th scope="row">is positive (1)</th><td class="number">5</td><td class="number">0</td>',
          "test.txt: 1 line without words",
          "There is none.",
        ]
      ) {
        assertStringIncludes(html, part);
      }
      assertNotMatch(html, /NaN|undefined|<script|hidden<|width<|glove|src="http/);

      const predictions = Deno.readTextFileSync(join(run, "predictions.txt"));
      assertMatch(predictions, /^1\n[01]\n0\n$/);
      const answered = await runTaskProcess("text-predict", [
        `--model=${run}`,
        `--file=${unlabeled}`,
      ]);
      assertEquals([answered.code, answered.stdout], [0, predictions]);
      assertStringIncludes(answered.stderr, `3 lines of ${unlabeled} answered, 1 positive (1)`);

      const written = join(folder, "answers.txt");
      const file = await runTaskProcess("text-predict", [
        ...[`--model=${run}`, `--file=${unlabeled}`, `--out=${written}`],
      ]);
      assertEquals([file.code, file.stderr], [0, ""]);
      assertEquals(Deno.readTextFileSync(written), predictions);

      const model = `--model=${join(run, "model.safetensors")}`;
      const typed = await runTaskProcess("text-predict", [model, "--text=It wasn't BAD, really."]);
      assertEquals([typed.code, typed.stderr], [0, ""]);
      assertMatch(typed.stdout, /^read as: \[it\] was \[n't\] bad \[,\] \[really\] \./);
      assertMatch(
        typed.stdout,
        /know 4 of 7 words, in brackets\)\nnegative \(0\), probability 0\.9/,
      );
    });
  },
);

gpuProcessTest("text-best: several seeds on generated reviews", TASK_PERMISSIONS, async () => {
  await withTempFolder(async (out) => {
    const { code, stdout, stderr } = await runTaskProcess("text-best", [
      ...["--reviews=40", "--epochs=2", "--hidden=8", "--batch=8", "--seed=7", "--seeds=2"],
      `--out=${out}`,
    ]);
    assertEquals([code, stderr], [0, ""]);
    for (
      const part of [
        "Data: reviews generated by neckar, since no --data=DIR is given\nSentences: train 40 (",
        "\nGenerated vectors (width 48): ",
        "\nSeed 7 (1 of 2)\n",
        "\nSeed 8 (2 of 2)\n",
        "\nmean of 2 seeds ",
        "\nstandard deviation ",
      ]
    ) {
      assertStringIncludes(stdout, part);
    }
    assertNotMatch(stdout, /NaN|undefined|2019/);
    const run = runFolder(out, "text-best");
    const saved = names(run).filter((name) => /^model.*\.safetensors$/.test(name));
    assertEquals(saved.length, 2);
    assertEquals(saved[1], "model.safetensors");
    assertMatch(saved[0], /^model-seed-[78]\.safetensors$/);
    const best = saved[0].includes("7") ? 8 : 7;
    assertStringIncludes(stdout, `model.safetensors is that of seed ${best}, the best on dev`);

    const metrics = jsonLines(join(run, "metrics.jsonl"));
    const seeds = metrics.filter(({ epoch }) => epoch !== undefined).map(({ seed }) => seed);
    assertEquals(seeds, [7, 7, 8, 8]);
    const losses = metrics.filter(({ step }) => step === 1).map(({ loss }) => loss);
    assert(losses[0] !== losses[1], "seeds must differ");

    const { tensors } = await readSafetensors(join(run, "model.safetensors"));
    assertEquals(tensors.get("recurrent.weight_ih_l0_reverse")?.shape, [32, 48]);
    const html = Deno.readTextFileSync(join(run, "index.html"));
    for (const part of ["mean of 2 seeds", "seed 8", `seed ${best}, whose model is saved`]) {
      assertStringIncludes(html, part);
    }
    assertNotMatch(html, /NaN|undefined|2019/);
  });
});

gpuProcessTest(
  "text-rnn: vectors beside the data, clipped and dense",
  TASK_PERMISSIONS,
  async () => {
    await withSentences({ glove: "good 1 2 3\nbad -1 -2 -3\nsuperb 1 2 2\n" }, async (folder) => {
      const { code, stdout, stderr } = await runTaskProcess("text-rnn", [
        ...[`--data=${join(folder, "sentences")}`, `--out=${join(folder, "runs")}`],
        ...["--epochs=1", "--hidden=4", "--clip=1", "--no-sparse"],
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(
        stdout,
        "width 3): 2 of 10 words of the training sentences have a vector (20.0 %), others get a " +
          "normal draw; 1 further words from the file\n",
      );
      const run = runFolder(join(folder, "runs"), "text-rnn");
      const { tensors, metadata } = await readSafetensors(join(run, "model.safetensors"));
      assertEquals((JSON.parse(metadata.vocabulary) as string[]).at(-1), "superb");
      // Widened to whole groups of four numbers.
      assertEquals(tensors.get("embed.weight")?.shape, [15, 4]);
      const { glove } = JSON.parse(Deno.readTextFileSync(join(run, "config.json")));
      assertEquals(glove, join(folder, "glove", "glove.test.txt"));
    });
  },
);

gpuProcessTest("text-average: Ctrl-C keeps what was learned", TASK_PERMISSIONS, async () => {
  if (Deno.build.os === "windows") return; // a child cannot be sent Ctrl-C there
  await withTempFolder(async (out) => {
    const long = ["--reviews=80", "--epochs=9000", "--patience=0", "--read-every=2", "--seeds=2"];
    const child = taskCommand("text-average", [...long, "--width=4", `--out=${out}`]).spawn();
    const output = child.output();
    let over = false;
    child.status.then(() => over = true);
    while (!over && !hasLosses(join(out, "text-average"))) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!over) child.kill("SIGINT");
    const { code, stdout, stderr } = ended(await output);
    assertEquals(code, 130);
    assertStringIncludes(stderr, "Stopping after this step");
    assertStringIncludes(stdout, "Interrupted; what was learned so far is in ");
    assertNotMatch(stdout, /Seed 232|NaN/);
    const run = runFolder(out, "text-average");
    const { tensors } = await readSafetensors(join(run, "model.safetensors"));
    assert(tensors.has("embed.weight"));
    const html = Deno.readTextFileSync(join(run, "index.html"));
    assertStringIncludes(html, "The run was interrupted in seed 231");
  });
});

permissionTest(
  "text tasks: refuse wrong flags and data, and leave no folder",
  TASK_PERMISSIONS,
  async () => {
    await assertRefused("text-bow", ["--glove=x"], 2, ["Flag --glove is not for text-bow"]);
    const missing = ["--predict=no/such.txt"];
    await assertRefused("text-bow", missing, 1, ["no/such.txt"]);
    await withSentences({ train: "1 good\n0 bad\ngood food\n" }, async (folder) => {
      const data = `--data=${join(folder, "sentences")}`;
      await assertRefused("text-lstm", [data], 1, ["train.txt, line 3", "label 0 or 1"]);
    });
    await withSentences({}, async (folder) => {
      const data = `--data=${join(folder, "sentences")}`;
      await assertRefused("text-lstm", [data], 2, ["There is no file glove*.txt or *.vec in "]);
      const glove = `--glove=${join(folder, "sentences")}`;
      await assertRefused("text-lstm", [data, glove], 2, [
        "Flag --glove must name a file",
        "sentences is a folder; in it are ",
        join(folder, "sentences", "dev.txt"),
      ]);
    });
  },
);

gpuProcessTest(
  "text tasks: refuse sentences and vocabularies too large before training",
  TASK_PERMISSIONS,
  async () => {
    const long = `${plainSentences(10)}1 ${"good ".repeat(9000)}\n`;
    const glove = "good 1 2\nbad -1 -2\n";
    await withSentences({ glove, test: long }, async (folder) => {
      const data = `--data=${join(folder, "sentences")}`;
      await assertRefused("text-rnn", [data, "--extra=4096"], 1, [
        "test.txt: Sentence 11 has 9000 words, and the model (rnn, 4100 numbers a word) reads at most ",
        "shorten it, or train a model with narrower word vectors",
      ]);
    });
    const words = Array.from({ length: 9000 }, (_, i) => `word${i}`).join(" ");
    await withSentences({ train: `${plainSentences(10)}1 ${words}\n` }, async (folder) => {
      const data = `--data=${join(folder, "sentences")}`;
      await assertRefused("text-average", [data, "--width=4096", "--min-count=1"], 2, [
        "The vocabulary of 9,014 words with 4096 numbers each takes 147,685,376 bytes, and the GPU allows",
        "leave rare words out with --min-count",
      ]);
    });
  },
);

gpuProcessTest("text-predict: refuses the run of a captioner", TASK_PERMISSIONS, async () => {
  await withTempFolder(async (folder) => {
    const path = join(folder, "model.safetensors");
    const metadata = { config: '{"cell":"lstm","hiddenDim":4}', vocabulary: "[]" };
    await writeSafetensors(path, new Map(), metadata);
    const { code, stdout, stderr } = await runTaskProcess("text-predict", [
      ...[`--model=${folder}`, "--text=good"],
    ]);
    assertEquals([code, stdout], [1, ""]);
    assertStringIncludes(stderr, `error: "${path}" holds no sentence classifier: these are not`);
  });
});

permissionTest("text-predict: refuses what it cannot answer", TASK_PERMISSIONS, async () => {
  await withTempFolder(async (folder) => {
    const refuse = async (flags: string[], code: number, part: string) => {
      const refused = await runTaskProcess("text-predict", flags);
      assertEquals([refused.code, refused.stdout], [code, ""]);
      assertStringIncludes(refused.stderr, part);
    };
    const model = `--model=${folder}`;
    await refuse(["--text=good"], 2, "Flag --model must be given");
    await refuse([model], 2, "Either --text");
    await refuse([model, "--text=a", "--file=b"], 2, "Either --text");
    await refuse([model, "--text=a", "--out=b"], 2, "Flag --out is for the answers to --file");
    await refuse([model, "--text= "], 2, 'Flag --text holds no word: " "');
    await refuse([model, "--text=good"], 1, `There is no model in ${folder}: --model must be`);
    const path = join(folder, "model.safetensors");
    const sentences = join(folder, "sentences.txt");
    await Deno.writeTextFile(path, "");
    await Deno.writeTextFile(sentences, "good food\n");
    await Deno.symlink(sentences, join(folder, "soft.txt"));
    await Deno.link(sentences, join(folder, "hard.txt"));
    const file = [model, `--file=${sentences}`];
    for (const out of ["sentences.txt", "./sentences.txt", "soft.txt", "hard.txt"]) {
      const same = [...file, `--out=${folder}/${out}`];
      await refuse(same, 2, "is the file of --file: its sentences would be lost");
    }
    await refuse([...file, `--out=${path}`], 2, "the model would be lost");
    await refuse([...file, `--out=${folder}`], 2, "must name a file");
    assertEquals(await Deno.readTextFile(sentences), "good food\n");
    await refuse([`${model}/x`, "--text=good"], 1, `There is no model in ${folder}/x`);
  });
});
