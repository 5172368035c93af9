/** One report as one HTML page that needs nothing else: for reading, printing and handing in. */
import style from "./page.css" with { type: "text" };
import { escape, type Html, markup, svgImage } from "./picture.ts";

export { type Html, pictureHtml, type PictureOptions } from "./picture.ts";

/** A value in a table; `undefined` is shown as a dash. */
export type Cell = string | number | boolean | undefined;

/** The settings of a run, one row each. */
export interface SettingsSection {
  /** Tells the kind of section. */
  kind: "settings";
  /** The heading. */
  title: string;
  /** Name and value of each setting. */
  settings: Readonly<Record<string, Cell>>;
}

/** A table of results, for instance BLEU scores. */
export interface FiguresSection {
  /** Tells the kind of section. */
  kind: "figures";
  /** The heading. */
  title: string;
  /** The column heads. The first column names the row. */
  columns: readonly string[];
  /** One cell for each column. */
  rows: readonly (readonly Cell[])[];
  /**
   * Decimals of the columns whose numbers are not all whole ones; without it a column's largest number
   * has four significant digits.
   */
  decimals?: number;
  /** A sentence below the table. */
  note?: string;
}

/** A table whose last column is a text, for instance sentences with their probabilities. */
export interface TextsSection {
  /** Tells the kind of section. */
  kind: "texts";
  /** The heading. */
  title: string;
  /** The column heads. */
  columns: readonly string[];
  /** One cell for each column, the text last; without a row there is no table. */
  rows: readonly (readonly Cell[])[];
  /** A sentence above the table. */
  note?: string;
}

/** A chart, for instance from `lineChart`. */
export interface ChartSection {
  /** Tells the kind of section. */
  kind: "chart";
  /** The heading. */
  title: string;
  /** A whole SVG document. */
  svg: string;
  /** What the chart shows, in words, for those who cannot see it; the title when left out. */
  alt?: string;
  /** A sentence below the chart. */
  note?: string;
}

/** Some texts about a card's picture, with where they come from. */
export interface CardEntry {
  /** Where the texts come from: `people`, `greedy`, `beam 5`. */
  label: string;
  /** The texts. */
  texts: readonly string[];
  /** A score beside the label, for instance `BLEU 0.62`. */
  score?: string;
  /** Set off as the model's own answer. */
  strong?: boolean;
}

/** One picture or sentence with what is said about it. */
export interface Card {
  /** From {@link pictureHtml}; a card of text alone has none. */
  picture?: Html;
  /** The name below the picture. */
  name?: string;
  /** The texts, in order. */
  entries: readonly CardEntry[];
}

/** Cards side by side. */
export interface GallerySection {
  /** Tells the kind of section. */
  kind: "gallery";
  /** The heading. */
  title: string;
  /** The cards. */
  cards: readonly Card[];
  /** A sentence above the cards. */
  note?: string;
}

/** Plain paragraphs. */
export interface TextSection {
  /** Tells the kind of section. */
  kind: "text";
  /** The heading. */
  title: string;
  /** The paragraphs. */
  paragraphs: readonly string[];
}

/** Text in a fixed-width face with its line ends, for instance a command and its output. */
export interface OutputSection {
  /** Tells the kind of section. */
  kind: "output";
  /** The heading. */
  title: string;
  /** The text. */
  text: string;
}

/** A part of a page. */
export type Section =
  | SettingsSection
  | FiguresSection
  | TextsSection
  | ChartSection
  | GallerySection
  | TextSection
  | OutputSection;

/** A whole page. */
export interface Page {
  /** The heading, and the name of the window. */
  title: string;
  /** A line below the heading: when, on what, how long. */
  subtitle: string;
  /** The sections, in order. */
  sections: readonly Section[];
}

function cell(value: Cell): string {
  if (value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  return String(value);
}

function th(value: Cell): string {
  return `<th scope="row">${escape(cell(value))}</th>`;
}

/** How to write a number of a column: whole ones as they are, else `digits` or as the largest needs. */
function columnFormat(values: readonly Cell[], digits?: number): (value: number) => string {
  const numbers = values.filter((value) => typeof value === "number");
  if (numbers.every(Number.isInteger)) return String;
  const largest = Math.max(...numbers.filter(Number.isFinite).map(Math.abs), 1e-9);
  const decimals = digits ?? Math.max(0, 3 - Math.floor(Math.log10(largest)));
  return (value) => value.toFixed(decimals);
}

const note = (text?: string) => text === undefined ? "" : `<p class="note">${escape(text)}</p>`;

// Numbers stand to the right so that their digits line up.
const RIGHT = ' class="number"';

function settingsTable({ settings }: SettingsSection): string {
  const rows = Object.entries(settings).map(([name, value]) =>
    `<tr>${th(name)}<td>${escape(cell(value))}</td></tr>`
  );
  return `<table class="settings">${rows.join("\n")}</table>`;
}

/** A table of values; `named` where the first column names the row. */
function valuesTable(
  { title, columns, rows, decimals }: Omit<FiguresSection, "kind" | "note">,
  named: boolean,
): string {
  rows.forEach((row, i) => {
    if (row.length !== columns.length) {
      throw new TypeError(
        `Row ${i} of "${title}" has ${row.length} cells, and there are ${columns.length} columns`,
      );
    }
  });
  const formats = columns.map((_, i) => columnFormat(rows.map((row) => row[i]), decimals));
  const isName = (i: number) => named && i === 0;
  const head = columns.map((name, i) => {
    const number = !isName(i) && rows.some((row) => typeof row[i] === "number");
    return `<th scope="col"${number ? RIGHT : ""}>${escape(name)}</th>`;
  });
  const body = rows.map((row) => {
    const cells = row.map((value, i) => {
      if (isName(i)) return th(value);
      return typeof value === "number"
        ? `<td${RIGHT}>${formats[i](value)}</td>`
        : `<td>${escape(cell(value))}</td>`;
    });
    return `<tr>${cells.join("")}</tr>`;
  });
  return `<table><thead><tr>${head.join("")}</tr></thead>\n<tbody>${
    body.join("\n")
  }</tbody></table>`;
}

function figuresTable(section: FiguresSection): string {
  return `<div class="wide">${valuesTable(section, true)}</div>${note(section.note)}`;
}

function textsTable(section: TextsSection): string {
  const table = section.rows.length === 0 ? "" : valuesTable(section, false);
  return `${note(section.note)}<div class="wide texts">${table}</div>`;
}

function entry({ label, texts, score, strong }: CardEntry): string {
  const badge = score === undefined ? "" : `<span class="score">${escape(score)}</span>`;
  const lines = texts.map((text) => `<li>${escape(text)}</li>`).join("");
  return `<div class="entry${strong ? " strong" : ""}"><h3>${escape(label)}${badge}</h3>` +
    `<ul>${lines}</ul></div>`;
}

function card({ picture, name, entries }: Card): string {
  const caption = name === undefined ? "" : `<figcaption>${escape(name)}</figcaption>`;
  const figure = picture === undefined ? caption : `<figure>${picture}${caption}</figure>`;
  return `<article>${figure}${entries.map(entry).join("")}</article>`;
}

function content(section: Section): string {
  switch (section.kind) {
    case "settings":
      return settingsTable(section);
    case "figures":
      return figuresTable(section);
    case "texts":
      return textsTable(section);
    case "chart":
      return `<div class="chart">${svgImage(section.svg, section.alt ?? section.title)}</div>` +
        note(section.note);
    case "gallery":
      return `${note(section.note)}<div class="gallery">${
        section.cards.map(card).join("\n")
      }</div>`;
    case "text":
      return section.paragraphs.map((text) => `<p>${escape(text)}</p>`).join("\n");
    case "output":
      return `<pre>${escape(section.text)}</pre>`;
  }
}

// The page runs no script and loads nothing but the pictures of a data set that lies on the web.
const POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data: https: http:";

/**
 * Write a page: one HTML document with its style and pictures inside, light or dark as the reader's
 * system is, and fit to print. All text is escaped. Needs no permission. Throws TypeError where a
 * row of figures or texts does not fit its columns.
 *
 * @example
 * ```ts
 * const html = page({
 *   title: "Image captioning",
 *   subtitle: "LSTM, 20 epochs",
 *   sections: [
 *     { kind: "settings", title: "Settings", settings: { hidden: 512, plain: false } },
 *     { kind: "figures", title: "BLEU", columns: ["method", "val"], rows: [["greedy", 0.41]] },
 *   ],
 * });
 * if (!html.includes('<td class="number">0.4100</td>')) throw new Error(html);
 * ```
 */
export function page({ title, subtitle, sections }: Page): Html {
  const parts = sections.map((section) =>
    `<section><h2>${escape(section.title)}</h2>\n${content(section)}</section>`
  );
  return markup(`<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="${POLICY}">
<title>${escape(title)}</title>
<style>
${style}</style>
</head>
<body>
<header><h1>${escape(title)}</h1>
<p class="subtitle">${escape(subtitle)}</p></header>
${parts.join("\n")}
</body>
</html>
`);
}
