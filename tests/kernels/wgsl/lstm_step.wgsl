// lstm step of lstm 16x8x256x512, subgroup
struct Params {
  m: u32,
  n: u32,
  k: u32,
  a_offset: u32,
  lda: u32,
  b_offset: u32,
  ldb: u32,
  t: u32,
  b_start: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read_write> a: array<vec4f>;
fn a_quad(i: u32) -> vec4f { return a[i]; }
@group(0) @binding(2) var b: texture_storage_2d<rgba32float, read>;
fn b_quad(i: u32) -> vec4f {
  let at = params.b_start + i;
  return textureLoad(b, vec2u(at & 4095u, at >> 12u));
}
@group(0) @binding(3) var<storage, read_write> gates: array<vec4f>;
fn gates_quad(i: u32) -> vec4f { return gates[i]; }
@group(0) @binding(4) var<storage, read_write> cells: array<vec4f>;
fn cells_quad(i: u32) -> vec4f { return cells[i]; }
fn load_a(i: u32, count: u32) -> vec4f { return a_quad(i >> 2u); }
struct Line_a { at: u32, left: u32 }
fn a_line(i: u32, left: u32, first: u32) -> Line_a {
  return Line_a(params.a_offset + i * params.lda + first, left);
}
fn a_load(line: Line_a, k: u32, left: u32) -> vec4f {
  return load_a(line.at + k, left);
}
fn load_b(i: u32, count: u32) -> vec4f { return b_quad(i >> 2u); }
struct Line_b { at: u32, left: u32 }
fn b_line(i: u32, left: u32, first: u32) -> Line_b {
  return Line_b(params.b_offset + first * params.ldb + i, left);
}
fn b_load(line: Line_b, k: u32, left: u32) -> vec4f {
  return load_b(line.at + k * params.ldb, line.left);
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
fn store_a(i: u32, count: u32, v: vec4f) { a[i >> 2u] = v; }
fn load_gates(i: u32, count: u32) -> vec4f { return gates_quad(i >> 2u); }
fn store_gates(i: u32, count: u32, v: vec4f) { gates[i >> 2u] = v; }
fn load_cells(i: u32, count: u32) -> vec4f { return cells_quad(i >> 2u); }
fn store_cells(i: u32, count: u32, v: vec4f) { cells[i >> 2u] = v; }

fn finish_gates(row: u32, unit: u32, af: vec4f, ai: vec4f, ac: vec4f, ao: vec4f) {
  let place = params.t * params.m + row;
  let count = params.n - unit;
  let at = place * params.n + unit;
  let later = at + params.m * params.n;
  let gate = 4u * place * params.n + unit;
  let f = sigmoid_vec4f(af + load_gates(gate, count)); // (L1) (L2)
  let i = sigmoid_vec4f(ai + load_gates(gate + params.n, count));
  let g = tanh_vec4f(ac + load_gates(gate + 2u * params.n, count));
  let o = sigmoid_vec4f(ao + load_gates(gate + 3u * params.n, count));
  let c = f * load_cells(at, count) + i * g; // (L3)
  store_gates(gate, count, f);
  store_gates(gate + params.n, count, i);
  store_gates(gate + 2u * params.n, count, g);
  store_gates(gate + 3u * params.n, count, o);
  store_cells(later, count, c);
  store_a(later, count, o * tanh_vec4f(c)); // (L4)
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.y * 8u;
let column = (group.x * 8u + lane) * 4u;
let first = 0u;
let depth = params.k;
let x0 = a_line(min(row + 0u + lane, params.m - 1u), 1u, first);
let c0 = min(column + 0u, (params.n - 1u) & ~3u);
let y0 = b_line(0u * params.n + c0, params.n - c0, first);
let c1 = min(column + 0u, (params.n - 1u) & ~3u);
let y1 = b_line(1u * params.n + c1, params.n - c1, first);
let c2 = min(column + 0u, (params.n - 1u) & ~3u);
let y2 = b_line(2u * params.n + c2, params.n - c2, first);
let c3 = min(column + 0u, (params.n - 1u) & ~3u);
let y3 = b_line(3u * params.n + c3, params.n - c3, first);
var s0_0 = vec4f();
var s0_1 = vec4f();
var s0_2 = vec4f();
var s0_3 = vec4f();
var s1_0 = vec4f();
var s1_1 = vec4f();
var s1_2 = vec4f();
var s1_3 = vec4f();
var s2_0 = vec4f();
var s2_1 = vec4f();
var s2_2 = vec4f();
var s2_3 = vec4f();
var s3_0 = vec4f();
var s3_1 = vec4f();
var s3_2 = vec4f();
var s3_3 = vec4f();
var s4_0 = vec4f();
var s4_1 = vec4f();
var s4_2 = vec4f();
var s4_3 = vec4f();
var s5_0 = vec4f();
var s5_1 = vec4f();
var s5_2 = vec4f();
var s5_3 = vec4f();
var s6_0 = vec4f();
var s6_1 = vec4f();
var s6_2 = vec4f();
var s6_3 = vec4f();
var s7_0 = vec4f();
var s7_1 = vec4f();
var s7_2 = vec4f();
var s7_3 = vec4f();

for (var k = 0u; k < depth; k += 4u) {
let b0_0 = b_load(y0, k + 0u, 4u);
let b0_1 = b_load(y1, k + 0u, 4u);
let b0_2 = b_load(y2, k + 0u, 4u);
let b0_3 = b_load(y3, k + 0u, 4u);
let b1_0 = b_load(y0, k + 1u, 4u);
let b1_1 = b_load(y1, k + 1u, 4u);
let b1_2 = b_load(y2, k + 1u, 4u);
let b1_3 = b_load(y3, k + 1u, 4u);
let b2_0 = b_load(y0, k + 2u, 4u);
let b2_1 = b_load(y1, k + 2u, 4u);
let b2_2 = b_load(y2, k + 2u, 4u);
let b2_3 = b_load(y3, k + 2u, 4u);
let b3_0 = b_load(y0, k + 3u, 4u);
let b3_1 = b_load(y1, k + 3u, 4u);
let b3_2 = b_load(y2, k + 3u, 4u);
let b3_3 = b_load(y3, k + 3u, 4u);
let a0 = a_load(x0, k, depth - k);
{ let v = subgroupBroadcast(a0.x, 0u); s0_0 += v * b0_0;
s0_1 += v * b0_1;
s0_2 += v * b0_2;
s0_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 0u); s0_0 += v * b1_0;
s0_1 += v * b1_1;
s0_2 += v * b1_2;
s0_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 0u); s0_0 += v * b2_0;
s0_1 += v * b2_1;
s0_2 += v * b2_2;
s0_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 0u); s0_0 += v * b3_0;
s0_1 += v * b3_1;
s0_2 += v * b3_2;
s0_3 += v * b3_3; }
{ let v = subgroupBroadcast(a0.x, 1u); s1_0 += v * b0_0;
s1_1 += v * b0_1;
s1_2 += v * b0_2;
s1_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 1u); s1_0 += v * b1_0;
s1_1 += v * b1_1;
s1_2 += v * b1_2;
s1_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 1u); s1_0 += v * b2_0;
s1_1 += v * b2_1;
s1_2 += v * b2_2;
s1_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 1u); s1_0 += v * b3_0;
s1_1 += v * b3_1;
s1_2 += v * b3_2;
s1_3 += v * b3_3; }
{ let v = subgroupBroadcast(a0.x, 2u); s2_0 += v * b0_0;
s2_1 += v * b0_1;
s2_2 += v * b0_2;
s2_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 2u); s2_0 += v * b1_0;
s2_1 += v * b1_1;
s2_2 += v * b1_2;
s2_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 2u); s2_0 += v * b2_0;
s2_1 += v * b2_1;
s2_2 += v * b2_2;
s2_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 2u); s2_0 += v * b3_0;
s2_1 += v * b3_1;
s2_2 += v * b3_2;
s2_3 += v * b3_3; }
{ let v = subgroupBroadcast(a0.x, 3u); s3_0 += v * b0_0;
s3_1 += v * b0_1;
s3_2 += v * b0_2;
s3_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 3u); s3_0 += v * b1_0;
s3_1 += v * b1_1;
s3_2 += v * b1_2;
s3_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 3u); s3_0 += v * b2_0;
s3_1 += v * b2_1;
s3_2 += v * b2_2;
s3_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 3u); s3_0 += v * b3_0;
s3_1 += v * b3_1;
s3_2 += v * b3_2;
s3_3 += v * b3_3; }
{ let v = subgroupBroadcast(a0.x, 4u); s4_0 += v * b0_0;
s4_1 += v * b0_1;
s4_2 += v * b0_2;
s4_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 4u); s4_0 += v * b1_0;
s4_1 += v * b1_1;
s4_2 += v * b1_2;
s4_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 4u); s4_0 += v * b2_0;
s4_1 += v * b2_1;
s4_2 += v * b2_2;
s4_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 4u); s4_0 += v * b3_0;
s4_1 += v * b3_1;
s4_2 += v * b3_2;
s4_3 += v * b3_3; }
{ let v = subgroupBroadcast(a0.x, 5u); s5_0 += v * b0_0;
s5_1 += v * b0_1;
s5_2 += v * b0_2;
s5_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 5u); s5_0 += v * b1_0;
s5_1 += v * b1_1;
s5_2 += v * b1_2;
s5_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 5u); s5_0 += v * b2_0;
s5_1 += v * b2_1;
s5_2 += v * b2_2;
s5_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 5u); s5_0 += v * b3_0;
s5_1 += v * b3_1;
s5_2 += v * b3_2;
s5_3 += v * b3_3; }
{ let v = subgroupBroadcast(a0.x, 6u); s6_0 += v * b0_0;
s6_1 += v * b0_1;
s6_2 += v * b0_2;
s6_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 6u); s6_0 += v * b1_0;
s6_1 += v * b1_1;
s6_2 += v * b1_2;
s6_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 6u); s6_0 += v * b2_0;
s6_1 += v * b2_1;
s6_2 += v * b2_2;
s6_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 6u); s6_0 += v * b3_0;
s6_1 += v * b3_1;
s6_2 += v * b3_2;
s6_3 += v * b3_3; }
{ let v = subgroupBroadcast(a0.x, 7u); s7_0 += v * b0_0;
s7_1 += v * b0_1;
s7_2 += v * b0_2;
s7_3 += v * b0_3; }
{ let v = subgroupBroadcast(a0.y, 7u); s7_0 += v * b1_0;
s7_1 += v * b1_1;
s7_2 += v * b1_2;
s7_3 += v * b1_3; }
{ let v = subgroupBroadcast(a0.z, 7u); s7_0 += v * b2_0;
s7_1 += v * b2_1;
s7_2 += v * b2_2;
s7_3 += v * b2_3; }
{ let v = subgroupBroadcast(a0.w, 7u); s7_0 += v * b3_0;
s7_1 += v * b3_1;
s7_2 += v * b3_2;
s7_3 += v * b3_3; }
}

let row_end = min(row + 8u, params.m);
for (var at = row; at < row_end; at++) {
let r = at - row;
let v0 = select(select(select(select(select(select(select(s0_0, s1_0, r == 1u), s2_0, r == 2u), s3_0, r == 3u), s4_0, r == 4u), s5_0, r == 5u), s6_0, r == 6u), s7_0, r == 7u);
let v1 = select(select(select(select(select(select(select(s0_1, s1_1, r == 1u), s2_1, r == 2u), s3_1, r == 3u), s4_1, r == 4u), s5_1, r == 5u), s6_1, r == 6u), s7_1, r == 7u);
let v2 = select(select(select(select(select(select(select(s0_2, s1_2, r == 1u), s2_2, r == 2u), s3_2, r == 3u), s4_2, r == 4u), s5_2, r == 5u), s6_2, r == 6u), s7_2, r == 7u);
let v3 = select(select(select(select(select(select(select(s0_3, s1_3, r == 1u), s2_3, r == 2u), s3_3, r == 3u), s4_3, r == 4u), s5_3, r == 5u), s6_3, r == 6u), s7_3, r == 7u);
if (column < params.n) { finish_gates(at, column, v0, v1, v2, v3); }
}
}
