/**
 * The LSTM: `A = X_t W_x + H_{t-1} W_h + b`, cut into four blocks f, i, c̃, o (the homework's order);
 * `C_t = f ⊙ C_{t-1} + i ⊙ c̃`, `H_t = o ⊙ tanh(C_t)` with `f, i, o` through the sigmoid and `c̃`
 * through tanh.
 *
 * Sequences are time-major, `[T, N, D]`. As for the RNN: one product projects all steps, each step is one
 * dispatch forward and one backward, each weight's gradient is one product. The tags (L1) … are those of
 * docs/derivations.md.
 */
import { activations } from "../activations.ts";
import { expectDepth, gemmGroups, tileOf } from "../gemm/engine.ts";
import { matmul } from "../gemm/matmul.ts";
import { productCode, type ProductShape, stepCost, stepFactors } from "../gemm/product.ts";
import { checkTargets, collectGradients, type GradientTargets } from "../gradients.ts";
import { columnSum } from "../reduce/reduce.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { element, perShape, quadLoad, quadStore, readFrom } from "../runtime/wgsl.ts";
import { STEP_PARAMS } from "./rnn.ts";

/** Inputs of {@linkcode lstmTimeMajorForward}. */
export interface LstmInputs {
  /** `[T, N, D]` */
  x: Tensor;
  /** `[N, H]`, the initial hidden state. */
  h0: Tensor;
  /** `[N, H]`, the initial cell state; zeros by default. */
  c0?: Tensor | undefined;
  /** `[D, 4H]`, the blocks in the order f, i, c̃, o. */
  wx: Tensor;
  /** `[H, 4H]` */
  wh: Tensor;
  /** `[4H]` */
  b: Tensor;
}

/** The result of {@linkcode lstmTimeMajorForward}, and what {@linkcode lstmTimeMajorBackward} needs of it. */
export interface LstmForward {
  /** What it was computed from. */
  inputs: LstmInputs;
  /** `[T + 1, N, H]`: the initial hidden state, then the one after each step. */
  states: Tensor;
  /** `[T + 1, N, H]`: the cell states likewise. */
  cells: Tensor;
  /** `[T, N, 4H]`: the gates f, i, c̃, o of each step, after sigmoid and tanh. */
  gates: Tensor;
  /** `[T, N, H]`: the hidden states after each step, a view of `states`. */
  h: Tensor;
  /** Let go of the tensors above (not of the inputs). */
  [Symbol.dispose](): void;
}

/** Gradients of all inputs of {@linkcode lstmTimeMajorForward}. */
export interface LstmGradients {
  /** `[T, N, D]` */
  dx: Tensor;
  /** `[N, H]` */
  dh0: Tensor;
  /** `[N, H]` */
  dc0: Tensor;
  /** `[D, 4H]` */
  dwx: Tensor;
  /** `[H, 4H]` */
  dwh: Tensor;
  /** `[4H]` */
  db: Tensor;
}

// `a` holds the hidden states [T + 1, N, H]: read in slot t, written in slot t + 1. `gates` holds
// X W_x + b and receives the gates. An invocation's four quads are the four gates of the same units.
const forwardKernel = perShape((gpu: Gpu, shape: ProductShape) => {
  const type = element(shape.b.vec4);
  const ending = activations("vec4f") + quadStore("a", shape.b.vec4) +
    quadLoad("gates", shape.b.vec4) +
    quadStore("gates", shape.b.vec4) + quadLoad("cells", shape.b.vec4) +
    quadStore("cells", shape.b.vec4) + /* wgsl */ `
fn finish_gates(row: u32, unit: u32, af: vec4f, ai: vec4f, ac: vec4f, ao: vec4f) {
  let place = params.t * params.m + row;
  let count = params.n - unit;
  let at = place * params.n + unit;
  let later = at + params.m * params.n;
  let gate = 4u * place * params.n + unit;
  let f = sigmoid_vec4f(af + load_gates(gate, count)); // (L1) (L2)
  let i = sigmoid_vec4f(ai + load_gates(gate + params.n, count));
  let g = tanh_vec4f(ac + load_gates(gate + 2u * params.n, count));
  let o = sigmoid_vec4f(ao + load_gates(gate + 3u * params.n, count));
  let c = f * load_cells(at, count) + i * g; // (L3)
  store_gates(gate, count, f);
  store_gates(gate + params.n, count, i);
  store_gates(gate + 2u * params.n, count, g);
  store_gates(gate + 3u * params.n, count, o);
  store_cells(later, count, c);
  store_a(later, count, o * tanh_vec4f(c)); // (L4)
}\n`;
  return defineKernel({
    name: "lstm step",
    bindings: {
      a: `write ${type}`,
      b: readFrom(shape.b.vec4, shape.b.mirror),
      gates: `write ${type}`,
      cells: `write ${type}`,
    },
    params: STEP_PARAMS,
    cost: stepCost(4, 11),
    code: productCode(gpu, shape, ending),
  });
});

// `a` holds dA [T, N, 4H]: read at step t + 1, written at step t. `g` is the direct gradient on each
// hidden state; `dc` carries the gradient of the cell state from step to step.
const backwardKernel = perShape((gpu: Gpu, shape: ProductShape) => {
  const type = element(shape.b.vec4);
  const ending = activations("vec4f") + quadStore("a", shape.b.vec4) +
    quadLoad("gates", shape.b.vec4) +
    quadLoad("cells", shape.b.vec4) + quadLoad("g", shape.b.vec4) + quadLoad("dc", shape.b.vec4) +
    quadStore("dc", shape.b.vec4) + /* wgsl */ `
fn finish_quad(row: u32, unit: u32, v: vec4f) {
  let place = params.t * params.m + row;
  let count = params.n - unit;
  let at = place * params.n + unit;
  let gate = 4u * place * params.n + unit;
  let f = load_gates(gate, count);
  let i = load_gates(gate + params.n, count);
  let g = load_gates(gate + 2u * params.n, count);
  let o = load_gates(gate + 3u * params.n, count);
  let tanh_c = tanh_vec4f(load_cells(at + params.m * params.n, count));
  let dh = load_g(at, count) + v; // (L16)
  let dc = load_dc(row * params.n + unit, count) + dh * o * (1.0 - tanh_c * tanh_c); // (L5) (L17)
  store_a(gate, count, dc * load_cells(at, count) * f * (1.0 - f)); // (L6) (L18)
  store_a(gate + params.n, count, dc * g * i * (1.0 - i)); // (L7)
  store_a(gate + 2u * params.n, count, dc * i * (1.0 - g * g)); // (L8)
  store_a(gate + 3u * params.n, count, dh * tanh_c * o * (1.0 - o)); // (L9)
  store_dc(row * params.n + unit, count, dc * f); // (L12) (L24)
}\n`;
  return defineKernel({
    name: "lstm step backward",
    bindings: {
      a: `write ${type}`,
      b: readFrom(shape.b.vec4, shape.b.mirror),
      gates: `read ${type}`,
      cells: `read ${type}`,
      g: `read ${type}`,
      dc: `write ${type}`,
    },
    params: STEP_PARAMS,
    cost: stepCost(1, 13),
    code: productCode(gpu, shape, ending),
  });
});

function checkInputs({ x, h0, c0, wx, wh, b }: LstmInputs): [number, number, number, number] {
  expectShape(x, [null, null, null], "An LSTM's input x [T, N, D]");
  const [steps, batch, input] = x.shape;
  expectShape(wh, [null, null], "An LSTM's wh [H, 4H]");
  const hidden = wh.shape[0];
  expectShape(wh, [hidden, 4 * hidden], "An LSTM's wh [H, 4H]");
  expectShape(h0, [batch, hidden], "An LSTM's h0 [N, H]");
  if (c0 !== undefined) expectShape(c0, [batch, hidden], "An LSTM's c0 [N, H]");
  expectShape(wx, [input, 4 * hidden], "An LSTM's wx [D, 4H]");
  expectShape(b, [4 * hidden], "An LSTM's b [4H]");
  if (steps * batch * input * hidden === 0) {
    throw new RangeError(
      `An LSTM needs at least one step, example, input and unit: x is [${x.shape.join(", ")}]`,
    );
  }
  return [steps, batch, input, hidden];
}

/**
 * Run an LSTM over a sequence. 1 + T dispatches (and the copies of `h0` and `c0`).
 *
 * Errors: TypeError when the shapes do not fit; GpuError for more units than a kernel can add up over.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * import { lstmTimeMajorForward } from "./lstm.ts";
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [0.1, 0.2, 0.3, 0.4], [2, 1, 2]); // two steps of one example
 * using h0 = Tensor.zeros(gpu, [1, 1]);
 * using wx = Tensor.from(gpu, [1, 2, 3, 4, 5, 6, 7, 8], [2, 4]);
 * using wh = Tensor.from(gpu, [0.1, 0.2, 0.3, 0.4], [1, 4]);
 * using b = Tensor.zeros(gpu, [4]);
 * using forward = lstmTimeMajorForward({ x, h0, wx, wh, b });
 * console.log(await forward.h.read());
 * ```
 */
export function lstmTimeMajorForward(inputs: LstmInputs): LstmForward {
  const [steps, batch, input, hidden] = checkInputs(inputs);
  const { x, h0, c0, wx, wh, b } = inputs;
  const { gpu } = x;
  const shape: ProductShape = {
    tile: tileOf(gpu, { m: batch, n: hidden, k: hidden, quads: 4 }),
    ...stepFactors(wh, steps, false),
    gates: true,
  };
  expectDepth(gpu, shape.tile, hidden, wh, "A step of an LSTM with wh");
  const states = Tensor.empty(gpu, [steps + 1, batch, hidden], { name: "lstm states" });
  const cells = Tensor.empty(gpu, [steps + 1, batch, hidden], { name: "lstm cells" });
  using firstState = states.view([batch, hidden]);
  firstState.copyFrom(h0);
  using firstCell = cells.view([batch, hidden]);
  if (c0 === undefined) firstCell.clear();
  else firstCell.copyFrom(c0);
  using rows = x.view([steps * batch, input]);
  const projection = matmul(rows, wx, { bias: b, name: "lstm projection" });
  const gates = projection.view([steps, batch, 4 * hidden], 0, "lstm gates");
  projection.dispose();
  const kernel = forwardKernel(gpu, shape);
  const groups = gemmGroups(gpu, shape, batch, hidden);
  const sizes = { m: batch, n: hidden, k: hidden, lda: hidden, b_offset: 0, ldb: 4 * hidden };
  for (let t = 0; t < steps; t++) {
    const params = { ...sizes, a_offset: t * batch * hidden, t };
    kernel.run(gpu, { a: states, b: wh, gates, cells }, params, groups);
  }
  const h = states.view([steps, batch, hidden], batch * hidden, "lstm output");
  return {
    inputs,
    states,
    cells,
    gates,
    h,
    [Symbol.dispose]() {
      for (const tensor of [h, states, cells, gates]) tensor.dispose();
    },
  };
}

/**
 * The gradients of {@linkcode lstmTimeMajorForward}: `dh [T, N, H]` holds the direct gradient of the loss on
 * each hidden state, `dcLast [N, H]` that on the last cell state (none by default). T dispatches, then
 * one each for `dh0`, `dwh`, `dwx`, `dx` and `db`.
 */
export function lstmTimeMajorBackward(
  dh: Tensor,
  forward: LstmForward,
  targets: GradientTargets<LstmGradients> = {},
  dcLast?: Tensor,
): LstmGradients {
  const { x, h0, wx, wh, b } = forward.inputs;
  const { gpu } = x;
  const [steps, batch, input, hidden] = checkInputs(forward.inputs);
  expectShape(dh, [steps, batch, hidden], "An LSTM's gradient dh [T, N, H]");
  if (dcLast !== undefined) {
    expectShape(dcLast, [batch, hidden], "An LSTM's gradient dcLast [N, H]");
  }
  checkTargets<LstmGradients>(
    targets,
    { dx: x.shape, dh0: h0.shape, dc0: h0.shape, dwx: wx.shape, dwh: wh.shape, db: b.shape },
    "An LSTM's gradient",
  );
  const tile = tileOf(gpu, { m: batch, n: hidden, k: 4 * hidden });
  const shape = { tile, ...stepFactors(wh, steps, true) };
  expectDepth(gpu, shape.tile, 4 * hidden, wh, "A step back of an LSTM with wh");
  const dc = Tensor.empty(gpu, [batch, hidden], { name: "lstm dc0" });
  if (dcLast === undefined) dc.clear();
  else dc.copyFrom(dcLast);
  using da = Tensor.empty(gpu, [steps, batch, 4 * hidden], { name: "lstm dA" });
  const kernel = backwardKernel(gpu, shape);
  const groups = gemmGroups(gpu, shape, batch, hidden);
  const sizes = { m: batch, n: hidden, lda: 4 * hidden, b_offset: 0, ldb: 4 * hidden };
  const { gates, cells } = forward;
  for (let t = steps - 1; t >= 0; t--) {
    const k = t === steps - 1 ? 0 : 4 * hidden; // nothing comes back into the last step
    const a_offset = k === 0 ? 0 : (t + 1) * batch * 4 * hidden;
    kernel.run(
      gpu,
      { a: da, b: wh, gates, cells, g: dh, dc },
      { ...sizes, k, a_offset, t },
      groups,
    );
  }
  using rows = da.view([steps * batch, 4 * hidden]);
  using xRows = x.view([steps * batch, input]);
  using before = forward.states.view([steps * batch, hidden], 0, "lstm previous states");
  using firstStep = da.view([batch, 4 * hidden]);
  const gradients = collectGradients<LstmGradients>(targets, {
    dc0: (out) => {
      if (out === undefined) return dc;
      out.copyFrom(dc);
      return out;
    },
    dh0: (out) => matmul(firstStep, wh, { transB: true, out, name: "lstm dh0" }), // (L11) (L23)
    dwh: (out) => matmul(before, rows, { transA: true, out, name: "lstm dwh" }), // (L14) (L21)
    dwx: (out) => matmul(xRows, rows, { transA: true, out, name: "lstm dwx" }), // (L13) (L20)
    db: (out) => columnSum(rows, out), // (L15) (L22)
    dx: (out) => { // (L10) (L19)
      const dx = out ?? Tensor.empty(gpu, x.shape, { name: "lstm dx" });
      using flat = dx.view([steps * batch, input]);
      matmul(rows, wx, { transB: true, out: flat });
      return dx;
    },
  });
  if (gradients.dc0 !== dc) dc.dispose();
  return gradients;
}
