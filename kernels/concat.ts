/** Putting matrices side by side, and taking them apart again. */
import type { Gpu } from "./runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "./runtime/kernel.ts";
import { element, perShape } from "./runtime/wgsl.ts";
import { expectShape, type Tensor } from "./runtime/tensor.ts";

const PARAMS = { n: "u32", width: "u32", columns: "u32", at: "u32" } as const;

// An invocation copies one number of `part [M, W]`, or a quad where all widths and places allow it.
const copyCode = (copy: string) =>
  /* wgsl */ `${FLAT_MAIN}
  if (i >= params.n) { return; }
  let row = i / params.width;
  let column = i % params.width;
  let place = row * params.columns + params.at + column;
  ${copy}
}`;

const joinKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) =>
  defineKernel({
    name: "join columns",
    bindings: { part: `read ${element(vec4)}`, whole: `write ${element(vec4)}` },
    params: PARAMS,
    code: copyCode("whole[place] = part[i];"),
  })
);

const takeKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) =>
  defineKernel({
    name: "take columns",
    bindings: { whole: `read ${element(vec4)}`, part: `write ${element(vec4)}` },
    params: PARAMS,
    code: copyCode("part[i] = whole[place];"),
  })
);

function sizes(part: Tensor, whole: Tensor, at: number) {
  expectShape(part, [null, null], "A part [M, W] of a matrix");
  expectShape(whole, [part.shape[0], null], "A matrix [M, N] of parts");
  const [width, columns] = [part.shape[1], whole.shape[1]];
  if (!Number.isInteger(at) || at < 0 || at + width > columns) {
    throw new RangeError(
      `A part of ${width} columns at column ${at} does not fit into a matrix of ${columns}`,
    );
  }
  const vec4 = [width, columns, at].every((n) => n % 4 === 0);
  const unit = vec4 ? 4 : 1;
  const n = part.size / unit;
  const params = { n, width: width / unit, columns: columns / unit, at: at / unit };
  return { vec4, params, groups: flatGroups(n) };
}

/** Write `part [M, W]` to the columns of `whole [M, N]` from `at`. One dispatch. */
export function joinColumns(part: Tensor, whole: Tensor, at: number): void {
  const { vec4, params, groups } = sizes(part, whole, at);
  joinKernel(part.gpu, { vec4 }).run(part.gpu, { part, whole }, params, groups);
}

/** Write the columns of `whole [M, N]` from `at` to `part [M, W]`. One dispatch. */
export function takeColumns(whole: Tensor, at: number, part: Tensor): void {
  const { vec4, params, groups } = sizes(part, whole, at);
  takeKernel(part.gpu, { vec4 }).run(part.gpu, { whole, part }, params, groups);
}
