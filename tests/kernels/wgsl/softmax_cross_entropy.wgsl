// softmax cross-entropy of softmax 400x1004, subgroup
struct Params {
  rows: u32,
  columns: u32,
  ignores: u32,
  ignore: u32,
  scale: f32,
  scores_start: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var scores: texture_storage_2d<rgba32float, read>;
fn scores_quad(i: u32) -> vec4f {
  let at = params.scores_start + i;
  return textureLoad(scores, vec2u(at & 4095u, at >> 12u));
}
@group(0) @binding(2) var<storage, read> targets: array<u32>;
@group(0) @binding(3) var<storage, read_write> losses: array<f32>;
@group(0) @binding(4) var<storage, read_write> gradient: array<vec4f>;
fn gradient_quad(i: u32) -> vec4f { return gradient[i]; }

fn is_nan_f32(x: f32) -> bool {
  return (bitcast<u32>(x) & u32(0x7fffffffu)) > u32(0x7f800000u);
}

// A variable, since a constant may not be NaN.
fn nan_f32() -> f32 {
  var bits = u32(0x7fc00000u);
  return bitcast<f32>(bits);
}

fn is_finite_f32(x: f32) -> bool {
  return (bitcast<u32>(x) & u32(0x7f800000u)) != u32(0x7f800000u);
}

fn clamp_f32(x: f32, low: f32, high: f32) -> f32 {
  return select(clamp(x, low, high), x, is_nan_f32(x));
}

// Whole numbers in the order of x: one for 0 and -0, and the largest for NaN.
fn order_f32(x: f32) -> u32 {
  let bits = bitcast<u32>(x);
  let order = select(bits | u32(0x80000000u), ~bits, bits > u32(0x80000000u));
  return select(order, u32(0xffffffffu), is_nan_f32(x));
}

// The bits of -0 to -∞ become those of 0.
fn relu_f32(x: f32) -> f32 {
  return select(x, f32(), (bitcast<u32>(x) - u32(0x80000000u)) <= u32(0x7f800000u));
}

// Of a relu, from x or its result: PyTorch passes on what meets a NaN.
fn relu_gradient_f32(dout: f32, x: f32) -> f32 {
  return select(dout, f32(), bitcast<u32>(relu_f32(x)) == u32(0u));
}

// x = k ln 2 + r with |r| ≤ ln 2 / 2: the polynomial and the two parts of ln 2 are those of Cephes' expf. 2^k
// comes in two factors, so that neither leaves the range of float32 before the result does.
fn exp_f32(x: f32) -> f32 {
  let bounded = clamp(x, f32(-104.0), f32(89.0));
  let k = floor(bounded * 1.44269504 + 0.5);
  let r = (bounded - k * 0.693359375) + k * 2.12194440e-4;
  let tail = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r
    + 1.6666665459e-1) * r + 5.0000001201e-1;
  let y = (tail * (r * r) + r) + 1.0;
  let n = i32(k);
  let half = n / i32(2);
  let first = bitcast<f32>((half + i32(127)) << u32(23u));
  let second = bitcast<f32>((n - half + i32(127)) << u32(23u));
  return select((y * first) * second, x, is_nan_f32(x));
}

// Cephes' odd polynomial near 0; beyond, 1 - 2 / (exp(2 |x|) + 1), which is 1 in float32 from 9.02 on.
fn tanh_f32(x: f32) -> f32 {
  let a = abs(x);
  let z = x * x;
  let near = ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z
    + 1.33314422036e-1) * z - 3.33332819422e-1) * z * x + x;
  let far = 1.0 - 2.0 / (exp_f32(2.0 * a) + 1.0);
  let far_signed = bitcast<f32>(bitcast<u32>(far) | (bitcast<u32>(x) & u32(0x80000000u)));
  return select(select(far_signed, near, a < f32(0.625)), x, is_nan_f32(x));
}

// With e = exp(-|x|), which cannot overflow: 1 / (1 + e), or e / (1 + e) below 0.
fn sigmoid_f32(x: f32) -> f32 {
  let e = exp_f32(-abs(x));
  return select(e, f32(1.0), x >= f32()) / (1.0 + e);
}

// log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|). The second is 2 artanh(s), s = e / (2 + e) ≤ 1/3, by its
// series: exact for a tiny e too, which 1 + e would lose.
fn softplus_f32(x: f32) -> f32 {
  let e = exp_f32(-abs(x));
  let s = e / (2.0 + e);
  let z = s * s;
  let series = (((((z / 13.0 + 1.0 / 11.0) * z + 1.0 / 9.0) * z + 1.0 / 7.0) * z + 0.2) * z + 1.0 / 3.0) * z + 1.0;
  return relu_f32(x) + 2.0 * s * series;
}

fn is_nan_vec4f(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7fffffffu)) > vec4u(0x7f800000u);
}

// A variable, since a constant may not be NaN.
fn nan_vec4f() -> vec4f {
  var bits = vec4u(0x7fc00000u);
  return bitcast<vec4f>(bits);
}

fn is_finite_vec4f(x: vec4f) -> vec4<bool> {
  return (bitcast<vec4u>(x) & vec4u(0x7f800000u)) != vec4u(0x7f800000u);
}

fn clamp_vec4f(x: vec4f, low: vec4f, high: vec4f) -> vec4f {
  return select(clamp(x, low, high), x, is_nan_vec4f(x));
}

// Whole numbers in the order of x: one for 0 and -0, and the largest for NaN.
fn order_vec4f(x: vec4f) -> vec4u {
  let bits = bitcast<vec4u>(x);
  let order = select(bits | vec4u(0x80000000u), ~bits, bits > vec4u(0x80000000u));
  return select(order, vec4u(0xffffffffu), is_nan_vec4f(x));
}

// The bits of -0 to -∞ become those of 0.
fn relu_vec4f(x: vec4f) -> vec4f {
  return select(x, vec4f(), (bitcast<vec4u>(x) - vec4u(0x80000000u)) <= vec4u(0x7f800000u));
}

// Of a relu, from x or its result: PyTorch passes on what meets a NaN.
fn relu_gradient_vec4f(dout: vec4f, x: vec4f) -> vec4f {
  return select(dout, vec4f(), bitcast<vec4u>(relu_vec4f(x)) == vec4u(0u));
}

// x = k ln 2 + r with |r| ≤ ln 2 / 2: the polynomial and the two parts of ln 2 are those of Cephes' expf. 2^k
// comes in two factors, so that neither leaves the range of float32 before the result does.
fn exp_vec4f(x: vec4f) -> vec4f {
  let bounded = clamp(x, vec4f(-104.0), vec4f(89.0));
  let k = floor(bounded * 1.44269504 + 0.5);
  let r = (bounded - k * 0.693359375) + k * 2.12194440e-4;
  let tail = ((((1.9875691500e-4 * r + 1.3981999507e-3) * r + 8.3334519073e-3) * r + 4.1665795894e-2) * r
    + 1.6666665459e-1) * r + 5.0000001201e-1;
  let y = (tail * (r * r) + r) + 1.0;
  let n = vec4i(k);
  let half = n / vec4i(2);
  let first = bitcast<vec4f>((half + vec4i(127)) << vec4u(23u));
  let second = bitcast<vec4f>((n - half + vec4i(127)) << vec4u(23u));
  return select((y * first) * second, x, is_nan_vec4f(x));
}

// Cephes' odd polynomial near 0; beyond, 1 - 2 / (exp(2 |x|) + 1), which is 1 in float32 from 9.02 on.
fn tanh_vec4f(x: vec4f) -> vec4f {
  let a = abs(x);
  let z = x * x;
  let near = ((((-5.70498872745e-3 * z + 2.06390887954e-2) * z - 5.37397155531e-2) * z
    + 1.33314422036e-1) * z - 3.33332819422e-1) * z * x + x;
  let far = 1.0 - 2.0 / (exp_vec4f(2.0 * a) + 1.0);
  let far_signed = bitcast<vec4f>(bitcast<vec4u>(far) | (bitcast<vec4u>(x) & vec4u(0x80000000u)));
  return select(select(far_signed, near, a < vec4f(0.625)), x, is_nan_vec4f(x));
}

// With e = exp(-|x|), which cannot overflow: 1 / (1 + e), or e / (1 + e) below 0.
fn sigmoid_vec4f(x: vec4f) -> vec4f {
  let e = exp_vec4f(-abs(x));
  return select(e, vec4f(1.0), x >= vec4f()) / (1.0 + e);
}

// log(1 + exp(x)) = max(x, 0) + log(1 + e), e = exp(-|x|). The second is 2 artanh(s), s = e / (2 + e) ≤ 1/3, by its
// series: exact for a tiny e too, which 1 + e would lose.
fn softplus_vec4f(x: vec4f) -> vec4f {
  let e = exp_vec4f(-abs(x));
  let s = e / (2.0 + e);
  let z = s * s;
  let series = (((((z / 13.0 + 1.0 / 11.0) * z + 1.0 / 9.0) * z + 1.0 / 7.0) * z + 0.2) * z + 1.0 / 3.0) * z + 1.0;
  return relu_vec4f(x) + 2.0 * s * series;
}

fn better(a: vec2u, b: vec2u) -> vec2u {
  return select(a, b, b.x > a.x || (b.x == a.x && b.y < a.y));
}

fn reduce_max(local: u32, v: f32) -> f32 { return v; }

fn reduce_sum(local: u32, v: f32) -> f32 { return v; }

fn reduce_best(local: u32, v: vec2u) -> vec2u { return v; }

@compute @workgroup_size(16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) groups: vec3u,
        @builtin(local_invocation_id) id: vec3u) {
  let row = (group.y * groups.x + group.x) * 16u + id.x;
  if (row >= params.rows) { return; }
  let local = 0u;
  let first = local;
  const stride = 1u;
  
  let width = params.columns / 4u;
  let start = row * width;
  var tops = scores_quad(start + min(first, width - 1u));
  for (var c = first; c < width; c += stride) {
    tops = max(tops, scores_quad(start + c));
  }
  let top = reduce_max(local, max(max(tops.x, tops.y), max(tops.z, tops.w)));
  var totals = vec4f();
  for (var totals_a = first; totals_a < width; totals_a += 256u * stride) {
    var totals_blocks = vec4f();
    let totals_a_end = min(width, totals_a + 256u * stride);
    for (var totals_b = totals_a; totals_b < totals_a_end; totals_b += 16u * stride) {
      var totals_block = vec4f();
      let totals_b_end = min(width, totals_b + 16u * stride);
      for (var c = totals_b; c < totals_b_end; c += stride) {
        totals_block += exp_vec4f(scores_quad(start + c) - top);
      }
      totals_blocks += totals_block;
    }
    totals += totals_blocks;
  }
  let total = reduce_sum(local, ((totals.x + totals.y) + (totals.z + totals.w)));
  
  let y = targets[row];
  let ignored = params.ignores == 1u && y == params.ignore;
  var weight = select(params.scale, 0.0, ignored);
  if (y >= params.columns && !ignored) { weight = nan_f32(); }
  let at = min(y, params.columns - 1u);
  let factor = weight / total;
  for (var c = first; c < width; c += stride) {
    gradient[start + c] = exp_vec4f(scores_quad(start + c) - top) * factor - select(vec4f(), vec4f(weight), vec4u(4u * c) + vec4u(0u, 1u, 2u, 3u) == vec4u(y)); // (P17)
  }
  // (P16)
  if (local == 0u) { losses[row] = select(weight * (log(total) - (scores_quad(start + (at >> 2u))[at & 3u] - top)), 0.0, ignored); }
}
