/** Putting matrices side by side, and taking them apart again. */
import { defineKernel, FLAT_MAIN, flatGroups } from "./kernel.ts";
import { expectShape, type Tensor } from "./tensor.ts";

// An invocation copies one number of `part [M, W]`.
const joinKernel = defineKernel({
  name: "join columns",
  bindings: { part: "read f32", whole: "write f32" },
  params: { n: "u32", width: "u32", columns: "u32", at: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  whole[row * params.columns + params.at + column] = part[i];
}`,
});

const takeKernel = defineKernel({
  name: "take columns",
  bindings: { whole: "read f32", part: "write f32" },
  params: joinKernel.spec.params,
  code: /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  part[i] = whole[row * params.columns + params.at + column];
}`,
});

function sizes(part: Tensor, whole: Tensor, at: number) {
  expectShape(part, [null, null], "A part [M, W] of a matrix");
  expectShape(whole, [part.shape[0], null], "A matrix [M, N] of parts");
  const [width, columns] = [part.shape[1], whole.shape[1]];
  if (!Number.isInteger(at) || at < 0 || at + width > columns) {
    throw new RangeError(
      `A part of ${width} columns at column ${at} does not fit into a matrix of ${columns}`,
    );
  }
  return { n: part.size, width, columns, at };
}

/** Write `part [M, W]` to the columns of `whole [M, N]` from `at`. One dispatch. */
export function joinColumns(part: Tensor, whole: Tensor, at: number): void {
  joinKernel.run(part.gpu, { part, whole }, sizes(part, whole, at), flatGroups(part.size));
}

/** Write the columns of `whole [M, N]` from `at` to `part [M, W]`. One dispatch. */
export function takeColumns(whole: Tensor, at: number, part: Tensor): void {
  takeKernel.run(part.gpu, { whole, part }, sizes(part, whole, at), flatGroups(part.size));
}
