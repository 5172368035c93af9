// matmul NN of matmul 8x512x256, subgroup
struct Params {
  m: u32,
  n: u32,
  k: u32,
  a_offset: u32,
  lda: u32,
  b_offset: u32,
  ldb: u32,
  a_first: u32,
  b_first: u32,
  part: u32,
  a_start: u32,
  b_start: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var a: texture_storage_2d<rgba32float, read>;
fn a_quad(i: u32) -> vec4f {
  let at = params.a_start + i;
  return textureLoad(a, vec2u(at & 4095u, at >> 12u));
}
@group(0) @binding(2) var b: texture_storage_2d<rgba32float, read>;
fn b_quad(i: u32) -> vec4f {
  let at = params.b_start + i;
  return textureLoad(b, vec2u(at & 4095u, at >> 12u));
}
@group(0) @binding(3) var<storage, read> bias: array<vec4f>;
fn bias_quad(i: u32) -> vec4f { return bias[i]; }
@group(0) @binding(4) var<storage, read_write> out: array<vec4f>;
fn out_quad(i: u32) -> vec4f { return out[i]; }
fn load_a(i: u32, count: u32) -> vec4f { return a_quad(i >> 2u); }
struct Line_a { at: u32, left: u32 }
fn a_line(i: u32, left: u32, first: u32) -> Line_a {
  return Line_a(params.a_offset + i * params.lda + first * params.a_first, left);
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
fn store_out(i: u32, count: u32, v: vec4f) { out[i >> 2u] = v; }
fn load_bias(i: u32, count: u32) -> vec4f { return bias_quad(i >> 2u); }

fn finish_quad(row: u32, column: u32, sums: vec4f) {
  let count = params.n - column;
  store_out(row * params.n + column, count, sums);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.y * 8u;
let column = (group.x * 8u + lane) * 8u;
let first = group.z * params.part;
let depth = min(params.part, params.k - first);
let row_of_part = group.z * params.m;
let x0 = a_line(min(row + 0u + lane, params.m - 1u), 1u, first);
let c0 = min(column + 0u, (params.n - 1u) & ~3u);
let y0 = b_line(c0, params.n - c0, first);
let c1 = min(column + 4u, (params.n - 1u) & ~3u);
let y1 = b_line(c1, params.n - c1, first);
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

for (var k = 0u; k < depth; k += 4u) {
let b0_0 = b_load(y0, k + 0u, 4u);
let b0_1 = b_load(y1, k + 0u, 4u);
let b1_0 = b_load(y0, k + 1u, 4u);
let b1_1 = b_load(y1, k + 1u, 4u);
let b2_0 = b_load(y0, k + 2u, 4u);
let b2_1 = b_load(y1, k + 2u, 4u);
let b3_0 = b_load(y0, k + 3u, 4u);
let b3_1 = b_load(y1, k + 3u, 4u);
let a0 = a_load(x0, k, depth - k);
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

let row_end = min(row + 8u, params.m);
for (var at = row; at < row_end; at++) {
let r = at - row;
let v0 = select(select(select(select(select(select(select(s0_0, s1_0, r == 1u), s2_0, r == 2u), s3_0, r == 3u), s4_0, r == 4u), s5_0, r == 5u), s6_0, r == 6u), s7_0, r == 7u);
let v1 = select(select(select(select(select(select(select(s0_1, s1_1, r == 1u), s2_1, r == 2u), s3_1, r == 3u), s4_1, r == 4u), s5_1, r == 5u), s6_1, r == 6u), s7_1, r == 7u);
if (column + 0u < params.n) { finish_quad(at + row_of_part, column + 0u, v0); }
if (column + 4u < params.n) { finish_quad(at + row_of_part, column + 4u, v1); }
}
}
