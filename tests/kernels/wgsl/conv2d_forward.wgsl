// conv2d forward of conv2d 1x4x4x64x64x3x1, subgroup
struct Params {
  m: u32,
  n: u32,
  depth: u32,
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
  source_start: u32,
  w_start: u32,
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var source: texture_storage_2d<rgba32float, read>;
fn source_quad(i: u32) -> vec4f {
  let at = params.source_start + i;
  return textureLoad(source, vec2u(at & 4095u, at >> 12u));
}
@group(0) @binding(2) var w: texture_storage_2d<rgba32float, read>;
fn w_quad(i: u32) -> vec4f {
  let at = params.w_start + i;
  return textureLoad(w, vec2u(at & 4095u, at >> 12u));
}
@group(0) @binding(3) var<storage, read_write> out: array<vec4f>;
fn out_quad(i: u32) -> vec4f { return out[i]; }

struct Place { n: u32, y: u32, x: u32 }
fn place_of(row: u32) -> Place {
  let line = row / params.grid_w;
  return Place(line / params.grid_h, line % params.grid_h, row % params.grid_w);
}
// The first quad of a place in the result.
fn result_quad(p: Place) -> u32 {
  let y = p.y * params.spread + params.at_y;
  let x = p.x * params.spread + params.at_x;
  return (((p.n * params.out_h + y) * params.out_w + x) * params.out_pitch + params.out_at) >> 2u;
}
// Where the taps of a place start in the source; n counts its lines.
fn corner_of(p: Place) -> Place {
  return Place(
    p.n * params.source_h,
    p.y * params.mul + u32(params.off_y),
    p.x * params.mul + u32(params.off_x),
  );
}
// What a tap sees of the source: the first quad, or 0 where that lies outside.
struct Seen { at: u32, within: bool }
fn seen(corner: Place, jy: u32, jx: u32) -> Seen {
  let y = corner.y + u32(params.dir) * jy;
  let x = corner.x + u32(params.dir) * jx;
  let within = y < params.source_h && x < params.source_w;
  let at = (((corner.n + y) * params.source_w + x) * params.pitch + params.source_at) >> 2u;
  return Seen(select(0u, at, within), within);
}
// The first quad of the weights of a tap.
fn tap_quad(jy: u32, jx: u32) -> u32 {
  let tap = (params.tap_y + params.step * jy) * params.kernel_w + params.tap_x + params.step * jx;
  return (tap * params.depth * params.n) >> 2u;
}

fn ending(v: vec4f, column: u32) -> vec4f { return v; }

@compute @workgroup_size(8)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let lane = local.x;
let row = group.x * 16u;
let column = (group.y * 8u + lane) * 8u;
let n4 = params.n >> 2u;
let depth4 = params.depth >> 2u;
let p0 = place_of(min(row + 0u + lane, params.m - 1u));
let q0 = result_quad(p0);
let corner0 = corner_of(p0);
let p1 = place_of(min(row + 8u + lane, params.m - 1u));
let q1 = result_quad(p1);
let corner1 = corner_of(p1);
let cb0 = min(column + 0u, ((params.n - 1u) & ~3u)) >> 2u;
let cb1 = min(column + 4u, ((params.n - 1u) & ~3u)) >> 2u;
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
var s8_0 = vec4f();
var s8_1 = vec4f();
var s9_0 = vec4f();
var s9_1 = vec4f();
var s10_0 = vec4f();
var s10_1 = vec4f();
var s11_0 = vec4f();
var s11_1 = vec4f();
var s12_0 = vec4f();
var s12_1 = vec4f();
var s13_0 = vec4f();
var s13_1 = vec4f();
var s14_0 = vec4f();
var s14_1 = vec4f();
var s15_0 = vec4f();
var s15_1 = vec4f();
for (var jy = 0u; jy < params.taps_y; jy++) {
for (var jx = 0u; jx < params.taps_x; jx++) {
let tap = tap_quad(jy, jx);
let seen0 = seen(corner0, jy, jx);

let seen1 = seen(corner1, jy, jx);

for (var k = 0u; k < depth4; k++) {
let b0_0 = w_quad(tap + (4u * k + 0u) * n4 + cb0);
let b0_1 = w_quad(tap + (4u * k + 0u) * n4 + cb1);
let b1_0 = w_quad(tap + (4u * k + 1u) * n4 + cb0);
let b1_1 = w_quad(tap + (4u * k + 1u) * n4 + cb1);
let b2_0 = w_quad(tap + (4u * k + 2u) * n4 + cb0);
let b2_1 = w_quad(tap + (4u * k + 2u) * n4 + cb1);
let b3_0 = w_quad(tap + (4u * k + 3u) * n4 + cb0);
let b3_1 = w_quad(tap + (4u * k + 3u) * n4 + cb1);
let a0 = select(vec4f(), source_quad(seen0.at + k), seen0.within);
let a1 = select(vec4f(), source_quad(seen1.at + k), seen1.within);
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
{ let v = subgroupBroadcast(a1.x, 0u); s8_0 += v * b0_0;
s8_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 0u); s8_0 += v * b1_0;
s8_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 0u); s8_0 += v * b2_0;
s8_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 0u); s8_0 += v * b3_0;
s8_1 += v * b3_1; }
{ let v = subgroupBroadcast(a1.x, 1u); s9_0 += v * b0_0;
s9_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 1u); s9_0 += v * b1_0;
s9_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 1u); s9_0 += v * b2_0;
s9_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 1u); s9_0 += v * b3_0;
s9_1 += v * b3_1; }
{ let v = subgroupBroadcast(a1.x, 2u); s10_0 += v * b0_0;
s10_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 2u); s10_0 += v * b1_0;
s10_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 2u); s10_0 += v * b2_0;
s10_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 2u); s10_0 += v * b3_0;
s10_1 += v * b3_1; }
{ let v = subgroupBroadcast(a1.x, 3u); s11_0 += v * b0_0;
s11_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 3u); s11_0 += v * b1_0;
s11_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 3u); s11_0 += v * b2_0;
s11_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 3u); s11_0 += v * b3_0;
s11_1 += v * b3_1; }
{ let v = subgroupBroadcast(a1.x, 4u); s12_0 += v * b0_0;
s12_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 4u); s12_0 += v * b1_0;
s12_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 4u); s12_0 += v * b2_0;
s12_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 4u); s12_0 += v * b3_0;
s12_1 += v * b3_1; }
{ let v = subgroupBroadcast(a1.x, 5u); s13_0 += v * b0_0;
s13_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 5u); s13_0 += v * b1_0;
s13_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 5u); s13_0 += v * b2_0;
s13_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 5u); s13_0 += v * b3_0;
s13_1 += v * b3_1; }
{ let v = subgroupBroadcast(a1.x, 6u); s14_0 += v * b0_0;
s14_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 6u); s14_0 += v * b1_0;
s14_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 6u); s14_0 += v * b2_0;
s14_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 6u); s14_0 += v * b3_0;
s14_1 += v * b3_1; }
{ let v = subgroupBroadcast(a1.x, 7u); s15_0 += v * b0_0;
s15_1 += v * b0_1; }
{ let v = subgroupBroadcast(a1.y, 7u); s15_0 += v * b1_0;
s15_1 += v * b1_1; }
{ let v = subgroupBroadcast(a1.z, 7u); s15_0 += v * b2_0;
s15_1 += v * b2_1; }
{ let v = subgroupBroadcast(a1.w, 7u); s15_0 += v * b3_0;
s15_1 += v * b3_1; }
}
}
}
if (column >= params.n) { return; }
if (row + 0u < params.m) {
  let at = subgroupBroadcast(q0, 0u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s0_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s0_1, column + 4u); }
}
if (row + 1u < params.m) {
  let at = subgroupBroadcast(q0, 1u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s1_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s1_1, column + 4u); }
}
if (row + 2u < params.m) {
  let at = subgroupBroadcast(q0, 2u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s2_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s2_1, column + 4u); }
}
if (row + 3u < params.m) {
  let at = subgroupBroadcast(q0, 3u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s3_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s3_1, column + 4u); }
}
if (row + 4u < params.m) {
  let at = subgroupBroadcast(q0, 4u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s4_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s4_1, column + 4u); }
}
if (row + 5u < params.m) {
  let at = subgroupBroadcast(q0, 5u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s5_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s5_1, column + 4u); }
}
if (row + 6u < params.m) {
  let at = subgroupBroadcast(q0, 6u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s6_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s6_1, column + 4u); }
}
if (row + 7u < params.m) {
  let at = subgroupBroadcast(q0, 7u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s7_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s7_1, column + 4u); }
}
if (row + 8u < params.m) {
  let at = subgroupBroadcast(q1, 0u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s8_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s8_1, column + 4u); }
}
if (row + 9u < params.m) {
  let at = subgroupBroadcast(q1, 1u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s9_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s9_1, column + 4u); }
}
if (row + 10u < params.m) {
  let at = subgroupBroadcast(q1, 2u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s10_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s10_1, column + 4u); }
}
if (row + 11u < params.m) {
  let at = subgroupBroadcast(q1, 3u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s11_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s11_1, column + 4u); }
}
if (row + 12u < params.m) {
  let at = subgroupBroadcast(q1, 4u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s12_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s12_1, column + 4u); }
}
if (row + 13u < params.m) {
  let at = subgroupBroadcast(q1, 5u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s13_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s13_1, column + 4u); }
}
if (row + 14u < params.m) {
  let at = subgroupBroadcast(q1, 6u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s14_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s14_1, column + 4u); }
}
if (row + 15u < params.m) {
  let at = subgroupBroadcast(q1, 7u) + (column >> 2u);
  if (column + 0u < params.n) { out[at + 0u] = ending(s15_0, column + 0u); }
if (column + 4u < params.n) { out[at + 1u] = ending(s15_1, column + 4u); }
}
}
