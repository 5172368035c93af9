/** How the methods of a variable are called for the golden table. */
import type { Tensor } from "../../kernels/runtime/tensor.ts";
import * as losses from "../../models/tape/losses.ts";
import { layerNorm } from "../../models/tape/operations.ts";
import { concat, stack, type Variable, where } from "../../models/tape/variable.ts";
import { type Call, call } from "./context.ts";

/** Methods of one variable, as the options of a case call them. */
function ofOne<P>(run: (x: Variable, p: P) => Variable): Call {
  return call<P>((c) => {
    const x = c.variable("x");
    return c.differentiate("y", run(x, c.p), { x });
  });
}

/** A loss of a variable and a target. */
function ofTarget<P>(run: (x: Variable, t: Tensor, p: P) => Variable): Call {
  return call<P>((c) => {
    const x = c.variable("x");
    return c.differentiate("y", run(x, c.tensor("t"), c.p), { x });
  });
}

function ofTwo(run: (a: Variable, b: Variable) => Variable): Call {
  return call((c) => {
    const [a, b] = [c.variable("a"), c.variable("b")];
    return c.differentiate("y", run(a, b), { a, b });
  });
}

const UNARY = [
  ...["neg", "square", "sqrt", "rsqrt", "exp", "log", "abs", "sin", "cos", "relu"] as const,
  ...["gelu", "silu", "softplus", "sigmoid", "tanh"] as const,
];
const BINARY = ["add", "sub", "mul", "div", "pow", "minimum", "maximum"] as const;
const COMPARED = ["equal", "less", "greater"] as const;

interface Along {
  axes?: number[];
  keepDims?: boolean;
  correction?: number;
}

const along = (name: "sum" | "mean" | "max" | "min" | "variance") =>
  ofOne<Along>((x, { axes, ...options }) => x[name](axes, options));

function ofParts(run: (parts: Variable[], axis: number) => Variable): Call {
  return call<{ shapes: number[][]; axis: number }>((c) => {
    const names = c.p.shapes.map((_, i) => `x${i}`);
    const parts = Object.fromEntries(names.map((name) => [name, c.variable(name)]));
    return c.differentiate("y", run(Object.values(parts), c.p.axis), parts);
  });
}

export const VARIABLE_CALLS: Record<string, Call> = {
  ...Object.fromEntries(
    UNARY.map((name) => [`x.${name}`, ofOne((x) => x[name]())]),
  ),
  ...Object.fromEntries(BINARY.map((name) => [`x.${name}`, ofTwo((a, b) => a[name](b))])),
  ...Object.fromEntries(COMPARED.map((name) => [
    `x.${name}`,
    call((c) => ({ y: c.variable("a")[name](c.variable("b")).tensor })),
  ])),
  "x with a number": ofOne<{ by: "add" | "sub" | "mul" | "div" | "pow" | "square" }>((x, { by }) =>
    ({
      add: () => x.add(2.5),
      sub: () => x.sub(2.5),
      mul: () => x.mul(-2.5),
      div: () => x.div(2.5),
      pow: () => x.pow(3),
      square: () => x.pow(2),
    })[by]()
  ),
  "x.leakyRelu": ofOne<{ slope: number }>((x, { slope }) => x.leakyRelu(slope)),
  "x.clamp": ofOne<{ low: number; high: number }>((x, { low, high }) => x.clamp(low, high)),
  where: call((c) => {
    const [a, b] = [c.variable("a"), c.variable("b")];
    return c.differentiate("y", where(c.tensor("condition"), a, b), { a, b });
  }),
  "x.sum": along("sum"),
  "x.mean": along("mean"),
  "x.max": along("max"),
  "x.min": along("min"),
  "x.variance": along("variance"),
  "x.softmax": ofOne<{ axis: number }>((x, { axis }) => x.softmax(axis)),
  "x.logSoftmax": ofOne<{ axis: number }>((x, { axis }) => x.logSoftmax(axis)),
  "x.matmul": ofTwo((a, b) => a.matmul(b)),
  "x.reshape": ofOne<{ to: number[] }>((x, { to }) => x.reshape(to)),
  "x.transpose": ofOne<{ axes: [number, number] }>((x, { axes }) => x.transpose(...axes)),
  "x.permute": ofOne<{ order: number[] }>((x, { order }) => x.permute(order)),
  "x.slice": ofOne<{ axis: number; start?: number; end?: number; step?: number }>(
    (x, { axis, ...part }) => x.slice(axis, part),
  ),
  "x.expand": ofOne<{ to: number[] }>((x, { to }) => x.expand(to)),
  "x.indexSelect": ofOne<{ axis: number; indices: number[] }>((x, { axis, indices }) =>
    x.indexSelect(axis, indices)
  ),
  "x.gather": ofOne<{ axis: number; indices: number[]; to: number[] }>(
    (x, { axis, indices, to }) => x.gather(axis, indices, to),
  ),
  meanSquaredError: ofTarget((x, t) => losses.meanSquaredError(x, t)),
  meanAbsoluteError: ofTarget((x, t) => losses.meanAbsoluteError(x, t)),
  huberLoss: ofTarget<{ delta: number }>((x, t, { delta }) => losses.huberLoss(x, t, delta)),
  klDivergence: ofTarget((x, t) => losses.klDivergence(x, t)),
  layerNorm: call<{ axes: number }>((c) => {
    const [x, w, b] = [c.variable("x"), c.optionalVariable("w"), c.optionalVariable("b")];
    const y = layerNorm(x, { weight: w, bias: b, axes: c.p.axes });
    return c.differentiate("y", y, { x, w, b });
  }),
  "concat along an axis": ofParts(concat),
  stack: ofParts(stack),
};
