/** Looking up rows of a table on the GPU, and the table's gradient. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  embedding,
  embeddingGradient,
  groupIndices,
  lookUp,
  uploadIndices,
} from "../../kernels/embedding/embedding.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { SUM_STRETCH } from "../../kernels/runtime/turns.ts";
import { embeddingBackward, embeddingForward } from "../../kernels/reference/softmax.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, countDispatches, normals, upload } from "./values.ts";

const IDS = [4, 1, 1, 0, 1, 4, 10, 1];

for (const width of [1, 3, 4, 7, 8, 50]) {
  gpuTest(`embedding and its gradient agree with their twins at width ${width}`, async (gpu) => {
    const shape = { vocabulary: 11, dim: width };
    const tableValues = normals("table", 11 * width);
    const doutValues = normals("dout", IDS.length * width);
    using table = upload(gpu, tableValues, [11, width]);
    using dout = upload(gpu, doutValues, [IDS.length, width]);
    using ids = uploadIndices(gpu, IDS, 11);
    assertEquals(ids.distinct, 4);
    using out = embedding(table, ids);
    assertEquals(out.shape, [IDS.length, width]);
    await assertTwin(out, embeddingForward(IDS, tableValues, shape), "embedding", 1e-7);

    // What the target held before must not shine through.
    using dtable = Tensor.from(gpu, new Float32Array(11 * width).fill(7), [11, width]);
    assertEquals(embeddingGradient(dout, ids, dtable), dtable);
    const expected = embeddingBackward(doutValues, IDS, shape);
    await assertTwin(dtable, expected, "gradient");

    // ... but in the rows that were not looked up it stays, where the caller wants it.
    using rows = Tensor.from(gpu, new Float32Array(11 * width).fill(7), [11, width]);
    const back = countDispatches(gpu, () => embeddingGradient(dout, ids, rows, { rowsOnly: true }));
    assertEquals([back.result, back.dispatches], [rows, 1]);
    const kept = expected.map((v, i) => IDS.includes(Math.floor(i / width)) ? v : 7);
    await assertTwin(rows, kept, "gradient of rows");
  });
}

Deno.test("groupIndices puts the places of each index side by side, in their order", () => {
  assertEquals(groupIndices(IDS, 11), {
    places: Uint32Array.of(0, 5, 1, 2, 4, 7, 3, 6),
    segments: Uint32Array.of(0, 4, 2, 1, 6, 0, 7, 10, 8, 0),
  });
  assertEquals(groupIndices([], 11), { places: Uint32Array.of(), segments: Uint32Array.of(0, 0) });
  assertEquals(groupIndices([5], 6), {
    places: Uint32Array.of(0),
    segments: Uint32Array.of(0, 5, 1, 0),
  });
  // A call leaves nothing behind for the next, whatever the sizes of the tables.
  const many = Uint16Array.from({ length: 3000 }, (_, i) => (i * i) % 1009);
  const first = groupIndices(many, 1009);
  groupIndices([0, 2000, 0], 2001);
  assertEquals(groupIndices(many, 1009), first);
  assertEquals(first.places.toSorted(), Uint32Array.from({ length: 3000 }, (_, i) => i));
  const { places, segments } = first;
  for (let s = 0; s < segments.length - 2; s += 2) {
    const own = places.subarray(segments[s], segments[s + 2]);
    assertEquals(own, own.toSorted());
    assertEquals(own.every((place) => many[place] === segments[s + 1]), true);
  }
});

gpuTest("one index repeated 1,000 times adds up all its places", async (gpu) => {
  const count = 1000;
  using ids = uploadIndices(gpu, new Int32Array(count).fill(2), 3);
  const values = normals("dout", count * 5);
  using dout = upload(gpu, values, [count, 5]);
  using dtable = Tensor.empty(gpu, [3, 5]);
  embeddingGradient(dout, ids, dtable);
  const shape = { vocabulary: 3, dim: 5 };
  await assertTwin(dtable, embeddingBackward(values, Array(count).fill(2), shape), "gradient");
});

// A dispatch takes a stretch of the places of an index.
gpuTestBothPaths("one index repeated more often than a loop turns", async (gpu) => {
  for (const count of [SUM_STRETCH - 1, SUM_STRETCH, SUM_STRETCH + 1, 65_537]) {
    for (const width of [1, 4]) {
      const ids = new Uint32Array(count + 2).fill(2);
      ids[0] = ids[count] = 1;
      using indices = uploadIndices(gpu, ids, 4);
      assertEquals(indices.most, count);
      const values = Float32Array.from({ length: ids.length * width }, (_, i) => i % 7 - 2);
      using dout = Tensor.from(gpu, values, [ids.length, width]);
      const shape = { vocabulary: 4, dim: width };
      const expected = embeddingBackward(Float64Array.from(values), ids, shape);
      using dtable = Tensor.from(gpu, new Float32Array(4 * width).fill(3), [4, width]);
      embeddingGradient(dout, indices, dtable);
      assertEquals(await dtable.read(), Float32Array.from(expected));
    }
  }
});

gpuTestBothPaths("an index made on the GPU that is not in the table gives NaN", async (gpu) => {
  for (const width of [3, 4]) {
    using memory = Tensor.from(gpu, new Float32Array(8 * width).fill(1), [8, width]);
    using table = memory.view([3, width]); // what lies behind it is not the table's
    using ids = Tensor.from(gpu, [2, 3, 0, 0xffffffff, 0x80000000], [5], { dtype: "u32" });
    using out = lookUp(table, ids);
    const row = [1, NaN, 1, NaN, NaN];
    const expected = Float32Array.from({ length: 5 * width }, (_, i) => row[Math.floor(i / width)]);
    assertEquals(await out.read(), expected);
  }
});

gpuTest("NaN and infinity reach the rows that they belong to, and no other", async (gpu) => {
  using ids = uploadIndices(gpu, [1, 0, 1, 2], 4);
  using table = Tensor.from(gpu, [NaN, Infinity, 3, 4], [4, 1]);
  using out = embedding(table, ids);
  assertEquals(await out.read(), Float32Array.of(Infinity, NaN, Infinity, 3));
  using dtable = Tensor.empty(gpu, [4, 1]);
  embeddingGradient(out, ids, dtable);
  assertEquals(await dtable.read(), Float32Array.of(NaN, Infinity, 3, 0));
});

gpuTest("indices of a larger table are refused", (gpu) => {
  using ids = uploadIndices(gpu, [0, 1], 4, "words");
  using table = Tensor.zeros(gpu, [3, 2], { name: "table" });
  using none = Tensor.zeros(gpu, [0, 2], { name: "none" });
  using dout = Tensor.zeros(gpu, [2, 2]);
  const message = `"words ids" was uploaded for a table of 4 rows, and "table" has 3`;
  assertThrows(() => embedding(table, ids), RangeError, message);
  assertThrows(() => embeddingGradient(dout, ids, table), RangeError, message);
  assertThrows(() => lookUp(none, ids.ids), RangeError, `"none" has no rows`);
});

gpuTest("lookUp takes indices that were made on the GPU, and a given result", async (gpu) => {
  using table = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [3, 2]);
  using ids = Tensor.from(gpu, [2, 0], [2], { dtype: "u32" });
  using out = Tensor.empty(gpu, [2, 2]);
  assertEquals(lookUp(table, ids, out), out);
  assertEquals(await out.read(), new Float32Array([5, 6, 1, 2]));
});

gpuTest("no indices give an empty result and a gradient of zeros", async (gpu) => {
  using ids = uploadIndices(gpu, [], 3);
  using table = Tensor.zeros(gpu, [3, 2]);
  using out = embedding(table, ids);
  assertEquals(out.shape, [0, 2]);
  using dtable = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [3, 2]);
  embeddingGradient(out, ids, dtable);
  assertEquals(await dtable.read(), new Float32Array(6));
});

gpuTest("an index outside the table is refused before anything is uploaded", (gpu) => {
  for (const bad of [3, -1, 1.5, NaN]) {
    const message = `The index ${bad} at place 1 of "words" is not in the table`;
    assertThrows(() => uploadIndices(gpu, [0, bad], 3, "words"), RangeError, message);
  }
  const odd: [ids: unknown, message: string][] = [
    ["012", `"words" must be an array or typed array: a string was given`],
    [[[0], [1]], `"words" must be one flat array`],
    [[0, "1"], `"words" must be numbers: there is a string at place 1`],
  ];
  for (const [ids, message] of odd) {
    assertThrows(() => uploadIndices(gpu, ids as number[], 3, "words"), TypeError, message);
  }
});

gpuTest("the embedding refuses shapes that do not fit", (gpu) => {
  using ids = uploadIndices(gpu, [0, 1], 3);
  using table = Tensor.zeros(gpu, [3, 2]);
  using vector = Tensor.zeros(gpu, [3]);
  assertThrows(() => embedding(vector, ids), TypeError, "table [V, D]");
  assertThrows(() => embedding(table, ids, vector), TypeError, "result needs the shape [2, 2]");
  assertThrows(() => embeddingGradient(table, ids, table), TypeError, "gradient [M, D]");
  assertThrows(() => embeddingGradient(table, ids, vector), TypeError, "table gradient [V, D]");
});
