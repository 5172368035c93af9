/** What may stand between kernels and the recorder: a profiler, or what takes down the text of kernels. */
import type { KernelSpec } from "../kernel.ts";
import type { Recorder } from "../recorder.ts";
import type { DType, Tensor } from "../tensor.ts";

/** Work on the GPU that no kernel does. */
export type Moved =
  | "copies to textures"
  | "copies of tensors"
  | "clears"
  | "uploads"
  | "reads";

/** Told of all that a {@linkcode Gpu} records, in order. */
export interface KernelWatcher {
  /** What takes the dispatch of this kernel in the recorder's place. */
  watch(
    kernel: { spec: KernelSpec; source: string },
    tensors: readonly Tensor<DType>[],
    params: Record<string, number>,
  ): Pick<Recorder, "dispatch">;
  /** A pipeline of this text was made, in so many milliseconds. */
  made(source: string, ms: number): void;
  /** So many bytes were recorded, or queued, to be moved. */
  moved(what: Moved, bytes: number): void;
  /** The GPU is about to be closed. */
  close(): void;
}
