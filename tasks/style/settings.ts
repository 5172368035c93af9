/** The flags of the style tasks: three fill in the homework's numbers, one takes anyone's pictures. */
import type { StyleName } from "../../data/drawings.ts";
import { SQUEEZENET_MODULES } from "../../models/squeezenet.ts";
import type { StyleSettings as Objective } from "../../models/style_transfer.ts";
import {
  choice,
  defineFlags,
  type Flag,
  integer,
  number,
  type NumericDeclaration,
  type Parsed,
  parseFlags,
  text,
  UsageError,
} from "../lib/flags.ts";
import type { Cell } from "../lib/page.ts";

/** What the homework lists for a painting. */
export interface StyleDefaults {
  /** Pixels of the shorter side of the content picture, and of the style picture. */
  size: number;
  styleSize: number;
  contentLayer: number;
  contentWeight: number;
  styleLayers: readonly number[];
  styleWeights: readonly number[];
  tvWeight: number;
}

/** A painting that has a task of its own. */
export interface StylePreset extends StyleDefaults {
  /** The task is `style-<name>`. */
  name: string;
  title: string;
  /** Its file in the data folder. */
  file: string;
  /** The drawing that stands in for it where there is no data folder. */
  drawing: StyleName;
}

/** The content picture in the data folder. */
export const CONTENT_FILE = "tubingen.jpg";

/** The paintings by the names of their tasks. */
export const STYLE_PRESETS = {
  composition: {
    name: "composition",
    title: "Composition VII",
    file: "composition_vii.jpg",
    drawing: "patches",
    size: 192,
    styleSize: 512,
    contentLayer: 3,
    contentWeight: 5e-2,
    styleLayers: [1, 4, 6, 7],
    styleWeights: [20_000, 500, 12, 1],
    tvWeight: 5e-2,
  },
  scream: {
    name: "scream",
    title: "The Scream",
    file: "the_scream.jpg",
    drawing: "bands",
    size: 192,
    styleSize: 224,
    contentLayer: 3,
    contentWeight: 3e-2,
    styleLayers: [1, 4, 6, 7],
    styleWeights: [200_000, 800, 12, 1],
    tvWeight: 2e-2,
  },
  starry: {
    name: "starry",
    title: "The Starry Night",
    file: "starry_night.jpg",
    drawing: "swirls",
    size: 192,
    styleSize: 192,
    contentLayer: 3,
    contentWeight: 6e-2,
    styleLayers: [1, 4, 6, 7],
    styleWeights: [300_000, 1000, 15, 3],
    tvWeight: 2e-2,
  },
} as const satisfies Record<string, StylePreset>;

/** The name of a painting. */
export type StylePresetName = keyof typeof STYLE_PRESETS;

/** A flag of numbers between commas. Each must be as the declaration of one says. */
function list(
  one: (declaration: NumericDeclaration) => Flag<number>,
  { default: values, help, ...bounds }: Omit<NumericDeclaration, "default"> & {
    default: readonly number[];
  },
): Flag<readonly number[]> {
  const { placeholder, notes, read } = one({ ...bounds, help });
  return {
    help,
    placeholder: placeholder.replace(">", ",…>"),
    notes: [`default ${values}`, ...notes.filter((note) => note !== "required")],
    absent: { value: values },
    read: (given, flag) => given.split(",").map((part) => read(part.trim(), flag)),
  };
}

function commonFlags(defaults: StyleDefaults) {
  const lastLayer = SQUEEZENET_MODULES - 1;
  const side = (what: string, value: number) =>
    integer({ default: value, min: 16, max: 2048, help: `Pixels of the shorter side of ${what}` });
  const weight = (what: string, value: number) =>
    number({ default: value, min: 0, help: `Weight of ${what}` });
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
    contentWeight: weight("the content loss", defaults.contentWeight),
    styleLayers: list(integer, {
      default: defaults.styleLayers,
      min: 0,
      max: lastLayer,
      help: "Layers of the style loss",
    }),
    styleWeights: list(number, {
      default: defaults.styleWeights,
      min: 0,
      help: "Weights of the style layers, one for each",
    }),
    tvWeight: weight("the total variation", defaults.tvWeight),
    iterations: integer({
      default: 200,
      min: 1,
      max: 100_000,
      help: "Steps of Adam on the pixels",
    }),
    lr: number({ default: 3, moreThan: 0, help: "Learning rate" }),
    lrLate: number({
      default: 0.1,
      moreThan: 0,
      help: "Learning rate from iteration --late-at on, where Adam starts anew",
    }),
    lateAt: integer({ default: 180, min: 0, max: 100_000, help: "See --lr-late" }),
    clampUntil: integer({
      default: 190,
      min: 0,
      max: 100_000,
      help: "Keep the pixels within ±1.5 deviations before this iteration",
    }),
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
  };
}

type Common = Parsed<ReturnType<typeof commonFlags>>;

/** The settings of a style run, all decided. */
export interface StyleSettings extends Omit<Common, "seed"> {
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

/** Check flags against each other, and decide those that depend on others. */
function decide(given: Common): Omit<Common, "seed"> & { seed: number } {
  const { styleLayers, styleWeights, init, seed } = given;
  if (styleLayers.length !== styleWeights.length) {
    throw new UsageError(
      `Every style layer has a weight: --style-layers has ${styleLayers.length} layers ` +
        `(${styleLayers}), and --style-weights ${styleWeights.length} weights (${styleWeights})`,
    );
  }
  if (new Set(styleLayers).size < styleLayers.length) {
    throw new UsageError(`Flag --style-layers names a layer twice: ${styleLayers}`);
  }
  if (init === "content" && seed !== undefined) {
    throw new UsageError("Flag --seed is for --init=random: nothing else is random");
  }
  return { ...given, seed: seed ?? 231 };
}

const file = (what: string) =>
  ({
    placeholder: "FILE",
    help: `The ${what} picture: JPEG, PNG, WebP, TIFF, GIF, BMP or PPM`,
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
  const given = parseFlags(flags, args, {
    task,
    summary:
      `Paint a picture in the style of ${preset.title} on WebGPU, with the settings of the homework, ` +
      "and write a page about it.",
    examples: [
      `deno task ${task}`,
      `deno task ${task} --data=styles --weights=squeezenet1_1-b8a52dc0.pth`,
      `deno task ${task} --data=styles --content=mine.jpg --weights=squeezenet1_1-b8a52dc0.pth`,
    ],
  });
  return { ...given, ...decide(given), task, preset };
}

/** Read the command line of the task that takes anyone's pictures. */
export function transferSettings(args: readonly string[]): StyleSettings {
  const task = "style-transfer";
  const flags = defineFlags({
    content: text(file("content")),
    style: text(file("style")),
    ...commonFlags(STYLE_PRESETS.composition),
  });
  const given = parseFlags(flags, args, {
    task,
    summary:
      "Paint a picture in the style of another on WebGPU, and write a page about it. The defaults are " +
      `those of ${STYLE_PRESETS.composition.title}.`,
    examples: [
      `deno task ${task} --content=town.jpg --style=painting.jpg --weights=squeezenet1_1-b8a52dc0.pth`,
      `deno task ${task} --content=town.jpg --style=painting.jpg --style-layers=1,4 --style-weights=20000,500`,
    ],
  });
  return { ...given, ...decide(given), task, preset: undefined, data: undefined };
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
