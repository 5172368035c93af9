/** What would run: the text of kernels, on a GPU that runs none of them. */
import { openDevice } from "../device.ts";
import { Gpu, type KernelPath } from "../gpu.ts";
import type { KernelSpec } from "../kernel.ts";
import type { Recorder } from "../recorder.ts";
import type { KernelWatcher } from "./watcher.ts";

/** A kernel that an operation would run. */
export interface CapturedKernel {
  name: string;
  /** The whole WGSL text. */
  source: string;
  /** Workgroups in x, y and z, of each dispatch of it in order. */
  dispatches: (readonly [number, number, number])[];
}

/** Takes down kernels in the order of their first dispatches, and lets none through. */
export class KernelCapture implements KernelWatcher {
  readonly kernels: CapturedKernel[] = [];

  watch({ spec, source }: { spec: KernelSpec; source: string }): Pick<Recorder, "dispatch"> {
    let kernel = this.kernels.find((kernel) => kernel.source === source);
    if (kernel === undefined) {
      kernel = { name: spec.name, source, dispatches: [] };
      this.kernels.push(kernel);
    }
    const { dispatches } = kernel;
    return { dispatch: (_pipeline, _bindGroup, groups) => void dispatches.push(groups) };
  }

  made(): void {}
  moved(): void {}
  close(): void {}
}

/**
 * The kernels that `work` would run, with bodies for a path and, on the `subgroup` path, for subgroups of so many
 * lanes: whatever adapter is there, since nothing runs. What `work` reads is undefined.
 *
 * Errors: NoAdapterError when there is no adapter; those of `work`.
 */
export async function captureKernels(
  path: KernelPath,
  lanes: number,
  work: (gpu: Gpu) => void,
): Promise<CapturedKernel[]> {
  using gpu = new Gpu(await openDevice("high-performance"), path, lanes);
  const capture = new KernelCapture();
  gpu.watcher = capture;
  work(gpu);
  return capture.kernels;
}
