/** A model's parameters under PyTorch's names and in PyTorch's layout. */
import { listedKeys, quote } from "../../data/files/messages.ts";
import {
  type TensorData,
  toFloat32,
  whyNotFinite,
  whyNotFloats,
} from "../../data/formats/tensor_data.ts";
import { sizeOf } from "../../kernels/runtime/tensor.ts";
import type { Parameter } from "./parameters.ts";
import { UserError } from "../../data/files/user_error.ts";

/** A parameter, and its keys in a state dict: one for each slot of its layout. */
export interface SavedParameter {
  keys: readonly string[];
  parameter: Parameter;
}

/** What did not fit when a state dict was loaded. */
export interface LoadReport {
  /** Keys of the model that the file lacks. */
  missing: string[];
  /** Keys of the file that the model does not know. */
  unexpected: string[];
  /** Keys whose shapes differ, with both shapes, and those that hold no floats. */
  misshapen: string[];
}

/** The values of parameters: read back from the GPU, or else those to start from. */
export async function stateDict(
  saved: readonly SavedParameter[],
): Promise<Map<string, TensorData>> {
  const values = await Promise.all(
    saved.map(async ({ parameter: one }) => one.stored ? await one.tensor.read() : one.initial),
  );
  const dict = new Map<string, TensorData>();
  saved.forEach(({ keys, parameter: { layout } }, i) => {
    const parts = layout.encode(values[i]);
    layout.slots.forEach(({ shape }, j) => {
      dict.set(keys[j], { dtype: "F32", shape: [...shape], data: parts[j] });
    });
  });
  return dict;
}

/** What did not fit, in parts of a sentence: the first of each kind by name, and how many others there are. */
export function describeMisfit({ missing, unexpected, misshapen }: LoadReport): string[] {
  return [
    missing.length > 0 ? `missing: ${listedKeys(missing)}` : "",
    unexpected.length > 0 ? `unexpected: ${listedKeys(unexpected)}` : "",
    misshapen.length > 0
      ? `of another shape or type: ${misshapen.slice(0, 5).join("; ")}${
        misshapen.length > 5 ? ` and ${misshapen.length - 5} others` : ""
      }`
      : "",
  ].filter((problem) => problem !== "");
}

/** The numbers of a tensor as float32. UserError where one is not finite. */
export function finite(key: string, tensor: TensorData): Float32Array<ArrayBuffer> {
  const data = toFloat32(tensor, key);
  const why = whyNotFinite({ dtype: "F32", shape: tensor.shape, data });
  if (why === undefined) return data;
  throw new UserError(
    `The tensor ${quote(key)} ${whyNotFinite(tensor) ?? `${why} once they are float32`}: ` +
      "such weights are of a training that went wrong, or of a damaged file",
  );
}

/** PyTorch's batch norms count batches, which nothing here reads. */
const UNREAD = /(^|\.)num_batches_tracked$/;

/**
 * Write a state dict into the parameters. Parameters that do not fit keep their values; with `dryRun` all do. Batch
 * norms' `num_batches_tracked`, which nothing here reads, is passed over.
 *
 * Errors: with `strict` (the default), UserError that names the first missing, unexpected and
 * misshapen keys and counts the others, before anything is written; UserError for a tensor that is
 * used and holds NaN or infinity, or numbers that are so in float32.
 */
export function loadStateDict(
  saved: readonly SavedParameter[],
  dict: ReadonlyMap<string, TensorData>,
  { strict = true, dryRun = false }: { strict?: boolean; dryRun?: boolean } = {},
): LoadReport {
  const report: LoadReport = { missing: [], unexpected: [], misshapen: [] };
  const known = new Set<string>();
  const writes: (() => void)[] = [];
  for (const { keys, parameter } of saved) {
    const { slots, decode } = parameter.layout;
    const parts: Float32Array<ArrayBuffer>[] = [];
    for (const [i, { shape }] of slots.entries()) {
      const key = keys[i];
      known.add(key);
      const found = dict.get(key);
      if (found === undefined) report.missing.push(key);
      else if (found.shape.join() !== shape.join() || found.data.length !== sizeOf(shape)) {
        report.misshapen.push(`${key} is [${found.shape.join(", ")}], not [${shape.join(", ")}]`);
      } else if (whyNotFloats(found.dtype) !== undefined) {
        report.misshapen.push(`${key} ${whyNotFloats(found.dtype)}`);
      } else parts.push(finite(key, found));
    }
    if (parts.length === slots.length) writes.push(() => parameter.write(decode(parts)));
  }
  report.unexpected = [...dict.keys()].filter((key) => !known.has(key) && !UNREAD.test(key));
  const problems = describeMisfit(report);
  if (strict && problems.length > 0) {
    throw new UserError(`The state dict does not fit the model; ${problems.join("; ")}`);
  }
  if (!dryRun) { for (const write of writes) write(); }
  return report;
}
