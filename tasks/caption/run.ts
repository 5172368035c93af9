/** One captioning run, from the command line to the page. Both caption tasks are this with their cell. */
import type { CaptionData } from "../../data/sets/captions.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import {
  type CaptionScores,
  mostCaptions,
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
import { checkMeasured, checkWeights, diverged, divergence } from "../lib/finite.ts";
import { interruptSignal } from "../lib/main.ts";
import { Pace } from "../lib/pace.ts";
import { UsageError } from "../lib/flags.ts";
import { openTaskGpu } from "../lib/gpu.ts";
import { progress } from "../lib/progress.ts";
import { createRunFolder, type RunFolder } from "../lib/run_folder.ts";
import { measureSplits, somePictures } from "./measure.ts";
import { captionOwnPictures } from "./own.ts";
import { type CaptionResults, lossChart, type Training, writeCaptionPage } from "./report.ts";
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
  pace: Pace,
): Promise<Training> {
  const { gpu, store } = captioner;
  const { epochs, batch, sortWithin, readEvery, keep, seed, lr, schedule } = settings;
  const stream = new RandomStream(seed).split("batches");
  const perEpoch = stepsPerEpoch(splits.train.imageIndex.length, batch);
  const { signal } = pace;
  using optimizer = makeOptimizer(captioner, settings);
  using history = new LossHistory(gpu, readEvery);
  // Also where the last weights are wanted: they may come to be of no use.
  using good = Tensor.empty(gpu, store.values.shape, { name: "good weights" });
  using bar = progress({ total: epochs * perEpoch, unit: "step" });
  const result: Training = {
    losses: history.losses,
    validation: [],
    keptEpoch: 0,
    epochsDone: 0,
    seconds: 0,
    interrupted: false,
    diverged: undefined,
  };
  const start = performance.now();
  let [step, written, bestBleu, checkedAt] = [0, 0, -1, 0];
  const report = () => {
    for (; written < history.losses.length; written++) {
      folder.metric({ step: written + 1, loss: history.losses[written] });
    }
    const recent = history.losses.slice(-perEpoch);
    const loss = recent.reduce((a, b) => a + b, 0) / recent.length;
    bar.update(step, recent.length > 0 ? { loss } : {});
  };
  const keepGood = (epoch: number) => {
    result.keptEpoch = epoch;
    good.copyFrom(store.values);
  };
  /** Wait for the losses, and see whether they and the weights are finite. */
  const check = async () => {
    await history.finish();
    await checkWeights(store, step);
    checkedAt = step;
  };
  try {
    for (let epoch = 1; epoch <= epochs && !signal.aborted; epoch++) {
      const finished = await trainEpoch({
        captioner,
        optimizer,
        split: splits.train,
        batchSize: batch,
        sortWithin,
        stream: stream.split(epoch),
        history,
        onStep: async () => {
          step++;
          if (schedule === "linear") optimizer.lr = lr * (1 - step / (epochs * perEpoch));
          const goOn = await pace.step();
          if (step % readEvery === 0) report();
          return goOn;
        },
      });
      if (finished) result.epochsDone = epoch;
      if (keep === "last") {
        // Not after each of many short epochs: every check waits for the GPU.
        if (!finished || step - checkedAt < readEvery) continue;
        await check();
        keepGood(epoch);
        continue;
      }
      if (!finished && result.keptEpoch > 0) break;
      await check(); // sampling waits for the GPU anyway
      report();
      const sampled = await pace.measure((onBatch) =>
        sampleCaptions(captioner, splits.val, data.vocabulary, { onBatch })
      );
      if (sampled === undefined) {
        if (result.keptEpoch === 0) keepGood(epoch);
        break;
      }
      const bleu4 = scoreCaptions(sampled, splits.val, data.vocabulary).bleu[3];
      result.validation.push({ epoch, bleu4 });
      folder.metric({ epoch, validationBleu4: bleu4, lr: optimizer.lr });
      bar.note(`epoch ${epoch}: validation BLEU-4 ${bleu4.toFixed(4)}`);
      // Of equals the later: it has learnt more.
      if (bleu4 >= bestBleu) {
        bestBleu = bleu4;
        keepGood(epoch);
      }
    }
    await check();
  } catch (error) {
    result.diverged = divergence(error);
    if (result.keptEpoch === 0) throw error;
  }
  report();
  bar.stop();
  if (keep === "best" || result.diverged !== undefined) {
    if (result.keptEpoch > 0) store.values.copyFrom(good);
  } else result.keptEpoch = result.epochsDone;
  gpu.flush();
  result.seconds = (performance.now() - start) / 1000;
  result.interrupted = signal.aborted;
  return result;
}

function describeScores(name: string, scores: CaptionScores): string {
  const bleu = scores.bleu.map((b, i) => `BLEU-${i + 1} ${b.toFixed(4)}`).join("  ");
  return `${name}  ${bleu}  unigram precision ${scores.unigramPrecision.toFixed(4)}`;
}

/** Refuse what the GPU cannot hold at once, before anything is learnt (UsageError). */
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

async function run(gpu: Gpu, settings: CaptionSettings, data: CaptionData): Promise<void> {
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
  using pace = new Pace(gpu, interruptSignal());
  const training = await train(captioner, splits, data, settings, folder, pace);
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
  const state = results.interrupted ? "Interrupted; what was learnt so far is in" : "Done; see";
  console.log(`${state} ${folder.path}/index.html (${training.seconds.toFixed(1)} s of training)`);
}

/** The whole task. */
export async function captionTask(cell: CellType): Promise<void> {
  const settings = captionSettings(cell, Deno.args);
  if ("model" in settings) {
    await captionOwnPictures(settings);
  } else {
    const data = await captionData(settings);
    using gpu = await openTaskGpu();
    await run(gpu, settings, data);
  }
}
