/** One captioning run, from the command line to the page. Both caption tasks are this with their cell. */
import type { CaptionData } from "../../data/sets/captions.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  captionBatch,
  captionBatches,
  type CaptionScores,
  mostCaptions,
  type PreparedSplit,
  prepareSplit,
  sampleCaptions,
  scoreCaptions,
  stepsPerEpoch,
} from "../../models/captions/caption_training.ts";
import { Captioner } from "../../models/captions/captioner.ts";
import type { CellType } from "../../models/layers/layers.ts";
import type { FitResult } from "../../models/training/fit.ts";
import { Adam, type Optimizer, RmsProp, Sgd } from "../../models/training/optimizers.ts";
import { saveCaptioner } from "../../models/captions/saved_captioner.ts";
import { checkMeasured, diverged } from "../../models/training/finite.ts";
import { interruptSignal } from "../lib/main.ts";
import { Pace } from "../../models/training/pace.ts";
import { UsageError } from "../lib/flags.ts";
import { openTaskGpu } from "../lib/gpu.ts";
import { digestOf } from "../lib/digest.ts";
import { type CommandLine, commandLine } from "../lib/resume.ts";
import { resumeLine, trainModel } from "../lib/training.ts";
import { createRunFolder, reopenRunFolder, type RunFolder } from "../lib/run_folder.ts";
import { measureSplits, somePictures } from "./measure.ts";
import { captionOwnPictures } from "./own.ts";
import { type CaptionResults, lossChart, writeCaptionPage } from "./report.ts";
import { captionData, type CaptionSettings, captionSettings, featureScale } from "./settings.ts";

function makeOptimizer(captioner: Captioner, settings: CaptionSettings): Optimizer {
  const { lr, decay, stepDecay, clip, weightDecay, momentum } = settings;
  const options = {
    lr,
    decayPerEpoch: decay,
    decayPerStep: stepDecay,
    clipNorm: clip,
    weightDecay,
  };
  switch (settings.optimizer) {
    case "adam":
      return new Adam(captioner.store, options);
    case "rmsprop":
      return new RmsProp(captioner.store, options);
    case "sgd":
      return new Sgd(captioner.store, { ...options, momentum });
  }
}

/** Train, watch validation where the best epoch is kept, and leave the weights to keep in the captioner. */
async function train(
  captioner: Captioner,
  splits: { train: PreparedSplit; val: PreparedSplit },
  data: CaptionData,
  settings: CaptionSettings,
  folder: RunFolder,
  resume: boolean,
): Promise<FitResult> {
  const { cell, epochs, batch, sortWithin, readEvery, keep, seed, lr, schedule } = settings;
  const stream = new RandomStream(seed).split("batches");
  const perEpoch = stepsPerEpoch(splits.train.imageIndex.length, batch);
  using optimizer = makeOptimizer(captioner, settings);
  return await trainModel(captioner, {
    ...{ optimizer, epochs, perEpoch, readEvery, folder, resume, task: `caption-${cell}` },
    saveEvery: settings.saveEvery,
    made: {
      ...settings,
      ...{ out: undefined, saveEvery: undefined, readEvery: undefined },
      data: data.name,
      digest: await digestOf(data.train.captions, data.train.features, data.val.features),
    },
    schedule: schedule === "linear" ? (step) => lr * (1 - step / (epochs * perEpoch)) : undefined,
    batches: (epoch) =>
      captionBatches(splits.train, { batchSize: batch, sortWithin, stream: stream.split(epoch) }),
    loss: (chosen, { tape }) =>
      captioner.loss(tape.keep(captionBatch(captioner, splits.train, chosen))),
    ...keep === "best" && {
      async evaluate(onBatch) {
        const sampled = await sampleCaptions(captioner, splits.val, data.vocabulary, { onBatch });
        return { validationBleu4: scoreCaptions(sampled, splits.val, data.vocabulary).bleu[3] };
      },
      // Of equals the later: it has learned more.
      keep: { best: "validationBleu4", later: true },
    },
    describe: ({ validationBleu4 }) => `validation BLEU-4 ${validationBleu4.toFixed(4)}`,
    note: ({ validationBleu4 }) => ({ validationBleu4, lr: optimizer.lr }),
  });
}

function describeScores(name: string, scores: CaptionScores): string {
  const bleu = scores.bleu.map((b, i) => `BLEU-${i + 1} ${b.toFixed(4)}`).join("  ");
  return `${name}  ${bleu}  unigram precision ${scores.unigramPrecision.toFixed(4)}`;
}

/** Refuse what the GPU cannot hold at once, before anything is learned (UsageError). */
function checkSizes(captioner: Captioner, data: CaptionData, settings: CaptionSettings): void {
  const where = `"${captioner.gpu.adapter.description}"`;
  const words = `over ${data.vocabulary.size} words`;
  const captions = mostCaptions(captioner, data.captionLength);
  if (settings.batch > captions) {
    throw new UsageError(
      `Flag --batch is ${settings.batch}, and ${where} holds at most ${captions} captions of ${data.captionLength} tokens ${words} in a batch`,
    );
  }
  const beams = mostCaptions(captioner, 1);
  if (settings.beam > beams) {
    throw new UsageError(
      `Flag --beam is ${settings.beam}, and ${where} holds at most ${beams} captions ${words} side by side`,
    );
  }
}

async function run(
  gpu: Gpu,
  settings: CaptionSettings,
  data: CaptionData,
  { args, resume }: CommandLine,
): Promise<void> {
  const { cell, hidden, words, wordDeviation, scoreDeviation, dropout, seed, out, maxVal } =
    settings;
  const scale = featureScale(data);
  const val = prepareSplit(data.val, scale);
  const splits = {
    train: prepareSplit(data.train, scale),
    val: maxVal === 0 ? val : somePictures(val, maxVal),
  };
  const config = {
    cell,
    featureDim: data.featureDim,
    hiddenDim: hidden,
    wordDim: words,
    vocabularySize: data.vocabulary.size,
    dropout,
    wordDeviation,
    scoreDeviation,
  };
  using captioner = new Captioner(gpu, config, new RandomStream(seed).split("weights"));
  checkSizes(captioner, data, settings);
  // Last of all: what is refused above leaves no folder behind.
  const task = `caption-${cell}`;
  using folder = resume === undefined
    ? createRunFolder({ out, task, now: new Date() })
    : reopenRunFolder(resume);
  console.log(
    `${data.name}: ${data.train.imageIndex.length} captions of ${data.train.pictures.length} pictures to learn from, ` +
      `${splits.val.imageIndex.length} of ${splits.val.pictures.length} to validate; ${captioner.store.count} weights\n` +
      `on ${gpu.adapter.description}${
        gpu.adapter.isFallback ? " (a software adapter)" : ""
      }; writing to ${folder.path}`,
  );
  for (const note of data.notes) console.log(`Note: ${note}`);
  folder.writeConfig({ task, arguments: args, ...settings, model: config, adapter: gpu.adapter });
  using pace = new Pace(gpu, interruptSignal());
  const training = await train(captioner, splits, data, settings, folder, resume !== undefined);
  await saveCaptioner(`${folder.path}/model.safetensors`, captioner, {
    vocabulary: data.vocabulary,
    scale,
    captionLength: data.captionLength,
  });
  const measured = await measureSplits(captioner, splits, data, settings, pace);
  const results: CaptionResults = {
    ...training,
    ...measured,
    gpu: gpu.adapter.description,
    interrupted: pace.signal.aborted,
  };
  checkMeasured(measured.val.loss, "The validation loss of the weights that were kept");
  folder.writeText("loss.svg", lossChart(settings, data, results));
  if (results.interrupted) {
    console.log(
      `Interrupted: measured on ${measured.train.split.pictures.length} training and ` +
        `${measured.val.split.pictures.length} validation pictures`,
    );
  }
  for (const [name, split] of [["train", results.train], ["validation", results.val]] as const) {
    for (
      const [way, scores] of [["greedy", split.greedyScores], ["beam", split.beamScores]] as const
    ) {
      const [bleu1, bleu2, bleu3, bleu4] = scores.bleu;
      const { unigramPrecision } = scores;
      folder.metric({
        split: name,
        ...(results.interrupted && { pictures: split.split.pictures.length }),
        way,
        loss: split.loss,
        bleu1,
        bleu2,
        bleu3,
        bleu4,
        unigramPrecision,
      });
      const label = `${name} ${way === "beam" ? `beam ${settings.beam}` : way}`.padEnd(18);
      console.log(describeScores(label, scores));
    }
    console.log(
      `${name} loss ${split.loss.toFixed(4)} (sum over a caption, average over captions)`,
    );
  }
  await writeCaptionPage(folder, settings, data, results);
  if (results.diverged !== undefined) {
    throw diverged(
      results.diverged,
      `The weights after epoch ${results.keptEpoch} are kept; see ${folder.path}/index.html`,
    );
  }
  const state = results.interrupted ? "Interrupted; what was learned so far is in" : "Done; see";
  console.log(`${state} ${folder.path}/index.html (${training.seconds.toFixed(1)} s of training)`);
  if (results.interrupted) console.log(resumeLine(task, folder));
}

/** The whole task. */
export async function captionTask(cell: CellType): Promise<void> {
  const read = (args: readonly string[]) => captionSettings(cell, args);
  const { settings, ...line } = commandLine(Deno.args, `caption-${cell}`, read);
  if ("model" in settings) {
    await captionOwnPictures(settings);
  } else {
    const data = await captionData(settings);
    using gpu = await openTaskGpu();
    await run(gpu, settings, data, line);
  }
}
