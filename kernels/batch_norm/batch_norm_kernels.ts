/**
 * The kernels of batch_norm.ts. An invocation owns one element of `x [M, C]`'s rows, a number or where C is a
 * multiple of four a quad, in a chunk of rows. With many channels it owns two, half a cache line apart from
 * those of its neighbours: so eight lanes of a CPU read whole lines, one after the other.
 */
import { activations } from "../activations.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { type Binding, defineKernel, FLAT_MAIN, flatGroups } from "../runtime/kernel.ts";
import { worthMirror } from "../runtime/mirror.ts";
import { element, lines, perShape, readFrom } from "../runtime/wgsl.ts";
import type { Tensor } from "../runtime/tensor.ts";
import { loopTurns, MOST_TURNS } from "../runtime/turns.ts";

/** How a kernel sees the rows of x. */
export interface RowShape {
  /** C is a multiple of four. */
  vec4: boolean;
  /** An invocation owns two quads. */
  pair: boolean;
  /** x is read from a mirror: a training step reads it four times. */
  mirror: boolean;
}

/** How to see the rows of `x [..., C]`, which are read `again` after this or not. */
export function rowShape(x: Tensor, again: boolean): RowShape {
  const channels = x.shape.at(-1)!;
  const vec4 = channels % 4 === 0;
  return { vec4, pair: channels % 64 === 0, mirror: again && vec4 && worthMirror(x) };
}

/** WGSL that reads NAME, which a kernel reads row by row, at `at#` or elsewhere. */
export function at(name: string, { vec4 }: RowShape, place = "at#"): string {
  return vec4 ? `${name}_quad(${place})` : `${name}[${place}]`;
}

/** Parameters of all kernels: how rows are shared out. */
export const PARAMS = {
  rows: "u32",
  columns: "u32",
  chunks: "u32",
  spacing: "u32",
  span: "u32",
  step: "u32",
} as const;

/**
 * WGSL that runs `body` for each row of the invocation's chunk, between `before` and `after`, with a copy of
 * each line for each column: `#` is the number of the column, which starts at `at#` in this row.
 */
export function eachRow({ pair }: RowShape, before: string, body: string, after = ""): string {
  const copies = (code: string) => lines(pair ? 2 : 1, (j) => code.replaceAll("#", String(j)));
  return /* wgsl */ `${FLAT_MAIN}
  let width = params.columns${pair ? " / 2u" : ""};
  let place = i % width;
  let chunk = i / width;
  if (chunk >= params.chunks) { return; }
  let column0 = ${pair ? "place / 8u * 16u + place % 8u" : "place"};
  let column1 = column0 + 8u;
  let first = chunk * params.spacing;
  let end = min(params.rows, first + params.span);
  ${copies(before)}
  for (var row = first; row < end; row += params.step) {
    ${copies(`let at# = row * params.columns + column#;\n${body}`)}
  }
  ${copies(`let to# = chunk * params.columns + column#;\n${after}`)}
}`;
}

/** Parameters and workgroups for rows of which an invocation takes `each`. */
function shareRows(gpu: Gpu, rows: number, channels: number, each: number) {
  const [vec4, pair] = [channels % 4 === 0, channels % 64 === 0];
  const columns = vec4 ? channels / 4 : channels;
  const chunks = Math.ceil(rows / each);
  // A lane of a CPU takes rows that follow each other; on a GPU neighbours read neighbouring rows.
  const places = gpu.path === "subgroup"
    ? { spacing: each, span: each, step: 1 }
    : { spacing: 1, span: rows, step: chunks };
  const invocations = chunks * (pair ? columns / 2 : columns);
  return { params: { rows, columns, chunks, ...places }, groups: flatGroups(invocations) };
}

/** So many sums one invocation adds up soon enough. */
const MOST_CHUNKS = 256;

/** The rows of `x [M, C]` shared out to be summed: into few chunks, whose sums are summed again. */
export function rowsToSum(
  gpu: Gpu,
  rows: number,
  channels: number,
): ReturnType<typeof shareRows> {
  const chunks = Math.min(MOST_CHUNKS, (gpu.path === "subgroup" ? 8192 : 131072) / channels);
  const each = Math.max(8, Math.ceil(rows / Math.max(1, chunks)));
  return shareRows(gpu, rows, channels, Math.min(each, MOST_TURNS - loopTurns(0)));
}

/** The rows of `x [M, C]` shared out to be computed one by one. */
export function rowsToMap(
  gpu: Gpu,
  rows: number,
  channels: number,
): ReturnType<typeof shareRows> {
  return shareRows(gpu, rows, channels, gpu.path === "subgroup" ? 32 : 8);
}

/** Mean and variance: of the batch, side by side in `statistics`, or the running ones. */
function channel({ vec4, training }: { vec4: boolean; training: boolean }) {
  const type: Binding = `read ${element(vec4)}`;
  const bindings: Record<string, Binding> = training
    ? { statistics: type }
    : { running_mean: type, running_var: type };
  const [mean, variance] = training
    ? ["statistics[column#]", "statistics[params.columns + column#]"]
    : ["running_mean[column#]", "running_var[column#]"];
  const read = `let mean# = ${mean};
  let inv_std# = 1.0 / sqrt(${variance} + params.eps);`;
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
      shape,
      `${read}
  let scale# = weight[column#] * inv_std#; let shift# = bias[column#];`,
      // (P7)
      `let v# = (${at("x", shape)} - mean#) * scale# + shift#${
        shape.residual ? " + residual[at#]" : ""
      };
    y[at#] = ${shape.relu ? `relu_${t}(v#)` : "v#"};`,
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
  const open = mask === "x" ? "d# * scale# + shift#" : "y[at#]";
  const bindings: Record<string, Binding> = {
    ...mask === "x" && { bias: `read ${t}` },
    ...mask === "y" && { y: `read ${t}` },
    ...keep && { masked: `write ${t}` },
  };
  const shift = mask === "x" ? "let shift# = bias[column#];" : "";
  // (P5)
  const passed = mask === "none"
    ? at("dy", shape)
    : `relu_gradient_${t}(${at("dy", shape)}, ${open})`;
  const code = mask === "none" ? "" : activations(t);
  return {
    code,
    bindings,
    shift,
    gradient: `let g# = ${passed};${keep ? " masked[at#] = g#;" : ""}`,
  };
}

/** The sums over each chunk of g and of g times the normalised x: dbias and dweight are their sums. */
export const sumsKernel = perShape((_gpu: Gpu, shape: BackwardShape) => {
  const t = element(shape.vec4);
  const { bindings, read } = channel(shape);
  const relu = behindRelu(shape);
  const scale = shape.mask === "x" ? "let scale# = weight[column#] * inv_std#;" : "";
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
      shape,
      `${read} ${scale} ${relu.shift}
  var sum# = ${t}(); var along# = ${t}();`,
      `let d# = ${at("x", shape)} - mean#;
    ${relu.gradient}
    sum# += g#; // (P9)
    along# += g# * d#;`,
      "sums[to#] = sum#; alongs[to#] = along# * inv_std#;",
    ),
  });
});

/**
 * dx. While training, mean and variance depend on x too: with x̂ the normalised x,
 * `dx = scale · (g - mean(g) - x̂ · mean(g · x̂))`; else `dx = scale · g`.
 */
export const backwardKernel = perShape((_gpu: Gpu, shape: BackwardShape) => {
  const { vec4, training, mask } = shape;
  const t = element(vec4);
  const { bindings, read } = channel(shape);
  const relu = behindRelu(shape);
  const means = `let level# = dbias[column#] / f32(params.rows);
  let slope# = dweight[column#] * inv_std# / f32(params.rows);`;
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
      shape,
      `${read}
  let scale# = weight[column#] * inv_std#; ${relu.shift}
  ${training ? means : ""}`,
      `${training || mask === "x" ? `let d# = ${at("x", shape)} - mean#;` : ""}
    ${relu.gradient}
    dx[at#] = scale# * ${training ? "(g# - level# - d# * slope#)" : "g#"}; // (P10) (P11)`,
    ),
  });
});
