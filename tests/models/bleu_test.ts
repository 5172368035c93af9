import { assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { corpusBleu, unigramPrecision } from "../../models/captions/bleu.ts";
import cases from "../fixtures/bleu/nltk.json" with { type: "json" };

const words = (text: string) => text.split(" ").filter((word) => word !== "");

Deno.test("corpusBleu() clips repeated words, as in the paper's first example", () => {
  // Papineni et al., section 2.1: seven times "the" matches twice.
  const score = corpusBleu(
    [words("the the the the the the the")],
    [[words("the cat is on the mat"), words("there is a cat on the mat")]],
  );
  assertAlmostEquals(score.precisions[0], 2 / 7, 1e-12);
  assertEquals(score.brevityPenalty, 1);
  assertEquals(score.bleu.slice(1), [0, 0, 0]);
});

Deno.test("corpusBleu() sums counts over the corpus before dividing", () => {
  const score = corpusBleu(
    [words("a b c"), words("x")],
    [[words("a b d")], [words("y z")]],
    2,
  );
  // Four words, two right; two pairs, one right; c = 4, r = 3 + 2.
  assertEquals(score.precisions, [2 / 4, 1 / 2]);
  assertAlmostEquals(score.brevityPenalty, Math.exp(1 - 5 / 4), 1e-12);
  assertAlmostEquals(score.bleu[0], Math.exp(-1 / 4) / 2, 1e-12);
  assertAlmostEquals(score.bleu[1], Math.exp(-1 / 4) / 2, 1e-12);
});

Deno.test("corpusBleu() takes the closest reference length, and the shorter of two", () => {
  const penaltyFor = (candidate: string, references: string[]) =>
    corpusBleu([words(candidate)], [references.map(words)]).brevityPenalty;
  assertEquals(penaltyFor("a b c", ["a b", "a b c d"]), 1);
  assertEquals(penaltyFor("a b c", ["a b c d", "a b"]), 1);
  assertAlmostEquals(penaltyFor("a b c", ["a", "a b c d"]), Math.exp(1 - 4 / 3), 1e-12);
});

Deno.test("corpusBleu() gives 1 to a caption equal to a reference, 0 to an empty one", () => {
  const reference = words("two red circles below a star");
  assertEquals(corpusBleu([reference], [[words("a star"), reference]]).bleu, [1, 1, 1, 1]);
  assertEquals(corpusBleu([[]], [[reference]]).bleu, [0, 0, 0, 0]);
  // Three words hold no group of four.
  assertEquals(corpusBleu([words("a b c")], [[words("a b c")]]).bleu, [1, 1, 1, 0]);
});

Deno.test("corpusBleu() keeps words apart whatever characters they hold", () => {
  assertEquals(corpusBleu([["a b", "c"]], [[["a", "b c"]]], 2).precisions, [0, 0]);
});

Deno.test("corpusBleu() and unigramPrecision() equal nltk's scores", () => {
  for (const { candidates, references, bleu, unigram } of cases) {
    const score = corpusBleu(candidates, references);
    for (let n = 0; n < 4; n++) assertAlmostEquals(score.bleu[n], bleu[n], 1e-12);
    for (const [i, candidate] of candidates.entries()) {
      assertAlmostEquals(unigramPrecision(candidate, references[i][0]), unigram[i], 1e-12);
    }
  }
});

Deno.test("corpusBleu() rejects missing references and orders", () => {
  assertThrows(() => corpusBleu([], []), TypeError, "0 candidates");
  assertThrows(() => corpusBleu([["a"]], []), TypeError, "1 candidates and 0 lists");
  assertThrows(() => corpusBleu([["a"]], [[]]), TypeError, "Candidate 0 has no reference");
  assertThrows(() => corpusBleu([["a"]], [[["a"]]], 0), RangeError, "it is 0");
  assertThrows(() => corpusBleu([["a"]], [[["a"]]], 1.5), RangeError, "it is 1.5");
});

Deno.test("unigramPrecision() leaves out special tokens and punishes brevity", () => {
  assertEquals(unigramPrecision(words("<START> a dog <END>"), words("a dog")), 1);
  assertEquals(unigramPrecision(words("a <UNK>"), words("<UNK> a")), 1);
  assertEquals(unigramPrecision(words("a a"), words("a dog")), 1 / 2);
  assertAlmostEquals(unigramPrecision(["a"], words("a b c d")), Math.exp(-3), 1e-12);
  assertEquals(unigramPrecision(words("<UNK> <END>"), words("a dog")), 0);
  assertEquals(unigramPrecision(["a"], []), 0);
});
