/**
 * Words and their ids, in the layout of CS231n's captioning data: four special tokens first.
 *
 * @module
 */
import { readText } from "../files/file.ts";
import { parseJson } from "../files/json.ts";
import { quote } from "../files/messages.ts";
import { tableKey } from "../files/table_keys.ts";
import { UserError } from "../files/user_error.ts";

/** The id of `<NULL>`, the padding after a caption's end. */
export const NULL = 0;
/** The id of `<START>`, the first token of every caption. */
export const START = 1;
/** The id of `<END>`, the last token of every caption. */
export const END = 2;
/** The id of `<UNK>`, which stands for every word outside the vocabulary. */
export const UNK = 3;

const SPECIAL = ["<NULL>", "<START>", "<END>", "<UNK>"] as const;

/**
 * A list of words with their ids: word `i` has id `i`.
 *
 * ```ts
 * const vocabulary = Vocabulary.fromWords(["a", "red", "circle"]);
 * const ids = vocabulary.encode(["a", "red", "zebra"], 7);
 * if (ids.join() !== "1,4,5,3,2,0,0") throw new Error(`got ${ids}`);
 * if (vocabulary.decode(ids).join(" ") !== "a red <UNK>") throw new Error("not decoded");
 * ```
 */
export class Vocabulary {
  /** Every word by id; the first four are `<NULL>`, `<START>`, `<END>` and `<UNK>`. */
  readonly words: readonly string[];
  #index: Map<string, number>;

  /** `words` holds the four special tokens first, and each word once; else a UserError says where. */
  constructor(words: readonly string[]) {
    for (const [id, token] of SPECIAL.entries()) {
      if (words[id] !== token) {
        throw new UserError(
          `A vocabulary must start with ${SPECIAL.join(", ")}: word ${id} is ${
            words[id] === undefined ? "missing" : quote(words[id])
          }`,
        );
      }
    }
    this.words = [...words];
    this.#index = new Map();
    for (const [id, word] of this.words.entries()) {
      const first = this.#index.get(tableKey(word));
      if (first !== undefined) {
        throw new UserError(
          `A vocabulary must hold each word once: ${quote(word)} is word ${first} and ${id}`,
        );
      }
      this.#index.set(tableKey(word), id);
    }
  }

  /** A vocabulary of the four special tokens and then `words`, in their order. */
  static fromWords(words: Iterable<string>): Vocabulary {
    return new Vocabulary([...SPECIAL, ...words]);
  }

  /** The count of words, special tokens included. */
  get size(): number {
    return this.words.length;
  }

  /** The id of `word`, or `UNK` when the vocabulary does not hold it. */
  index(word: string): number {
    return this.#index.get(tableKey(word)) ?? UNK;
  }

  /**
   * The ids of a caption, `[length]`: `<START>`, the words, `<END>`, then `<NULL>` to the end.
   * A RangeError when `length` has no room for the words and the two tokens around them.
   */
  encode(words: readonly string[], length: number): Int32Array<ArrayBuffer> {
    if (words.length + 2 > length) {
      throw new RangeError(
        `A caption of ${words.length} words needs a length of at least ${
          words.length + 2
        }: the length is ${length}`,
      );
    }
    const ids = new Int32Array(length);
    ids[0] = START;
    for (const [i, word] of words.entries()) ids[i + 1] = this.index(word);
    ids[words.length + 1] = END;
    return ids;
  }

  /**
   * The words of a caption's ids: stops at `<END>`, and leaves out `<START>` and `<NULL>`.
   * A RangeError for an id outside the vocabulary.
   */
  decode(ids: Iterable<number>): string[] {
    const words: string[] = [];
    for (const id of ids) {
      if (id === END) break;
      if (id === START || id === NULL) continue;
      const word = this.words[id];
      if (word === undefined) {
        throw new RangeError(`A word's id must be from 0 to ${this.size - 1}: it is ${id}`);
      }
      words.push(word);
    }
    return words;
  }
}

/** The longest vocabulary that is read, in bytes: CS231n's has 20 KB. */
const MOST_BYTES = 64 * 2 ** 20;

/**
 * Read the words of CS231n's `coco2014_vocab.json`: `idx_to_word`, a list, and where it is there `word_to_idx`,
 * which must say the same. A byte order mark is passed over. What is wrong is a UserError that names the file.
 */
export async function readVocabulary(path: string): Promise<Vocabulary> {
  const text = await readText(path, MOST_BYTES);
  try {
    const json = parseJson(text, { what: "The text", depth: 2, values: 10_000_000 });
    const { idx_to_word: words, word_to_idx: ids } = isObject(json) ? json : {};
    if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) {
      throw new UserError(`"idx_to_word" must be a list of words`);
    }
    const vocabulary = new Vocabulary(words);
    if (ids !== undefined) checkIds(vocabulary, ids);
    return vocabulary;
  } catch (error) {
    throw UserError.within(path, error);
  }
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Check that the vocabulary's other direction, where it is given, says the same. */
function checkIds({ words }: Vocabulary, ids: unknown): void {
  if (!isObject(ids)) throw new UserError(`"word_to_idx" must be an object of words and ids`);
  for (const [word, id] of Object.entries(ids)) {
    if (typeof id === "number" && words[id] === word) continue;
    throw new UserError(
      `"word_to_idx" says that ${quote(word)} is word ${quote(String(id))}, and "idx_to_word" has ${
        typeof id === "number" && id in words ? quote(words[id]) : "nothing"
      } there`,
    );
  }
}
