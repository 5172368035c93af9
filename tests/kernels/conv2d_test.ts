/** Convolution and its gradients on the GPU against the float64 twin. */
import { assertEquals, assertThrows } from "@std/assert";
import { conv2d, conv2dBackward } from "../../kernels/conv2d/conv2d.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import {
  conv2dBackward as twinBackward,
  conv2dForward as twinForward,
  type Conv2dShape,
} from "../../kernels/reference/conv2d.ts";
import { gpuTest, gpuTestBothPaths } from "../gpu_support.ts";
import {
  assertTwin,
  assertTwinAround,
  countDispatches,
  disposeAll,
  normals,
  upload,
} from "./values.ts";

/** `[N, H, W, Cin, Cout, kernel, stride, padding]` */
type Case = [number, number, number, number, number, number, number, number];

function shapeOf([batch, height, width, inChannels, outChannels, k, stride, padding]: Case) {
  const kernel = { kernelHeight: k, kernelWidth: k };
  return { batch, height, width, inChannels, outChannels, ...kernel, stride, padding };
}

function values(shape: Conv2dShape) {
  const { batch, height, width, inChannels, outChannels, kernelHeight, kernelWidth } = shape;
  const depth = inChannels / (shape.groups ?? 1);
  return {
    x: normals("x", batch * height * width * inChannels),
    w: normals("w", kernelHeight * kernelWidth * depth * outChannels),
    b: normals("b", outChannels),
  };
}

async function check(gpu: Gpu, shape: Conv2dShape): Promise<void> {
  const { batch, height, width, inChannels, outChannels, kernelHeight, kernelWidth } = shape;
  const { x: xv, w: wv, b: bv } = values(shape);
  using x = upload(gpu, xv, [batch, height, width, inChannels]);
  const depth = inChannels / (shape.groups ?? 1);
  using w = upload(gpu, wv, [kernelHeight, kernelWidth, depth, outChannels]);
  using bias = upload(gpu, bv, [outChannels]);
  const what = JSON.stringify(shape);
  using y = conv2d(x, w, { ...shape, bias });
  const expected = twinForward(xv, wv, bv, shape);
  await assertTwin(y, expected, `${what} y`);
  using plain = conv2d(x, w, { ...shape, relu: true });
  await assertTwin(
    plain,
    twinForward(xv, wv, undefined, shape).map((v) => Math.max(v, 0)),
    `${what} y without a bias, with a ReLU`,
  );
  const dyv = normals("dy", y.size);
  using dy = upload(gpu, dyv, [...y.shape]);
  const gradients = conv2dBackward(dy, x, w, shape);
  const twin = twinBackward(dyv, xv, wv, shape);
  await assertTwin(gradients.dx, twin.dx, `${what} dx`);
  await assertTwin(gradients.dw, twin.dw, `${what} dw`);
  await assertTwin(gradients.db, twin.db, `${what} db`);
  disposeAll(gradients);
}

for (const kernel of [1, 2, 3, 5, 7]) {
  gpuTestBothPaths(`conv2d with a kernel of ${kernel} agrees with its twin`, async (gpu) => {
    for (const stride of [1, 2, 3]) {
      for (const padding of [0, 1, 3]) {
        const channels = [4, 3, 12, 6, 8][(stride + padding) % 5];
        await check(gpu, shapeOf([2, 9, 8, channels, 8, kernel, stride, padding]));
      }
    }
  });
}

const ODD: Case[] = [
  [1, 1, 1, 1, 1, 1, 1, 0], // one number
  [1, 7, 7, 5, 3, 7, 1, 0], // one window
  [3, 5, 4, 2, 66, 3, 2, 1], // channels that are no multiple of four, on both sides
  [1, 4, 4, 68, 132, 1, 2, 0], // beyond one tile of columns; places that no window reaches
  [2, 11, 6, 40, 36, 3, 1, 1], // beyond one tile of rows
  [1, 3, 90, 16, 20, 3, 1, 2], // a padding wider than the kernel needs
  [1, 40, 41, 4, 64, 3, 2, 0], // a picture with four channels
  [2, 9, 8, 36, 40, 3, 2, 1], // columns enough for the lanes of a CPU
  [1, 9, 8, 40, 68, 5, 3, 3],
  [1, 20, 21, 28, 32, 3, 1, 1], // just few enough that they share out the places
];

gpuTestBothPaths("conv2d agrees with its twin at sizes off the tiles", async (gpu) => {
  for (const sizes of ODD) await check(gpu, shapeOf(sizes));
});

gpuTestBothPaths("conv2d takes kernels that are not square", async (gpu) => {
  const shape = shapeOf([2, 8, 7, 8, 12, 3, 1, 1]);
  await check(gpu, { ...shape, kernelHeight: 1, kernelWidth: 3 });
  await check(gpu, { ...shape, kernelHeight: 5, kernelWidth: 2, stride: 2 });
  await check(gpu, { ...shape, inChannels: 3, kernelHeight: 2, kernelWidth: 4, padding: 0 });
});

gpuTestBothPaths("conv2d with a dilation agrees with its twin", async (gpu) => {
  for (const [stride, dilation] of [[1, 2], [2, 2], [4, 2], [1, 3], [2, 3], [3, 3]]) {
    for (const [channels, padding] of [[3, 3], [5, 2], [8, 1]]) {
      const sizes: Case = [2, 11, 10, channels, [6, 8][padding % 2], 3, stride, padding];
      await check(gpu, { ...shapeOf(sizes), dilation });
    }
  }
  const shape = shapeOf([1, 9, 12, 4, 5, 2, 2, 2]);
  await check(gpu, { ...shape, kernelWidth: 4, dilation: 3 });
  await check(gpu, { ...shape, kernelHeight: 1, kernelWidth: 1, dilation: 7 });
  await check(gpu, { ...shape, inChannels: 1, padding: 0, dilation: 5 });
  await check(gpu, { ...shape, inChannels: 36, outChannels: 40, dilation: 2 });
});

gpuTestBothPaths("conv2d in groups agrees with its twin", async (gpu) => {
  // [C, K, groups]: depthwise in quads, in numbers, and with two or four results a channel; then groups of channels.
  for (
    const [channels, results, groups] of [
      ...[[8, 8, 8], [5, 5, 5], [3, 6, 3], [4, 16, 4]],
      ...[[8, 8, 2], [6, 9, 3], [12, 4, 4], [10, 14, 2]],
    ]
  ) {
    for (const [kernel, stride, padding, dilation] of [[3, 1, 1, 1], [3, 2, 1, 2], [2, 3, 2, 3]]) {
      const shape = shapeOf([2, 9, 7, channels, results, kernel, stride, padding]);
      await check(gpu, { ...shape, dilation, groups });
    }
  }
  const shape = { ...shapeOf([1, 8, 9, 8, 8, 1, 2, 0]), groups: 8 };
  await check(gpu, { ...shape, kernelHeight: 2, kernelWidth: 5, padding: 3 });
  await check(gpu, { ...shape, kernelHeight: 5, kernelWidth: 1, groups: 4 });
  // Places in several parts, of several pictures.
  await check(gpu, { ...shapeOf([3, 53, 59, 4, 4, 3, 1, 1]), groups: 4 });
  await check(gpu, { ...shapeOf([2, 71, 97, 2, 2, 1, 1, 0]), groups: 2 });
});

gpuTestBothPaths(
  "conv2d splits many places among workgroups, and adds up their sums",
  async (gpu) => {
    await check(gpu, shapeOf([2, 60, 60, 4, 4, 1, 1, 0]));
  },
);

gpuTestBothPaths(
  "conv2d writes to and reads from some channels of a larger tensor",
  async (gpu) => {
    for (
      const [at, total, channels, groups] of [[4, 16, 4, 1], [3, 13, 4, 1], [4, 16, 8, 8], [
        3,
        13,
        8,
        8,
      ], [5, 13, 4, 2]]
    ) {
      const shape = { ...shapeOf([1, 5, 6, channels, 8, 3, 1, 1]), groups };
      const { x: xv, w: wv, b: bv } = values(shape);
      using x = upload(gpu, xv, [1, 5, 6, channels]);
      using w = upload(gpu, wv, [3, 3, channels / groups, 8]);
      using bias = upload(gpu, bv, [8]);
      using out = upload(gpu, new Float64Array(30 * total).fill(7), [1, 5, 6, total]);
      conv2d(x, w, { padding: 1, groups, bias, out, at });
      const y = twinForward(xv, wv, bv, shape);
      const whole = Float64Array.from({ length: 30 * total }, (_, i) => {
        const channel = i % total - at;
        return channel >= 0 && channel < 8 ? y[Math.floor(i / total) * 8 + channel] : 7;
      });
      await assertTwin(out, whole, `y at ${at} of ${total}`);
      const wide = normals("wide", 30 * total);
      using dy = upload(gpu, wide, [1, 5, 6, total]);
      const own = Float64Array.from(
        { length: 240 },
        (_, i) => wide[Math.floor(i / 8) * total + at + i % 8],
      );
      const gradients = conv2dBackward(dy, x, w, { padding: 1, groups, at });
      const twin = twinBackward(own, xv, wv, shape);
      await assertTwin(gradients.dx, twin.dx, `dx at ${at} of ${total}`);
      await assertTwin(gradients.dw, twin.dw, `dw at ${at} of ${total}`);
      await assertTwin(gradients.db, twin.db, `db at ${at} of ${total}`);
      disposeAll(gradients);
    }
  },
);

/** Of each kind of kernel: few columns and many, a picture, channels to be padded, a stride, a dilation, groups. */
const RIMS: Conv2dShape[] = [
  shapeOf([2, 5, 6, 8, 4, 3, 1, 1]),
  shapeOf([2, 5, 6, 8, 132, 3, 1, 1]),
  shapeOf([2, 5, 6, 3, 8, 3, 2, 1]),
  shapeOf([2, 5, 7, 5, 6, 3, 1, 2]),
  shapeOf([3, 6, 5, 36, 40, 3, 2, 1]),
  { ...shapeOf([2, 7, 6, 3, 5, 3, 2, 2]), dilation: 2 },
  { ...shapeOf([2, 5, 6, 8, 8, 3, 2, 1]), groups: 8 },
  { ...shapeOf([2, 7, 5, 6, 9, 3, 1, 2]), groups: 3, dilation: 2 },
];

gpuTestBothPaths(
  "what is not finite reaches the windows over it, and no other rims",
  async (gpu) => {
    for (const shape of RIMS) {
      const { batch, height, width, inChannels, outChannels, groups = 1 } = shape;
      const { x: xv, w: wv, b: bv } = values(shape);
      using w = upload(gpu, wv, [3, 3, inChannels / groups, outChannels]);
      using bias = upload(gpu, bv, [outChannels]);
      // The first and the last number are what reads beyond the picture, and beyond the last block, meet.
      for (const [at, value] of [[0, NaN], [0, Infinity], [xv.length - 1, NaN]]) {
        const what = `${JSON.stringify(shape)} with ${value} at ${at}`;
        const spoilt = xv.with(at, value);
        using x = upload(gpu, spoilt, [batch, height, width, inChannels]);
        using y = conv2d(x, w, { ...shape, bias });
        await assertTwinAround(y, twinForward(spoilt, wv, bv, shape), `${what} of x: y`);
        using rectified = conv2d(x, w, { ...shape, bias, relu: true });
        const expected = twinForward(spoilt, wv, bv, shape).map((v) => v < 0 ? 0 : v);
        await assertTwinAround(rectified, expected, `${what} of x: y with a ReLU`);
        const dyv = normals("dy", y.size);
        using dy = upload(gpu, dyv, [...y.shape]);
        const onWeights = conv2dBackward(dy, x, w, shape, { dx: false, db: false });
        await assertTwinAround(
          onWeights.dw,
          twinBackward(dyv, spoilt, wv, shape).dw,
          `${what} of x: dw`,
        );
        disposeAll(onWeights);
        const spoiltDy = dyv.with(at === 0 ? 0 : dyv.length - 1, value);
        dy.write(spoiltDy);
        const onInput = conv2dBackward(dy, x, w, shape, { dw: false });
        const twin = twinBackward(spoiltDy, xv, wv, shape);
        await assertTwinAround(onInput.dx, twin.dx, `${what} of dy: dx`);
        await assertTwinAround(onInput.db, twin.db, `${what} of dy: db`);
        disposeAll(onInput);
      }
    }
  },
);

gpuTestBothPaths(
  "the gradient on weights of places in several parts stays in its own",
  async (gpu) => {
    // Without a padding: there PyTorch, too, takes 0 times what is not finite for NaN.
    const shape = shapeOf([1, 9, 41, 4, 8, 1, 1, 0]);
    const { x: xv, w: wv } = values(shape);
    const dyv = normals("dy", 9 * 41 * 8).with(9 * 41 * 8 - 1, Infinity);
    using x = upload(gpu, xv, [1, 9, 41, 4]);
    using w = upload(gpu, wv, [1, 1, 4, 8]);
    using dy = upload(gpu, dyv, [1, 9, 41, 8]);
    const got = conv2dBackward(dy, x, w, shape, { dx: false });
    const twin = twinBackward(dyv, xv, wv, shape);
    await assertTwinAround(got.dw, twin.dw, "dw");
    await assertTwinAround(got.db, twin.db, "db");
    disposeAll(got);
  },
);

gpuTest("conv2d is one dispatch, and a gradient that is not wanted none", (gpu) => {
  using x = upload(gpu, normals("x", 8 * 8 * 8), [1, 8, 8, 8]);
  using w = upload(gpu, normals("w", 9 * 8 * 8), [3, 3, 8, 8]);
  const forward = countDispatches(gpu, () => conv2d(x, w, { padding: 1 }));
  assertEquals(forward.dispatches, 1);
  using y = forward.result;
  const none = { dx: false, dw: false, db: false } as const;
  const backward = (targets: Parameters<typeof conv2dBackward>[4]) => {
    const { result, dispatches } = countDispatches(
      gpu,
      () => conv2dBackward(y, x, w, { padding: 1 }, targets),
    );
    disposeAll(result);
    return dispatches;
  };
  assertEquals(backward(none), 0);
  assertEquals(backward({ ...none, dx: undefined! }), 1);
  using each = upload(gpu, normals("w", 9 * 8), [3, 3, 1, 8]);
  const depthwise = { padding: 1, groups: 8 };
  const run = countDispatches(gpu, () => conv2d(x, each, depthwise));
  using _y = run.result;
  const back = countDispatches(gpu, () => conv2dBackward(y, x, each, depthwise, { db: false }));
  disposeAll(back.result);
  assertEquals([run.dispatches, back.dispatches <= 3], [1, true]);
});

gpuTest("conv2d sees weights that changed since its last call", async (gpu) => {
  using x = upload(gpu, [1, 2, 3, 4], [1, 1, 1, 4]);
  using w = upload(gpu, new Float32Array(16).fill(1), [1, 1, 4, 4]);
  using first = conv2d(x, w);
  assertEquals([...await first.read()], [10, 10, 10, 10]);
  w.write(new Float32Array(16).fill(2));
  using second = conv2d(x, w);
  w.clear();
  using third = conv2d(x, w);
  assertEquals([...await second.read()], [20, 20, 20, 20]);
  assertEquals([...await third.read()], [0, 0, 0, 0]);
});

gpuTest("conv2d says what does not fit", (gpu) => {
  using x = Tensor.zeros(gpu, [1, 4, 4, 8]);
  using w = Tensor.zeros(gpu, [3, 3, 8, 4]);
  using large = Tensor.zeros(gpu, [7, 7, 8, 4]);
  using other = Tensor.zeros(gpu, [3, 3, 4, 4]);
  using bias = Tensor.zeros(gpu, [3]);
  assertThrows(() => conv2d(x, other), TypeError, "A convolution's w [kh, kw, C, K]");
  assertThrows(() => conv2d(x, large), TypeError, "A window of 7 does not fit into 4 places");
  assertThrows(() => conv2d(x, w, { bias }), TypeError, "A convolution's bias [K]");
  assertThrows(() => conv2d(x, w, { stride: 0 }), RangeError, "from 1, and 0 was given");
  assertThrows(() => conv2d(x, w, { padding: 0.5 }), RangeError, "from 0, and 0.5 was given");
  for (
    const far of [{ stride: 2 ** 33, padding: 2 ** 32 }, { stride: 2 ** 31 }, { dilation: 2 ** 31 }]
  ) {
    assertThrows(() => conv2d(x, w, far), RangeError, "beyond what 32 bits count");
  }
  for (const dilation of [0, -1, 1.5, NaN]) {
    const wrong = `A dilation is a whole number from 1, and ${dilation} was given`;
    assertThrows(() => conv2d(x, w, { dilation }), RangeError, wrong);
  }
  for (const groups of [0, -2, 0.5, NaN]) {
    const wrong = `A number of groups is a whole number from 1, and ${groups} was given`;
    assertThrows(() => conv2d(x, w, { groups }), RangeError, wrong);
  }
  assertThrows(
    () => conv2d(x, w, { dilation: 2 }),
    TypeError,
    "A window of 3 does not fit into 4 places with a padding of 0 and a dilation of 2",
  );
  assertThrows(
    () => conv2d(x, w, { groups: 3 }),
    TypeError,
    "3 groups do not divide the 8 channels",
  );
  assertThrows(() => conv2d(x, w, { groups: 2 }), TypeError, "w [kh, kw, C / 2, K]");
  using single = Tensor.zeros(gpu, [3, 3, 1, 12], { name: "single" });
  const some = '8 groups do not divide the 12 results of "single"';
  assertThrows(() => conv2d(x, single, { groups: 8 }), TypeError, some);
  assertThrows(
    () => conv2d(x, w, { out: x, padding: 1, at: 6 }),
    RangeError,
    "takes 4 channels from channel 6 on",
  );
  assertThrows(() => conv2dBackward(x, x, w, {}), TypeError, "gradient of a convolution's result");
});
