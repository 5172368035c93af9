/** What layers with a dropout in them must do. */
import { assertEquals, assertNotEquals } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tape, type Variable } from "../../models/tape/autograd.ts";
import type { Module } from "../../models/layers/module.ts";

/** The numbers that `forward` gives on a tape of its own. */
export async function numbersOf(
  gpu: Gpu,
  forward: () => Variable,
  training = true,
): Promise<Float32Array> {
  using tape = new Tape(gpu, { training });
  return await tape.keep(forward().tensor).read();
}

/**
 * Check that a layer drops anew each time while it and the tape are training, and else gives what the same layer
 * without a dropout gives. Both are on the GPU, and it is left evaluating.
 */
export async function checkDropping<L extends Module>(
  gpu: Gpu,
  dropping: L,
  whole: L,
  forward: (layer: L) => Variable,
): Promise<void> {
  const run = (layer: L, training = true) => numbersOf(gpu, () => forward(layer), training);
  const expected = await run(whole);
  const first = await run(dropping);
  assertNotEquals(first, expected);
  assertNotEquals(await run(dropping), first);
  assertEquals(await run(dropping, false), expected);
  assertEquals(await run(dropping.eval()), expected);
}
