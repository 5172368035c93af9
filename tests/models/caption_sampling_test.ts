/** Captions word by word: greedy and by beam search, against the float64 twin and by hand. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertGreater,
  assertRejects,
} from "@std/assert";
import { END, NULL, START } from "../../data/text/vocabulary.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { sampleBeam, sampleGreedy } from "../../models/captions/caption_sampling.ts";
import type { Captioner, CaptionerConfig } from "../../models/captions/captioner.ts";
import { nextLogProbabilities } from "../../kernels/reference/captioner.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { normals, SIZES, smallCaptioner, weightsOf } from "./small_captioner.ts";
import { UserError } from "../../data/files/user_error.ts";

const CELLS = ["rnn", "lstm"] as const;
const IMAGES = 6;
const FEATURES = normals("images", IMAGES * SIZES.featureDim).map((v) => 2 * v);

function upload(gpu: Gpu): Tensor {
  return Tensor.from(gpu, FEATURES, [IMAGES, SIZES.featureDim]);
}

function imageOf(image: number): Float64Array {
  const { featureDim } = SIZES;
  return Float64Array.from(FEATURES.subarray(image * featureDim, (image + 1) * featureDim));
}

/** A captioner that never says <NULL> or <START>, and <END> more or less often. */
async function speaker(gpu: Gpu, cell: "rnn" | "lstm", end: number): Promise<Captioner> {
  const captioner = smallCaptioner(gpu, cell);
  const { tensor } = captioner.score.bias!;
  const bias = await tensor.read();
  [bias[NULL], bias[START], bias[END]] = [-50, -50, end];
  tensor.write(bias);
  return captioner;
}

function largest(values: Float64Array): number {
  return values.indexOf(Math.max(...values));
}

for (const cell of CELLS) {
  gpuTestBothPaths(
    `greedy captions of the ${cell} captioner are its twin's, word by word`,
    async (gpu) => {
      using captioner = await speaker(gpu, cell, 1);
      using features = upload(gpu);
      const length = 7;
      const sampled = await sampleGreedy(captioner, features, length);
      const weights = await weightsOf(captioner);
      const expected = sampled.map((_, image) => {
        const words = [START];
        while (words.length <= length) {
          words.push(
            largest(nextLogProbabilities({ ...SIZES, cell }, weights, imageOf(image), words)),
          );
          if (words.at(-1) === END) break;
        }
        return words.slice(1).filter((word) => word !== END);
      });
      assertEquals(sampled, expected);
      assert(new Set(sampled.map(String)).size > 2, "the images hardly matter");
      assert(sampled.some((words) => words.length < length), "no caption ends");
    },
  );

  gpuTest(`a beam of width 1 is greedy with the ${cell} captioner`, async (gpu) => {
    using features = upload(gpu);
    for (const end of [-50, 0, 1, 2]) {
      using captioner = await speaker(gpu, cell, end);
      const greedy = await sampleGreedy(captioner, features, 7);
      for (const lengthPower of [0, 0.7, 1]) {
        assertEquals(
          await sampleBeam(captioner, features, { width: 1, length: 7, lengthPower }),
          greedy,
        );
      }
      if (end === -50) assert(greedy.every((words) => words.length === 7));
    }
  });

  gpuTest(
    `a beam that is wide enough finds the best of all captions of the ${cell} captioner`,
    async (gpu) => {
      using captioner = smallCaptioner(gpu, cell, { vocabularySize: 6 });
      using features = upload(gpu);
      const weights = await weightsOf(captioner);
      const shape = { ...SIZES, vocabularySize: 6, cell };
      for (const lengthPower of [0, 0.7]) {
        const options = { width: 50, length: 3, lengthPower };
        const sampled = await sampleBeam(captioner, features, options);
        for (let image = 0; image < IMAGES; image++) {
          let best = { words: [] as number[], value: -Infinity };
          /** Go through all captions of up to two words that begin with `words`. */
          const search = (words: number[], logProbability: number) => {
            const logs = nextLogProbabilities(shape, weights, imageOf(image), [START, ...words]);
            const value = (logProbability + logs[END]) / Math.max(1, words.length) ** lengthPower;
            if (value > best.value) best = { words, value };
            if (words.length === 2) return;
            for (const word of [3, 4, 5]) search([...words, word], logProbability + logs[word]);
          };
          search([], 0);
          assertEquals(sampled[image], best.words);
        }
      }
    },
  );
}

// A chain of words: the next one depends on the last alone. Rows and columns are <NULL>, <START>, <END>,
// <UNK>, a, b. The likeliest first word, a, leads on and on; b ends almost surely.
const [A, B] = [4, 5];
const CHAIN = [
  [1, 0, 0, 0, 0, 0],
  [0, 0, 0, 0, 0.6, 0.4],
  [1, 0, 0, 0, 0, 0],
  [0, 0, 1, 0, 0, 0],
  [0, 0, 0.3, 0, 0.4, 0.3],
  [0, 0, 0.95, 0, 0.05, 0],
];

/** An RNN without memory: its state says which word came last, and row by row the scores are log p. */
function chainCaptioner(gpu: Gpu): Captioner {
  const config: Partial<CaptionerConfig> = { vocabularySize: 6, wordDim: 6, hiddenDim: 6 };
  const captioner = smallCaptioner(gpu, "rnn", config);
  for (const { tensor } of captioner.parameters) tensor.write(new Float32Array(tensor.size));
  const diagonal = CHAIN.flatMap((row, i) => row.map((_, j) => i === j ? 5 : 0));
  captioner.embed.weight.tensor.write(diagonal);
  captioner.recurrent.wx.tensor.write(diagonal); // tanh(25) is 1
  captioner.score.weight.tensor.write(CHAIN.flat().map((p) => Math.log(Math.max(p, 1e-9))));
  return captioner;
}

function chainProbability(words: number[]): number {
  const all = [START, ...words, END];
  return all.slice(1).reduce((product, word, i) => product * CHAIN[all[i]][word], 1);
}

gpuTest("a beam finds a caption that is likelier than the greedy one", async (gpu) => {
  using captioner = chainCaptioner(gpu);
  using features = Tensor.zeros(gpu, [2, SIZES.featureDim]);
  const greedy = await sampleGreedy(captioner, features, 5);
  assertEquals(greedy, [[A, A, A, A, A], [A, A, A, A, A]]);
  const beam = await sampleBeam(captioner, features, { width: 2, length: 5 });
  assertEquals(beam, [[B], [B]]);
  assertAlmostEquals(chainProbability(beam[0]), 0.38, 1e-12);
  assertGreater(chainProbability(beam[0]), chainProbability(greedy[0]));
});

gpuTest("a higher lengthPower asks for more words", async (gpu) => {
  using captioner = chainCaptioner(gpu);
  using features = Tensor.zeros(gpu, [1, SIZES.featureDim]);
  const lengths = [];
  for (const lengthPower of [0, 2]) {
    const [words] = await sampleBeam(captioner, features, { width: 20, length: 6, lengthPower });
    assertGreater(chainProbability(words), 0);
    lengths.push(words.length);
  }
  assertEquals(lengths[0], 1);
  assertGreater(lengths[1], 2);
});

gpuTest("images are captioned alike alone and together", async (gpu) => {
  using captioner = await speaker(gpu, "lstm", 1);
  using features = upload(gpu);
  const options = { width: 3, length: 6 };
  const together = await sampleBeam(captioner, features, options);
  const greedy = await sampleGreedy(captioner, features, 6);
  for (const image of [0, IMAGES - 1]) {
    using one = Tensor.from(gpu, imageOf(image), [1, SIZES.featureDim]);
    assertEquals(await sampleBeam(captioner, one, options), [together[image]]);
    assertEquals(await sampleGreedy(captioner, one, 6), [greedy[image]]);
  }
});

gpuTest("sampling waits for the GPU once if greedy, and takes no images at all", async (gpu) => {
  using captioner = await speaker(gpu, "rnn", -50);
  using features = upload(gpu);
  using none = Tensor.zeros(gpu, [0, SIZES.featureDim]);
  gpu.flush();
  const { submits } = { ...gpu.recorder.counts };
  await sampleGreedy(captioner, features, 20);
  assertEquals(gpu.recorder.counts.submits - submits <= 2, true);
  assertEquals(await sampleGreedy(captioner, none, 3), []);
  assertEquals(await sampleBeam(captioner, none, { width: 2, length: 3 }), []);
});

gpuTest("sampling refuses what cannot be", async (gpu) => {
  using captioner = smallCaptioner(gpu, "rnn");
  using features = upload(gpu);
  using wrong = Tensor.zeros(gpu, [2, 4]);
  for (const length of [0, 2.5, NaN]) {
    const message = `length must be a whole number from 1: it is ${length}`;
    await assertRejects(() => sampleGreedy(captioner, features, length), RangeError, message);
    await assertRejects(
      () => sampleBeam(captioner, features, { width: 2, length }),
      RangeError,
      message,
    );
  }
  for (const width of [0, 1.5]) {
    const beam = () => sampleBeam(captioner, features, { width, length: 3 });
    await assertRejects(beam, RangeError, `width must be a whole number from 1: it is ${width}`);
  }
  for (const lengthPower of [-1, NaN, Infinity]) {
    const beam = () => sampleBeam(captioner, features, { width: 2, length: 3, lengthPower });
    await assertRejects(
      beam,
      RangeError,
      `lengthPower must be a number from 0: it is ${lengthPower}`,
    );
  }
  await assertRejects(() => sampleGreedy(captioner, wrong, 3), TypeError, "features [N, F]");
  await assertRejects(
    () => sampleBeam(captioner, wrong, { width: 2, length: 3 }),
    TypeError,
    "[N, F]",
  );
});

gpuTest(
  "captioners whose numbers are not finite say nothing, rather than the first word",
  async (gpu) => {
    for (const cell of CELLS) {
      for (const name of ["project", "score"] as const) {
        using captioner = await speaker(gpu, cell, -50);
        const { tensor } = captioner[name].bias!;
        const bias = await tensor.read();
        bias[bias.length - 1] = NaN;
        tensor.write(bias);
        using features = upload(gpu);
        const message = "The scores of the words are not finite";
        await assertRejects(() => sampleGreedy(captioner, features, 3), UserError, message);
        const options = { width: 2, length: 3 };
        await assertRejects(() => sampleBeam(captioner, features, options), UserError, message);
      }
    }
  },
);
