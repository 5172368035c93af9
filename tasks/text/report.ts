/** What a text run leaves to look at: the charts and the page. */
import type { EpochRecord } from "../../models/training/fit.ts";
import { lineChart, type Point, type Series, smoothed } from "../lib/chart.ts";
import { chance, grouped } from "../lib/format.ts";
import { page, type Section } from "../lib/page.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import { moments } from "../lib/statistics.ts";
import { SPLITS, type TextData } from "./data.ts";
import { settingsInUse, type TextSettings } from "./settings.ts";
import { MOST_WATCHED, type SeedResult } from "./train.ts";

/** All results of a run. */
export interface TextResults {
  /** At least one; the last may have been interrupted. */
  seeds: SeedResult[];
  gpu: string;
}

/** The seed with the best dev accuracy, of equals the first; one measured on a part only where all are. */
export function bestSeed({ seeds }: TextResults): SeedResult {
  const measured = seeds.filter(({ measuredOn }) => measuredOn === undefined);
  return (measured.length > 0 ? measured : seeds).reduce((best, other) =>
    other.accuracy.dev > best.accuracy.dev ? other : best
  );
}

/** An accuracy in percent for train, dev and test. */
export type AccuracyRow = [name: string, train: number, dev: number, test: number];

function row(name: string, of: (split: typeof SPLITS[number]) => number): AccuracyRow {
  return [name, of("train"), of("dev"), of("test")];
}

/** The seeds that mean and deviation are of: an interrupted one does not count among whole ones. */
function wholeSeeds({ seeds }: TextResults): SeedResult[] {
  return seeds.filter(({ interrupted, diverged }) => !interrupted && diverged === undefined);
}

/** Accuracies in percent: of the run, or the mean and deviation over seeds and each seed; the report's. */
export function accuracyRows(settings: TextSettings, results: TextResults): AccuracyRow[] {
  const { model: { report }, data } = settings;
  const whole = wholeSeeds(results);
  const over = (split: typeof SPLITS[number]) =>
    moments(whole.map(({ accuracy }) => 100 * accuracy[split]));
  const single = results.seeds.length === 1;
  return [
    ...(whole.length < 2 ? [] : [
      row(`mean of ${whole.length} seeds`, (split) => over(split).mean),
      row("standard deviation", (split) => over(split).deviation),
    ]),
    ...results.seeds.map(({ seed, accuracy, interrupted }) =>
      row(
        single ? "this run" : `seed ${seed}${interrupted ? ", interrupted" : ""}`,
        (split) => 100 * accuracy[split],
      )
    ),
    ...(report === undefined || data === undefined
      ? []
      : [["2019 report", ...report] satisfies AccuracyRow]),
  ];
}

/** So many lines have colors of their own. */
const MOST_LINES = 7;

/** The loss of each step as a chart, smoothed; a line for each seed. */
export function lossChart(
  { model, members }: TextSettings,
  { sentences }: TextData,
  { seeds }: TextResults,
): string {
  const of = ({ losses }: SeedResult) => losses.map((loss, i): Point => [i + 1, loss]);
  const [first] = seeds;
  const series: Series[] = seeds.length > 1
    ? seeds.slice(0, MOST_LINES).map((result) => ({
      name: `seed ${result.seed}, smoothed`,
      points: smoothed(of(result)),
    }))
    : first.losses.length < 30
    ? [{ name: "training loss", points: of(first) }]
    : [
      { name: "training loss of a step", points: of(first), faint: true },
      { name: "smoothed", points: smoothed(of(first)) },
    ];
  const drawn = series.filter(({ points }) => points.length > 0);
  return lineChart({
    title: `text-${model.name} on ${sentences.name}`,
    xLabel: "step",
    yLabel: `cross-entropy of a sentence${members === 1 ? "" : `, sum of ${members} networks`}`,
    series: drawn.length > 0 ? drawn : [{ name: "no step was taken", points: [[0, 0]] }],
  });
}

/** Dev accuracy after each epoch as a chart: beside training accuracy, or a line for each seed. */
export function accuracyChart(
  { model }: TextSettings,
  { sentences }: TextData,
  { seeds }: TextResults,
): string {
  const of = ({ epochs }: SeedResult, value: (result: EpochRecord) => number) =>
    epochs.map((result): Point => [result.epoch, 100 * value(result)]);
  const dev = (result: SeedResult) => of(result, ({ devAccuracy }) => devAccuracy);
  const [first] = seeds;
  const series: Series[] = seeds.length > 1
    ? seeds.slice(0, MOST_LINES).map((result) => ({
      name: `seed ${result.seed}, dev`,
      points: dev(result),
    }))
    : [
      { name: "dev", points: dev(first) },
      {
        name: "train",
        points: of(first, ({ trainAccuracy }) => trainAccuracy),
        dashed: true,
      },
    ];
  const drawn = series.filter(({ points }) => points.length > 0);
  return lineChart({
    title: `text-${model.name} on ${sentences.name}`,
    xLabel: "epoch",
    yLabel: "accuracy, %",
    series: drawn.length > 0 ? drawn : [{ name: "no epoch was begun", points: [[0, 0]] }],
  });
}

function figures(settings: TextSettings, results: TextResults): Section {
  const { model, data } = settings;
  const best = bestSeed(results);
  const whole = wholeSeeds(results).length;
  const notes = [
    `The share of sentences answered rightly, in percent. The weights are those of the epoch with the best dev accuracy (epoch ${best.keptEpoch} of ${best.epochs.length}` +
    (results.seeds.length > 1 ? ` with seed ${best.seed}, whose model is saved).` : ")."),
    ...(whole < 2 ? [] : [`The standard deviation is that of a sample of ${whole}.`]),
    ...(model.report === undefined || data === undefined ? [] : [
      model.glove
        ? "The report of 2019 used vectors learned from tweets, of width 100."
        : "The last row is that of the report of 2019.",
    ]),
  ];
  return {
    kind: "figures",
    title: "Results",
    columns: ["accuracy, %", ...SPLITS],
    rows: accuracyRows(settings, results),
    decimals: 2,
    note: notes.join(" "),
  };
}

/** What a label means. The data are opinions. */
export function meaning(label: number): string {
  return label === 1 ? "positive (1)" : "negative (0)";
}

function confusion({ sentences: { test } }: TextData, { testLogits }: SeedResult): Section {
  const count = (label: number, answer: number) =>
    testLogits.reduce(
      (sum, logit, i) => sum + (test.labels[i] === label && Number(logit > 0) === answer ? 1 : 0),
      0,
    );
  const rows = [1, 0].map((label) => {
    const [one, zero] = [count(label, 1), count(label, 0)];
    const right = label === 1 ? one : zero;
    return [`is ${meaning(label)}`, one, zero, 100 * right / (one + zero)];
  });
  return {
    kind: "figures",
    title: "Confusion on the test sentences",
    columns: ["sentence", `answered ${meaning(1)}`, `answered ${meaning(0)}`, "right, %"],
    rows: rows.map((cells) => cells.map((cell) => Number.isNaN(cell) ? undefined : cell)),
    decimals: 2,
    note: "Rows say what a sentence is, columns what was answered.",
  };
}

/** So many mistakes are shown each way. */
const MOST_MISTAKES = 12;

/** Sentences of one label that were taken for the other, the most confident answers first. */
function mistakes(
  { sentences: { test } }: TextData,
  { testLogits }: SeedResult,
  label: 0 | 1,
): Section {
  const wrong = [...testLogits.keys()]
    .filter((i) => test.labels[i] === label && Number(testLogits[i] > 0) !== label)
    .sort((a, b) => Math.abs(testLogits[b]) - Math.abs(testLogits[a]));
  const shown = wrong.slice(0, MOST_MISTAKES);
  return {
    kind: "texts",
    title: `Most confident mistakes: ${meaning(label)} taken for ${meaning(1 - label)}`,
    columns: ["p(1)", "label", "sentence"],
    rows: shown.map((i) => [
      chance(probability(testLogits[i])),
      String(label),
      test.sentences[i].join(" "),
    ]),
    note: wrong.length === 0
      ? "There is none."
      : `${shown.length} of ${
        grouped(wrong.length)
      } such test sentences. p(1) is the probability of ${meaning(1)} that the model gives.`,
  };
}

/** The probability of class 1. */
export function probability(logit: number): number {
  return 1 / (1 + Math.exp(-logit));
}

/** Write `index.html`. */
export function writeTextPage(
  folder: RunFolder,
  settings: TextSettings,
  data: TextData,
  results: TextResults,
): void {
  const { seeds } = results;
  const best = bestSeed(results);
  const interrupted = seeds.find((result) => result.interrupted);
  const steps = seeds.reduce((sum, { losses }) => sum + losses.length, 0);
  const seconds = seeds.reduce((sum, result) => sum + result.seconds, 0);
  const few = seeds.length > MOST_LINES ? { note: `The first ${MOST_LINES} seeds.` } : {};
  const watched = seeds.length === 1 && data.encoded.train.sentences.length > MOST_WATCHED
    ? { note: `Training accuracy is that of ${grouped(MOST_WATCHED)} of the sentences.` }
    : few;
  const notes = [
    data.generated
      ? "The sentences are reviews generated by neckar itself, in which the order of words and negation matter."
      : `The sentences are those of ${settings.data}.`,
    ...data.sentences.notes,
    ...(data.coverage === undefined ? [] : [data.coverage]),
    ...(interrupted === undefined ? [] : [
      `The run was interrupted in seed ${interrupted.seed}: its weights are the best learned until then` +
      (interrupted.measuredOn === undefined
        ? "."
        : `, measured on at most ${interrupted.measuredOn} sentences of each split.`),
    ]),
    ...seeds.flatMap(({ seed, keptEpoch, diverged }) =>
      diverged === undefined
        ? []
        : [`Seed ${seed}: ${diverged}. The weights are those of epoch ${keptEpoch}.`]
    ),
  ];
  const html = page({
    title: settings.model.title,
    subtitle: `${data.sentences.name}, ${grouped(steps)} steps in ${
      seconds.toFixed(1)
    } s on ${results.gpu}`,
    sections: [
      figures(settings, results),
      { kind: "chart", title: "Loss", svg: lossChart(settings, data, results), ...few },
      {
        kind: "chart",
        title: "Accuracy over the epochs",
        svg: accuracyChart(settings, data, results),
        ...watched,
      },
      ...(best.measuredOn === undefined
        ? [confusion(data, best), mistakes(data, best, 0), mistakes(data, best, 1)]
        : []),
      { kind: "settings", title: "Settings", settings: settingsInUse(settings) },
      { kind: "text", title: "Notes", paragraphs: notes },
    ],
  });
  folder.writeText("index.html", html);
}
