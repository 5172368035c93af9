/** Bags of rows of a table on the GPU, and the table's gradient. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  embeddingBag,
  embeddingBagGradient,
  uploadBags,
} from "../../kernels/embedding/embedding_bag.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { SUM_STRETCH } from "../../kernels/runtime/turns.ts";
import { bagBackward, bagForward } from "../../kernels/reference/pooling.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, countDispatches, normals, upload } from "./values.ts";

/** Repeated ids in a bag, empty bags (the last one too), a bag of one; rows 2, 3 and 7 occur nowhere. */
const BAGS = [[4, 1, 1, 0], [], [10], [1, 4, 10, 1, 5, 6, 8, 9], []];
const ABSENT = [2, 3, 7];
const ROWS = 11;
const MODES = ["sum", "mean"] as const;

for (const mode of MODES) {
  for (const width of [1, 3, 4, 52]) {
    gpuTest(
      `the ${mode} of bags and its gradient agree with their twins at width ${width}`,
      async (gpu) => {
        const shape = { vocabulary: ROWS, dim: width };
        const tableValues = normals("table", ROWS * width);
        const doutValues = normals("dout", BAGS.length * width);
        using table = upload(gpu, tableValues, [ROWS, width]);
        using dout = upload(gpu, doutValues, [BAGS.length, width]);
        using bags = uploadBags(gpu, BAGS, ROWS);
        assertEquals([bags.count, bags.distinct], [5, ROWS - ABSENT.length]);

        const forward = countDispatches(gpu, () => embeddingBag(table, bags, mode));
        using out = forward.result;
        assertEquals([forward.dispatches, [...out.shape]], [1, [BAGS.length, width]]);
        await assertTwin(out, bagForward(BAGS, tableValues, shape, mode), mode, 1e-6);

        // What the target held before must not shine through.
        using dtable = Tensor.from(gpu, new Float32Array(ROWS * width).fill(7), [ROWS, width]);
        const back = countDispatches(gpu, () => embeddingBagGradient(dout, bags, mode, dtable));
        assertEquals([back.result, back.dispatches], [dtable, 1]);
        const expected = bagBackward(doutValues, BAGS, shape, mode);
        await assertTwin(dtable, expected, "gradient", 1e-6);

        // ... but in the rows that the bags lack it stays, where the caller wants it.
        using rows = Tensor.from(gpu, new Float32Array(ROWS * width).fill(7), [ROWS, width]);
        embeddingBagGradient(dout, bags, mode, rows, { rowsOnly: true });
        const kept = expected.map((v, i) => ABSENT.includes(Math.floor(i / width)) ? 7 : v);
        await assertTwin(rows, kept, "gradient of rows", 1e-6);
      },
    );
  }
}

gpuTest("bags are uploaded with the owners of each index side by side", async (gpu) => {
  using bags = uploadBags(gpu, [[2, 0], [], [2, 2], Uint16Array.of(0)], 3);
  assertEquals([...await bags.ids.read()], [2, 0, 2, 2, 0]);
  assertEquals([...await bags.offsets.read()], [0, 2, 2, 4, 5]);
  assertEquals([...await bags.owners.read()], [0, 2, 2, 0, 3]);
  assertEquals([...await bags.segments.read()], [0, 2, 3, 0, 5, 0]);
});

gpuTest("one bag, and one that is empty", async (gpu) => {
  using table = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [3, 2]);
  using dout = Tensor.from(gpu, [6, 9], [1, 2]);
  using one = uploadBags(gpu, [[2, 0, 2]], 3);
  using out = Tensor.empty(gpu, [1, 2]);
  assertEquals(embeddingBag(table, one, "sum", out), out);
  assertEquals(await out.read(), Float32Array.of(11, 14));
  using dtable = Tensor.empty(gpu, [3, 2]);
  embeddingBagGradient(dout, one, "mean", dtable);
  assertEquals(await dtable.read(), Float32Array.of(2, 3, 0, 0, 4, 6));

  using empty = uploadBags(gpu, [[]], 3);
  assertEquals([empty.count, empty.distinct], [1, 0]);
  for (const mode of MODES) {
    using nothing = embeddingBag(table, empty, mode);
    assertEquals(await nothing.read(), new Float32Array(2));
    dtable.write([1, 2, 3, 4, 5, 6]);
    embeddingBagGradient(dout, empty, mode, dtable, { rowsOnly: true });
    assertEquals(await dtable.read(), Float32Array.of(1, 2, 3, 4, 5, 6));
    embeddingBagGradient(dout, empty, mode, dtable);
    assertEquals(await dtable.read(), new Float32Array(6));
  }
});

gpuTest("many bags that share a few rows add up, with the same bits twice", async (gpu) => {
  const all = Array.from({ length: 700 }, (_, n) => [n % 3, 3, (7 * n) % 5]);
  const shape = { vocabulary: 5, dim: 6 };
  const doutValues = normals("dout", 700 * 6);
  using table = upload(gpu, normals("table", 30), [5, 6]);
  using dout = upload(gpu, doutValues, [700, 6]);
  const results = [];
  for (let i = 0; i < 2; i++) {
    using bags = uploadBags(gpu, all, 5);
    using out = embeddingBag(table, bags, "mean");
    using dtable = Tensor.empty(gpu, [5, 6]);
    embeddingBagGradient(dout, bags, "mean", dtable);
    await assertTwin(dtable, bagBackward(doutValues, all, shape, "mean"), "gradient");
    results.push([await out.read(), await dtable.read()]);
  }
  assertEquals(results[0], results[1]);
});

gpuTest(
  "no bag, and an index outside the table, are refused before anything is uploaded",
  (gpu) => {
    assertThrows(
      () => uploadBags(gpu, [], 3, "words"),
      RangeError,
      `"words" must hold at least one bag`,
    );
    for (const bad of [3, -1, 1.5, NaN]) {
      const message = `The index ${bad} at place 2 of "words" is not in the table`;
      assertThrows(() => uploadBags(gpu, [[0, 1], [bad, 9]], 3, "words"), RangeError, message);
    }
    const odd: [bags: unknown[], message: string][] = [
      [[[0], 1, 2], `"bag 1 of words" must be an array or typed array: a number was given`],
      [["12"], `"bag 0 of words" must be an array or typed array: a string was given`],
      [[[0], [[1]]], `"bag 1 of words" must be one flat array`],
      [[[0], [2, "1"]], `"words" must be numbers: there is a string at place 2`],
      [[[0], [2, null]], "there is null at place 2"],
      [[[true]], "there is a boolean at place 0"],
    ];
    for (const [bags, message] of odd) {
      assertThrows(() => uploadBags(gpu, bags as number[][], 3, "words"), TypeError, message);
    }
  },
);

// A dispatch takes a stretch of the words of a bag, or of the places of an index.
gpuTestBothPaths("bags and indices longer than a loop turns", async (gpu) => {
  for (const count of [SUM_STRETCH, SUM_STRETCH + 1, 65_537]) {
    for (const width of [1, 4]) {
      const long = Array.from({ length: count }, (_, i) => i % 5 === 0 ? 1 : 2);
      const all = [[0, 2], long, [], [2]];
      const shape = { vocabulary: 3, dim: width };
      const tableValues = Float64Array.from({ length: 3 * width }, (_, i) => i % 7 - 3);
      const doutValues = Float64Array.from({ length: 4 * width }, (_, i) => i % 5 - 1);
      using table = upload(gpu, tableValues, [3, width]);
      using dout = upload(gpu, doutValues, [4, width]);
      using bags = uploadBags(gpu, all, 3);
      assertEquals(bags.largest, count);
      for (const mode of MODES) {
        using out = embeddingBag(table, bags, mode);
        await assertTwin(out, bagForward(all, tableValues, shape, mode), mode, 1e-6);
        using dtable = Tensor.from(gpu, new Float32Array(3 * width).fill(3), [3, width]);
        embeddingBagGradient(dout, bags, mode, dtable);
        const expected = bagBackward(doutValues, all, shape, mode);
        await assertTwin(dtable, expected, `${mode} gradient`, 1e-6);
      }
    }
  }
});

gpuTest("NaN and infinity reach the bags that hold them, and no other", async (gpu) => {
  using bags = uploadBags(gpu, [[0, 2], [], [1], [2]], 3);
  using table = Tensor.from(gpu, [NaN, Infinity, 3], [3, 1]);
  for (const mode of MODES) {
    using out = embeddingBag(table, bags, mode);
    assertEquals(await out.read(), Float32Array.of(NaN, 0, Infinity, 3));
  }
});

gpuTest("bags of a larger table are refused", (gpu) => {
  using bags = uploadBags(gpu, [[0]], 4, "words");
  using table = Tensor.zeros(gpu, [3, 2], { name: "table" });
  using dout = Tensor.zeros(gpu, [1, 2]);
  const message = `"words ids" was uploaded for a table of 4 rows, and "table" has 3`;
  assertThrows(() => embeddingBag(table, bags, "sum"), RangeError, message);
  assertThrows(() => embeddingBagGradient(dout, bags, "sum", table), RangeError, message);
});

gpuTest("bags refuse shapes that do not fit", (gpu) => {
  using bags = uploadBags(gpu, [[0, 1]], 3);
  using table = Tensor.zeros(gpu, [3, 2]);
  using vector = Tensor.zeros(gpu, [3]);
  using dout = Tensor.zeros(gpu, [1, 2]);
  assertThrows(() => embeddingBag(vector, bags, "sum"), TypeError, "table [V, D]");
  assertThrows(
    () => embeddingBag(table, bags, "sum", table),
    TypeError,
    "result [N, D] needs the shape [1, 2]",
  );
  assertThrows(
    () => embeddingBagGradient(table, bags, "sum", table),
    TypeError,
    "gradient [N, D] needs the shape [1, 2]",
  );
  assertThrows(
    () => embeddingBagGradient(dout, bags, "mean", vector),
    TypeError,
    "table gradient [V, D]",
  );
});
