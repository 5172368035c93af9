/** Functions of numbers with broadcasting, reductions along axes, other orders, and products of stacks. */
import { assert, assertEquals, assertLess, assertThrows } from "@std/assert";
import { matmul, matmulEach } from "../../kernels/gemm/matmul.ts";
import { pointwise, pointwiseGradient } from "../../kernels/pointwise/pointwise.ts";
import { erf, POINTWISE_TWINS } from "../../kernels/reference/pointwise.ts";
import { permuted, put, sliced, take } from "../../kernels/rearrange.ts";
import { reduceAxes } from "../../kernels/reduce/axes.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { relativeError } from "../support.ts";
import { countDispatches, normals, upload } from "./values.ts";

type Name = keyof typeof POINTWISE_TWINS;

/** Where a function is tried: what its first input holds. */
const RANGES: Partial<Record<Name, [number, number]>> = {
  sqrt: [1e-3, 50],
  rsqrt: [1e-3, 50],
  log: [1e-6, 1e4],
  exp: [-80, 80],
  pow: [1e-2, 9],
  sin: [-5000, 5000],
  cos: [-5000, 5000],
  gelu: [-9, 9],
};

Deno.test("the twin's erf agrees with known values", () => {
  for (
    const [x, y] of [[0.5, 0.5204998778130465], [1, 0.8427007929497149], [2.9, 0.9999589021219005]]
  ) {
    assertLess(Math.abs(erf(x) / y - 1), 1e-13);
    assertEquals(erf(-x), -erf(x));
  }
  assertEquals(erf(6), 1);
});

gpuTestBothPaths(
  "every function of numbers agrees with its twin, and so do its slopes",
  async (gpu) => {
    for (const [name, { f, slopes }] of Object.entries(POINTWISE_TWINS)) {
      const [low, high] = RANGES[name as Name] ?? [-6, 6];
      for (const size of [61, 64]) {
        const draws = slopes.map((_, k) => normals(`${name} ${k}`, size));
        const inputs = draws.map((values, k) =>
          Float32Array.from(values, (v) => {
            const share = 0.5 + Math.atan(v) / Math.PI;
            if (k === 0) return name === "where" ? Number(v > 0) : low + (high - low) * share;
            return name === "clamp" ? (k === 1 ? -2 : 3) : v;
          })
        );
        const tensors = inputs.map((values) => Tensor.from(gpu, values));
        const dy = Float32Array.from(normals("dy", size));
        using gradient = Tensor.from(gpu, dy);
        using y = pointwise(name as Name, tensors);
        const at = (i: number) => inputs.map((values) => values[i]) as [number, number, number];
        const expected = dy.map((_, i) => f(...at(i)));
        assertLess(relativeError(await y.read(), expected), 1e-6, name);
        for (const which of slopes.keys()) {
          using dx = pointwiseGradient(name as Name, which, gradient, tensors, y);
          const slope = dy.map((v, i) => v * slopes[which](...at(i)));
          assertLess(relativeError(await dx.read(), slope), 2e-6, `${name}'s slope along ${which}`);
        }
        for (const tensor of tensors) tensor.dispose();
      }
    }
  },
);

gpuTest("numbers are constants of a function, in one dispatch", async (gpu) => {
  using x = Tensor.from(gpu, [1, -2, 3]);
  const { result, dispatches } = countDispatches(gpu, () => pointwise("clamp", [x, -1.5, 2.5]));
  using y = result;
  assertEquals([dispatches, [...await y.read()]], [1, [1, -1.5, 2.5]]);
  using z = pointwise("sub", [10, x]);
  assertEquals([...await z.read()], [9, 12, 7]);
});

gpuTest("functions of numbers say what does not fit", (gpu) => {
  using a = Tensor.zeros(gpu, [2, 3, 4], { name: "a" });
  using b = Tensor.zeros(gpu, [2, 1], { name: "b" });
  assertThrows(
    () => pointwise("add", [a, b]),
    TypeError,
    '"a" of shape [2, 3, 4] and "b" of shape [2, 1] do not broadcast: axis -2 is 3 in one and 2 in the other, ' +
      "and only 1 is repeated",
  );
  assertThrows(() => pointwise("add", [a]), TypeError, "add takes 2 operands, and 1 were given");
  assertThrows(() => pointwise("mul", [2, 3]), TypeError, "mul takes at least one tensor");
});

gpuTest("a function runs over more rows than there are workgroups along one axis", async (gpu) => {
  const rows = 70_000 * 64;
  using x = Tensor.from(gpu, Float32Array.from({ length: rows }, (_, i) => i % 1000), [rows, 1]);
  using b = Tensor.from(gpu, [1, 2], [1, 2]);
  using y = pointwise("add", [x, b]);
  const values = await y.read();
  for (const i of [0, 1, 65_535 * 64, rows - 1]) {
    assertEquals([...values.subarray(2 * i, 2 * i + 2)], [i % 1000 + 1, i % 1000 + 2]);
  }
});

gpuTest("views of up to eight axes are read by their strides", async (gpu) => {
  const shape = [2, 1, 3, 2, 2, 1, 2, 3];
  const count = 2 * 3 * 2 * 2 * 2 * 3;
  using x = Tensor.from(gpu, Float32Array.from({ length: count }, (_, i) => i), shape);
  const order = [7, 5, 3, 1, 6, 4, 2, 0];
  using there = take(permuted(x, order));
  assertEquals(there.shape, order.map((axis) => shape[axis]));
  using back = take(permuted(there, order.map((_, axis) => order.indexOf(axis))));
  assertEquals(await back.read(), await x.read());
  const values = await there.read();
  assertEquals([values[0], values[1], values.at(-2), values.at(-1)], [0, 72, 71, 143]);
});

gpuTest("slices are Python's, and a put touches nothing else", async (gpu) => {
  using x = Tensor.from(gpu, [0, 1, 2, 3, 4, 5, 6]);
  const cases: [Parameters<typeof sliced>[2], number[]][] = [
    [{}, [0, 1, 2, 3, 4, 5, 6]],
    [{ start: -2 }, [5, 6]],
    [{ step: -3 }, [6, 3, 0]],
    [{ start: 100, end: -100, step: -2 }, [6, 4, 2, 0]],
    [{ start: 5, end: 2 }, []],
  ];
  for (const [part, expected] of cases) {
    using y = take(sliced(x, 0, part));
    assertEquals([...await y.read()], expected);
  }
  using two = Tensor.from(gpu, [10, 20]);
  put(two, sliced(x, 0, { start: 1, end: 5, step: 2 }));
  assertEquals([...await x.read()], [0, 10, 2, 20, 4, 5, 6]);
  assertThrows(() => sliced(x, 1, {}), RangeError, "has no axis 1: -1 to 0 are allowed");
  assertThrows(() => sliced(x, 0, { step: 0 }), RangeError, "step is a whole number but 0: 0");
  assertThrows(() => sliced(x, 0, { start: 0.5 }), RangeError, "start is a whole number: 0.5");
  assertThrows(() => permuted(x, []), TypeError, "does not name each axis");
});

gpuTestBothPaths("sums along axes are the same however they are shared out", async (gpu) => {
  for (const shape of [[3, 20_001], [20_001, 3], [2, 9001, 4], [5, 7, 3, 8], [1, 1], [4100, 4]]) {
    const values = normals(`sums of ${shape}`, shape.reduce((a, b) => a * b));
    using x = upload(gpu, values, shape);
    for (let axis = 0; axis < shape.length; axis++) {
      const after = shape.slice(axis + 1).reduce((a, b) => a * b, 1);
      const expected = new Float64Array(values.length / shape[axis]);
      const largest = new Float64Array(expected.length).fill(-Infinity);
      Float32Array.from(values).forEach((v, i) => {
        const to = Math.floor(i / (after * shape[axis])) * after + i % after;
        expected[to] += v;
        largest[to] = Math.max(largest[to], v);
      });
      using sum = reduceAxes("sum", x, axis);
      assertEquals(sum.shape, shape.toSpliced(axis, 1));
      assertLess(relativeError(await sum.read(), expected), 1e-5);
      using again = reduceAxes("sum", x, axis - shape.length, { keepDims: true });
      assertEquals(await again.read(), await sum.read());
      using max = reduceAxes("max", x, [axis]);
      assertEquals([...await max.read()], [...largest]);
    }
  }
});

gpuTest("reductions say what cannot be", async (gpu) => {
  using x = Tensor.zeros(gpu, [2, 0, 3], { name: "x" });
  using sum = reduceAxes("sum", x, 1);
  assertEquals([sum.shape, [...await sum.read()]], [[2, 3], [0, 0, 0, 0, 0, 0]]);
  assertThrows(() => reduceAxes("max", x, 1), RangeError, '"x" of shape [2, 0, 3] has no max');
  using none = reduceAxes("max", x, 2);
  assertEquals(none.shape, [2, 0]);
  assertThrows(() => reduceAxes("sum", x, 3), RangeError, "has no axis 3: -3 to 2 are allowed");
  assertThrows(
    () => reduceAxes("sum", x, [0, -3]),
    TypeError,
    'The axes [0,-3] name one of "x" twice',
  );
  using scalar = Tensor.from(gpu, [7], []);
  using same = reduceAxes("sum", scalar);
  assertEquals([...await same.read()], [7]);
  assertThrows(() => reduceAxes("sum", scalar, 0), RangeError, "has no axis 0");
});

gpuTestBothPaths("each product of a stack is that of its pair, in one dispatch", async (gpu) => {
  for (const [count, m, k, n] of [[3, 5, 7, 4], [7, 16, 8, 12], [2, 33, 65, 17], [5, 1, 1, 1]]) {
    for (const [transA, transB] of [[false, false], [true, false], [false, true], [true, true]]) {
      using a = upload(gpu, normals("a", count * m * k), transA ? [count, k, m] : [count, m, k]);
      using b = upload(gpu, normals("b", count * k * n), transB ? [count, n, k] : [count, k, n]);
      const { result, dispatches } = countDispatches(
        gpu,
        () => matmulEach(a, b, { transA, transB }),
      );
      using y = result;
      assertEquals([dispatches, y.shape], [1, [count, m, n]]);
      const values = await y.read();
      for (let i = 0; i < count; i++) {
        using left = a.view(a.shape.slice(1), i * m * k);
        using right = b.view(b.shape.slice(1), i * k * n);
        using one = matmul(left, right, { transA, transB });
        assertEquals(values.slice(i * m * n, (i + 1) * m * n), await one.read());
      }
    }
  }
});

gpuTest("stacks that are too long for one dispatch are multiplied all the same", async (gpu) => {
  const k = 270_000; // more than a dispatch sums up
  using a = upload(gpu, new Float32Array(2 * k).fill(1), [2, 1, k]);
  using b = upload(gpu, Float32Array.from({ length: 2 * k }, (_, i) => i < k ? 1 : 2), [2, k, 1]);
  using y = matmulEach(a, b);
  assertEquals([...await y.read()], [k, 2 * k]);
  using wrong = Tensor.zeros(gpu, [3, 4, 5], { name: "wrong" });
  assertThrows(() => matmulEach(a, wrong), TypeError, `needs the shape [2, ${k}, any]`);
  assert(y.size === 2);
});
