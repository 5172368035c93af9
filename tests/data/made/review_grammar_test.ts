import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { makeReviews } from "../../../data/made/review_grammar.ts";
import {
  ADJECTIVES,
  NEGATORS,
  TOPIC_ADJECTIVES,
  TOPICS,
  VERBS,
  VERDICTS,
} from "../../../data/made/review_words.ts";
import type { SentenceSplit } from "../../../data/text/sentences.ts";

const polarity = new Map<string, 1 | -1>();
for (const p of [1, -1] as const) {
  const words = [
    ...ADJECTIVES[p],
    ...TOPICS.flatMap((topic) => TOPIC_ADJECTIVES[topic][p]),
    ...VERBS[p].flatMap(({ base, past }) => [base, past]),
    ...VERDICTS[p],
  ];
  for (const word of words) polarity.set(word, p);
}
const isPolar = (word: string) => polarity.has(word);

/** The label by the rules in the grammar's header, written apart from the grammar. */
function labelOf(words: string[]): number {
  const text = ` ${words.join(" ")} `.replace(
    / that (i had never \w+ before|my parents do not know)/g,
    "",
  );
  const clauses = text.split(/ (?:and|,) /).filter((clause) => clause.split(" ").some(isPolar));
  const last = clauses[clauses.length - 1];
  // `X although Y`: what comes before decides. `although X , Y` was split at its comma.
  const [before, after] = last.split(/ although | even though /);
  const deciding = (after !== undefined && before.trim() !== "" ? before : last).split(" but ")
    .pop();
  const parts = (deciding ?? "").split(" ");
  const at = parts.findIndex(isPolar);
  assert(at >= 0 && parts.filter(isPolar).length === 1, `not one polar word: ${deciding}`);
  const turns = parts.slice(0, at).filter((word) => NEGATORS.includes(word)).length;
  return (polarity.get(parts[at]) ?? 0) * (-1) ** turns > 0 ? 1 : 0;
}

const texts = (split: SentenceSplit) => split.sentences.map((words) => words.join(" "));
const { data, vectors } = makeReviews({ seed: 231 });
const splits = [data.train, data.dev, data.test];

Deno.test("makeReviews() labels by the rules in its header", () => {
  for (const split of splits) {
    for (const [i, words] of split.sentences.entries()) {
      assertEquals(labelOf(words), split.labels[i], words.join(" "));
    }
  }
});

Deno.test("makeReviews() makes 4,000, 1,000 and 1,000 sentences, balanced and each once", () => {
  assertEquals(data.name, "generated reviews");
  assertEquals(data.notes, []);
  assertEquals(splits.map(({ sentences }) => sentences.length), [4000, 1000, 1000]);
  for (const { sentences, labels } of splits) {
    assertEquals(labels.length, sentences.length);
    assertEquals(labels.reduce((sum, label) => sum + label, 0), sentences.length / 2);
    // Shuffled: both labels are spread over the split.
    const half = labels.subarray(0, labels.length / 2).reduce((sum, label) => sum + label, 0);
    assert(Math.abs(half - labels.length / 4) < labels.length / 20, `${half} in the first half`);
    assert(labels.subarray(0, 20).some((label, i) => label !== i % 2));
  }
  assertEquals(new Set(splits.flatMap(texts)).size, 6000);
});

Deno.test("makeReviews() writes tokens, each sentence with one end", () => {
  for (const words of splits.flatMap(({ sentences }) => sentences)) {
    assert(words.length >= 4 && words.length < 70, words.join(" "));
    assert(words.every((word) => /^([a-z]+|n't|[,.!])$/.test(word)), words.join(" "));
    assertEquals(words.findIndex((word) => word === "." || word === "!"), words.length - 1);
  }
});

Deno.test("makeReviews() leaves the same words with both labels", () => {
  // Counted over bags of all words but those that carry no meaning for the label.
  const labels = new Map<string, Set<number>>();
  const wide = makeReviews({ seed: 5, train: 20_000, dev: 2, test: 2 }).data.train;
  for (const [i, words] of wide.sentences.entries()) {
    const bag = words.map((word) => polarity.get(word) ?? word)
      .filter((word) => typeof word === "number" || /^(not|n't|never|but|although)$/.test(word));
    const key = bag.sort().join(" ");
    labels.set(key, (labels.get(key) ?? new Set()).add(wide.labels[i]));
  }
  for (const key of ["-1 1 but", "-1 1 although", "-1 not", "1 n't", "-1 never", "-1 1 but not"]) {
    assertEquals(labels.get(key)?.size, 2, `labels of "${key}"`);
  }
});

Deno.test("makeReviews() lets negators stand far from what they turn round", () => {
  const far = data.train.sentences.filter((words) => {
    const negator = words.findIndex((word) => word === "not" || word === "n't" || word === "doubt");
    const polar = words.findIndex(isPolar);
    return negator >= 0 && polar - negator > 8 && words[negator + 1] !== "know";
  });
  assert(far.length > 20, `${far.length} sentences`);
});

Deno.test("makeReviews() keeps some polar words for dev and test", () => {
  const seen = new Set(data.train.sentences.flat());
  for (const { sentences } of [data.dev, data.test]) {
    const polar = sentences.flat().filter(isPolar);
    const unseen = polar.filter((word) => !seen.has(word));
    assertEquals(new Set(unseen).size, 16);
    const share = unseen.length / polar.length;
    assert(share > 0.1 && share < 0.3, `${share} of the polar words are unseen`);
    for (const p of [1, -1]) {
      assertEquals(new Set(unseen.filter((word) => polarity.get(word) === p)).size, 8);
    }
  }
});

Deno.test("makeReviews() gives vectors in which polarity shows, also of unseen words", () => {
  assertEquals([vectors.width, vectors.lines], [48, vectors.vectors.size]);
  const words = new Set(splits.flatMap(({ sentences }) => sentences.flat()));
  const without = [...words].filter((word) => !vectors.vectors.has(word)).sort();
  assertEquals(without, ["mirella", "oona", "quentin", "tadeusz"]);

  const seen = new Set(data.train.sentences.flat());
  const vectorOf = (word: string) => vectors.vectors.get(word) ?? new Float32Array(48);
  const mean = (list: string[]) =>
    Array.from(
      { length: 48 },
      (_, k) => list.reduce((sum, word) => sum + vectorOf(word)[k], 0) / list.length,
    );
  const known = [...polarity.keys()].filter((word) => seen.has(word));
  const [good, bad] = [1, -1].map((p) => mean(known.filter((word) => polarity.get(word) === p)));
  const unseen = [...polarity.keys()].filter((word) => !seen.has(word));
  assert(unseen.length >= 16);
  for (const word of unseen) {
    let side = 0;
    for (const [k, value] of vectorOf(word).entries()) {
      side += (value - (good[k] + bad[k]) / 2) * (good[k] - bad[k]);
    }
    assertEquals(Math.sign(side), polarity.get(word), word);
  }
  for (const vector of vectors.vectors.values()) assert(vector.every(Number.isFinite));
});

Deno.test("makeReviews() is the same for a seed, and another for another seed", () => {
  const small = { seed: 7, train: 31, dev: 9, test: 9 };
  const made = makeReviews(small);
  assertEquals(made, makeReviews(small));
  const other = makeReviews({ ...small, seed: 8 });
  assertNotEquals(texts(other.data.train), texts(made.data.train));
  assertNotEquals(other.vectors.vectors.get("good"), made.vectors.vectors.get("good"));
});

Deno.test("makeReviews() rejects counts that are not possible", () => {
  for (const count of [0, 1, 2.5, NaN, 20_001]) {
    for (const split of ["train", "dev", "test"]) {
      assertThrows(
        () => makeReviews({ seed: 1, train: 10, [split]: count }),
        RangeError,
        `The count of ${split} sentences must be an integer from 2 to 20000: it is ${count}`,
      );
    }
  }
  assertThrows(() => makeReviews({ seed: -1 }), RangeError, "seed");
});
