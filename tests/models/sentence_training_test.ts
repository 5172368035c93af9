/** Batches of similar length, training by seed, and measuring answers. */
import type { Sentence } from "../../models/sentences/sentence_classifier.ts";
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { shuffledBatches } from "../../models/training/batches.ts";
import { fit } from "../../models/training/fit.ts";
import { Adam } from "../../models/training/optimizers.ts";
import {
  CLASSIFIER_KINDS,
  type ClassifierConfig,
  type ClassifierKind,
} from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import {
  accuracy,
  checkLengths,
  checkSentences,
  type LabeledSentences,
  sentenceBatches,
  sentenceLogits,
  sentenceLoss,
  stepsOfSentences,
  wordLimits,
} from "../../models/sentences/sentence_training.ts";
import { gpuTest } from "../gpu_support.ts";
import { logitsOf, SENTENCES, smallClassifier } from "./small_classifier.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Sentences of 1 to 52 words. */
function randomSentences(count: number): number[][] {
  const stream = new RandomStream(9).split("lengths");
  return Array.from({ length: count }, () => {
    const length = 1 + Math.floor(52 * stream.uniform());
    return Array.from({ length }, () => 4 + Math.floor(16 * stream.uniform()));
  });
}

/** Batches of nearly equal length. */
const bucketBatches = (
  sentences: readonly Sentence[],
  batchSize: number,
  stream: RandomStream,
  most = Infinity,
) =>
  shuffledBatches(sentences.length, {
    ...{ batchSize, stream, most, sortWithin: Infinity },
    lengths: sentences.map(({ length }) => length),
  });

Deno.test("batches: shuffledBatches deals each sentence once, with little padding", () => {
  const sentences = randomSentences(1003);
  const batches = bucketBatches(sentences, 32, new RandomStream(1));
  assertEquals(batches.length, 32);
  assertEquals(batches.map((batch) => batch.length).sort((a, b) => a - b)[0], 1003 % 32);
  assertEquals(batches.flatMap((b) => [...b]).sort((a, b) => a - b), sentences.map((_, i) => i));
  let [words, places] = [0, 0];
  for (const batch of batches) {
    const lengths = Array.from(batch, (i) => sentences[i].length);
    words += lengths.reduce((a, b) => a + b);
    places += batch.length * Math.max(...lengths);
  }
  assertLess(1 - words / places, 0.05, `${places - words} of ${places} places are padding`);
  // The batches themselves do not stand in order of length.
  const longest = batches.map((batch) =>
    Math.max(...Array.from(batch, (i) => sentences[i].length))
  );
  assertNotEquals(longest, longest.toSorted((a, b) => a - b));
});

Deno.test("batches: shuffledBatches follows its stream", () => {
  const sentences = randomSentences(100);
  const deal = (seed: number) => bucketBatches(sentences, 8, new RandomStream(seed));
  assertEquals(deal(1), deal(1));
  assertNotEquals(deal(1), deal(2));
  // Also within a batch: sentences of one length are mixed anew.
  const equal = Array.from({ length: 40 }, () => [4]);
  const first = (seed: number) => [...bucketBatches(equal, 40, new RandomStream(seed))[0]];
  assertNotEquals(first(1), first(2));
});

Deno.test("batches: shuffledBatches takes batches of one, of more than there are, and no sentences", () => {
  const sentences = [[4, 5], [4], [4, 5, 6]];
  assertEquals(bucketBatches(sentences, 1, new RandomStream(1)).map((b) => b.length), [1, 1, 1]);
  const [all, ...rest] = bucketBatches(sentences, 99, new RandomStream(1));
  assertEquals([[...all], rest], [[1, 0, 2], []]);
  assertEquals(bucketBatches([], 4, new RandomStream(1)), []);
  for (const size of [0, -1, 1.5, NaN, Infinity]) {
    const message = `The batch size must be a whole number from 1: it is ${size}`;
    assertThrows(() => bucketBatches(sentences, size, new RandomStream(1)), RangeError, message);
  }
});

/** "a b" is 1 and "b a" is 0, for two pairs of words, and with the same word after both. */
const ORDER: LabeledSentences = {
  sentences: [[4, 5], [5, 4], [6, 7], [7, 6], [4, 5, 8], [5, 4, 8], [6, 7, 8], [7, 6, 8]],
  labels: [1, 0, 1, 0, 1, 0, 1, 0],
};

interface Training {
  kind: ClassifierKind;
  seed: number;
  epochs: number;
  data?: LabeledSentences;
  batchSize?: number;
  config?: Partial<ClassifierConfig>;
}

/** Train a classifier of 9 words: the losses, the weights and the accuracy at the end. */
async function train(
  gpu: Gpu,
  { kind, seed, epochs, data = ORDER, batchSize = 4, config = {} }: Training,
) {
  const stream = new RandomStream(seed);
  using classifier = makeClassifier(
    gpu,
    { vocabularySize: 9, wordDim: 4, hiddenDim: 8, ...config, kind },
    stream.split("weights"),
  );
  using optimizer = new Adam(classifier.store, { lr: 0.05, decayPerEpoch: 0.99 });
  checkSentences(classifier, data);
  const { losses } = await fit(classifier, {
    ...{ optimizer, epochs, readEvery: 5 },
    batches: (epoch) => sentenceBatches(classifier, data.sentences, batchSize, stream.split(epoch)),
    loss: (chosen, { tape }) => sentenceLoss(classifier, data, chosen, tape),
  });
  const logits = await sentenceLogits(classifier, data.sentences);
  const weights = await classifier.store.values.read();
  return { losses, lr: optimizer.lr, weights, accuracy: accuracy(logits, data.labels) };
}

for (const kind of ["rnn", "lstm", "bilstm"] as const) {
  gpuTest(`${kind} learns what only the order of words tells`, async (gpu) => {
    const { losses, lr, accuracy } = await train(gpu, { kind, seed: 1, epochs: 30 });
    assertEquals(losses.length, 60);
    assertAlmostEquals(lr, 0.05 * 0.99 ** 30, 1e-12);
    assertLess(losses.at(-1)!, 0.3 * losses[0]);
    assertEquals(accuracy, 1);
  });
}

for (const kind of ["bow", "average"] as const) {
  gpuTest(`${kind} is blind for the order of words, and learns what words tell`, async (gpu) => {
    assertEquals((await train(gpu, { kind, seed: 1, epochs: 10 })).accuracy, 0.5);
    const data = { sentences: [[4, 5], [5, 6], [4, 7], [7, 6, 7]], labels: [1, 0, 1, 0] };
    assertEquals((await train(gpu, { kind, seed: 1, epochs: 30, data })).accuracy, 1);
  });
}

for (const kind of CLASSIFIER_KINDS) {
  gpuTest(`a run of ${kind} is repeated bit for bit by its seed`, async (gpu) => {
    const config = kind === "bow"
      ? {}
      : kind === "average"
      ? { dropout: 0.3 }
      : { dropout: 0.3, wordDropout: 0.2 };
    for (const sparse of [false, true]) {
      const run = (seed: number) =>
        train(gpu, { kind, seed, epochs: 3, batchSize: 3, config: { ...config, sparse } });
      const [first, again, other] = [await run(5), await run(5), await run(6)];
      assertEquals(again, first);
      assert(first.losses.every(Number.isFinite));
      assertNotEquals(other.weights, first.weights);
      assertNotEquals(other.losses, first.losses);
    }
  });
}

gpuTest("20 epochs need no more buffers than the second", async (gpu) => {
  const { pool } = gpu;
  using classifier = smallClassifier(gpu, "bilstm", { dropout: 0.2, sparse: true });
  using optimizer = new Adam(classifier.store, { lr: 1e-3 });
  const data = { sentences: SENTENCES, labels: [1, 0, 0, 1, 1, 0] };
  const [live, bytes] = [pool.liveBuffers, pool.liveBytes];
  const settled: number[] = [];
  for (let epoch = 0; epoch < 20; epoch++) {
    await fit(classifier, {
      optimizer,
      batches: () => sentenceBatches(classifier, SENTENCES, 4, new RandomStream(1)),
      loss: (chosen, { tape }) => sentenceLoss(classifier, data, chosen, tape),
    });
    assertEquals([pool.liveBuffers, pool.liveBytes], [live, bytes]);
    settled.push(pool.idleBytes);
  }
  assertEquals(settled.slice(2), settled.slice(1, -1));
});

gpuTest("an epoch refuses sentences without a label, and labels that are none", async (gpu) => {
  const refuse = (labels: number[], message: string) =>
    assertRejects(
      () => train(gpu, { kind: "bow", seed: 1, epochs: 1, data: { ...ORDER, labels } }),
      Error,
      message,
    );
  await refuse([1, 0, 1], "3 labels");
  await refuse([1, 0, 1, 0, 1, 0, 1, 2], "2");
  await refuse([1, 0, 1, 0, 1, 0, 1, NaN], "NaN");
});

gpuTest("sentenceLogits answers in the order of the sentences, for any batch size", async (gpu) => {
  for (const kind of CLASSIFIER_KINDS) {
    using classifier = smallClassifier(gpu, kind);
    const expected = await logitsOf(classifier, SENTENCES);
    for (const batchSize of [1, 2, 5, undefined]) {
      assertEquals(await sentenceLogits(classifier, SENTENCES, batchSize), expected);
    }
    assertEquals(await sentenceLogits(classifier, []), new Float32Array());
  }
});

Deno.test("batches: shuffledBatches cuts batches of long sentences by their words", () => {
  const sentences = [...randomSentences(200), Array(300).fill(4), Array(301).fill(4)];
  for (const batch of [1, 52, 300, 599, 600, 601, 602]) {
    const batches = bucketBatches(sentences, 32, new RandomStream(1), batch);
    const all = batches.flatMap((chosen) => [...chosen]).sort((a, b) => a - b);
    assertEquals(all, [...sentences.keys()]);
    for (const chosen of batches) {
      const longest = Math.max(...[...chosen].map((i) => sentences[i].length));
      assert(
        chosen.length === 1 || chosen.length * longest <= batch,
        `${chosen.length}, ${longest}`,
      );
    }
    const pairs = batches.filter((chosen) => chosen.includes(200) && chosen.includes(201));
    assertEquals(pairs.length, batch >= 602 ? 1 : 0);
  }
});

gpuTest("sentences whose batch would pass a tensor's limit train and are measured", async (gpu) => {
  const wide = { vocabularySize: 9, wordDim: 8192, hiddenDim: 2, kind: "rnn" } as const;
  using classifier = makeClassifier(gpu, wide, new RandomStream(1));
  const limits = wordLimits(classifier);
  assertLess(limits.batch, limits.sentence);
  const length = 30;
  // One too many for a tensor; on a device with room for far more, not so many.
  const count = Math.min(200, Math.ceil(limits.sentence / length) + 1);
  const sentences = Array.from({ length: count }, (_, i) => Array(length).fill(4 + i % 5));
  const labels = sentences.map((_, i) => i % 2);
  using optimizer = new Adam(classifier.store, { lr: 1e-3 });
  const { losses: { length: steps } } = await fit(classifier, {
    optimizer,
    batches: () => sentenceBatches(classifier, sentences, 256, new RandomStream(2)),
    loss: (chosen, { tape }) => sentenceLoss(classifier, { sentences, labels }, chosen, tape),
  });
  assertEquals(steps, stepsOfSentences(classifier, sentences, 256));
  assertEquals(steps, Math.ceil(count / Math.min(256, Math.floor(limits.batch / length))));
  const logits = await sentenceLogits(classifier, sentences);
  const some = await sentenceLogits(classifier, sentences.slice(0, 5));
  logits.forEach((logit, i) => assertAlmostEquals(logit, some[i % 5], 1e-4));
});

gpuTest("a sentence that no batch can hold is refused before training", (gpu) => {
  for (const kind of CLASSIFIER_KINDS) {
    using classifier = makeClassifier(
      gpu,
      { vocabularySize: 9, wordDim: 12, hiddenDim: 20, kind },
      new RandomStream(1),
    );
    const { sentence: most } = wordLimits(classifier);
    checkLengths(classifier, [{ length: 3 }, { length: most }]);
    const error = assertThrows(
      () => checkLengths(classifier, [{ length: 3 }, { length: most + 1 }]),
      UserError,
      `Sentence 2 has ${most + 1} words, and the model (${kind}`,
    );
    assert(error.message.includes(`reads at most ${most} on "`), error.message);
  }
});

gpuTest("sentenceLogits refuses to answer with NaN", async (gpu) => {
  using classifier = smallClassifier(gpu, "average");
  const { tensor } = classifier.parameters[0];
  const table = await tensor.read();
  const word = SENTENCES[1][0];
  table[word * tensor.shape[1]] = NaN;
  tensor.write(table);
  const first = SENTENCES.findIndex((sentence) => sentence.includes(word)) + 1;
  await assertRejects(
    () => sentenceLogits(classifier, SENTENCES),
    UserError,
    `The logit of sentence ${first} is NaN`,
  );
});

gpuTest("sentenceLogits refuses a batch size that is none", async (gpu) => {
  using classifier = smallClassifier(gpu, "average");
  for (const size of [0, -2, 1.5, NaN]) {
    const message = `The batch size must be a whole number from 1: it is ${size}`;
    await assertRejects(() => sentenceLogits(classifier, SENTENCES, size), RangeError, message);
  }
});

Deno.test("accuracy counts the logits on their label's side; 0 is on the side of 0", () => {
  assertEquals(accuracy([2, -1, 0, 0.5, -3], [1, 0, 0, 0, 1]), 0.6);
  assertEquals(accuracy(Float32Array.of(1e-30, -1e-30), Uint8Array.of(1, 0)), 1);
});

Deno.test("accuracy refuses logits and labels of different numbers, and none", () => {
  assertThrows(() => accuracy([1, 2, 3], [1, 0]), TypeError, "3 logits");
  assertThrows(() => accuracy([], []), RangeError);
});
