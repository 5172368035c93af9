/** The flags of the two transfer tasks, and the settings of an earlier run that goes on. */
import { EMBEDDED_SIZE } from "../../data/made/embedded/network.ts";
import type { Learned } from "../../models/pictures/vision_model.ts";
import { BACKBONE_FLAGS } from "../lib/backbone.ts";
import {
  boolean,
  choice,
  commandName,
  defineFlags,
  integer,
  number,
  type Parsed,
  text,
  UsageError,
} from "../lib/flags.ts";
import { RESUME_FLAGS } from "../lib/resume.ts";
import { parseGpuFlags } from "../lib/gpu.ts";
import type { Cell } from "../lib/page.ts";

/** What is learned: everything, or the last layer. */
export type TransferLearned = Exclude<Learned, "none">;

/** Without weights of its own a run gets the embedded network, which was trained on smaller pictures. */
const SIZE = 224;

/** As many as the report has, and as many as drawn pictures need. */
const [EPOCHS, DRAWN_EPOCHS] = [25, 12];

/** What makes a run. */
const RUN_FLAGS = defineFlags({
  data: text({
    optional: true,
    placeholder: "DIR",
    help:
      "A folder with train and val, and in each a folder of pictures for each class; without it, pictures drawn by neckar itself",
  }),
  ...BACKBONE_FLAGS,
  epochs: integer({
    optional: true,
    min: 1,
    max: 100_000,
    help: `Passes over the pictures; ${EPOCHS} with --data, else ${DRAWN_EPOCHS}`,
  }),
  batch: integer({ default: 4, min: 1, max: 4096, help: "Pictures in a step" }),
  optimizer: choice(["sgd", "adam"], { default: "sgd", help: "The optimizer" }),
  lr: number({ default: 1e-3, moreThan: 0, help: "Learning rate" }),
  momentum: number({
    optional: true,
    min: 0,
    lessThan: 1,
    help: "Momentum of sgd; 0.9 unless given",
  }),
  decay: number({
    default: 0.1,
    moreThan: 0,
    max: 1,
    help: "The learning rate times this after every --decay-every epochs",
  }),
  decayEvery: integer({ default: 7, min: 1, max: 100_000, help: "See --decay" }),
  weightDecay: number({ default: 0, min: 0, help: "L2 penalty" }),
  batchNorm: choice(["train", "eval"], {
    optional: true,
    help:
      "What batch norms do while training, frozen or not: take a batch's own statistics and move the running ones (train, unless given), or take the running ones and leave them (eval)",
  }),
  size: integer({
    optional: true,
    min: 32,
    max: 1024,
    help:
      `Height and width, in pixels, of what the network sees of a picture; ${SIZE} with --weights, else ${EMBEDDED_SIZE}`,
  }),
  strict: boolean({ default: false, help: "Refuse broken pictures instead of leaving them out" }),
  seed: integer({ default: 231, min: 0, max: 2 ** 32, help: "Seed of everything random" }),
  seeds: integer({
    default: 1,
    min: 1,
    max: 100,
    help: "Train so often, with --seed, the seed after it and so on, and give mean and deviation",
  }),
  readEvery: integer({
    default: 5,
    min: 1,
    max: 10_000,
    help: "Read the loss back every so many steps",
  }),
});

const FLAGS = defineFlags({
  ...RUN_FLAGS,
  out: text({ default: "runs", placeholder: "DIR", help: "Folder of the runs" }),
  ...RESUME_FLAGS,
});

type Given = Parsed<typeof RUN_FLAGS>;

/** The settings of a transfer run, all decided. */
export interface TransferSettings extends Given {
  learned: TransferLearned;
  epochs: number;
  size: number;
  /** The folder of the runs. */
  out: string;
  saveEvery: number;
}

/** The name of the task that learns so much. */
export function taskName(learned: TransferLearned): "transfer-finetune" | "transfer-freeze" {
  return learned === "all" ? "transfer-finetune" : "transfer-freeze";
}

/** Check flags against each other, and decide those that depend on others. */
function decide(given: Given): Given & { epochs: number; size: number } {
  const { optimizer, weights } = given;
  if (optimizer !== "sgd" && given.momentum !== undefined) {
    throw new UsageError(`Flag --momentum is for sgd: ${optimizer} has its own`);
  }
  if (given.partial && weights === undefined) {
    throw new UsageError("Flag --partial is about the weights of --weights, and there are none");
  }
  if (given.strict && given.data === undefined) {
    throw new UsageError("Flag --strict is about the files of --data, and there are none");
  }
  const network = weights === undefined ? "the embedded network" : given.backbone;
  const normalized = network === "resnet18";
  if (!normalized && given.batchNorm !== undefined) {
    throw new UsageError(`Flag --batch-norm is not for ${network}: it has no batch norms`);
  }
  const { momentum = 0.9, batchNorm = "train" } = given;
  return {
    ...given,
    momentum: optimizer === "sgd" ? momentum : undefined,
    batchNorm: normalized ? batchNorm : undefined,
    epochs: given.epochs ?? (given.data === undefined ? DRAWN_EPOCHS : EPOCHS),
    size: given.size ?? (weights === undefined ? EMBEDDED_SIZE : SIZE),
  };
}

/** Whether a flag is on a command line. */
function isGiven(args: readonly string[], key: string): boolean {
  const name = commandName(key);
  const names = [name, name.replace("--", "--no-")];
  return args.some((arg) => names.includes(arg) || arg.startsWith(`${name}=`));
}

/** Read the command line. */
export function transferSettings(
  learned: TransferLearned,
  args: readonly string[],
): TransferSettings {
  const task = taskName(learned);
  const what = learned === "all"
    ? "Train a whole pretrained network on other classes"
    : "Train a new last layer on a pretrained network that is frozen";
  const about = {
    task,
    summary: `${what} on WebGPU, measure it, and write a page about it.`,
    examples: [
      `deno task ${task}`,
      `deno task ${task} --data=hymenoptera_data --weights=resnet18-f37072fd.pth`,
      `deno task ${task} --resume=runs/${task}/2026-01-31T09-05-00`,
    ],
  };
  const { out, saveEvery, resume: _, ...given } = parseGpuFlags(FLAGS, args, about);
  if (isGiven(args, "backbone") && given.weights === undefined) {
    throw new UsageError("Flag --backbone says what network --weights are of, and there are none");
  }
  return { ...decide(given), learned, out, saveEvery };
}

/** The settings that have a say in a run, by name. */
export function settingsInUse(settings: TransferSettings): Record<string, Cell> {
  const idle = [
    ...(settings.weights === undefined ? ["backbone", "partial"] : []),
    ...(settings.data === undefined ? ["strict"] : []),
  ];
  return Object.fromEntries(
    Object.keys(RUN_FLAGS).filter((key) => !idle.includes(key))
      .map((key) => [key, settings[key as keyof Given]] as const)
      .filter(([, value]) => value !== undefined),
  );
}
