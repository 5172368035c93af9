/**
 * Labeled sentences for binary classification, from plain text: a line is the label `0` or `1`, then the
 * sentence's tokens with white space between them.
 *
 * @module
 */
import { TextMap } from "../files/table_keys.ts";
import { readBytes } from "../files/file.ts";
import { LINE_END, linesOf } from "../files/text_lines.ts";
import { checkFiles, folderName } from "../files/folder.ts";
import { quote } from "../files/messages.ts";
import { Vocabulary } from "./vocabulary.ts";
import { UserError } from "../files/user_error.ts";

export { tokenize } from "./tokenize.ts";

/** Sentences, token by token, with their labels. */
export interface SentenceSplit {
  /** The tokens of each sentence, at least one. */
  sentences: string[][];
  /** 0 or 1 for each sentence, `[sentences.length]`. */
  labels: Uint8Array;
}

/** A data set for binary sentence classification. */
export interface SentenceData {
  /** What the data is called: the folder's own name, or what it was generated as. */
  name: string;
  /** What is learned from; both labels occur. */
  train: SentenceSplit;
  /** What decides when to stop. */
  dev: SentenceSplit;
  /** What the final accuracy is measured on. */
  test: SentenceSplit;
  /** What was passed over while reading, a sentence each for the report; empty when nothing was. */
  notes: string[];
}

/** Sentences without labels, to be classified. */
export interface UnlabeledSentences {
  /** The tokens of each line; `[]` for a line without a word, so that answers stay in line. */
  sentences: string[][];
  /** How many lines have no word. */
  empty: number;
}

const SPLITS = ["train", "dev", "test"] as const;
/** The most lines of a file. */
const MAX_LINES = 5_000_000;

const FORM = "a line must be the label 0 or 1, a space and a sentence";

/**
 * Load a folder with `train.txt`, `dev.txt` and `test.txt`. Line ends may be LF or CRLF, and a byte order
 * mark is passed over. Lines without a word, with a label or blank, are left out and counted in `notes`;
 * so is a dev or test split in which only one label occurs.
 *
 * A missing folder or file is a `Deno.errors.NotFound` that says what the folder must hold. A line without
 * a label, another label than 0 and 1, and a byte that is no UTF-8 are UserErrors with the file and
 * line; so are a file without sentences and training sentences that all have one label. A line of more than a
 * million characters and a file of more than five million lines are RangeErrors.
 *
 * ```ts ignore
 * const { train, notes } = await loadSentences("data/sentences");
 * console.log(train.labels[0], train.sentences[0].join(" "), notes);
 * ```
 */
export async function loadSentences(folder: string): Promise<SentenceData> {
  const { root, name } = folderName(folder);
  await checkFiles(root, SPLITS.map((split) => `${split}.txt`));
  const notes: string[] = [];
  const load = async (split: typeof SPLITS[number]) => {
    const file = `${split}.txt`;
    const loaded = readLabeled(await readLines(`${root}/${file}`), root, file, notes);
    const count = loaded.labels.length;
    const ones = loaded.labels.reduce((sum, label) => sum + label, 0);
    if (ones === 0 || ones === count) {
      const only = `every sentence has the label ${loaded.labels[0]}`;
      if (split === "train") {
        throw new UserError(
          `${root}/${file}: training needs sentences of both labels, but ${only}`,
        );
      }
      notes.push(`${file}: ${only}`);
    }
    return loaded;
  };
  return {
    name,
    train: await load("train"),
    dev: await load("dev"),
    test: await load("test"),
    notes,
  };
}

/** Take labels and tokens from lines; what is passed over is added to `notes`. */
function readLabeled(lines: string[], root: string, file: string, notes: string[]): SentenceSplit {
  const sentences: string[][] = [];
  const labels: number[] = [];
  const wordless: number[] = [];
  for (const [i, line] of lines.entries()) {
    const [label, ...words] = splitWords(line);
    if (label !== undefined && label !== "0" && label !== "1") {
      const found = /^[-+]?[\d.]+$/.test(label)
        ? `its label is ${quote(label)}`
        : "it seems to have no label";
      throw new UserError(`${root}/${file}, line ${i + 1}: ${FORM}; ${found}: ${quote(line)}`);
    }
    if (words.length === 0) {
      wordless.push(i + 1);
    } else {
      sentences.push(words);
      labels.push(Number(label));
    }
  }
  if (sentences.length === 0) {
    throw new UserError(`${root}/${file} has no sentence: ${FORM}`);
  }
  if (wordless.length > 0) {
    const some = wordless.slice(0, 10).join(", ") + (wordless.length > 10 ? ", …" : "");
    notes.push(
      wordless.length === 1
        ? `${file}: 1 line without words was passed over (line ${some})`
        : `${file}: ${wordless.length} lines without words were passed over (lines ${some})`,
    );
  }
  return { sentences, labels: Uint8Array.from(labels) };
}

/**
 * Read sentences without labels, one a line, as tokens with white space between them. A line without a
 * word gives `[]`; the last line's end adds no line. The first token of a line is a word like all others,
 * even `0` or `1`.
 *
 * A file without a word, or with a byte that is no UTF-8, is a UserError; a missing file is a
 * `Deno.errors.NotFound`.
 *
 * ```ts ignore
 * const { sentences, empty } = await readUnlabeled("data/sentences/unlabelled.txt");
 * console.log(`${sentences.length} sentences, ${empty} without words`);
 * ```
 */
export async function readUnlabeled(path: string): Promise<UnlabeledSentences> {
  const sentences = (await readLines(path)).map(splitWords);
  const empty = sentences.filter((words) => words.length === 0).length;
  if (empty === sentences.length) {
    throw new UserError(`${path} has no sentence: it must hold one sentence a line`);
  }
  return { sentences, empty };
}

/**
 * Number the words of the training sentences, the most frequent first, equally frequent ones in the order
 * of their code points; words of `extra` that are not among them follow in their order. Only words that
 * occur `minCount` times (1 if left out) or more are taken from the sentences. A RangeError when no count can be
 * `minCount`.
 *
 * A token that is spelled like one of the four special tokens, such as `<UNK>`, keeps that token's id.
 *
 * ```ts
 * const vocabulary = sentenceVocabulary([["so", "so", "good"], ["good", "food"]], { extra: ["bad"] });
 * if (vocabulary.words.slice(4).join(" ") !== "good so food bad") throw new Error("other order");
 * ```
 */
export function sentenceVocabulary(
  train: readonly string[][],
  { minCount = 1, extra = [] }: { minCount?: number; extra?: Iterable<string> } = {},
): Vocabulary {
  if (!Number.isInteger(minCount) || minCount < 1) {
    throw new RangeError(`minCount must be an integer from 1: it is ${minCount}`);
  }
  const counts: Map<string, number> = new TextMap();
  for (const words of train) {
    for (const word of words) counts.set(word, (counts.get(word) ?? 0) + 1);
  }
  const frequent = [...counts].filter(([, count]) => count >= minCount);
  frequent.sort(([a, countA], [b, countB]) => countB - countA || compareCodePoints(a, b));
  const words = new Set([...frequent.map(([word]) => word), ...extra]);
  for (const special of Vocabulary.fromWords([]).words) words.delete(special);
  return Vocabulary.fromWords(words);
}

/** Negative when `a` comes before `b`. Strings' own `<` goes by UTF-16 units, which is another order. */
function compareCodePoints(a: string, b: string): number {
  const [left, right] = [[...a], [...b]];
  for (let i = 0; i < Math.min(left.length, right.length); i++) {
    const difference = (left[i].codePointAt(0) ?? 0) - (right[i].codePointAt(0) ?? 0);
    if (difference !== 0) return difference;
  }
  return left.length - right.length;
}

function splitWords(line: string): string[] {
  return line.split(/\s+/).filter((word) => word !== "");
}

/** The lines of a UTF-8 file; the end of the last line adds no line. */
async function readLines(path: string): Promise<string[]> {
  const bytes = await readBytes(path);
  let text: string;
  try {
    text = new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
    throw new UserError(describeInvalid(bytes, path));
  }
  return linesOf(text, path, MAX_LINES, "each sentence needs a line of its own");
}

/** Says where a file is no UTF-8: where its text, encoded again, first differs from its bytes. */
function describeInvalid(bytes: Uint8Array, path: string): string {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  const again = new TextEncoder().encode(text);
  let [line, start, at] = [1, 0, 0];
  for (; at < bytes.length && bytes[at] === again[at]; at++) {
    if (bytes[at] === 10 || (bytes[at] === 13 && bytes[at + 1] !== 10)) {
      [line, start] = [line + 1, at + 1];
    }
  }
  const near = bytes.subarray(start, start + 1000);
  const [shown] = new TextDecoder("utf-8", { ignoreBOM: true }).decode(near).split(LINE_END);
  return `${path}, line ${line}: the text must be UTF-8, but this line is not: ${quote(shown)}`;
}
