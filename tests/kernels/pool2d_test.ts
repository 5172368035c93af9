/** Max pooling and average pooling on the GPU against their float64 twins, on both kernel paths. */
import { assertEquals, assertThrows } from "@std/assert";
import {
  adaptiveAveragePool2d,
  adaptiveAveragePool2dGradient,
  averagePool2d,
  averagePool2dGradient,
} from "../../kernels/pool/average_pool2d.ts";
import { maxPool2dBackward, maxPool2dForward } from "../../kernels/pool/pool2d.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import * as twin from "../../kernels/reference/pool2d.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import { assertTwin, assertTwinAround, countDispatches, normals, upload } from "./values.ts";
import { GpuError } from "../../kernels/runtime/errors.ts";

type Sizes = [batch: number, height: number, width: number, channels: number];

/** Each with its kernel, stride, padding and ceil mode, and the height and width that PyTorch gives. */
const MAX_POOLS: [Sizes, [number, number, number, boolean], [number, number]][] = [
  [[1, 1, 1, 1], [1, 1, 0, false], [1, 1]],
  [[4, 9, 7, 4], [3, 2, 1, false], [5, 4]], // ResNet's
  [[1, 113, 13, 4], [3, 2, 0, true], [56, 6]], // SqueezeNet's first, on an odd side
  [[1, 55, 6, 3], [3, 2, 0, true], [27, 3]],
  [[1, 54, 12, 5], [3, 2, 0, true], [27, 6]], // a last window that does not fit
  [[2, 54, 5, 8], [3, 2, 0, false], [26, 2]],
  [[2, 6, 7, 64], [2, 2, 0, true], [3, 4]],
  [[2, 5, 8, 66], [2, 2, 1, true], [3, 5]],
  [[1, 8, 9, 3], [3, 1, 1, true], [8, 9]],
  [[1, 9, 10, 4], [2, 3, 0, false], [3, 3]], // pixels between the windows
  [[1, 9, 10, 4], [2, 3, 1, true], [4, 4]],
  [[1, 4, 4, 4], [2, 3, 1, true], [2, 2]], // a window would start in the padding behind
  [[1, 12, 11, 2], [5, 4, 2, true], [4, 4]],
  [[1, 17, 16, 1], [7, 2, 3, false], [9, 8]],
];

for (const [sizes, [kernel, stride, padding, ceilMode], size] of MAX_POOLS) {
  const options = { kernel, stride, padding, ceilMode };
  const name = `max pool at [N, H, W, C] = [${sizes}] with ${JSON.stringify(options)}`;
  gpuTestBothPaths(`${name} agrees with its twin`, async (gpu) => {
    const [batch, height, width, channels] = sizes;
    const values = normals("x", batch * height * width * channels);
    const shape = { batch, height, width, channels, ...options };
    const expected = twin.maxPoolForward(values, shape);
    assertEquals(expected.size, size);
    using x = upload(gpu, values, sizes);
    const run = countDispatches(gpu, () => maxPool2dForward(x, options));
    using forward = run.result;
    assertEquals([run.dispatches, [...forward.y.shape]], [1, [batch, ...size, channels]]);
    assertEquals(await forward.y.read(), Float32Array.from(expected.y)); // picked, not computed

    const dyValues = normals("dy", expected.y.length);
    using dy = upload(gpu, dyValues, [batch, ...size, channels]);
    using dx = Tensor.from(gpu, new Float32Array(values.length).fill(7), sizes);
    const back = countDispatches(gpu, () => maxPool2dBackward(dy, forward, dx));
    assertEquals([back.result, back.dispatches], [dx, 1]);
    await assertTwin(dx, twin.maxPoolBackward(dyValues, expected, shape), "dx", 1e-6);
  });
}

gpuTest("of equal values the first counts, and padding never", async (gpu) => {
  // Two channels of a map of two by two, and the quads of one: all but one value are equal.
  for (const channels of [2, 4]) {
    const values = [-5, -5, -5, -9].flatMap((v) => Array(channels).fill(v));
    using x = Tensor.from(gpu, values, [1, 2, 2, channels]);
    using forward = maxPool2dForward(x, { kernel: 3, stride: 2, padding: 1, ceilMode: true });
    assertEquals(
      await forward.y.read(),
      new Float32Array(4 * channels).fill(-5).fill(-9, 3 * channels),
    );
    using dy = Tensor.from(
      gpu,
      [1, 10, 100, 1000].flatMap((v) => Array(channels).fill(v)),
      forward.y.shape,
    );
    using dx = maxPool2dBackward(dy, forward);
    const expected = [1, 10, 100, 1000].flatMap((v) => Array(channels).fill(v));
    assertEquals(await dx.read(), Float32Array.from(expected));
  }
});

gpuTestBothPaths(
  "a max pool gives NaN where a window holds one, and the lowest numbers",
  async (gpu) => {
    // Windows of three numbers in a row, and the place that PyTorch finds in each: of several NaN the last.
    const windows: [values: [number, number, number], place: number][] = [
      [[1, NaN, 2], 1],
      [[NaN, 5, NaN], 2],
      [[NaN, 1, 2], 0],
      [[-Infinity, -Infinity, -Infinity], 0],
      [[-Infinity, -3.3e38, -Infinity], 1],
      [[-3.3e38, -3.2e38, -3.3e38], 1],
      [[1, Infinity, Infinity], 1],
      [[2, -1, Infinity], 2],
    ];
    for (const channels of [1, 4]) {
      const values = windows.flatMap(([w]) =>
        [0, 1, 2].flatMap((row) => w.map((v) => row === 1 ? v : -Infinity))
      );
      const shape = [windows.length, 3, 3, channels];
      using x = Tensor.from(gpu, values.flatMap((v) => Array(channels).fill(v)), shape);
      using forward = maxPool2dForward(x, { kernel: 3 });
      const y = windows.map(([w, place]) => w[place]);
      assertEquals(
        await forward.y.read(),
        Float32Array.from(y.flatMap((v) => Array(channels).fill(v))),
      );
      using dy = Tensor.from(
        gpu,
        windows.flatMap((_, i) => Array(channels).fill(i + 1)),
        forward.y.shape,
      );
      using dx = maxPool2dBackward(dy, forward);
      // All are -Infinity in the fourth: the first of the window, not of the row, is the largest.
      const expected = windows.flatMap(([, place], i) =>
        Array.from({ length: 9 }, (_, at) => at === (i === 3 ? 0 : 3 + place) ? i + 1 : 0)
      );
      assertEquals([...await dx.read()], expected.flatMap((v) => Array(channels).fill(v)));
    }
  },
);

/** Each with the wanted height and width. */
const AVERAGE_POOLS: [Sizes, [number, number]][] = [
  [[2, 7, 7, 4], [1, 1]],
  [[1, 13, 9, 5], [1, 1]],
  [[3, 5, 7, 64], [3, 2]],
  [[1, 8, 6, 66], [4, 3]],
  [[2, 4, 3, 1], [4, 3]],
  [[1, 2, 3, 4], [5, 7]], // more windows than pixels
  [[1, 1, 1, 3], [1, 2]],
];

for (const [sizes, size] of AVERAGE_POOLS) {
  gpuTestBothPaths(`average pool of [${sizes}] to [${size}] agrees with its twin`, async (gpu) => {
    const [batch, height, width, channels] = sizes;
    const shape = { batch, height, width, channels };
    const values = normals("x", batch * height * width * channels);
    using x = upload(gpu, values, sizes);
    const { result, dispatches } = countDispatches(gpu, () => adaptiveAveragePool2d(x, size));
    using y = result;
    assertEquals([dispatches, [...y.shape]], [1, [batch, ...size, channels]]);
    await assertTwin(y, twin.averagePoolForward(values, { ...shape, size }).y, "y", 1e-6);

    const dyValues = normals("dy", y.size);
    using dy = upload(gpu, dyValues, [batch, ...size, channels]);
    using dx = Tensor.from(gpu, new Float32Array(values.length).fill(7), sizes);
    const back = countDispatches(gpu, () => adaptiveAveragePool2dGradient(dy, dx));
    assertEquals([back.result, back.dispatches], [dx, 1]);
    await assertTwin(dx, twin.averagePoolBackward(dyValues, { ...shape, size }), "dx", 1e-6);
  });
}

/** Maps around the turns that one dispatch takes, with the dispatches of each. */
const LARGE_POOLS: [Sizes, [number, number], dispatches: number][] = [
  [[1, 243, 244, 1], [1, 1], 1],
  [[1, 244, 244, 1], [1, 1], 2],
  [[1, 256, 256, 4], [1, 1], 2],
  [[1, 300, 301, 1], [1, 1], 2],
  [[1, 600, 601, 1], [2, 2], 2],
];

gpuTestBothPaths(
  "average pools of large windows are right, and so are their gradients",
  async (gpu) => {
    for (const [sizes, size, wanted] of LARGE_POOLS) {
      const [batch, height, width, channels] = sizes;
      const values = normals("x", batch * height * width * channels);
      using x = upload(gpu, values, sizes);
      const { result, dispatches } = countDispatches(gpu, () => adaptiveAveragePool2d(x, size));
      using y = result;
      assertEquals(dispatches, wanted);
      const expected = twin.averagePoolForward(values, { batch, height, width, channels, size });
      await assertTwin(y, expected.y, `y of [${sizes}]`, 1e-5);
    }
    // The other way round a pixel lies under many windows.
    for (const [sizes, size, wanted] of LARGE_POOLS) {
      const shape = { batch: 1, height: size[0], width: size[1], channels: sizes[3] };
      const outSize: [number, number] = [sizes[1], sizes[2]];
      const dyValues = normals("dy", sizes.reduce((a, b) => a * b, 1));
      using dy = upload(gpu, dyValues, sizes);
      using dx = Tensor.from(gpu, new Float32Array(size[0] * size[1] * sizes[3]).fill(7), [
        1,
        ...size,
        sizes[3],
      ]);
      const back = countDispatches(gpu, () => adaptiveAveragePool2dGradient(dy, dx));
      assertEquals(back.dispatches, wanted);
      const expected = twin.averagePoolBackward(dyValues, { ...shape, size: outSize });
      await assertTwin(dx, expected, `dx under [${sizes}]`, 1e-5);
    }
  },
);

gpuTest("average pools refuse windows of more lines than can be added up", (gpu) => {
  using x = Tensor.zeros(gpu, [1, 1, 60_001, 1], { name: "long" });
  using dx = Tensor.zeros(gpu, [1, 1, 1, 1]);
  assertThrows(
    () => adaptiveAveragePool2d(x, [1, 1]),
    GpuError,
    'An average pool of "long" of shape [1, 1, 60001, 1] takes loops of 60004 turns',
  );
  assertThrows(() => adaptiveAveragePool2dGradient(x, dx), GpuError, "gradient on");
});

gpuTest("pooling refuses what does not fit", (gpu) => {
  using x = Tensor.zeros(gpu, [1, 4, 5, 2], { name: "map" });
  using matrix = Tensor.zeros(gpu, [4, 5]);
  using empty = Tensor.zeros(gpu, [1, 0, 5, 2]);
  const max = (options: object) => () => maxPool2dForward(x, { kernel: 3, ...options });
  for (const kernel of [0, 1.5, 9, NaN]) {
    const message = `a kernel from 1 to 8, and ${kernel} was given`;
    assertThrows(max({ kernel }), RangeError, message);
  }
  assertThrows(max({ stride: 9 }), RangeError, "a stride from 1 to 8, and 9 was given");
  assertThrows(max({ padding: 2 }), RangeError, "a padding from 0 to 1, and 2 was given");
  assertThrows(
    max({ kernel: 5 }),
    TypeError,
    `No window of 5 by 5 fits into "map" of shape [1, 4,`,
  );
  assertThrows(() => maxPool2dForward(matrix, { kernel: 2 }), TypeError, "x [N, H, W, C]");
  using forward = maxPool2dForward(x, { kernel: 3 });
  assertThrows(() => maxPool2dBackward(x, forward), TypeError, "dy needs the shape [1, 1, 1, 2]");
  assertThrows(
    () => maxPool2dBackward(forward.y, forward, matrix),
    TypeError,
    "dx needs the shape [1, 4, 5, 2]",
  );

  assertThrows(() => adaptiveAveragePool2d(matrix, [1, 1]), TypeError, "x [N, H, W, C]");
  assertThrows(() => adaptiveAveragePool2d(x, [0, 1]), RangeError, "asked for [0, 1] from [4, 5]");
  assertThrows(() => adaptiveAveragePool2d(x, [1, 1.5]), RangeError, "asked for [1, 1.5]");
  assertThrows(() => adaptiveAveragePool2d(empty, [1, 1]), RangeError, "from [0, 5]");
  assertThrows(() => adaptiveAveragePool2dGradient(matrix, x), TypeError, "dy [N, OH, OW, C]");
  assertThrows(() => adaptiveAveragePool2dGradient(x, matrix), TypeError, "dx [N, H, W, C]");
  assertThrows(() => adaptiveAveragePool2dGradient(x, empty), RangeError, "from [0, 5]");
});

/** The options, and the height and width that PyTorch gives. */
const WINDOWS: [Sizes, [number, number, number, boolean], [number, number]][] = [
  ...MAX_POOLS,
  [[1, 1, 1, 3], [2, 1, 1, false], [2, 2]],
  [[2, 11, 13, 4], [9, 2, 4, true], [6, 7]],
  [[1, 3, 5, 6], [4, 3, 0, true], [1, 2]], // more lines than the map has
  [[1, 4, 30, 1], [3, 11, 1, true], [1, 3]],
];

gpuTestBothPaths("average pools of windows of one size agree with their twins", async (gpu) => {
  for (const [sizes, [kernel, stride, padding, ceilMode], size] of WINDOWS) {
    for (const countPadding of [true, false]) {
      const [batch, height, width, channels] = sizes;
      const options = { kernel, stride, padding, ceilMode, countPadding };
      const shape = { batch, height, width, channels, ...options };
      const what = `of [${sizes}] with ${JSON.stringify(options)}`;
      const values = normals("x", batch * height * width * channels);
      using x = upload(gpu, values, sizes);
      const { result, dispatches } = countDispatches(gpu, () => averagePool2d(x, options));
      using y = result;
      assertEquals([dispatches, [...y.shape]], [1, [batch, ...size, channels]], what);
      const expected = twin.averagePoolForward(values, shape);
      assertEquals(expected.size, size);
      await assertTwin(y, expected.y, `y ${what}`, 1e-6);

      const dyValues = normals("dy", y.size);
      using dy = upload(gpu, dyValues, [...y.shape]);
      using dx = Tensor.from(gpu, new Float32Array(values.length).fill(7), sizes);
      const back = countDispatches(gpu, () => averagePool2dGradient(dy, dx, options));
      assertEquals([back.result, back.dispatches], [dx, 1]);
      await assertTwin(dx, twin.averagePoolBackward(dyValues, shape), `dx ${what}`, 1e-6);
    }
  }
});

gpuTestBothPaths("what is not finite stays in the windows over it", async (gpu) => {
  const shape = { batch: 1, height: 6, width: 7, channels: 3 };
  const options = { kernel: 3, stride: 2, padding: 1, ceilMode: true, countPadding: false };
  for (const value of [NaN, Infinity]) {
    const values = normals("x", 126).with(0, value).with(70, value);
    using x = upload(gpu, values, [1, 6, 7, 3]);
    using y = averagePool2d(x, options);
    const expected = twin.averagePoolForward(values, { ...shape, ...options }).y;
    await assertTwinAround(y, expected, `y with ${value}`);
    const dyValues = normals("dy", y.size).with(4, value);
    using dy = upload(gpu, dyValues, [...y.shape]);
    using dx = Tensor.zeros(gpu, [1, 6, 7, 3]);
    averagePool2dGradient(dy, dx, options);
    const gradient = twin.averagePoolBackward(dyValues, { ...shape, ...options });
    await assertTwinAround(dx, gradient, `dx with ${value}`);
  }
});

gpuTest("average pools of windows of one size say what does not fit", (gpu) => {
  using x = Tensor.zeros(gpu, [1, 4, 4, 1], { name: "map" });
  for (const kernel of [0, 1.5, NaN, 65_536]) {
    const wrong = `An average pool takes a kernel from 1 to 65535, and ${kernel} was given`;
    assertThrows(() => averagePool2d(x, { kernel }), RangeError, wrong);
  }
  assertThrows(() => averagePool2d(x, { kernel: 2, stride: 0 }), RangeError, "a stride from 1");
  const wide = "a padding from 0 to 1, and 2 was given";
  assertThrows(() => averagePool2d(x, { kernel: 3, padding: 2 }), RangeError, wide);
  const large = 'No window of 5 by 5 fits into "map" of shape [1, 4, 4, 1] with a padding of 0';
  assertThrows(() => averagePool2d(x, { kernel: 5 }), TypeError, large);
  using flat = Tensor.zeros(gpu, [16]);
  const axes = "An average pool's x [N, H, W, C]";
  assertThrows(() => averagePool2d(flat, { kernel: 2 }), TypeError, axes);
  const dy = "An average pool's gradient dy";
  assertThrows(() => averagePool2dGradient(x, x, { kernel: 2 }), TypeError, dy);
  using huge = Tensor.zeros(gpu, [1, 250, 250, 1]);
  const turns = "take windows of fewer lines and columns";
  assertThrows(() => averagePool2d(huge, { kernel: 250 }), GpuError, turns);
  using ones = Tensor.zeros(gpu, [1, 250, 250, 1]);
  using from = Tensor.zeros(gpu, [1, 499, 499, 1]);
  assertThrows(
    () => averagePool2dGradient(ones, from, { kernel: 250, stride: 1 }),
    GpuError,
    turns,
  );
});
