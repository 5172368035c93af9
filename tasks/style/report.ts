/** What a style run leaves to look at: the loss chart and the page. */
import { resizeShorter } from "../../data/images/augment.ts";
import { encodeJpeg, type RgbImage } from "../../data/images/image.ts";
import type { StyleLosses } from "../../models/pictures/style_transfer.ts";
import { lineChart, type Point, type Series } from "../lib/chart.ts";
import { figure } from "../lib/format.ts";
import { type Card, type Html, page, type Section } from "../lib/page.ts";
import { dataImage } from "../lib/picture.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import type { StylePictures } from "./pictures.ts";
import { settingsInUse, type StyleSettings } from "./settings.ts";

/** The picture after so many iterations. */
export interface Frame {
  iterations: number;
  image: RgbImage;
}

/** All results of a run. */
export interface StyleResults {
  result: RgbImage;
  frames: Frame[];
  losses: StyleLosses[];
  seconds: number;
  interrupted: boolean;
  /** Where a loss or a pixel was not finite: why, and after how many iterations the picture is kept. */
  diverged: { reason: string; kept: number } | undefined;
  /** Sentences about the network. */
  notes: string[];
  gpu: string;
}

/** The parts of the loss, with what to call them. */
const PARTS = {
  total: "total",
  content: "content",
  style: "style",
  variation: "total variation",
} as const;

/** The page's heading, and the chart's. */
function title({ preset }: StyleSettings, { content, style }: StylePictures): string {
  const painting = preset !== undefined && style.path?.endsWith(preset.file)
    ? preset.title
    : style.name;
  return `Style transfer: ${content.name} in the style of ${painting}`;
}

/** The loss of each iteration in its parts, as a chart. */
export function lossChart(
  settings: StyleSettings,
  pictures: StylePictures,
  { losses }: Pick<StyleResults, "losses">,
): string {
  const all = Object.entries(PARTS) as [keyof StyleLosses, string][];
  const series = all.map(([part, name]): Series => ({
    name,
    // A logarithmic axis has no place for a loss of 0, as the content loss may be at first.
    points: losses.map((loss, i): Point => [i, loss[part] > 0 ? loss[part] : NaN]),
    dashed: part === "total",
  })).filter(({ points }) => points.some(([, y]) => !Number.isNaN(y)));
  return lineChart({
    title: title(settings, pictures),
    xLabel: "iteration",
    yLabel: "weighted loss",
    logY: series.length > 0,
    series: series.length > 0 ? series : [{ name: "no iteration was made", points: [[0, 0]] }],
  });
}

async function picture(image: RgbImage, alt: string): Promise<Html> {
  return dataImage("image/jpeg", await encodeJpeg(image, { quality: 88 }), alt);
}

async function card(image: RgbImage, name: string): Promise<Card> {
  const size = `${image.width} x ${image.height}`;
  return { picture: await picture(image, name), name: `${name}, ${size}`, entries: [] };
}

function figures({ losses }: StyleResults): Section {
  const at = [
    ...new Set([0, 0.25, 0.5, 0.75, 1].map((share) => Math.round(share * (losses.length - 1)))),
  ];
  const rows = (Object.entries(PARTS) as [keyof StyleLosses, string][]).map(([part, name]) => [
    name,
    ...at.map((i) => figure(losses[i][part])),
  ]);
  return {
    kind: "figures",
    title: "Losses",
    columns: ["loss", ...at.map((i) => `iteration ${i}`)],
    rows,
    note:
      "Each with its weight. Content: squared differences of maps. Style: squared differences of Gram matrices, which are " +
      "divided by C · H · W. Total variation: squared differences of neighbouring pixels.",
  };
}

/** Pixels of the shorter side of a frame on the page, at most: there may be many. */
const FRAME_SIDE = 240;

/** Write `index.html`. */
export async function writeStylePage(
  folder: RunFolder,
  settings: StyleSettings,
  pictures: StylePictures,
  results: StyleResults,
): Promise<void> {
  const { content, style } = pictures;
  const { losses, result, frames, seconds, notes, interrupted, diverged, gpu } = results;
  const cards = [
    await card(content.image, `Content: ${content.name}`),
    await card(style.image, `Style: ${style.name}`),
    await card(result, "Result"),
  ];
  const strip: Card[] = [];
  for (const { iterations, image } of frames) {
    const name = iterations === 0 ? "The start" : `After ${iterations} iterations`;
    const large = Math.min(image.width, image.height) > FRAME_SIDE;
    const small = large ? resizeShorter(image, FRAME_SIDE) : image;
    strip.push({ picture: await picture(small, name), name, entries: [] });
  }
  const html = page({
    title: title(settings, pictures),
    subtitle: `${losses.length} iterations in ${seconds.toFixed(1)} s on ${gpu}`,
    sections: [
      { kind: "gallery", title: "Pictures", cards },
      {
        kind: "chart",
        title: "Loss",
        svg: lossChart(settings, pictures, results),
        note: "The axis of the loss is logarithmic.",
      },
      ...(losses.length === 0 ? [] : [figures(results)]),
      ...(strip.length === 0 ? [] : [
        { kind: "gallery", title: "On the way", cards: strip } satisfies Section,
      ]),
      { kind: "settings", title: "Settings", settings: settingsInUse(settings) },
      {
        kind: "text",
        title: "Notes",
        paragraphs: [
          ...notes,
          ...(interrupted ? ["The run was interrupted: this is the picture until then."] : []),
          ...(diverged === undefined
            ? []
            : [`${diverged.reason}. This is the picture after ${diverged.kept} iterations.`]),
        ],
      },
    ],
  });
  folder.writeText("index.html", html);
}
