/** Training on tiny scenes, and measuring captions. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { type CaptionSplit, standardizer } from "../../data/sets/captions.ts";
import { RandomStream } from "../../data/rng.ts";
import { makeScenes } from "../../data/made/scenes.ts";
import { Vocabulary } from "../../data/text/vocabulary.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { sampleBeam, sampleGreedy } from "../../models/captions/caption_sampling.ts";
import {
  captionBatch,
  captionBatches,
  evaluateLoss,
  mostCaptions,
  type PreparedSplit,
  prepareSplit,
  sampleCaptions,
  scoreCaptions,
  stepsPerEpoch,
} from "../../models/captions/caption_training.ts";
import { Captioner } from "../../models/captions/captioner.ts";
import { fit } from "../../models/training/fit.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { captionerLoss } from "../../kernels/reference/captioner.ts";
import { gpuTest } from "../gpu_support.ts";
import {
  CAPTIONS,
  FEATURES,
  normals,
  SIZES,
  smallCaptioner,
  weightsOf,
} from "./small_captioner.ts";

const SCENES = makeScenes({ seed: 3, train: 30, val: 10 });
const TRAIN = prepareSplit(SCENES.train, standardizer(SCENES.train.features, SCENES.featureDim));
const COUNT = TRAIN.imageIndex.length;

/** Train an LSTM of 24 units for some epochs: the losses, and the weights at the end. */
async function train(gpu: Gpu, seed: number, epochs: number) {
  const config = {
    cell: "lstm",
    featureDim: SCENES.featureDim,
    hiddenDim: 24,
    wordDim: 12,
    vocabularySize: SCENES.vocabulary.size,
    dropout: 0.1,
  } as const;
  const stream = new RandomStream(seed);
  using captioner = new Captioner(gpu, config, stream.split("weights"));
  using optimizer = new Adam(captioner.store, { lr: 0.02, clipNorm: 5, decayPerEpoch: 0.9 });
  gpu.flush();
  const { submits } = { ...gpu.recorder.counts };
  const { losses } = await fit(captioner, {
    ...{ optimizer, epochs, readEvery: 7 },
    batches: (epoch) => captionBatches(TRAIN, { batchSize: 40, stream: stream.split(epoch) }),
    loss: (chosen, { tape }) => captioner.loss(tape.keep(captionBatch(captioner, TRAIN, chosen))),
  });
  const submitted = gpu.recorder.counts.submits - submits;
  const evaluated = await evaluateLoss(captioner, TRAIN);
  const weights = await captioner.store.values.read();
  return { losses, evaluated, weights, lr: optimizer.lr, submitted };
}

function mean(values: number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

gpuTest("training on scenes lowers the loss, the same way for the same seed", async (gpu) => {
  assertEquals(COUNT, 150); // the last batch of an epoch is smaller
  const first = await train(gpu, 5, 8);
  assertEquals(first.losses.length, 8 * 4);
  // One for each step, one for each read of seven losses; more only to write to a buffer still in use.
  assertLess(first.submitted, 2 * first.losses.length);
  assertAlmostEquals(first.lr, 0.02 * 0.9 ** 8, 1e-12);
  const [start, end] = [mean(first.losses.slice(0, 4)), mean(first.losses.slice(-4))];
  assertLess(end, 0.6 * start, `from ${start} to ${end}`);
  assertLess(first.evaluated, 0.6 * start);

  const second = await train(gpu, 5, 8);
  assertEquals(second.losses, first.losses);
  assertEquals(second.weights, first.weights);
  const other = await train(gpu, 6, 1);
  assert(other.losses[0] !== first.losses[0]);
});

/** The lengths of the steps of an epoch in batches of 16, in the order of the steps, with its tokens. */
function stepLengths(captioner: Captioner, sortWithin: number): [number[], number] {
  const lengths: number[] = [];
  let tokens = 0;
  const options = { batchSize: 16, sortWithin, stream: new RandomStream(7) };
  for (const chosen of captionBatches(TRAIN, options)) {
    using batch = captionBatch(captioner, TRAIN, chosen);
    lengths.push(batch.targets.shape[0]);
    tokens += batch.tokens;
  }
  return [lengths, tokens];
}

gpuTest("captions sorted by length make shorter steps, in no order, and all are seen", (gpu) => {
  const sizes = { featureDim: SCENES.featureDim, vocabularySize: SCENES.vocabulary.size };
  const config = { cell: "rnn", hiddenDim: 4, wordDim: 4, ...sizes } as const;
  using captioner = new Captioner(gpu, config, new RandomStream(1));
  const [plain, tokens] = stepLengths(captioner, 1);
  const [sorted, sameTokens] = stepLengths(captioner, 5);
  assertEquals([plain.length, sorted.length, sameTokens], [10, 10, tokens]);
  assertLess(mean(sorted), 0.9 * mean(plain), `${sorted} against ${plain}`);
  assertNotEquals(sorted.slice(0, 5), sorted.slice(0, 5).sort((a, b) => a - b));
  for (const wrong of [0, 1.5]) {
    assertThrows(() => stepLengths(captioner, wrong), RangeError, `not within ${wrong}`);
  }
});

/** The three captions of small_captioner.ts, and two images: the second has two captions. */
const SPLIT: PreparedSplit = {
  features: FEATURES.slice(0, 2 * SIZES.featureDim),
  pictures: ["a", "b"].map((name) => ({ name, source: { kind: "file", path: `${name}.png` } })),
  captions: Int32Array.from(CAPTIONS),
  imageIndex: Int32Array.of(1, 0, 1),
  captionLength: 6,
};

gpuTest("a batch takes the chosen captions with their images' features", async (gpu) => {
  using captioner = smallCaptioner(gpu, "rnn");
  using batch = captionBatch(captioner, SPLIT, [2, 1]);
  assertEquals([...await batch.words.ids.read()], [1, 1, 5, 7, 4, 2, 4, 0]);
  const [first, second] = [FEATURES.slice(0, 5), FEATURES.slice(5, 10)];
  assertEquals(await batch.features.read(), Float32Array.of(...second, ...first));
  for (const wrong of [3, -1, 0.5]) {
    const message = `There is no caption ${wrong}: the split has 0 to 2`;
    assertThrows(() => captionBatch(captioner, SPLIT, [0, wrong]), RangeError, message);
  }
});

gpuTest("the loss of a split does not depend on how it is cut into batches", async (gpu) => {
  using captioner = smallCaptioner(gpu, "lstm", { dropout: 0.5 });
  const features = Float64Array.from([1, 0, 1].flatMap((image) => [
    ...SPLIT.features.subarray(5 * image, 5 * image + 5),
  ]));
  const shape = { ...SIZES, cell: "lstm" } as const;
  const expected = captionerLoss(shape, await weightsOf(captioner), features, CAPTIONS, 3);
  for (const batchSize of [1, 2, 3, 100]) {
    assertAlmostEquals(await evaluateLoss(captioner, SPLIT, batchSize), expected, 1e-5 * expected);
  }
  for (const size of [0, 1.5, -1]) {
    const message = `batch size must be a whole number from 1: it is ${size}`;
    await assertRejects(() => evaluateLoss(captioner, SPLIT, size), RangeError, message);
  }
});

Deno.test("an epoch's last step may be smaller", () => {
  assertEquals([[10, 5], [11, 5], [1, 5], [0, 5]].map(([n, b]) => stepsPerEpoch(n, b)), [
    2,
    3,
    1,
    0,
  ]);
  assertThrows(() => stepsPerEpoch(10, 0), RangeError, "from 1: it is 0");
});

Deno.test("a prepared split is standardised with the scale it is given", () => {
  const scale = { mean: new Float32Array(5).fill(1), deviation: new Float32Array(5).fill(2) };
  const prepared = prepareSplit(SPLIT, scale);
  assertEquals(prepared.captionLength, 6);
  assertEquals(prepared.features, SPLIT.features.map((v) => (v - 1) / 2));
  assertEquals(prepared.captions, SPLIT.captions);
});

const VOCABULARY = Vocabulary.fromWords(["a", "red", "blue", "star", "on", "the", "left"]);

gpuTest("sampled captions are the same in chunks, and in words", async (gpu) => {
  using captioner = smallCaptioner(gpu, "lstm");
  const images = 300; // more than a chunk of 256, or of 256 / 3
  const split: PreparedSplit = {
    ...SPLIT,
    features: normals("many", images * SIZES.featureDim),
    pictures: new Array(images).fill(SPLIT.pictures[0]),
  };
  using features = Tensor.from(gpu, split.features, [images, SIZES.featureDim]);
  const greedy = (await sampleGreedy(captioner, features, 5)).map((ids) => VOCABULARY.decode(ids));
  assertEquals(await sampleCaptions(captioner, split, VOCABULARY), greedy);
  const options = { width: 3, length: 5, lengthPower: 0.5 };
  const beam = (await sampleBeam(captioner, features, options)).map((ids) =>
    VOCABULARY.decode(ids)
  );
  const sampled = await sampleCaptions(captioner, split, VOCABULARY, { beam: 3, lengthPower: 0.5 });
  assertEquals(sampled, beam);
  const needless = () => sampleCaptions(captioner, split, VOCABULARY, { lengthPower: 1 });
  await assertRejects(needless, TypeError, "Greedy sampling takes no lengthPower, and 1 was given");
});

Deno.test("captions are scored against those of their image; an image without any is left out", () => {
  const encode = (text: string) => VOCABULARY.encode(text.split(" "), 6);
  const captions = ["a red star", "a blue star", "the star on"].map(encode);
  const split: CaptionSplit = {
    features: new Float32Array(3),
    pictures: [...SPLIT.pictures, SPLIT.pictures[0]],
    captions: Int32Array.from(captions.flatMap((row) => [...row])),
    imageIndex: Int32Array.of(0, 0, 2),
  };
  const sampled = [["a", "red", "star"], ["left"], ["the", "star", "left"]];
  const scores = scoreCaptions(sampled, split, VOCABULARY);
  // Words found: 3 of 3, 2 of 3 (against the other caption), 2 of 3; then BLEU-1 is 5 of 6.
  assertAlmostEquals(scores.unigramPrecision, (1 + 2 / 3 + 2 / 3) / 3, 1e-12);
  assertAlmostEquals(scores.bleu[0], 5 / 6, 1e-12);
});

gpuTest("captions over a vocabulary of any size are measured in batches that fit", async (gpu) => {
  const vocabulary = Vocabulary.fromWords(Array.from({ length: 200_000 }, (_, i) => `w${i}`));
  const sizes = { featureDim: 2, hiddenDim: 3, wordDim: 2, vocabularySize: vocabulary.size };
  using captioner = new Captioner(gpu, { cell: "rnn", ...sizes }, new RandomStream(1));
  const most = mostCaptions(captioner, 3);
  // More than a tensor holds, and on a device with room for far more not so many.
  const count = Math.min(100, most + 7);
  const images = Math.min(170, mostCaptions(captioner, 1) + 5);
  const split: PreparedSplit = {
    captionLength: 3,
    captions: Int32Array.from({ length: 3 * count }, (_, i) => [1, 4 + i, 2][i % 3]),
    imageIndex: Int32Array.from({ length: count }, (_, i) => i),
    features: Float32Array.from({ length: 2 * images }, (_, i) => i % 4 - 1),
    pictures: Array.from(
      { length: images },
      (_, i) => ({ name: `${i}`, source: { kind: "svg", svg: "" } }),
    ),
  };
  const loss = await evaluateLoss(captioner, split);
  assertLess(Math.log(vocabulary.size), loss); // of both words together
  assertAlmostEquals(await evaluateLoss(captioner, split, 8), loss, 1e-4);
  const captions = await sampleCaptions(captioner, split, vocabulary);
  assertEquals(captions.length, images);
  assertEquals(captions[images - 2], captions[(images - 2) % 2]);
});
