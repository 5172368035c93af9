/** The flags of the style tasks: three fill in the homework's numbers, one takes anyone's pictures. */
import { SQUEEZENET_MODULES } from "../../models/pictures/squeezenet.ts";
import type { StyleSettings as Objective } from "../../models/pictures/style_transfer.ts";
import {
  choice,
  defineFlags,
  type Flag,
  integer,
  number,
  type NumericDeclaration,
  type Parsed,
  text,
  UsageError,
} from "../lib/flags.ts";
import { RESUME_FLAGS } from "../lib/resume.ts";
import { parseGpuFlags } from "../lib/gpu.ts";
import type { Cell } from "../lib/page.ts";
import {
  CONTENT_FILE,
  EMBEDDED_DEFAULTS,
  type SearchDefaults,
  STYLE_PRESETS,
  type StyleDefaults,
  type StylePreset,
  type StylePresetName,
} from "./paintings.ts";

/** A flag of numbers between commas, or undefined. Each must be as the declaration of one says. */
function list(
  one: (declaration: NumericDeclaration) => Flag<number>,
  { help, ...bounds }: Omit<NumericDeclaration, "default">,
): Flag<readonly number[] | undefined> {
  const { placeholder, notes, read } = one({ ...bounds, help });
  return {
    help,
    placeholder: placeholder.replace(">", ",…>"),
    notes: notes.filter((note) => note !== "required"),
    absent: { value: undefined },
    read: (given, flag) => given.split(",").map((part) => read(part.trim(), flag)),
  };
}

function commonFlags(defaults: StyleDefaults) {
  const lastLayer = SQUEEZENET_MODULES - 1;
  const by = (key: keyof SearchDefaults) => {
    const [given, embedded] = [defaults[key], EMBEDDED_DEFAULTS[key]].map(String);
    return given === embedded
      ? `${given} unless given`
      : `${given} with --weights, else ${embedded}`;
  };
  const side = (what: string, value: number) =>
    integer({ default: value, min: 16, max: 2048, help: `Pixels of the shorter side of ${what}` });
  const weight = (what: string, key: "contentWeight" | "tvWeight") =>
    number({ optional: true, min: 0, help: `Weight of ${what}; ${by(key)}` });
  const count = (key: "iterations" | "lateAt" | "clampUntil", min: number, help: string) =>
    integer({ optional: true, min, max: 100_000, help: `${help}; ${by(key)}` });
  const rate = (key: "lr" | "lrLate", help: string) =>
    number({ optional: true, moreThan: 0, help: `${help}; ${by(key)}` });
  return {
    weights: text({
      optional: true,
      placeholder: "FILE",
      help:
        "SqueezeNet 1.1's weights, a .safetensors, .pth or .npz file with torchvision's names; without it, a small network that neckar pretrained on its own drawings",
    }),
    size: side("the content picture, and so of the result", defaults.size),
    styleSize: side("the style picture", defaults.styleSize),
    contentLayer: integer({
      default: defaults.contentLayer,
      min: 0,
      max: lastLayer,
      help: "Layer of the content loss, counted as torchvision's squeezenet1_1().features",
    }),
    contentWeight: weight("the content loss", "contentWeight"),
    styleLayers: list(integer, {
      min: 0,
      max: lastLayer,
      help: `Layers of the style loss; ${by("styleLayers")}`,
    }),
    styleWeights: list(number, {
      min: 0,
      help: `Weights of the style layers, one for each; ${by("styleWeights")}`,
    }),
    tvWeight: weight("the total variation", "tvWeight"),
    iterations: count("iterations", 1, "Steps of Adam on the pixels"),
    lr: rate("lr", "Learning rate"),
    lrLate: rate("lrLate", "Learning rate from iteration --late-at on, where Adam starts anew"),
    lateAt: count("lateAt", 0, "See --lr-late"),
    clampUntil: count(
      "clampUntil",
      0,
      "Keep the pixels within ±1.5 deviations before this iteration",
    ),
    init: choice(["content", "random"], {
      default: "content",
      help: "What the search starts from: the content picture or random pixels",
    }),
    seed: integer({
      optional: true,
      min: 0,
      max: 2 ** 32,
      help: "Seed of --init=random; 231 unless given",
    }),
    framesEvery: integer({
      default: 10,
      min: 0,
      max: 100_000,
      help: "Keep the picture every so many iterations, 0 for never",
    }),
    readEvery: integer({
      default: 10,
      min: 1,
      max: 10_000,
      help: "Read the losses back every so many iterations",
    }),
    out: text({ default: "runs", placeholder: "DIR", help: "Folder of the runs" }),
    ...RESUME_FLAGS,
  };
}

type Common = Parsed<ReturnType<typeof commonFlags>>;

/** The settings of a style run, all decided. */
export interface StyleSettings
  extends Omit<Common, "seed" | "resume" | keyof SearchDefaults>, SearchDefaults {
  /** The name of the task. */
  task: string;
  /** The painting, where the task has one. */
  preset: StylePreset | undefined;
  /** The folder with the preset's pictures. */
  data: string | undefined;
  /** The pictures' files, where they were named. */
  content: string | undefined;
  style: string | undefined;
  seed: number;
}

/** From this layer on, a pool's window does not fit into the maps of smaller pictures. */
const DEEP = { layer: 8, side: 17 };

/** Fill in what was not given, and check flags against each other. */
function decide(
  given: Omit<Common, "resume">,
  defaults: StyleDefaults,
): Omit<Common, "seed" | "resume" | keyof SearchDefaults> & SearchDefaults & { seed: number } {
  const { weights, init, seed, ...rest } = given;
  const search = weights === undefined ? EMBEDDED_DEFAULTS : defaults;
  const decided: SearchDefaults = {
    contentWeight: rest.contentWeight ?? search.contentWeight,
    styleLayers: rest.styleLayers ?? search.styleLayers,
    styleWeights: rest.styleWeights ?? search.styleWeights,
    tvWeight: rest.tvWeight ?? search.tvWeight,
    iterations: rest.iterations ?? search.iterations,
    lr: rest.lr ?? search.lr,
    lrLate: rest.lrLate ?? search.lrLate,
    lateAt: rest.lateAt ?? search.lateAt,
    clampUntil: rest.clampUntil ?? search.clampUntil,
  };
  const { styleLayers, styleWeights } = decided;
  if (styleLayers.length !== styleWeights.length) {
    throw new UsageError(
      `Every style layer has a weight: --style-layers has ${styleLayers.length} layers ` +
        `(${styleLayers}), and --style-weights ${styleWeights.length} weights (${styleWeights})`,
    );
  }
  if (new Set(styleLayers).size < styleLayers.length) {
    throw new UsageError(`Flag --style-layers names a layer twice: ${styleLayers}`);
  }
  const { size, styleSize, contentLayer } = rest;
  const tooSmall = (side: number, layers: readonly number[]) =>
    side < DEEP.side && layers.some((layer) => layer >= DEEP.layer);
  if (tooSmall(size, [contentLayer, ...styleLayers]) || tooSmall(styleSize, styleLayers)) {
    throw new UsageError(
      `The layers from ${DEEP.layer} on need pictures of ${DEEP.side} pixels or more: take a larger --size and --style-size`,
    );
  }
  if (init === "content" && seed !== undefined) {
    throw new UsageError("Flag --seed is for --init=random: nothing else is random");
  }
  return { ...rest, weights, init, ...decided, seed: seed ?? 231 };
}

const file = (what: string) =>
  ({
    placeholder: "FILE",
    help: `The ${what} picture: JPEG, PNG, WebP, TIFF or GIF`,
  }) as const;

/** Read the command line of a task with a painting of its own. */
export function presetSettings(name: StylePresetName, args: readonly string[]): StyleSettings {
  const preset = STYLE_PRESETS[name];
  const task = `style-${name}`;
  const flags = defineFlags({
    data: text({
      optional: true,
      placeholder: "DIR",
      help:
        `A folder with ${CONTENT_FILE} and ${preset.file}, as CS231n's third assignment has it; without it, pictures drawn by neckar itself`,
    }),
    content: text({ optional: true, ...file("content"), help: "Another content picture" }),
    style: text({ optional: true, ...file("style"), help: "Another style picture" }),
    ...commonFlags(preset),
  });
  const { resume: _, ...given } = parseGpuFlags(flags, args, {
    task,
    summary:
      `Paint a picture in the style of ${preset.title} on WebGPU, with the settings of the homework, ` +
      "and write a page about it.",
    examples: [
      `deno task ${task}`,
      `deno task ${task} --data=styles --weights=squeezenet1_1-b8a52dc0.pth`,
      `deno task ${task} --data=styles --content=mine.jpg --weights=squeezenet1_1-b8a52dc0.pth`,
      `deno task ${task} --resume=runs/${task}/2026-01-31T09-05-00`,
    ],
  });
  return { ...given, ...decide(given, preset), task, preset };
}

/** Read the command line of the task that takes anyone's pictures. */
export function transferSettings(args: readonly string[]): StyleSettings {
  const task = "style-transfer";
  const flags = defineFlags({
    content: text(file("content")),
    style: text(file("style")),
    ...commonFlags(STYLE_PRESETS.composition),
  });
  const { resume: _, ...given } = parseGpuFlags(flags, args, {
    task,
    summary:
      "Paint a picture in the style of another on WebGPU, and write a page about it. The defaults are " +
      `those of ${STYLE_PRESETS.composition.title}.`,
    examples: [
      `deno task ${task} --content=town.jpg --style=painting.jpg --weights=squeezenet1_1-b8a52dc0.pth`,
      `deno task ${task} --content=town.jpg --style=painting.jpg --style-layers=1,4 --style-weights=20000,500`,
    ],
  });
  return {
    ...given,
    ...decide(given, STYLE_PRESETS.composition),
    task,
    preset: undefined,
    data: undefined,
  };
}

/** What the model is told. */
export function objectiveOf(settings: StyleSettings): Objective {
  const { contentLayer, contentWeight, styleLayers, styleWeights, tvWeight } = settings;
  const { lr, lrLate, lateAt, clampUntil } = settings;
  return {
    ...{ contentLayer, contentWeight, styleLayers, styleWeights, tvWeight },
    ...{ lr, lrLate, lateAt, clampUntil },
  };
}

/** The settings that have a say in a run, by name. */
export function settingsInUse(settings: StyleSettings): Record<string, Cell> {
  const { task: _task, preset: _preset, seed, styleLayers, styleWeights, ...rest } = settings;
  const given = Object.entries(rest).filter(([, value]) => value !== undefined);
  return {
    ...Object.fromEntries(given) as Record<string, Cell>,
    styleLayers: styleLayers.join(", "),
    styleWeights: styleWeights.join(", "),
    ...(settings.init === "random" ? { seed } : {}),
  };
}
