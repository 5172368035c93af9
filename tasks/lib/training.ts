/** Training in a task: `fit` with a run folder, a progress bar and Ctrl-C. */
import { join } from "@std/path";
import { GpuError } from "../../kernels/runtime/errors.ts";
import type { MadeWith, Stateful } from "../../models/training/checkpoint.ts";
import {
  type EpochRecord,
  fit,
  type FitOptions,
  type FitResult,
} from "../../models/training/fit.ts";
import type { Module } from "../../models/layers/module.ts";
import { interruptSignal } from "./main.ts";
import { progress } from "./progress.ts";
import type { Metric, RunFolder } from "./run_folder.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Options of {@linkcode trainModel}. */
export interface TrainOptions<B>
  extends Omit<FitOptions<B>, "checkpoint" | "onLosses" | "onEpoch" | "onStart"> {
  folder: RunFolder;
  /** The task's name, and whether it goes on with an earlier run. */
  task: string;
  resume: boolean;
  /** Seconds between checkpoints within an epoch. */
  saveEvery: number;
  /** All that the run depends on. */
  made: MadeWith;
  /** More that has a state. */
  states?: Readonly<Record<string, Stateful>>;
  /** The name of the checkpoint. */
  file?: string;
  /** Steps of an epoch. */
  perEpoch: number;
  /** What is counted, in the singular: `step` by default. */
  unit?: string;
  /** What every record of `metrics.jsonl` begins with, as the seed. */
  tag?: Record<string, Metric>;
  /** The records of what was noted, one for each step, and what to show of an epoch's; the loss by default. */
  recordsOf?: (noted: readonly number[]) => Record<string, number>[];
  figuresOf?: (records: readonly Record<string, number>[]) => Record<string, number>;
  /** Called before training, once a checkpoint was read. */
  onStart?: (result: FitResult, resumed: boolean) => void | Promise<void>;
  /** What to say of an epoch that was measured. */
  describe?: (record: EpochRecord) => string;
  /** What to note of it, besides its number. */
  note?: (record: EpochRecord) => Record<string, Metric>;
  print?: (line: string) => void;
}

/** Train, note every loss and epoch in the folder, and show how far it has come. */
export async function trainModel<B>(model: Module, options: TrainOptions<B>): Promise<FitResult> {
  const { folder, task, resume, saveEvery, made, states = {}, file = "checkpoint.safetensors" } =
    options;
  const { perEpoch, unit = "step", tag = {}, describe, note = (record) => record } = options;
  const { recordsOf = (losses) => losses.map((loss) => ({ loss })), parts: perStep = 1 } = options;
  const { figuresOf = (records) => ({ loss: mean(records) }) } = options;
  const { epochs = 1, print = console.log } = options;
  const path = join(folder.path, file);
  const total = epochs * perEpoch;
  using bar = progress({ total, unit, print });
  let written = 0;
  const onLosses = (losses: readonly number[], step: number) => {
    for (const record of recordsOf(losses.slice(written * perStep))) {
      // Iterations are counted from 0.
      const at = unit === "iteration" ? { iteration: written } : { step: written + 1 };
      folder.metric({ ...tag, ...at, ...record });
      written++;
    }
    const recent = recordsOf(losses.slice(Math.max(0, written - perEpoch) * perStep));
    bar.update(Math.min(step, total), recent.length > 0 ? figuresOf(recent) : {});
  };
  const mine = (record: Record<string, Metric>) =>
    Object.entries(tag).every(([key, value]) => record[key] === value);
  try {
    const result = await fit(model, {
      signal: interruptSignal(),
      ...options,
      checkpoint: { path, resume, every: saveEvery, made, parts: states },
      async onStart(result, resumed) {
        written = result.losses.length / perStep;
        const done = result.epochs.at(-1)?.epoch ?? 0;
        // A run can end after an epoch's lines and before its checkpoint.
        if (resume) {
          folder.retainMetrics((record) =>
            !mine(record) ||
            (typeof record.step === "number"
              ? record.step <= written
              : typeof record.iteration === "number"
              ? record.iteration < written
              : typeof record.epoch === "number" && record.epoch <= done)
          );
        }
        if (resumed) print(`Going on after ${written} of ${total} ${unit}s`);
        await options.onStart?.(result, resumed);
      },
      onLosses,
      onEpoch(record) {
        folder.metric({ ...tag, epoch: record.epoch, ...note(record) });
        if (describe) bar.note(`epoch ${record.epoch}: ${describe(record)}`);
      },
    });
    if (result.stoppedEarly) {
      const { patience, keep } = options;
      const long = patience === 1 ? "an epoch" : `${patience} epochs`;
      const best = typeof keep === "object" ? keep.best : "result";
      const name = best.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`);
      bar.note(`No better ${name} for ${long}: stopped early`);
    }
    return result;
  } catch (error) {
    if (!(error instanceof GpuError)) throw error;
    try {
      Deno.statSync(path);
    } catch {
      throw error;
    }
    throw new UserError(`${error.message}\n${resumeLine(task, folder)}`, { cause: error });
  }
}

/** The mean of their losses. */
function mean(records: readonly Record<string, number>[]): number {
  return records.reduce((sum, { loss }) => sum + loss, 0) / records.length;
}

/** How to go on with a run. */
export function resumeLine(task: string, { path }: RunFolder): string {
  return `Go on with deno task ${task} --resume=${path}`;
}
