/** The vanilla RNN on the GPU against its float64 twin, on both kernel paths. */
import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  rnnBackward,
  rnnForward,
  rnnStepBackward,
  rnnStepForward,
} from "../../kernels/recurrent/homework.ts";
import {
  type RnnGradients,
  rnnTimeMajorBackward,
  rnnTimeMajorForward,
} from "../../kernels/recurrent/rnn.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import * as twin from "../../kernels/reference/rnn.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import {
  assertTwin,
  assertTwinAround,
  countDispatches,
  disposeAll,
  normals,
  swapAxes,
  upload,
} from "./values.ts";

type Sizes = [batch: number, steps: number, inputDim: number, hiddenDim: number];

function draw([batch, steps, inputDim, hiddenDim]: Sizes) {
  return {
    shape: { batch, steps, inputDim, hiddenDim },
    x: normals("x", batch * steps * inputDim),
    h0: normals("h0", batch * hiddenDim),
    wx: normals("wx", inputDim * hiddenDim).map((v) => v / Math.sqrt(inputDim)),
    wh: normals("wh", hiddenDim * hiddenDim).map((v) => v / Math.sqrt(hiddenDim)),
    b: normals("b", hiddenDim),
    dh: normals("dh", batch * steps * hiddenDim),
  };
}

/** Upload a drawn problem, time-major. */
function uploadAll(gpu: Gpu, { shape, x, h0, wx, wh, b, dh }: ReturnType<typeof draw>) {
  const { batch: n, steps: t, inputDim: d, hiddenDim: h } = shape;
  const inputs = {
    x: upload(gpu, swapAxes(x, [n, t, d]), [t, n, d]),
    h0: upload(gpu, h0, [n, h]),
    wx: upload(gpu, wx, [d, h]),
    wh: upload(gpu, wh, [h, h]),
    b: upload(gpu, b, [h]),
  };
  const dh_ = upload(gpu, swapAxes(dh, [n, t, h]), [t, n, h]);
  return { inputs, dh: dh_, [Symbol.dispose]: () => disposeAll({ ...inputs, dh_ }) };
}

async function assertGradients(
  got: RnnGradients,
  expected: twin.RnnGradients,
  { batch, steps, inputDim }: twin.RecurrentShape,
  what: string,
  assertSame = assertTwin,
) {
  await assertSame(got.dx, swapAxes(expected.dx, [batch, steps, inputDim]), `${what}: dx`);
  await assertSame(got.dh0, expected.dh0, `${what}: dh0`);
  await assertSame(got.dwx, expected.dWx, `${what}: dwx`);
  await assertSame(got.dwh, expected.dWh, `${what}: dwh`);
  await assertSame(got.db, expected.db, `${what}: db`);
}

// Primes and multiples of four; one example, part of a tile, and more than one tile.
const CASES: Sizes[] = [[1, 1, 1, 1], [3, 2, 5, 7], [25, 5, 7, 8], [33, 2, 4, 13], [3, 5, 8, 68]];

for (const sizes of CASES) {
  gpuTestBothPaths(`RNN forward and backward at [N, T, D, H] = [${sizes}]`, async (gpu) => {
    const problem = draw(sizes);
    const { shape, x, h0, wx, wh, b, dh } = problem;
    const { batch, steps, hiddenDim } = shape;
    using on = uploadAll(gpu, problem);

    const run = countDispatches(gpu, () => rnnTimeMajorForward(on.inputs));
    using forward = run.result;
    assertEquals(run.dispatches, 1 + steps);
    assertEquals(forward.h.shape, [steps, batch, hiddenDim]);
    const states = twin.rnnForward(x, h0, wx, wh, b, shape);
    await assertTwin(forward.h, swapAxes(states, [batch, steps, hiddenDim]), "h");

    const back = countDispatches(gpu, () => rnnTimeMajorBackward(on.dh, forward));
    assertEquals(back.dispatches, steps + 5);
    const expected = twin.rnnBackward(dh, states, x, h0, wx, wh, shape);
    await assertGradients(back.result, expected, shape, "backward");
    disposeAll(back.result);
  });
}

gpuTestBothPaths(
  "RNN gradients go into given tensors, and are left out where false",
  async (gpu) => {
    const problem = draw([3, 2, 5, 7]);
    const { shape, x, h0, wx, wh, b, dh } = problem;
    using on = uploadAll(gpu, problem);
    using forward = rnnTimeMajorForward(on.inputs);
    const expected = twin.rnnBackward(
      dh,
      twin.rnnForward(x, h0, wx, wh, b, shape),
      x,
      h0,
      wx,
      wh,
      shape,
    );
    const targets = {
      dx: Tensor.empty(gpu, on.inputs.x.shape),
      dh0: Tensor.empty(gpu, [3, 7]),
      dwx: Tensor.empty(gpu, [5, 7]),
      dwh: Tensor.empty(gpu, [7, 7]),
      db: Tensor.empty(gpu, [7]),
    };
    const got = rnnTimeMajorBackward(on.dh, forward, targets);
    assertEquals(got, targets);
    await assertGradients(got, expected, shape, "into targets");

    const some = countDispatches(
      gpu,
      () => rnnTimeMajorBackward(on.dh, forward, { ...targets, dx: false, dh0: false }),
    );
    assertEquals(some.dispatches, 2 + 3);
    assertEquals(Object.keys(some.result).sort(), ["db", "dwh", "dwx"]);
    disposeAll(targets);
  },
);

gpuTestBothPaths("one RNN step agrees with the twin's step", async (gpu) => {
  const problem = draw([3, 1, 5, 7]);
  const { shape, x, h0, wx, wh, b, dh } = problem;
  using on = uploadAll(gpu, problem);
  using xStep = upload(gpu, x, [3, 5]);
  using dhStep = upload(gpu, dh, [3, 7]);
  const { h0: hPrev, wx: wxOn, wh: whOn, b: bOn } = on.inputs;
  using forward = rnnStepForward({ x: xStep, hPrev, wx: wxOn, wh: whOn, b: bOn });
  const h = twin.rnnStepForward(x, h0, wx, wh, b, shape);
  await assertTwin(forward.h, h, "h");
  assertEquals(forward.h.shape, [3, 7]);
  const got = rnnStepBackward(dhStep, forward);
  const expected = twin.rnnStepBackward(dh, h, x, h0, wx, wh, shape);
  await assertTwin(got.dx, expected.dx, "dx");
  await assertTwin(got.dhPrev, expected.dhPrev, "dhPrev");
  await assertTwin(got.dwx, expected.dWx, "dwx");
  await assertTwin(got.dwh, expected.dWh, "dwh");
  await assertTwin(got.db, expected.db, "db");
  disposeAll(got);
});

gpuTestBothPaths("an RNN over batches that come first agrees with its twin", async (gpu) => {
  const problem = draw([3, 4, 5, 7]);
  const { shape, x, h0, wx, wh, b, dh } = problem;
  using on = uploadAll(gpu, problem);
  using xFirst = upload(gpu, x, [3, 4, 5]);
  using dhFirst = upload(gpu, dh, [3, 4, 7]);
  using result = rnnForward({ ...on.inputs, x: xFirst });
  const h = twin.rnnForward(x, h0, wx, wh, b, shape);
  assertEquals(result.h.shape, [3, 4, 7]);
  await assertTwin(result.h, h, "h");
  const got = rnnBackward(dhFirst, result);
  const expected = twin.rnnBackward(dh, h, x, h0, wx, wh, shape);
  assertEquals(got.dx.shape, [3, 4, 5]);
  await assertTwin(got.dx, expected.dx, "dx");
  await assertTwin(got.dh0, expected.dh0, "dh0");
  await assertTwin(got.dwx, expected.dWx, "dwx");
  await assertTwin(got.dwh, expected.dWh, "dwh");
  await assertTwin(got.db, expected.db, "db");
  disposeAll(got);
});

/** Compare a whole pass with the twin's, where some numbers may not be finite. */
async function checkAround(gpu: Gpu, problem: ReturnType<typeof draw>, what: string) {
  const { shape, x, h0, wx, wh, b, dh } = problem;
  const { batch, steps, hiddenDim } = shape;
  using on = uploadAll(gpu, problem);
  using forward = rnnTimeMajorForward(on.inputs);
  const states = twin.rnnForward(x, h0, wx, wh, b, shape);
  await assertTwinAround(forward.h, swapAxes(states, [batch, steps, hiddenDim]), `${what}: h`);
  const got = rnnTimeMajorBackward(on.dh, forward);
  const expected = twin.rnnBackward(dh, states, x, h0, wx, wh, shape);
  await assertGradients(got, expected, shape, what, assertTwinAround);
  disposeAll(got);
}

gpuTestBothPaths("NaN in an RNN reaches what depends on it, and nothing else", async (gpu) => {
  for (const hidden of [5, 8]) {
    for (const at of [0, 7, 4 * 3 * 6 - 1]) {
      const problem = draw([4, 3, 6, hidden]);
      problem.x[at] = NaN;
      await checkAround(gpu, problem, `H = ${hidden}, NaN at ${at} of x`);
    }
  }
});

gpuTestBothPaths(
  "the weights of an RNN learn from thousands of examples and steps",
  async (gpu) => {
    const sizes: Sizes = [5001, 2, 50, 1];
    await checkAround(gpu, draw(sizes), `[N, T, D, H] = [${sizes}]`);
  },
);

gpuTestBothPaths("an RNN with huge sums saturates and keeps its gradients finite", async (gpu) => {
  using x = Tensor.from(gpu, [1e6, -1e6], [1, 2, 1]);
  using h0 = Tensor.zeros(gpu, [2, 1]);
  using one = Tensor.from(gpu, [1], [1, 1]);
  using b = Tensor.zeros(gpu, [1]);
  using forward = rnnTimeMajorForward({ x, h0, wx: one, wh: one, b });
  await assertTwin(forward.h, [1, -1], "h");
  using dh = Tensor.from(gpu, [1, 1], [1, 2, 1]);
  const got = rnnTimeMajorBackward(dh, forward);
  assertEquals([...(await got.dh0.read())], [0, 0]);
  disposeAll(got);
});

gpuTest("the RNN refuses shapes that do not fit, and leaves nothing behind", (gpu) => {
  using on = uploadAll(gpu, draw([3, 2, 5, 7]));
  const { inputs } = on;
  using wrong = Tensor.zeros(gpu, [2, 2], { name: "wrong" });
  using none = Tensor.zeros(gpu, [0, 3, 5]);
  for (const name of ["x", "h0", "wx", "wh", "b"] as const) {
    const error = name === "wh"
      ? "An RNN's h0 [N, H]"
      : `An RNN's ${name === "x" ? "input x" : name} [`;
    assertThrows(() => rnnTimeMajorForward({ ...inputs, [name]: wrong }), TypeError, error);
  }
  assertThrows(() => rnnTimeMajorForward({ ...inputs, x: none }), RangeError, "at least one step");
  using forward = rnnTimeMajorForward(inputs);
  assertThrows(() => rnnTimeMajorBackward(wrong, forward), TypeError, "dh [T, N, H]");
  for (const name of ["dx", "dh0", "dwx", "dwh", "db"] as const) {
    assertThrows(
      () => rnnTimeMajorBackward(on.dh, forward, { [name]: wrong }),
      TypeError,
      `"wrong"`,
    );
  }
});
