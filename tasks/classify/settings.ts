/** The flags of the classification task. */
import { BACKBONES } from "../../models/pictures/pretrained.ts";
import { BACKBONE_FLAGS } from "../lib/backbone.ts";
import { choice, defineFlags, integer, type Parsed, text, UsageError } from "../lib/flags.ts";
import { parseGpuFlags } from "../lib/gpu.ts";
import { PICTURE_FLAGS } from "../lib/own_pictures.ts";

const FLAGS = defineFlags({
  ...PICTURE_FLAGS,
  weights: BACKBONE_FLAGS.weights,
  backbone: choice(BACKBONES, {
    optional: true,
    help: "The network that --weights must be of; without it their names tell",
  }),
  partial: BACKBONE_FLAGS.partial,
  top: integer({ default: 5, min: 1, max: 1000, help: "So many of the likeliest classes" }),
  pictures: integer({ default: 60, min: 1, max: 1000, help: "At most so many on the page" }),
  out: text({ default: "runs", placeholder: "DIR", help: "Folder of the runs" }),
});

/** The settings of a classification run. */
export type ClassifySettings = Parsed<typeof FLAGS>;

/** Read the command line. */
export function classifySettings(args: readonly string[]): ClassifySettings {
  const given = parseGpuFlags(FLAGS, args, {
    task: "classify",
    summary: "Let a pretrained network say what pictures show: its likeliest classes and their " +
      "probabilities, on the console and on a page.",
    examples: [
      "deno task classify",
      "deno task classify --weights=squeezenet1_1-b8a52dc0.pth --images=holiday.jpg",
      "deno task classify --weights=runs/transfer-freeze/2026-01-31T09-05-00/model.safetensors --images=hymenoptera_data/val",
    ],
  });
  if (given.weights === undefined) {
    for (const name of ["backbone", "partial"] as const) {
      if (given[name] === undefined || given[name] === false) continue;
      throw new UsageError(
        `Flag --${name} is about the weights of --weights, and there are none`,
      );
    }
  } else if (given.images === undefined) {
    throw new UsageError("Flag --images must be given with --weights: without both, neckar draws");
  }
  if (given.images === undefined && given.strict) {
    throw new UsageError("Flag --strict is about the files of --images, and there are none");
  }
  return given;
}
