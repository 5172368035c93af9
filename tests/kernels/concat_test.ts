/** Matrices side by side on the GPU. */
import { assertEquals, assertThrows } from "@std/assert";
import { joinColumns, takeColumns } from "../../kernels/concat.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { gpuTest } from "../gpu_support.ts";
import { countDispatches, normals } from "./values.ts";

for (const widths of [[1], [1, 3], [4, 52, 1], [3, 4, 5], [8, 4, 52]]) {
  gpuTest(
    `matrices of ${widths.join(" and ")} columns are joined and taken apart again`,
    async (gpu) => {
      const rows = 5;
      const columns = widths.reduce((a, b) => a + b);
      const parts = widths.map((width) =>
        Float32Array.from(normals(`part ${width}`, rows * width))
      );
      using whole = Tensor.empty(gpu, [rows, columns]);
      let at = 0;
      const expected = new Float32Array(rows * columns);
      for (const [i, width] of widths.entries()) {
        using part = Tensor.from(gpu, parts[i], [rows, width]);
        assertEquals(countDispatches(gpu, () => joinColumns(part, whole, at)).dispatches, 1);
        parts[i].forEach((v, j) => expected[Math.floor(j / width) * columns + at + j % width] = v);
        at += width;
      }
      assertEquals(await whole.read(), expected);
      at = 0;
      for (const [i, width] of widths.entries()) {
        using part = Tensor.empty(gpu, [rows, width]);
        assertEquals(countDispatches(gpu, () => takeColumns(whole, at, part)).dispatches, 1);
        assertEquals(await part.read(), parts[i]);
        at += width;
      }
    },
  );
}

gpuTest("joining touches no other column", async (gpu) => {
  using whole = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3]);
  using part = Tensor.from(gpu, [7, 8], [2, 1]);
  joinColumns(part, whole, 1);
  assertEquals(await whole.read(), Float32Array.of(1, 7, 3, 4, 8, 6));
});

gpuTest("parts that do not fit are refused", (gpu) => {
  using whole = Tensor.zeros(gpu, [2, 3]);
  using part = Tensor.zeros(gpu, [2, 2]);
  using tall = Tensor.zeros(gpu, [3, 2]);
  using vector = Tensor.zeros(gpu, [3]);
  for (const at of [2, -1, 0.5, NaN]) {
    const message = `A part of 2 columns at column ${at} does not fit into a matrix of 3`;
    assertThrows(() => joinColumns(part, whole, at), RangeError, message);
    assertThrows(() => takeColumns(whole, at, part), RangeError, message);
  }
  assertThrows(() => joinColumns(tall, whole, 0), TypeError, "needs the shape [3, any]");
  assertThrows(() => joinColumns(vector, whole, 0), TypeError, "A part [M, W]");
  assertThrows(() => takeColumns(vector, 0, part), TypeError, "A matrix [M, N]");
});
