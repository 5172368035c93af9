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
fn load_b(i: u32, count: u32) -> vec4f { return b_quad(i >> 2u); }

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

fn finish(row: u32, unit: u32, af: vec4f, ai: vec4f, ac: vec4f, ao: vec4f) {
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

var<workgroup> results: array<vec4f, 256>;
fn last_column(block: u32) -> u32 { return (block + 1u) * params.n - 1u; }
fn clamp_quad(column: u32, block: u32) -> u32 {
  return min(column, block * params.n + ((params.n - 1u) & ~3u));
}
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.y * 8u;
let column = (group.x * 8u + lane) * 4u;
let ra0 = params.a_offset + min(row + 0u + lane, params.m - 1u) * params.lda;
let cb0 = params.b_offset + clamp_quad((0u * params.n + column), 0u);
let cn0 = last_column(0u) + 1u - clamp_quad((0u * params.n + column), 0u);
let cb1 = params.b_offset + clamp_quad((1u * params.n + column), 1u);
let cn1 = last_column(1u) + 1u - clamp_quad((1u * params.n + column), 1u);
let cb2 = params.b_offset + clamp_quad((2u * params.n + column), 2u);
let cn2 = last_column(2u) + 1u - clamp_quad((2u * params.n + column), 2u);
let cb3 = params.b_offset + clamp_quad((3u * params.n + column), 3u);
let cn3 = last_column(3u) + 1u - clamp_quad((3u * params.n + column), 3u);
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
let k_end = params.k;
for (var k = 0u; k < k_end; k += 4u) {
let b0_0 = load_b(cb0 + (k + 0u) * params.ldb, cn0);
let b0_1 = load_b(cb1 + (k + 0u) * params.ldb, cn1);
let b0_2 = load_b(cb2 + (k + 0u) * params.ldb, cn2);
let b0_3 = load_b(cb3 + (k + 0u) * params.ldb, cn3);
let b1_0 = load_b(cb0 + (k + 1u) * params.ldb, cn0);
let b1_1 = load_b(cb1 + (k + 1u) * params.ldb, cn1);
let b1_2 = load_b(cb2 + (k + 1u) * params.ldb, cn2);
let b1_3 = load_b(cb3 + (k + 1u) * params.ldb, cn3);
let b2_0 = load_b(cb0 + (k + 2u) * params.ldb, cn0);
let b2_1 = load_b(cb1 + (k + 2u) * params.ldb, cn1);
let b2_2 = load_b(cb2 + (k + 2u) * params.ldb, cn2);
let b2_3 = load_b(cb3 + (k + 2u) * params.ldb, cn3);
let b3_0 = load_b(cb0 + (k + 3u) * params.ldb, cn0);
let b3_1 = load_b(cb1 + (k + 3u) * params.ldb, cn1);
let b3_2 = load_b(cb2 + (k + 3u) * params.ldb, cn2);
let b3_3 = load_b(cb3 + (k + 3u) * params.ldb, cn3);
let a0 = load_a(ra0 + k, params.k - k);
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

if (column >= params.n) { return; }
results[0u + lane] = s0_0;
results[8u + lane] = s0_1;
results[16u + lane] = s0_2;
results[24u + lane] = s0_3;
results[32u + lane] = s1_0;
results[40u + lane] = s1_1;
results[48u + lane] = s1_2;
results[56u + lane] = s1_3;
results[64u + lane] = s2_0;
results[72u + lane] = s2_1;
results[80u + lane] = s2_2;
results[88u + lane] = s2_3;
results[96u + lane] = s3_0;
results[104u + lane] = s3_1;
results[112u + lane] = s3_2;
results[120u + lane] = s3_3;
results[128u + lane] = s4_0;
results[136u + lane] = s4_1;
results[144u + lane] = s4_2;
results[152u + lane] = s4_3;
results[160u + lane] = s5_0;
results[168u + lane] = s5_1;
results[176u + lane] = s5_2;
results[184u + lane] = s5_3;
results[192u + lane] = s6_0;
results[200u + lane] = s6_1;
results[208u + lane] = s6_2;
results[216u + lane] = s6_3;
results[224u + lane] = s7_0;
results[232u + lane] = s7_1;
results[240u + lane] = s7_2;
results[248u + lane] = s7_3;
let row_end = min(8u, params.m - row);
for (var r = 0u; r < row_end; r++) {
  let at = r * 32u + lane;
  finish(row + r, column, results[at + 0u]
, results[at + 8u]
, results[at + 16u]
, results[at + 24u]);
}
}
