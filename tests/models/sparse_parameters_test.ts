/** Sparse tables: gradient and update of the rows that a step looks up, and of no others. */
import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { uploadBags } from "../../kernels/embedding/embedding_bag.ts";
import { uploadIndices } from "../../kernels/embedding/embedding.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, tapeOf, type Variable } from "../../models/tape/autograd.ts";
import * as operations from "../../models/tape/operations.ts";
import { Adam, type OptimizerOptions, RmsProp, Sgd } from "../../models/training/optimizers.ts";
import { Parameter, ParameterStore } from "../../models/layers/parameters.ts";
import { adamStep } from "../../kernels/reference/optimizers.ts";
import { embeddingBackward } from "../../kernels/reference/softmax.ts";
import { adamRowsStep } from "../../kernels/reference/optimizers.ts";
import { gpuTest } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { normals } from "./small_captioner.ts";

const [ROWS, WIDTH] = [9, 5];
const SIZE = ROWS * WIDTH;
/** What each step looks up: rows again, some twice, others never, and nothing at all in the third step. */
const STEPS = [[4, 0, 4], [8, 1], [], [4, 8, 1, 4], [1], [0, 4]];

function makeTable(name = "table"): Parameter {
  const table = new Parameter([ROWS, WIDTH], normals(name, SIZE), { name });
  table.sparse = true;
  return table;
}

/** A dense parameter between two tables: the store must put it before them. */
function makeStore(gpu: Gpu) {
  const [table, other] = [makeTable(), makeTable("other")];
  const bias = new Parameter([WIDTH], normals("bias", WIDTH), { name: "bias" });
  const store = new ParameterStore(gpu, [table, bias, other]);
  return { store, table, bias, other, [Symbol.dispose]: () => store.dispose() };
}

/** A loss that gives row i of a lookup the gradient `weights[i]`. */
function weigh(rows: Variable, weights: ArrayLike<number>): Variable {
  const column = tapeOf(rows).keep(Tensor.from(tapeOf(rows).gpu, weights, [weights.length, 1]));
  const row = rows.reshape([1, weights.length]);
  return operations.linear(row, constant(column)).sum();
}

/** One step of the optimizer after a lookup of `ids` in the table, plus the bias; no ids, only the bias. */
function trainStep({ store, table, bias }: ReturnType<typeof makeStore>, adam: Adam, step: number) {
  const { gpu } = store;
  const ids = STEPS[step];
  using indices = uploadIndices(gpu, ids.length > 0 ? ids : [0], ROWS);
  using tape = new Tape(gpu);
  const looked = ids.length > 0
    ? operations.embedding(table.variable, indices)
    : constant(tape.keep(Tensor.zeros(gpu, [1, WIDTH])));
  // The bias for each row, as a product with a column of ones.
  const ones = Array<number>(looked.shape[0]).fill(1);
  const column = constant(tape.keep(Tensor.from(gpu, ones, [ones.length, 1])));
  const row = bias.variable.reshape([1, WIDTH]);
  const sums = looked.add(operations.linear(column, row));
  tape.backward(weigh(sums, weightsOf(step)));
  adam.step();
}

function weightsOf(step: number): Float32Array<ArrayBuffer> {
  return normals(`weights ${step}`, Math.max(STEPS[step].length, 1) * WIDTH);
}

gpuTest("Adam moves the rows looked up as SparseAdam does, and the rest as before", async (gpu) => {
  using made = makeStore(gpu);
  const { store, table, bias, other } = made;
  using adam = new Adam(store, { lr: 0.05, decayPerStep: 0.9 });
  const zeros = (size: number) => ({
    step: 0,
    mean: new Float64Array(size),
    square: new Float64Array(size),
  });
  const [tableState, biasState] = [zeros(SIZE), zeros(WIDTH)];
  const [expected, expectedBias] = [table.initial, bias.initial].map((v) => Float64Array.from(v));
  // What lies in the gradient's place must not be read where no row was looked up.
  table.variable.slot!.write(new Float32Array(SIZE).fill(7));
  let learningRate = 0.05;
  for (const [step, ids] of STEPS.entries()) {
    trainStep(made, adam, step);
    const weights = Float64Array.from(weightsOf(step));
    const gradient = ids.length === 0
      ? new Float64Array(SIZE)
      : embeddingBackward(weights, ids, { vocabulary: ROWS, dim: WIDTH });
    const dBias = Float64Array.from(
      { length: WIDTH },
      (_, d) => weights.filter((_, i) => i % WIDTH === d).reduce((a, b) => a + b),
    );
    adamRowsStep(expected, gradient, new Set(ids), WIDTH, tableState, { learningRate });
    adamStep(expectedBias, dBias, biasState, { learningRate });
    assertLess(relativeError(await table.tensor.read(), expected), 1e-5);
    assertLess(relativeError(await bias.tensor.read(), expectedBias), 1e-5);
    learningRate *= 0.9;
  }
  // Rows that nobody looked up keep their bits.
  const values = await table.tensor.read();
  for (const row of [2, 3, 5, 6, 7]) {
    const part = (v: Float32Array) => v.slice(row * WIDTH, (row + 1) * WIDTH);
    assertEquals(part(values), part(table.initial));
  }
  assertEquals(await other.tensor.read(), other.initial);
  // Nor is their gradient made zero: that would cost as much as a step of a dense table.
  const gradient = await table.variable.slot!.read();
  assertEquals(gradient.slice(5 * WIDTH, 8 * WIDTH), new Float32Array(3 * WIDTH).fill(7));
});

gpuTest("sparse tables go on from a saved state bit for bit", async (gpu) => {
  using whole = makeStore(gpu);
  using uninterrupted = new Adam(whole.store, { lr: 0.05 });
  using made = makeStore(gpu);
  using first = new Adam(made.store, { lr: 0.05 });
  for (let step = 0; step < STEPS.length; step++) {
    trainStep(whole, uninterrupted, step);
    if (step < 3) trainStep(made, first, step);
  }
  using second = new Adam(made.store, { lr: 1 });
  second.loadState(await first.state());
  for (let step = 3; step < STEPS.length; step++) trainStep(made, second, step);
  assertEquals(await made.store.values.read(), await whole.store.values.read());
  assertEquals(await second.state(), await uninterrupted.state());
});

gpuTest("the store keeps sparse tables behind the rest", (gpu) => {
  using made = makeStore(gpu);
  const { store, table, bias, other } = made;
  assertEquals(store.parameters, [table, bias, other]);
  assertEquals(store.trainable, [bias, table, other]);
  assertEquals(store.tables, [{ parameter: table, offset: 64 }, { parameter: other, offset: 128 }]);
  assertEquals([store.denseSize, store.values.size, store.count], [64, 192, WIDTH + 2 * SIZE]);
  using dense = new ParameterStore(gpu, [
    new Parameter([3], new Float32Array(3), { name: "dense" }),
  ]);
  assertEquals([dense.denseSize, dense.tables], [64, []]);
});

gpuTest("a store may hold nothing but a sparse table, or have it frozen", async (gpu) => {
  const table = makeTable();
  using store = new ParameterStore(gpu, [table]);
  assertEquals(store.denseSize, 0);
  using adam = new Adam(store, { lr: 0.05 });
  {
    using bags = uploadBags(gpu, [[4, 0], [4]], ROWS);
    using tape = new Tape(gpu);
    const sums = operations.embeddingBag(table.variable, bags, "sum");
    tape.backward(weigh(sums, new Float32Array(2 * WIDTH).fill(1)));
    adam.step();
  }
  const moved = table.initial.map((v, i) => [0, 4].includes(Math.floor(i / WIDTH)) ? v - 0.05 : v);
  assertLess(relativeError(await table.tensor.read(), moved), 1e-6);

  const frozen = makeTable();
  frozen.frozen = true;
  using other = new ParameterStore(gpu, [
    frozen,
    new Parameter([1], new Float32Array(1), { name: "w" }),
  ]);
  assertEquals(other.tables, []);
  using sgd = new Sgd(other, { lr: 0.1, clipNorm: 1 }); // nothing sparse is learned
  assertEquals(sgd.steps, 0);
  assertEquals(frozen.variable.requiresGrad, false);
});

gpuTest("a second lookup in one step is refused, also in a second backward pass", async (gpu) => {
  using made = makeStore(gpu);
  const { store, table } = made;
  using adam = new Adam(store, { lr: 0.05 });
  using indices = uploadIndices(gpu, [1, 2], ROWS);
  using bags = uploadBags(gpu, [[1], [3]], ROWS);
  const one = () => operations.embedding(table.variable, indices);
  const two = () => operations.embeddingBag(table.variable, bags, "mean");
  const weights = new Float32Array(2 * WIDTH).fill(1);
  const message = `The sparse table "table" is looked up twice in one step`;
  {
    using tape = new Tape(gpu);
    const loss = weigh(one().add(two()), weights);
    assertThrows(() => tape.backward(loss), TypeError, message);
  }
  store.zeroGradients();
  {
    using tape = new Tape(gpu);
    tape.backward(weigh(one(), weights));
    using second = new Tape(gpu);
    const loss = weigh(one(), weights);
    assertThrows(() => second.backward(loss), TypeError, message);
    adam.step();
    using third = new Tape(gpu); // a new step, a new lookup
    third.backward(weigh(two(), weights));
    adam.step();
  }
  // Without a backward pass rows may be read as often as one likes.
  using _tape = new Tape(gpu, { training: false });
  const sum = one().add(one());
  const rows = (await table.tensor.read()).slice(WIDTH, 3 * WIDTH);
  assertEquals(await sum.tensor.read(), rows.map((v) => 2 * v));
});

gpuTest("a sparse table cannot be learned by an operation that reads it whole", (gpu) => {
  using x = Tensor.from(gpu, normals("x", 2 * ROWS), [2, ROWS]);
  using indices = uploadIndices(gpu, [1, 2], ROWS);
  const whole = ({ table }: ReturnType<typeof makeStore>) =>
    operations.linear(constant(x), table.variable);
  const rows = ({ table }: ReturnType<typeof makeStore>) =>
    operations.embedding(table.variable, indices);
  // Alone, before a lookup, and after one.
  for (const parts of [[whole], [whole, rows], [rows, whole]]) {
    using made = makeStore(gpu);
    using tape = new Tape(gpu);
    const results = parts.map((part) => part(made));
    const sum = results.reduce((a, b) => a.add(b));
    const loss = sum.sum();
    assertThrows(() => tape.backward(loss), TypeError, `sparse table "table"`);
  }
});

gpuTest("optimizers refuse for sparse tables what they cannot do", (gpu) => {
  using made = makeStore(gpu);
  const { store } = made;
  const refuse = (make: () => Disposable, message: string) =>
    assertThrows(() => make()[Symbol.dispose](), TypeError, message);
  const lr = 0.1;
  refuse(() => new Sgd(store, { lr }), `Sgd cannot move the sparse table "table": Adam can`);
  refuse(() => new RmsProp(store, { lr }), `RmsProp cannot move the sparse table "table"`);
  const neither = `The sparse table "table" allows neither clipNorm nor weightDecay`;
  const both: OptimizerOptions[] = [{ lr, clipNorm: 5 }, { lr, weightDecay: 0.1 }];
  for (const options of both) refuse(() => new Adam(store, options), neither);
  new Adam(store, { lr, clipNorm: undefined, weightDecay: 0 }).dispose();
});

gpuTest("what is sparse or frozen is settled when the store is made", (gpu) => {
  const vector = new Parameter([4], new Float32Array(4), { name: "vector" });
  const message = `Only a table [V, D] can be sparse, and "vector" has the shape [4]`;
  assertThrows(() => vector.sparse = true, TypeError, message);
  vector.sparse = false;
  const table = makeTable();
  assertEquals([table.sparse, table.frozen], [true, false]);
  using _store = new ParameterStore(gpu, [table, vector]);
  for (const parameter of [table, vector]) {
    const already = `The parameter "${parameter.name}" is in a ParameterStore already: `;
    assertThrows(() => parameter.sparse = false, ReferenceError, `${already}make it sparse before`);
    assertThrows(() => parameter.frozen = true, ReferenceError, `${already}freeze it before`);
  }
  assertEquals([table.sparse, table.frozen], [true, false]);
});
