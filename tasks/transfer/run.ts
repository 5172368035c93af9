/** A transfer run from the command line to the page. Both transfer tasks are this. */
import { join } from "@std/path";
import { printable } from "../../data/files/messages.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { grouped } from "../lib/format.ts";
import { diverged, divergence } from "../../models/training/finite.ts";
import { openTaskGpu } from "../lib/gpu.ts";
import { interruptSignal } from "../lib/main.ts";
import { createRunFolder, reopenRunFolder } from "../lib/run_folder.ts";
import { type CommandLine, commandLine } from "../lib/resume.ts";
import { resumeLine } from "../lib/training.ts";
import { type TransferData, transferData } from "./data.ts";
import {
  accuracyChart,
  accuracyRows,
  bestSeed,
  lossChart,
  skippedNotes,
  type TransferResults,
  writeTransferPage,
} from "./report.ts";
import {
  settingsInUse,
  taskName,
  type TransferLearned,
  type TransferSettings,
  transferSettings,
} from "./settings.ts";
import { openNetwork, type SeedResult, trainSeed } from "./train.ts";

/** What is learned from, in a few lines. */
function describeData({ data }: TransferSettings, pictures: TransferData): string {
  const { name, classes, train, val, notes } = pictures;
  return [
    data === undefined
      ? "Data: pictures drawn by neckar, since no --data=DIR is given; they are not ImageNet"
      : `Data: ${printable(name)}`,
    `Pictures: ${grouped(train.pictures.length)} to learn from, ${
      grouped(val.pictures.length)
    } to validate; ${classes.length} classes: ${
      classes.map((label) => printable(label)).join(", ")
    }`,
    ...notes.map((note) => `Note: ${note}`),
  ].join("\n");
}

/** Accuracies in percent, a line each, under each other. */
function accuracyTable(rows: ReturnType<typeof accuracyRows>): string {
  const width = Math.max(10, ...rows.map(([name]) => name.length));
  const line = (name: string, cells: readonly string[]) =>
    name.padEnd(width) + cells.map((cell) => cell.padStart(19)).join("");
  const shown = (value?: number) => value?.toFixed(2) ?? "–";
  return [
    line("accuracy %", ["validation before", "training", "validation"]),
    ...rows.map(([name, before, train, val]) => line(name, [before, train, val].map(shown))),
  ].join("\n");
}

/**
 * Weights of the network, all and those that are learned, and what to say of it. Making it also finds out,
 * before a folder is made, whether the weights fit.
 */
async function describeNetwork(gpu: Gpu, settings: TransferSettings, data: TransferData) {
  const { model, notes } = await openNetwork(gpu, settings, data, settings.seed);
  using network = model;
  const all = network.parameters.reduce((sum, { size }) => sum + size, 0);
  return { kind: network.kind, all, learned: network.store.count, notes };
}

async function run(
  gpu: Gpu,
  settings: TransferSettings,
  data: TransferData,
  { args, resume }: CommandLine,
): Promise<void> {
  const { learned, seed, seeds, out } = settings;
  const task = taskName(learned);
  const network = await describeNetwork(gpu, settings, data);
  // Last of all: what is refused above leaves no folder behind.
  using folder = resume === undefined
    ? createRunFolder({ out, task, now: new Date() })
    : reopenRunFolder(resume);
  const { adapter } = gpu;
  console.log(
    [
      describeData(settings, data),
      ...network.notes.map((note) => `Note: ${note}`),
      `${network.kind}: ${grouped(network.learned)} of ${
        grouped(network.all)
      } weights are learned, on ${adapter.description}${
        adapter.isFallback ? " (a software adapter)" : ""
      }; writing to ${folder.path}`,
    ].join("\n"),
  );
  folder.writeConfig({
    task,
    arguments: args,
    ...settingsInUse(settings),
    classes: data.classes,
    adapter,
  });
  const signal = interruptSignal();
  const trained: SeedResult[] = [];
  let failure: string | undefined;
  for (let i = 0; i < seeds && !signal.aborted; i++) {
    if (seeds > 1) console.log(`Seed ${seed + i} (${i + 1} of ${seeds})`);
    try {
      const options = { gpu, settings, data, folder, signal, resume: resume !== undefined };
      trained.push(await trainSeed({ ...options, seed: seed + i }));
    } catch (error) {
      failure = divergence(error);
      if (trained.length === 0) throw error;
    }
    failure ??= trained.at(-1)?.diverged;
    if (failure !== undefined) break;
  }
  const results = {
    ...{ seeds: trained, gpu: adapter.description },
    ...{ network: network.kind, notes: network.notes },
  };
  const best = bestSeed(results);
  if (seeds > 1) {
    Deno.renameSync(join(folder.path, best.file), join(folder.path, "model.safetensors"));
    console.log(`model.safetensors is that of seed ${best.seed}, the best on validation`);
  }
  await report(settings, data, results, folder);
  if (failure === undefined) return;
  const index = join(folder.path, "index.html");
  throw diverged(failure, `The weights of the best epoch before that are kept; see ${index}`);
}

async function report(
  settings: TransferSettings,
  data: TransferData,
  results: TransferResults,
  folder: ReturnType<typeof createRunFolder>,
): Promise<void> {
  for (const { seed, keptEpoch, val } of results.seeds) {
    folder.metric({ seed, keptEpoch, valLoss: val.loss, valAccuracy: val.accuracy });
  }
  folder.writeText("loss.svg", lossChart(settings, data, results));
  folder.writeText("accuracy.svg", accuracyChart(settings, data, results));
  await writeTransferPage(folder, settings, data, results);
  for (const note of skippedNotes(results)) console.log(`Note: ${note}`);
  console.log(accuracyTable(accuracyRows(settings, data, results)));
  if (results.seeds.at(-1)?.diverged !== undefined) return;
  const seconds = results.seeds.reduce((sum, result) => sum + result.seconds, 0).toFixed(1);
  const index = join(folder.path, "index.html");
  console.log(
    interruptSignal().aborted
      ? `Interrupted; what was learned so far is in ${index}\n${
        resumeLine(taskName(settings.learned), folder)
      }`
      : `Done; see ${index} (${seconds} s of training)`,
  );
}

/** The whole task. */
export async function transferTask(learned: TransferLearned): Promise<void> {
  const read = (args: readonly string[]) => transferSettings(learned, args);
  const { settings, ...line } = commandLine(Deno.args, taskName(learned), read);
  const data = await transferData(settings);
  using gpu = await openTaskGpu();
  await run(gpu, settings, data, line);
}
