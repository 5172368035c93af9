/** What a transfer run leaves to look at: the charts and the page. */
import { lineChart, type Point, type Series } from "../lib/chart.ts";
import { grouped } from "../lib/format.ts";
import { page, type Section } from "../lib/page.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import { moments } from "../lib/statistics.ts";
import type { EpochRecord } from "../../models/training/fit.ts";
import { confusion, gallery } from "./answers.ts";
import type { TransferData } from "./data.ts";
import { settingsInUse, taskName, type TransferSettings } from "./settings.ts";
import type { SeedResult } from "./train.ts";

/** All results of a run. */
export interface TransferResults {
  /** At least one; the last may have been interrupted. */
  seeds: SeedResult[];
  gpu: string;
  /** The network's name. */
  network: string;
  /** Sentences about the network and its weights. */
  notes: string[];
}

/** The seed with the best validation accuracy; of equals the first. */
export function bestSeed({ seeds }: TransferResults): SeedResult {
  return seeds.reduce((best, other) => other.val.accuracy > best.val.accuracy ? other : best);
}

/** Accuracies in percent: before training, of the kept epoch's steps, and of the kept weights. */
export type AccuracyRow = [
  name: string,
  before: number | undefined,
  train: number | undefined,
  val: number | undefined,
];

/** What the report of 2019 got with ResNet-18 on ants and bees. */
const REPORT = { all: 92.16, head: 96.08 };

/** Accuracies of the run, or the mean and deviation over seeds and each seed; the report's. */
export function accuracyRows(
  { learned }: TransferSettings,
  { classes }: TransferData,
  { seeds, network }: TransferResults,
): AccuracyRow[] {
  const row = (result: SeedResult): AccuracyRow => {
    const { seed, before, epochs, keptEpoch, val, interrupted } = result;
    const kept = epochs.find(({ epoch }) => epoch === keptEpoch);
    return [
      seeds.length === 1 ? "this run" : `seed ${seed}${interrupted ? ", interrupted" : ""}`,
      100 * before.accuracy,
      kept === undefined ? undefined : 100 * kept.trainAccuracy,
      100 * val.accuracy,
    ];
  };
  const whole = seeds.filter(({ interrupted, diverged }) => !interrupted && diverged === undefined)
    .map(row);
  const over = (of: (values: number[]) => number): [number, number, number] => {
    const column = (i: number) => of(whole.map((cells) => cells[i] as number));
    return [column(1), column(2), column(3)];
  };
  const same = network === "resnet18" && classes.join() === "ants,bees";
  return [
    ...(whole.length < 2 ? [] : [
      [`mean of ${whole.length} seeds`, ...over((values) => moments(values).mean)],
      ["standard deviation", ...over((values) => moments(values).deviation)],
    ] satisfies AccuracyRow[]),
    ...seeds.map(row),
    ...(same ? [["2019 report", undefined, undefined, REPORT[learned]] as AccuracyRow] : []),
  ];
}

/** So many seeds have lines of their own. */
const MOST_SEEDS = 3;

/** A figure over the epochs as a chart, for training and validation: two lines for each seed. */
function epochChart(
  settings: TransferSettings,
  { name }: TransferData,
  { seeds, network }: TransferResults,
  yLabel: string,
  of: (epoch: EpochRecord) => { train: number; val: number },
  before: (seed: SeedResult) => number,
): string {
  const shown = seeds.slice(0, MOST_SEEDS).filter(({ epochs }) => epochs.length > 0);
  const series = shown.flatMap((result): Series[] => {
    const points = (part: "train" | "val") =>
      result.epochs.map((row): Point => [row.epoch, of(row)[part]]);
    const prefix = shown.length > 1 ? `seed ${result.seed}, ` : "";
    return [
      { name: `${prefix}validation`, points: [[0, before(result)], ...points("val")] },
      { name: `${prefix}training`, points: points("train"), dashed: true },
    ];
  });
  return lineChart({
    title: `${taskName(settings.learned)} of ${network} on ${name}`,
    xLabel: "epoch",
    yLabel,
    series: series.length > 0 ? series : [{ name: "no epoch came to its end", points: [[0, 0]] }],
  });
}

/** Cross-entropy over the epochs. */
export function lossChart(
  settings: TransferSettings,
  data: TransferData,
  results: TransferResults,
): string {
  const of = ({ trainLoss, valLoss }: EpochRecord) => ({ train: trainLoss, val: valLoss });
  const label = "cross-entropy of a picture";
  return epochChart(settings, data, results, label, of, ({ before }) => before.loss);
}

/** Accuracy over the epochs. */
export function accuracyChart(
  settings: TransferSettings,
  data: TransferData,
  results: TransferResults,
): string {
  const of = ({ trainAccuracy, valAccuracy }: EpochRecord) => ({
    train: 100 * trainAccuracy,
    val: 100 * valAccuracy,
  });
  const before = (result: SeedResult) => 100 * result.before.accuracy;
  return epochChart(settings, data, results, "accuracy, %", of, before);
}

function figures(
  settings: TransferSettings,
  data: TransferData,
  results: TransferResults,
): Section {
  const { keptEpoch, epochs, seed } = bestSeed(results);
  const kept = keptEpoch === 0
    ? "No epoch came to its end: the weights are those of the last step."
    : `The weights are those of the epoch with the best validation accuracy (epoch ${keptEpoch} of ${epochs.length}${
      results.seeds.length > 1 ? ` with seed ${seed}, whose model is saved` : ""
    }).`;
  return {
    kind: "figures",
    title: "Results",
    columns: ["accuracy, %", "validation before", "training", "validation"],
    rows: accuracyRows(settings, data, results),
    decimals: 2,
    note:
      `The share of the pictures that are answered rightly, in percent. ${kept} Before training the last layer is random. ` +
      "Training accuracy is that of the kept epoch's steps, on pictures cut and mirrored at random.",
  };
}

/** Sentences about what ran and what it learned from. */
function notes(settings: TransferSettings, data: TransferData, results: TransferResults): string[] {
  const { seeds } = results;
  const interrupted = seeds.find((result) => result.interrupted);
  const epochs = seeds.flatMap((result) => result.epochs);
  const per = (of: (epoch: EpochRecord) => number) =>
    (epochs.reduce((sum, epoch) => sum + of(epoch), 0) / epochs.length).toFixed(1);
  return [
    settings.data === undefined
      ? "The pictures are drawn by neckar itself: small and plain ones, and nothing like ImageNet."
      : `The pictures are those of ${settings.data}.`,
    ...data.notes,
    ...results.notes,
    ...skippedNotes(results),
    ...(epochs.length === 0 ? [] : [
      `An epoch took ${per(({ seconds }) => seconds)} s with its validation, of which ${
        per(({ waited }) => waited)
      } s were spent waiting for pictures.`,
    ]),
    ...(interrupted === undefined ? [] : [
      `The run was interrupted in epoch ${
        interrupted.epochs.length + 1
      } of seed ${interrupted.seed}.`,
    ]),
    ...(bestSeed(results).measured === data.val ? [] : [
      `The run was interrupted: only ${
        grouped(bestSeed(results).measured.pictures.length)
      } validation pictures were answered at its end.`,
    ]),
    ...seeds.flatMap(({ seed, keptEpoch, diverged }) =>
      diverged === undefined
        ? []
        : [`Seed ${seed}: ${diverged}. The weights are those of epoch ${keptEpoch}.`]
    ),
  ];
}

/** Of so many files that cannot be read the reason is given. */
const MOST_REASONS = 3;

/** What is said of files that were left out. */
export function skippedNotes({ seeds }: TransferResults): string[] {
  const reasons = new Map(
    seeds.flatMap(({ skipped }) => skipped.map(({ path, reason }) => [path, reason])),
  );
  if (reasons.size === 0) return [];
  const given = [...reasons.values()];
  const more = given.length > MOST_REASONS
    ? `; and ${grouped(given.length - MOST_REASONS)} more`
    : "";
  return [`Left out: ${given.slice(0, MOST_REASONS).join("; ")}${more}`];
}

/** Write `index.html`. */
export async function writeTransferPage(
  folder: RunFolder,
  settings: TransferSettings,
  data: TransferData,
  results: TransferResults,
): Promise<void> {
  const { seeds, network } = results;
  const best = bestSeed(results);
  const unreadable: string[] = [];
  const shown = await gallery({ ...data, val: best.measured }, best.valScores, unreadable);
  const steps = seeds.reduce((sum, { losses }) => sum + losses.length, 0);
  const seconds = seeds.reduce((sum, result) => sum + result.seconds, 0);
  const few = seeds.length > MOST_SEEDS ? { note: `The first ${MOST_SEEDS} seeds.` } : {};
  const html = page({
    title: settings.learned === "all"
      ? "Transfer learning: the whole network"
      : "Transfer learning: the last layer",
    subtitle: `${network} on ${data.name}, ${grouped(steps)} steps in ${
      seconds.toFixed(1)
    } s on ${results.gpu}`,
    sections: [
      figures(settings, data, results),
      {
        kind: "chart",
        title: "Accuracy over the epochs",
        svg: accuracyChart(settings, data, results),
        ...few,
      },
      {
        kind: "chart",
        title: "Loss over the epochs",
        svg: lossChart(settings, data, results),
        ...few,
      },
      ...(best.measured === data.val ? [confusion(data, best.valScores)] : []),
      shown,
      { kind: "settings", title: "Settings", settings: settingsInUse(settings) },
      {
        kind: "text",
        title: "Notes",
        paragraphs: [...notes(settings, data, results), ...unreadable],
      },
    ],
  });
  folder.writeText("index.html", html);
}
