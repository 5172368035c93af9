/** What is refused, and that the turns that are allowed are counted as a driver counts them. */
import { assertEquals, assertThrows } from "@std/assert";
import { defineKernel } from "../../kernels/runtime/kernel.ts";
import { expectDepth, mostDepth } from "../../kernels/gemm/engine.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { expectTurns, loopTurns, MOST_TURNS } from "../../kernels/runtime/turns.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { GpuError } from "../../kernels/runtime/errors.ts";

// Two loops after each other, the first with another in it; bounds from a buffer, so that none is unrolled.
const countKernel = defineKernel({
  name: "count",
  bindings: { bounds: "read u32", out: "write u32" },
  params: {},
  code: /* wgsl */ `
@compute @workgroup_size(1)
fn main() {
  var count = 0u;
  for (var i = 0u; i < bounds[0]; i++) {
    for (var j = 0u; j < bounds[1]; j++) { count++; }
  }
  for (var i = 0u; i < bounds[2]; i++) { count++; }
  out[0] = count;
}`,
});

gpuTest("a kernel may take as many turns as are allowed, and they are counted so", async (gpu) => {
  const count = async (outer: number, inner: number, last: number) => {
    using bounds = Tensor.from(gpu, [outer, inner, last], [3], { dtype: "u32" });
    using out = Tensor.empty(gpu, [1], { dtype: "u32" });
    countKernel.run(gpu, { bounds, out }, {}, [1]);
    return [...await out.read()];
  };
  const turns = (outer: number, inner: number, last: number) =>
    loopTurns(outer, loopTurns(inner)) + loopTurns(last);
  for (const [outer, inner, last] of [[100, 3, 59_498], [14_999, 2, 0], [0, 9, 59_998]]) {
    assertEquals(turns(outer, inner, last), MOST_TURNS - (outer === 14_999 ? 2 : 0));
    assertEquals(await count(outer, inner, last), [outer * inner + last]);
  }
});

Deno.test("what takes too many turns is refused, with the tensor's name and a remedy", () => {
  const tensor = { name: "wide", shape: [2, 3] };
  expectTurns(MOST_TURNS, tensor, "A sum of", "take fewer");
  assertThrows(
    () => expectTurns(MOST_TURNS + 1, tensor, "A sum of", "take fewer"),
    GpuError,
    'A sum of "wide" of shape [2, 3] takes loops of 60001 turns, and a kernel is given 60000, since software GPU ' +
      "drivers cut longer ones: take fewer",
  );
});

gpuTestBothPaths("a product that is not cut is refused above the terms of a dispatch", (gpu) => {
  const weights = { name: "wh", shape: [9, 9] };
  const shape = { rows: 32, quads: 4 };
  const most = mostDepth(gpu, shape);
  expectDepth(gpu, shape, most, weights, "A step with");
  assertThrows(
    () => expectDepth(gpu, shape, most + 1, weights, "A step with"),
    GpuError,
    'A step with "wh" of shape [9, 9] takes loops of',
  );
});
