/** The sentence classifiers against their float64 twin; what padding, order and dropout may change. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertThrows,
} from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { uploadSequences } from "../../models/sentences/recurrent_classifiers.ts";
import {
  CLASSIFIER_KINDS,
  type ClassifierConfig,
  type ClassifierKind,
} from "../../models/sentences/sentence_classifier.ts";
import { makeClassifier } from "../../models/sentences/sentence_classifiers.ts";
import { extrapolatedGradient } from "../../kernels/reference/gradient.ts";
import { classifierLoss } from "../../kernels/reference/sentence_classifiers.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { TOLERANCE } from "../kernels/values.ts";
import { relativeError } from "../support.ts";
import {
  gradientsOf,
  LABELS,
  logitsOf,
  SENTENCES,
  SIZES,
  smallClassifier,
  weightsOf,
} from "./small_classifier.ts";

const RECURRENT = ["rnn", "lstm", "bilstm"] as const;
const reverse = <T>(values: readonly T[]) => [...values].reverse();

for (const kind of CLASSIFIER_KINDS) {
  const shape = { ...SIZES, kind };

  gpuTest(`the gradients of the ${kind} twin agree with differences`, async (gpu) => {
    const sizes = { ...shape, wordDim: 3, hiddenDim: 2 };
    using classifier = smallClassifier(gpu, kind, sizes);
    const weights = await weightsOf(classifier);
    const loss = () => classifierLoss(sizes, weights, SENTENCES, LABELS).loss;
    const { gradients } = classifierLoss(sizes, weights, SENTENCES, LABELS);
    assertEquals(Object.keys(gradients), classifier.store.parameters.map((p) => p.name));
    for (const [name, values] of Object.entries(weights)) {
      const error = relativeError(gradients[name], extrapolatedGradient(loss, values, 1e-3));
      assertLess(error, 1e-8, `${name}: ${error}`);
    }
  });

  gpuTestBothPaths(`the ${kind} classifier agrees with its twin`, async (gpu) => {
    for (const sizes of [SIZES, { vocabularySize: 11, wordDim: 8, hiddenDim: 12 }]) {
      for (const sparse of [false, true]) {
        using classifier = smallClassifier(gpu, kind, { ...sizes, sparse });
        const weights = await weightsOf(classifier);
        const twin = classifierLoss({ ...sizes, kind }, weights, SENTENCES, LABELS);
        assertLess(relativeError(await logitsOf(classifier, SENTENCES), twin.logits), 1e-5);
        // What lies in the gradients' places before must not shine through ...
        for (const { variable } of classifier.store.trainable) {
          variable.slot!.write(new Float32Array(variable.slot!.size).fill(7));
        }
        const { loss, gradients } = await gradientsOf(classifier, SENTENCES, LABELS);
        assertAlmostEquals(loss, twin.loss, 1e-5 * twin.loss);
        for (const { name, shape: [, width = 1] } of classifier.store.parameters) {
          // ... but in the rows of a sparse table that no sentence names: there nobody looks.
          const isTable = classifier.store.tables.some((table) => table.parameter.name === name);
          const named = new Set(SENTENCES.flat());
          if (kind === "bow") named.delete(3);
          named.add(sizes.vocabularySize); // the bias of a bag of words
          const counts = (_: number, i: number) => !isTable || named.has(Math.floor(i / width));
          const rest = gradients[name].filter((v, i) => !counts(v, i));
          assertEquals(rest, new Float32Array(rest.length).fill(7));
          const error = relativeError(
            gradients[name].filter(counts),
            twin.gradients[name].filter(counts),
          );
          assertLess(error, TOLERANCE, `${name}: ${error}`);
        }
      }
    }
  });

  gpuTestBothPaths(
    `the ${kind} logits of a sentence are the same bits in every company`,
    async (gpu) => {
      using classifier = smallClassifier(gpu, kind);
      const together = await logitsOf(classifier, SENTENCES);
      const backwards = await logitsOf(classifier, reverse(SENTENCES));
      assertEquals(backwards, together.toReversed());
      const long = Array.from({ length: 40 }, (_, i) => i % SIZES.vocabularySize);
      const many = await logitsOf(classifier, Array(8).fill(SENTENCES).flat());
      assertEquals(many.slice(-SENTENCES.length), together, "in a batch of 48");
      for (const [i, sentence] of SENTENCES.entries()) {
        assertEquals(await logitsOf(classifier, [sentence]), together.slice(i, i + 1));
        const [got] = await logitsOf(classifier, [sentence, long]);
        assertEquals(got, together[i], `sentence ${i} beside one of 40 words`);
      }
    },
  );

  gpuTest(
    `the ${kind} gradient of a batch is the mean of its sentences' gradients`,
    async (gpu) => {
      using classifier = smallClassifier(gpu, kind);
      const { loss, gradients } = await gradientsOf(classifier, SENTENCES, LABELS);
      let lossSum = 0;
      const sums: Record<string, Float64Array> = {};
      for (const [i, sentence] of SENTENCES.entries()) {
        const one = await gradientsOf(classifier, [sentence], [LABELS[i]]);
        lossSum += one.loss;
        for (const [name, values] of Object.entries(one.gradients)) {
          sums[name] ??= new Float64Array(values.length);
          values.forEach((v, j) => sums[name][j] += v);
        }
      }
      const count = SENTENCES.length;
      assertAlmostEquals(loss, lossSum / count, 1e-6);
      for (const [name, values] of Object.entries(sums)) {
        assertLess(relativeError(gradients[name], values.map((v) => v / count)), 1e-5, name);
      }
      const order = await gradientsOf(classifier, reverse(SENTENCES), reverse(LABELS));
      for (const [name, values] of Object.entries(order.gradients)) {
        assertLess(relativeError(gradients[name], values), 1e-5, `${name} in another order`);
      }
    },
  );

  gpuTest(`${kind} reads sentences without words, and <NULL> as a word`, async (gpu) => {
    using classifier = smallClassifier(gpu, kind);
    const weights = await weightsOf(classifier);
    const sentences = [[], [0], [4, 7], [4, 0, 7], [4, 7, 0]];
    const got = await logitsOf(classifier, sentences);
    const { logits } = classifierLoss(shape, weights, sentences, [0, 1, 0, 1, 0]);
    assertLess(relativeError(got, logits), 1e-5);
    if (kind === "bow" || kind === "average") {
      const bias = weights["score.bias"] ?? weights["score.weight"].slice(-1);
      assertEquals(got[0], Math.fround(bias[0]), "no word leaves the bias");
    } else {
      assertEquals(got[0], (await logitsOf(classifier, [[3]]))[0], "as one unknown word");
    }
    const differ = (a: number, b: number) =>
      assert(
        Math.abs(got[a] - got[b]) > 1e-3,
        `${JSON.stringify(sentences[a])} and ${sentences[b]}`,
      );
    differ(0, 1);
    differ(2, 3);
    differ(2, 4);
  });

  gpuTest(`dropout in ${kind} acts in training only, and by its seed`, async (gpu) => {
    const config: Partial<ClassifierConfig> = kind === "bow"
      ? {}
      : kind === "average"
      ? { dropout: 0.5 }
      : { dropout: 0.5, wordDropout: 0.3 };
    const draw = async (seed: number) => {
      using classifier = smallClassifier(gpu, kind, { ...config, seed });
      const training = [
        await logitsOf(classifier, SENTENCES, { training: true }),
        await logitsOf(classifier, SENTENCES, { training: true }),
      ];
      const { loss, gradients } = await gradientsOf(classifier, SENTENCES, LABELS);
      assert([loss, ...Object.values(gradients).flatMap((g) => [...g])].every(Number.isFinite));
      return { training, loss, gradients, evaluated: await logitsOf(classifier, SENTENCES) };
    };
    const [first, again, other] = [await draw(1), await draw(1), await draw(2)];
    assertEquals(again, first);
    using plain = smallClassifier(gpu, kind);
    assertEquals(first.evaluated, await logitsOf(plain, SENTENCES));
    assertEquals(other.evaluated, first.evaluated);
    if (kind === "bow") return assertEquals(first.training[0], first.evaluated);
    assertNotEquals(first.training[0], first.evaluated);
    assertNotEquals(first.training[0], first.training[1]);
    assertNotEquals(first.training[0], other.training[0]);
  });

  gpuTest(`huge ${kind} logits keep loss and gradients finite`, async (gpu) => {
    using classifier = smallClassifier(gpu, kind);
    const dict = await classifier.stateDict();
    for (const z of [1e4, -1e4]) {
      dict.set("score.bias", { dtype: "F32", shape: [1], data: Float32Array.of(z) });
      classifier.loadStateDict(dict);
      const { loss, gradients } = await gradientsOf(classifier, SENTENCES, LABELS);
      assertAlmostEquals(loss, 5000, 10);
      assert(Object.values(gradients).every((g) => g.every(Number.isFinite)));
      const [dBias] = gradients["score.bias"] ?? gradients["score.weight"].slice(-1);
      assertAlmostEquals(dBias, Math.sign(z) / 2, 1e-6);
    }
  });
}

/** Dispatches of forward and backward. T is the length of the longest sentence. */
const T = Math.max(...SENTENCES.map((words) => words.length));
const DISPATCHES = {
  // Bags, cross-entropy; bags.
  bow: 2 + 1,
  // Bags, scores, cross-entropy; 3 for the scores, 1 for the bags.
  average: 3 + 4,
  // Words, T + 1 for the cell, last states, scores, cross-entropy; 3 for the scores, states, T + 4, words.
  rnn: T + 5 + T + 9,
  lstm: T + 5 + T + 9,
  // Words twice, T + 2 for each cell with its maximum, 2 to join them, scores, cross-entropy;
  // 3 for the scores, 2 to part them, T + 5 for each cell, 3 for the words.
  bilstm: 2 * T + 10 + 2 * T + 18,
};

for (const kind of CLASSIFIER_KINDS) {
  gpuTest(`a ${kind} step is ${DISPATCHES[kind]} dispatches and an update`, (gpu) => {
    for (const sparse of [false, true]) {
      using classifier = smallClassifier(gpu, kind, { sparse });
      using optimizer = new Adam(classifier.store, { lr: 1e-3 });
      using input = classifier.upload(SENTENCES);
      using targets = Tensor.from(gpu, LABELS);
      gpu.flush();
      for (let i = 0; i < 3; i++) {
        const { dispatches, submits } = { ...gpu.recorder.counts };
        using tape = new Tape(gpu);
        tape.backward(classifier.loss(input, targets));
        optimizer.step();
        // The rows of a sparse table are updated by themselves; a bag of words has nothing else.
        const updates = sparse && kind !== "bow" ? 2 : 1;
        assertEquals(gpu.recorder.counts.dispatches - dispatches, DISPATCHES[kind] + updates);
        assert(gpu.recorder.counts.submits - submits <= 1);
      }
    }
  });
}

gpuTest(
  "sequences are time-major, with the places of the last words and the way back",
  async (gpu) => {
    using input = uploadSequences(gpu, [[4, 5, 6], [], [7, 8]], 11);
    assertEquals([input.count, input.steps], [3, 3]);
    assertEquals([...await input.words.ids.read()], [4, 3, 7, 5, 0, 8, 6, 0, 0]);
    assertEquals([...await input.lengths.read()], [3, 1, 2]);
    assertEquals([...await input.last.ids.read()], [6, 1, 5]);
    assertEquals([...await input.reversed.ids.read()], [6, 1, 5, 3, 4, 2, 0, 7, 8]);
  },
);

gpuTest("word ids outside the vocabulary, and no sentences, are refused", (gpu) => {
  for (const kind of CLASSIFIER_KINDS) {
    using classifier = smallClassifier(gpu, kind);
    for (const bad of [11, -1, 1.5]) {
      const message = `The index ${bad} at place`;
      assertThrows(() => classifier.upload([[4, 5], [4, bad]]), RangeError, message);
    }
    assertThrows(() => classifier.upload([]), RangeError, "at least one");
  }
});

gpuTest("a classifier takes its table of word vectors as it is", async (gpu) => {
  const table = Float32Array.from({ length: 11 * 6 }, (_, i) => i / 10);
  for (const kind of ["average", ...RECURRENT] as const) {
    using classifier = makeClassifier(gpu, { ...SIZES, kind }, new RandomStream(1), { table });
    const embed = classifier.store.parameters.find(({ name }) => name === "embed.weight")!;
    assertEquals(await embed.tensor.read(), table);
  }
});

gpuTest("classifiers refuse what does not fit", (gpu) => {
  const make = (config: Partial<ClassifierConfig>, table?: Float32Array<ArrayBuffer>) => () =>
    makeClassifier(
      gpu,
      { ...SIZES, kind: "lstm", ...config },
      new RandomStream(1),
      table === undefined ? {} : { table },
    ).dispose();
  const small = new Float32Array(11 * 5);
  assertThrows(make({ kind: "bow" }, small), TypeError, "A bag of words has no word vectors");
  for (const kind of ["average", ...RECURRENT] as const) {
    assertThrows(make({ kind }, small), TypeError, "of 55 numbers is not 11 word vectors of 6");
    for (const dropout of [1, -0.1, NaN]) {
      assertThrows(make({ kind, dropout }), RangeError, `and ${dropout} was given`);
    }
    if (kind === "average") continue;
    assertThrows(make({ kind, wordDropout: 1 }), RangeError, "and 1 was given");
  }
  using classifier = smallClassifier(gpu, "average");
  using input = classifier.upload(SENTENCES);
  using targets = Tensor.from(gpu, [1, 0]);
  using _tape = new Tape(gpu);
  assertThrows(() => classifier.loss(input, targets), TypeError, "needs the shape [6]");
});

gpuTest("a dropout that a kind has no place for is refused", (gpu) => {
  const make = (config: Partial<ClassifierConfig> & { kind: ClassifierKind }) => () =>
    makeClassifier(gpu, { ...SIZES, ...config }, new RandomStream(1)).dispose();
  assertThrows(make({ kind: "bow", dropout: 0.5 }), TypeError, "dropout");
  for (const kind of ["bow", "average"] as const) {
    assertThrows(make({ kind, wordDropout: 0.5 }), TypeError, "wordDropout");
    make({ kind, dropout: 0, wordDropout: 0 })();
  }
});
