/** Losses of many steps, read together. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { LossHistory, NonFiniteLossError } from "../../models/training/loss_history.ts";
import { openGpu } from "../../kernels/runtime/gpu.ts";
import { gpuTest } from "../gpu_support.ts";

/** Note the losses from..to-1; each is gone as soon as it is noted. */
async function note(gpu: Gpu, history: LossHistory, from: number, to: number): Promise<void> {
  for (let i = from; i < to; i++) {
    using loss = Tensor.from(gpu, [i + 0.5], []);
    await history.add(loss);
  }
}

gpuTest("losses come in order, and the last ones with finish", async (gpu) => {
  for (const [every, count] of [[1, 3], [4, 4], [4, 11], [4, 0], [50, 7]]) {
    using history = new LossHistory(gpu, every);
    await note(gpu, history, 0, count);
    const expected = Array.from({ length: count }, (_, i) => i + 0.5);
    assertEquals(await history.finish(), expected, `${count} losses, every ${every}`);
    assertEquals(await history.finish(), expected);
  }
});

gpuTest("a history goes on after finish", async (gpu) => {
  using history = new LossHistory(gpu, 3);
  await note(gpu, history, 0, 4);
  await history.finish();
  await note(gpu, history, 4, 9);
  await history.finish();
  assertEquals(history.losses, Array.from({ length: 9 }, (_, i) => i + 0.5));
});

gpuTest("a read stays in flight while the next losses are noted", async () => {
  // A device of its own, that takes its time over reads as a real GPU does.
  using gpu = await openGpu();
  gpu.mapsAtOnce = false;
  using history = new LossHistory(gpu, 4);
  await note(gpu, history, 0, 4);
  assertEquals(history.losses, []); // started, and not waited for
  await note(gpu, history, 4, 7);
  // The next read waits for the one before, so the order holds.
  await note(gpu, history, 7, 8);
  assertEquals(history.losses.slice(0, 4), [0.5, 1.5, 2.5, 3.5]);
  assertEquals((await history.finish()).length, 8);
});

gpuTest("steps between two reads submit nothing", async (gpu) => {
  using history = new LossHistory(gpu, 4);
  using loss = Tensor.from(gpu, [1], [1]);
  gpu.flush();
  const { submits } = { ...gpu.recorder.counts };
  for (let i = 0; i < 3; i++) await history.add(loss);
  assertEquals(gpu.recorder.counts.submits - submits, 0);
  await history.add(loss);
  assertEquals(gpu.recorder.counts.submits - submits, 1);
  await history.finish();
});

gpuTest(
  "a loss that is not finite ends the history with its step and the last finite one",
  async (gpu) => {
    for (const bad of [NaN, Infinity, -Infinity]) {
      for (const [every, place] of [[1, 0], [1, 3], [4, 3], [4, 4], [7, 5]]) {
        using history = new LossHistory(gpu, every, { firstStep: 11 });
        using loss = Tensor.from(gpu, [bad], []);
        // The read of the bad loss may be thrown by any wait after it, and by every one after that.
        const error = await assertRejects(async () => {
          await note(gpu, history, 0, place);
          await history.add(loss);
          await note(gpu, history, place + 1, 30);
          await history.finish();
        }, NonFiniteLossError);
        assertEquals(error.loss, bad);
        assertEquals(error.step, 11 + place);
        assertEquals(error.lastFinite, place === 0 ? undefined : place - 0.5);
        assertStringIncludes(error.message, `The loss is ${bad} at step ${11 + place}`);
        await assertRejects(() => history.finish(), NonFiniteLossError);
        assertEquals(history.losses, Array.from({ length: place }, (_, i) => i + 0.5));
      }
    }
  },
);

gpuTest("of losses with several parts the error counts the steps", async (gpu) => {
  using history = new LossHistory(gpu, 6, { perStep: 3, unit: "iteration" });
  using loss = Tensor.from(gpu, [NaN], []);
  await note(gpu, history, 0, 4);
  await history.add(loss);
  await assertRejects(() => history.finish(), NonFiniteLossError, "NaN at iteration 2");
});

gpuTest("a history refuses what is no loss and no count, and goes on", async (gpu) => {
  for (const every of [0, 1.5, NaN]) {
    assertThrows(
      () => new LossHistory(gpu, every),
      RangeError,
      `whole number from 1: not ${every}`,
    );
  }
  using history = new LossHistory(gpu, 2);
  using two = Tensor.from(gpu, [1, 2]);
  await assertRejects(() => history.add(two), TypeError, "cannot take the 2 of");
  await note(gpu, history, 0, 1);
  assertEquals(await history.finish(), [0.5]);
});
