/**
 * The sentences that need no download: short restaurant reviews, written by a seeded grammar.
 *
 * How a review's label follows from its words:
 *
 * 1. One clause decides: the one after `but`; beside a clause with `although`, the other one. Clauses
 *    joined by `and` agree. Remarks about the visit decide nothing.
 * 2. The deciding clause has one polar word (`good`, `hated`, `ruined`). Each negator before it in its
 *    clause (`not`, `n't`, `never`, `hardly`, `doubt`, `doubted`) turns it round, so two of them cancel
 *    out. One in a relative clause (`that i had never tried before`) turns nothing round.
 * 3. Good is 1, bad is 0.
 *
 * So the order of words and the reach of negators matter, and a negator can stand far from what it turns.
 *
 * @module
 */
import type { WordVectors } from "../text/glove_lines.ts";
import {
  ADJECTIVES,
  DEGREES,
  meaningVectors,
  NAMES,
  NOUNS,
  type Polarity,
  type Topic,
  TOPIC_ADJECTIVES,
  TOPICS,
  VERBS,
  VERDICTS,
} from "./review_words.ts";
import { RandomStream } from "../rng.ts";
import type { SentenceData, SentenceSplit } from "../text/sentences.ts";

/** The first so many adjectives of each polarity, in an order drawn from the seed, never occur in training. */
const UNSEEN_ADJECTIVES = 8;
/** How often an adjective of the dev and test splits is one of these. */
const UNSEEN_SHARE = 0.25;
const MOST = 20_000;

const PEOPLE = ["i", "we", "my wife", "my husband", "my friends", "everyone at our table"];
const EXPERIENCED = { food: "tried", service: "met", place: "seen", price: "seen" };
const DAYS = ["monday", "tuesday", "friday", "saturday", "sunday"];

/** Writes reviews with the words that a split may use. */
class Reviewer {
  #stream: RandomStream;
  #common: Record<Polarity, readonly string[]>;
  #unseen: Record<Polarity, readonly string[]> | undefined;

  constructor(
    stream: RandomStream,
    common: Record<Polarity, readonly string[]>,
    unseen?: Record<Polarity, readonly string[]>,
  ) {
    this.#stream = stream;
    this.#common = common;
    this.#unseen = unseen;
  }

  /** A review of the given polarity, its tokens separated by spaces. */
  review(polarity: Polarity): string {
    const opening = this.#chance(0.2) ? `${this.#remark()} and ` : "";
    const closing = this.#chance(0.35) ? ` , and ${this.#remark()}` : "";
    return `${opening}${this.#body(polarity)}${closing} ${this.#chance(0.8) ? "." : "!"}`;
  }

  #body(polarity: Polarity): string {
    const clause = () => this.#clause(polarity);
    const opposite = () => this.#clause(-polarity as Polarity);
    const although = this.#pick(["although", "even though"]);
    const kind = this.#stream.uniform();
    if (kind < 0.55) return clause();
    if (kind < 0.85) return `${clause()} and ${clause()}`;
    if (kind < 0.92) return `${opposite()} but ${clause()}`;
    if (kind < 0.95) return `${although} ${opposite()} , ${clause()}`;
    if (kind < 0.98) return `${clause()} ${although} ${opposite()}`;
    return `${opposite()} but the ${this.#pick(NOUNS[this.#pick(TOPICS)])} ${
      this.#pick(VERDICTS[polarity])
    } everything`;
  }

  #clause(polarity: Polarity): string {
    const negated = this.#chance(0.12);
    const meant = (negated ? -polarity : polarity) as Polarity;
    const form = this.#stream.uniform();
    if (form < 0.5) {
      const is = negated
        ? this.#pick(["was not", "is not", "was n't", "is n't", "was never", "was hardly"])
        : this.#pick(["was", "is"]);
      return this.#statement(is, meant);
    }
    if (form < 0.7) {
      const { base, past } = this.#pick(VERBS[meant]);
      const did = negated ? `${this.#pick(["did not", "did n't", "could never"])} ${base}` : past;
      const topic = this.#pick(["food", "service", "place"] as const);
      const noun = this.#pick(NOUNS[topic]);
      return `${this.#pick(PEOPLE)} ${did} the ${noun}${this.#detail(topic)}`;
    }
    const belief = negated
      ? this.#pick(["i do not think", "i do n't believe", "we never thought", "i doubt"])
      : this.#pick(["i think", "i think", "we are sure", "i believe", "we never doubted"]);
    return `${belief} that ${this.#statement(this.#pick(["was", "is"]), meant)}`;
  }

  #statement(is: string, polarity: Polarity): string {
    const topic = this.#pick(TOPICS);
    const degree = this.#chance(0.4) ? `${this.#pick(DEGREES)} ` : "";
    const noun = this.#pick(NOUNS[topic]);
    return `the ${noun}${this.#detail(topic)} ${is} ${degree}${this.#adjective(polarity, topic)}`;
  }

  #adjective(polarity: Polarity, topic: Topic): string {
    if (this.#unseen !== undefined && this.#chance(UNSEEN_SHARE)) {
      return this.#pick(this.#unseen[polarity]);
    }
    return this.#pick(
      this.#chance(0.25) ? TOPIC_ADJECTIVES[topic][polarity] : this.#common[polarity],
    );
  }

  /** What comes between a noun and what is said of it, often nothing. */
  #detail(topic: Topic): string {
    if (this.#chance(0.55)) return "";
    const day = this.#pick(DAYS);
    return " " + this.#pick([
      "here",
      `on ${day}`,
      "at this corner of the town",
      `that we had on ${day}`,
      `that i had never ${EXPERIENCED[topic]} before`,
      "that my parents do not know",
      `that ${this.#pick(NAMES)} told us about`,
      `that they had on ${day} for the party of ${this.#pick(NAMES)}`,
    ]);
  }

  /** Something about the visit that is neither good nor bad. */
  #remark(): string {
    const who = this.#pick(["i", "we", this.#pick(NAMES)]);
    const day = this.#pick(DAYS);
    return this.#pick([
      `${who} had not been here before`,
      `${who} did n't stay for long`,
      `${who} came here for lunch with ${this.#pick(NAMES)}`,
      `${who} went there on a ${day} with my parents and the dog`,
      `${who} had a table for four by the window`,
      `it was ${day}`,
    ]);
  }

  #chance(probability: number): boolean {
    return this.#stream.uniform() < probability;
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#stream.integer(list.length)];
  }
}

/** How many sentences to make, and from which seed. */
export interface ReviewOptions {
  /** The seed: equal seeds give equal sentences and vectors. */
  seed: number;
  /** How many sentences to learn from, 2 to 20,000; 4,000 if left out. */
  train?: number;
  /** How many decide when to stop, 2 to 20,000; 1,000 if left out. */
  dev?: number;
  /** How many to measure on, 2 to 20,000; 1,000 if left out. */
  test?: number;
}

/**
 * Make labeled reviews, half of them good, and vectors for their words. No sentence occurs twice, in one
 * split or in two. Some adjectives occur in dev and test only: there the vectors help, which stand in for
 * GloVe on a machine without it. They have 48 numbers, and know what words mean but not what reviews do.
 *
 * A RangeError when a count or the seed is not possible.
 *
 * ```ts
 * const { data, vectors } = makeReviews({ seed: 231, train: 20, dev: 4, test: 4 });
 * const good = data.train.labels.filter((label) => label === 1).length;
 * if (good !== 10) throw new Error(`${good} of 20 are good`);
 * if (!vectors.vectors.has("delicious")) throw new Error("no vector");
 * ```
 */
export function makeReviews(
  { seed, train = 4000, dev = 1000, test = 1000 }: ReviewOptions,
): { data: SentenceData; vectors: WordVectors } {
  for (const [split, count] of Object.entries({ train, dev, test })) {
    if (!Number.isInteger(count) || count < 2 || count > MOST) {
      throw new RangeError(
        `The count of ${split} sentences must be an integer from 2 to ${MOST}: it is ${count}`,
      );
    }
  }
  const stream = new RandomStream(seed).split("reviews");
  const shuffled = (polarity: Polarity) => stream.shuffle([...ADJECTIVES[polarity]]);
  const [good, bad] = [shuffled(1), shuffled(-1)];
  const common = { [1]: good.slice(UNSEEN_ADJECTIVES), [-1]: bad.slice(UNSEEN_ADJECTIVES) };
  const unseen = { [1]: good.slice(0, UNSEEN_ADJECTIVES), [-1]: bad.slice(0, UNSEEN_ADJECTIVES) };

  const written = new Set<string>();
  const write = (split: string, count: number, reviewer: Reviewer): SentenceSplit => {
    const reviews: { words: string[]; label: 0 | 1 }[] = [];
    while (reviews.length < count) {
      const label = reviews.length % 2 as 0 | 1;
      const text = reviewer.review(label === 1 ? 1 : -1);
      if (written.has(text)) continue;
      written.add(text);
      reviews.push({ words: text.split(" "), label });
    }
    stream.split(split).shuffle(reviews);
    return {
      sentences: reviews.map(({ words }) => words),
      labels: Uint8Array.from(reviews, ({ label }) => label),
    };
  };
  const reviewer = (split: string, rare?: typeof unseen) =>
    new Reviewer(stream.split(`${split} text`), common, rare);
  const data: SentenceData = {
    name: "generated reviews",
    train: write("train", train, reviewer("train")),
    dev: write("dev", dev, reviewer("dev", unseen)),
    test: write("test", test, reviewer("test", unseen)),
    notes: [],
  };
  const used = [data.train, data.dev, data.test].flatMap(({ sentences }) => sentences.flat());
  return { data, vectors: meaningVectors([...new Set(used)].sort(), stream.split("vectors")) };
}
