/** What a saved model says of itself in JSON: its sizes and its words. The file may be a stranger's. */
import { parseJson } from "../../data/files/json.ts";
import { quote } from "../../data/files/messages.ts";
import { Vocabulary } from "../../data/text/vocabulary.ts";
import { UserError } from "../../data/files/user_error.ts";

/** The sizes: a JSON object of plain values. UserError for anything else. */
export function readSizes(json: string): Record<string, unknown> {
  const sizes = parseJson(json, { what: "the text of its sizes", depth: 1, values: 1000 });
  if (typeof sizes === "object" && sizes !== null && !Array.isArray(sizes)) {
    return sizes as Record<string, unknown>;
  }
  throw new UserError(`its sizes are no object of JSON: ${quote(json)}`);
}

/** The vocabulary: a JSON list of so many words. UserError for anything else. */
export function readVocabulary(json: string, size: number): Vocabulary {
  const words = parseJson(json, {
    what: "the text of its vocabulary",
    depth: 1,
    values: 5_000_000,
  });
  if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) {
    throw new UserError(`its vocabulary is no list of words: ${quote(json)}`);
  }
  const vocabulary = new Vocabulary(words);
  if (vocabulary.size === size) return vocabulary;
  throw new UserError(`there are ${vocabulary.size} words, and ${size} in the sizes`);
}

/** What `make` gives. A UserError out of it, for weights that do not fit or are not finite, names the file. */
export function withFile<T>(path: string, make: () => T): T {
  try {
    return make();
  } catch (error) {
    throw UserError.within(`"${path}" cannot be loaded`, error);
  }
}
