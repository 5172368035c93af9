/** The LSTM on the GPU against its float64 twin and PyTorch, on both kernel paths. */
import { assertEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import {
  lstmBackward,
  lstmForward,
  lstmStepBackward,
  lstmStepForward,
} from "../../kernels/recurrent/homework.ts";
import {
  type LstmGradients,
  lstmTimeMajorBackward,
  lstmTimeMajorForward,
} from "../../kernels/recurrent/lstm.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import * as twin from "../../kernels/reference/lstm.ts";
import type { RecurrentShape } from "../../kernels/reference/rnn.ts";
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
import fixture from "../fixtures/rnn_lstm_torch.json" with { type: "json" };

type Sizes = [batch: number, steps: number, inputDim: number, hiddenDim: number];

function draw([batch, steps, inputDim, hiddenDim]: Sizes) {
  return {
    shape: { batch, steps, inputDim, hiddenDim },
    x: normals("x", batch * steps * inputDim),
    h0: normals("h0", batch * hiddenDim),
    c0: normals("c0", batch * hiddenDim),
    wx: normals("wx", inputDim * 4 * hiddenDim).map((v) => v / Math.sqrt(inputDim)),
    wh: normals("wh", hiddenDim * 4 * hiddenDim).map((v) => v / Math.sqrt(hiddenDim)),
    b: normals("b", 4 * hiddenDim),
    dh: normals("dh", batch * steps * hiddenDim),
    dcLast: normals("dcLast", batch * hiddenDim),
  };
}

/** Upload a drawn problem, time-major. */
function uploadAll(gpu: Gpu, problem: ReturnType<typeof draw>) {
  const { batch: n, steps: t, inputDim: d, hiddenDim: h } = problem.shape;
  const inputs = {
    x: upload(gpu, swapAxes(problem.x, [n, t, d]), [t, n, d]),
    h0: upload(gpu, problem.h0, [n, h]),
    c0: upload(gpu, problem.c0, [n, h]),
    wx: upload(gpu, problem.wx, [d, 4 * h]),
    wh: upload(gpu, problem.wh, [h, 4 * h]),
    b: upload(gpu, problem.b, [4 * h]),
  };
  const dh = upload(gpu, swapAxes(problem.dh, [n, t, h]), [t, n, h]);
  const dcLast = upload(gpu, problem.dcLast, [n, h]);
  return { inputs, dh, dcLast, [Symbol.dispose]: () => disposeAll({ ...inputs, dh, dcLast }) };
}

async function assertGradients(
  got: LstmGradients,
  expected: twin.LstmGradients,
  { batch, steps, inputDim }: RecurrentShape,
  what: string,
  assertSame = assertTwin,
) {
  await assertSame(got.dx, swapAxes(expected.dx, [batch, steps, inputDim]), `${what}: dx`);
  await assertSame(got.dh0, expected.dh0, `${what}: dh0`);
  await assertSame(got.dc0, expected.dc0, `${what}: dc0`);
  await assertSame(got.dwx, expected.dWx, `${what}: dwx`);
  await assertSame(got.dwh, expected.dWh, `${what}: dwh`);
  await assertSame(got.db, expected.db, `${what}: db`);
}

// Primes and multiples of four; one example, part of a tile, and more than one tile.
const CASES: Sizes[] = [[1, 1, 1, 1], [3, 2, 5, 7], [25, 5, 7, 8], [33, 2, 4, 13], [3, 5, 8, 36]];

for (const sizes of CASES) {
  gpuTestBothPaths(`LSTM forward and backward at [N, T, D, H] = [${sizes}]`, async (gpu) => {
    const problem = draw(sizes);
    const { shape, x, h0, c0, wx, wh, b, dh, dcLast } = problem;
    const { batch, steps, hiddenDim } = shape;
    using on = uploadAll(gpu, problem);

    const run = countDispatches(gpu, () => lstmTimeMajorForward(on.inputs));
    using forward = run.result;
    assertEquals(run.dispatches, 1 + steps);
    const states = twin.lstmForward(x, h0, wx, wh, b, shape, c0);
    await assertTwin(forward.h, swapAxes(states.h, [batch, steps, hiddenDim]), "h");
    await assertTwin(forward.gates, swapAxes(states.gates, [batch, steps, 4 * hiddenDim]), "gates");
    using cells = forward.cells.view([steps, batch, hiddenDim], batch * hiddenDim);
    await assertTwin(cells, swapAxes(states.c, [batch, steps, hiddenDim]), "cells");

    const back = countDispatches(gpu, () => lstmTimeMajorBackward(on.dh, forward, {}, on.dcLast));
    assertEquals(back.dispatches, steps + 5);
    const options = { c0, dcLast };
    const expected = twin.lstmBackward(dh, states, x, h0, wx, wh, shape, options);
    await assertGradients(back.result, expected, shape, "backward");
    disposeAll(back.result);
  });
}

gpuTestBothPaths("the LSTM without c0 and dcLast takes zeros for them", async (gpu) => {
  const problem = draw([3, 2, 5, 7]);
  const { shape, x, h0, wx, wh, b, dh } = problem;
  using on = uploadAll(gpu, problem);
  const { c0: _, ...withoutCell } = on.inputs;
  using forward = lstmTimeMajorForward(withoutCell);
  const states = twin.lstmForward(x, h0, wx, wh, b, shape);
  await assertTwin(forward.h, swapAxes(states.h, [3, 2, 7]), "h");
  const got = lstmTimeMajorBackward(on.dh, forward);
  const expected = twin.lstmBackward(dh, states, x, h0, wx, wh, shape);
  await assertGradients(got, expected, shape, "backward");
  disposeAll(got);
});

gpuTestBothPaths(
  "LSTM gradients go into given tensors, and are left out where false",
  async (gpu) => {
    const problem = draw([3, 2, 5, 7]);
    const { shape, x, h0, c0, wx, wh, b, dh, dcLast } = problem;
    using on = uploadAll(gpu, problem);
    using forward = lstmTimeMajorForward(on.inputs);
    const states = twin.lstmForward(x, h0, wx, wh, b, shape, c0);
    const expected = twin.lstmBackward(dh, states, x, h0, wx, wh, shape, { c0, dcLast });
    const targets = {
      dx: Tensor.empty(gpu, [2, 3, 5]),
      dh0: Tensor.empty(gpu, [3, 7]),
      dc0: Tensor.empty(gpu, [3, 7]),
      dwx: Tensor.empty(gpu, [5, 28]),
      dwh: Tensor.empty(gpu, [7, 28]),
      db: Tensor.empty(gpu, [28]),
    };
    const got = lstmTimeMajorBackward(on.dh, forward, targets, on.dcLast);
    assertEquals(got, targets);
    await assertGradients(got, expected, shape, "into targets");

    const frozen = { ...targets, dx: false, dh0: false, dc0: false } as const;
    const some = countDispatches(gpu, () => lstmTimeMajorBackward(on.dh, forward, frozen));
    assertEquals(some.dispatches, 2 + 3);
    assertEquals(Object.keys(some.result).sort(), ["db", "dwh", "dwx"]);
    disposeAll(targets);
  },
);

gpuTestBothPaths("one LSTM step agrees with the twin's step", async (gpu) => {
  const problem = draw([3, 1, 5, 7]);
  const { shape, x, h0, c0, wx, wh, b, dh, dcLast } = problem;
  using on = uploadAll(gpu, problem);
  using xStep = upload(gpu, x, [3, 5]);
  using dhStep = upload(gpu, dh, [3, 7]);
  const { h0: hPrev, c0: cPrev, wx: wxOn, wh: whOn, b: bOn } = on.inputs;
  using forward = lstmStepForward({ x: xStep, hPrev, cPrev, wx: wxOn, wh: whOn, b: bOn });
  const state = twin.lstmStepForward(x, h0, c0, wx, wh, b, shape);
  await assertTwin(forward.h, state.h, "h");
  await assertTwin(forward.c, state.c, "c");
  assertEquals([forward.h.shape, forward.c.shape], [[3, 7], [3, 7]]);
  const got = lstmStepBackward(dhStep, on.dcLast, forward);
  const expected = twin.lstmStepBackward(dh, dcLast, state, x, h0, c0, wx, wh, shape);
  await assertTwin(got.dx, expected.dx, "dx");
  await assertTwin(got.dhPrev, expected.dhPrev, "dhPrev");
  await assertTwin(got.dcPrev, expected.dcPrev, "dcPrev");
  await assertTwin(got.dwx, expected.dWx, "dwx");
  await assertTwin(got.dwh, expected.dWh, "dwh");
  await assertTwin(got.db, expected.db, "db");
  disposeAll(got);
});

gpuTestBothPaths("an LSTM over batches that come first agrees with its twin", async (gpu) => {
  const problem = draw([3, 4, 5, 7]);
  const { shape, x, h0, c0, wx, wh, b, dh, dcLast } = problem;
  using on = uploadAll(gpu, problem);
  using xFirst = upload(gpu, x, [3, 4, 5]);
  using dhFirst = upload(gpu, dh, [3, 4, 7]);
  using result = lstmForward({ ...on.inputs, x: xFirst });
  const states = twin.lstmForward(x, h0, wx, wh, b, shape, c0);
  assertEquals([result.h.shape, result.c.shape], [[3, 4, 7], [3, 7]]);
  await assertTwin(result.h, states.h, "h");
  const got = lstmBackward(dhFirst, result, on.dcLast);
  const expected = twin.lstmBackward(dh, states, x, h0, wx, wh, shape, { c0, dcLast });
  assertEquals(got.dx.shape, [3, 4, 5]);
  await assertTwin(got.dx, expected.dx, "dx");
  await assertTwin(got.dh0, expected.dh0, "dh0");
  await assertTwin(got.dc0, expected.dc0, "dc0");
  await assertTwin(got.dwx, expected.dWx, "dwx");
  await assertTwin(got.dwh, expected.dWh, "dwh");
  await assertTwin(got.db, expected.db, "db");
  disposeAll(got);
});

/** PyTorch's `[4H, columns]`, gates i, f, g, o, as `[columns, 4H]` in the homework's order f, i, c̃, o. */
function fromTorch(weight: number[], columns: number, hiddenDim: number): Float64Array {
  const ours = new Float64Array(columns * 4 * hiddenDim);
  for (const [gate, block] of [1, 0, 2, 3].entries()) {
    for (let unit = 0; unit < hiddenDim; unit++) {
      for (let column = 0; column < columns; column++) {
        ours[(column * 4 + gate) * hiddenDim + unit] =
          weight[(block * hiddenDim + unit) * columns + column];
      }
    }
  }
  return ours;
}

gpuTestBothPaths("the LSTM agrees with PyTorch, forward and backward", async (gpu) => {
  const { batch: n, steps: t, inputDim: d, hiddenDim: h } = fixture.sizes;
  const { parameters, inputs, direct, outputs, gradients } = fixture.lstm;
  const bias = parameters.bias_ih_l0.map((v, i) => v + parameters.bias_hh_l0[i]);
  const on = {
    x: upload(gpu, swapAxes(inputs.x, [n, t, d]), [t, n, d]),
    h0: upload(gpu, inputs.h0, [n, h]),
    c0: upload(gpu, inputs.c0, [n, h]),
    wx: upload(gpu, fromTorch(parameters.weight_ih_l0, d, h), [d, 4 * h]),
    wh: upload(gpu, fromTorch(parameters.weight_hh_l0, h, h), [h, 4 * h]),
    b: upload(gpu, fromTorch(bias, 1, h), [4 * h]),
  };
  using forward = lstmTimeMajorForward(on);
  await assertTwin(forward.h, swapAxes(outputs.h, [n, t, h]), "h");
  using cLast = forward.cells.view([n, h], t * n * h);
  await assertTwin(cLast, outputs.c_last, "the last cell state");

  using dh = upload(gpu, swapAxes(direct.h, [n, t, h]), [t, n, h]);
  using dcLast = upload(gpu, direct.c_last, [n, h]);
  const got = lstmTimeMajorBackward(dh, forward, {}, dcLast);
  await assertTwin(got.dx, swapAxes(gradients.x, [n, t, d]), "dx");
  await assertTwin(got.dh0, gradients.h0, "dh0");
  await assertTwin(got.dc0, gradients.c0, "dc0");
  await assertTwin(got.dwx, fromTorch(gradients.weight_ih_l0, d, h), "dwx");
  await assertTwin(got.dwh, fromTorch(gradients.weight_hh_l0, h, h), "dwh");
  await assertTwin(got.db, fromTorch(gradients.bias_ih_l0, 1, h), "db");
  disposeAll(got);
  disposeAll(on);
});

/** Compare a whole pass with the twin's, where some numbers may not be finite. */
async function checkAround(gpu: Gpu, problem: ReturnType<typeof draw>, what: string) {
  const { shape, x, h0, c0, wx, wh, b, dh, dcLast } = problem;
  const { batch, steps, hiddenDim } = shape;
  using on = uploadAll(gpu, problem);
  using forward = lstmTimeMajorForward(on.inputs);
  const states = twin.lstmForward(x, h0, wx, wh, b, shape, c0);
  await assertTwinAround(forward.h, swapAxes(states.h, [batch, steps, hiddenDim]), `${what}: h`);
  const got = lstmTimeMajorBackward(on.dh, forward, {}, on.dcLast);
  const expected = twin.lstmBackward(dh, states, x, h0, wx, wh, shape, { c0, dcLast });
  await assertGradients(got, expected, shape, what, assertTwinAround);
  disposeAll(got);
}

gpuTestBothPaths("NaN in an LSTM reaches what depends on it, and nothing else", async (gpu) => {
  for (const hidden of [5, 8]) {
    for (const at of [0, 7, 4 * 3 * 6 - 1]) {
      const problem = draw([4, 3, 6, hidden]);
      problem.x[at] = NaN;
      await checkAround(gpu, problem, `H = ${hidden}, NaN at ${at} of x`);
    }
  }
});

gpuTestBothPaths(
  "the weights of an LSTM learn from thousands of examples and steps",
  async (gpu) => {
    const sizes: Sizes = [5001, 2, 50, 1];
    await checkAround(gpu, draw(sizes), `[N, T, D, H] = [${sizes}]`);
  },
);

gpuTestBothPaths("an LSTM with huge sums saturates and keeps its gradients finite", async (gpu) => {
  const x = Tensor.from(gpu, [1e6, -1e6], [1, 2, 1]);
  const zeros = Tensor.zeros(gpu, [2, 1]);
  const wx = Tensor.from(gpu, [1, 1, 1, 1], [1, 4]);
  const b = Tensor.zeros(gpu, [4]);
  using forward = lstmTimeMajorForward({ x, h0: zeros, wx, wh: wx, b });
  await assertTwin(forward.h, [Math.tanh(1), 0], "h");
  using dh = Tensor.from(gpu, [1, 1], [1, 2, 1]);
  const got = lstmTimeMajorBackward(dh, forward);
  for (const gradient of [got.dx, got.dh0, got.dwx, got.dwh, got.db]) {
    const values = await gradient.read();
    await assertTwin(gradient, new Float64Array(values.length), gradient.name, 1e-4);
  }
  disposeAll({ ...got, x, zeros, wx, b });
});

gpuTest("the LSTM refuses shapes that do not fit, and leaves nothing behind", (gpu) => {
  using on = uploadAll(gpu, draw([3, 2, 5, 7]));
  const { inputs } = on;
  using wrong = Tensor.zeros(gpu, [2, 2], { name: "wrong" });
  using none = Tensor.zeros(gpu, [0, 3, 5]);
  for (const name of ["x", "h0", "c0", "wx", "wh", "b"] as const) {
    assertThrows(() => lstmTimeMajorForward({ ...inputs, [name]: wrong }), TypeError, "An LSTM's");
  }
  assertThrows(() => lstmTimeMajorForward({ ...inputs, x: none }), RangeError, "at least one step");
  using forward = lstmTimeMajorForward(inputs);
  assertThrows(() => lstmTimeMajorBackward(wrong, forward), TypeError, "dh [T, N, H]");
  assertThrows(() => lstmTimeMajorBackward(on.dh, forward, {}, wrong), TypeError, "dcLast [N, H]");
  for (const name of ["dx", "dh0", "dc0", "dwx", "dwh", "db"] as const) {
    assertThrows(
      () => lstmTimeMajorBackward(on.dh, forward, { [name]: wrong }),
      TypeError,
      `"wrong"`,
    );
  }
});
