/** The transfer tasks' settings, data, checkpoints and figures, without a GPU. */
import {
  assert,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { dirname, join } from "@std/path";
import { HelpRequest, UsageError } from "../../tasks/lib/flags.ts";
import { confusion, examples } from "../../tasks/transfer/answers.ts";
import type { EpochRecord } from "../../models/training/fit.ts";
import { folderData, type TransferData } from "../../tasks/transfer/data.ts";
import {
  accuracyRows,
  bestSeed,
  skippedNotes,
  type TransferResults,
} from "../../tasks/transfer/report.ts";
import {
  settingsInUse,
  type TransferSettings,
  transferSettings,
} from "../../tasks/transfer/settings.ts";
import type { SeedResult } from "../../tasks/transfer/train.ts";
import { permissionTest } from "../support.ts";
import { withTempFolder } from "./task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

const DISK: Deno.PermissionDescriptor[] = [{ name: "read" }, { name: "write" }];
const settings = (...args: string[]) => transferSettings("head", args);
const REAL = ["--data=pictures", "--weights=net.pth"];

Deno.test("transfer settings: the defaults are the homework's", () => {
  const { epochs, batch, optimizer, lr, momentum, decay, decayEvery, weightDecay, ...others } =
    settings(...REAL);
  assertEquals([epochs, batch, optimizer, lr, momentum], [25, 4, "sgd", 1e-3, 0.9]);
  assertEquals([decay, decayEvery, weightDecay], [0.1, 7, 0]);
  const { backbone, batchNorm, size, seed, seeds, strict, partial } = others;
  assertEquals([backbone, batchNorm, size], ["resnet18", "train", 224]);
  assertEquals([seed, seeds, strict, partial], [231, 1, false, false]);
  const { page } = assertThrows(() => settings("--help"), HelpRequest);
  assertStringIncludes(page, "\n  deno task transfer-freeze --resume=runs/transfer-freeze/");
});

Deno.test("transfer settings: what has no say is refused and not shown", () => {
  const refused: [string[], string][] = [
    [[...REAL, "--optimizer=adam", "--momentum=0.5"], "Flag --momentum is for sgd: adam has its"],
    [
      [...REAL, "--backbone=squeezenet1_1", "--batch-norm=eval"],
      "not for squeezenet1_1: it has no",
    ],
    [["--batch-norm=eval"], "Flag --batch-norm is not for the embedded network"],
    [["--partial"], "Flag --partial is about the weights of --weights"],
    [["--backbone=resnet18"], "Flag --backbone says what network --weights are of"],
    [["--strict"], "Flag --strict is about the files of --data"],
    [["--epochs=0"], "Flag --epochs takes a whole number, at least 1"],
    [["--batch-norm=on"], "Flag --batch-norm takes one of train, eval"],
    [["--size=31"], "Flag --size takes a whole number, at least 32"],
    [["--wieghts=a"], "did you mean --weights?"],
  ];
  for (const [args, part] of refused) assertThrows(() => settings(...args), UsageError, part);
  const used = (...args: string[]) => Object.keys(settingsInUse(settings(...args)));
  const drawn = used("--optimizer=adam");
  for (
    const name of ["data", "weights", "backbone", "partial", "momentum", "batchNorm", "strict"]
  ) {
    assert(!drawn.includes(name), name);
  }
  const real = used(...REAL);
  for (const name of ["data", "weights", "backbone", "momentum", "batchNorm", "strict", "size"]) {
    assert(real.includes(name), name);
  }
});

/** Make empty files in a folder. */
async function withFiles(names: string[], use: (folder: string) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    for (const name of names) {
      await Deno.mkdir(dirname(join(folder, name)), { recursive: true });
      await Deno.writeFile(join(folder, name), new Uint8Array());
    }
    await use(folder);
  });
}

permissionTest(
  "transfer data: folders of classes, and files that are no pictures",
  DISK,
  async () => {
    const files = ["train/a/1.png", "train/a/2.jpg", "train/b/3.png", "val/a/4.png", "val/b/5.png"];
    await withFiles([...files, "train/a/not.gif"], async (folder) => {
      const { name, classes, train, val, notes } = await folderData(`${folder}/`, false);
      assertEquals([name, classes], [folder.split("/").at(-1), ["a", "b"]]);
      assertEquals(train.pictures, files.slice(0, 3).map((file) => join(folder, file)));
      assertEquals([...train.labels, ...val.labels], [0, 0, 1, 0, 1]);
      const note = `The name of ${folder}/train/a/not.gif is not that of a picture`;
      assertEquals(notes, [`${note}: passed over`]);
      // The same files give the same mark wherever they lie, and another size another.
      const { fingerprint } = await folderData(folder, false);
      await withFiles([...files, "train/a/not.gif"], async (other) => {
        assertEquals((await folderData(other, false)).fingerprint, fingerprint);
        await Deno.writeTextFile(join(other, "val", "b", "5.png"), "more", { append: true });
        assertNotEquals((await folderData(other, false)).fingerprint, fingerprint);
      });
      const strict = () => folderData(folder, true);
      await assertRejects(strict, UserError, `${note}, and --strict allows none`);
      await Deno.writeTextFile(join(folder, "val", "b", "x.txt"), "");
      const more = (await folderData(folder, false)).notes[0];
      assertStringIncludes(
        more,
        `The names of 2 files are not those of pictures (the first is ${folder}`,
      );
    });
    const refused: [string[], string][] = [
      [["train/a/1.png"], "misses val: expected are train, val; found are train"],
      [
        ["train/a/1.png", "train/b/1.png", "train/c/1.png", "val/b/1.png", "val/d/1.png"],
        [
          'The classes of train and val in FOLDER differ: only train has "a", "c"; only val has "d"',
        ].join(),
      ],
      [
        ["train/Ants/1.png", "train/b/1.png", "val/ants/1.png", "val/b/1.png"],
        'only train has "Ants"; only val has "ants" (capitals count in names of classes)',
      ],
      [
        ["train/a\x1b[2J/1.png", "train/b/1.png", "val/b/1.png"],
        'only train has "a\\u001b[2J"',
      ],
      [["train/a/1.png", "val/a/1.png"], "There must be two classes or more to tell apart: "],
      [["train/1.png", "val/a/1.png"], "FOLDER/train has no classes"],
    ];
    for (const [names, part] of refused) {
      await withFiles(names, async (folder) => {
        const expected = part.replace("FOLDER", folder);
        await assertRejects(() => folderData(folder, false), Error, expected);
      });
    }
    await assertRejects(() => folderData("no/such", false), Error, "There is no folder no/such");
  },
);

permissionTest(
  "transfer data: what every machine leaves in folders is no class and no picture",
  DISK,
  async () => {
    const [composed, decomposed] = ["Bl\u00fcten", "Blu\u0308ten"];
    const files = [
      `train/${composed}/1.png`,
      "train/a/1.png",
      `val/${decomposed}/1.png`,
      "val/a/1.png",
    ];
    const hidden = ["train/.ipynb_checkpoints/1.png", "val/@eaDir/1.png", "val/a/._1.png"];
    await withFiles([...files, ...hidden], async (folder) => {
      await Deno.symlink("nowhere", join(folder, "train", "a", "2.png"));
      await Deno.symlink("3.png", join(folder, "train", "a", "3.png"));
      const { classes, train, val, notes, fingerprint } = await folderData(folder, true);
      assertEquals(classes, [composed, "a"].sort());
      assertEquals([train.pictures.length, val.pictures.length], [4, 2]);
      assertEquals(notes, [
        `3 files and folders are hidden or a program's own (the first is ${folder}/train/.ipynb_checkpoints): passed over`,
      ]);
      await Deno.remove(join(folder, "train", "a", "3.png"));
      assert(fingerprint !== (await folderData(folder, true)).fingerprint);
    });
  },
);

const epochResult = (epoch: number, valAccuracy: number): EpochRecord => ({
  ...{ epoch, lr: 0.1, trainLoss: 0.6, trainAccuracy: 0.25, valLoss: 1 / 3, valAccuracy },
  ...{ seconds: 2, waited: 0.5 },
});

/** Scores whose answers and confidences are given. */
function scoresOf(rows: [label: number, answer: number, margin: number][], classes = 2) {
  const logits = new Float32Array(rows.length * classes);
  rows.forEach(([, answer, margin], i) => logits[i * classes + answer] = margin);
  return {
    classes,
    logits,
    labels: Uint32Array.from(rows, ([label]) => label),
    indices: Uint32Array.from(rows.keys()),
  };
}

Deno.test("the pictures shown are right ones, and the most confident wrong ones", () => {
  const right = (i: number): [number, number, number] => [i % 2, i % 2, 1];
  const many = scoresOf([...Array.from({ length: 9 }, (_, i) => right(i)), ...[
    ...[[0, 1, 2], [1, 0, 5], [0, 1, 1], [0, 1, 3]] satisfies [number, number, number][],
  ]]);
  assertEquals(examples(many), [0, 3, 6, 10, 12, 9]);
  assertEquals(examples(many), examples(many));
  assertEquals(examples(scoresOf([right(0), [1, 0, 1], [1, 0, 2], [1, 0, 3], [1, 0, 4]])), [
    ...[0, 4, 3, 2, 1],
  ]);
  assertEquals(examples(scoresOf([right(0), right(1)])), [0, 1]);
});

const DATA: TransferData = {
  name: "insects",
  classes: ["ants", "bees"],
  train: { pictures: [], labels: new Uint32Array() },
  val: { pictures: [], labels: new Uint32Array() },
  notes: [],
};

Deno.test("the confusion table counts answers by class, and sums up many classes", () => {
  const table = confusion(DATA, scoresOf([[0, 0, 1], [0, 1, 1], [0, 0, 1], [0, 0, 1]]));
  assert(table.kind === "figures");
  assertEquals(table.columns, ["picture", "answered ants", "answered bees", "right, %"]);
  assertEquals(table.rows, [["is ants", 3, 1, 75], ["is bees", 0, 0, undefined]]);
  const classes = Array.from({ length: 21 }, (_, i) => `c${i}`);
  const most = confusion({ ...DATA, classes }, scoresOf([[0, 3, 1], [0, 3, 1], [0, 2, 1]], 21));
  assert(most.kind === "figures");
  assertEquals([most.rows[0], most.rows[1]], [
    ["c0", 3, 0, "c3", 2],
    ["c1", 0, undefined, undefined, 0],
  ]);
});

function seedResult(seed: number, accuracy: number, part: Partial<SeedResult> = {}): SeedResult {
  return {
    ...{ seed, file: "", losses: [], keptEpoch: 1, seconds: 1, interrupted: false, skipped: [] },
    before: { loss: 1, accuracy: 0.5 },
    epochs: [epochResult(1, accuracy)],
    val: { loss: 1, accuracy },
    valScores: scoresOf([]),
    measured: { pictures: [], labels: new Uint32Array() },
    stoppedEarly: false,
    keptStep: 0,
    diverged: undefined,
    ...part,
  };
}

Deno.test("accuracies: of each seed, mean and deviation of the whole ones, the report's", () => {
  const rows = (seeds: SeedResult[], network = "resnet18", data = DATA) => {
    const results: TransferResults = { seeds, gpu: "", network, notes: [] };
    return accuracyRows(settings(...REAL) as TransferSettings, data, results);
  };
  assertEquals(rows([seedResult(1, 0.75)]), [
    ["this run", 50, 25, 75],
    ["2019 report", undefined, undefined, 96.08],
  ]);
  assertEquals(rows([seedResult(1, 0.75)], "squeezenet1_1").length, 1);
  assertEquals(rows([seedResult(1, 1)], "resnet18", { ...DATA, classes: ["a", "b"] }).length, 1);
  const cut = seedResult(3, 0, { interrupted: true, epochs: [], keptEpoch: 0 });
  const seeds = [seedResult(1, 0.5), seedResult(2, 0.75), cut];
  const [mean, deviation, ...each] = rows(seeds, "x");
  assertEquals(mean, ["mean of 2 seeds", 50, 25, 62.5]);
  assertEquals(deviation, ["standard deviation", 0, 0, Math.sqrt(2 * 12.5 ** 2)]);
  assertEquals(each.at(-1), ["seed 3, interrupted", 50, undefined, 0]);
  assertEquals(bestSeed({ seeds, gpu: "", network: "", notes: [] }).seed, 2);
});

Deno.test("files that were left out are told with some of the reasons, once for all seeds", () => {
  const skipped = ["a", "b", "c", "d", "e"].map((path) => ({ path, reason: `${path} is broken` }));
  const notes = (count: number) =>
    skippedNotes({
      seeds: [1, 2].map((seed) => seedResult(seed, 1, { skipped: skipped.slice(0, count) })),
      ...{ gpu: "", network: "", notes: [] },
    });
  assertEquals(notes(0), []);
  assertEquals(notes(1), ["Left out: a is broken"]);
  assertEquals(notes(5), ["Left out: a is broken; b is broken; c is broken; and 2 more"]);
});
