/** The tape: where gradients go, how they add up, what is recorded, and that nothing is left. */
import { RandomStream } from "../../data/rng.ts";
import { assert, assertEquals, assertLess, assertStrictEquals, assertThrows } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, tapeOf, type Variable } from "../../models/tape/autograd.ts";
import { Linear } from "../../models/layers/layers.ts";
import { linear, rnn } from "../../models/tape/operations.ts";
import { Parameter, ParameterStore } from "../../models/layers/parameters.ts";
import { numericGradient } from "../../kernels/reference/gradient.ts";
import { dot, sigmoid as sigmoidOf } from "../../kernels/reference/linear_algebra.ts";
import { rnnForward } from "../../kernels/reference/rnn.ts";
import { gpuTest } from "../gpu_support.ts";
import { linspace, relativeError } from "../support.ts";
import { normals } from "./small_captioner.ts";

/** Σ wᵢ xᵢ: a loss whose gradient differs from number to number. */
function weightedSum(x: Variable, weights: ArrayLike<number>): Variable {
  const { size } = x.tensor;
  const column = constant(tapeOf(x).keep(Tensor.from(tapeOf(x).gpu, weights, [size, 1])));
  return linear(x.reshape([1, size]), column);
}

async function assertGradient(variable: Variable, expected: ArrayLike<number>): Promise<void> {
  const gradient = variable.grad;
  assert(gradient !== undefined, "there is no gradient");
  assertEquals([...gradient.shape], [...variable.shape]);
  const error = relativeError(await gradient.read(), expected);
  assertLess(error, 1e-5);
}

const X = linspace(-1.1, 1.3, 6);
const WEIGHTS = linspace(2, -1, 6);

gpuTest("a variable added to itself gets twice the gradient", async (gpu) => {
  using data = Tensor.from(gpu, X, [2, 3]);
  using tape = new Tape(gpu);
  const x = tape.variable(data);
  tape.backward(weightedSum(x.add(x), WEIGHTS));
  await assertGradient(x, WEIGHTS.map((w) => 2 * w));
});

gpuTest("a variable that two operations use gets the sum of both gradients", async (gpu) => {
  using data = Tensor.from(gpu, X, [2, 3]);
  using tape = new Tape(gpu);
  const x = tape.variable(data);
  const y = x.tanh().add(x.sigmoid());
  tape.backward(weightedSum(y, WEIGHTS));
  const loss = (v: Float64Array) => dot(WEIGHTS, v.map((a) => Math.tanh(a) + sigmoidOf(a)));
  await assertGradient(x, numericGradient(loss, X.slice()));
});

gpuTest("gradients that are handed on unchanged stay whole in a residual chain", async (gpu) => {
  using data = Tensor.from(gpu, X, [2, 3]);
  using tape = new Tape(gpu);
  const x = tape.variable(data);
  const branch = x.tanh();
  const first = x.add(branch);
  const second = first.add(first.sigmoid());
  const third = second.add(second.reshape([6]).reshape([2, 3]));
  tape.backward(weightedSum(third, WEIGHTS));

  const afterFirst = (v: number) => v + Math.tanh(v);
  const rest = (y: Float64Array) => dot(WEIGHTS, y.map((v) => 2 * (v + sigmoidOf(v))));
  await assertGradient(third, WEIGHTS);
  await assertGradient(second, WEIGHTS.map((w) => 2 * w));
  // `first` and `branch` share one gradient, and x adds its own to a copy of it.
  const gradientOfFirst = numericGradient(rest, X.map(afterFirst));
  await assertGradient(first, gradientOfFirst);
  await assertGradient(branch, gradientOfFirst);
  await assertGradient(x, numericGradient((v) => rest(v.map(afterFirst)), X.slice()));
});

gpuTest("one variable in two places of one operation gets the sum", async (gpu) => {
  const shape = { batch: 2, steps: 3, inputDim: 3, hiddenDim: 3 };
  const [xs, w] = [normals("x", 18), normals("w", 9)].map((v) => Float64Array.from(v));
  const [h0, b] = [new Float64Array(6), new Float64Array(3)];
  using xData = Tensor.from(gpu, xs, [3, 2, 3]);
  using wData = Tensor.from(gpu, w, [3, 3]);
  using h0Data = Tensor.from(gpu, h0, [2, 3]);
  using bData = Tensor.from(gpu, b, [3]);
  using tape = new Tape(gpu);
  const shared = tape.variable(wData);
  const inputs = { wx: shared, wh: shared, b: constant(bData) };
  const h = rnn(constant(xData), constant(h0Data), inputs);
  tape.backward(h.sum());
  // The twin is batch-major: [T, N, D] as [N, T, D] by hand.
  const swapped = Float64Array.from(xs, (_, i) => {
    const [n, t, d] = [Math.floor(i / 9), Math.floor(i / 3) % 3, i % 3];
    return xs[(t * 2 + n) * 3 + d];
  });
  const loss = (v: Float64Array) =>
    rnnForward(swapped, h0, v, v, b, shape).reduce((a, c) => a + c, 0);
  await assertGradient(shared, numericGradient(loss, w));
});

gpuTest("a branch that does not reach the loss costs nothing backward", (gpu) => {
  using data = Tensor.from(gpu, X, [2, 3]);
  const dispatches = (unused: boolean) => {
    using tape = new Tape(gpu);
    const x = tape.variable(data);
    const side = unused ? x.relu() : undefined;
    const loss = x.tanh().sum();
    const before = gpu.recorder.counts.dispatches;
    tape.backward(loss);
    assertStrictEquals(side?.grad, undefined);
    return gpu.recorder.counts.dispatches - before;
  };
  assertEquals(dispatches(true), dispatches(false));
});

gpuTest(
  "gradients of parameters add up over backward passes until they are forgotten",
  async (gpu) => {
    const p = new Parameter([2, 3], Float32Array.from(X), { name: "p" });
    using store = new ParameterStore(gpu, [p]);
    const pass = () => {
      using tape = new Tape(gpu);
      const twice = p.variable.add(p.variable);
      tape.backward(weightedSum(twice, WEIGHTS));
    };
    pass();
    await assertGradient(p.variable, WEIGHTS.map((w) => 2 * w)); // the tape is gone, the gradient is not
    pass();
    await assertGradient(p.variable, WEIGHTS.map((w) => 4 * w));
    store.zeroGradients();
    assertStrictEquals(p.variable.grad, undefined);
    pass();
    await assertGradient(p.variable, WEIGHTS.map((w) => 2 * w));
  },
);

gpuTest("a parameter handed to reshape gets its gradient in the store", async (gpu) => {
  const [a, p] = ["a", "p"].map((name) => new Parameter([6], Float32Array.from(X), { name }));
  using store = new ParameterStore(gpu, [a, p]);
  using tape = new Tape(gpu);
  tape.backward(weightedSum(p.variable.reshape([2, 3]), WEIGHTS));
  assertStrictEquals(p.variable.grad, p.variable.slot);
  store.clearUnreached();
  const all = await store.gradients.read();
  assertEquals([...all.subarray(64, 70)], [...Float32Array.from(WEIGHTS)]);
  assert(all.every((v, i) => v === 0 || (i >= 64 && i < 70)), "a gradient outside its place");
});

/** Dispatches of a backward pass through a layer of a constant input, and what was reached. */
function layerPass(gpu: Gpu, frozen: { weight: boolean; bias: boolean }) {
  const layer = new Linear(3, 4).initialize(1);
  layer.weight.frozen = frozen.weight;
  layer.bias!.frozen = frozen.bias;
  using store = new ParameterStore(gpu, layer.parameters);
  using data = Tensor.from(gpu, X, [2, 3]);
  using tape = new Tape(gpu);
  const loss = layer.forward(constant(data)).sum();
  const before = gpu.recorder.counts.dispatches;
  tape.backward(loss);
  return {
    dispatches: gpu.recorder.counts.dispatches - before,
    weight: layer.weight.variable.grad !== undefined,
    bias: layer.bias!.variable.grad !== undefined,
    count: store.count,
  };
}

gpuTest("a frozen parameter gets no gradient and costs no dispatch", (gpu) => {
  // The sum's gradient is one dispatch; then one product for the weight, one sum for the bias.
  const both = layerPass(gpu, { weight: false, bias: false });
  assertEquals(both, { dispatches: 3, weight: true, bias: true, count: 16 });
  const onlyBias = layerPass(gpu, { weight: true, bias: false });
  assertEquals(onlyBias, { dispatches: 2, weight: false, bias: true, count: 4 });
  const onlyWeight = layerPass(gpu, { weight: false, bias: true });
  assertEquals(onlyWeight, { dispatches: 2, weight: true, bias: false, count: 12 });
  const needless = "depends on nothing that needs a gradient";
  assertThrows(() => layerPass(gpu, { weight: true, bias: true }), TypeError, needless);
});

gpuTest("freezing comes before the store, computing after it", (gpu) => {
  const p = new Parameter([1], Float32Array.of(1), { name: "p" });
  assertThrows(() => p.tensor, ReferenceError, `"p" is not in a ParameterStore yet`);
  using _store = new ParameterStore(gpu, [p]);
  assertThrows(() => p.frozen = true, ReferenceError, `"p" is in a ParameterStore already`);
  assertEquals(p.frozen, false);
  const twin = new Parameter([1], Float32Array.of(1), { name: "q" });
  assertThrows(() => new ParameterStore(gpu, [twin, twin]), TypeError, `have the name "q"`);
  const short = () => new Parameter([2, 2], new Float32Array(3), { name: "q" });
  assertThrows(short, TypeError, `"q" of shape [2, 2] cannot start from 3 numbers`);
});

gpuTest("a parameter is in one store at a time", async (gpu) => {
  const [p, q] = ["p", "q"].map((name) => new Parameter([2], Float32Array.of(1, 2), { name }));
  q.frozen = true;
  const first = new ParameterStore(gpu, [p, q]);
  p.write(Float32Array.of(3, 4));
  for (const taken of [p, q]) {
    const other = new Parameter([1], Float32Array.of(1), { name: "other" });
    assertThrows(
      () => new ParameterStore(gpu, [other, taken]),
      TypeError,
      `The parameter "${taken.name}" is in a ParameterStore already, whose optimizer moves it`,
    );
    assertThrows(() => other.tensor, ReferenceError, `"other" is not in a ParameterStore yet`);
  }
  assertEquals(await p.tensor.read(), Float32Array.of(3, 4)); // neither reset nor unhooked
  assertEquals(p.tensor.disposed, false);
  first.dispose();
  first.dispose();
  p.frozen = true; // it is free again
  q.write(Float32Array.of(5, 6));
  using _second = new ParameterStore(gpu, [p, q]);
  assertEquals(await p.tensor.read(), Float32Array.of(1, 2));
  assertEquals(await q.tensor.read(), Float32Array.of(5, 6));
});

gpuTest("a store that cannot be made leaves its parameters free, and no buffers", (gpu) => {
  const [first, second] = ["first", "second"].map((name) =>
    new Parameter([1], Float32Array.of(1), { name })
  );
  first.frozen = second.frozen = true;
  Object.defineProperty(second, "shape", { value: [2] }); // so that its upload fails
  assertThrows(() => new ParameterStore(gpu, [first, second]), TypeError, `"second"`);
  using _ = new ParameterStore(gpu, [first]);
});

gpuTest(
  "first values are drawn when they are asked for, once, and not where others come",
  async (gpu) => {
    let drawn = 0;
    const draw = () => Float32Array.of(++drawn, 0);
    const [kept, replaced] = ["kept", "replaced"].map((name) => new Parameter([2], draw, { name }));
    assertEquals([kept.size, drawn], [2, 0]);
    assertThrows(() => kept.initial, ReferenceError, "has no values yet");
    kept.start("kept", new RandomStream(0));
    assertEquals([...kept.initial, ...kept.initial], [1, 0, 1, 0]);
    replaced.write(Float32Array.of(7, 8));
    const few = Float32Array.of(1);
    assertThrows(() => replaced.write(few), TypeError, "cannot start from 1 numbers");
    using _ = new ParameterStore(gpu, [kept, replaced]);
    assertEquals([drawn, ...await replaced.tensor.read()], [1, 7, 8]);
    replaced.write(Float32Array.of(9, 9));
    assertEquals([...await replaced.tensor.read()], [9, 9]);
    assertThrows(() => replaced.write(few), TypeError, "holds 2 numbers");
    const wrong = new Parameter([2], () => few, { name: "wrong" });
    wrong.start("wrong", new RandomStream(0));
    assertThrows(() => new ParameterStore(gpu, [wrong]), TypeError, "cannot start from 1 numbers");
  },
);

gpuTest("an evaluation tape computes the same and records nothing", async (gpu) => {
  using data = Tensor.from(gpu, X, [2, 3]);
  const values: Float32Array[] = [];
  for (const training of [true, false]) {
    using tape = new Tape(gpu, { training });
    const y = tape.variable(data).tanh();
    values.push(await y.tensor.read());
    assertEquals(y.requiresGrad, training);
    const loss = y.sum();
    if (!training) assertThrows(() => tape.backward(loss), TypeError, "its tape is not training");
  }
  assertEquals(values[0], values[1]);
});

gpuTest("backward starts from one number that needs a gradient, once", (gpu) => {
  using data = Tensor.from(gpu, X, [2, 3]);
  using tape = new Tape(gpu);
  const x = tape.variable(data);
  const y = x.tanh();
  assertThrows(() => tape.backward(y), TypeError, `"tanh" has the shape [2, 3]`);
  using one = Tensor.from(gpu, [1], [1], { name: "one" });
  assertThrows(() => tape.backward(constant(one)), TypeError, `"one" is not of this tape`);
  const ofConstant = constant(one).tanh().sum();
  assertThrows(() => tape.backward(ofConstant), TypeError, "depends on nothing");
  const loss = y.sum();
  tape.backward(loss);
  assertThrows(() => tape.backward(loss), ReferenceError, "was run backward or disposed of");
  using evaluation = new Tape(gpu, { training: false });
  const leaf = evaluation.variable(one);
  assertThrows(() => evaluation.backward(leaf), TypeError, "its tape is not training");
  const another = new Tape(gpu);
  const other = another.variable(data).sum();
  another.dispose();
  assertThrows(() => another.backward(other), ReferenceError, "was run backward or disposed of");
});

gpuTest("a tape lets go of all it made, even when it is never run backward", (gpu) => {
  using data = Tensor.from(gpu, X, [2, 3]);
  const before = gpu.pool.liveBuffers;
  for (const run of [true, false]) {
    const tape = new Tape(gpu);
    const x = tape.variable(data);
    const kept = tape.keep(Tensor.zeros(gpu, [3]));
    const loss = x.tanh().add(x).sum();
    if (run) tape.backward(loss);
    assert(gpu.pool.liveBuffers > before);
    tape.dispose();
    tape.dispose();
    assertEquals(gpu.pool.liveBuffers, before);
    assertEquals([kept.disposed, loss.tensor.disposed, data.disposed], [true, true, false]);
  }
});

gpuTest(
  "operations go to the tape of their inputs, else to the one that was opened last",
  (gpu) => {
    using data = Tensor.from(gpu, X, [2, 3]);
    const message = `An operation on "input" needs a tape: using tape = new Tape(gpu)`;
    using input = data.view(data.shape, 0, "input");
    assertThrows(() => constant(input).tanh(), TypeError, message);
    using first = new Tape(gpu);
    const x = first.variable(data);
    assertEquals(constant(input).tanh().tape, first);
    using second = new Tape(gpu);
    assertEquals([x.tanh().tape, constant(input).tanh().tape], [first, second]);
    assertEquals(x.add(constant(input)).tape, first);
    const y = second.variable(input);
    assertThrows(() => x.add(y), TypeError, `"unnamed" and "input" are of different tapes`);
    const loss = y.sum();
    assertThrows(() => first.backward(loss), TypeError, `"sum" is not of this tape`);
    loss.backward();
    assertEquals(y.grad?.shape, [2, 3]);
    second.dispose();
    assertEquals(constant(input).tanh().tape, first);
    first.dispose();
    assertThrows(() => constant(input).tanh(), TypeError, message);
  },
);
