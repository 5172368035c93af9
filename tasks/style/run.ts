/** A style run from the command line to the page. All style tasks are this with their settings. */
import { join } from "@std/path";
import { denormalize, normalize } from "../../data/images/augment.ts";
import { decodeImage, encodePng, type RgbImage } from "../../data/images/image.ts";
import { RandomStream } from "../../data/rng.ts";
import { printable } from "../../data/files/messages.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import type { SavedState, Stateful } from "../../models/training/checkpoint.ts";
import { painting, StyleTransfer } from "../../models/pictures/style_transfer.ts";
import { openBackbone } from "../lib/backbone.ts";
import { figure } from "../lib/format.ts";
import { diverged } from "../../models/training/finite.ts";
import { openTaskGpu } from "../lib/gpu.ts";
import { digestOf } from "../lib/digest.ts";
import { type CommandLine, commandLine } from "../lib/resume.ts";
import { resumeLine, trainModel } from "../lib/training.ts";
import { createRunFolder, reopenRunFolder, type RunFolder } from "../lib/run_folder.ts";
import type { StylePresetName } from "./paintings.ts";
import { drawnNotes, type StylePicture, type StylePictures, stylePictures } from "./pictures.ts";
import { type Frame, lossChart, type StyleResults, writeStylePage } from "./report.ts";
import {
  objectiveOf,
  presetSettings,
  settingsInUse,
  type StyleSettings,
  transferSettings,
} from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** The network, with sentences about it. It is the caller's to dispose of. */
async function openNetwork(gpu: Gpu, { weights }: StyleSettings) {
  const flags = { backbone: "squeezenet1_1", weights, partial: false } as const;
  const { model, notes } = await openBackbone(gpu, flags, { learned: "none" });
  if (model instanceof SqueezeNet11) return { network: model, notes };
  model.dispose();
  throw new UserError(`Style transfer needs a SqueezeNet, and the weights are of ${model.kind}`);
}

/** A picture as the network wants it: `[1, H, W, 3]`. */
function upload(gpu: Gpu, image: RgbImage, name: string): Tensor {
  return Tensor.from(gpu, normalize(image), [1, image.height, image.width, 3], { name });
}

/** Random pixels, as CS231n's: from 0 to 1 where the network's numbers are normalized ones. */
function randomStart({ width, height }: RgbImage, seed: number): Float32Array<ArrayBuffer> {
  const stream = new RandomStream(seed).split("pixels");
  return Float32Array.from({ length: 3 * width * height }, () => stream.uniform());
}

/** Everything on the GPU. It is the caller's to dispose of. */
function makeTransfer(
  gpu: Gpu,
  network: SqueezeNet11,
  pictures: StylePictures,
  settings: StyleSettings,
): StyleTransfer {
  using content = upload(gpu, pictures.content.image, "content picture");
  using style = upload(gpu, pictures.style.image, "style picture");
  const start = settings.init === "random"
    ? randomStart(pictures.content.image, settings.seed)
    : undefined;
  return new StyleTransfer(network, { content, style, start }, objectiveOf(settings));
}

/** What a search comes to. */
type Found = Pick<
  StyleResults,
  "losses" | "frames" | "result" | "seconds" | "interrupted" | "diverged"
>;

/** Pictures on the way: the GPU goes on while they are written. */
class Frames implements Stateful {
  readonly #frames: (Frame & { path: string })[] = [];
  #writing: Promise<void>[] = [];

  constructor(
    readonly transfer: StyleTransfer,
    readonly folder: RunFolder,
    readonly settings: StyleSettings,
  ) {}

  #nameOf(iterations: number): string {
    const digits = String(this.settings.iterations).length;
    return `frame-${String(iterations).padStart(digits, "0")}.png`;
  }

  /** Keep the picture after so many iterations, where one is wanted. */
  keep(iterations: number): void {
    const { framesEvery, iterations: all } = this.settings;
    if (framesEvery === 0 || iterations % framesEvery !== 0 || iterations === all) return;
    const pixels = this.transfer.pixels.startRead();
    const kept = (async () => {
      const [, height, width] = this.transfer.pixels.shape;
      const image = denormalize(await pixels, width, height);
      const path = this.folder.writeBytes(this.#nameOf(iterations), await encodePng(image));
      this.#frames.push({ iterations, image, path });
    })();
    kept.catch(() => {}); // thrown when it is waited for
    this.#writing.push(kept);
  }

  /** All are in their files when a checkpoint is written. */
  async state(): Promise<SavedState> {
    await Promise.all(this.#writing.splice(0));
    return {};
  }

  loadState(): void {}

  /** Read those that an earlier run wrote until so many iterations. */
  async reread(until: number): Promise<void> {
    const { framesEvery } = this.settings;
    for (let at = 0; framesEvery > 0 && at <= until; at += framesEvery) {
      const path = join(this.folder.path, this.#nameOf(at));
      this.#frames.push({ iterations: at, image: await decodeImage(path), path });
    }
  }

  /** All until so many iterations; files of later ones are removed. */
  async until(last: number): Promise<Frame[]> {
    await this.state();
    for (const { iterations, path } of this.#frames) if (iterations > last) await Deno.remove(path);
    return this.#frames.filter(({ iterations }) => iterations <= last)
      .sort((a, b) => a.iterations - b.iterations);
  }
}

/** Move the pixels, and keep pictures on the way. */
async function search(
  transfer: StyleTransfer,
  network: SqueezeNet11,
  { content: { image: content }, style: { image: style } }: StylePictures,
  settings: StyleSettings,
  folder: RunFolder,
  resume: boolean,
): Promise<Found> {
  const { iterations, readEvery, saveEvery, task } = settings;
  const { width, height } = content;
  const frames = new Frames(transfer, folder, settings);
  const { losses: noted, diverged, ...result } = await trainModel(transfer, {
    ...painting(transfer, iterations),
    ...{ task, folder, resume, saveEvery, readEvery, keepEvery: readEvery, perEpoch: iterations },
    made: {
      ...settingsInUse(settings),
      ...{ out: undefined, saveEvery: undefined, readEvery: undefined, data: undefined },
      ...{ content: undefined, style: undefined, network: network.kind },
      digest: await digestOf(Uint8Array.from(content.data), Uint8Array.from(style.data)),
    },
    states: { frames },
    recordsOf: (noted) => transfer.lossesOf(noted).map((losses) => ({ ...losses })),
    figuresOf(records) {
      const { total, content, style, variation } = records.at(-1)!;
      return { loss: total, content, style, variation };
    },
    async onStart({ losses }, resumed) {
      if (resumed) await frames.reread(losses.length / transfer.parts);
      else frames.keep(0);
    },
    onStep: (step) => frames.keep(step),
  });
  const { gpu } = transfer.pixels;
  const pixels = await transfer.pixels.read();
  await gpu.check();
  return {
    losses: transfer.lossesOf(noted),
    frames: await frames.until(diverged === undefined ? Infinity : result.keptStep),
    result: denormalize(pixels, width, height),
    seconds: result.seconds,
    interrupted: result.interrupted,
    diverged: diverged === undefined ? undefined : { reason: diverged, kept: result.keptStep },
  };
}

function describePicture(role: string, { name, path, image }: StylePicture): string {
  return `${role}: ${printable(path ?? name)}, seen at ${image.width} x ${image.height}`;
}

async function run(
  gpu: Gpu,
  settings: StyleSettings,
  pictures: StylePictures,
  { args, resume }: CommandLine,
): Promise<void> {
  const { out, task } = settings;
  const opened = await openNetwork(gpu, settings);
  using network = opened.network;
  using transfer = makeTransfer(gpu, network, pictures, settings);
  await gpu.check();
  const notes = [...drawnNotes(pictures), ...opened.notes];
  // Last of all: what is refused above leaves no folder behind.
  using folder = resume === undefined
    ? createRunFolder({ out, task, now: new Date() })
    : reopenRunFolder(resume);
  const { adapter } = gpu;
  console.log(
    [
      describePicture("Content", pictures.content),
      describePicture("Style", pictures.style),
      ...notes.map((note) => `Note: ${note}`),
      `${network.kind} on ${adapter.description}${
        adapter.isFallback ? " (a software adapter)" : ""
      }; writing to ${folder.path}`,
    ].join("\n"),
  );
  folder.writeConfig({
    task,
    arguments: args,
    ...settingsInUse(settings),
    network: network.kind,
    adapter,
  });
  folder.writeBytes("content.png", await encodePng(pictures.content.image));
  folder.writeBytes("style.png", await encodePng(pictures.style.image));
  const going = resume !== undefined;
  const found = await search(transfer, network, pictures, settings, folder, going);
  const results = { ...found, notes, gpu: adapter.description };
  folder.writeBytes("result.png", await encodePng(found.result));
  folder.writeText("loss.svg", lossChart(settings, pictures, results));
  await writeStylePage(folder, settings, pictures, results);
  const last = found.losses.at(-1);
  if (last !== undefined) {
    const { total, content, style, variation } = last;
    console.log(
      `Loss ${figure(found.losses[0].total)} at first, ${figure(total)} at last: content ${
        figure(content)
      }, style ${figure(style)}, total variation ${figure(variation)}`,
    );
  }
  if (found.diverged !== undefined) {
    const { reason, kept } = found.diverged;
    throw diverged(
      reason,
      `The picture after ${kept} iterations is in ${folder.path}/index.html and ${folder.path}/result.png`,
    );
  }
  const state = found.interrupted ? "Interrupted; the picture until then is in" : "Done; see";
  console.log(
    `${state} ${folder.path}/index.html and ${folder.path}/result.png (${
      found.seconds.toFixed(1)
    } s for ${found.losses.length} iterations)`,
  );
  if (found.interrupted) console.log(resumeLine(task, folder));
}

async function styleTask(
  task: string,
  read: (args: readonly string[]) => StyleSettings,
): Promise<void> {
  const { settings, ...line } = commandLine(Deno.args, task, read);
  const pictures = await stylePictures(settings);
  using gpu = await openTaskGpu();
  await run(gpu, settings, pictures, line);
}

/** The whole task of a painting. */
export async function stylePresetTask(name: StylePresetName): Promise<void> {
  await styleTask(`style-${name}`, (args) => presetSettings(name, args));
}

/** The whole task for anyone's pictures. */
export async function styleTransferTask(): Promise<void> {
  await styleTask("style-transfer", transferSettings);
}
