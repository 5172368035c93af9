/** The text tasks' settings and data, without a GPU. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import { RandomStream } from "../../data/rng.ts";
import { HelpRequest, UsageError } from "../../tasks/lib/flags.ts";
import { moments } from "../../tasks/lib/statistics.ts";
import { describeUnlabeled, firstTable, textData, wordWidth } from "../../tasks/text/data.ts";
import { TEXT_MODELS, type TextModelName } from "../../tasks/text/models.ts";
import { accuracyRows, bestSeed } from "../../tasks/text/report.ts";
import { settingsInUse, textSettings } from "../../tasks/text/settings.ts";
import type { SeedResult } from "../../tasks/text/train.ts";
import { permissionTest } from "../support.ts";
import { plainSentences, withSentences } from "./text_folder.ts";
import { UserError } from "../../data/files/user_error.ts";

const settings = (name: TextModelName, ...args: string[]) => textSettings(TEXT_MODELS[name], args);

Deno.test("text settings: the defaults are the model's for the kind of data", () => {
  for (const [name, model] of Object.entries(TEXT_MODELS)) {
    const generated = settings(name as TextModelName);
    const real = settings(name as TextModelName, "--data=folder");
    for (const key of Object.keys(model.real) as (keyof typeof model.real)[]) {
      assertEquals([generated[key], real[key]], [model.generated[key], model.real[key]], key);
    }
    assertEquals([generated.seed, generated.seeds, generated.reviews], [231, 1, 4000]);
    const lr = settings(name as TextModelName, "--lr=0.25", "--seeds=3");
    assertEquals([lr.lr, lr.seeds], [0.25, 3]);
    const { page } = assertThrows(() => settings(name as TextModelName, "--help"), HelpRequest);
    assertStringIncludes(page, `\n  deno task text-${name} --data=sentences --seeds=3\n`);
  }
});

Deno.test("text settings: what a model does not read is refused and not shown", () => {
  const refused: [TextModelName, string[], string][] = [
    ["bow", ["--glove=x"], "Flag --glove is not for text-bow: it reads no file of word vectors"],
    ["average", ["--glove", "x"], "Flag --glove is not for text-average"],
    ["bow", ["--width=3"], "Flag --width is not for text-bow: it has no word vectors"],
    ["lstm", ["--width=3"], "as wide as those it reads"],
    ["glove", ["--hidden=3"], "Flag --hidden is not for text-glove: it has no recurrent cell"],
    ["average", ["--word-dropout=0.1"], "Flag --word-dropout is not for text-average"],
    ["bow", ["--dropout=0.1"], "Flag --dropout is not for text-bow"],
    ["rnn", ["--reviews=9", "--data=x"], "Flag --reviews is for generated ones"],
    ["rnn", ["--glove-words=9"], "Flag --glove-words needs --glove or --data"],
    ["lstm", ["--clip=5", "--sparse"], "Flag --clip is 5, and sparse steps"],
    ["lstm", ["--average=1"], "at least 0, less than 1"],
    ["lstm", ["--hiden=3"], "did you mean --hidden?"],
    ["lstm", ["--seeds=0"], "at least 1"],
  ];
  for (const [name, args, part] of refused) {
    assertThrows(() => settings(name, ...args), UsageError, part);
  }
  assertEquals(settings("lstm", "--clip=5", "--no-sparse").clip, 5);
  assertEquals(settings("lstm", "--clip=0", "--sparse").sparse, true);
  const used = Object.keys(settingsInUse(settings("average")));
  for (const name of ["glove", "gloveWords", "hidden", "wordDropout", "data", "predict", "model"]) {
    assert(!used.includes(name), name);
  }
  assert(["reviews", "width", "dropout", "lr"].every((name) => used.includes(name)));
});

Deno.test("text data: generated reviews with vectors, as many as asked for", async () => {
  const { data } = await textData(settings("lstm", "--reviews=40"));
  assertEquals(Object.values(data.encoded).map(({ labels }) => labels.length), [40, 10, 10]);
  assertEquals([data.generated, data.vectors?.width], [true, 48]);
  assertMatch(data.coverage!, /^Generated vectors \(width 48\): \d+ of \d+ words of the training /);
  const { sentences, encoded: { dev }, vocabulary } = data;
  const words = Array.from(dev.sentences[0], (id) => vocabulary.words[id]);
  assertEquals(words, sentences.dev.sentences[0]);
  const bow = await textData(settings("bow", "--reviews=40"));
  assertEquals([bow.data.vectors, bow.data.coverage], [undefined, undefined]);
  assert(bow.data.vocabulary.size < vocabulary.size);
});

const files: Deno.PermissionDescriptor[] = [{ name: "read" }, { name: "write" }];

permissionTest("text data: words, vectors and their coverage", files, async () => {
  const glove = "the 9 8 7\nsuperb 1 2 2\ngood 1 2 3\nlame 0 0 1\n";
  await withSentences({ glove }, async (folder) => {
    const flags = [`--data=${join(folder, "sentences")}`, "--glove-words=2"];
    const { data, settings: found } = await textData(settings("lstm", ...flags));
    assertEquals(found.glove, join(folder, "glove", "glove.test.txt"));
    // "the" comes from the sentences, "superb" is among the first two lines, "lame" is not.
    assertEquals(data.vocabulary.words.slice(4).sort(), [
      ...[".", "bad", "bill", "food", "good", "place", "soup", "staff", "superb", "the", "was"],
    ]);
    assertEquals(data.vocabulary.words.at(-1), "superb");
    assertStringIncludes(
      data.coverage!,
      "2 of 10 words of the training sentences have a vector (20.0 %), others get a normal draw; " +
        "1 further words from the file",
    );
    assertEquals(wordWidth(found, data), 4);
    const table = firstTable(data, data.vectors!, 4, new RandomStream(1));
    const row = (word: string) => {
      const id = data.vocabulary.index(word);
      return [...table.subarray(4 * id, 4 * id + 4)];
    };
    const given = (word: string) => row(word).slice(0, 3);
    assertEquals([given("good"), given("superb")], [[1, 2, 3], [1, 2, 2]]);
    assert(given("bad").every((value) => value !== 0));
    // The column beyond the vectors is learned from small numbers.
    for (const word of ["good", "superb", "bad"]) {
      assert(row(word)[3] !== 0 && Math.abs(row(word)[3]) < 0.6, `${row(word)}`);
    }
    // One more number needs no more columns, two do.
    const wider = settings("glove", ...flags, "--extra=1");
    assertEquals(wordWidth(wider, data), 4);
    assertEquals(wordWidth({ ...wider, extra: 2 }, data), 8);
    // Rare words are unknown, unless they have a vector.
    const rare = await textData(settings("lstm", ...flags, "--min-count=9"));
    assertEquals(rare.data.vocabulary.index("soup"), 3);
    const line = { sentences: [["good", "zorbly"], [], ["a", "bad"]], empty: 1 };
    assertEquals(
      describeUnlabeled(line, data.vocabulary),
      "2 of 4 words unknown (50.0 %); 1 without words, answered all the same",
    );
  });
});

permissionTest("text data: which file of vectors is taken", files, async () => {
  const glove = "good 1 2\n";
  await withSentences({ glove }, async (folder) => {
    const data = join(folder, "sentences");
    const read = async (...args: string[]) =>
      (await textData(settings("lstm", `--data=${data}`, ...args))).settings.glove;
    assertEquals(await read(), join(folder, "glove", "glove.test.txt"));
    // One in the folder itself goes before, and one that is named before all.
    await Deno.writeTextFile(join(data, "own.vec"), glove);
    assertEquals(await read(), join(data, "own.vec"));
    const other = join(folder, "glove", "glove.test.txt");
    assertEquals(await read(`--glove=${other}`), other);
    await Deno.writeTextFile(join(data, "glove.tiny.txt"), glove);
    const several = `There are 2 files of word vectors, ${join(data, "glove.tiny.txt")}, `;
    await assertRejects(() => read(), UsageError, several);
    await Deno.writeTextFile(other, "zorbly 1 2\n");
    const none = `No word of the training sentences has a vector in ${other}`;
    await assertRejects(() => read(`--glove=${other}`), UsageError, none);
    await Deno.writeTextFile(other, "good 1 2\nbad 1\n");
    await assertRejects(() => read(`--glove=${other}`), UserError, "line 2");
  });
  await withSentences({}, async (folder) => {
    const data = join(folder, "sentences");
    await assertRejects(
      () => textData(settings("lstm", `--data=${data}`)),
      UsageError,
      `There is no file glove*.txt or *.vec in ${data} or ${join(folder, "glove")}`,
    );
  });
});

permissionTest("text data: what cannot be learned from is refused", files, async () => {
  const all = (text: string) => async () => {
    await withSentences({ train: text }, async (folder) => {
      await textData(settings("bow", `--data=${join(folder, "sentences")}`));
    });
  };
  await assertRejects(all(""), UserError, "train.txt has no sentence");
  await assertRejects(all("1 good\n2 bad\n"), UserError, 'its label is "2"');
  await assertRejects(all("1 good\n1 fine\n"), UserError, "sentences of both labels");
  await all(plainSentences(4))();
});

/** A seed's result with these accuracies. */
function seedResult(seed: number, dev: number, test: number, interrupted = false): SeedResult {
  return {
    seed,
    interrupted,
    file: "",
    losses: [],
    epochs: [],
    keptEpoch: 1,
    seconds: 1,
    accuracy: { train: 1, dev, test },
    measuredOn: interrupted ? 100 : undefined,
    stoppedEarly: false,
    keptStep: 0,
    diverged: undefined,
    testLogits: new Float32Array(),
  };
}

Deno.test("text report: mean and deviation of whole seeds, the report's figures with --data", () => {
  assertEquals(moments([1, 3]), { mean: 2, deviation: Math.SQRT2 });
  const seeds = [seedResult(1, 0.5, 0.25), seedResult(2, 0.75, 0.5), seedResult(3, 0.75, 0.5)];
  assertEquals(bestSeed({ seeds, gpu: "" }).seed, 2);
  const real = settings("bow", "--data=x");
  assertEquals(accuracyRows(real, { seeds: seeds.slice(0, 1), gpu: "" }), [
    ["this run", 100, 50, 25],
    ["2019 report", 98.07, 96.06, 95.45],
  ]);
  const two = [...seeds.slice(0, 2), seedResult(3, 0, 0, true)];
  const rows = accuracyRows(settings("bow"), { seeds: two, gpu: "" });
  assertEquals(rows.map(([name]) => name), [
    ...["mean of 2 seeds", "standard deviation", "seed 1", "seed 2", "seed 3, interrupted"],
  ]);
  assertEquals(rows[0].slice(1), [100, 62.5, 37.5]);
  assertEquals(rows[1].slice(1), [0, 12.5 * Math.SQRT2, 12.5 * Math.SQRT2]);
  const best = accuracyRows(settings("best", "--data=x"), { seeds: seeds.slice(0, 1), gpu: "" });
  assertEquals(best.length, 1);
});
