/**
 * The kernels of batch_norm.ts. An invocation owns one element of `x [M, C]`'s rows, a number or where C is a
 * multiple of four a quad, in a chunk of rows that follow each other.
 */
import { activations } from "../activations.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { type Binding, defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { worthMirror } from "../runtime/memory/mirror.ts";
import { element, load, perShape, readFrom } from "../runtime/wgsl.ts";
import { sharing } from "../runtime/sharing.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { loopTurns, MOST_TURNS } from "../runtime/turns.ts";

/** How a kernel sees the rows of x. */
export interface RowShape {
  /** C is a multiple of four. */
  vec4: boolean;
  mirror: boolean;
}

/** How to see the rows of `x [..., C]`: while training they are read four times. */
export function rowShape(x: Tensor, training: boolean): RowShape {
  const vec4 = x.shape.at(-1)! % 4 === 0;
  return { vec4, mirror: vec4 && worthMirror(x, training ? 4 : 1) };
}

/** Parameters of all kernels: how rows are shared out. */
export const PARAMS = { rows: "u32", columns: "u32", chunks: "u32", each: "u32" } as const;

/** WGSL that runs `body` for each row of the invocation's chunk, where it owns element `at`, between `before` and `after`. */
export const eachRow = (before: string, body: string, after = "") =>
  /* wgsl */ `${FLAT_MAIN}
  let column = i % params.columns;
  let chunk = i / params.columns;
  if (chunk >= params.chunks) { return; }
  let end = min(params.rows, (chunk + 1u) * params.each);
  ${before}
  for (var row = chunk * params.each; row < end; row++) {
    let at = row * params.columns + column;
    ${body}
  }
  ${after}
}`;

/** Parameters and workgroups for rows of which an invocation takes `each`. */
function shareRows(rows: number, columns: number, each: number) {
  const chunks = Math.ceil(rows / each);
  return { params: { rows, columns, chunks, each }, groups: flatGroups(chunks * columns) };
}

const elements = (channels: number) => channels % 4 === 0 ? channels / 4 : channels;

/** So many sums one invocation adds up soon enough. */
const MOST_CHUNKS = 256;

/** The rows of `x [M, C]` shared out to be summed: into few chunks, whose sums are summed again. */
export function rowsToSum(gpu: Gpu, rows: number, channels: number): ReturnType<typeof shareRows> {
  const columns = elements(channels);
  const chunks = Math.max(1, Math.min(MOST_CHUNKS, sharing(gpu).invocations / columns));
  const each = Math.max(8, Math.ceil(rows / chunks));
  return shareRows(rows, columns, Math.min(each, MOST_TURNS - loopTurns(0)));
}

/** The rows of `x [M, C]` shared out to be computed one by one. */
export function rowsToMap(gpu: Gpu, rows: number, channels: number): ReturnType<typeof shareRows> {
  const columns = elements(channels);
  const each = Math.ceil(rows * columns / sharing(gpu).invocations);
  return shareRows(rows, columns, Math.max(8, Math.min(32, each)));
}

/** Mean and variance: of the batch, side by side in `statistics`, or the running ones. */
function channel({ vec4, training }: { vec4: boolean; training: boolean }) {
  const type: Binding = `read ${element(vec4)}`;
  const bindings: Record<string, Binding> = training
    ? { statistics: type }
    : { running_mean: type, running_var: type };
  const [mean, variance] = training
    ? ["statistics[column]", "statistics[params.columns + column]"]
    : ["running_mean[column]", "running_var[column]"];
  const read = `let mean = ${mean};
  let inv_std = 1.0 / sqrt(${variance} + params.eps);`;
  return { bindings, read };
}

/** What {@linkcode forwardKernel} is made for. */
export interface ForwardShape extends RowShape {
  training: boolean;
  relu: boolean;
  residual: boolean;
}

/** y from x. */
export const forwardKernel = perShape((_gpu: Gpu, shape: ForwardShape) => {
  const t = element(shape.vec4);
  const { bindings, read } = channel(shape);
  return defineKernel({
    name: "batch norm",
    bindings: {
      ...bindings,
      x: readFrom(shape.vec4, shape.mirror),
      weight: `read ${t}`,
      bias: `read ${t}`,
      residual: `read ${t}`,
      y: `write ${t}`,
    },
    params: { ...PARAMS, eps: "f32" },
    code: (shape.relu ? activations(t) : "") + eachRow(
      `${read}
  let scale = weight[column] * inv_std; let shift = bias[column];`,
      // (P7)
      `let v = (${load("x", shape.vec4, "at")} - mean) * scale + shift${
        shape.residual ? " + residual[at]" : ""
      };
    y[at] = ${shape.relu ? `relu_${t}(v)` : "v"};`,
    ),
  });
});

/** What the kernels of the backward pass are made for. */
export interface BackwardShape extends RowShape {
  training: boolean;
  /** How to know what the ReLU let through: there is none, from x and the channel's numbers, or from y. */
  mask: "none" | "x" | "y";
  /** Write the gradient behind the ReLU to `masked`. */
  keep: boolean;
  /** dy is read from a mirror: where both kernels read it. */
  mirrorDy: boolean;
}

/** Bindings and WGSL for `g`, the gradient behind the ReLU; `d` is x's distance from the mean. */
function behindRelu(shape: BackwardShape) {
  const { vec4, mask, keep } = shape;
  const t = element(vec4);
  const open = mask === "x" ? "d * scale + shift" : "y[at]";
  const bindings: Record<string, Binding> = {
    ...mask === "x" && { bias: `read ${t}` },
    ...mask === "y" && { y: `read ${t}` },
    ...keep && { masked: `write ${t}` },
  };
  const shift = mask === "x" ? "let shift = bias[column];" : "";
  // (P5)
  const passed = mask === "none"
    ? load("dy", vec4, "at")
    : `relu_gradient_${t}(${load("dy", vec4, "at")}, ${open})`;
  const code = mask === "none" ? "" : activations(t);
  return {
    code,
    bindings,
    shift,
    gradient: `let g = ${passed};${keep ? " masked[at] = g;" : ""}`,
  };
}

/** The sums over each chunk of g and of g times the normalized x: dbias and dweight are their sums. */
export const sumsKernel = perShape((_gpu: Gpu, shape: BackwardShape) => {
  const t = element(shape.vec4);
  const { bindings, read } = channel(shape);
  const relu = behindRelu(shape);
  const scale = shape.mask === "x" ? "let scale = weight[column] * inv_std;" : "";
  return defineKernel({
    name: "batch norm backward sums",
    bindings: {
      ...bindings,
      ...relu.bindings,
      ...shape.mask === "x" && { weight: `read ${t}` as Binding },
      dy: readFrom(shape.vec4, shape.mirrorDy),
      x: readFrom(shape.vec4, shape.mirror),
      sums: `write ${t}`,
      alongs: `write ${t}`,
    },
    params: { ...PARAMS, eps: "f32" },
    code: relu.code + eachRow(
      `${read} ${scale} ${relu.shift}
  var sum = ${t}(); var along = ${t}();`,
      `let d = ${load("x", shape.vec4, "at")} - mean;
    ${relu.gradient}
    sum += g; // (P9)
    along += g * d;`,
      "sums[i] = sum; alongs[i] = along * inv_std;",
    ),
  });
});

/**
 * dx. While training, mean and variance depend on x too: with x̂ the normalized x,
 * `dx = scale · (g - mean(g) - x̂ · mean(g · x̂))`; else `dx = scale · g`.
 */
export const backwardKernel = perShape((_gpu: Gpu, shape: BackwardShape) => {
  const { vec4, training, mask } = shape;
  const t = element(vec4);
  const { bindings, read } = channel(shape);
  const relu = behindRelu(shape);
  const means = `let level = dbias[column] / f32(params.rows);
  let slope = dweight[column] * inv_std / f32(params.rows);`;
  return defineKernel({
    name: "batch norm backward",
    bindings: {
      ...bindings,
      ...relu.bindings,
      ...training && { dbias: `read ${t}` as Binding, dweight: `read ${t}` as Binding },
      dy: readFrom(shape.vec4, shape.mirrorDy),
      x: readFrom(shape.vec4, shape.mirror),
      weight: `read ${t}`,
      dx: `write ${t}`,
    },
    params: { ...PARAMS, eps: "f32" },
    code: relu.code + eachRow(
      `${read}
  let scale = weight[column] * inv_std; ${relu.shift}
  ${training ? means : ""}`,
      `${training || mask === "x" ? `let d = ${load("x", vec4, "at")} - mean;` : ""}
    ${relu.gradient}
    dx[at] = scale * ${training ? "(g - level - d * slope)" : "g"}; // (P10) (P11)`,
    ),
  });
});
