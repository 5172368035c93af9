/** One captioning run, from the command line to the page. Both caption tasks are this with their cell. */
import { type CaptionData, spreadPictures } from "../../data/captions.ts";
import { RandomStream } from "../../data/rng.ts";
import { type Gpu, openGpu } from "../../kernels/gpu.ts";
import { Tensor } from "../../kernels/tensor.ts";
import {
  type CaptionScores,
  evaluateLoss,
  type PreparedSplit,
  prepareSplit,
  sampleCaptions,
  scoreCaptions,
  stepsPerEpoch,
  trainEpoch,
} from "../../models/caption_training.ts";
import { Captioner } from "../../models/captioner.ts";
import type { CellType } from "../../models/layers.ts";
import { LossHistory } from "../../models/loss_history.ts";
import { Adam, type Optimizer, RmsProp, Sgd } from "../../models/optimizers.ts";
import { saveCaptioner } from "../../models/saved_captioner.ts";
import { INTERRUPTED, interruptSignal, turn } from "../lib/main.ts";
import { progress } from "../lib/progress.ts";
import { createRunFolder, type RunFolder } from "../lib/run_folder.ts";
import { captionOwnPictures } from "./own.ts";
import {
  type CaptionResults,
  lossChart,
  type SplitResults,
  type Training,
  writeCaptionPage,
} from "./report.ts";
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
): Promise<Training> {
  const { gpu } = captioner;
  const { epochs, batch, readEvery, keep, seed } = settings;
  const stream = new RandomStream(seed).split("batches");
  const perEpoch = stepsPerEpoch(splits.train.imageIndex.length, batch);
  const signal = interruptSignal();
  using optimizer = makeOptimizer(captioner, settings);
  using history = new LossHistory(gpu, readEvery);
  using best = keep === "best"
    ? Tensor.empty(gpu, captioner.store.values.shape, { name: "best weights" })
    : undefined;
  using bar = progress({ total: epochs * perEpoch, unit: "step" });
  const result: Training = {
    losses: history.losses,
    validation: [],
    keptEpoch: 0,
    epochsDone: 0,
    seconds: 0,
    interrupted: false,
  };
  const start = performance.now();
  let [step, written, bestBleu] = [0, 0, -1];
  const report = () => {
    for (; written < history.losses.length; written++) {
      folder.metric({ step: written + 1, loss: history.losses[written] });
    }
    const recent = history.losses.slice(-perEpoch);
    const loss = recent.reduce((a, b) => a + b, 0) / recent.length;
    bar.update(step, recent.length > 0 ? { loss } : {});
  };
  for (let epoch = 1; epoch <= epochs && !signal.aborted; epoch++) {
    const finished = await trainEpoch({
      captioner,
      optimizer,
      split: splits.train,
      batchSize: batch,
      stream: stream.split(epoch),
      history,
      onStep: async () => {
        step++;
        if (step % readEvery === 0) {
          await turn();
          report();
        }
        return !signal.aborted;
      },
    });
    if (finished) result.epochsDone = epoch;
    if (best !== undefined && (finished || result.keptEpoch === 0)) {
      await history.finish(); // sampling waits for the GPU anyway
      report();
      const sampled = await sampleCaptions(captioner, splits.val, data.vocabulary);
      const bleu4 = scoreCaptions(sampled, splits.val, data.vocabulary).bleu[3];
      result.validation.push({ epoch, bleu4 });
      folder.metric({ epoch, validationBleu4: bleu4, lr: optimizer.lr });
      bar.note(`epoch ${epoch}: validation BLEU-4 ${bleu4.toFixed(4)}`);
      // Of equals the later: it has learnt more.
      if (bleu4 >= bestBleu) {
        bestBleu = bleu4;
        result.keptEpoch = epoch;
        best.copyFrom(captioner.store.values);
      }
    }
  }
  await history.finish();
  report();
  bar.stop();
  if (best === undefined) result.keptEpoch = result.epochsDone;
  else if (result.keptEpoch > 0) captioner.store.values.copyFrom(best);
  gpu.flush();
  result.seconds = (performance.now() - start) / 1000;
  result.interrupted = signal.aborted;
  return result;
}

async function measure(
  captioner: Captioner,
  split: PreparedSplit,
  data: CaptionData,
  settings: CaptionSettings,
): Promise<SplitResults> {
  const { vocabulary } = data;
  const { beam: width, lengthPower } = settings;
  const greedy = await sampleCaptions(captioner, split, vocabulary);
  const beam = await sampleCaptions(captioner, split, vocabulary, { beam: width, lengthPower });
  return {
    split,
    greedy,
    beam,
    loss: await evaluateLoss(captioner, split),
    greedyScores: scoreCaptions(greedy, split, vocabulary),
    beamScores: scoreCaptions(beam, split, vocabulary),
  };
}

function describeScores(name: string, scores: CaptionScores): string {
  const bleu = scores.bleu.map((b, i) => `BLEU-${i + 1} ${b.toFixed(4)}`).join("  ");
  return `${name}  ${bleu}  unigram precision ${scores.unigramPrecision.toFixed(4)}`;
}

/** At most this many training pictures are captioned at the end of a run. */
const MOST_MEASURED = 500;

/** So many pictures of a split, spread over it: enough to measure on, quick to caption. */
function somePictures(split: PreparedSplit, most: number): PreparedSplit {
  return { ...split, ...spreadPictures(split, most) };
}

async function run(gpu: Gpu, settings: CaptionSettings, data: CaptionData): Promise<void> {
  const { cell, hidden, words, dropout, seed, out, maxVal } = settings;
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
  };
  using captioner = new Captioner(gpu, config, new RandomStream(seed).split("weights"));
  // Last of all: what is refused above leaves no folder behind.
  using folder = createRunFolder({ out, task: `caption-${cell}`, now: new Date() });
  console.log(
    `${data.name}: ${data.train.imageIndex.length} captions of ${data.train.pictures.length} pictures to learn from, ` +
      `${splits.val.imageIndex.length} of ${splits.val.pictures.length} to validate; ${captioner.store.count} weights\n` +
      `on ${gpu.adapter.description}${
        gpu.adapter.isFallback ? " (a software adapter)" : ""
      }; writing to ${folder.path}`,
  );
  for (const note of data.notes) console.log(`Note: ${note}`);
  folder.writeConfig({ task: `caption-${cell}`, ...settings, model: config, adapter: gpu.adapter });
  const training = await train(captioner, splits, data, settings, folder);
  await saveCaptioner(`${folder.path}/model.safetensors`, captioner, {
    vocabulary: data.vocabulary,
    scale,
    captionLength: data.captionLength,
  });
  const results: CaptionResults = {
    ...training,
    gpu: gpu.adapter.description,
    train: await measure(captioner, somePictures(splits.train, MOST_MEASURED), data, settings),
    val: await measure(captioner, splits.val, data, settings),
  };
  folder.writeText("loss.svg", lossChart(settings, data, results));
  for (const [name, split] of [["train", results.train], ["validation", results.val]] as const) {
    for (
      const [way, scores] of [["greedy", split.greedyScores], ["beam", split.beamScores]] as const
    ) {
      const [bleu1, bleu2, bleu3, bleu4] = scores.bleu;
      const { unigramPrecision } = scores;
      folder.metric({
        split: name,
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
  const state = training.interrupted ? "Interrupted; what was learnt so far is in" : "Done; see";
  console.log(`${state} ${folder.path}/index.html (${training.seconds.toFixed(1)} s of training)`);
}

/** The whole task. */
export async function captionTask(cell: CellType): Promise<void> {
  const settings = captionSettings(cell, Deno.args);
  if ("model" in settings) {
    await captionOwnPictures(settings);
  } else {
    const data = await captionData(settings);
    using gpu = await openGpu();
    await run(gpu, settings, data);
  }
  // All is saved, but a script that goes on after success must not go on after Ctrl-C.
  if (interruptSignal().aborted) Deno.exitCode = INTERRUPTED;
}
