/** The captioner: batches, loss, and what a training step costs. */
import { assert, assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { RandomStream } from "../../data/rng.ts";
import { uploadIndices } from "../../kernels/embedding/embedding.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape } from "../../models/tape/autograd.ts";
import { type CaptionBatch, Captioner, uploadCaptions } from "../../models/captions/captioner.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { captionerLoss } from "../../kernels/reference/captioner.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import {
  BATCH,
  CAPTIONS,
  FEATURES,
  SIZES,
  smallBatch,
  smallCaptioner,
  weightsOf,
} from "./small_captioner.ts";

const CELLS = ["rnn", "lstm"] as const;
const { vocabularySize } = SIZES;

async function lossOf(captioner: Captioner, batch: CaptionBatch, training = false) {
  using _tape = new Tape(captioner.gpu, { training });
  return (await captioner.loss(batch).tensor.read())[0];
}

gpuTest("a batch is time-major and ends with its longest caption", async (gpu) => {
  using batch = smallBatch(gpu);
  assertEquals([...batch.targets.shape], [4, 3]); // the last of five steps is padding everywhere
  assertEquals([...await batch.words.ids.read()], [1, 1, 1, 4, 7, 5, 9, 2, 4, 3, 0, 4]);
  assertEquals([...await batch.targets.read()], [4, 7, 5, 9, 2, 4, 3, 0, 4, 2, 0, 2]);
  assertEquals(batch.tokens, 10);
  assertEquals([...batch.features.shape], [3, 5]);
  assertEquals(await batch.features.read(), FEATURES);
});

gpuTest(
  "the first words and scores have the deviations asked for, or the homework's",
  async (gpu) => {
    const config = { cell: "rnn", ...SIZES, hiddenDim: 30, wordDim: 50 } as const;
    const deviations = async (more: { wordDeviation?: number; scoreDeviation?: number }) => {
      using captioner = new Captioner(gpu, { ...config, ...more }, new RandomStream(5));
      const { embed, score } = captioner;
      const values = await Promise.all([embed, score].map((l) => l.weight.variable.tensor.read()));
      return values.map((list) => Math.sqrt(list.reduce((sum, v) => sum + v * v, 0) / list.length));
    };
    const check = (found: number[], expected: number[]) =>
      expected.forEach((e, i) => assertLess(Math.abs(found[i] / e - 1), 0.15));
    check(await deviations({}), [0.01, 1 / Math.sqrt(30)]);
    check(await deviations({ wordDeviation: 0.5 }), [0.5, 1 / Math.sqrt(30)]);
    check(await deviations({ scoreDeviation: 2 }), [0.01, 2]);
    for (
      const wrong of [{ wordDeviation: -1 }, { scoreDeviation: NaN }, { wordDeviation: Infinity }]
    ) {
      assertThrows(
        () => new Captioner(gpu, { ...config, ...wrong }, new RandomStream(5)),
        RangeError,
        `A deviation is a finite number from 0, and ${Object.values(wrong)[0]} was given`,
      );
    }
  },
);

gpuTest("a batch of padding alone keeps one step, and its loss is 0", async (gpu) => {
  using captioner = smallCaptioner(gpu, "rnn");
  using batch = uploadCaptions(gpu, new Int32Array(9), FEATURES, { batch: 3, vocabularySize });
  assertEquals([[...batch.targets.shape], batch.tokens], [[1, 3], 0]);
  assertEquals(await lossOf(captioner, batch), 0);
});

/** The batch with all of its steps, as if nothing had been cut. */
function uncutBatch(gpu: Gpu): CaptionBatch {
  const column = (t: number) => [0, 1, 2].map((n) => CAPTIONS[6 * n + t]);
  const tensors = {
    words: uploadIndices(gpu, [0, 1, 2, 3, 4].flatMap(column), vocabularySize),
    targets: Tensor.from(gpu, [1, 2, 3, 4, 5].flatMap(column), [5, 3], { dtype: "u32" }),
    features: Tensor.from(gpu, FEATURES, [3, 5]),
  };
  const dispose = () => Object.values(tensors).forEach((tensor) => tensor[Symbol.dispose]());
  return { ...tensors, tokens: 10, [Symbol.dispose]: dispose };
}

for (const cell of CELLS) {
  gpuTest(
    `the steps that ${cell} batches leave out change no loss and no gradient`,
    async (gpu) => {
      using captioner = smallCaptioner(gpu, cell);
      const results = [];
      for (const make of [smallBatch, uncutBatch]) {
        using batch = make(gpu);
        using tape = new Tape(gpu);
        captioner.store.zeroGradients();
        const loss = captioner.loss(batch);
        tape.backward(loss);
        results.push([await loss.tensor.read(), await captioner.store.gradients.read()]);
      }
      const [[cutLoss, cutGradients], [loss, gradients]] = results;
      assertLess(relativeError(cutLoss, loss), 1e-6);
      assertLess(relativeError(cutGradients, gradients), 1e-6);
    },
  );

  gpuTestBothPaths(`the loss of the ${cell} captioner is its twin's`, async (gpu) => {
    using captioner = smallCaptioner(gpu, cell);
    const weights = await weightsOf(captioner);
    for (const count of [3, 1]) {
      const captions = CAPTIONS.slice(0, 6 * count);
      const features = FEATURES.slice(0, SIZES.featureDim * count);
      using batch = uploadCaptions(gpu, captions, features, { batch: count, vocabularySize });
      const shape = { ...SIZES, cell };
      const twin = captionerLoss(shape, weights, Float64Array.from(features), captions, count);
      assertAlmostEquals(await lossOf(captioner, batch), twin, 1e-5 * twin);
      assertAlmostEquals(await lossOf(captioner, batch, true), twin, 1e-5 * twin);
    }
  });

  gpuTest(
    `a training step of the ${cell} captioner is 18 + 2 T dispatches, and small ones share a submit`,
    (gpu) => {
      using captioner = smallCaptioner(gpu, cell);
      using optimizer = new Adam(captioner.store, { lr: 1e-3 });
      using batch = smallBatch(gpu);
      gpu.flush();
      const steps = batch.targets.shape[0];
      const { submits } = { ...gpu.recorder.counts };
      for (let i = 0; i < 4; i++) {
        const { dispatches } = { ...gpu.recorder.counts };
        using tape = new Tape(gpu);
        tape.backward(captioner.loss(batch));
        optimizer.step();
        // Forward: projection, word vectors, T + 1 for the cell, scores, cross-entropy, sum.
        // Backward: 3 for the scores, T + 5 for the cell, 1 for the words, 2 for the projection. One update.
        assertEquals(gpu.recorder.counts.dispatches - dispatches, 18 + 2 * steps);
      }
      assert(18 + 2 * steps < 32);
      assertEquals(gpu.recorder.counts.submits - submits, 2);
    },
  );

  gpuTest(
    `50 training steps of the ${cell} captioner need no more buffers than the third`,
    (gpu) => {
      using captioner = smallCaptioner(gpu, cell, { dropout: 0.2 });
      using optimizer = new Adam(captioner.store, { lr: 1e-3, clipNorm: 5 });
      const { pool } = gpu;
      const [live, bytes] = [pool.liveBuffers, pool.liveBytes];
      let settled: number[] = [];
      for (let i = 0; i < 50; i++) {
        pool.peakBytes = pool.liveBytes;
        {
          using batch = smallBatch(gpu);
          using tape = new Tape(gpu);
          tape.backward(captioner.loss(batch));
          optimizer.step();
        }
        assertEquals([pool.liveBuffers, pool.liveBytes], [live, bytes]);
        const now = [pool.peakBytes, pool.idleBytes];
        if (i === 2) settled = now;
        if (i > 2) assertEquals(now, settled, `step ${i}`);
      }
    },
  );
}

gpuTest("dropout changes the loss in training only", async (gpu) => {
  using captioner = smallCaptioner(gpu, "lstm", { dropout: 0.5 });
  using plain = smallCaptioner(gpu, "lstm");
  using batch = smallBatch(gpu);
  assertEquals(await lossOf(captioner, batch), await lossOf(plain, batch));
  const first = await lossOf(captioner, batch, true);
  const second = await lossOf(captioner, batch, true);
  assert(first !== second && first !== await lossOf(plain, batch));
  assertThrows(() => smallCaptioner(gpu, "rnn", { dropout: 1 }), RangeError, "and 1 was given");
});

gpuTest("a batch that does not fit is refused, and leaves nothing behind", (gpu) => {
  const sizes = { batch: BATCH, vocabularySize };
  const upload = (captions: number[], features: ArrayLike<number> = FEATURES, own = sizes) => () =>
    uploadCaptions(gpu, captions, features, own);
  const change = (at: number, word: number) => CAPTIONS.with(at, word);
  assertThrows(upload(CAPTIONS.slice(1)), TypeError, "17 numbers are not 3 captions");
  assertThrows(upload([1, 1, 1]), TypeError, "of at least two tokens each");
  assertThrows(upload([], [], { ...sizes, batch: 0 }), TypeError, "0 captions");
  assertThrows(upload(CAPTIONS, FEATURES.subarray(1)), TypeError, "14 numbers are not features");
  assertThrows(upload(CAPTIONS, []), TypeError, "0 numbers are not features of 3 images");
  assertThrows(
    upload(change(1, 11)),
    RangeError,
    "The word index 11, word 1 of caption 0, is not in the vocabulary of 11 words: 0 to 10 are allowed",
  );
  assertThrows(upload(change(4, -1)), RangeError, "The word index -1");
  assertThrows(upload(change(16, 2.5)), RangeError, "The word index 2.5");
  assertThrows(upload(change(6, 1.7)), RangeError, "The word index 1.7, word 0 of caption 1");
  assertThrows(upload(change(0, 99)), RangeError, "The word index 99, word 0 of caption 0");
  using captioner = smallCaptioner(gpu, "rnn");
  using other = uploadCaptions(gpu, CAPTIONS, FEATURES.subarray(3), sizes);
  using _tape = new Tape(gpu);
  assertThrows(() => captioner.loss(other), TypeError, "inner sizes 4 and 5");
});
