/**
 * `deno task pretrain`: make the embedded network anew. It is trained on drawings, so that every task on
 * pictures has a network where there are no other weights.
 */
import { IMAGENET_MEAN, IMAGENET_STD, randomHorizontalFlip } from "../data/images/augment.ts";
import { DRAWING_CLASSES, drawPictures } from "../data/made/drawings.ts";
import { EMBEDDED_SIZE, EMBEDDED_WIDTH } from "../data/made/embedded/network.ts";
import { checkWritable } from "../data/files/file.ts";
import { ImageLoader } from "../data/images/image_loader.ts";
import { RandomStream } from "../data/rng.ts";
import { type TensorData, toFloat32, writeSafetensors } from "../data/formats/safetensors.ts";
import type { Gpu } from "../kernels/runtime/gpu.ts";
import { imageLoss, imageScores, measure, ScoreList } from "../models/pictures/image_training.ts";
import { fit } from "../models/training/fit.ts";
import { Adam } from "../models/training/optimizers.ts";
import { Pace } from "../models/training/pace.ts";
import { SqueezeNet11 } from "../models/pictures/squeezenet.ts";
import { defineFlags, integer, number, type Parsed, text } from "./lib/flags.ts";
import { grouped, percent } from "./lib/format.ts";
import { checkMeasured, checkTensors, DivergedError } from "../models/training/finite.ts";
import { openTaskGpu, parseGpuFlags } from "./lib/gpu.ts";
import { interruptSignal, runTask } from "./lib/main.ts";
import { progress } from "./lib/progress.ts";

const flags = defineFlags({
  file: text({
    default: "drawings.safetensors",
    placeholder: "FILE",
    help: "Where the weights go; the embedded ones are data/made/embedded/drawings.safetensors",
  }),
  each: integer({ default: 220, min: 1, max: 100_000, help: "Pictures drawn of each class" }),
  val: integer({ default: 40, min: 1, max: 100_000, help: "Further ones of each to measure on" }),
  epochs: integer({ default: 14, min: 1, max: 10_000, help: "Passes over the pictures" }),
  batch: integer({ default: 16, min: 1, max: 1024, help: "Pictures in a step" }),
  lr: number({
    default: 4e-3,
    moreThan: 0,
    help: "Largest learning rate of Adam; it falls along a cosine",
  }),
  seed: integer({ default: 231, min: 0, max: 2 ** 32, help: "Seed of everything random" }),
});

type Settings = Parsed<typeof flags>;

/** The learning rate rises over so many steps before it falls. */
const WARM_UP = 60;

/**
 * Up to module 7, which style transfer reads, the maps get the size that those of torchvision's network
 * have, so that the same weights of losses suit both. What follows leads back: a last layer that reads
 * larger maps is soon lost at the learning rate of transfer learning.
 */
const MODULE_SCALES = [1, 2.7, 6, 13, 22, 13, 8, 4, 2];
/** Between two modules, the few channels of a fire module get a scale between theirs. */
const SCALES = MODULE_SCALES.flatMap((scale, i) =>
  i === 0 ? [scale] : [Math.sqrt(MODULE_SCALES[i - 1] * scale), scale]
);

/** A tensor in 16 bits a number. */
function half(tensor: TensorData): TensorData {
  return { dtype: "F16", shape: tensor.shape, data: Float16Array.from(toFloat32(tensor)) };
}

/** Pictures to learn from, and others to measure on. */
function drawLoaders({ each, val, batch }: Settings, stream: RandomStream) {
  const draw = (split: string, count: number) =>
    drawPictures(DRAWING_CLASSES, count, EMBEDDED_SIZE, stream.split(split));
  const [train, held] = [draw("train", each), draw("val", val)];
  return {
    train: new ImageLoader(train.pictures, {
      batchSize: batch,
      labels: train.labels,
      stream: stream.split("pictures"),
      augment: randomHorizontalFlip,
    }),
    val: new ImageLoader(held.pictures, { batchSize: 32, labels: held.labels }),
  };
}

type Loaders = ReturnType<typeof drawLoaders>;

/** How good the network is on the held pictures. */
async function validate(
  model: SqueezeNet11,
  { val }: Loaders,
  { val: each }: Settings,
  onBatch: () => Promise<void>,
) {
  const scores = await imageScores(model, val.epoch(0), each * DRAWING_CLASSES.length, onBatch);
  const held = measure(scores);
  checkMeasured(held.loss, "The validation loss");
  return held;
}

/** Train with batch norms. The weights of the network without them, or nothing when it was interrupted. */
async function train(
  gpu: Gpu,
  loaders: Loaders,
  settings: Settings,
  stream: RandomStream,
): Promise<Map<string, TensorData> | undefined> {
  const { each, epochs, lr } = settings;
  using model = new SqueezeNet11(DRAWING_CLASSES.length, {
    width: EMBEDDED_WIDTH,
    batchNorm: true,
  }).toGpu(gpu, stream.split("weights"));
  // The scores pass a ReLU: torchvision's first weights, which are small, would take long to leave it.
  const [last, bias] = model.head.parameters;
  last.tensor.write(last.initial.map((value) => 5 * value));
  bias.tensor.write(bias.initial.fill(0.5));
  using optimizer = new Adam(model.store, { lr: lr / WARM_UP });
  using scores = new ScoreList(model, each * DRAWING_CLASSES.length);
  const perEpoch = loaders.train.batchCount;
  const total = epochs * perEpoch;
  using bar = progress({ total, unit: "step" });
  const draw = stream.split("dropout");
  const { interrupted, diverged } = await fit(model, {
    ...{ optimizer, epochs, signal: interruptSignal(), readEvery: 10 },
    // The rate of a step is that of Adam after the step before.
    schedule: (step) =>
      step === 0
        ? lr / WARM_UP
        : Math.min(step / WARM_UP, 1) * lr * (1 + Math.cos(Math.PI * step / (total + 1))) / 2,
    batches: (epoch) => loaders.train.epoch(epoch),
    loss: (batch, { tape, epoch, inEpoch }) =>
      imageLoss(model, batch, { tape, scores, stream: draw.split(epoch).split(inEpoch) }),
    onEpochStart: () => scores.clear(),
    onLosses: (_, step) => bar.update(step),
    async evaluate(onBatch) {
      const seen = measure(await scores.read());
      const held = await validate(model, loaders, settings, onBatch);
      return { trainAccuracy: seen.accuracy, valLoss: held.loss, valAccuracy: held.accuracy };
    },
    onEpoch: ({ epoch, trainLoss, trainAccuracy, valLoss, valAccuracy }) =>
      bar.note(
        `epoch ${epoch}: training loss ${trainLoss.toFixed(4)}, accuracy ${
          percent(trainAccuracy)
        }; validation loss ${valLoss.toFixed(4)}, accuracy ${percent(valAccuracy)}`,
      ),
  });
  if (diverged !== undefined) throw new DivergedError(diverged);
  return interrupted ? undefined : await model.withoutBatchNorms(SCALES);
}

/** Draw, train, round the weights to 16 bits a number, measure these, and write them. */
async function pretrain(gpu: Gpu, settings: Settings): Promise<void> {
  const { file, each, val, seed } = settings;
  const stream = new RandomStream(seed).split("pretrain");
  const count = DRAWING_CLASSES.length;
  console.log(`Drawing ${grouped((each + val) * count)} pictures of ${count} classes`);
  const loaders = drawLoaders(settings, stream);
  using pace = new Pace(gpu, interruptSignal());
  const trained = await train(gpu, loaders, settings, stream);
  const weights = new Map([...trained ?? []].map(([key, tensor]) => [key, half(tensor)]));
  using model = new SqueezeNet11(count, { width: EMBEDDED_WIDTH }).learn("none").toGpu(gpu);
  if (trained !== undefined) {
    checkTensors(weights, settings.epochs * loaders.train.batchCount);
    model.load(weights);
  }
  const held = trained &&
    await pace.measure((onBatch) => validate(model, loaders, settings, onBatch));
  if (held === undefined) {
    console.log("Interrupted; nothing was written");
    return;
  }
  const { accuracy } = held;
  const { file: _, ...made } = settings;
  // As the transfer tasks save their models.
  await writeSafetensors(file, weights, {
    backbone: "squeezenet1_1",
    classes: JSON.stringify(DRAWING_CLASSES),
    normalisation: JSON.stringify({ mean: IMAGENET_MEAN, std: IMAGENET_STD, size: EMBEDDED_SIZE }),
    accuracy: accuracy.toFixed(4),
    settings: JSON.stringify({ task: "pretrain", ...made }),
  });
  const numbers = model.parameters.reduce((sum, { size }) => sum + size, 0);
  console.log(
    `${model.kind} with ${grouped(numbers)} weights tells ${percent(accuracy)} of ${
      grouped(val * count)
    } drawings it never saw; see ${file}`,
  );
}

await runTask(async () => {
  const settings = parseGpuFlags(flags, Deno.args, {
    task: "pretrain",
    summary: "Train the small embedded network anew on drawn pictures.",
    examples: [
      "deno task pretrain",
      "deno task pretrain --file=data/made/embedded/drawings.safetensors",
    ],
  });
  await checkWritable(settings.file); // before minutes of work, and not after them
  using gpu = await openTaskGpu();
  await pretrain(gpu, settings);
});
