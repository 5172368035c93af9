/** What every task on the GPU shares: the flag --profile, and how it opens the GPU. */
import { type Gpu, openGpu, type OpenGpuOptions } from "../../kernels/runtime/gpu.ts";
import { boolean, defineFlags, type FlagTable, type Parsed, parseFlags } from "./flags.ts";
import type { HelpText } from "./help.ts";
import { endOnSignals } from "./main.ts";

const GPU_FLAGS = defineFlags({
  profile: boolean({
    default: false,
    help:
      "At the end, print to stderr what took the time: each kernel, compiling, copies and the rest; the run itself takes longer",
  }),
});

let profile = false;

/**
 * {@link parseFlags} for a task on the GPU, which has the flags of {@linkcode openTaskGpu} as well. They say how the run is
 * watched and not what comes out, so they are no settings of it.
 */
export function parseGpuFlags<F extends FlagTable>(
  table: F,
  args: readonly string[],
  about: HelpText,
): Parsed<F> {
  const all = parseFlags<FlagTable>({ ...table, ...GPU_FLAGS }, args, about);
  const { profile: wanted, ...given } = all as Parsed<F> & Parsed<typeof GPU_FLAGS>;
  profile = wanted;
  return given as unknown as Parsed<F>;
}

/** Open the GPU as the flags last read say. */
export async function openTaskGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  const gpu = await openGpu({ ...options, profile });
  // A signal would else end the process before the profile is printed.
  if (gpu.watcher !== undefined) endOnSignals();
  return gpu;
}
