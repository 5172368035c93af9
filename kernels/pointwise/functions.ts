/** WGSL of the functions that the rows of table.ts are made of, for numbers or quads of them. */
import { activations, type FloatType } from "../activations.ts";

export type { FloatType } from "../activations.ts";

/** Calls of functions as WGSL. */
export interface Shared {
  number(value: number): string;
  choose(condition: string, yes: string, no: string): string;
  exp(x: string): string;
  log(x: string): string;
  sin(x: string): string;
  cos(x: string): string;
  pow(x: string, power: string): string;
  relu(x: string): string;
  /** From the relu's result. */
  reluGradient(dy: string, y: string): string;
  gelu(x: string): string;
  /** The share of a standard normal distribution that lies below x. */
  normalShare(x: string): string;
  sigmoid(x: string): string;
  softplus(x: string): string;
  tanh(x: string): string;
  /** A NaN among the inputs is the result of these three, as in PyTorch. */
  minimum(a: string, b: string): string;
  maximum(a: string, b: string): string;
  clamp(x: string, low: string, high: string): string;
}

/** The calls for numbers of a type. */
export function shared(t: FloatType): Shared {
  const call = (name: string) => (...args: string[]) => `${name}_${t}(${args.join(", ")})`;
  return {
    number: (value) => `${t}(${value.toFixed(1)})`,
    choose: (condition, yes, no) => `select(${no}, ${yes}, ${condition})`,
    exp: call("exp"),
    log: call("log"),
    sin: (x) => `sine_${t}(${x}, 0)`,
    cos: (x) => `sine_${t}(${x}, 2)`,
    pow: call("pow"),
    relu: call("relu"),
    reluGradient: call("relu_gradient"),
    gelu: (x) => `(${x} * normal_share_${t}(${x}))`,
    normalShare: call("normal_share"),
    sigmoid: call("sigmoid"),
    softplus: call("softplus"),
    tanh: call("tanh"),
    minimum: call("minimum"),
    maximum: call("maximum"),
    clamp: call("clamp"),
  };
}

/** A polynomial in x, from the highest power. */
function polynomial(x: string, coefficients: readonly number[]): string {
  return coefficients.slice(1).reduce(
    (sum, next) => `(${sum} * ${x} + ${next})`,
    String(coefficients[0]),
  );
}

// Those of Cephes' logf, erff and erfcf, sinf and cosf.
const LOG = [
  ...[7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1, 1.4249322787e-1],
  ...[-1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1, 3.3333331174e-1],
];
const ERF = [
  ...[7.853861353153693e-5, -8.010193625184903e-4, 5.188327685732524e-3, -2.685381193529856e-2],
  ...[1.128358514861418e-1, -3.761262582423300e-1, 1.128379165726710],
];
const ERFC_NEAR = [
  ...[2.326819970068386e-2, -1.387039388740657e-1, 3.687424674597105e-1, -5.824733027278666e-1],
  ...[6.210004621745983e-1, -4.944515323274145e-1, 3.404879937665872e-1, -2.741127028184656e-1],
  5.638259427386472e-1,
];
const ERFC_FAR = [
  ...[-1.047766399936249e1, 1.297719955372516e1, -7.495518717768503, 2.921019019210786],
  ...[-1.015265279202700, 4.218463358204948e-1, -2.820767439740514e-1, 5.641895067754075e-1],
];
const SIN = [-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1];
const COS = [2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2];

/** The functions behind the calls, and those of activations.ts. What a kernel does not call costs nothing. */
export function functions(t: FloatType): string {
  const [u, i] = t === "f32" ? ["u32", "i32"] : ["vec4u", "vec4i"];
  const truth = t === "f32" ? "bool" : "vec4<bool>";
  return activations(t) + /* wgsl */ `
fn infinite_${t}() -> ${t} {
  var bits = ${u}(0x7f800000u);
  return bitcast<${t}>(bits);
}

fn minimum_${t}(a: ${t}, b: ${t}) -> ${t} {
  return select(select(min(a, b), b, is_nan_${t}(b)), a, is_nan_${t}(a));
}

fn maximum_${t}(a: ${t}, b: ${t}) -> ${t} {
  return select(select(max(a, b), b, is_nan_${t}(b)), a, is_nan_${t}(a));
}

// x = m 2^e with m from √½ to √2, and log x = log m + e ln 2.
fn log_${t}(x: ${t}) -> ${t} {
  let tiny = x < ${t}(1.17549435e-38);
  let bits = bitcast<${i}>(select(x, x * 8388608.0, tiny)); // 2^23
  let e = ((bits >> ${u}(23u)) & ${i}(255)) - select(${i}(126), ${i}(149), tiny);
  let half = bitcast<${t}>((bits & ${i}(0x007fffff)) | ${i}(0x3f000000)); // from ½ to 1
  let low = half < ${t}(0.707106781);
  let m = select(half, 2.0 * half, low) - 1.0;
  let n = ${t}(e) - select(${t}(), ${t}(1.0), low);
  let z = m * m;
  let tail = ${polynomial("m", LOG)} * m * z - 2.12194440e-4 * n - 0.5 * z;
  let y = m + tail + 0.693359375 * n;
  let beyond = select(x, nan_${t}(), x < ${t}()); // infinity and NaN are their own
  let usual = (x > ${t}()) & is_finite_${t}(x);
  return select(select(beyond, -infinite_${t}(), x == ${t}()), y, usual);
}

// |x| to the power, with the sign of x where the power is odd; NaN for a part of a power of a number below 0.
fn pow_${t}(x: ${t}, power: ${t}) -> ${t} {
  let size = exp_${t}(power * log_${t}(abs(x)));
  let is_whole = power == floor(power);
  let odd = is_whole & (power * 0.5 != floor(power * 0.5));
  let signed = select(select(nan_${t}(), size, is_whole), -size, odd);
  let y = select(size, signed, x < ${t}());
  return select(y, ${t}(1.0), (power == ${t}()) | (x == ${t}(1.0)));
}

// The eighth of a turn that x lies in, and how far; \`ahead\` eighths further, 2 for a cosine.
fn sine_${t}(x: ${t}, ahead: i32) -> ${t} {
  let size = abs(x);
  let eighth = ${i}(min(size * 1.27323954473516, ${t}(16777216.0)));
  let even = (eighth + ${i}(1)) & ${i}(-2);
  let n = ${t}(even);
  let r = ((size - n * 0.78515625) - n * 2.4187564849853515625e-4) - n * 3.77489497744594108e-8;
  let z = r * r;
  let s = ${polynomial("z", SIN)} * z * r + r;
  let c = ${polynomial("z", COS)} * z * z - 0.5 * z + 1.0;
  let turned = even + ${i}(ahead);
  let y = select(s, c, (turned & ${i}(2)) != ${i}());
  let below = (turned & ${i}(4)) != ${i}();
  let negative = below != ((x < ${t}()) & ${truth}(ahead == 0));
  let near = select(y, -y, negative);
  // Beyond this the parts of π/4 no longer tell the place; the language's own function is as good as any.
  var far = sin(x);
  if (ahead != 0) { far = cos(x); }
  return select(select(nan_${t}(), far, is_finite_${t}(x)), near, size < ${t}(8192.0));
}

// (1 + erf(x / √2)) / 2, from erfc where that is small, so that no digits are lost.
fn normal_share_${t}(x: ${t}) -> ${t} {
  let at = abs(x) * 0.70710678118;
  let z = at * at;
  let near = 0.5 * ${polynomial("z", ERF)} * at;
  let q = 1.0 / max(at, ${t}(1.0));
  let w = q * q;
  let tail = select(${polynomial("w", ERFC_FAR)}, ${polynomial("w", ERFC_NEAR)}, at < ${t}(2.0));
  let far = 0.5 * exp_${t}(-z) * q * tail;
  let below = x < ${t}();
  let inner = 0.5 + select(near, -near, below);
  let outer = select(1.0 - far, far, below);
  return select(select(outer, inner, at < ${t}(1.0)), x, is_nan_${t}(x));
}
`;
}
