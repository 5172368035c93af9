/**
 * The words of the generated reviews by what they mean, and word vectors made from these meanings.
 *
 * @module
 */
import type { WordVectors } from "../text/glove_lines.ts";
import type { RandomStream } from "../rng.ts";

/** Whether something is found good (1) or bad (-1). */
export type Polarity = 1 | -1;

/** What a review can be about. */
export const TOPICS = ["food", "service", "place", "price"] as const;

/** One of the {@linkcode TOPICS}. */
export type Topic = typeof TOPICS[number];

/** What is judged, by topic. */
export const NOUNS: Record<Topic, readonly string[]> = {
  food: ["food", "soup", "pasta", "pizza", "dessert", "steak", "salad", "bread", "fish", "coffee"],
  service: ["service", "staff", "waiter", "waitress", "manager", "host", "cook", "barista"],
  place: ["place", "room", "patio", "atmosphere", "music", "decor", "terrace", "bar"],
  price: ["price", "bill", "deal", "buffet", "brunch"],
};

/** Good and bad adjectives that fit every topic. */
export const ADJECTIVES: Record<Polarity, readonly string[]> = {
  [1]: words(
    `good great excellent wonderful amazing fantastic superb lovely perfect pleasant awesome
    outstanding brilliant delightful impressive splendid terrific fabulous marvelous nice enjoyable
    charming exceptional memorable flawless stellar remarkable magnificent`,
  ),
  [-1]: words(
    `bad awful terrible horrible poor mediocre disgusting dreadful disappointing unpleasant
    lousy pathetic atrocious appalling annoying nasty miserable weak dull sloppy shabby unacceptable
    dismal ridiculous abysmal inferior horrendous lame`,
  ),
};

/** Good and bad adjectives for one topic. */
export const TOPIC_ADJECTIVES: Record<Topic, Record<Polarity, readonly string[]>> = {
  food: { [1]: words("fresh tasty delicious crisp"), [-1]: words("stale bland greasy soggy") },
  service: {
    [1]: words("friendly attentive quick polite"),
    [-1]: words("rude slow careless unfriendly"),
  },
  place: { [1]: words("cozy clean bright relaxing"), [-1]: words("dirty noisy cramped gloomy") },
  price: {
    [1]: words("fair reasonable affordable generous"),
    [-1]: words("steep outrageous overpriced unfair"),
  },
};

/** Verbs of liking and disliking, as they stand after `did not` and alone. */
export const VERBS: Record<Polarity, readonly { base: string; past: string }[]> = {
  [1]: ["love", "like", "enjoy", "adore"].map(verb),
  [-1]: ["hate", "dislike", "regret", "loathe"].map(verb),
};

/** What one thing did to all the rest. */
export const VERDICTS: Record<Polarity, readonly string[]> = {
  [1]: ["saved", "rescued"],
  [-1]: ["ruined", "spoiled"],
};

/** Words that turn round what their clause says after them. */
export const NEGATORS: readonly string[] = ["not", "n't", "never", "hardly", "doubt", "doubted"];

/** Words for how much. */
export const DEGREES: readonly string[] = words("very really so quite truly extremely rather");

/** Who came along; no vectors are made for names. */
export const NAMES: readonly string[] = words("mirella tadeusz oona quentin");

function words(text: string): string[] {
  return text.split(/\s+/);
}

function verb(base: string): { base: string; past: string } {
  return {
    base,
    past: base === "regret" ? "regretted" : base.endsWith("e") ? `${base}d` : `${base}ed`,
  };
}

/** What vectors know of a word: a few numbers, zero where a feature does not apply. */
const FEATURES = ["polarity", "adjective", "verb", "noun", "negator", "degree", ...TOPICS] as const;

type Meaning = Partial<Record<typeof FEATURES[number], number>>;

/** Every word that has a meaning of its own; the others hold the sentences together. */
function meanings(): Map<string, Meaning> {
  const found = new Map<string, Meaning>();
  const add = (list: readonly string[], meaning: Meaning) =>
    list.forEach((word) => found.set(word, meaning));
  for (const polarity of [1, -1] as const) {
    add(ADJECTIVES[polarity], { polarity, adjective: 1 });
    add(VERBS[polarity].flatMap(({ base, past }) => [base, past]), { polarity, verb: 1 });
    add(VERDICTS[polarity], { polarity, verb: 1 });
    for (const topic of TOPICS) {
      add(TOPIC_ADJECTIVES[topic][polarity], { polarity, adjective: 1, [topic]: 1 });
    }
  }
  for (const topic of TOPICS) add(NOUNS[topic], { noun: 1, [topic]: 1 });
  add(NEGATORS, { negator: 1 });
  add(DEGREES, { degree: 1 });
  return found;
}

const WIDTH = 48;
/** The noise's share keeps words of one meaning apart, and polarity from being too easy to see. */
const NOISE = 0.2;

/**
 * Vectors of width 48 for all words with a meaning, and for the `others` but names: a word's features and
 * its own noise, mixed by one random matrix. Words of like meaning get like vectors, as in GloVe.
 */
export function meaningVectors(others: Iterable<string>, stream: RandomStream): WordVectors {
  const known = meanings();
  const mixing = stream.split("mixing");
  const matrix = FEATURES.map(() => Float64Array.from({ length: WIDTH }, () => mixing.normal()));
  const vectors = new Map<string, Float32Array>();
  for (const word of new Set([...known.keys(), ...others])) {
    if (NAMES.includes(word)) continue;
    const own = stream.split(word);
    const meaning = known.get(word) ?? {};
    const vector = Float32Array.from({ length: WIDTH }, () => NOISE * own.normal());
    for (const [f, feature] of FEATURES.entries()) {
      const strength = 0.3 * (meaning[feature] ?? 0);
      for (let k = 0; k < WIDTH; k++) vector[k] += strength * matrix[f][k];
    }
    vectors.set(word, vector);
  }
  return { width: WIDTH, vectors, lines: vectors.size, notes: [] };
}
