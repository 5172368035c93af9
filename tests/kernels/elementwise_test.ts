/** Operations on single numbers, on the GPU. */
import { assert, assertAlmostEquals, assertEquals, assertThrows } from "@std/assert";
import { threefry2x32 } from "../../data/rng.ts";
import {
  accumulate,
  add,
  blend,
  clampInPlace,
  dropout,
  scaleBy,
} from "../../kernels/elementwise.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { sigmoid } from "../../kernels/reference/linear_algebra.ts";
import { gpuTest } from "../gpu_support.ts";
import { linspace } from "../support.ts";
import { assertTwin, normals, upload } from "./values.ts";
import { pointwise, pointwiseGradient } from "../../kernels/pointwise/pointwise.ts";

type Name = "relu" | "tanh" | "sigmoid";

const TWINS: Record<Name, { f: (x: number) => number; slope: (x: number) => number }> = {
  relu: { f: (x) => Math.max(x, 0), slope: (x) => x > 0 ? 1 : 0 },
  tanh: { f: Math.tanh, slope: (x) => 1 - Math.tanh(x) ** 2 },
  sigmoid: { f: sigmoid, slope: (x) => sigmoid(x) * (1 - sigmoid(x)) },
};

for (const [name, { f, slope }] of Object.entries(TWINS) as [Name, typeof TWINS.relu][]) {
  gpuTest(`${name} and its gradient agree with their twins`, async (gpu) => {
    for (const shape of [[4, 25], [3, 33]]) { // quads, and single numbers
      const n = shape[0] * shape[1];
      const values = Float64Array.from([...linspace(-6, 6, n - 3), 0, 20, -20]);
      const direct = normals("dout", values.length);
      using x = upload(gpu, values, shape);
      using dout = upload(gpu, direct, shape);
      using y = pointwise(name, [x]);
      assertEquals(y.shape, shape);
      await assertTwin(y, values.map(f), name);
      using dx = pointwiseGradient(name, 0, dout, [x], y);
      await assertTwin(dx, values.map((v, i) => direct[i] * slope(v)), `${name} gradient`);
      using out = Tensor.empty(gpu, shape);
      assertEquals(pointwiseGradient(name, 0, dout, [x], y, out), out);
      assertEquals(await out.read(), await dx.read());
    }
  });

  gpuTest(`${name} is right to 4 units in the last place everywhere`, async (gpu) => {
    const spread = [...linspace(-87, 87, 997), ...linspace(-1, 1, 499)];
    const tiny = Array.from({ length: 38 }, (_, i) => 10 ** -i).flatMap((v) => [v, -v]);
    const extreme = [3e38, -3e38, 1e30, -1e30, 88.7, 1000, -1000, Infinity, -Infinity, 0];
    const values = Float32Array.from([...spread, ...tiny, ...extreme]);
    for (const n of [values.length - values.length % 4, values.length - values.length % 4 - 1]) {
      using x = upload(gpu, values.slice(-n), [n]);
      using y = pointwise(name, [x]);
      const got = await y.read();
      values.slice(-n).forEach((v, i) => {
        const expected = f(v);
        const allowed = 4 * 2 ** -23 * Math.abs(expected) + 1.2e-38; // what is subnormal may be 0
        const right = got[i] === expected || Math.abs(got[i] - expected) <= allowed;
        assert(right, `${name}(${v}) = ${got[i]}, not ${expected}`);
      });
      using ones = upload(gpu, new Float32Array(n).fill(1), [n]);
      using dx = pointwiseGradient(name, 0, ones, [x], y);
      await assertTwin(dx, values.slice(-n).map(slope), `${name} gradient`);
    }
  });

  gpuTest(`${name} of NaN is NaN, whatever its bits, and the rest stays as it is`, async (gpu) => {
    const bits = [0x7fc00000, 0x7f800001, 0x7fffffff, 0xffc00000, 0xff800001, 0xffffffff];
    const nan = new Float32Array(Uint32Array.from(bits).buffer);
    for (const values of [[1, ...nan, -1], [1, ...nan, -1, 0.5]]) {
      using x = upload(gpu, values, [values.length]);
      using dout = upload(gpu, values.map((_, i) => i + 1), [values.length]);
      using y = pointwise(name, [x]);
      const got = await y.read();
      values.forEach((v, i) => {
        const wanted = Number.isNaN(v) ? NaN : Math.fround(f(v));
        assertAlmostEquals(got[i], wanted, 1e-6);
      });
      // A relu passes on what meets a NaN, as PyTorch's does; of a smooth function nothing is known there.
      using dx = pointwiseGradient(name, 0, dout, [x], y);
      const wanted = values.map((v, i) =>
        (i + 1) * (!Number.isNaN(v) ? slope(v) : name === "relu" ? 1 : NaN)
      );
      (await dx.read()).forEach((v, i) => assertAlmostEquals(v, wanted[i], 1e-5));
    }
  });
}

gpuTest("add, accumulate and scaleBy agree with plain sums", async (gpu) => {
  for (const shape of [[13, 10], [13, 12]]) { // single numbers, and quads
    const n = shape[0] * shape[1];
    const [av, bv] = [normals("a", n), normals("b", n)];
    using a = upload(gpu, av, shape);
    using b = upload(gpu, bv, shape);
    using plain = add(a, b);
    await assertTwin(plain, av.map((v, i) => v + bv[i]), "a + b", 1e-6);
    using scaled = add(a, b, -0.5);
    await assertTwin(scaled, av.map((v, i) => v - 0.5 * bv[i]), "a - b / 2", 1e-6);
    accumulate(plain, b);
    accumulate(plain, b);
    await assertTwin(plain, av.map((v, i) => v + 3 * bv[i]), "a + 3 b", 1e-6);
    using factor = Tensor.from(gpu, [-3], []);
    using times = scaleBy(a, factor, scaled);
    assertEquals(times, scaled);
    await assertTwin(times, av.map((v) => -3 * v), "-3 a", 1e-6);
  }
});

gpuTest("a view is written to its end and no further", async (gpu) => {
  using whole = Tensor.from(gpu, [1, -2, 3, -4, 5, -6, 7, -8]);
  using part = whole.view([6]);
  clampInPlace(part, -1, 2);
  assertEquals(await whole.read(), Float32Array.of(1, -1, 2, -1, 2, -1, 7, -8));
  using more = Tensor.from(gpu, [1, 1, 1, 1, 1, 1]);
  accumulate(part, more);
  assertEquals(await whole.read(), Float32Array.of(2, 0, 3, 0, 3, 0, 7, -8));
  clampInPlace(whole, -1.5, 1.5);
  assertEquals(await whole.read(), Float32Array.of(1.5, 0, 1.5, 0, 1.5, 0, 1.5, -1.5));
  for (const [low, high] of [[1, 0], [NaN, 1], [0, NaN]]) {
    assertThrows(() => clampInPlace(whole, low, high), RangeError, `${low} to ${high} was given`);
  }
});

gpuTest("a clamp keeps NaN, and brings infinity into its range", async (gpu) => {
  for (const size of [4, 5]) {
    const values = [NaN, Infinity, -Infinity, 0.5, NaN].slice(0, size);
    using x = upload(gpu, values, [size]);
    clampInPlace(x, -1, 2);
    assertEquals(await x.read(), Float32Array.from([NaN, 2, -1, 0.5, NaN].slice(0, size)));
  }
});

gpuTest("blend moves the total a part of the way, in place", async (gpu) => {
  for (const size of [1, 3, 4, 1001]) {
    const [tv, xv] = [normals("total", size), normals("x", size)];
    using total = upload(gpu, tv, [size]);
    using x = upload(gpu, xv, [size]);
    blend(total, x, 0.25);
    await assertTwin(total, tv.map((v, i) => v + 0.25 * (xv[i] - v)), `blend of ${size}`, 1e-6);
    assertEquals(await x.read(), Float32Array.from(xv));
    const before = await total.read();
    blend(total, x, 0);
    assertEquals(await total.read(), before);
  }
});

gpuTest(
  "dropout keeps exactly what the Threefry twin keeps, and backward the same",
  async (gpu) => {
    const [n, p] = [1001, 0.3];
    const key = [0xdeadbeef, 42] as const;
    const values = Float32Array.from(normals("x", n));
    using x = Tensor.from(gpu, values);
    using y = dropout(x, p, key);
    const scale = Math.fround(1 / (1 - p));
    const expected = values.map((v, i) => {
      const [word] = threefry2x32(key[0], key[1], i, 0);
      return word >= Math.floor(p * 2 ** 32) ? v * scale : 0;
    });
    assertEquals(await y.read(), expected);
    const kept = expected.filter((v) => v !== 0).length / n;
    assertEquals(Math.abs(kept - 0.7) < 0.05, true, `${kept} of the numbers are kept`);

    using other = dropout(x, p, [key[0], 43]);
    assertEquals((await other.read()).some((v, i) => (v === 0) !== (expected[i] === 0)), true);
    using all = dropout(x, 0, key);
    assertEquals(await all.read(), values);
  },
);

gpuTest(
  "dropout makes NaN of dropped numbers that are not finite, and keeps the others",
  async (gpu) => {
    const key = [7, 42] as const;
    const kept = Array.from({ length: 64 }, (_, i) => threefry2x32(7, 42, i, 0)[0] >= 2 ** 31);
    for (const v of [NaN, Infinity, -Infinity]) {
      using x = upload(gpu, Array(64).fill(v), [64]);
      using y = dropout(x, 0.5, key);
      assertEquals(await y.read(), Float32Array.from(kept, (k) => k ? v : NaN));
    }
  },
);

gpuTest("dropout refuses probabilities outside [0, 1)", (gpu) => {
  using x = Tensor.zeros(gpu, [3]);
  for (const p of [-0.1, 1, NaN]) {
    assertThrows(() => dropout(x, p, [1, 2]), RangeError, `${p} was given`);
  }
});

gpuTest("the elementwise functions refuse shapes that do not fit", (gpu) => {
  using x = Tensor.zeros(gpu, [2, 3]);
  using y = Tensor.zeros(gpu, [2, 3]);
  using small = Tensor.zeros(gpu, [3], { name: "small" });
  assertThrows(() => pointwiseGradient("relu", 0, small, [x], y), TypeError, `"small"`);
  assertThrows(() => pointwiseGradient("relu", 0, y, [x], small), TypeError, `"small"`);
  assertThrows(() => pointwiseGradient("relu", 0, y, [x], y, small), TypeError, `"small"`);
  assertThrows(() => add(x, small), TypeError, `"small"`);
  assertThrows(() => add(x, y, 1, small), TypeError, `"small"`);
  assertThrows(() => accumulate(x, small), TypeError, `"small" of 3 numbers`);
  assertThrows(
    () => blend(x, small, 0.5),
    TypeError,
    "The tensor to blend in needs the shape [2, 3]",
  );
  assertThrows(() => scaleBy(x, small), TypeError, "A factor is one number");
  assertThrows(() => dropout(x, 0.5, [1, 2], small), TypeError, `"small"`);
});
