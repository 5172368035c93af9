// matmul NN of matmul 8x512x256, workgroup
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
}
@group(0) @binding(0) var<uniform> params: Params;
@group(0) @binding(1) var<storage, read> a: array<vec4f>;
fn a_quad(i: u32) -> vec4f { return a[i]; }
@group(0) @binding(2) var<storage, read> b: array<vec4f>;
fn b_quad(i: u32) -> vec4f { return b[i]; }
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

var<workgroup> tile_a: array<vec4f, 64>;
var<workgroup> tile_b: array<vec4f, 256>;
@compute @workgroup_size(16, 16)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(local_invocation_id) local: vec3u) {
let thread = local.y * 16u + local.x;
let own = local.y * 1u;
let row = group.y * 16u;
let column = (group.x * 16u + local.x) * 4u;
let first = group.z * params.part;
let depth = min(params.part, params.k - first);
let row_of_part = group.z * params.m;
var s0_0 = vec4f();

for (var k = 0u; k < depth; k += 16u) {
for (var q = thread; q < 64u; q += 256u) {
let r = q / 4u;
let kk = 4u * (q % 4u);
var v = vec4f();
if (k + kk < depth && row + r < params.m) {
  v = a_load(a_line(row + r, 1u, first), k + kk, depth - k - kk);
}
tile_a[(kk + 0u) * 4u + (r >> 2u)][r & 3u] = v.x;
tile_a[(kk + 1u) * 4u + (r >> 2u)][r & 3u] = v.y;
tile_a[(kk + 2u) * 4u + (r >> 2u)][r & 3u] = v.z;
tile_a[(kk + 3u) * 4u + (r >> 2u)][r & 3u] = v.w;
}
for (var q = thread; q < 256u; q += 256u) {
let kk = q / 16u;
let place = q % 16u;
let block = 0u;
let c = (group.x * 16u + place) * 4u;
var v = vec4f();
if (k + kk < depth && c < params.n) { v = b_load(b_line(block + c, params.n - c, first), k + kk, 4u); }
tile_b[q] = v;
}
workgroupBarrier();
for (var kk = 0u; kk < 16u; kk++) {
let b0 = tile_b[kk * 16u + 0u + local.x];

{ let v = tile_a[kk * 4u + ((own + 0u) >> 2u)][(own + 0u) & 3u]; s0_0 += v * b0; }
}
workgroupBarrier();
}

if (row + own + 0u < params.m) {
let at = row + own + 0u;
let to = at + row_of_part;
if (column + 0u < params.n) { finish_quad(to, column + 0u, s0_0); }
}
}
