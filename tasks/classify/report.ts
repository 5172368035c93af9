/** What a classification run leaves to look at. */
import { spread } from "../../data/sets/captions.ts";
import { encodePng } from "../../data/images/image.ts";
import type { RgbImage } from "../../data/images/rgb_image.ts";
import { chance, grouped } from "../lib/format.ts";
import { type Card, type Cell, type Html, page, pictureHtml } from "../lib/page.ts";
import { dataImage } from "../lib/picture.ts";
import { pictureCount } from "../lib/own_pictures.ts";
import type { RunFolder } from "../lib/run_folder.ts";
import type { ClassifySettings } from "./settings.ts";

/** A class that the network holds likely. */
export interface Likely {
  index: number;
  name: string;
  probability: number;
}

/** What the network says of a picture. */
export interface Answer {
  name: string;
  picture: string | RgbImage;
  /** What a drawing shows. */
  truth: string | undefined;
  /** The likeliest first. */
  likely: Likely[];
}

/** All results of a run. */
export interface ClassifyResults {
  answers: Answer[];
  notes: string[];
  network: string;
  gpu: string;
}

async function shownPicture(
  { name, picture }: Answer,
  unreadable: string[],
): Promise<Html> {
  if (typeof picture !== "string") return dataImage("image/png", await encodePng(picture), name);
  return await pictureHtml({ name, source: { kind: "file", path: picture } }, {
    onUnreadable: (name, reason) => unreadable.push(`${name} cannot be shown: ${reason}`),
  });
}

/** Write `index.html`. */
export async function writeClassifyPage(
  folder: RunFolder,
  settings: ClassifySettings,
  { answers, notes, network, gpu }: ClassifyResults,
): Promise<void> {
  const unreadable: string[] = [];
  const cards: Card[] = [];
  for (const i of spread(answers.length, settings.pictures)) {
    const { name, truth, likely } = answers[i];
    const texts = likely.map((row) => `${row.name} ${chance(row.probability)}`);
    const label = truth === undefined
      ? "likeliest"
      : truth === likely[0].name
      ? "right answer"
      : "wrong answer";
    cards.push({
      picture: await shownPicture(answers[i], unreadable),
      name,
      entries: [
        { label, texts, strong: true },
        ...(truth === undefined ? [] : [{ label: "true", texts: [truth] }]),
      ],
    });
  }
  const rows = answers.map(({ name, likely: [first] }): Cell[] => [
    name,
    first.name,
    first.probability,
  ]);
  const said = [...notes, ...unreadable];
  const html = page({
    title: "What pictures show",
    subtitle: `${pictureCount(answers.length)}, ${network} on ${gpu}`,
    sections: [
      {
        kind: "gallery",
        title: "Pictures",
        cards,
        note: `${cards.length} of ${
          grouped(answers.length)
        } pictures with their likeliest classes and the probabilities of these.`,
      },
      {
        kind: "figures",
        title: "The likeliest class of each",
        columns: ["picture", "class", "probability"],
        rows,
        decimals: 4,
      },
      {
        kind: "settings",
        title: "Settings",
        settings: { ...settings, images: settings.images?.replaceAll(",", ", ") },
      },
      ...(said.length === 0 ? [] : [{ kind: "text", title: "Notes", paragraphs: said } as const]),
    ],
  });
  folder.writeText("index.html", html);
}
