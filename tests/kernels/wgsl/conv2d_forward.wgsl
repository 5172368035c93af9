// conv2d forward of conv2d 1x4x4x64x64x3x1, subgroup
struct Params {
  m: u32,
  n: u32,
  k: u32,
  grid_h: u32,
  grid_w: u32,
  source_h: u32,
  source_w: u32,
  pitch: u32,
  source_at: u32,
  mul: u32,
  off_y: i32,
  off_x: i32,
  dir: i32,
  taps_y: u32,
  taps_x: u32,
  tap_y: u32,
  tap_x: u32,
  step: u32,
  kernel_w: u32,
  out_h: u32,
  out_w: u32,
  out_pitch: u32,
  out_at: u32,
  spread: u32,
  at_y: u32,
  at_x: u32,
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
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
fn out_quad(i: u32) -> vec4f { return out[i]; }
fn load_a(i: u32, count: u32) -> vec4f { return a_quad(i >> 2u); }

struct Place { n: u32, y: u32, x: u32 }
struct Line_a { place: Place, to: u32 }
fn line_at(p: Place) -> Line_a {
  let y = p.y * params.spread + params.at_y;
  let x = p.x * params.spread + params.at_x;
  return Line_a(p, ((p.n * params.out_h + y) * params.out_w + x) * params.out_pitch + params.out_at);
}
fn a_line(row: u32, left: u32, first: u32) -> Line_a {
  let line = row / params.grid_w;
  return line_at(Place(line / params.grid_h, line % params.grid_h, row % params.grid_w));
}
// The next place: without the divisions, which a CPU does one by one.
fn a_next(line: Line_a, more: bool) -> Line_a {
  let p = line.place;
  let x_ends = p.x + 1u == params.grid_w;
  let y_ends = x_ends && p.y + 1u == params.grid_h;
  let next = line_at(Place(p.n + select(0u, 1u, y_ends),
    select(p.y + select(0u, 1u, x_ends), 0u, y_ends), select(p.x + 1u, 0u, x_ends)));
  if (more) { return next; }
  return line;
}
// What a tap sees: the first number of a place of the source, or nothing outside of it.
struct Seen { at: u32, within: bool }
fn a_tap(line: Line_a, jy: u32, jx: u32) -> Seen {
  let p = line.place;
  let y = p.y * params.mul + u32(params.off_y) + u32(params.dir) * jy;
  let x = p.x * params.mul + u32(params.off_x) + u32(params.dir) * jx;
  let within = y < params.source_h && x < params.source_w;
  let at = ((p.n * params.source_h + y) * params.source_w + x) * params.pitch + params.source_at;
  return Seen(select(0u, at, within), within);
}
fn a_load(seen: Seen, k: u32, left: u32) -> vec4f {
  return select(vec4f(), load_a(seen.at + k, left), seen.within);
}
fn load_b(i: u32, count: u32) -> vec4f { return b_quad(i >> 2u); }

struct Line_b { at: u32, left: u32 }
fn b_line(column: u32, left: u32, first: u32) -> Line_b {
  return Line_b(column, left);
}
fn b_tap(line: Line_b, jy: u32, jx: u32) -> Line_b {
  let tap = (params.tap_y + params.step * jy) * params.kernel_w + params.tap_x + params.step * jx;
  return Line_b(tap * params.k * params.n + line.at, line.left);
}
fn b_load(line: Line_b, k: u32, left: u32) -> vec4f {
  return load_b(line.at + k * params.n, line.left);
}
fn store_out(i: u32, count: u32, v: vec4f) { out[i >> 2u] = v; }

fn finish_quad(to: u32, column: u32, sums: vec4f) {
  let count = params.n - column;
  store_out(to + column, count, sums);
}

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.x * 16u;
let column = (group.y * 8u + lane) * 4u;
let first = 0u;
let depth = params.k;
let x0 = a_line(min(row + 0u + lane, params.m - 1u), 1u, first);
let x1 = a_line(min(row + 8u + lane, params.m - 1u), 1u, first);
let c0 = min(column + 0u, (params.n - 1u) & ~3u);
let y0 = b_line(c0, params.n - c0, first);
var s0_0 = vec4f();
var s1_0 = vec4f();
var s2_0 = vec4f();
var s3_0 = vec4f();
var s4_0 = vec4f();
var s5_0 = vec4f();
var s6_0 = vec4f();
var s7_0 = vec4f();
var s8_0 = vec4f();
var s9_0 = vec4f();
var s10_0 = vec4f();
var s11_0 = vec4f();
var s12_0 = vec4f();
var s13_0 = vec4f();
var s14_0 = vec4f();
var s15_0 = vec4f();
for (var jy = 0u; jy < params.taps_y; jy++) {
for (var jx = 0u; jx < params.taps_x; jx++) {
let x0t = a_tap(x0, jy, jx);
let x1t = a_tap(x1, jy, jx);
let y0t = b_tap(y0, jy, jx);
for (var k = 0u; k < depth; k += 4u) {
let b0_0 = b_load(y0t, k + 0u, 4u);
let b1_0 = b_load(y0t, k + 1u, 4u);
let b2_0 = b_load(y0t, k + 2u, 4u);
let b3_0 = b_load(y0t, k + 3u, 4u);
let a0 = a_load(x0t, k, depth - k);
let a1 = a_load(x1t, k, depth - k);
{ let v = subgroupBroadcast(a0.x, 0u); s0_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 0u); s0_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 0u); s0_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 0u); s0_0 += v * b3_0; }
{ let v = subgroupBroadcast(a0.x, 1u); s1_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 1u); s1_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 1u); s1_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 1u); s1_0 += v * b3_0; }
{ let v = subgroupBroadcast(a0.x, 2u); s2_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 2u); s2_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 2u); s2_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 2u); s2_0 += v * b3_0; }
{ let v = subgroupBroadcast(a0.x, 3u); s3_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 3u); s3_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 3u); s3_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 3u); s3_0 += v * b3_0; }
{ let v = subgroupBroadcast(a0.x, 4u); s4_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 4u); s4_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 4u); s4_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 4u); s4_0 += v * b3_0; }
{ let v = subgroupBroadcast(a0.x, 5u); s5_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 5u); s5_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 5u); s5_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 5u); s5_0 += v * b3_0; }
{ let v = subgroupBroadcast(a0.x, 6u); s6_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 6u); s6_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 6u); s6_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 6u); s6_0 += v * b3_0; }
{ let v = subgroupBroadcast(a0.x, 7u); s7_0 += v * b0_0; }
{ let v = subgroupBroadcast(a0.y, 7u); s7_0 += v * b1_0; }
{ let v = subgroupBroadcast(a0.z, 7u); s7_0 += v * b2_0; }
{ let v = subgroupBroadcast(a0.w, 7u); s7_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 0u); s8_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 0u); s8_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 0u); s8_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 0u); s8_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 1u); s9_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 1u); s9_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 1u); s9_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 1u); s9_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 2u); s10_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 2u); s10_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 2u); s10_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 2u); s10_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 3u); s11_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 3u); s11_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 3u); s11_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 3u); s11_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 4u); s12_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 4u); s12_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 4u); s12_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 4u); s12_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 5u); s13_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 5u); s13_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 5u); s13_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 5u); s13_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 6u); s14_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 6u); s14_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 6u); s14_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 6u); s14_0 += v * b3_0; }
{ let v = subgroupBroadcast(a1.x, 7u); s15_0 += v * b0_0; }
{ let v = subgroupBroadcast(a1.y, 7u); s15_0 += v * b1_0; }
{ let v = subgroupBroadcast(a1.z, 7u); s15_0 += v * b2_0; }
{ let v = subgroupBroadcast(a1.w, 7u); s15_0 += v * b3_0; }
}
}
}
if (row + 0u < params.m) {
let at = subgroupBroadcast(x0.to, 0u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s0_0); }
}
if (row + 1u < params.m) {
let at = subgroupBroadcast(x0.to, 1u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s1_0); }
}
if (row + 2u < params.m) {
let at = subgroupBroadcast(x0.to, 2u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s2_0); }
}
if (row + 3u < params.m) {
let at = subgroupBroadcast(x0.to, 3u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s3_0); }
}
if (row + 4u < params.m) {
let at = subgroupBroadcast(x0.to, 4u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s4_0); }
}
if (row + 5u < params.m) {
let at = subgroupBroadcast(x0.to, 5u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s5_0); }
}
if (row + 6u < params.m) {
let at = subgroupBroadcast(x0.to, 6u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s6_0); }
}
if (row + 7u < params.m) {
let at = subgroupBroadcast(x0.to, 7u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s7_0); }
}
if (row + 8u < params.m) {
let at = subgroupBroadcast(x1.to, 0u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s8_0); }
}
if (row + 9u < params.m) {
let at = subgroupBroadcast(x1.to, 1u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s9_0); }
}
if (row + 10u < params.m) {
let at = subgroupBroadcast(x1.to, 2u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s10_0); }
}
if (row + 11u < params.m) {
let at = subgroupBroadcast(x1.to, 3u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s11_0); }
}
if (row + 12u < params.m) {
let at = subgroupBroadcast(x1.to, 4u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s12_0); }
}
if (row + 13u < params.m) {
let at = subgroupBroadcast(x1.to, 5u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s13_0); }
}
if (row + 14u < params.m) {
let at = subgroupBroadcast(x1.to, 6u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s14_0); }
}
if (row + 15u < params.m) {
let at = subgroupBroadcast(x1.to, 7u);
if (column + 0u < params.n) { finish_quad(at, column + 0u, s15_0); }
}
}
