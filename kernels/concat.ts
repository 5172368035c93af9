/** Putting matrices side by side, and taking them apart again. */
import type { Gpu } from "./runtime/gpu.ts";
import { defineKernel } from "./runtime/kernel.ts";
import { eachOfRows, element, perShape, ROW_PARAMS, shareColumns } from "./runtime/wgsl.ts";
import { expectShape, type Tensor } from "./runtime/tensor.ts";

// Copies of `part [M, W]`, in quads where all widths and places allow it.
const copyKernel = perShape((_gpu: Gpu, { vec4, join }: { vec4: boolean; join: boolean }) => {
  const [to, source] = join ? ["whole[place]", "part[at]"] : ["part[at]", "whole[place]"];
  return defineKernel({
    name: join ? "join columns" : "take columns",
    bindings: {
      part: `${join ? "read" : "write"} ${element(vec4)}`,
      whole: `${join ? "write" : "read"} ${element(vec4)}`,
    },
    params: { ...ROW_PARAMS, columns: "u32", at: "u32" },
    code: eachOfRows(
      "",
      `let place = row * params.columns + params.at + column;
    let at = row * params.width + column;
    ${to} = ${source};`,
    ),
  });
});

/** Copy between a part and its columns of the whole, from `at`. */
function copyColumns(part: Tensor, whole: Tensor, at: number, join: boolean): void {
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
  const { params, groups } = shareColumns(part.shape[0], width / unit);
  const all = { ...params, columns: columns / unit, at: at / unit };
  copyKernel(part.gpu, { vec4, join }).run(part.gpu, { part, whole }, all, groups);
}

/** Write `part [M, W]` to the columns of `whole [M, N]` from `at`. One dispatch. */
export function joinColumns(part: Tensor, whole: Tensor, at: number): void {
  copyColumns(part, whole, at, true);
}

/** Write the columns of `whole [M, N]` from `at` to `part [M, W]`. One dispatch. */
export function takeColumns(whole: Tensor, at: number, part: Tensor): void {
  copyColumns(part, whole, at, false);
}
