/**
 * One step of an optimizer over all parameters, which lie in one flat buffer: one dispatch.
 * An invocation updates several quads, a whole stride apart. The formulas are PyTorch's.
 */
import { activations } from "./activations.ts";
import type { Gpu } from "./runtime/gpu.ts";
import { defineKernel, foldGroups } from "./runtime/kernel.ts";
import { expectShape, type Tensor } from "./runtime/tensor.ts";
import { eachOfRows, element, perShape, ROW_PARAMS, shareColumns } from "./runtime/wgsl.ts";

const CLIP = /* wgsl */ `${activations("f32")}
// The factor that brings the gradient's norm down to max_norm; 0 means no limit. Of a NaN it is NaN, so that the whole
// step is, as in PyTorch.
fn clip() -> f32 {
  if (params.max_norm == 0.0) { return 1.0; }
  let squared = squared_norm[0];
  if (is_nan_f32(squared)) { return squared; } // a GPU's comparison may take a NaN for a number
  let factor = params.max_norm / (sqrt(squared) + 1e-6);
  return select(factor, 1.0, factor > 1.0);
}
`;

/** Quads of an invocation: workgroups cost more than turns of a loop. */
const EACH = 8;

/** The whole kernel, from WGSL that updates quad i, with `limit` the factor of {@linkcode CLIP}. */
const forEachQuad = (update: string) =>
  /* wgsl */ `${CLIP}
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let limit = clip();
  let stride = groups.x * groups.y * 64u;
  for (var i = id.y * groups.x * 64u + id.x; i < params.n; i += stride) {${update}  }
}`;

// Subnormal moments become 0: those of rows of a table that rest for long end there, and a CPU is ten times
// slower on them. A second moment only where the first is 0: it may be all that keeps a step small.
const FLUSH = /* wgsl */ `
const SUBNORMAL = vec4f(1.1754944e-38);
fn flush(x: vec4f) -> vec4f { return select(x, vec4f(), abs(x) < SUBNORMAL); }
fn flush_second(v: vec4f, m: vec4f) -> vec4f {
  return select(v, vec4f(), (m == vec4f()) & (v < SUBNORMAL));
}
`;

const COMMON = { n: "u32", lr: "f32", weight_decay: "f32", max_norm: "f32" } as const;

const sgdKernel = defineKernel({
  name: "sgd",
  bindings: {
    gradient: "read vec4f",
    squared_norm: "read f32",
    parameters: "write vec4f",
    velocity: "write vec4f",
  },
  params: { ...COMMON, momentum: "f32", nesterov: "u32" },
  code: forEachQuad(/* wgsl */ `
    let p = parameters[i];
    let g = limit * gradient[i] + params.weight_decay * p;
    let v = params.momentum * velocity[i] + g;
    velocity[i] = v;
    parameters[i] = p - params.lr * select(v, g + params.momentum * v, params.nesterov == 1u);
`),
});

// lr is already divided by 1 - beta1^t; root is 1 / sqrt(1 - beta2^t). 1 - beta comes from float64: in
// float32 it would lose five digits.
const ADAM = {
  beta1: "f32",
  rest1: "f32",
  beta2: "f32",
  rest2: "f32",
  epsilon: "f32",
  root: "f32",
} as const;

const adamKernel = defineKernel({
  name: "adam",
  bindings: {
    gradient: "read vec4f",
    squared_norm: "read f32",
    parameters: "write vec4f",
    mean: "write vec4f",
    square: "write vec4f",
  },
  params: { ...COMMON, ...ADAM, keep: "f32" },
  code: FLUSH + forEachQuad(/* wgsl */ `
    let p = params.keep * parameters[i];
    let g = limit * gradient[i] + params.weight_decay * p;
    let m = flush(params.beta1 * mean[i] + params.rest1 * g);
    let v = flush_second(params.beta2 * square[i] + params.rest2 * g * g, m);
    mean[i] = m;
    square[i] = v;
    parameters[i] = p - params.lr * m / (sqrt(v) * params.root + params.epsilon);
`),
});

// The rows of segments, in numbers or quads.
const adamRowsKernel = perShape((_gpu: Gpu, { vec4 }: { vec4: boolean }) => {
  const t = element(vec4);
  return defineKernel({
    name: "adam of rows",
    bindings: {
      gradient: `read ${t}`,
      segments: "read u32",
      parameters: `write ${t}`,
      mean: `write ${t}`,
      square: `write ${t}`,
    },
    params: { ...ROW_PARAMS, lr: "f32", ...ADAM },
    code: eachOfRows(
      "let begin = segments[2u * row + 1u] * params.width;",
      `let at = begin + column;
    let g = gradient[at];
    let m = params.beta1 * mean[at] + params.rest1 * g;
    let v = params.beta2 * square[at] + params.rest2 * g * g;
    mean[at] = m;
    square[at] = v;
    parameters[at] -= params.lr * m / (sqrt(v) * params.root + params.epsilon);`,
    ),
  });
});

const rmspropKernel = defineKernel({
  name: "rmsprop",
  bindings: {
    gradient: "read vec4f",
    squared_norm: "read f32",
    parameters: "write vec4f",
    square: "write vec4f",
  },
  params: { ...COMMON, alpha: "f32", rest: "f32", epsilon: "f32" },
  code: forEachQuad(/* wgsl */ `
    let p = parameters[i];
    let g = limit * gradient[i] + params.weight_decay * p;
    let v = params.alpha * square[i] + params.rest * g * g;
    square[i] = v;
    parameters[i] = p - params.lr * g / (sqrt(v) + params.epsilon);
`),
});

/** What every optimizer step takes. */
export interface StepSizes {
  /** Learning rate. */
  lr: number;
  /** L2 penalty: this times the parameter is added to its gradient. */
  weightDecay: number;
  /** Largest norm of the whole gradient; 0 for no limit. */
  maxNorm: number;
}

/** Parameters, gradient and the squared norm of the gradient (read only with a limit). */
export interface StepTensors {
  parameters: Tensor;
  gradient: Tensor;
  squaredNorm: Tensor;
}

function common(tensors: StepTensors, sizes: StepSizes) {
  const { parameters, gradient, squaredNorm } = tensors;
  const n = Math.ceil(parameters.size / 4);
  return {
    gpu: parameters.gpu,
    tensors: { parameters, gradient, squared_norm: squaredNorm },
    params: { n, lr: sizes.lr, weight_decay: sizes.weightDecay, max_norm: sizes.maxNorm },
    groups: foldGroups(Math.ceil(n / (64 * EACH))),
  };
}

/** `v = momentum v + g; p -= lr v`, or with `nesterov` `p -= lr (g + momentum v)`. */
export function sgdStep(
  step: StepTensors,
  velocity: Tensor,
  options: StepSizes & { momentum: number; nesterov?: boolean },
): void {
  const { gpu, tensors, params, groups } = common(step, options);
  const { momentum, nesterov = false } = options;
  const all = { ...params, momentum, nesterov: Number(nesterov) };
  sgdKernel.run(gpu, { ...tensors, velocity }, all, groups);
}

/** What Adam needs beside {@linkcode StepSizes}. `t` counts the steps from 1. */
export interface AdamSizes {
  /** β₁ */
  beta1: number;
  /** β₂ */
  beta2: number;
  /** ε */
  epsilon: number;
  /** Steps, this one included. */
  t: number;
}

function adamParams(lr: number, { beta1, beta2, epsilon, t }: AdamSizes) {
  return {
    lr: lr / (1 - beta1 ** t),
    beta1,
    rest1: 1 - beta1,
    beta2,
    rest2: 1 - beta2,
    epsilon,
    root: 1 / Math.sqrt(1 - beta2 ** t),
  };
}

/**
 * `m = β₁ m + (1-β₁) g; v = β₂ v + (1-β₂) g²; p -= lr m̂ / (√v̂ + ε)`, with bias correction for step t ≥ 1. The weight
 * decay of a `decoupled` step is no part of the gradient: it first takes `lr · weightDecay` of the parameter away.
 */
export function adamStep(
  step: StepTensors,
  moments: { mean: Tensor; square: Tensor },
  options: StepSizes & AdamSizes & { decoupled?: boolean },
): void {
  const { lr, weightDecay, decoupled = false } = options;
  const sizes = { ...options, weightDecay: decoupled ? 0 : weightDecay };
  const { gpu, tensors, params, groups } = common(step, sizes);
  const keep = decoupled ? 1 - lr * weightDecay : 1;
  const all = { ...params, ...adamParams(lr, options), keep };
  adamKernel.run(gpu, { ...tensors, ...moments }, all, groups);
}

/**
 * The same for some rows of a table `[V, D]`: those of `segments [S + 1, 2]`. The moments of the other
 * rows rest, as in PyTorch's SparseAdam (which adds ε before the bias correction).
 */
export function adamRowsStep(
  table: { parameters: Tensor; gradient: Tensor; mean: Tensor; square: Tensor },
  rows: { segments: Tensor<"u32">; distinct: number },
  options: { lr: number } & AdamSizes,
): void {
  expectShape(table.parameters, [null, null], "A table [V, D] of a step");
  for (const tensor of [table.gradient, table.mean, table.square]) {
    expectShape(tensor, table.parameters.shape, "A table's gradient or moment [V, D]");
  }
  const width = table.parameters.shape[1];
  const vec4 = width % 4 === 0;
  const { params, groups } = shareColumns(rows.distinct, vec4 ? width / 4 : width);
  const { gpu } = table.parameters;
  const all = { ...params, ...adamParams(options.lr, options) };
  adamRowsKernel(gpu, { vec4 }).run(gpu, { ...table, segments: rows.segments }, all, groups);
}

/** `v = α v + (1-α) g²; p -= lr g / (√v + ε)`. */
export function rmspropStep(
  step: StepTensors,
  square: Tensor,
  options: StepSizes & { alpha: number; epsilon: number },
): void {
  const { gpu, tensors, params, groups } = common(step, options);
  const { alpha, epsilon } = options;
  rmspropKernel.run(
    gpu,
    { ...tensors, square },
    { ...params, alpha, rest: 1 - alpha, epsilon },
    groups,
  );
}
