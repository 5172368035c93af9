/** A network's answers to the validation pictures, as parts of a page. */
import { spread } from "../../data/sets/captions.ts";
import { encodePng } from "../../data/images/image.ts";
import type { RgbImage } from "../../data/images/rgb_image.ts";
import {
  answers,
  type PictureScores,
  probabilities,
} from "../../models/pictures/image_training.ts";
import { chance, grouped } from "../lib/format.ts";
import { type Card, type Html, pictureHtml, type Section } from "../lib/page.ts";
import { dataImage } from "../lib/picture.ts";
import type { TransferData } from "./data.ts";

/** Of more classes the table is not whole. */
const MOST_CLASSES = 20;

/** How many pictures of a class got which answer. */
export function confusion({ classes }: TransferData, scores: PictureScores): Section {
  const counts = classes.map(() => classes.map(() => 0));
  answers(scores).forEach((answer, i) => counts[scores.labels[i]][answer]++);
  const right = (label: number) => {
    const total = counts[label].reduce((a, b) => a + b, 0);
    return total === 0 ? undefined : 100 * counts[label][label] / total;
  };
  const title = "Confusion on the validation pictures";
  if (classes.length <= MOST_CLASSES) {
    return {
      kind: "figures",
      title,
      columns: ["picture", ...classes.map((name) => `answered ${name}`), "right, %"],
      rows: classes.map((name, label) => [`is ${name}`, ...counts[label], right(label)]),
      decimals: 2,
      note: "Rows say what a picture shows, columns what was answered.",
    };
  }
  const rows = classes.map((name, label) => {
    const wrong = counts[label].map((count, answer) => answer === label ? 0 : count);
    const most = Math.max(...wrong);
    const other = most === 0 ? undefined : classes[wrong.indexOf(most)];
    return [name, counts[label].reduce((a, b) => a + b, 0), right(label), other, most];
  });
  return {
    kind: "figures",
    title,
    columns: ["pictures of", "count", "right, %", "most often taken for", "so often"],
    rows,
    decimals: 2,
  };
}

/** So many validation pictures are shown, up to half of them wrong answers. */
const SHOWN = 6;

/** Places of the scores to show: right answers spread over all, then the most confident wrong ones. */
export function examples(scores: PictureScores): number[] {
  const given = answers(scores);
  const [right, wrong] = [true, false].map((is) =>
    [...given.keys()].filter((i) => (given[i] === scores.labels[i]) === is)
  );
  const confidence = (i: number) => probabilities(scores, i)[given[i]];
  wrong.sort((a, b) => confidence(b) - confidence(a));
  const shownWrong = wrong.slice(0, Math.max(SHOWN / 2, SHOWN - right.length));
  const shownRight = spread(right.length, SHOWN - shownWrong.length).map((place) => right[place]);
  return [...shownRight, ...shownWrong];
}

/** A picture of the data as markup, and its name. */
async function shownPicture(
  picture: string | RgbImage,
  index: number,
  unreadable: string[],
): Promise<{ picture: Html; name: string }> {
  if (typeof picture !== "string") {
    const name = `picture ${index}`;
    return { picture: dataImage("image/png", await encodePng(picture), name), name };
  }
  const name = picture.split("/").slice(-2).join("/");
  const html = await pictureHtml({ name, source: { kind: "file", path: picture } }, {
    onUnreadable: (name, reason) => unreadable.push(`${name} cannot be shown: ${reason}`),
  });
  return { picture: html, name };
}

/** Lines of the classes that were held most likely. */
const MOST_LIKELY = 3;

/** Some validation pictures with their answers. */
export async function gallery(
  { classes, val }: TransferData,
  scores: PictureScores,
  unreadable: string[],
): Promise<Section> {
  const given = answers(scores);
  const cards: Card[] = [];
  for (const i of examples(scores)) {
    const row = probabilities(scores, i);
    const likely = [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, MOST_LIKELY);
    const index = scores.indices[i];
    cards.push({
      ...await shownPicture(val.pictures[index], index, unreadable),
      entries: [
        {
          label: given[i] === scores.labels[i] ? "right answer" : "wrong answer",
          texts: likely.map((k) => `${classes[k]} ${chance(row[k])}`),
          strong: true,
        },
        { label: "true", texts: [classes[scores.labels[i]]] },
      ],
    });
  }
  const wrong = scores.labels.filter((label, i) => given[i] !== label).length;
  return {
    kind: "gallery",
    title: "Validation pictures",
    cards,
    note:
      `${cards.length} of ${
        grouped(scores.labels.length)
      } validation pictures with the probabilities of the likeliest classes: ` +
      `right answers, spread over them, and the most confident of the ${
        grouped(wrong)
      } wrong ones.`,
  };
}
