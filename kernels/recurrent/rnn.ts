/**
 * The vanilla recurrent network: `H_t = tanh(X_t W_x + H_{t-1} W_h + b)`.
 *
 * Sequences are time-major, `[T, N, D]`, so that the numbers of one step lie together. The projection
 * `X W_x + b` of all steps is one product; then each step is one dispatch forward and one backward, and
 * each weight's gradient is one product over all steps. The tags (R1) … are those of
 * docs/derivations.md.
 */
import { activations } from "../activations.ts";
import { expectDepth, gemmGroups, tileOf } from "../gemm/engine.ts";
import { matmul } from "../gemm/matmul.ts";
import {
  PRODUCT_PARAMS,
  productCode,
  type ProductShape,
  stepCost,
  stepFactors,
} from "../gemm/product.ts";
import { checkTargets, collectGradients, type GradientTargets } from "../gradients.ts";
import { columnSum } from "../reduce/reduce.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { element, perShape, quadLoad, quadStore, readFrom } from "../runtime/wgsl.ts";

/** Inputs of {@linkcode rnnTimeMajorForward}. */
export interface RnnInputs {
  /** `[T, N, D]` */
  x: Tensor;
  /** `[N, H]`, the initial state. */
  h0: Tensor;
  /** `[D, H]` */
  wx: Tensor;
  /** `[H, H]` */
  wh: Tensor;
  /** `[H]` */
  b: Tensor;
}

/** The result of {@linkcode rnnTimeMajorForward}, and what {@linkcode rnnTimeMajorBackward} needs of it. */
export interface RnnForward {
  /** What it was computed from. */
  inputs: RnnInputs;
  /** `[T + 1, N, H]`: the initial state, then the state after each step. */
  states: Tensor;
  /** `[T, N, H]`: the states after each step, a view of `states`. */
  h: Tensor;
  /** Let go of the tensors above (not of the inputs). */
  [Symbol.dispose](): void;
}

/** Gradients of all inputs of {@linkcode rnnTimeMajorForward}. */
export interface RnnGradients {
  /** `[T, N, D]` */
  dx: Tensor;
  /** `[N, H]` */
  dh0: Tensor;
  /** `[D, H]` */
  dwx: Tensor;
  /** `[H, H]` */
  dwh: Tensor;
  /** `[H]` */
  db: Tensor;
}

/** Parameters of one step of a recurrent kernel. */
export const STEP_PARAMS = {
  ...PRODUCT_PARAMS,
  /** The step, from 0. */
  t: "u32",
} as const;

// `a` holds the states [T + 1, N, H]: read in slot t, written in slot t + 1. `z` is X W_x + b.
const forwardKernel = perShape((gpu: Gpu, shape: ProductShape) => {
  const type = element(shape.b.vec4);
  const ending = activations("vec4f") + quadLoad("z", shape.b.vec4) +
    quadStore("a", shape.b.vec4) + /* wgsl */ `
fn finish_quad(row: u32, column: u32, v: vec4f) {
  let at = (params.t * params.m + row) * params.n + column;
  let count = params.n - column;
  store_a(at + params.m * params.n, count, tanh_vec4f(v + load_z(at, count))); // (R1)
}\n`;
  return defineKernel({
    name: "rnn step",
    bindings: { a: `write ${type}`, b: readFrom(shape.b.vec4, shape.b.mirror), z: `read ${type}` },
    params: STEP_PARAMS,
    cost: stepCost(1, 2),
    code: productCode(gpu, shape, ending),
  });
});

// `a` holds dA [T, N, H]: read at step t + 1, written at step t. `g` is the direct gradient on each state.
const backwardKernel = perShape((gpu: Gpu, shape: ProductShape) => {
  const type = element(shape.b.vec4);
  const ending = quadLoad("h", shape.b.vec4) + quadLoad("g", shape.b.vec4) +
    quadStore("a", shape.b.vec4) + /* wgsl */ `
fn finish_quad(row: u32, column: u32, v: vec4f) {
  let at = (params.t * params.m + row) * params.n + column;
  let count = params.n - column;
  let dh = load_g(at, count) + v; // (R8)
  let h = load_h(at + params.m * params.n, count);
  store_a(at, count, dh * (1.0 - h * h)); // (R2) (R9)
}\n`;
  return defineKernel({
    name: "rnn step backward",
    bindings: {
      a: `write ${type}`,
      b: readFrom(shape.b.vec4, shape.b.mirror),
      h: `read ${type}`,
      g: `read ${type}`,
    },
    params: STEP_PARAMS,
    cost: stepCost(1, 3),
    code: productCode(gpu, shape, ending),
  });
});

function checkInputs({ x, h0, wx, wh, b }: RnnInputs): [number, number, number, number] {
  expectShape(x, [null, null, null], "An RNN's input x [T, N, D]");
  const [steps, batch, input] = x.shape;
  expectShape(wh, [null, null], "An RNN's wh [H, H]");
  const hidden = wh.shape[0];
  expectShape(wh, [hidden, hidden], "An RNN's wh [H, H]");
  expectShape(h0, [batch, hidden], "An RNN's h0 [N, H]");
  expectShape(wx, [input, hidden], "An RNN's wx [D, H]");
  expectShape(b, [hidden], "An RNN's b [H]");
  if (steps * batch * input * hidden === 0) {
    throw new RangeError(
      `An RNN needs at least one step, example, input and unit: x is [${x.shape.join(", ")}]`,
    );
  }
  return [steps, batch, input, hidden];
}

/**
 * Run a vanilla RNN over a sequence: `H_t = tanh(X_t W_x + H_{t-1} W_h + b)` for `t = 1 … T`.
 * 1 + T dispatches (and the copy of `h0`).
 *
 * Errors: TypeError when the shapes do not fit; GpuError for more units than a kernel can add up over.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * import { rnnTimeMajorForward } from "./rnn.ts";
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [0.1, 0.2, 0.3, 0.4], [2, 1, 2]); // two steps of one example
 * using h0 = Tensor.zeros(gpu, [1, 1]);
 * using wx = Tensor.from(gpu, [0.5, -0.5], [2, 1]);
 * using wh = Tensor.from(gpu, [0.9], [1, 1]);
 * using b = Tensor.zeros(gpu, [1]);
 * using forward = rnnTimeMajorForward({ x, h0, wx, wh, b });
 * console.log(await forward.h.read());
 * ```
 */
export function rnnTimeMajorForward(inputs: RnnInputs): RnnForward {
  const [steps, batch, input, hidden] = checkInputs(inputs);
  const { x, h0, wx, wh, b } = inputs;
  const { gpu } = x;
  const tile = tileOf(gpu, { m: batch, n: hidden, k: hidden });
  const shape = { tile, ...stepFactors(wh, steps, false) };
  expectDepth(gpu, shape.tile, hidden, wh, "A step of an RNN with wh");
  const states = Tensor.empty(gpu, [steps + 1, batch, hidden], { name: "rnn states" });
  using first = states.view([batch, hidden]);
  first.copyFrom(h0);
  using rows = x.view([steps * batch, input]);
  using z = matmul(rows, wx, { bias: b, name: "rnn projection" });
  const kernel = forwardKernel(gpu, shape);
  const groups = gemmGroups(gpu, shape, batch, hidden);
  const sizes = { m: batch, n: hidden, k: hidden, lda: hidden, b_offset: 0, ldb: hidden };
  for (let t = 0; t < steps; t++) {
    kernel.run(gpu, { a: states, b: wh, z }, { ...sizes, a_offset: t * batch * hidden, t }, groups);
  }
  const h = states.view([steps, batch, hidden], batch * hidden, "rnn output");
  return {
    inputs,
    states,
    h,
    [Symbol.dispose]() {
      h.dispose();
      states.dispose();
    },
  };
}

/**
 * The gradients of {@linkcode rnnTimeMajorForward}: `dh [T, N, H]` holds the direct gradient of the loss on
 * each state; what flows back through later steps is added here. T dispatches, then one each for
 * `dh0`, `dwh`, `dwx`, `dx` and `db`.
 */
export function rnnTimeMajorBackward(
  dh: Tensor,
  forward: RnnForward,
  targets: GradientTargets<RnnGradients> = {},
): RnnGradients {
  const { x, h0, wx, wh, b } = forward.inputs;
  const { gpu } = x;
  const [steps, batch, input, hidden] = checkInputs(forward.inputs);
  expectShape(dh, [steps, batch, hidden], "An RNN's gradient dh [T, N, H]");
  checkTargets<RnnGradients>(
    targets,
    { dx: x.shape, dh0: h0.shape, dwx: wx.shape, dwh: wh.shape, db: b.shape },
    "An RNN's gradient",
  );
  const tile = tileOf(gpu, { m: batch, n: hidden, k: hidden });
  const shape = { tile, ...stepFactors(wh, steps, true) };
  expectDepth(gpu, shape.tile, hidden, wh, "A step back of an RNN with wh");
  using da = Tensor.empty(gpu, [steps, batch, hidden], { name: "rnn dA" });
  const kernel = backwardKernel(gpu, shape);
  const groups = gemmGroups(gpu, shape, batch, hidden);
  const sizes = { m: batch, n: hidden, lda: hidden, b_offset: 0, ldb: hidden };
  for (let t = steps - 1; t >= 0; t--) {
    const k = t === steps - 1 ? 0 : hidden; // nothing comes back into the last step
    const a_offset = k === 0 ? 0 : (t + 1) * batch * hidden;
    kernel.run(
      gpu,
      { a: da, b: wh, h: forward.states, g: dh },
      { ...sizes, k, a_offset, t },
      groups,
    );
  }
  using rows = da.view([steps * batch, hidden]);
  using xRows = x.view([steps * batch, input]);
  using before = forward.states.view([steps * batch, hidden], 0, "rnn previous states");
  using firstStep = da.view([batch, hidden]);
  return collectGradients<RnnGradients>(targets, {
    dh0: (out) => matmul(firstStep, wh, { transB: true, out, name: "rnn dh0" }), // (R5) (R14)
    dwh: (out) => matmul(before, rows, { transA: true, out, name: "rnn dwh" }), // (R6) (R12)
    dwx: (out) => matmul(xRows, rows, { transA: true, out, name: "rnn dwx" }), // (R4) (R11)
    db: (out) => columnSum(rows, out), // (R7) (R13)
    dx: (out) => { // (R3) (R10)
      const dx = out ?? Tensor.empty(gpu, x.shape, { name: "rnn dx" });
      using flat = dx.view([steps * batch, input]);
      matmul(rows, wx, { transB: true, out: flat });
      return dx;
    },
  });
}
