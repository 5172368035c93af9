/** How work is shared out where kinds of adapters differ: kernels of the same text, but for numbers. */
import type { Gpu, KernelPath } from "./gpu.ts";

/** What suits a kind of adapter. */
export interface Sharing {
  /** Invocations that keep it busy. */
  invocations: number;
  /** Rows of a matrix that a workgroup takes, and the invocations that share a row: one of the two is 1. */
  rows: number;
  lanes: number;
}

const SHARING: Record<KernelPath, Sharing> = {
  // A barrier costs a CPU more than all else, so each lane takes a row of its own.
  subgroup: { invocations: 2048, rows: 16, lanes: 1 },
  workgroup: { invocations: 32768, rows: 1, lanes: 64 },
};

/** What suits this one. */
export function sharing({ path }: Gpu): Sharing {
  return SHARING[path];
}
