/** Runs the cases of golden.jsonl, and measures how far neckar is from PyTorch in float64. */
import type { Gpu, KernelPath } from "../../kernels/runtime/gpu.ts";
import { type Call, type Case, Context, type Result } from "./context.ts";
import { KERNEL_CALLS } from "./kernel_calls.ts";
import { LAYER_CALLS } from "./layer_calls.ts";
import { MODULE_CALLS } from "./module_calls.ts";
import { OPERATION_CALLS } from "./operation_calls.ts";
import { errorOf, type Values } from "./values.ts";
import { VARIABLE_CALLS } from "./variable_calls.ts";

export const CALLS: Record<string, Call> = {
  ...KERNEL_CALLS,
  ...OPERATION_CALLS,
  ...LAYER_CALLS,
  ...MODULE_CALLS,
  ...VARIABLE_CALLS,
};

/** What the table knows of an operation. */
export interface Operation {
  /** PyTorch's name for it; null where it has none. */
  torch: string | null;
  tolerance: number;
}

/** The stored table. */
export interface Golden {
  operations: Record<string, Operation>;
  cases: Case[];
}

export async function readGolden(): Promise<Golden> {
  const text = await Deno.readTextFile(new URL("golden.jsonl", import.meta.url));
  const [head, ...lines] = text.trimEnd().split("\n");
  return { operations: JSON.parse(head), cases: lines.map((line) => JSON.parse(line)) };
}

async function read(result: Result): Promise<Values> {
  if ("encode" in result) return result.encode(await result.tensor.read());
  return await result.read();
}

/** The error of each result of a case. */
export async function errorsOf(gpu: Gpu, golden: Case): Promise<Record<string, number>> {
  const call = CALLS[golden.op];
  if (call === undefined) throw new TypeError(`No call is known for "${golden.op}"`);
  const context = new Context<never>(gpu, golden);
  using _ = context;
  const results = call(context);
  const errors: Record<string, number> = {};
  for (const [name, kept] of Object.entries(golden.out)) {
    const result = results[name];
    if (result === undefined) throw new TypeError(`"${golden.op}" gives no "${name}"`);
    errors[name] = errorOf(kept, await read(result));
  }
  return errors;
}

/** A case that was run. */
export interface Outcome {
  golden: Case;
  path: KernelPath;
  /** The largest error, and the result that has it. */
  error: number;
  result: string;
  tolerance: number;
}

export async function runCase(gpu: Gpu, golden: Case, { operations }: Golden): Promise<Outcome> {
  const tolerance = golden.tolerance ?? operations[golden.op].tolerance;
  const outcome = (error: number, result: string) => ({
    ...{ golden, path: gpu.path, error, result, tolerance },
  });
  try {
    const errors = Object.entries(await errorsOf(gpu, golden));
    const [result, error] = errors.reduce((worst, one) => one[1] > worst[1] ? one : worst);
    return outcome(error, result);
  } catch (error) {
    return outcome(Infinity, `(${error})`);
  }
}
