/** The losses of style transfer on the GPU against their float64 twins, on both kernel paths. */
import { assertEquals, assertThrows } from "@std/assert";
import { gramMatrix, gramMatrixGradient } from "../../kernels/conv2d/gram.ts";
import { squaredDifference, totalVariation } from "../../kernels/image_losses.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import * as twin from "../../kernels/reference/image_losses.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, countDispatches, disposeAll, normals, upload } from "./values.ts";

for (
  const [height, width, channels] of [[1, 1, 1], [3, 5, 4], [7, 3, 5], [9, 13, 66], [5, 5, 64]]
) {
  gpuTestBothPaths(
    `the Gram matrix at [H, W, C] = [${height}, ${width}, ${channels}]`,
    async (gpu) => {
      const pixels = height * width;
      const values = normals("f", pixels * channels);
      using f = upload(gpu, values, [1, height, width, channels]);
      using g = gramMatrix(f);
      assertEquals([...g.shape], [channels, channels]);
      await assertTwin(g, twin.gramForward(values, pixels, channels), "Gram matrix");

      const dgValues = normals("dg", channels * channels); // not symmetric
      using dg = upload(gpu, dgValues, [channels, channels]);
      using df = Tensor.empty(gpu, f.shape);
      assertEquals(gramMatrixGradient(dg, f, df), df);
      await assertTwin(df, twin.gramBackward(dgValues, values, pixels, channels), "gradient");
    },
  );
}

// Numbers and quads, with an end that a workgroup does not fill; for one workgroup and for several.
const COUNTS = [[1, 1], [4, 1], [777, 1], [4096, 1], [4100, 2], [70001, 2]];

for (const [n, dispatches] of COUNTS) {
  gpuTest(`the squared difference of ${n} numbers agrees with its twin`, async (gpu) => {
    const [av, bv] = [normals("a", n), normals("b", n)];
    using a = upload(gpu, av, [1, n]);
    using b = upload(gpu, bv, [1, n]);
    const expected = twin.squaredDifference(av, bv, 0.3);
    const run = countDispatches(gpu, () => squaredDifference(a, b, { weight: 0.3 }));
    assertEquals([run.dispatches, [...run.result.loss.shape]], [dispatches, []]);
    await assertTwin(run.result.loss, [expected.loss], "loss", 1e-6);
    await assertTwin(run.result.gradient!, expected.gradient, "gradient", 1e-6);
    const alone = squaredDifference(a, b, { weight: 0.3, withGradient: false });
    assertEquals(Object.keys(alone), ["loss"]);
    assertEquals(await alone.loss.read(), await run.result.loss.read());
    disposeAll(run.result);
    disposeAll(alone);
  });
}

const PICTURES: [number, number, number, number][] = [
  [1, 1, 1, 1],
  [1, 5, 1, 3],
  [1, 1, 4, 3],
  [1, 9, 7, 3],
  [2, 3, 4, 2],
  [1, 65, 33, 3],
];

for (const shape of PICTURES) {
  gpuTest(`the total variation at [${shape}] agrees with its twin`, async (gpu) => {
    const values = normals("x", shape.reduce((a, b) => a * b));
    using x = upload(gpu, values, shape);
    const expected = twin.totalVariation(values, shape, 0.05);
    const run = countDispatches(gpu, () => totalVariation(x, { weight: 0.05 }));
    assertEquals([run.dispatches, [...run.result.loss.shape]], [values.length > 1024 ? 2 : 1, []]);
    await assertTwin(run.result.loss, [expected.loss], "loss", 1e-6);
    await assertTwin(run.result.gradient!, expected.gradient, "gradient", 1e-6);
    const alone = totalVariation(x, { weight: 0.05, withGradient: false });
    assertEquals(Object.keys(alone), ["loss"]);
    assertEquals(await alone.loss.read(), await run.result.loss.read());
    disposeAll(run.result);
    disposeAll(alone);
  });
}

gpuTest(
  "a NaN or an infinity reaches the losses, and the gradient where it stands",
  async (gpu) => {
    for (const [width, channels] of [[3, 3], [5, 4], [40, 33]]) {
      const shape = [1, 3, width, channels];
      const n = 3 * width * channels;
      for (const v of [NaN, Infinity, -Infinity]) {
        const values = new Float32Array(n).fill(0.5);
        const at = (width + 1) * channels; // the second line's second pixel
        values[at] = v;
        using x = upload(gpu, values, shape);
        using zeros = Tensor.zeros(gpu, shape);
        const difference = squaredDifference(x, zeros);
        const variation = totalVariation(x);
        assertEquals(await difference.loss.read(), Float32Array.of(v * v));
        assertEquals(await variation.loss.read(), Float32Array.of(v * v));
        const expected = Float32Array.from(values, (v) => 2 * v);
        assertEquals(await difference.gradient!.read(), expected);
        const slopes = new Float32Array(n);
        slopes[at] = 4 * (v + v);
        for (const step of [channels, width * channels]) {
          slopes[at + step] =
            slopes[at - step] =
              -2 * v;
        }
        assertEquals(await variation.gradient!.read(), slopes);
        disposeAll(difference);
        disposeAll(variation);
      }
    }
  },
);

gpuTest("a squared difference leaves out what lies behind its tensors", async (gpu) => {
  using whole = Tensor.from(gpu, [1, 2, 3, 4, 5, NaN, Infinity, NaN]);
  using a = whole.view([5]);
  using b = Tensor.from(gpu, [0, 0, 0, 0, 7]);
  const { loss, gradient } = squaredDifference(a, b);
  assertEquals([...await loss.read(), ...await gradient!.read()], [34, 2, 4, 6, 8, -4]);
  disposeAll({ loss, gradient });
});

// 17,024 invocations have 16 or 17 quads each.
gpuTest("losses of many equal numbers are right to a few units in the last place", async (gpu) => {
  const n = 33 * 32_768 + 5;
  const tenth = Math.fround(0.1);
  using a = upload(gpu, new Float32Array(n).fill(tenth), [n]);
  using zeros = Tensor.zeros(gpu, [n]);
  const { loss } = squaredDifference(a, zeros, { withGradient: false });
  await assertTwin(loss, [n * tenth ** 2], "loss", 5e-7);
  loss.dispose();
});

gpuTest("the losses refuse what does not fit", (gpu) => {
  using map = Tensor.zeros(gpu, [1, 2, 3, 4]);
  using two = Tensor.zeros(gpu, [2, 2, 3, 4], { name: "two maps" });
  using empty = Tensor.zeros(gpu, [1, 0, 3, 4]);
  using matrix = Tensor.zeros(gpu, [4, 4], { name: "matrix" });
  assertThrows(() => gramMatrix(two), TypeError, `the tensor "two maps" has [2, 2, 3, 4]`);
  assertThrows(() => gramMatrix(empty), TypeError, "is empty: [1, 0, 3, 4]");
  assertThrows(
    () => gramMatrixGradient(map, map, map),
    TypeError,
    "gradient dg needs the shape [4, 4]",
  );
  assertThrows(
    () => gramMatrixGradient(matrix, map, two),
    TypeError,
    "gradient df needs the shape [1, 2, 3, 4]",
  );
  assertThrows(() => squaredDifference(map, matrix), TypeError, `the tensor "matrix" has [4, 4]`);
  assertThrows(() => totalVariation(matrix), TypeError, "x [N, H, W, C]");
  for (const weight of [NaN, Infinity]) {
    const message = `a finite number, and ${weight} was given`;
    assertThrows(() => squaredDifference(map, map, { weight }), RangeError, message);
    assertThrows(() => totalVariation(map, { weight }), RangeError, message);
  }
});
