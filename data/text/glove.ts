/**
 * Word vectors in GloVe's text format: a line is a word and its numbers, with spaces between them.
 *
 * @module
 */
import { type GloveOptions, LineReader, type WordVectors } from "./glove_lines.ts";
import { quote } from "../files/messages.ts";
import type { RandomStream } from "../rng.ts";
import { UNK, type Vocabulary } from "./vocabulary.ts";

export type { GloveOptions, WordVectors } from "./glove_lines.ts";

/** Bytes read at a time, which is also the longest line: some 100,000 numbers. */
const CHUNK = 2 ** 20;

const NEWLINE = 10;

/**
 * Read word vectors from a text file as a stream: only the vectors kept take memory. Line 1 sets the width.
 * A line's last `width` fields are its vector, and all before them is the word, which may hold spaces.
 * The header line of fastText and word2vec, `count width`, is accepted. A word that occurs twice keeps its
 * first vector.
 *
 * Real files have an odd line here and there: one without a word, an empty one, a word that is no UTF-8, another
 * count of numbers than in line 1, a number that is not finite. Such lines are left out, and `notes` say how many
 * and what is wrong with the first; so they do of a header with another count, and of a last line without a line
 * end. A UserError names the file and the line where more than 10 lines and 1 %, or as many as could be read,
 * are odd; where line 1 is, and where the file ends inside a line; also for a file that is empty or still packed.
 * Lines that are not kept are checked for their count of fields and for characters that no number has. A missing
 * file is a `Deno.errors.NotFound`.
 *
 * ```ts ignore
 * const { vectors } = await readGlove("glove.6B.50d.txt", { wanted: new Set(["good", "bad"]) });
 * console.log(vectors.get("good"));
 * ```
 */
export async function readGlove(path: string, options: GloveOptions = {}): Promise<WordVectors> {
  const { first } = options;
  if (first !== undefined && (!Number.isSafeInteger(first) || first < 0)) {
    throw new RangeError(`first must be a count from 0: it is ${first}`);
  }
  using file = await Deno.open(path);
  const reader = new LineReader(path, options);
  // The byte in front is the end of the line before: a scan back from a line's end stops there.
  const buffer = new Uint8Array(1 + CHUNK);
  buffer[0] = NEWLINE;
  let filled = 1;
  for (let count; (count = await file.read(buffer.subarray(filled))) !== null;) {
    filled += count;
    checkUnpacked(buffer.subarray(1, filled), reader);
    let start = 1;
    while (true) {
      const end = buffer.indexOf(NEWLINE, start);
      if (end < 0 || end >= filled) break;
      reader.read(buffer, start, end);
      start = end + 1;
    }
    buffer.copyWithin(1, start, filled);
    filled -= start - 1;
    if (filled === buffer.length) {
      reader.fail(`there is no line end in ${CHUNK} bytes, so this is no text of word vectors`, 1);
    }
  }
  if (filled > 1) reader.readLast(buffer, 1, filled);
  return reader.finish();
}

/** Tell packed files from text by their first bytes. */
function checkUnpacked(bytes: Uint8Array, reader: LineReader): void {
  if (reader.line > 0) return;
  const packed = bytes[0] === 0x1f && bytes[1] === 0x8b
    ? "gzip"
    : bytes[0] === 0x50 && bytes[1] === 0x4b && bytes[2] === 3 && bytes[3] === 4
    ? "zip"
    : undefined;
  if (packed !== undefined) {
    reader.fail(`this is a ${packed} file: unpack it first, the vectors are read from text`, 1);
  }
}

/** What `vectorTable` gives. */
export interface VectorTable {
  /** The vector of each word by its id, `[vocabulary.size, width]`. */
  table: Float32Array;
  /** How many words of the vocabulary have a vector, special tokens not counted. */
  covered: number;
}

/**
 * A table of vectors for a vocabulary, `[vocabulary.size, width]`. A word without a vector gets normal draws
 * with the mean and the standard deviation of all the vectors' numbers; they come from `stream` split by the
 * word, so they do not depend on the other words. A RangeError when there are no vectors, a TypeError when
 * one has another width.
 *
 * ```ts
 * import { RandomStream } from "../rng.ts";
 * import { Vocabulary } from "./vocabulary.ts";
 *
 * const vectors = new Map([["good", Float32Array.of(1, 2)], ["bad", Float32Array.of(-1, -2)]]);
 * const vocabulary = Vocabulary.fromWords(["bad", "mauve"]);
 * const glove = { width: 2, vectors };
 * const { table, covered } = vectorTable(vocabulary, glove, new RandomStream(231));
 * if (covered !== 1 || table[4 * 2 + 1] !== -2) throw new Error(`got ${table}`);
 * ```
 */
export function vectorTable(
  vocabulary: Vocabulary,
  { width, vectors }: Pick<WordVectors, "width" | "vectors">,
  stream: RandomStream,
): VectorTable {
  const { mean, deviation } = moments(width, vectors);
  const table = new Float32Array(vocabulary.size * width);
  let covered = 0;
  for (const [id, word] of vocabulary.words.entries()) {
    const vector = vectors.get(word);
    if (vector !== undefined) {
      table.set(vector, id * width);
      if (id > UNK) covered++;
    } else {
      const own = stream.split(word);
      for (let k = 0; k < width; k++) table[id * width + k] = mean + deviation * own.normal();
    }
  }
  return { table, covered };
}

/** The mean and the standard deviation of all numbers of all vectors. */
function moments(width: number, vectors: Map<string, Float32Array>) {
  if (vectors.size === 0) {
    throw new RangeError(
      "A table needs one vector at least to draw the others like it: there are none",
    );
  }
  let [sum, squares] = [0, 0];
  for (const [word, vector] of vectors) {
    if (vector.length !== width) {
      throw new TypeError(
        `All vectors must have ${width} numbers: that of ${quote(word)} has ${vector.length}`,
      );
    }
    for (const value of vector) {
      sum += value;
      squares += value * value;
    }
  }
  const mean = sum / (vectors.size * width);
  const variance = squares / (vectors.size * width) - mean * mean;
  return { mean, deviation: Math.sqrt(Math.max(variance, 0)) };
}
