/** The float64 optimizers against PyTorch's. */
import { assertAlmostEquals, assertEquals, assertLess, assertThrows } from "@std/assert";
import { relativeError } from "../../kernels/reference/gradient.ts";
import {
  adamStep,
  clipGradientNorm,
  rmspropStep,
  sgdStep,
} from "../../kernels/reference/optimizers.ts";
import fixture from "../fixtures/optimizers_torch.json" with { type: "json" };

const size = fixture.start.length;
const gradients = fixture.gradients.map((g) => new Float64Array(g));

/** Run all stored gradients through `step` and compare the parameter after each one. */
function compare(
  expected: number[][],
  step: (parameter: Float64Array, gradient: Float64Array) => void,
): void {
  const parameter = new Float64Array(fixture.start);
  for (const [index, gradient] of gradients.entries()) {
    step(parameter, gradient);
    assertLess(relativeError(parameter, expected[index]), 1e-12);
  }
}

Deno.test("sgdStep follows PyTorch's SGD with momentum and weight decay", () => {
  const state = { velocity: new Float64Array(size) };
  const options = { learningRate: 0.1, momentum: 0.9, weightDecay: 0.01 };
  compare(fixture.sgd, (p, g) => sgdStep(p, g, state, options));
});

Deno.test("adamStep follows PyTorch's Adam with bias correction", () => {
  const state = { step: 0, mean: new Float64Array(size), square: new Float64Array(size) };
  const options = { learningRate: 0.1, beta1: 0.8, beta2: 0.95, epsilon: 1e-6, weightDecay: 0.01 };
  compare(fixture.adam, (p, g) => adamStep(p, g, state, options));
  assertEquals(state.step, gradients.length);
});

Deno.test("rmspropStep follows PyTorch's RMSprop", () => {
  const state = { square: new Float64Array(size) };
  const options = { learningRate: 0.1, alpha: 0.9, epsilon: 1e-6, weightDecay: 0.01 };
  compare(fixture.rmsprop, (p, g) => rmspropStep(p, g, state, options));
});

Deno.test("clipGradientNorm scales all gradients by one factor, as PyTorch does", () => {
  const clipped = gradients.map((g) => g.slice());
  assertAlmostEquals(clipGradientNorm(clipped, 0.5), fixture.clipped.norm, 1e-12);
  for (const [index, gradient] of clipped.entries()) {
    assertLess(relativeError(gradient, fixture.clipped.gradients[index]), 1e-12);
  }
});

Deno.test("clipGradientNorm leaves short gradients alone and refuses a bad maxNorm", () => {
  const gradient = new Float64Array([0.3, -0.4]);
  assertAlmostEquals(clipGradientNorm([gradient], 1), 0.5, 1e-15);
  assertEquals(gradient, new Float64Array([0.3, -0.4]));
  assertThrows(() => clipGradientNorm([gradient], 0), RangeError, "maxNorm must be greater than 0");
});
