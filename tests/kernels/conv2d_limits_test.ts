/** Convolutions around the turns that a kernel's loops may take, and what is refused beyond. */
import { assertEquals, assertRejects, assertThrows } from "@std/assert";
import { conv2d, conv2dBackward } from "../../kernels/conv2d/conv2d.ts";
import { expectWindow, whole } from "../../kernels/conv2d/conv2d_sizes.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { mostDepth, tileOf } from "../../kernels/gemm/engine.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { MOST_TURNS } from "../../kernels/runtime/turns.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, normals, upload } from "./values.ts";
import { GpuError } from "../../kernels/runtime/errors.ts";

/** Ones under a kernel as high and wide as given, without a padding: each weight meets each place once. */
async function checkPlaces(gpu: Gpu, kernel: number, [outHeight, outWidth]: number[]) {
  const [height, width] = [outHeight + kernel - 1, outWidth + kernel - 1];
  using x = upload(gpu, new Float32Array(height * width * 5).fill(1), [1, height, width, 5]);
  using w = Tensor.zeros(gpu, [kernel, kernel, 5, 1]);
  using dy = upload(gpu, new Float32Array(outHeight * outWidth).fill(1), [
    1,
    outHeight,
    outWidth,
    1,
  ]);
  const { dw } = conv2dBackward(dy, x, w, {}, { dx: false, db: false });
  const expected = new Float32Array(kernel ** 2 * 5).fill(outHeight * outWidth);
  assertEquals(await dw.read(), expected, `${outHeight} x ${outWidth} places`);
  dw.dispose();
}

gpuTestBothPaths(
  "the gradient on weights counts all places, of long lines too",
  async (gpu) => {
    const most = mostDepth(gpu, { rows: 16, quads: 1 });
    for (const wide of [most - 1, most, most + 1, 2 * most + 3]) {
      await checkPlaces(gpu, 1, [
        1,
        wide,
      ]);
    }
    for (const high of [most, most + 1]) await checkPlaces(gpu, 1, [high, 1]);
    // Tiles enough that one part has all places.
    if (gpu.path === "subgroup") await checkPlaces(gpu, 11, [519, 509]);
  },
);

gpuTestBothPaths(
  "conv2d adds up as many channels as its turns allow, and refuses more",
  async (gpu) => {
    // Few columns, and more than the lanes of a CPU share out.
    for (const columns of [1, 36]) {
      const run = async (channels: number) => {
        using x = upload(gpu, new Float32Array(2 * channels).fill(1), [1, 1, 2, channels]);
        const ones = new Float32Array(channels * columns).fill(1);
        using w = upload(gpu, ones, [1, 1, channels, columns]);
        using y = conv2d(x, w);
        assertEquals(await y.read(), new Float32Array(2 * columns).fill(channels));
      };
      const tile = tileOf(gpu, { m: 2, n: whole(columns), k: MOST_TURNS, narrow: true });
      const weights = { name: "w", shape: [1, 1, 0, columns] };
      const fits = (channels: number) => {
        try {
          expectWindow(gpu, tile, [1, 1], channels, weights);
          return true;
        } catch {
          return false;
        }
      };
      let most = 4 * MOST_TURNS;
      while (!fits(most)) most -= 4;
      await run(most - 1);
      await run(most);
      await assertRejects(() => run(most + 1), GpuError, "take fewer channels or a smaller");
    }
  },
);

gpuTest(
  "the gradient on weights refuses lines that it cannot count, and leaves nothing behind",
  (gpu) => {
    using x = Tensor.zeros(gpu, [1, 1, 1_048_570, 4], { name: "line" });
    using w = Tensor.zeros(gpu, [1, 1, 4, 1]);
    using dy = Tensor.zeros(gpu, [1, 1, 1_048_570, 1]);
    assertThrows(
      () => conv2dBackward(dy, x, w, {}),
      GpuError,
      'those of "line" have 1 and 1048570',
    );
  },
);

gpuTestBothPaths(
  "the gradient on a picture gathers large windows, and refuses larger ones",
  async (gpu) => {
    const run = async (size: number) => {
      const values = normals("w", size * size);
      using x = Tensor.zeros(gpu, [1, size, size, 1]);
      using w = upload(gpu, values, [size, size, 1, 1]);
      using dy = upload(gpu, [3], [1, 1, 1, 1]);
      const { dx } = conv2dBackward(dy, x, w, {}, { dw: false, db: false });
      await assertTwin(dx, values.map((v) => 3 * v), "dx");
      dx.dispose();
    };
    await run(243);
    await assertRejects(() => run(245), GpuError, "take fewer pictures or a smaller window");
  },
);

gpuTestBothPaths(
  "a group adds up as many taps as its turns allow, and refuses more",
  async (gpu) => {
    const run = async (size: number) => {
      const values = normals("w", size * size * 2);
      using x = Tensor.from(gpu, new Float32Array(size * size * 2).fill(1), [1, size, size, 2]);
      using w = upload(gpu, values, [size, size, 1, 2]);
      using y = conv2d(x, w, { groups: 2 });
      const sum = (channel: number) => values.reduce((s, v, i) => i % 2 === channel ? s + v : s, 0);
      await assertTwin(y, [sum(0), sum(1)], "y");
      using dy = upload(gpu, [3, 5], [1, 1, 1, 2]);
      const { dx } = conv2dBackward(dy, x, w, { groups: 2 }, { dw: false, db: false });
      await assertTwin(dx, values.map((v, i) => v * [3, 5][i % 2]), "dx");
      dx.dispose();
    };
    await run(140);
    await assertRejects(() => run(142), GpuError, "take more groups, fewer channels");
  },
);

gpuTestBothPaths("the gradient on a group's weights counts all places", async (gpu) => {
  for (const [height, width] of [[1, 4097], [301, 257], [70_001, 1]]) {
    const places = height * width;
    using x = Tensor.from(gpu, new Float32Array(2 * places).fill(1), [1, height, width, 2]);
    using w = Tensor.zeros(gpu, [1, 1, 1, 2]);
    using dy = Tensor.from(gpu, new Float32Array(2 * places).fill(1), [1, height, width, 2]);
    const { dw } = conv2dBackward(dy, x, w, { groups: 2 }, { dx: false, db: false });
    assertEquals(await dw.read(), Float32Array.of(places, places));
    dw.dispose();
  }
});
