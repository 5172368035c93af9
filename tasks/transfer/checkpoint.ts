/** What a transfer run writes after each epoch, and goes on from after an interruption. */
import {
  readSafetensors,
  type TensorData,
  writeSafetensors,
} from "../../data/formats/safetensors.ts";
import { parseJson } from "../../data/files/json.ts";
import { printable, quote } from "../../data/files/messages.ts";
import type { Measure } from "../../models/image_training.ts";
import type { OptimizerState } from "../../models/optimizers.ts";
import type { Cell } from "../lib/page.ts";
import { notFinite } from "../lib/finite.ts";
import { TaskError } from "../lib/main.ts";

/** A network's parameters and running statistics, under torchvision's names. */
export type Weights = ReadonlyMap<string, TensorData>;

const COLUMNS = [
  "epoch",
  "lr",
  "trainLoss",
  "trainAccuracy",
  "valLoss",
  "valAccuracy",
  "seconds",
  "waited",
] as const;

/**
 * How an epoch went. Training loss and accuracy are those of its steps, on varied pictures. `seconds` is the
 * time of learning and validation, `waited` the part of it in which no picture was ready.
 */
export type EpochResult = Record<typeof COLUMNS[number], number>;

/** How far a seed has come. */
export interface Progress {
  /** Validation before any training. */
  before: Measure;
  /** The whole epochs. */
  epochs: EpochResult[];
  /** The loss of each step of these. */
  losses: number[];
}

/** A seed after a whole epoch. */
export interface Checkpoint extends Progress {
  /** What it depends on; another run cannot go on from it. */
  made: Readonly<Record<string, Cell>>;
  optimizer: OptimizerState;
  model: Weights;
  /** The weights of the best epoch. */
  best: Weights;
}

/** The epoch with the best validation accuracy, of equals the first. */
export function bestEpoch(epochs: readonly EpochResult[]): EpochResult | undefined {
  return epochs.reduce<EpochResult | undefined>(
    (best, other) => best === undefined || other.valAccuracy > best.valAccuracy ? other : best,
    undefined,
  );
}

const f64 = (values: number[], shape = [values.length]): TensorData => ({
  dtype: "F64",
  shape,
  data: Float64Array.from(values),
});

/** Write a checkpoint. It takes the place of an older one only when it is whole. */
export async function writeCheckpoint(path: string, checkpoint: Checkpoint): Promise<void> {
  const { before, epochs, losses, made, optimizer, model, best } = checkpoint;
  const prefixed = (prefix: string, weights: Weights) =>
    [...weights].map(([key, value]): [string, TensorData] => [`${prefix}.${key}`, value]);
  const tensors = new Map<string, TensorData>([
    ...prefixed("model", model),
    ...prefixed("best", best),
    ...optimizer.moments.map((data, i): [string, TensorData] => [
      `moment.${i}`,
      { dtype: "F32", shape: [data.length], data },
    ]),
    ["before", f64([before.loss, before.accuracy])],
    [
      "epochs",
      f64(epochs.flatMap((row) => COLUMNS.map((name) => row[name])), [
        epochs.length,
        COLUMNS.length,
      ]),
    ],
    ["losses", f64(losses)],
  ]);
  await writeSafetensors(path, tensors, {
    made: JSON.stringify(made),
    optimizer: JSON.stringify({ steps: optimizer.steps, lr: optimizer.lr }),
  });
}

function decode(
  { tensors, metadata }: Awaited<ReturnType<typeof readSafetensors>>,
): Checkpoint {
  const numbers = (key: string, expected?: number[]) => {
    const tensor = tensors.get(key);
    if (tensor?.dtype !== "F64") throw new SyntaxError(`its "${key}" is missing`);
    const shape = expected ?? [tensor.data.length];
    if (tensor.shape.join() === shape.join()) return [...tensor.data];
    throw new SyntaxError(`its "${key}" has the shape [${tensor.shape}], and not [${shape}]`);
  };
  const under = (prefix: string) =>
    [...tensors].filter(([key]) => key.startsWith(`${prefix}.`))
      .map(([key, value]) => [key.slice(prefix.length + 1), value] as const);
  const json = <T>(key: string): T => {
    if (metadata[key] === undefined) throw new SyntaxError(`its "${key}" is missing`);
    const value = parseJson(metadata[key], { what: `Its "${key}"`, depth: 1, values: 1000 });
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value as T;
    throw new SyntaxError(`its "${key}" is ${quote(metadata[key])}`);
  };
  const broken = notFinite(tensors);
  if (broken !== undefined) throw new SyntaxError(`its ${broken}`);
  const [loss, accuracy] = numbers("before", [2]);
  const table = numbers("epochs", [tensors.get("epochs")?.shape[0] ?? 0, COLUMNS.length]);
  if (table.length === 0) throw new SyntaxError('its "epochs" are none');
  const epochs = Array.from(
    { length: table.length / COLUMNS.length },
    (_, i) => Object.fromEntries(COLUMNS.map((name, j) => [name, table[i * COLUMNS.length + j]])),
  ) as EpochResult[];
  if (epochs.some(({ epoch }, i) => epoch !== i + 1)) {
    throw new SyntaxError(`its "epochs" are not those from 1 on`);
  }
  const moments = under("moment").sort(([a], [b]) => Number(a) - Number(b))
    .map(([key, { dtype, data }]) => {
      if (dtype === "F32") return data;
      throw new SyntaxError(`its "moment.${printable(key, { most: 60 })}" is of ${dtype}, not F32`);
    });
  return {
    before: { loss, accuracy },
    epochs,
    losses: numbers("losses"),
    made: json<Checkpoint["made"]>("made"),
    optimizer: { ...json<OptimizerState>("optimizer"), moments },
    model: new Map(under("model")),
    best: new Map(under("best")),
  };
}

/** A setting in a message: the file may be a stranger's. */
function show(value: unknown): string {
  return printable(String(value ?? "not set"), { most: 200 });
}

/**
 * Read a checkpoint for a run that depends on `made`; `undefined` where there is none.
 *
 * Errors: SyntaxError when the file is something else, TaskError that lists what the run depends on and the
 * checkpoint was made with another value of.
 */
export async function readCheckpoint(
  path: string,
  made: Checkpoint["made"],
): Promise<Checkpoint | undefined> {
  let checkpoint: Checkpoint;
  try {
    checkpoint = decode(await readSafetensors(path));
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    if (!(error instanceof SyntaxError)) throw error;
    throw new SyntaxError(`${path} is no checkpoint of a transfer run: ${error.message}`);
  }
  const there = checkpoint.made ?? {};
  const differences = [...new Set([...Object.keys(made), ...Object.keys(there)])]
    .filter((key) => made[key] !== there[key])
    .map((key) => `${show(key)} is ${show(made[key])} here and ${show(there[key])} there`);
  if (differences.length === 0) return checkpoint;
  throw new TaskError(`${path} was written with other settings: ${differences.join("; ")}`);
}
