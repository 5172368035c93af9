/**
 * Typed text into the tokens that sentence data is made of.
 *
 * The rules are those of the Penn Treebank (its `tokenizer.sed`) as far as review sentences need them, in
 * lower case, and with `_num_` for numbers.
 *
 * @module
 */

/** Endings that lose no dot inside a sentence, apart from single letters and the like of `p.m.`. */
const ABBREVIATIONS = new Set(["mr.", "mrs.", "ms.", "dr.", "st.", "jr.", "sr.", "vs.", "prof."]);

/** Words that the Penn Treebank takes apart although nothing shows where. */
const JOINED = /\b(can(?=not)|gon(?=na)|wan(?=na)|got(?=ta)|gim(?=me)|lem(?=me))(not|na|ta|me)\b/g;

/** What is replaced in the text, in this order. */
const REPLACEMENTS: [RegExp, string][] = [
  [/[‘’ʼ]/g, "'"],
  [/“/g, " `` "],
  [/”/g, " '' "],
  [/[–—]/g, " -- "],
  // A straight quote opens at the start of a word and closes anywhere else.
  [/(?<![^\s(\[{])"/g, " `` "],
  [/"/g, " '' "],
  [/``|''/g, " $& "],
  [/…|\.{2,}/g, " ... "],
  [/--+/g, " -- "],
  [/[;@#%&?!()[\]{}<>]|\p{Sc}|\*+/gu, " $& "],
  // Commas and colons stay inside 1,000 and 5:30.
  [/(?<!\d)[,:]|[,:](?!\d)/g, " $& "],
  [/(?<=[\p{L}\p{N}])(n't|'(?:s|re|ve|ll|d|m))(?![\p{L}\p{N}])/gu, " $1"],
  [JOINED, "$1 $2"],
  // A word in single quotes; an apostrophe in front alone stays ('em), one behind goes (guys').
  [/(?<!\S)'([^\s']+)'(?=\.?(?:\s|$))/g, " ' $1 ' "],
  [/(?<=[^\s'])'(?=\.?(?:\s|$))/g, " '"],
];

const NUMBER = /^(\d+(,\d{3})*(\.\d+)?|\.\d+)$/;

/**
 * Split text into tokens: lower case; punctuation on its own; contractions taken apart (`do n't`, `it 's`,
 * `ca n't`, `wo n't`, `can not`); double quotes as `` `` `` and `''`; whole numbers and decimal
 * fractions as `_num_`, while `5:30`, `1/2`, `2nd` and `5-star` stay. The last dot of the text is a token of
 * its own; a dot before it stays in `dr.`, `p.m.` and at single letters. Tokens put together
 * with spaces come out as they were.
 *
 * ```ts
 * const words = tokenize("I don't like it, 5 stars!");
 * if (words.join(" ") !== "i do n't like it , _num_ stars !") throw new Error(words.join(" "));
 * ```
 */
export function tokenize(text: string): string[] {
  let spaced = text.toLowerCase();
  for (const [pattern, replacement] of REPLACEMENTS) spaced = spaced.replace(pattern, replacement);
  const tokens = spaced.split(/\s+/).filter((token) => token !== "");
  const lastWord = tokens.findLastIndex((token) => /[\p{L}\p{N}]/u.test(token));
  return tokens.flatMap((token, i) => {
    const words = splitDot(token, i === lastWord && !tokens.includes(".", i + 1));
    return words.map((word) => NUMBER.test(word) ? "_num_" : word);
  });
}

/** Take the dot off a token's end, except from an abbreviation that is not the last word. */
function splitDot(token: string, last: boolean): string[] {
  if (token.length < 2 || !token.endsWith(".") || token === "...") return [token];
  const abbreviated = ABBREVIATIONS.has(token) || /^(?!i\.$)(\p{L}\.)+$/u.test(token);
  return abbreviated && !last ? [token] : [token.slice(0, -1), "."];
}
