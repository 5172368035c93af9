/** Training a seed of a transfer run: what is kept, and going on after an interruption. */
import { assert, assertEquals, assertNotEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import type { RgbImage } from "../../data/rgb_image.ts";
import { RandomStream } from "../../data/rng.ts";
import { readSafetensors } from "../../data/safetensors.ts";
import type { Gpu } from "../../kernels/gpu.ts";
import { SqueezeNet11 } from "../../models/squeezenet.ts";
import { stateDict } from "../../models/state_dict.ts";
import { TaskError } from "../../tasks/lib/main.ts";
import { createRunFolder, reopenRunFolder, type RunFolder } from "../../tasks/lib/run_folder.ts";
import { makeLoaders, type TransferData } from "../../tasks/transfer/data.ts";
import {
  type TransferLearnt,
  type TransferSettings,
  transferSettings,
} from "../../tasks/transfer/settings.ts";
import { trainNetwork } from "../../tasks/transfer/train.ts";
import { gpuTest } from "../gpu_support.ts";
import { jsonLines, withTempFolder } from "./task_process.ts";

/** A noisy picture, reddish or bluish. */
function picture(blue: number, i: number): RgbImage {
  const stream = new RandomStream(3).split(i);
  const colour = (at: number) => (at % 3 === 2 * blue ? 120 : 0) + stream.integer(130);
  const data = Uint8Array.from({ length: 3 * 40 * 36 }, (_, at) => colour(at));
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

interface Run {
  learnt?: TransferLearnt;
  epochs?: number;
  flags?: string[];
  data?: TransferData;
  /** Interrupt when it is looked for this time: once before each epoch, and after each of its three steps. */
  stopAt?: number;
  seed?: number;
}

/** Train a tiny network with batch norms in a folder: how it went, what is kept, and what was said. */
async function train(gpu: Gpu, folder: RunFolder, resume: boolean, run: Run = {}) {
  const { learnt = "all", epochs = 3, flags = [], data = DATA, stopAt = Infinity, seed = 4 } = run;
  const settings: TransferSettings = {
    ...transferSettings(learnt, ["--size=32", `--epochs=${epochs}`, "--read-every=2", ...flags]),
    resume: resume ? folder.path : undefined,
  };
  const options = { width: 1 / 16, batchNorm: true };
  using model = new SqueezeNet11(new RandomStream(seed), 2, options).toGpu(gpu, learnt);
  let looked = 0;
  const signal = {
    get aborted() {
      return ++looked >= stopAt;
    },
  };
  const lines: string[] = [];
  const progress = await trainNetwork(model, makeLoaders(data, settings, seed), {
    ...{ gpu, settings, data, seed, folder, signal },
    print: (line) => lines.push(line),
  }, join(folder.path, "checkpoint.safetensors"));
  const kept = new Map(await stateDict(model.store.parameters));
  // Times differ from run to run.
  const untimed = progress.epochs.map((epoch) => ({ ...epoch, seconds: 0, waited: 0 }));
  return { ...progress, epochs: untimed, kept, lines: lines.filter((line) => !/left$/.test(line)) };
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
  ["the last layer", { learnt: "head", flags: ["--lr=0.1"] }],
];

/** The records of a run, without times. */
function metrics({ path }: RunFolder) {
  if (Deno.statSync(join(path, "metrics.jsonl")).size === 0) return [];
  return jsonLines(join(path, "metrics.jsonl"))
    .map(({ seconds: _seconds, waited: _waited, ...record }) => record);
}

/** The tensors of a run's checkpoint, without times. */
async function checkpointed({ path }: RunFolder) {
  const { tensors } = await readSafetensors(join(path, "checkpoint.safetensors"));
  tensors.delete("epochs");
  return tensors;
}

for (const [name, run] of CASES) {
  gpuTest(`an interrupted run goes on to the very same result: ${name}`, async (gpu) => {
    await inFolder(async (whole) => {
      const expected = await train(gpu, whole, false, run);
      assertEquals([expected.epochs.length, expected.losses.length], [3, 9]);
      assertEquals(metrics(whole).length, 12);
      // After the first epoch, and within the second.
      for (const stopAt of [5, 6]) {
        await inFolder(async (folder) => {
          const first = await train(gpu, folder, false, { ...run, stopAt });
          assertEquals(first.epochs, expected.epochs.slice(0, 1));
          using reopened = reopenRunFolder(folder.path);
          const again = await train(gpu, reopened, true, run);
          assertEquals(again.lines[0], "Going on after epoch 1 of 3");
          assertEquals({ ...again, lines: expected.lines }, expected);
          assertEquals(metrics(folder), metrics(whole));
          // Also what is not kept: the last epoch's weights, statistics and moments.
          assertEquals(await checkpointed(folder), await checkpointed(whole));
          // Once more there is nothing left to learn.
          const over = await train(gpu, reopened, true, run);
          assertEquals(over.lines, ["Going on after epoch 3 of 3"]);
          assertEquals({ ...over, lines: expected.lines }, expected);
        });
      }
    });
  });
}

gpuTest("a run stopped in its first epoch keeps what it has, and begins anew", async (gpu) => {
  await inFolder(async (folder) => {
    const first = await train(gpu, folder, false, { stopAt: 3 });
    assertEquals([first.epochs, first.losses, metrics(folder)], [[], [], []]);
    assertEquals([...Deno.readDirSync(folder.path)].map(({ name }) => name), ["metrics.jsonl"]);
    const again = await train(gpu, folder, true);
    assertEquals(again.lines[0], first.lines[0]);
    await inFolder(async (whole) => {
      assertEquals(await train(gpu, whole, false), again);
    });
  });
});

gpuTest("the weights and statistics of the best validation epoch are kept", async (gpu) => {
  // Whatever is learnt is wrong for validation: the first epoch is the best.
  const val = { ...DATA.val, labels: LABELS.map((label) => 1 - label) };
  const flags = ["--optimizer=adam", "--lr=0.01"];
  const run = { epochs: 6, flags, data: { ...DATA, val } };
  await inFolder(async (folder) => {
    const { epochs, kept } = await train(gpu, folder, false, run);
    const accuracies = epochs.map(({ valAccuracy }) => valAccuracy);
    const best = accuracies.indexOf(Math.max(...accuracies)) + 1;
    assert(best < 6, `accuracies ${accuracies}`);
    const tensors = await checkpointed(folder);
    await inFolder(async (short) => {
      assertEquals((await train(gpu, short, false, { ...run, epochs: best })).kept, kept);
    });
    for (const name of ["features.0.weight", "features.0.norm.running_mean"]) {
      assertEquals(tensors.get(`best.${name}`), kept.get(name), name);
      assertNotEquals(tensors.get(`model.${name}`), kept.get(name), name);
    }
  });
});

gpuTest("a run goes on from no checkpoint of other settings, pictures or networks", async (gpu) => {
  await inFolder(async (folder) => {
    await train(gpu, folder, false, { stopAt: 5 });
    const refuse = (run: Run, message: string) =>
      assertRejects(() => train(gpu, folder, true, run), TaskError, message);
    await refuse({ flags: ["--lr=0.5"] }, "lr is 0.5 here and 0.001 there");
    await refuse({ seed: 5 }, "seed is 5 here and 4 there");
    const fewer = { pictures: DATA.val.pictures.slice(1), labels: LABELS.slice(1) };
    await refuse({ data: { ...DATA, val: fewer } }, "valPictures is 9 here and 10 there");
    await refuse({ data: { ...DATA, classes: ["red", "green"] } }, "classes is red, green here");
  });
});
