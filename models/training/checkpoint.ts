/** What a run writes on its way, and goes on from after an interruption: one safetensors file. */
import { parseJson } from "../../data/files/json.ts";
import { printable, quote } from "../../data/files/messages.ts";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import { type TensorData, whyNotFinite } from "../../data/formats/tensor_data.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Plain data, as JSON has it. */
export type Plain = string | number | boolean | null | readonly Plain[] | {
  readonly [key: string]: Plain | undefined;
};

/** What something needs to go on where it stood: arrays, and plain data. */
export interface SavedState {
  /** The arrays. */
  tensors?: ReadonlyMap<string, TensorData>;
  /** The plain data. */
  values?: Plain;
}

/** What has a state that a checkpoint holds, as a network, an optimizer or a schedule. */
export interface Stateful {
  /** What it needs to go on from here. */
  state(): SavedState | Promise<SavedState>;
  /** Take a state up. UserError where it does not fit. */
  loadState(state: SavedState): void;
}

/** What a run depends on: one with other values cannot go on from its checkpoint. */
export type MadeWith = Readonly<Record<string, Plain | undefined>>;

/** Numbers of 64 bits, to the last of them. */
export function float64(values: ArrayLike<number>): TensorData {
  return { dtype: "F64", shape: [values.length], data: Float64Array.from(values) };
}

/** An array of a state. UserError where it is not there, of another type or, where that is given, another length. */
export function stateTensor<T extends TensorData["dtype"]>(
  { tensors }: SavedState,
  key: string,
  dtype: T,
  length?: number,
): Extract<TensorData, { dtype: T }>["data"];
export function stateTensor(
  { tensors }: SavedState,
  key: string,
  dtype: TensorData["dtype"],
  length?: number,
): TensorData["data"] {
  const found = tensors?.get(key);
  if (found?.dtype === dtype) {
    if (length === undefined || found.data.length === length) return found.data;
    throw new UserError(`its ${quote(key)} has ${found.data.length} numbers, and not ${length}`);
  }
  throw new UserError(
    found === undefined
      ? `its ${quote(key)} is missing`
      : `its ${quote(key)} is of ${found.dtype}, and not of ${dtype}`,
  );
}

/** A number of a state's plain data. UserError where there is none. */
export function stateNumber({ values }: SavedState, key: string): number {
  const value = (values as Record<string, Plain | undefined> | null | undefined)?.[key];
  if (typeof value === "number") return value;
  throw new UserError(`its ${quote(key)} is no number`);
}

/** Write the states of the parts of a run. They take the place of older ones only when the file is whole. */
export async function writeCheckpoint(
  path: string,
  made: MadeWith,
  parts: Readonly<Record<string, SavedState>>,
): Promise<void> {
  const tensors = new Map<string, TensorData>();
  const values: Record<string, Plain> = {};
  for (const [part, state] of Object.entries(parts)) {
    for (const [key, tensor] of state.tensors ?? []) tensors.set(`${part}/${key}`, tensor);
    values[part] = state.values ?? null;
  }
  await writeSafetensors(path, tensors, {
    made: JSON.stringify(made),
    values: JSON.stringify(values),
  });
}

/** A JSON object of the file's metadata. */
function record(metadata: Record<string, string>, key: string): Record<string, Plain> {
  if (metadata[key] === undefined) throw new UserError(`its "${key}" is missing`);
  const value = parseJson(metadata[key], { what: `Its "${key}"`, depth: 6, values: 5_000_000 });
  if (typeof value === "object" && value !== null && !Array.isArray(value)) {
    return value as Record<string, Plain>;
  }
  throw new UserError(`its "${key}" is ${quote(metadata[key])}`);
}

const show = (value: unknown) =>
  printable(value === undefined ? "not set" : String(value), { most: 200 });

/**
 * Read the states of the parts of a run that depends on `made`; `undefined` where there is no checkpoint.
 *
 * Errors: UserError when the file is something else, and one that lists what the run depends on and the
 * checkpoint was made with another value of.
 */
export async function readCheckpoint(
  path: string,
  made: MadeWith,
): Promise<Record<string, SavedState> | undefined> {
  let [there, parts]: [Record<string, Plain>, Record<string, SavedState>] = [{}, {}];
  try {
    const { tensors, metadata } = await readSafetensors(path);
    there = record(metadata, "made");
    const values = record(metadata, "values");
    parts = Object.fromEntries(
      Object.entries(values).map(([part, values]) => [part, { tensors: new Map(), values }]),
    );
    for (const [key, tensor] of tensors) {
      const why = whyNotFinite(tensor);
      if (why !== undefined) throw new UserError(`its ${quote(key)} ${why}`);
      const [part] = key.split("/", 1);
      const into = Object.hasOwn(parts, part) ? parts[part].tensors : undefined;
      (into as Map<string, TensorData> | undefined)?.set(key.slice(part.length + 1), tensor);
    }
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw UserError.within(`${path} is no checkpoint of a run`, error);
  }
  const plain = JSON.parse(JSON.stringify(made)) as Record<string, Plain>;
  const text = (value: unknown) => typeof value === "object" ? JSON.stringify(value) : value;
  const differences = [...new Set([...Object.keys(plain), ...Object.keys(there)])]
    .filter((key) => text(plain[key]) !== text(there[key]))
    .map((key) =>
      `${show(key)} is ${show(text(plain[key]))} here and ${show(text(there[key]))} there`
    );
  if (differences.length === 0) return parts;
  throw new UserError(`${path} was written with other settings: ${differences.join("; ")}`);
}
