/** What a text task learns from: sentences as word ids, word vectors, and sentences to answer. */
import { join } from "@std/path";
import { isFolder } from "../../data/files/folder.ts";
import {
  type GloveOptions,
  readGlove,
  vectorTable,
  type WordVectors,
} from "../../data/text/glove.ts";
import { makeReviews } from "../../data/made/review_grammar.ts";
import type { RandomStream } from "../../data/rng.ts";
import {
  loadSentences,
  readUnlabeled,
  type SentenceData,
  sentenceVocabulary,
} from "../../data/text/sentences.ts";
import { UNK, type Vocabulary } from "../../data/text/vocabulary.ts";
import { normal } from "../../models/layers/init.ts";
import type { SentenceClassifier } from "../../models/sentences/sentence_classifier.ts";
import { checkLengths, type LabeledSentences } from "../../models/sentences/sentence_training.ts";
import { UsageError } from "../lib/flags.ts";
import { grouped, percent } from "../lib/format.ts";
import type { TextSettings } from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Everything a run reads. */
export interface TextData {
  /** Whether neckar made the sentences itself. */
  generated: boolean;
  /** The sentences as words. */
  sentences: SentenceData;
  vocabulary: Vocabulary;
  /** The sentences as word ids. */
  encoded: Record<Split, LabeledSentences>;
  /** Pretrained vectors, where the model reads them. */
  vectors?: WordVectors;
  /** How much of the training sentences the vectors cover, in words. */
  coverage?: string;
  /** The sentences to answer, where a file was given. */
  unlabeled?: Unlabeled;
}

/** The parts of the data. */
export const SPLITS = ["train", "dev", "test"] as const;
/** A part of the data. */
export type Split = typeof SPLITS[number];

/** Sentences without labels, line by line. */
export interface Unlabeled {
  path: string;
  sentences: string[][];
  /** Lines without a word. */
  empty: number;
}

/** Sentences as word ids; unknown words have the id of `<UNK>`. */
export function encode(sentences: readonly string[][], vocabulary: Vocabulary): Int32Array[] {
  return sentences.map((words) => Int32Array.from(words, (word) => vocabulary.index(word)));
}

/** How many sentences and words there are, and how many of them a vocabulary does not hold. */
export function describeUnlabeled(
  { sentences, empty }: Omit<Unlabeled, "path">,
  vocabulary: Vocabulary,
): string {
  const ids = encode(sentences, vocabulary);
  const words = ids.reduce((sum, { length }) => sum + length, 0);
  const unknown = ids.reduce((sum, line) => sum + line.filter((id) => id === UNK).length, 0);
  const without = empty === 0 ? "" : `; ${grouped(empty)} without words, answered all the same`;
  return `${grouped(unknown)} of ${grouped(words)} words unknown (${
    percent(unknown / words, 1)
  })${without}`;
}

/**
 * Refuse a vocabulary whose word vectors the GPU cannot hold in one tensor (UsageError). `most` is what it holds
 * in one, in bytes.
 */
export function checkVocabulary(most: number, settings: TextSettings, data: TextData): void {
  const { members, model } = settings;
  const width = wordWidth(settings, data);
  const words = data.vocabulary.size;
  const bytes = 4 * words * width * members;
  if (bytes <= most) return;
  const networks = members === 1 ? "" : ` in each of ${members} networks`;
  const further = model.glove && data.vectors !== undefined && settings.gloveWords > 0
    ? ", and keep fewer of the file's further words with --glove-words"
    : "";
  throw new UsageError(
    `The vocabulary of ${grouped(words)} words with ${width} numbers each${networks} takes ${
      grouped(bytes)
    } bytes, and the GPU allows ${
      grouped(most)
    } in one tensor: leave rare words out with --min-count${further}`,
  );
}

/** Refuse sentences of a file that are too long for a classifier (UserError): before hours of training. */
export function checkSentences(
  classifier: SentenceClassifier,
  file: string,
  sentences: readonly string[][],
): void {
  try {
    checkLengths(classifier, sentences);
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    const { wordCost: { widest }, config: { wordDim } } = classifier;
    const remedy = widest === 1
      ? ""
      : widest === wordDim
      ? ", or train a model with narrower word vectors"
      : ", or train a model with a smaller --hidden";
    throw new UserError(`${file}: ${error.message}: shorten it${remedy}`);
  }
}

/** The same for all sentences of a run. */
export function checkAllSentences(classifier: SentenceClassifier, data: TextData): void {
  for (const split of SPLITS) {
    checkSentences(classifier, `${split}.txt`, data.sentences[split].sentences);
  }
  if (data.unlabeled === undefined) return;
  checkSentences(classifier, data.unlabeled.path, data.unlabeled.sentences);
}

async function filesLike(folder: string, pattern: RegExp): Promise<string[]> {
  const found: string[] = [];
  try {
    for await (const { name, isDirectory } of Deno.readDir(folder)) {
      if (!isDirectory && pattern.test(name)) found.push(join(folder, name));
    }
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound || error instanceof Deno.errors.NotADirectory)) {
      throw error;
    }
  }
  return found.sort();
}

/** The one file of word vectors in a data folder or, where it has none, in a folder `glove` beside it. */
async function findGlove(data: string): Promise<string> {
  const beside = join(data, "..", "glove");
  for (const folder of [data, beside]) {
    const found = await filesLike(folder, /^glove.*\.txt$|\.vec$/i);
    if (found.length === 1) return found[0];
    if (found.length > 1) {
      throw new UsageError(
        `There are ${found.length} files of word vectors, ${
          found.join(", ")
        }: choose one with --glove=FILE`,
      );
    }
  }
  throw new UsageError(
    `There is no file glove*.txt or *.vec in ${data} or ${beside}: name a file of word vectors with --glove=FILE`,
  );
}

/** Read word vectors from a file; of a folder it is said which files it holds (UsageError). */
async function readVectors(path: string, options: GloveOptions): Promise<WordVectors> {
  if (!await isFolder(path)) return await readGlove(path, options);
  const files = await filesLike(path, /\.(txt|vec)$/i);
  throw new UsageError(
    files.length === 0
      ? `Flag --glove must name a file: ${path} is a folder, without a .txt or .vec file in it`
      : `Flag --glove must name a file: ${path} is a folder; in it are ${
        files.slice(0, 10).join(", ")
      }${files.length > 10 ? ", …" : ""}`,
  );
}

/**
 * Load or generate the data. Everything wrong with it is found here, before any training. The settings
 * come back with the file of word vectors that was found.
 */
export async function textData(
  settings: TextSettings,
): Promise<{ data: TextData; settings: TextSettings }> {
  const { data: folder, model, predict, reviews, seed, minCount, gloveWords } = settings;
  const quarter = Math.round(reviews / 4);
  const made = folder === undefined
    ? makeReviews({ seed, train: reviews, dev: quarter, test: quarter })
    : undefined;
  let sentences = made?.data ?? await loadSentences(folder!);
  const unlabeled = predict === undefined
    ? {}
    : { unlabeled: { path: predict, ...await readUnlabeled(predict) } };
  const trained = sentenceVocabulary(sentences.train.sentences, { minCount });
  const finish = (vocabulary: Vocabulary, rest: Pick<TextData, "vectors" | "coverage"> = {}) => {
    const ids = (split: Split) => ({
      sentences: encode(sentences[split].sentences, vocabulary),
      labels: sentences[split].labels,
    });
    const encoded = { train: ids("train"), dev: ids("dev"), test: ids("test") };
    return {
      generated: made !== undefined,
      sentences,
      vocabulary,
      encoded,
      ...rest,
      ...unlabeled,
    };
  };
  if (!model.glove) return { data: finish(trained), settings };

  const path = settings.glove ?? (folder === undefined ? undefined : await findGlove(folder));
  const wanted = new Set(trained.words.slice(UNK + 1));
  const vectors = path === undefined
    ? made!.vectors
    : await readVectors(path, { wanted, first: gloveWords });
  sentences = { ...sentences, notes: [...sentences.notes, ...vectors.notes] };
  if (![...wanted].some((word) => vectors.vectors.has(word))) {
    throw new UsageError(
      `No word of the training sentences has a vector in ${path}: use another --glove=FILE`,
    );
  }
  const vocabulary = sentenceVocabulary(sentences.train.sentences, {
    minCount,
    extra: vectors.vectors.keys(),
  });
  const coverage = describeCoverage(trained, vocabulary, vectors, path);
  return {
    data: finish(vocabulary, { vectors, coverage }),
    settings: { ...settings, glove: path },
  };
}

function describeCoverage(
  trained: Vocabulary,
  all: Vocabulary,
  { vectors, width }: WordVectors,
  path: string | undefined,
): string {
  const words = trained.words.slice(UNK + 1);
  const covered = words.filter((word) => vectors.has(word)).length;
  const source = path === undefined
    ? `Generated vectors (width ${width})`
    : `GloVe (${path}, width ${width})`;
  return `${source}: ${grouped(covered)} of ${grouped(words.length)} words of the training ` +
    `sentences have a vector (${percent(covered / words.length, 1)}), others get a normal draw; ` +
    `${grouped(all.size - trained.size)} further words ` +
    (path === undefined ? "have one" : "from the file");
}

/**
 * The width of a model's word vectors: pretrained ones are widened by the `extra` numbers, and to a multiple
 * of four, since kernels read four numbers at once.
 */
export function wordWidth(settings: TextSettings, { vectors }: TextData): number {
  if (settings.model.kind === "bow") return 1; // one weight for each word
  return vectors === undefined
    ? settings.width
    : 4 * Math.ceil((vectors.width + settings.extra) / 4);
}

/**
 * The first word vectors `[V, width]`: pretrained ones, and in the columns beyond these small random
 * numbers, which are learned like the others.
 */
export function firstTable(
  { vocabulary }: TextData,
  vectors: WordVectors,
  width: number,
  stream: RandomStream,
): Float32Array<ArrayBuffer> {
  const { table } = vectorTable(vocabulary, vectors, stream);
  const wide = normal(0.1)([vocabulary.size, width], stream.split("extra"));
  for (let id = 0; id < vocabulary.size; id++) {
    wide.set(table.subarray(id * vectors.width, (id + 1) * vectors.width), id * width);
  }
  return wide;
}
