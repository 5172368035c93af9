/** What is no number, or none of the element type, is refused by its place. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { defineKernel, FLAT_MAIN, flatGroups, foldGroups } from "../../kernels/runtime/kernel.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { uploadPacked } from "../../kernels/runtime/memory/upload.ts";
import { gpuTest } from "../gpu_support.ts";
import { GpuError } from "../../kernels/runtime/errors.ts";

/** Data of any kind, as a script without types passes it. */
const loose = (data: unknown) => data as ArrayLike<number>;

/** Every way by which numbers reach a tensor of words, or one of floats. */
function ways(gpu: Gpu, dtype: "f32" | "u32"): ((data: ArrayLike<number>) => void)[] {
  const all: ((data: ArrayLike<number>) => void)[] = [
    (data) => Tensor.from(gpu, data, undefined, { name: "x", dtype }).dispose(),
    (data) => {
      const size = typeof data === "object" && data !== null ? data.length ?? 1 : 1;
      using x = Tensor.zeros(gpu, [size], { name: "x", dtype });
      x.write(data);
    },
  ];
  if (dtype === "u32") {
    all.push((data) =>
      uploadPacked(gpu, { x: { data, shape: [data?.length] } }, "part")[Symbol.dispose]()
    );
  }
  return all;
}

gpuTest("what is no flat array of numbers is refused by its place", (gpu) => {
  const bad: [data: unknown, message: string][] = [
    [
      [[1, 2], [3, 4]],
      "must be one flat array: there is an array at place 0; pass the numbers flat",
    ],
    [[Float32Array.of(1, 2), Float32Array.of(3, 4)], "there is an array at place 0"],
    [[1, [2]], "there is an array at place 1"],
    [[1, 2, "3"], "there is a string at place 2"],
    [[1, undefined, 3], "there is undefined at place 1"],
    [[1, , 3], "there is undefined at place 1"],
    [[null], "there is null at place 0"],
    [[true, false], "there is a boolean at place 0"],
    [[0, 1n], "there is a bigint at place 1"],
    [BigInt64Array.of(1n), "there is a bigint at place 0"],
    [[{}], "there is an object at place 0"],
    ["12", "must be an array or typed array: a string was given"],
    [7, "a number was given"],
    [new Set([1, 2]), "an object was given"],
    [new ArrayBuffer(8), "an object was given"],
    [new DataView(new ArrayBuffer(8)), "an object was given"],
    [[1, new DataView(new ArrayBuffer(8))], "there is an object at place 1"],
    [null, "null was given"],
    [undefined, "undefined was given"],
  ];
  for (const dtype of ["f32", "u32"] as const) {
    for (const way of ways(gpu, dtype)) {
      for (const [data, message] of bad) assertThrows(() => way(loose(data)), TypeError, message);
    }
  }
});

gpuTest("numbers that are no u32 are refused by place and value", async (gpu) => {
  for (const way of ways(gpu, "u32")) {
    for (const value of [-1, 1.7, NaN, Infinity, -Infinity, 2 ** 32, 1e39, -0.5, 1e-9]) {
      const message = `The number ${value} at place 2 of "`;
      for (const data of [[0, 1, value], Float64Array.of(3, 4, value)]) {
        assertThrows(() => way(data), RangeError, message);
      }
    }
    assertThrows(() => way(Int32Array.of(5, -7)), RangeError, `The number -7 at place 1 of "`);
    assertThrows(
      () => way(Float32Array.of(1.5)),
      RangeError,
      "a whole number from 0 to 4294967295",
    );
  }
  const good = [0, -0, 1, 2 ** 31, 2 ** 32 - 1];
  for (const data of [good, Float64Array.from(good)]) {
    using x = Tensor.from(gpu, data, undefined, { dtype: "u32" });
    assertEquals([...await x.read()], [0, 0, 1, 2 ** 31, 2 ** 32 - 1]);
  }
});

gpuTest("finite numbers beyond float32 are refused, and NaN and infinity stay", async (gpu) => {
  const most = 3.4028234663852886e38;
  const half = 2 ** 128 - 2 ** 103; // rounds to 2^128
  for (const way of ways(gpu, "f32")) {
    for (const value of [1e39, -1e39, Number.MAX_VALUE, half, -half]) {
      const message = `The number ${value} at place 1 of "x" is beyond float32`;
      for (const data of [[0, value, 1], Float64Array.of(0, value, 1)]) {
        assertThrows(() => way(data), RangeError, message);
      }
    }
  }
  const good = [most, -most, NaN, Infinity, -Infinity, 1e-50, half * (1 - 2 ** -53)];
  for (const data of [good, Float64Array.from(good), Float32Array.from(good)]) {
    using x = Tensor.from(gpu, data);
    assertEquals([...await x.read()], [most, -most, NaN, Infinity, -Infinity, 0, most]);
  }
});

gpuTest("numbers in memory that threads share are taken", async (gpu) => {
  const shared = () => new SharedArrayBuffer(16);
  const floats = new Float32Array(shared(), 4, 2);
  const words = new Uint32Array(shared(), 4, 2);
  for (const data of [floats, words]) data.set([7, 2 ** 24]);
  using x = Tensor.from(gpu, floats);
  using y = Tensor.from(gpu, words, [2], { dtype: "u32" });
  assertEquals([...await x.read(), ...await y.read()], [7, 2 ** 24, 7, 2 ** 24]);
});

gpuTest("shapes, dtypes and copies that cannot be are refused", (gpu) => {
  const before = gpu.pool.liveBuffers;
  for (const shape of [[NaN], [2 ** 53], [Infinity, 0], [-1], ["2"]]) {
    assertThrows(() => Tensor.empty(gpu, shape as number[]), RangeError, "whole numbers from 0");
  }
  for (const shape of [[2 ** 30, 2 ** 30], [2 ** 52, 2 ** 52, 2 ** 52], Array(40).fill(2 ** 50)]) {
    assertThrows(() => Tensor.empty(gpu, shape), GpuError, "numbers");
    assertThrows(() => Tensor.from(gpu, [1], shape), GpuError, "numbers");
    using x = Tensor.from(gpu, [1]);
    assertThrows(() => x.view(shape), GpuError, "numbers");
  }
  const notShapes: unknown[] = [3, "2", null, { length: 1 }, new Set([1])];
  for (const shape of notShapes) {
    assertThrows(
      () => Tensor.from(gpu, [1], shape as number[]),
      TypeError,
      "must be an array of sizes",
    );
  }
  assertThrows(
    () => Tensor.from(gpu, [1], [1], { dtype: "f16" as "f32" }),
    TypeError,
    "must be f32 or u32: it is f16",
  );
  using words = Tensor.from(gpu, [1], [1], { name: "words", dtype: "u32" });
  using floats = Tensor.from(gpu, [1], [1], { name: "floats" });
  assertThrows(
    () => floats.copyFrom(words as unknown as Tensor),
    TypeError,
    `"floats" of f32 cannot take the u32 of "words"`,
  );
  for (const offset of [NaN, -1, 0.5, 1, Infinity]) {
    assertThrows(() => floats.view([1], offset), RangeError, "does not fit");
  }
  assertEquals(gpu.pool.liveBuffers, before + 2);
});

const fill = defineKernel({
  name: "fill",
  bindings: { out: "write f32" },
  params: { n: "u32", shift: "i32", value: "f32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i < params.n) { out[i] = params.value + f32(params.shift); }
}`,
});

gpuTest("parameters that their type does not have are refused by name", async (gpu) => {
  using out = Tensor.zeros(gpu, [3]);
  const run = (params: Record<string, unknown>) =>
    fill.run(gpu, { out }, { n: 3, shift: -2, value: 0.5, ...params } as never, flatGroups(3));
  const words = [-1, 1.5, NaN, Infinity, 2 ** 32, "3", 3n, undefined, null, true];
  for (const n of words) {
    assertThrows(() => run({ n }), RangeError, `gets ${n} for its parameter n`);
  }
  for (const shift of [0.5, NaN, 2 ** 31, -(2 ** 31) - 1, "1"]) {
    assertThrows(() => run({ shift }), RangeError, `gets ${shift} for its parameter shift`);
  }
  for (const value of [NaN, Infinity, -Infinity, 1e39, "1", undefined]) {
    assertThrows(() => run({ value }), RangeError, `gets ${value} for its parameter value`);
  }
  run({});
  assertEquals([...await out.read()], [-1.5, -1.5, -1.5]);
  for (const [shift, value] of [[-(2 ** 31), 0], [2 ** 31 - 128, 0], [0, 3e38], [0, -1e-30]]) {
    run({ shift, value });
    assertEquals((await out.read())[2], Math.fround(shift + value));
  }
});

gpuTest(
  "workgroups that are no whole numbers are refused, and none at all is no dispatch",
  (gpu) => {
    using out = Tensor.zeros(gpu, [3]);
    const params = { n: 3, shift: 0, value: 1 };
    for (const n of [NaN, -1, 0.5, 65536, Infinity]) {
      assertThrows(
        () => fill.run(gpu, { out }, params, [n]),
        RangeError,
        `is asked for [${n}, 1, 1]`,
      );
      assertThrows(() => fill.run(gpu, { out }, params, [1, n]), RangeError, `[1, ${n}, 1]`);
    }
    for (const n of [NaN, -1, 0.5, Infinity]) {
      assertThrows(() => foldGroups(n), RangeError, `not ${n}`);
      assertThrows(() => flatGroups(n), RangeError, `whole number of invocations from 0: not ${n}`);
    }
    const { dispatches } = { ...gpu.recorder.counts };
    fill.run(gpu, { out }, params, [0]);
    assert(gpu.recorder.counts.dispatches === dispatches);
  },
);
