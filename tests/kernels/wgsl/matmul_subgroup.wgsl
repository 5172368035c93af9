// matmul NN of matmul 8x512x256, subgroup
struct Params {
  m: u32,
  n: u32,
  k: u32,
  a_offset: u32,
  lda: u32,
  b_offset: u32,
  ldb: u32,
  a_start: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var a: texture_storage_2d<rgba32float, read>;
fn a_quad(i: u32) -> vec4f {
  let at = params.a_start + i;
  return textureLoad(a, vec2u(at & 4095u, at >> 12u));
}
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
fn b_quad(i: u32) -> vec4f { return b[i]; }
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
fn bias_quad(i: u32) -> vec4f { return bias[i]; }
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
fn out_quad(i: u32) -> vec4f { return out[i]; }
fn load_a(i: u32, count: u32) -> vec4f { return a_quad(i >> 2u); }
fn load_b(i: u32, count: u32) -> vec4f { return b_quad(i >> 2u); }
fn store_out(i: u32, count: u32, v: vec4f) { out[i >> 2u] = v; }
fn load_bias(i: u32, count: u32) -> vec4f { return bias_quad(i >> 2u); }

fn finish(row: u32, column: u32, v0: vec4f
, v1: vec4f) {
if (column + 0u < params.n) {
  let at = column + 0u;
  let count = params.n - at;
  store_out(row * params.n + at, count, v0);
}
if (column + 4u < params.n) {
  let at = column + 4u;
  let count = params.n - at;
  store_out(row * params.n + at, count, v1);
}
}
var<workgroup> results: array<vec4f, 128>;
fn last_column(block: u32) -> u32 { return params.n - 1u; }
fn clamp_quad(column: u32, block: u32) -> u32 {
  return min(column, (params.n - 1u) & ~3u);
}
@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.y * 8u;
let column = (group.x * 8u + lane) * 8u;
let ra0 = params.a_offset + min(row + 0u + lane, params.m - 1u) * params.lda;
let cb0 = params.b_offset + clamp_quad((column + 0u), 0u);
let cn0 = last_column(0u) + 1u - clamp_quad((column + 0u), 0u);
let cb1 = params.b_offset + clamp_quad((column + 4u), 1u);
let cn1 = last_column(1u) + 1u - clamp_quad((column + 4u), 1u);
var s0_0 = vec4f();
var s0_1 = vec4f();
var s1_0 = vec4f();
var s1_1 = vec4f();
var s2_0 = vec4f();
var s2_1 = vec4f();
var s3_0 = vec4f();
var s3_1 = vec4f();
var s4_0 = vec4f();
var s4_1 = vec4f();
var s5_0 = vec4f();
var s5_1 = vec4f();
var s6_0 = vec4f();
var s6_1 = vec4f();
var s7_0 = vec4f();
var s7_1 = vec4f();
let k_end = params.k;
for (var k = 0u; k < k_end; k += 4u) {
let b0_0 = load_b(cb0 + (k + 0u) * params.ldb, cn0);
let b0_1 = load_b(cb1 + (k + 0u) * params.ldb, cn1);
let b1_0 = load_b(cb0 + (k + 1u) * params.ldb, cn0);
let b1_1 = load_b(cb1 + (k + 1u) * params.ldb, cn1);
let b2_0 = load_b(cb0 + (k + 2u) * params.ldb, cn0);
let b2_1 = load_b(cb1 + (k + 2u) * params.ldb, cn1);
let b3_0 = load_b(cb0 + (k + 3u) * params.ldb, cn0);
let b3_1 = load_b(cb1 + (k + 3u) * params.ldb, cn1);
let a0 = load_a(ra0 + k, params.k - k);
{ let v = subgroupBroadcast(a0.x, 0u); s0_0 += v * b0_0;
s0_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 0u); s0_0 += v * b1_0;
s0_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 0u); s0_0 += v * b2_0;
s0_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 0u); s0_0 += v * b3_0;
s0_1 += v * b3_1; }
{ let v = subgroupBroadcast(a0.x, 1u); s1_0 += v * b0_0;
s1_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 1u); s1_0 += v * b1_0;
s1_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 1u); s1_0 += v * b2_0;
s1_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 1u); s1_0 += v * b3_0;
s1_1 += v * b3_1; }
{ let v = subgroupBroadcast(a0.x, 2u); s2_0 += v * b0_0;
s2_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 2u); s2_0 += v * b1_0;
s2_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 2u); s2_0 += v * b2_0;
s2_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 2u); s2_0 += v * b3_0;
s2_1 += v * b3_1; }
{ let v = subgroupBroadcast(a0.x, 3u); s3_0 += v * b0_0;
s3_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 3u); s3_0 += v * b1_0;
s3_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 3u); s3_0 += v * b2_0;
s3_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 3u); s3_0 += v * b3_0;
s3_1 += v * b3_1; }
{ let v = subgroupBroadcast(a0.x, 4u); s4_0 += v * b0_0;
s4_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 4u); s4_0 += v * b1_0;
s4_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 4u); s4_0 += v * b2_0;
s4_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 4u); s4_0 += v * b3_0;
s4_1 += v * b3_1; }
{ let v = subgroupBroadcast(a0.x, 5u); s5_0 += v * b0_0;
s5_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 5u); s5_0 += v * b1_0;
s5_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 5u); s5_0 += v * b2_0;
s5_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 5u); s5_0 += v * b3_0;
s5_1 += v * b3_1; }
{ let v = subgroupBroadcast(a0.x, 6u); s6_0 += v * b0_0;
s6_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 6u); s6_0 += v * b1_0;
s6_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 6u); s6_0 += v * b2_0;
s6_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 6u); s6_0 += v * b3_0;
s6_1 += v * b3_1; }
{ let v = subgroupBroadcast(a0.x, 7u); s7_0 += v * b0_0;
s7_1 += v * b0_1; }
{ let v = subgroupBroadcast(a0.y, 7u); s7_0 += v * b1_0;
s7_1 += v * b1_1; }
{ let v = subgroupBroadcast(a0.z, 7u); s7_0 += v * b2_0;
s7_1 += v * b2_1; }
{ let v = subgroupBroadcast(a0.w, 7u); s7_0 += v * b3_0;
s7_1 += v * b3_1; }
}

if (column >= params.n) { return; }
results[0u + lane] = s0_0;
results[8u + lane] = s0_1;
results[16u + lane] = s1_0;
results[24u + lane] = s1_1;
results[32u + lane] = s2_0;
results[40u + lane] = s2_1;
results[48u + lane] = s3_0;
results[56u + lane] = s3_1;
results[64u + lane] = s4_0;
results[72u + lane] = s4_1;
results[80u + lane] = s5_0;
results[88u + lane] = s5_1;
results[96u + lane] = s6_0;
results[104u + lane] = s6_1;
results[112u + lane] = s7_0;
results[120u + lane] = s7_1;
let row_end = min(8u, params.m - row);
for (var r = 0u; r < row_end; r++) {
  let at = r * 16u + lane;
  finish(row + r, column, results[at + 0u]
, results[at + 8u]);
}
}
