/** Tensors: shapes, views, lifetimes, and the order of writes and reads. */
import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { accumulate, add } from "../../kernels/elementwise.ts";
import { pointwise } from "../../kernels/pointwise/pointwise.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { gpuTest } from "../gpu_support.ts";
import { GpuError } from "../../kernels/runtime/errors.ts";

gpuTest("a tensor over the limit is refused by name, bytes and limit", (gpu) => {
  const limits = gpu.device.limits;
  const limit = Math.min(limits.maxStorageBufferBindingSize, limits.maxBufferSize);
  const n = Math.floor(limit / 4) + 1;
  const error = assertThrows(
    () => Tensor.empty(gpu, [1, n], { name: "too large" }),
    GpuError,
    `"too large" of shape [1, ${n}] takes ${4 * n} bytes`,
  );
  assertStringIncludes(error.message, `allows ${limit}`);
});

gpuTest("tensors refuse wrong shapes, counts, views and copies", async (gpu) => {
  assertThrows(() => Tensor.empty(gpu, [2, -1], { name: "t" }), RangeError, `"t" cannot have`);
  assertThrows(() => Tensor.empty(gpu, [1.5]), RangeError, "whole numbers from 0");
  assertThrows(() => Tensor.from(gpu, [1, 2], [3]), TypeError, "holds 3 numbers, and 2 were given");
  using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3], { name: "x" });
  assertThrows(() => x.write([1]), TypeError, `"x" holds 6 numbers, and 1 were given`);
  assertThrows(() => x.view([4], 3), RangeError, "does not fit");
  assertThrows(() => x.view([1], -1), RangeError, "does not fit");
  assertThrows(() => x.view([1], 0.5), RangeError, "does not fit");
  using y = Tensor.zeros(gpu, [2]);
  assertThrows(() => x.copyFrom(y), TypeError, "cannot take the 2");
  using left = x.view([3]);
  using right = x.view([3], 3);
  assertThrows(() => left.copyFrom(right), TypeError, "they share one buffer");
  assertEquals(await right.read(), new Float32Array([4, 5, 6]));
});

gpuTest("tensors hold both element types, and empty ones", async (gpu) => {
  using words = Tensor.from(gpu, [0, 7, 0xffffffff], [3], { dtype: "u32" });
  assertEquals(await words.read(), new Uint32Array([0, 7, 0xffffffff]));
  using scalar = Tensor.from(gpu, [2.5], []);
  assertEquals(await scalar.read(), new Float32Array([2.5]));
  using empty = Tensor.from(gpu, [], [0, 3]);
  empty.clear();
  using double = add(empty, empty);
  assertEquals(await double.read(), new Float32Array(0));
});

gpuTest("a tensor cannot be used after its disposal, and a view keeps the buffer", async (gpu) => {
  const before = gpu.pool.liveBuffers;
  const x = Tensor.from(gpu, [1, 2, 3], [3], { name: "gone" });
  const view = x.view([2], 1);
  x.dispose();
  x.dispose(); // does nothing
  assert(x.disposed && !view.disposed);
  assertEquals(gpu.pool.liveBuffers, before + 1);
  assertEquals(await view.read(), new Float32Array([2, 3]));
  view.dispose();
  assertEquals(gpu.pool.liveBuffers, before);
  const after = `"gone" of shape [3] is used after its disposal`;
  await assertRejects(() => x.read(), ReferenceError, after);
  assertThrows(() => x.view([1]), ReferenceError, after);
  assertThrows(() => x.write([1, 2, 3]), ReferenceError, after);
  assertThrows(() => x.clear(), ReferenceError, after);
  using y = Tensor.zeros(gpu, [3]);
  assertThrows(() => accumulate(y, x), ReferenceError, `gets "gone" for x after its disposal`);
});

gpuTest("views at any offset can be read, and only aligned ones written", async (gpu) => {
  using whole = Tensor.from(gpu, Float32Array.from({ length: 130 }, (_, i) => i));
  using odd = whole.view([3], 5, "odd");
  using total = Tensor.from(gpu, [1, 1, 1]);
  accumulate(total, odd);
  assertEquals(await total.read(), new Float32Array([6, 7, 8]));
  assertThrows(
    () => accumulate(odd, total),
    RangeError,
    `cannot write to the view "odd" at element 5`,
  );
  using aligned = whole.view([3], 64);
  accumulate(aligned, total);
  assertEquals((await whole.read()).slice(62, 69), new Float32Array([62, 63, 70, 72, 74, 67, 68]));
});

gpuTest("a write does not reach back into work that was recorded before it", async (gpu) => {
  using x = Tensor.from(gpu, [1, 2, 3]);
  using first = pointwise("relu", [x]);
  x.write([-1, 20, 30]);
  using second = pointwise("relu", [x]);
  x.clear();
  using third = pointwise("relu", [x]);
  assertEquals(await first.read(), new Float32Array([1, 2, 3]));
  assertEquals(await second.read(), new Float32Array([0, 20, 30]));
  assertEquals(await third.read(), new Float32Array(3));
});

gpuTest("a read that is in flight gives the numbers of its own time", async (gpu) => {
  using x = Tensor.from(gpu, [1]);
  using one = Tensor.from(gpu, [1]);
  const reads = [];
  for (let i = 0; i < 5; i++) {
    reads.push(x.startRead());
    accumulate(x, one);
  }
  assertEquals((await Promise.all(reads)).map((r) => r[0]), [1, 2, 3, 4, 5]);
});
