/**
 * BLEU, the score of captions against reference captions (Papineni, Roukos, Ward and Zhu, "BLEU: a
 * method for automatic evaluation of machine translation", ACL 2002).
 *
 * @module
 */

/** The parts of a corpus BLEU score. */
export interface BleuScore {
  /** BLEU-1 to BLEU-maxN, each from 0 to 1. */
  bleu: number[];
  /** The factor, from 0 to 1, that lowers the score of candidates shorter than their references. */
  brevityPenalty: number;
  /** The clipped precision of the n-grams, for n from 1 to maxN. */
  precisions: number[];
}

/** How often each n-gram occurs in a list of words. */
function countNgrams(words: readonly string[], n: number): Map<string, number> {
  const counts = new Map<string, number>();
  for (let i = 0; i + n <= words.length; i++) {
    // JSON keeps the borders between words, whatever characters the words hold.
    const ngram = JSON.stringify(words.slice(i, i + n));
    counts.set(ngram, (counts.get(ngram) ?? 0) + 1);
  }
  return counts;
}

/** How many n-grams of the candidate are found, each at most as often as in its best reference. */
function clippedMatches(
  candidate: readonly string[],
  references: readonly (readonly string[])[],
  n: number,
): number {
  const found = references.map((reference) => countNgrams(reference, n));
  let matches = 0;
  for (const [ngram, count] of countNgrams(candidate, n)) {
    matches += Math.min(count, Math.max(...found.map((counts) => counts.get(ngram) ?? 0)));
  }
  return matches;
}

/** The reference length closest to the candidate's; of two equally close ones the shorter. */
function closestLength(length: number, references: readonly (readonly string[])[]): number {
  return references.map((reference) => reference.length).reduce((best, other) => {
    const difference = Math.abs(other - length) - Math.abs(best - length);
    return difference < 0 || (difference === 0 && other < best) ? other : best;
  });
}

/** 1 for candidates at least as long as the references; e^(1 - r / c) for shorter ones. */
function penalty(candidateLength: number, referenceLength: number): number {
  if (candidateLength === 0) return 0;
  return Math.min(1, Math.exp(1 - referenceLength / candidateLength));
}

/**
 * BLEU-1 to BLEU-`maxN` of a corpus: `candidates[i]` is scored against all of `references[i]`.
 *
 * The counts are summed over the corpus before any division. With `p_n` the clipped n-gram
 * precision, `c` the candidates' length and `r` the sum of the closest reference lengths:
 *
 *     BLEU-N = min(1, e^(1 - r / c)) · (p_1 · p_2 · … · p_N)^(1 / N)
 *
 * There is no smoothing: without one match of n words, BLEU-n and all above are 0.
 * A TypeError when a candidate has no reference, or there is no candidate; a RangeError for `maxN`.
 *
 * ```ts
 * const { bleu } = corpusBleu([["a", "red", "dog"]], [[["a", "red", "circle"]]], 2);
 * // Two of three words and one of two pairs are right.
 * const expected = [2 / 3, Math.sqrt(2 / 3 * 1 / 2)];
 * if (Math.abs(bleu[0] - expected[0]) > 1e-12) throw new Error(`BLEU-1 is ${bleu[0]}`);
 * if (Math.abs(bleu[1] - expected[1]) > 1e-12) throw new Error(`BLEU-2 is ${bleu[1]}`);
 * ```
 */
export function corpusBleu(
  candidates: readonly (readonly string[])[],
  references: readonly (readonly (readonly string[])[])[],
  maxN = 4,
): BleuScore {
  checkCorpus(candidates, references, maxN);
  let candidateLength = 0;
  let referenceLength = 0;
  for (const [i, candidate] of candidates.entries()) {
    candidateLength += candidate.length;
    referenceLength += closestLength(candidate.length, references[i]);
  }
  const brevityPenalty = penalty(candidateLength, referenceLength);

  const precisions: number[] = [];
  const bleu: number[] = [];
  let product = 1;
  for (let n = 1; n <= maxN; n++) {
    let matches = 0;
    let total = 0;
    for (const [i, candidate] of candidates.entries()) {
      matches += clippedMatches(candidate, references[i], n);
      total += Math.max(0, candidate.length - n + 1);
    }
    const precision = total === 0 ? 0 : matches / total;
    precisions.push(precision);
    product *= precision;
    bleu.push(brevityPenalty * product ** (1 / n));
  }
  return { bleu, brevityPenalty, precisions };
}

function checkCorpus(
  candidates: readonly (readonly string[])[],
  references: readonly (readonly (readonly string[])[])[],
  maxN: number,
): void {
  if (!Number.isInteger(maxN) || maxN < 1) {
    throw new RangeError(`maxN must be an integer from 1: it is ${maxN}`);
  }
  if (candidates.length === 0 || candidates.length !== references.length) {
    throw new TypeError(
      `BLEU needs candidates, and for each a list of references: there are ${candidates.length} candidates and ${references.length} lists`,
    );
  }
  const without = references.findIndex((list) => list.length === 0);
  if (without >= 0) throw new TypeError(`Candidate ${without} has no reference caption`);
}

const NOT_WORDS = new Set(["<NULL>", "<START>", "<END>", "<UNK>"]);

/**
 * The score of the captioning homework (CS231n, EECS 598) for one caption against one reference, from
 * 0 to 1; the homework reports its mean over captions.
 *
 * It is nltk's `sentence_bleu([reference], candidate, weights=[1])` after leaving out the special
 * tokens, `<UNK>` among them, on both sides: the share of the candidate's words that the reference
 * holds (each counted at most as often as there), times the brevity penalty e^(1 - r / c) when the
 * candidate's length c is below the reference's r. No word left in the candidate scores 0.
 *
 * ```ts
 * const score = unigramPrecision(["a", "dog"], ["a", "red", "dog", "<UNK>"]);
 * if (Math.abs(score - Math.exp(1 - 3 / 2)) > 1e-12) throw new Error(`got ${score}`);
 * ```
 */
export function unigramPrecision(
  candidate: readonly string[],
  reference: readonly string[],
): number {
  const words = candidate.filter((word) => !NOT_WORDS.has(word));
  const expected = reference.filter((word) => !NOT_WORDS.has(word));
  if (words.length === 0) return 0;
  const matches = clippedMatches(words, [expected], 1);
  return penalty(words.length, expected.length) * matches / words.length;
}
