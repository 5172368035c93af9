/** What a captioning run leaves to look at: the loss chart and the page. */
import type { FitResult } from "../../models/training/fit.ts";
import { type CaptionData, referencesByImage, spread } from "../../data/sets/captions.ts";
import type { CaptionScores, PreparedSplit } from "../../models/captions/caption_training.ts";
import { lineChart, type Point, smoothed } from "../lib/chart.ts";
import { type Card, type Cell, page, pictureHtml, type Section } from "../lib/page.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import type { CaptionSettings } from "./settings.ts";

/** Captions of one split and how good they are. */
export interface SplitResults {
  split: PreparedSplit;
  /** For each image the sampled words. */
  greedy: string[][];
  beam: string[][];
  loss: number;
  greedyScores: CaptionScores;
  beamScores: CaptionScores;
}

/** All results of a run. */
export interface CaptionResults extends FitResult {
  gpu: string;
  train: SplitResults;
  val: SplitResults;
}

/** The loss of each step as a chart, with a smoothed line where there are many steps. */
export function lossChart(
  { cell }: CaptionSettings,
  { name }: CaptionData,
  { losses }: Pick<CaptionResults, "losses">,
): string {
  const points = losses.map((loss, i): Point => [i + 1, loss]);
  const series = points.length < 30 ? [{ name: "training loss", points }] : [
    { name: "training loss of a step", points, faint: true },
    { name: "smoothed", points: smoothed(points) },
  ];
  return lineChart({
    title: `${cell.toUpperCase()} captioner on ${name}`,
    xLabel: "step",
    yLabel: "loss (sum over a caption)",
    series: points.length > 0 ? series : [{ name: "no step was taken", points: [[0, 0]] }],
  });
}

function figures(settings: CaptionSettings, results: CaptionResults): Section {
  const row = (name: string, scores: CaptionScores, loss: number) => [
    name,
    ...scores.bleu.map((b) => b.toFixed(3)),
    scores.unigramPrecision.toFixed(3),
    loss.toFixed(2),
  ];
  const rows = ([["training", results.train], ["validation", results.val]] as const).flatMap(
    ([name, { greedyScores, beamScores, loss }]) => [
      row(`${name}, greedy`, greedyScores, loss),
      row(`${name}, beam ${settings.beam}`, beamScores, loss),
    ],
  );
  return {
    kind: "figures",
    title: "Results",
    columns: ["captions", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "unigram precision", "loss"],
    rows,
    note:
      "BLEU is the corpus score against all captions of a picture in the split. Unigram precision is the " +
      "homework's score: each caption against its picture's sampled one, averaged. The loss is -log p of a caption's words, " +
      "summed over the caption and averaged over captions." +
      (settings.keep === "best"
        ? ` The weights are those of epoch ${results.keptEpoch}, the best of ${results.epochs.length} by validation BLEU-4.`
        : ""),
  };
}

async function gallery(
  title: string,
  results: SplitResults,
  data: CaptionData,
  { pictures, beam }: CaptionSettings,
  unreadable: string[],
): Promise<Section> {
  const { split, greedy } = results;
  const references = referencesByImage(split, data.vocabulary);
  const cards: Card[] = [];
  for (const i of spread(split.pictures.length, pictures)) {
    const picture = await pictureHtml(split.pictures[i], {
      onUnreadable: (name, reason) => unreadable.push(`${name}: ${reason}`),
    });
    cards.push({
      picture,
      name: split.pictures[i].name,
      entries: [
        { label: "greedy", texts: [greedy[i].join(" ")], strong: true },
        { label: `beam ${beam}`, texts: [results.beam[i].join(" ")], strong: true },
        { label: "true", texts: references[i].map((words) => words.join(" ")) },
      ],
    });
  }
  const note = `${cards.length} of ${split.pictures.length} pictures, spread over them.`;
  return { kind: "gallery", title, cards, note };
}

/** The settings that had a say in this run. */
function inUse(settings: CaptionSettings): Record<string, Cell> {
  const idle = [
    ...(settings.data === undefined ? ["data", "pca"] : ["scenes"]),
    ...(settings.optimizer === "sgd" ? [] : ["momentum"]),
    ...(settings.schedule === "decay" ? [] : ["decay", "stepDecay"]),
  ];
  return Object.fromEntries(Object.entries(settings).filter(([name]) => !idle.includes(name)));
}

/** Write `index.html`. */
export async function writeCaptionPage(
  folder: RunFolder,
  settings: CaptionSettings,
  data: CaptionData,
  results: CaptionResults,
): Promise<void> {
  const unreadable: string[] = [];
  const { losses, seconds, interrupted, diverged } = results;
  const trainGallery = await gallery(
    "Training pictures",
    results.train,
    data,
    settings,
    unreadable,
  );
  const valGallery = await gallery("Validation pictures", results.val, data, settings, unreadable);
  const notes = [
    data.name === "scenes"
      ? "The pictures are scenes drawn by neckar itself; no validation scene shows a combination that training saw."
      : `The pictures are those of ${settings.data}.`,
    ...(interrupted
      ? [
        "The run was interrupted: these are the weights learned until then, measured on " +
        `${results.train.split.pictures.length} training and ${results.val.split.pictures.length} validation pictures.`,
      ]
      : []),
    ...(diverged === undefined
      ? []
      : [`${diverged}. These are the weights after epoch ${results.keptEpoch}.`]),
    ...unreadable.map((reason) => `A picture could not be read: ${reason}`),
  ];
  const html = page({
    title: `Image captioning with ${settings.cell === "lstm" ? "an LSTM" : "an RNN"}`,
    subtitle: `${data.name}, ${losses.length} steps in ${seconds.toFixed(1)} s on ${results.gpu}`,
    sections: [
      figures(settings, results),
      { kind: "chart", title: "Loss", svg: lossChart(settings, data, results) },
      valGallery,
      trainGallery,
      { kind: "settings", title: "Settings", settings: inUse(settings) },
      { kind: "text", title: "Notes", paragraphs: notes },
    ],
  });
  folder.writeText("index.html", html);
}
