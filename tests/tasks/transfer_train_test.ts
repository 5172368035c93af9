/** Training a seed of a transfer run: what is kept, and going on after an interruption. */
import type { EpochRecord } from "../../models/training/fit.ts";
import { assert, assertEquals, assertMatch, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import type { RgbImage } from "../../data/images/rgb_image.ts";
import { RandomStream } from "../../data/rng.ts";
import {
  encodeSafetensors,
  readSafetensors,
  type TensorData,
} from "../../data/formats/safetensors.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { createRunFolder, reopenRunFolder, type RunFolder } from "../../tasks/lib/run_folder.ts";
import { type LabeledPictures, makeLoaders, type TransferData } from "../../tasks/transfer/data.ts";
import {
  type TransferLearned,
  type TransferSettings,
  transferSettings,
} from "../../tasks/transfer/settings.ts";
import { trainNetwork } from "../../tasks/transfer/train.ts";
import { gpuTest } from "../gpu_support.ts";
import { jsonLines, withTempFolder } from "./task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A noisy picture, reddish or bluish. */
function picture(blue: number, i: number): RgbImage {
  const stream = new RandomStream(3).split(i);
  const color = (at: number) => (at % 3 === 2 * blue ? 120 : 0) + stream.integer(130);
  const data = Uint8Array.from({ length: 3 * 40 * 36 }, (_, at) => color(at));
  return { width: 40, height: 36, data };
}

const LABELS = Uint32Array.of(0, 1, 0, 1, 0, 1, 0, 1, 1, 0);

const DATA: TransferData = {
  name: "red and blue",
  classes: ["red", "blue"],
  train: { pictures: Array.from(LABELS, picture), labels: LABELS },
  val: { pictures: Array.from(LABELS, (blue, i) => picture(blue, 50 + i)), labels: LABELS },
  notes: [],
};

type ErrorClass = new (message: string) => Error;

interface Run {
  learned?: TransferLearned;
  epochs?: number;
  flags?: string[];
  data?: TransferData;
  /** Interrupt when it is looked for this time: after each step, and twice while validation is measured. */
  stopAt?: number;
  /** Settings that no flag gives. */
  change?: Partial<TransferSettings>;
  seed?: number;
}

/** Train a tiny network with batch norms in a folder: how it went, what is kept, and what was said. */
async function train(gpu: Gpu, folder: RunFolder, resume: boolean, run: Run = {}) {
  const {
    learned = "all",
    epochs = 3,
    flags = [],
    data = DATA,
    stopAt = Infinity,
    seed = 4,
    change,
  } = run;
  const settings: TransferSettings = {
    ...transferSettings(learned, ["--size=32", `--epochs=${epochs}`, "--read-every=2", ...flags]),
    ...change,
  };
  const options = { width: 1 / 16, batchNorm: true };
  using model = new SqueezeNet11(2, options).learn(learned).toGpu(gpu, seed);
  let looked = 0;
  const signal = {
    get aborted() {
      return ++looked >= stopAt;
    },
  };
  const lines: string[] = [];
  const progress = await trainNetwork(model, makeLoaders(data, settings, seed), {
    ...{ gpu, settings, data, seed, folder, signal, resume },
    print: (line) => lines.push(line),
  }, "checkpoint.safetensors");
  const kept = new Map(await model.stateDict());
  // Times differ from run to run.
  const untimed = progress.epochs.map((epoch) => ({ ...epoch, seconds: 0, waited: 0 }));
  const shown = lines.filter((line) => !/left$/.test(line));
  return { ...progress, seconds: 0, epochs: untimed, kept, lines: shown, looked };
}

/** A test on the GPU that writes. */
function diskTest(name: string, fn: (gpu: Gpu) => Promise<void>): void {
  gpuTest(name, fn, {}, [{ name: "read" }, { name: "write" }]);
}

/** A new run folder of its own. */
async function inFolder(use: (folder: RunFolder) => Promise<void>): Promise<void> {
  await withTempFolder(async (out) => {
    using folder = createRunFolder({ out, task: "transfer", now: new Date() });
    await use(folder);
  });
}

const CASES: [name: string, run: Run][] = [
  ["all weights by SGD", { flags: ["--decay-every=1", "--weight-decay=0.01"] }],
  ["all weights by Adam", { flags: ["--optimizer=adam"] }],
  ["the last layer", { learned: "head", flags: ["--lr=0.1"] }],
];

/** The records of a run, without times. */
function metrics({ path }: RunFolder) {
  if (Deno.statSync(join(path, "metrics.jsonl")).size === 0) return [];
  return jsonLines(join(path, "metrics.jsonl"))
    .map(({ seconds: _seconds, waited: _waited, ...record }) => record);
}

/** The tensors of a run's checkpoint. */
async function checkpointed({ path }: RunFolder) {
  return (await readSafetensors(join(path, "checkpoint.safetensors"))).tensors;
}

for (const [name, run] of CASES) {
  diskTest(`an interrupted run goes on to the very same result: ${name}`, async (gpu) => {
    await inFolder(async (whole) => {
      const expected = await train(gpu, whole, false, run);
      assertEquals([expected.epochs.length, expected.losses.length], [3, 9]);
      assertEquals(metrics(whole).length, 12);
      const begun = new Set<number>();
      for (const share of [0.15, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]) {
        const stopAt = Math.round(share * expected.looked);
        await inFolder(async (folder) => {
          const first = await train(gpu, folder, false, { ...run, stopAt });
          const { losses } = first;
          assertEquals(losses, expected.losses.slice(0, losses.length));
          assertEquals(first.epochs, expected.epochs.slice(0, first.epochs.length));
          begun.add(losses.length);
          folder[Symbol.dispose](); // two at once are not allowed
          // As if it had ended after more lines, and before their checkpoint.
          const lines = [{ seed: 4, step: losses.length + 1, loss: 1 }, {
            seed: 4,
            epoch: 3,
            lr: 1,
          }];
          const more = lines.map((line) => `${JSON.stringify(line)}\n`).join("") + '{"seed":4,"st';
          Deno.writeTextFileSync(join(folder.path, "metrics.jsonl"), more, { append: true });
          using reopened = reopenRunFolder(folder.path);
          const again = await train(gpu, reopened, true, run);
          if (losses.length > 0) {
            assertEquals(again.lines[0], `Going on after ${losses.length} of 9 steps`);
          }
          const same = { lines: expected.lines, looked: expected.looked };
          assertEquals({ ...again, ...same }, expected);
          assertEquals(metrics(folder), metrics(whole));
          // Also what is not kept: the last epoch's weights, statistics and moments.
          assertEquals(await checkpointed(folder), await checkpointed(whole));
          // Once more there is nothing left to learn.
          const over = await train(gpu, reopened, true, run);
          assertEquals(over.lines, ["Going on after 9 of 9 steps"]);
          assertEquals({ ...over, ...same }, expected);
        });
      }
      assert(begun.size > 4, `stopped after ${[...begun]} steps`);
    });
  });
}

diskTest("a run stopped before its first step keeps what it has, and begins anew", async (gpu) => {
  await inFolder(async (folder) => {
    const first = await train(gpu, folder, false, { stopAt: 1 });
    assertEquals([first.epochs, first.losses, metrics(folder)], [[], [], []]);
    const again = await train(gpu, folder, true);
    await inFolder(async (whole) => {
      assertEquals(await train(gpu, whole, false), again);
    });
  });
});

diskTest("the weights and statistics of the best validation epoch are kept", async (gpu) => {
  // Whatever is learned is wrong for validation: the first epoch is the best.
  const val = { ...DATA.val, labels: LABELS.map((label) => 1 - label) };
  const flags = ["--optimizer=adam", "--lr=0.01"];
  const run = { epochs: 4, flags, data: { ...DATA, val } };
  await inFolder(async (folder) => {
    const { epochs, kept } = await train(gpu, folder, false, run);
    const accuracies = epochs.map((epoch: EpochRecord) => epoch.valAccuracy);
    const best = accuracies.indexOf(Math.max(...accuracies)) + 1;
    assert(best < 4, `accuracies ${accuracies}`);
    const tensors = await checkpointed(folder);
    await inFolder(async (short) => {
      assertEquals((await train(gpu, short, false, { ...run, epochs: best })).kept, kept);
    });
    for (const name of ["features.0.weight", "features.0.norm.running_mean"]) {
      assertNotEquals(tensors.get(`model/${name}`), kept.get(name), name);
    }
  });
});

diskTest(
  "a run goes on from no checkpoint of other settings, pictures or networks",
  async (gpu) => {
    await inFolder(async (folder) => {
      await train(gpu, folder, false, { epochs: 1 });
      const refuse = (run: Run, message: string) =>
        assertRejects(
          () => train(gpu, folder, true, { epochs: 1, ...run }),
          UserError,
          message,
        );
      await refuse({ flags: ["--lr=0.5"] }, "lr is 0.5 here and 0.001 there");
      await refuse({ seed: 5 }, "seed is 5 here and 4 there");
      const fewer = { pictures: DATA.val.pictures.slice(1), labels: LABELS.slice(1) };
      await refuse({ data: { ...DATA, val: fewer } }, "valPictures is 9 here and 10 there");
      await refuse({ data: { ...DATA, classes: ["red", "green"] } }, "classes is red, green here");
    });
  },
);

diskTest("a run goes on from no checkpoint that does not fit, or is not finite", async (gpu) => {
  await inFolder(async (folder) => {
    await train(gpu, folder, false, { epochs: 1 });
    const path = join(folder.path, "checkpoint.safetensors");
    const { tensors, metadata } = await readSafetensors(path);
    const refuse = async (name: string, tensor: TensorData, kind: ErrorClass, message: string) => {
      // writeSafetensors would refuse some of them.
      const changed = new Map([...tensors, [name, tensor]]);
      await Deno.writeFile(path, encodeSafetensors(changed, metadata));
      await assertRejects(() => train(gpu, folder, true, { epochs: 1 }), kind, message);
    };
    const of = (...data: number[]): TensorData => ({
      ...{ dtype: "F32", shape: [data.length], data: Float32Array.from(data) },
    });
    const bias = "classifier.1.bias";
    await refuse(`model/${bias}`, of(1, 2, 3), UserError, `${bias} is [3], not [2]`);
    await refuse("kept/0", of(1), UserError, `${path} cannot be gone on from: `);
    await refuse("optimizer/moment.0", of(1, 2), UserError, "has moment buffers of [2");
    await refuse("kept/0", of(1, NaN), UserError, 'its "kept/0" is not finite');
    await refuse("run/losses", of(1), UserError, 'its "losses" is of F32, and not of F64');
    await refuse("seen/labels", of(1), UserError, 'its "labels" is of F32, and not of F64');
    const values = JSON.stringify({ ...JSON.parse(metadata.values), run: null });
    await Deno.writeFile(path, encodeSafetensors(tensors, { ...metadata, values }));
    const noRun = `${path} cannot be gone on from: its "epoch" is no number`;
    await assertRejects(() => train(gpu, folder, true, { epochs: 1 }), UserError, noRun);
  });
});

diskTest("a run that is not finite any more stops, and keeps the epochs before", async (gpu) => {
  await inFolder(async (folder) => {
    // In the first epoch there is nothing to keep.
    const at = { flags: ["--lr=1e30"] };
    const error = await assertRejects(() => train(gpu, folder, false, at), Error);
    assertMatch(
      error.message,
      /^(The loss is NaN at step [23], and|The weights are not finite after step 3: try)/,
    );
    assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["metrics.jsonl"]);
  });
  await inFolder(async (folder) => {
    const change = { decay: 1e30, decayEvery: 1 };
    const { epochs, losses, diverged, kept } = await train(gpu, folder, false, { change });
    assertMatch(
      diverged ?? "",
      /^(The loss is NaN at step [56], and|The weights are not finite after step 6: try)/,
    );
    assert(losses.length >= 3 && losses.length < 6, `${losses.length} losses`);
    assertEquals([epochs.length, metrics(folder).length], [1, losses.length + 1]);
    await inFolder(async (short) => {
      const expected = await train(gpu, short, false, { epochs: 1 });
      assertEquals([kept, epochs], [expected.kept, expected.epochs]);
    });
  });
});

diskTest("a class without a picture that can be read is no class that was learned", async (gpu) => {
  await withTempFolder(async (pictures) => {
    const broken = join(pictures, "broken.png");
    Deno.writeTextFileSync(broken, "no picture");
    // One of the other class is broken as well: the reason is not its.
    const other = join(pictures, "other.png");
    Deno.writeTextFileSync(other, "no picture");
    const without = ({ pictures, labels }: LabeledPictures): LabeledPictures => ({
      pictures: pictures.map((picture, i) =>
        labels[i] === 1 ? broken : i === labels.indexOf(0) ? other : picture
      ),
      labels,
    });
    for (const part of ["train", "val"] as const) {
      await inFolder(async (folder) => {
        const data = { ...DATA, [part]: without(DATA[part]) };
        await assertRejects(
          () => train(gpu, folder, false, { data, flags: ["--batch=5"] }),
          UserError,
          `None of the 5 pictures of the class blue in ${part} can be read: ${broken} `,
        );
      });
    }
  });
});

diskTest(
  "a last batch of one picture is refused where batch norms cannot learn of it",
  async (gpu) => {
    await inFolder(async (folder) => {
      const part = { pictures: DATA.train.pictures.slice(1), labels: LABELS.slice(1) };
      const run = { data: { ...DATA, train: part } };
      const message = "--batch=4 leaves one of the 9 pictures to the last batch";
      await assertRejects(() => train(gpu, folder, false, run), UserError, message);
      const alone = { flags: ["--batch=1"] };
      await assertRejects(
        () => train(gpu, folder, false, alone),
        UserError,
        "--batch=1 leaves one",
      );
      assertEquals(metrics(folder), []);
      // One that is found broken on the way leaves nine as well.
      const broken = join(folder.path, "broken.png");
      Deno.writeTextFileSync(broken, "no picture");
      const pictures = [broken, ...part.pictures];
      const other = { data: { ...DATA, train: { pictures, labels: LABELS } } };
      await assertRejects(() => train(gpu, folder, false, other), UserError, message);
    });
  },
);
