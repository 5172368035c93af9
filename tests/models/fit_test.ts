/** The training loop: what it keeps, where it stops, and that it goes on to the same bits. */
import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { type Plain, readCheckpoint, writeCheckpoint } from "../../models/training/checkpoint.ts";
import { fit, type FitOptions } from "../../models/training/fit.ts";
import { Dropout, Linear } from "../../models/layers/layers.ts";
import { meanSquaredError } from "../../models/tape/losses.ts";
import { Module } from "../../models/layers/module.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { Plateau } from "../../models/training/schedules.ts";
import { WeightAverage } from "../../models/training/weight_average.ts";
import { gpuTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { withTempFolder } from "../tasks/task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

class Small extends Module {
  readonly first = new Linear(3, 7);
  readonly dropout = new Dropout(0.3);
  readonly last = new Linear(7, 2);

  forward(x: Tensor) {
    return this.last.forward(this.dropout.forward(this.first.forward(x).tanh()));
  }
}

/** Epochs of five batches, in an order of their own. */
const batches = (epoch: number) => [...new RandomStream(3).split(epoch).permutation(5)];

/** Rows of a batch, drawn by its number. */
function data(gpu: Gpu, batch: number, width: number, label: string): Tensor {
  const stream = new RandomStream(9).split(label).split(batch);
  return Tensor.from(gpu, Float32Array.from({ length: 6 * width }, () => stream.normal()), [
    6,
    width,
  ]);
}

type Options = Partial<FitOptions<number>> & { averaged?: boolean; spoil?: number };

/** Train a small network for three epochs: how it went, and the weights at the end. */
async function train(gpu: Gpu, { averaged = false, spoil, ...options }: Options = {}) {
  using model = new Small().toGpu(gpu, 4);
  using optimizer = new Adam(model.store, { lr: 0.05, decayPerEpoch: 0.7 });
  using average = averaged ? new WeightAverage(model.store, 0.9) : undefined;
  const measured: number[] = [];
  const result = await fit<number>(model, {
    ...{ optimizer, average, batches, epochs: 3, readEvery: 2 },
    loss(batch, { tape, step }) {
      const x = tape.keep(data(gpu, batch, 3, "x"));
      const y = tape.keep(data(gpu, batch, 2, "y"));
      const loss = meanSquaredError(model.forward(x), y);
      return step === spoil ? loss.sub(3).log() : loss;
    },
    async evaluate(onBatch, epoch) {
      await onBatch();
      const [weight] = await model.last.weight.tensor.read();
      measured.push(weight);
      return { figure: [0, 2, 3, 1][epoch], weight };
    },
    keep: { best: "figure" },
    ...options,
  });
  const weights = await model.store.values.read();
  return { ...result, seconds: 0, weights, measured, lr: optimizer.lr };
}

gpuTest("fit keeps the best epoch's weights, or the last", async (gpu) => {
  const live = gpu.pool.liveBuffers;
  const best = await train(gpu);
  assertEquals([best.losses.length, best.keptEpoch, best.epochs.length], [15, 2, 3]);
  assertEquals(Math.abs(best.lr - 0.05 * 0.7 ** 3) < 1e-12, true);
  assertEquals((await train(gpu, { epochs: 2 })).weights, best.weights);
  const last = await train(gpu, { keep: "last" });
  assertEquals([last.keptEpoch, last.losses], [3, best.losses]);
  assert(last.weights.some((value, i) => value !== best.weights[i]));
  const smallest = await train(gpu, { keep: { best: "figure", smallest: true } });
  assertEquals([smallest.keptEpoch, smallest.weights], [3, last.weights]);
  const { stoppedEarly, keptEpoch, epochs } = await train(gpu, { epochs: 9, patience: 1 });
  assertEquals([stoppedEarly, keptEpoch, epochs.length], [true, 2, 3]);
  const tie = { evaluate: () => Promise.resolve({ figure: 1 }) };
  assertEquals((await train(gpu, tie)).keptEpoch, 1);
  assertEquals((await train(gpu, { ...tie, keep: { best: "figure", later: true } })).keptEpoch, 3);
  assertEquals(gpu.pool.liveBuffers, live);
});

gpuTest("fit follows a schedule, averages weights and gradients", async (gpu) => {
  const rates: number[] = [];
  const { lr } = await train(gpu, { schedule: (step) => rates[step] = 0.01 / (1 + step) });
  assertEquals([rates.length, lr], [15, 0.7 * 0.01 / 15]);
  const plain = await train(gpu);
  const average = await train(gpu, { averaged: true });
  assertEquals(average.losses, plain.losses);
  assert(average.measured.every((weight, i) => weight !== plain.measured[i]));
  const counted: number[] = [];
  const gathered = await train(gpu, { accumulate: 3, schedule: (step) => counted[step] = 0.05 });
  // Three and two batches of an epoch: two steps of the optimizer.
  assertEquals([gathered.losses.length, counted.length], [15, 6]);
  const onPlateau = await train(gpu, {
    plateau: ["figure", new Plateau(0.05, { factor: 0.5, patience: 0, larger: true })],
  });
  assertEquals(Math.abs(onPlateau.lr - 0.05 * 0.5 * 0.7) < 1e-12, true);
  await assertRejects(
    () => train(gpu, { keep: { best: "accuracy" } }),
    TypeError,
    'There is no figure "accuracy" of an epoch: there are "epoch", "trainLoss", "figure", "weight"',
  );
  await assertRejects(
    () => train(gpu, { accumulate: 0 }),
    RangeError,
    "accumulate must be a whole",
  );
});

gpuTest("fit ends where a loss is not finite, with the last good weights", async (gpu) => {
  const good = await train(gpu, { epochs: 1 });
  const spoilt = await train(gpu, { spoil: 8 });
  assertStringIncludes(spoilt.diverged!, "The loss is NaN at step 9, and the last finite one was");
  assertEquals([spoilt.keptEpoch, spoilt.weights], [1, good.weights]);
  await assertRejects(() => train(gpu, { spoil: 2 }), UserError, "The loss is NaN at step 3");
});

const DISK: Deno.PermissionDescriptor[] = [{ name: "read" }, { name: "write" }];

const WAYS: [string, () => Options][] = [
  ["the best epoch", () => ({})],
  ["the last epoch", () => ({ keep: "last" })],
  ["an average, a plateau", () => ({
    averaged: true,
    plateau: ["figure", new Plateau(0.05, { factor: 0.5, patience: 0, larger: true })],
  })],
];

for (const [name, options] of WAYS) {
  gpuTest(
    `a run stopped anywhere goes on to the same bits: ${name}`,
    async (gpu) => {
      await withTempFolder(async (folder) => {
        let looks = 0;
        const counted = {
          get aborted() {
            return ++looks < 0;
          },
        };
        const whole = await train(gpu, {
          ...options(),
          signal: counted,
          checkpoint: { path: join(folder, "whole"), every: Infinity },
        });
        const end = await Deno.readFile(join(folder, "whole"));
        const stops = new Set<number>();
        for (let at = 2; at < looks; at++) {
          const path = join(folder, `${at}`);
          let looked = 0;
          const stopping = {
            get aborted() {
              return ++looked >= at;
            },
          };
          const half = await train(gpu, { ...options(), signal: stopping, checkpoint: { path } });
          assertEquals(half.losses, whole.losses.slice(0, half.losses.length));
          assert(half.interrupted);
          stops.add(half.losses.length);
          const again = await train(gpu, { ...options(), checkpoint: { path, resume: true } });
          assertEquals({ ...again, measured: [] }, { ...whole, measured: [] });
          // All but the time that it took.
          const state = (parts: Awaited<ReturnType<typeof readCheckpoint>>) => {
            const { run, ...others } = parts!;
            const values = { ...run.values as Record<string, Plain>, seconds: 0 };
            return { ...others, run: { ...run, values } };
          };
          const [one, other] = [
            await readCheckpoint(path, {}),
            await readCheckpoint(join(folder, "whole"), {}),
          ];
          assertEquals(state(one), state(other));
        }
        assert(stops.size > 10, `stopped after ${[...stops]} steps`);
        assertEquals(await Deno.readFile(join(folder, "whole")), end);
        // The control: without the moments the weights are others.
        const path = join(folder, "7");
        let looked = 0;
        const stopping = {
          get aborted() {
            return ++looked >= 7;
          },
        };
        await Deno.remove(path);
        await train(gpu, { ...options(), signal: stopping, checkpoint: { path } });
        const { tensors, metadata } = await readSafetensors(path);
        for (const [key, { data }] of tensors) {
          if (key.startsWith("optimizer/")) (data as Float32Array).fill(0);
        }
        await writeSafetensors(path, tensors, metadata);
        const other = await train(gpu, { ...options(), checkpoint: { path, resume: true } });
        assert(other.weights.some((value, i) => value !== whole.weights[i]));
      });
    },
    {},
    DISK,
  );
}

permissionTest(
  "a checkpoint gives back what was written, and refuses other runs",
  DISK,
  async () => {
    await withTempFolder(async (folder) => {
      const path = join(folder, "checkpoint.safetensors");
      const tensors = new Map([["a/b", {
        dtype: "F32" as const,
        shape: [2],
        data: Float32Array.of(1, 2),
      }]]);
      const parts = {
        one: { tensors, values: { steps: 3, list: [1, null, "x"] } },
        two: { values: null },
      };
      const made = { seed: 1, data: undefined, strict: false, classes: ["a", "b"] };
      assertEquals(await readCheckpoint(path, made), undefined);
      await writeCheckpoint(path, made, parts);
      await writeCheckpoint(path, made, parts); // takes the first one's place
      const read = await readCheckpoint(path, made);
      assertEquals(read, { ...parts, two: { tensors: new Map(), values: null } });
      assertEquals([...Deno.readDirSync(folder)].length, 1);
      await assertRejects(
        () => readCheckpoint(path, { ...made, seed: 2, data: "x" }),
        UserError,
        `${path} was written with other settings: seed is 2 here and 1 there; data is x here and not set there`,
      );
      const { metadata } = await readSafetensors(path);
      const broken: [string, Record<string, string>][] = [
        ['Its "made" may nest 6 deep', { made: "[".repeat(1e6) }],
        ['Its "values" cannot be read as JSON', { values: "{" }],
        ['its "values" is "[]"', { values: "[]" }],
      ];
      for (const [message, said] of broken) {
        await writeSafetensors(path, tensors, { ...metadata, ...said });
        await assertRejects(() => readCheckpoint(path, made), UserError, message);
      }
      await writeSafetensors(path, new Map(), { ...metadata, made: '{"seed": "\\u001b[2J"}' });
      const strange = await assertRejects(() => readCheckpoint(path, { seed: 1 }), UserError);
      assertStringIncludes(strange.message, "seed is 1 here and \\u001b[2J there");
      await Deno.writeTextFile(path, "something else");
      await assertRejects(() => readCheckpoint(path, {}), UserError, "is no checkpoint of a run");
      await writeSafetensors(path, new Map(), {});
      await assertRejects(() => readCheckpoint(path, {}), UserError, 'its "made" is missing');
    });
  },
);
