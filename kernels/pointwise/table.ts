/**
 * The functions of numbers at one position: a row for each, with its value and its derivatives. To add one is to add
 * a row; see docs/adding.md.
 */
import { type FloatType, type Shared, shared } from "./functions.ts";

/** A function of one to three numbers a, b and c, in WGSL for numbers of type `t`. */
export interface Pointwise {
  /** Its value. */
  value: (f: Shared) => string;
  /**
   * For each input, what its gradient is: of a, b, c, the value y and the gradient dy of the value. 0 where none
   * flows back.
   */
  gradients: readonly ((f: Shared) => string)[];
}

const none = (f: Shared) => f.number(0);
/** The gradient of the larger of a and b; where they are equal, each has half of it. */
const share = (larger: "a" | "b") => (f: Shared) => {
  const smaller = larger === "a" ? "b" : "a";
  return f.choose(`${larger} < ${smaller}`, f.number(0), f.choose("a == b", "0.5 * dy", "dy"));
};

/** The functions by name. */
export const POINTWISE = {
  // of one number
  copy: { value: () => "a", gradients: [() => "dy"] },
  neg: { value: () => "-a", gradients: [() => "-dy"] },
  square: { value: () => "a * a", gradients: [() => "2.0 * a * dy"] },
  sqrt: { value: () => "sqrt(a)", gradients: [() => "0.5 * dy / y"] },
  rsqrt: { value: () => "1.0 / sqrt(a)", gradients: [() => "-0.5 * dy * y * y * y"] },
  exp: { value: (f) => f.exp("a"), gradients: [() => "dy * y"] },
  log: { value: (f) => f.log("a"), gradients: [() => "dy / a"] },
  abs: { value: () => "abs(a)", gradients: [() => "dy * sign(a)"] },
  sin: { value: (f) => f.sin("a"), gradients: [(f) => `dy * ${f.cos("a")}`] },
  cos: { value: (f) => f.cos("a"), gradients: [(f) => `-dy * ${f.sin("a")}`] },
  relu: { value: (f) => f.relu("a"), gradients: [(f) => f.reluGradient("dy", "y")] },
  gelu: {
    value: (f) => f.gelu("a"),
    gradients: [
      (f) => `dy * (${f.normalShare("a")} + a * 0.3989422804 * ${f.exp("-0.5 * a * a")})`,
    ],
  },
  silu: {
    value: (f) => `a * ${f.sigmoid("a")}`,
    gradients: [(f) => `dy * ${f.sigmoid("a")} * (1.0 + a * (1.0 - ${f.sigmoid("a")}))`],
  },
  softplus: { value: (f) => f.softplus("a"), gradients: [(f) => `dy * ${f.sigmoid("a")}`] },
  sigmoid: { value: (f) => f.sigmoid("a"), gradients: [() => "dy * (y * (1.0 - y))"] },
  tanh: { value: (f) => f.tanh("a"), gradients: [() => "dy * (1.0 - y * y)"] },
  // of two
  add: { value: () => "a + b", gradients: [() => "dy", () => "dy"] },
  sub: { value: () => "a - b", gradients: [() => "dy", () => "-dy"] },
  mul: { value: () => "a * b", gradients: [() => "dy * b", () => "dy * a"] },
  div: { value: () => "a / b", gradients: [() => "dy / b", () => "-dy * a / (b * b)"] },
  pow: {
    value: (f) => f.pow("a", "b"),
    gradients: [
      (f) => f.choose(`b == ${f.number(0)}`, f.number(0), `dy * b * ${f.pow("a", "b - 1.0")}`),
      // At 0 to a power from 0 on PyTorch lets none through.
      (f) =>
        f.choose(
          `(a == ${f.number(0)}) & (b >= ${f.number(0)})`,
          f.number(0),
          `dy * y * ${f.log("a")}`,
        ),
    ],
  },
  minimum: { value: (f) => f.minimum("a", "b"), gradients: [share("b"), share("a")] },
  maximum: { value: (f) => f.maximum("a", "b"), gradients: [share("a"), share("b")] },
  leakyRelu: {
    value: (f) => f.choose(`a > ${f.number(0)}`, "a", "a * b"),
    gradients: [(f) => f.choose(`a > ${f.number(0)}`, "dy", "dy * b"), none],
  },
  equal: { value: (f) => f.choose("a == b", f.number(1), f.number(0)), gradients: [none, none] },
  less: { value: (f) => f.choose("a < b", f.number(1), f.number(0)), gradients: [none, none] },
  greater: { value: (f) => f.choose("a > b", f.number(1), f.number(0)), gradients: [none, none] },
  // of three
  where: {
    value: (f) => f.choose(`a != ${f.number(0)}`, "b", "c"),
    gradients: [
      none,
      (f) => f.choose(`a != ${f.number(0)}`, "dy", f.number(0)),
      (f) => f.choose(`a != ${f.number(0)}`, f.number(0), "dy"),
    ],
  },
  clamp: {
    value: (f) => f.clamp("a", "b", "c"),
    gradients: [(f) => f.choose("(a >= b) & (a <= c)", "dy", f.number(0)), none, none],
  },
  // parts of gradients
  softmaxGradient: { value: () => "a * (b - c)", gradients: [none, none, none] },
  logSoftmaxGradient: { value: (f) => `b - ${f.exp("a")} * c`, gradients: [none, none, none] },
} as const satisfies Record<string, Pointwise>;

/** The name of a function. */
export type PointwiseName = keyof typeof POINTWISE;

/** Whether a gradient flows back to an input. */
export function flowsTo(name: PointwiseName, input: number): boolean {
  return POINTWISE[name].gradients[input] !== none;
}

/** WGSL of a value or a gradient for numbers of a type. */
export function expression(code: (f: Shared) => string, t: FloatType): string {
  return code(shared(t));
}
