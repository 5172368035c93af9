/** The WGSL of an operation, as a page of text. */
import { captureKernels } from "../../kernels/runtime/profile/capture.ts";
import type { KernelPath } from "../../kernels/runtime/gpu.ts";
import { callOperation } from "./operations.ts";

/** What is asked for. */
export interface KernelRequest {
  /** One of `OPERATIONS`. */
  name: string;
  /** As many as the operation has sizes. */
  sizes: readonly number[];
  backward: boolean;
  path: KernelPath;
  /** Lanes of a subgroup, on the `subgroup` path. */
  lanes: number;
}

/** Workgroups of all dispatches in a few words. */
function describeDispatches(dispatches: readonly (readonly number[])[]): string {
  const shown = [...new Set(dispatches.map((groups) => groups.join(" x ")))];
  const times = dispatches.length === 1 ? "one dispatch" : `${dispatches.length} dispatches`;
  return `${times} of ${shown.join(" or ")} workgroups`;
}

/** Each kernel of an operation in the order of its first dispatch, with a line of comment before it. */
export async function kernelText(request: KernelRequest): Promise<string> {
  const { name, sizes, backward, path, lanes } = request;
  const kernels = await captureKernels(
    path,
    lanes,
    (gpu) => callOperation(gpu, name, sizes, backward),
  );
  return kernels.map(({ name, source, dispatches }) =>
    `// ${name}: ${describeDispatches(dispatches)}\n${source.trimEnd()}\n`
  ).join("\n");
}
