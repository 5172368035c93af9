/** Training on pictures: by seed, with frozen weights, with either statistics of batch norms; and measures. */
import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertLess,
  assertNotEquals,
  assertRejects,
  assertThrows,
} from "@std/assert";
import { type ImageBatch, ImageLoader } from "../../data/images/image_loader.ts";
import type { RgbImage } from "../../data/images/rgb_image.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  answers,
  imageLoss,
  imageScores,
  measure,
  type PictureScores,
  probabilities,
  ScoreList,
} from "../../models/pictures/image_training.ts";
import { fit } from "../../models/training/fit.ts";
import { Adam, type Optimizer, Sgd } from "../../models/training/optimizers.ts";
import type { Parameter } from "../../models/layers/parameters.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import type { Learned } from "../../models/pictures/vision_model.ts";
import { gpuTest } from "../gpu_support.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A noisy picture, reddish for class 0 and bluish for class 1. */
function picture(label: number, i: number): RgbImage {
  const stream = new RandomStream(3).split(label).split(i);
  const side = 32;
  const data = Uint8Array.from(
    { length: 3 * side * side },
    (_, at) => (at % 3 === 2 * label ? 150 : 0) + stream.integer(100),
  );
  return { width: side, height: side, data };
}

const LABELS = Uint32Array.of(0, 1, 0, 1, 0, 1, 0);
const PICTURES = Array.from(LABELS, picture);

/** The smallest SqueezeNet there is, for two classes. */
function smallNetwork(gpu: Gpu, learned: Learned, batchNorm = true): SqueezeNet11 {
  const options = { width: 1 / 16, batchNorm };
  return new SqueezeNet11(2, options).learn(learned).toGpu(gpu, 1);
}

const loader = new ImageLoader(PICTURES, {
  batchSize: 4,
  labels: LABELS,
  stream: new RandomStream(5),
});

interface Training {
  epochs?: number;
  seed?: number;
  optimizer?: Optimizer;
  batchStatistics?: boolean;
  batches?: (epoch: number) => AsyncIterable<ImageBatch>;
}

/** Train a network on the pictures: the losses, and the scores of each epoch. */
async function train(model: SqueezeNet11, options: Training = {}) {
  const { epochs = 1, seed = 7, batches = (epoch) => loader.epoch(epoch) } = options;
  const { batchStatistics } = options;
  using sgd = new Sgd(model.store, { lr: 0.003, momentum: 0.9 });
  const { optimizer = sgd } = options;
  using list = new ScoreList(model, PICTURES.length);
  const scores: PictureScores[] = [];
  const { losses } = await fit(model, {
    ...{ optimizer, epochs, readEvery: 3 },
    batches: (epoch) => batches(epoch - 1),
    loss: (batch, { tape, epoch, inEpoch }) =>
      imageLoss(model, batch, {
        ...{ tape, scores: list, stream: new RandomStream(seed).split(epoch - 1).split(inEpoch) },
        ...batchStatistics === undefined ? {} : { batchStatistics },
      }),
    onEpochStart: () => list.clear(),
    async evaluate() {
      scores.push(await list.read());
      return {};
    },
  });
  return { losses, scores };
}

/** The numbers of parameters, by name. */
async function values(
  parameters: readonly Parameter[],
): Promise<Record<string, readonly number[]>> {
  const read = async ({ name, tensor }: Parameter) => [name, [...await tensor.read()]] as const;
  return Object.fromEntries(await Promise.all(parameters.map(read)));
}

gpuTest("a network learns to tell pictures apart", async (gpu) => {
  using model = new SqueezeNet11(2, { width: 1 / 4 }).toGpu(gpu, 1);
  using optimizer = new Adam(model.store, { lr: 3e-3 });
  const { losses } = await train(model, { epochs: 12, optimizer });
  assertEquals(losses.length, 24);
  assertLess(losses.at(-1)!, 0.5 * losses[0]);
  const val = await imageScores(model, loader.epoch(0), PICTURES.length);
  assertEquals(measure(val).accuracy, 1);
});

gpuTest("training is repeated bit for bit by its seed", async (gpu) => {
  const run = async (seed: number) => {
    using model = smallNetwork(gpu, "all");
    return {
      ...await train(model, { epochs: 2, seed }),
      end: await values(model.store.parameters),
    };
  };
  const [first, again, other] = [await run(7), await run(7), await run(8)];
  assertEquals(again, first);
  assertNotEquals(other.losses, first.losses); // dropout
  // The scores of an epoch are those that its losses are of.
  const scores = first.scores[1]!;
  assertEquals([...scores.indices].sort(), [0, 1, 2, 3, 4, 5, 6]);
  assertEquals([...scores.labels], Array.from(scores.indices, (i) => LABELS[i]));
  const loss = (4 * first.losses[2] + 3 * first.losses[3]) / 7;
  assertAlmostEquals(measure(scores).loss, loss, 1e-6);
});

gpuTest("frozen weights stay, and have no place for gradients", async (gpu) => {
  using model = smallNetwork(gpu, "head");
  const head = new Set(model.head.parameters);
  const frozen = model.parameters.filter((parameter) => !head.has(parameter));
  for (const { variable } of frozen) {
    assertEquals([variable.requiresGrad, variable.slot], [false, undefined]);
  }
  assertEquals(model.store.trainable, model.head.parameters);
  const before = [await values(frozen), await values(model.head.parameters)];
  await train(model, { epochs: 2 });
  const after = [await values(frozen), await values(model.head.parameters)];
  assertEquals(after[0], before[0]);
  for (const { name } of model.head.parameters) {
    assertNotEquals(after[1][name], before[1][name], name);
  }
});

for (const learned of ["all", "head"] as const) {
  gpuTest(`batch norms move their statistics or leave them, learning ${learned}`, async (gpu) => {
    const statistics = async (batchStatistics?: boolean) => {
      using model = smallNetwork(gpu, learned);
      const before = await values(model.buffers);
      const { losses } = await train(model, {
        ...batchStatistics === undefined ? {} : { batchStatistics },
      });
      return { before, losses, after: await values(model.buffers) };
    };
    const moved = await statistics();
    assertEquals(await statistics(true), moved);
    for (const name of Object.keys(moved.before)) {
      assertNotEquals(moved.after[name], moved.before[name], name);
    }
    const left = await statistics(false);
    assertEquals(left.after, left.before);
    assertNotEquals(left.losses, moved.losses);
  });
}

gpuTest("imageScores learns nothing, and answers alike in batches of any size", async (gpu) => {
  using model = smallNetwork(gpu, "all");
  await train(model);
  const before = await values(model.store.parameters);
  const score = async (batchSize: number) => {
    const inOrder = new ImageLoader(PICTURES, { batchSize, labels: LABELS });
    return await imageScores(model, inOrder.epoch(0), PICTURES.length);
  };
  const all = await score(7);
  assertEquals([all.classes, [...all.indices], [...all.labels]], [2, [...LABELS.keys()], [
    ...LABELS,
  ]]);
  for (const size of [1, 3]) {
    const { logits } = await score(size);
    logits.forEach((logit, i) => assertAlmostEquals(logit, all.logits[i], 1e-5));
  }
  assertEquals(await values(model.store.parameters), before);
});

gpuTest("pictures without a label, and labels that are no class, are refused", async (gpu) => {
  using model = smallNetwork(gpu, "head", false);
  const wrong: [Uint32Array | undefined, string][] = [
    [undefined, "There are 0 labels for 4 pictures"],
    [LABELS.map((label) => 2 * label), "a class from 0 to 1: that of picture 1 is 2"],
  ];
  for (const [labels, message] of wrong) {
    const one = new ImageLoader(PICTURES, { batchSize: 4, ...labels && { labels } });
    const epoch = () => one.epoch(0);
    await assertRejects(() => train(model, { batches: epoch }), RangeError, message);
    await assertRejects(() => imageScores(model, epoch(), 7), RangeError, message);
  }
});

/** Scores of pictures of three classes. */
function scoresOf(logits: number[], labels: number[]): PictureScores {
  return {
    classes: 3,
    logits: Float32Array.from(logits),
    labels: Uint32Array.from(labels),
    indices: Uint32Array.from(labels.keys()),
  };
}

Deno.test("answers, probabilities and measures follow from the scores", () => {
  const scores = scoresOf([0, Math.log(2), 0, 5, 5, 5, 900, -900, 0], [1, 1, 0]);
  assertEquals([...answers(scores)], [1, 0, 0]); // of equals the first
  const [first, second, third] = [0, 1, 2].map((i) => [...probabilities(scores, i)]);
  first.forEach((p, i) => assertAlmostEquals(p, [0.25, 0.5, 0.25][i], 1e-7));
  second.forEach((p) => assertAlmostEquals(p, 1 / 3, 1e-12));
  assertEquals(third, [1, 0, 0]);
  const { loss, accuracy } = measure(scores);
  assertAlmostEquals(loss, (Math.log(2) + Math.log(3)) / 3, 1e-7);
  assertAlmostEquals(accuracy, 2 / 3, 1e-12);
  assertAlmostEquals(measure(scoresOf([900, 0, 0], [1])).loss, 900, 1e-9);
});

Deno.test("a measure of nothing is refused, and one of scores that are no numbers says so", () => {
  assertThrows(() => measure(scoresOf([], [])), RangeError, "at least one picture");
  assert(Number.isNaN(measure(scoresOf([NaN, 0, 0], [1])).loss));
  for (const v of [NaN, Infinity, -Infinity]) {
    const message = `The score of picture 1 for class 2 is ${v}: look for NaN`;
    const scores = scoresOf([1, 2, 3, 0, 0, v], [0, 0]);
    assertThrows(() => probabilities(scores, 1), UserError, message);
    assertEquals(probabilities(scores, 0).length, 3);
  }
});
