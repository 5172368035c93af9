/** How the product reads each format from a path, and whether what it throws is a clear sentence. */
import { basename } from "@std/path";
import { loadCocoCaptioning } from "../../data/sets/coco_captioning.ts";
import { readFeatures } from "../../data/sets/feature_files.ts";
import { readGlove } from "../../data/text/glove.ts";
import { readHdf5 } from "../../data/formats/hdf5/hdf5.ts";
import { decodeImage } from "../../data/images/image.ts";
import { decodeNpy } from "../../data/formats/npz.ts";
import { readSafetensors } from "../../data/formats/safetensors.ts";
import { loadSentences } from "../../data/text/sentences.ts";
import { unpackZip } from "../../data/formats/zip/unpack.ts";
import { readVocabulary } from "../../data/text/vocabulary.ts";
import { readWeightFile } from "../../data/formats/weights.ts";
import { type Gpu, openGpu } from "../../kernels/runtime/gpu.ts";
import { fit } from "../../models/training/fit.ts";
import { Adam } from "../../models/training/optimizers.ts";
import { loadCaptioner } from "../../models/captions/saved_captioner.ts";
import { loadClassifier } from "../../models/sentences/saved_classifier.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { openBackbone } from "../../tasks/lib/backbone.ts";
import { explain } from "../../tasks/lib/main.ts";
import { commandLine } from "../../tasks/lib/resume.ts";
import { transferSettings } from "../../tasks/transfer/settings.ts";

/** The settings of {@link CHECKPOINT_SIZES}'s run. */
export const MADE = { seed: 1, classes: "a, b" };

/** The network whose checkpoints are read. */
export const CHECKPOINT_SIZES = { classes: 2, width: 1 / 16 };

let opened: Promise<Gpu> | undefined;
const gpu = () => opened ??= openGpu();

/** Read a file or a folder; what is made of it is let go of. */
export type Reader = (path: string) => Promise<unknown>;

export const READERS = {
  safetensors: readSafetensors,
  weights: readWeightFile,
  npy: async (path: string) => decodeNpy(await Deno.readFile(path)),
  unpack: async (path: string) => {
    const folder = `${path}.unpacked`;
    const failed = await unpackZip(path, folder).then(() => undefined, (error: unknown) => error);
    await Deno.remove(folder, { recursive: true }).catch(() => {});
    if (await Deno.stat(`${folder}.part`).catch(() => undefined)) throw new Error("left a .part");
    if (failed !== undefined) throw failed;
  },
  network: async (path: string) => {
    const settings = { weights: path, backbone: undefined, partial: false };
    const { model } = await openBackbone(await gpu(), settings);
    model.dispose();
  },
  classifier: async (path: string) =>
    (await loadClassifier(await gpu(), path)).classifier.dispose(),
  captioner: async (path: string) => (await loadCaptioner(await gpu(), path)).captioner.dispose(),
  checkpoint: async (path: string) => {
    const { classes, width } = CHECKPOINT_SIZES;
    using model = new SqueezeNet11(classes, { width }).toGpu(await gpu());
    using optimizer = new Adam(model.store, { lr: 1e-3 });
    await fit(model, {
      optimizer,
      batches: () => [],
      loss: () => {
        throw new Error("There are no batches");
      },
      checkpoint: { path, resume: true, made: MADE, every: Infinity },
      signal: { aborted: true },
    });
  },
  run: (path: string) =>
    Promise.resolve().then(() =>
      commandLine(
        [`--resume=${path}`],
        "transfer-finetune",
        (args) => transferSettings("all", args),
      )
    ),
  features: readFeatures,
  vocabulary: readVocabulary,
  glove: (path: string) => readGlove(path),
  sentences: loadSentences,
  coco: (path: string) => loadCocoCaptioning(path),
  hdf5: (path: string) =>
    readHdf5(path, ["int8", "uint64", "float32", "packed", "group/inside", "empty", "cube"]),
  picture: (path: string) => decodeImage(path),
} satisfies Record<string, Reader>;

/** A format that is read here. */
export type Format = keyof typeof READERS;

/** How the reading of a file went. */
export interface Outcome {
  /** The sentence of a refusal; nothing where the file was read. */
  refusal?: string;
  /** What is wrong with the error, with its stack. */
  fault?: string;
  milliseconds: number;
}

/** Errors of weights that do not fit, and of arrays without a file, say no path themselves. */
const NAMELESS: readonly Format[] = ["npy", "checkpoint"];

/** The longest message, in characters. */
const MOST = 1500;

/** Read a path, and judge what is thrown: a sentence of the project's own, which names the file. */
export async function tryReading(format: Format, path: string): Promise<Outcome> {
  const start = performance.now();
  try {
    await READERS[format](path);
    return { milliseconds: performance.now() - start };
  } catch (error) {
    const milliseconds = performance.now() - start;
    const { text } = explain(error);
    const wrong = whatIsWrong(error, text, format, basename(path));
    const stack = error instanceof Error ? error.stack : String(error);
    return wrong === undefined
      ? { refusal: text.slice(0, 300), milliseconds }
      : { fault: `${wrong}: ${text.slice(0, 300)}\n${stack?.slice(0, 2000)}`, milliseconds };
  }
}

function whatIsWrong(error: unknown, text: string, format: Format, name: string) {
  if (!text.startsWith("error: ")) return "no sentence";
  const raw = error instanceof Error ? error.message : "";
  if (/\p{Cc}/u.test(raw)) return "control characters";
  if (raw.length > MOST) return `a message of ${raw.length} characters`;
  if (!NAMELESS.includes(format) && !raw.includes(name)) return `does not name ${name}`;
  return undefined;
}
