/**
 * The kernels whose text is kept here, so that a change of what writes it shows as a difference.
 * `deno task wgsl` writes them anew.
 */
import { captureKernels } from "../../../kernels/runtime/profile/capture.ts";
import type { KernelPath } from "../../../kernels/runtime/gpu.ts";
import { callOperation } from "../../../tasks/kernel/operations.ts";

/** A kept text. */
export interface KeptText {
  /** Its file's name. */
  file: string;
  /** See tasks/kernel/operations.ts. */
  operation: string;
  sizes: readonly number[];
  path: KernelPath;
  /** The kernel among those that the operation runs. */
  kernel: string;
}

// Subgroups of as many lanes as most software adapters have.
const LANES = 8;

export const KEPT: readonly KeptText[] = [
  {
    ...{ file: "matmul_subgroup.wgsl", operation: "matmul", sizes: [8, 512, 256] },
    ...{ path: "subgroup", kernel: "matmul NN" },
  },
  {
    ...{ file: "matmul_workgroup.wgsl", operation: "matmul", sizes: [8, 512, 256] },
    ...{ path: "workgroup", kernel: "matmul NN" },
  },
  {
    ...{ file: "lstm_step.wgsl", operation: "lstm", sizes: [16, 8, 256, 512] },
    ...{ path: "subgroup", kernel: "lstm step" },
  },
  {
    ...{ file: "conv2d_forward.wgsl", operation: "conv2d", sizes: [1, 4, 4, 64, 64, 3, 1] },
    ...{ path: "subgroup", kernel: "conv2d forward" },
  },
  {
    ...{ file: "softmax_cross_entropy.wgsl", operation: "softmax", sizes: [400, 1004] },
    ...{ path: "subgroup", kernel: "softmax cross-entropy" },
  },
];

export function keptAt({ file }: KeptText): URL {
  return new URL(file, import.meta.url);
}

/** What the text is now. */
export async function currentText(text: KeptText): Promise<string> {
  const { operation, sizes, path, kernel } = text;
  const kernels = await captureKernels(
    path,
    LANES,
    (gpu) => callOperation(gpu, operation, sizes, false),
  );
  const found = kernels.find(({ name }) => name === kernel);
  if (found === undefined) {
    const names = kernels.map(({ name }) => name).join(", ");
    throw new TypeError(`${operation} of ${sizes.join("x")} runs no "${kernel}": ${names}`);
  }
  return `// ${kernel} of ${operation} ${sizes.join("x")}, ${path}\n${found.source.trimEnd()}\n`;
}
