/** The float64 twins of the vision kernels against central differences. */
import { assertEquals, assertLess } from "@std/assert";
import {
  batchNormBackward,
  batchNormForward,
  type BatchNormInputs,
} from "../../kernels/reference/batch_norm.ts";
import {
  conv2dBackward,
  conv2dForward,
  conv2dOutput,
  type Conv2dShape,
} from "../../kernels/reference/conv2d.ts";
import { extrapolatedGradient } from "../../kernels/reference/gradient.ts";
import {
  gramBackward,
  gramForward,
  squaredDifference,
  totalVariation,
} from "../../kernels/reference/image_losses.ts";
import { dot } from "../../kernels/reference/linear_algebra.ts";
import {
  averagePoolBackward,
  averagePoolForward,
  maxPoolBackward,
  maxPoolForward,
} from "../../kernels/reference/pool2d.ts";
import { normals } from "../kernels/values.ts";
import { relativeError } from "../support.ts";

/** Compare each gradient with differences of `loss`, which reads the values. */
function assertGradients(
  loss: () => number,
  checked: Record<string, { values: Float64Array; analytic: Float64Array }>,
): void {
  for (const [name, { values, analytic }] of Object.entries(checked)) {
    assertLess(relativeError(analytic, extrapolatedGradient(loss, values)), 1e-8, name);
  }
}

/** [N, H, W, Cin, Cout, kh, kw, stride, padding, dilation, groups] and the windows that fit, down and across. */
const CONVOLUTIONS: [number[], [number, number]][] = [
  [[2, 3, 4, 2, 3, 1, 1, 1, 0, 1, 1], [3, 4]],
  [[2, 5, 4, 3, 2, 3, 3, 1, 1, 1, 1], [5, 4]],
  [[1, 7, 6, 2, 2, 3, 3, 2, 0, 1, 1], [3, 2]],
  [[1, 6, 9, 1, 2, 7, 7, 2, 3, 1, 1], [3, 5]],
  [[1, 5, 5, 2, 1, 2, 3, 3, 1, 1, 1], [2, 2]],
  [[2, 7, 6, 3, 2, 3, 2, 2, 1, 2, 1], [3, 3]],
  [[1, 5, 6, 6, 4, 3, 3, 2, 1, 1, 2], [3, 3]],
  [[2, 8, 7, 3, 6, 2, 3, 1, 2, 3, 3], [9, 5]],
];

for (const [sizes, windows] of CONVOLUTIONS) {
  Deno.test(`conv2d's gradients agree with differences at [${sizes}]`, () => {
    const [batch, height, width, inChannels, outChannels, kernelHeight, kernelWidth] = sizes;
    const [stride, padding, dilation, groups] = sizes.slice(7);
    const shape: Conv2dShape = {
      ...{ batch, height, width, inChannels, outChannels },
      ...{ kernelHeight, kernelWidth, stride, padding, dilation, groups },
    };
    assertEquals(conv2dOutput(shape), windows);
    const x = normals("x", batch * height * width * inChannels);
    const w = normals("w", kernelHeight * kernelWidth * inChannels / groups * outChannels);
    const b = normals("b", outChannels);
    const dy = normals("dy", batch * windows[0] * windows[1] * outChannels);
    const got = conv2dBackward(dy, x, w, shape);
    assertGradients(() => dot(dy, conv2dForward(x, w, b, shape)), {
      dx: { values: x, analytic: got.dx },
      dw: { values: w, analytic: got.dw },
      db: { values: b, analytic: got.db },
    });
    const without = conv2dForward(x, w, undefined, shape);
    assertEquals(without, conv2dForward(x, w, new Float64Array(outChannels), shape));
  });
}

Deno.test("conv2d's twin on numbers that can be checked by hand", () => {
  const shape: Conv2dShape = {
    ...{ batch: 1, height: 2, width: 3, inChannels: 1, outChannels: 1 },
    ...{ kernelHeight: 3, kernelWidth: 3, stride: 2, padding: 1 },
  };
  const x = Float64Array.of(1, 2, 3, 4, 5, 6);
  // The window's middle counts 1, its right neighbour 10, the one below 100.
  const w = Float64Array.of(0, 0, 0, 0, 1, 10, 0, 100, 0);
  const y = conv2dForward(x, w, Float64Array.of(0.5), shape);
  assertEquals([...y], [1 + 20 + 400 + 0.5, 3 + 600 + 0.5]);
});

for (const training of [true, false]) {
  for (const relu of [true, false]) {
    const name = training ? "the batch's statistics" : "the running statistics";
    Deno.test(`batch norm's gradients agree with differences, with ${name}, relu ${relu}`, () => {
      const shape = { rows: 7, channels: 3, training, relu, momentum: 0.1, eps: 1e-3 };
      const inputs: BatchNormInputs = {
        x: normals("x", 21),
        weight: normals("weight", 3),
        bias: normals("bias", 3),
        runningMean: normals("mean", 3),
        runningVar: normals("variance", 3).map(Math.abs),
        residual: normals("residual", 21),
      };
      const dy = normals("dy", 21);
      const got = batchNormBackward(dy, inputs, shape);
      assertGradients(() => dot(dy, batchNormForward(inputs, shape).y), {
        dx: { values: inputs.x, analytic: got.dx },
        dweight: { values: inputs.weight, analytic: got.dweight },
        dbias: { values: inputs.bias, analytic: got.dbias },
        dresidual: { values: inputs.residual!, analytic: got.dresidual },
      });
      const { runningMean } = batchNormForward({ ...inputs, residual: undefined }, shape);
      if (!training) assertEquals(runningMean, inputs.runningMean);
    });
  }
}

Deno.test("the poolings' gradients agree with differences", () => {
  const shape = { batch: 2, height: 5, width: 4, channels: 3 };
  const x = normals("x", 120).map((v) => 100 * v); // no two are so close that a step exchanges them
  for (const ceilMode of [false, true]) {
    const pool = { ...shape, kernel: 3, stride: 2, padding: 1, ceilMode };
    const forward = maxPoolForward(x, pool);
    const dy = normals("dy", forward.y.length);
    assertGradients(() => dot(dy, maxPoolForward(x, pool).y), {
      "dx of max": { values: x, analytic: maxPoolBackward(dy, forward, pool) },
    });
  }
  for (const size of [[1, 1], [3, 2], [7, 4]] as [number, number][]) {
    const dy = normals("dy", 6 * size[0] * size[1]);
    assertGradients(() => dot(dy, averagePoolForward(x, { ...shape, size }).y), {
      "dx of average": { values: x, analytic: averagePoolBackward(dy, { ...shape, size }) },
    });
  }
  for (const countPadding of [true, false]) {
    const pool = { ...shape, kernel: 3, stride: 2, padding: 1, ceilMode: true, countPadding };
    const dy = normals("dy", 2 * 3 * 3 * 3);
    assertGradients(() => dot(dy, averagePoolForward(x, pool).y), {
      "dx of average": { values: x, analytic: averagePoolBackward(dy, pool) },
    });
  }
});

Deno.test("the gradients of style transfer's losses agree with differences", () => {
  const [f, b, dg] = [normals("f", 24), normals("b", 24), normals("dg", 16)];
  const picture = [2, 3, 2, 2] as const;
  assertGradients(() => dot(dg, gramForward(f, 6, 4)), {
    gram: { values: f, analytic: gramBackward(dg, f, 6, 4) },
  });
  assertGradients(() => squaredDifference(f, b, 0.3).loss, {
    "squared difference": { values: f, analytic: squaredDifference(f, b, 0.3).gradient },
  });
  assertGradients(() => totalVariation(f, picture, 0.3).loss, {
    "total variation": { values: f, analytic: totalVariation(f, picture, 0.3).gradient },
  });
});
