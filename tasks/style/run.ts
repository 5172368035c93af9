/** A style run from the command line to the page. All style tasks are this with their settings. */
import { denormalise, normalise } from "../../data/images/augment.ts";
import { encodePng, type RgbImage } from "../../data/images/image.ts";
import { RandomStream } from "../../data/rng.ts";
import { printable } from "../../data/files/messages.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { SqueezeNet11 } from "../../models/squeezenet.ts";
import { StyleTransfer } from "../../models/style_transfer.ts";
import { openBackbone } from "../lib/backbone.ts";
import { figure } from "../lib/format.ts";
import { checkMeasured, diverged, divergence } from "../../models/finite.ts";
import { openTaskGpu } from "../lib/gpu.ts";
import { interruptSignal } from "../lib/main.ts";
import { Pace } from "../../models/pace.ts";
import { progress } from "../lib/progress.ts";
import { createRunFolder, type RunFolder } from "../lib/run_folder.ts";
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
  const { model, notes } = await openBackbone(gpu, flags, { learnt: "none" });
  if (model instanceof SqueezeNet11) return { network: model, notes };
  model.dispose();
  throw new UserError(`Style transfer needs a SqueezeNet, and the weights are of ${model.kind}`);
}

/** A picture as the network wants it: `[1, H, W, 3]`. */
function upload(gpu: Gpu, image: RgbImage, name: string): Tensor {
  return Tensor.from(gpu, normalise(image), [1, image.height, image.width, 3], { name });
}

/** Random pixels, as CS231n's: from 0 to 1 where the network's numbers are normalised ones. */
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
  const { readEvery } = settings;
  return new StyleTransfer(network, { content, style, start }, objectiveOf(settings), {
    readEvery,
  });
}

/** The last pixels of which the loss is known to be finite, and later ones that wait for theirs. */
class GoodPixels implements Disposable {
  /** After so many iterations; nothing before a loss is known. */
  at: number | undefined;
  readonly #good: Tensor;
  readonly #next: Tensor;
  #nextAt = 0;

  constructor(readonly transfer: StyleTransfer) {
    const { gpu, shape } = transfer.pixels;
    this.#good = Tensor.empty(gpu, shape, { name: "good pixels" });
    this.#next = Tensor.empty(gpu, shape, { name: "next good pixels" });
    this.#next.copyFrom(transfer.pixels);
  }

  /** Look at the losses read so far. The loss of iteration i is that of the pixels after i iterations. */
  update(): void {
    if (this.transfer.losses.length <= this.#nextAt) return;
    this.#good.copyFrom(this.#next);
    this.at = this.#nextAt;
    this.#next.copyFrom(this.transfer.pixels);
    this.#nextAt = this.transfer.iterations;
  }

  read(): Promise<Float32Array> {
    return this.#good.read();
  }

  [Symbol.dispose](): void {
    this.#good.dispose();
    this.#next.dispose();
  }
}

/** What a search comes to. */
type Found = Pick<
  StyleResults,
  "losses" | "frames" | "result" | "seconds" | "interrupted" | "diverged"
>;

/** Move the pixels, and keep pictures on the way. The GPU goes on while they are written. */
async function search(
  transfer: StyleTransfer,
  { width, height }: RgbImage,
  settings: StyleSettings,
  folder: RunFolder,
): Promise<Found> {
  const { iterations, framesEvery, readEvery } = settings;
  const signal = interruptSignal();
  using pace = new Pace(transfer.pixels.gpu, signal);
  using good = new GoodPixels(transfer);
  const frames: (Frame & { path: string })[] = [];
  const writing: Promise<void>[] = [];
  const digits = String(iterations).length;
  const keepFrame = (iterations: number) => {
    const pixels = transfer.pixels.startRead();
    const kept = (async () => {
      const image = denormalise(await pixels, width, height);
      const name = `frame-${String(iterations).padStart(digits, "0")}.png`;
      const path = folder.writeBytes(name, await encodePng(image));
      frames.push({ iterations, image, path });
    })();
    kept.catch(() => {}); // thrown below
    writing.push(kept);
  };
  using bar = progress({ total: iterations, unit: "iteration" });
  let written = 0;
  const report = () => {
    const { losses } = transfer;
    for (; written < losses.length; written++) {
      folder.metric({ iteration: written, ...losses[written] });
    }
    const { total, content, style, variation } = losses.at(-1) ?? {};
    bar.update(
      transfer.iterations,
      losses.length > 0
        ? { loss: total!, content: content!, style: style!, variation: variation! }
        : {},
    );
  };
  const start = performance.now();
  let pixels: Float32Array | undefined;
  let failure: string | undefined;
  try {
    if (framesEvery > 0) keepFrame(0);
    let goOn = !signal.aborted;
    while (goOn && transfer.iterations < iterations) {
      await transfer.step();
      const { iterations: done } = transfer;
      if (framesEvery > 0 && done % framesEvery === 0 && done < iterations) keepFrame(done);
      goOn = await pace.step();
      if (done % readEvery === 0) {
        report();
        good.update();
      }
    }
    await transfer.finish();
    good.update();
    pixels = await transfer.pixels.read();
    const wrong = pixels.findIndex((value) => !Number.isFinite(value));
    if (wrong >= 0) checkMeasured(pixels[wrong], "A pixel after the last iteration");
  } catch (error) {
    failure = divergence(error);
    good.update();
    if (good.at === undefined) throw error;
    pixels = await good.read();
  }
  report();
  bar.stop();
  await Promise.all(writing);
  const { losses } = transfer;
  const last = failure === undefined ? Infinity : good.at!;
  for (const { iterations, path } of frames) if (iterations > last) await Deno.remove(path);
  const seconds = (performance.now() - start) / 1000;
  return {
    losses,
    frames: frames.filter(({ iterations }) => iterations <= last)
      .sort((a, b) => a.iterations - b.iterations),
    result: denormalise(pixels, width, height),
    seconds,
    interrupted: signal.aborted,
    diverged: failure === undefined ? undefined : { reason: failure, kept: good.at! },
  };
}

function describePicture(role: string, { name, path, image }: StylePicture): string {
  return `${role}: ${printable(path ?? name)}, seen at ${image.width} x ${image.height}`;
}

async function run(gpu: Gpu, settings: StyleSettings, pictures: StylePictures): Promise<void> {
  const { out, task } = settings;
  const opened = await openNetwork(gpu, settings);
  using network = opened.network;
  using transfer = makeTransfer(gpu, network, pictures, settings);
  await gpu.check();
  const notes = [...drawnNotes(pictures), ...opened.notes];
  // Last of all: what is refused above leaves no folder behind.
  using folder = createRunFolder({ out, task, now: new Date() });
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
  folder.writeConfig({ task, ...settingsInUse(settings), network: network.kind, adapter });
  folder.writeBytes("content.png", await encodePng(pictures.content.image));
  folder.writeBytes("style.png", await encodePng(pictures.style.image));
  const found = await search(transfer, pictures.content.image, settings, folder);
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
}

async function styleTask(settings: StyleSettings): Promise<void> {
  const pictures = await stylePictures(settings);
  using gpu = await openTaskGpu();
  await run(gpu, settings, pictures);
}

/** The whole task of a painting. */
export async function stylePresetTask(name: StylePresetName): Promise<void> {
  await styleTask(presetSettings(name, Deno.args));
}

/** The whole task for anyone's pictures. */
export async function styleTransferTask(): Promise<void> {
  await styleTask(transferSettings(Deno.args));
}
