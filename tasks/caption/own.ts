/** Captions of one's own pictures, by the captioner of an earlier run. */
import { type Picture, spread, standardize } from "../../data/sets/captions.ts";
import { SCENE_FEATURE_DIM } from "../../data/made/scenes.ts";
import { printable } from "../../data/files/messages.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { sampleCaptions } from "../../models/captions/caption_training.ts";
import type { Captioner } from "../../models/captions/captioner.ts";
import { type CaptionerSetting, loadCaptioner } from "../../models/captions/saved_captioner.ts";
import {
  type ExtractedFeatures,
  extractFeatures,
  openSqueezeNet,
  SQUEEZENET_FEATURES,
} from "../lib/features.ts";
import { UsageError } from "../lib/flags.ts";
import { grouped } from "../lib/format.ts";
import { openTaskGpu } from "../lib/gpu.ts";
import { interruptSignal } from "../lib/main.ts";
import { modelFile } from "../lib/model_file.ts";
import { findPictures, pictureCount, shortNames } from "../lib/own_pictures.ts";
import { type Card, page, pictureHtml } from "../lib/page.ts";
import { Pace } from "../../models/training/pace.ts";
import { createRunFolder, type RunFolder } from "../lib/run_folder.ts";
import type { OwnSettings } from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A picture with the words of its captions. */
interface Captioned {
  picture: Picture;
  path: string;
  greedy: string;
  beam: string;
}

/**
 * Refuse a captioner of other features than SqueezeNet's (UserError), or one that does not go with the flags
 * (UserError, UsageError).
 */
export function checkCaptioner(
  { config }: Pick<Captioner, "config">,
  { scale, vocabulary }: Pick<CaptionerSetting, "scale" | "vocabulary">,
  { cell, beam }: Pick<OwnSettings, "cell" | "beam">,
  path: string,
): void {
  const its = `The captioner in ${path}`;
  if (config.cell !== cell) {
    throw new UserError(
      `${its} has ${
        config.cell === "lstm" ? "an LSTM" : "an RNN"
      }: use deno task caption-${config.cell}`,
    );
  }
  if (config.featureDim === SCENE_FEATURE_DIM) {
    throw new UserError(
      `${its} was trained on scenes drawn by neckar, and reads their pixels: photographs have no such ` +
        "features, so train one on photographs with --data",
    );
  }
  const reads = `${its} reads other features than SqueezeNet's`;
  const train = "train one on features that deno task features made";
  if (config.featureDim !== SQUEEZENET_FEATURES) {
    throw new UserError(
      `${reads}: ${config.featureDim} numbers of a picture, and not ${SQUEEZENET_FEATURES}; ${train}`,
    );
  }
  // SqueezeNet's come out of a ReLU.
  if (scale.mean.some((mean) => mean < 0)) {
    throw new UserError(
      `${reads}: some are below zero on average, as VGG's are after PCA; ${train}`,
    );
  }
  if (beam > vocabulary.size - 2) {
    throw new UsageError(
      `Flag --beam is ${beam}, and the vocabulary of ${vocabulary.size} words allows 1 to ${
        vocabulary.size - 2
      }`,
    );
  }
}

async function caption(
  captioner: Captioner,
  { scale, vocabulary, captionLength }: CaptionerSetting,
  { features, paths }: ExtractedFeatures,
  { beam, lengthPower }: OwnSettings,
  onBatch: () => Promise<void>,
): Promise<Captioned[]> {
  const names = shortNames(paths);
  const pictures = paths.map((path, i): Picture => ({
    name: names[i],
    source: { kind: "file", path },
  }));
  const split = {
    features: standardize(features, scale),
    ...{ pictures, captionLength, captions: new Int32Array(0), imageIndex: new Int32Array(0) },
  };
  const greedy = await sampleCaptions(captioner, split, vocabulary, { onBatch });
  const wide = await sampleCaptions(captioner, split, vocabulary, { beam, lengthPower, onBatch });
  return pictures.map((picture, i) => ({
    picture,
    path: paths[i],
    greedy: greedy[i].join(" "),
    beam: wide[i].join(" "),
  }));
}

/** At most so many pictures are on the page. */
const MOST_SHOWN = 200;

async function writePage(
  folder: RunFolder,
  settings: OwnSettings,
  captioned: readonly Captioned[],
  { gpu, notes }: { gpu: string; notes: readonly string[] },
): Promise<void> {
  const { cell, beam } = settings;
  const said = [...notes];
  const cards: Card[] = [];
  for (const i of spread(captioned.length, MOST_SHOWN)) {
    const { picture, greedy, beam: wide } = captioned[i];
    cards.push({
      picture: await pictureHtml(picture, {
        onUnreadable: (name, reason) => said.push(`${name} cannot be shown: ${reason}`),
      }),
      name: picture.name,
      entries: [
        { label: "greedy", texts: [greedy], strong: true },
        { label: `beam ${beam}`, texts: [wide], strong: true },
      ],
    });
  }
  const html = page({
    title: `Pictures captioned by ${cell === "lstm" ? "an LSTM" : "an RNN"}`,
    subtitle: `${pictureCount(captioned.length)}, on ${gpu}`,
    sections: [
      {
        kind: "gallery",
        title: "Pictures",
        cards,
        note: `${cards.length} of ${grouped(captioned.length)} pictures.`,
      },
      {
        kind: "settings",
        title: "Settings",
        settings: { ...settings, images: settings.images.replaceAll(",", ", ") },
      },
      ...(said.length === 0 ? [] : [{ kind: "text", title: "Notes", paragraphs: said } as const]),
    ],
  });
  folder.writeText("index.html", html);
}

async function run(
  gpu: Gpu,
  settings: OwnSettings,
  found: Awaited<ReturnType<typeof findPictures>>,
): Promise<void> {
  const { cell, beam, weights, out, strict } = settings;
  const task = `caption-${cell}`;
  const path = await modelFile(settings.model, task);
  const loaded = await loadCaptioner(gpu, path);
  using captioner = loaded.captioner;
  checkCaptioner(captioner, loaded.setting, settings, path);
  if (weights === undefined) {
    throw new UsageError(
      "Flag --weights must be given with --model: the captioner reads the features that SqueezeNet 1.1 " +
        "makes of a photograph",
    );
  }
  const opened = await openSqueezeNet(gpu, weights);
  using network = opened.model;
  const { adapter } = gpu;
  console.log(
    `${
      pictureCount(found.paths.length)
    } through ${network.kind} and the captioner in ${path}, on ${adapter.description}${
      adapter.isFallback ? " (a software adapter)" : ""
    }`,
  );
  const extracted = await extractFeatures(opened, found.paths, strict);
  using pace = new Pace(gpu, interruptSignal());
  const captioned = extracted &&
    await pace.measure((onBatch) =>
      caption(captioner, loaded.setting, extracted, settings, onBatch)
    );
  if (extracted === undefined || captioned === undefined) {
    console.log("Interrupted; no picture is captioned");
    return;
  }
  // Last of all: what is refused above leaves no folder behind.
  using folder = createRunFolder({ out, task, now: new Date() });
  folder.writeConfig({ task, ...settings, adapter });
  const notes = [...found.notes, ...extracted.notes];
  const width = Math.max("greedy".length, `beam ${beam}`.length);
  for (const { picture, path, greedy, beam: wide } of captioned) {
    folder.metric({ picture: path, greedy, beam: wide });
    console.log(
      `${picture.name}\n  ${"greedy".padEnd(width)}  ${printable(greedy)}\n  ${
        `beam ${beam}`.padEnd(width)
      }  ${printable(wide)}`, // a stranger's model has words of its own
    );
  }
  await writePage(folder, settings, captioned, { gpu: adapter.description, notes });
  for (const note of notes) console.log(note);
  console.log(`Done; see ${folder.path}/index.html`);
}

/** Caption the pictures that the settings name, and write a page. */
export async function captionOwnPictures(settings: OwnSettings): Promise<void> {
  const found = await findPictures(settings.images, settings.strict);
  using gpu = await openTaskGpu();
  await run(gpu, settings, found);
}
