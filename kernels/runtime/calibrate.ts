/** How long a software adapter's instructions take, measured on it: {@linkcode calibrate}. */
import { type Costs, STANDARD_COSTS } from "./costs.ts";
import { COMPONENT, lines } from "./wgsl.ts";

/** Quads that are loaded and stored: as many as a product's tiles find in a core's second cache. */
const QUADS = 1 << 14;
/** Quads in a row of the texture. */
const WIDTH = 1 << 12;
/** Each is measured so often, and the least time counts: others may use the machine. */
const TURNS = 3;
/** Nanoseconds that a measurement should take: beside it, what a submit takes is small. */
const LONG = 5e5;

// What the loops of a kernel do in a round.
const ROWS = 8;
const LOADS = 8;
const LOOPS = { multiply: 16 * ROWS, load: LOADS, buffer: LOADS, store: LOADS };
const COPIES = 16;
/** A cost that is so many times below or above the standard one was measured while something else ran. */
const FAR = 20;
/** Rounds of a first, rough measurement, and the most that are taken. */
const FIRST_ROUNDS = 400;
const MOST_ROUNDS = 50_000;
type Loop = keyof typeof LOOPS;

// One kernel for all, since each takes some 50 ms to compile the first time. Round i loads and stores quads `place(r)`.
const code = (lanes: number) => {
  const place = (r: number) => `((${LOADS}u * i + ${r}u) * ${lanes}u + lane) & ${QUADS - 1}u`;
  return /* wgsl */ `
@group(0) @binding(0) var<uniform> counts: vec4u;
@group(0) @binding(1) var copied: texture_storage_2d<rgba32float, read>;
@group(0) @binding(2) var<storage, read_write> buffer: array<vec4f>;
@compute @workgroup_size(${lanes})
fn main(@builtin(local_invocation_id) local: vec3u) {
  let lane = local.x;
  ${lines(ROWS, (r) => `var s${r} = vec4f();`)}
  var b = vec4f(f32(lane));
  for (var i = 0u; i < counts.x; i++) {
    let a = b + f32(i);
    ${lines(4, (k) => `let b${k} = b * f32(i + ${k}u);`)}
    ${
    lines(ROWS, (r) =>
      lines(4, (k) =>
        `s${r} += subgroupBroadcast(a.${COMPONENT[k]}, ${r % lanes}u) * b${k};`))
  }
  }
  for (var i = 0u; i < counts.y; i++) {
    ${
    lines(LOADS, (r) =>
      `{ let at = ${place(r)};
    s${r} += textureLoad(copied, vec2u(at & ${WIDTH - 1}u, at / ${WIDTH}u)); }`)
  }
  }
  for (var i = 0u; i < counts.z; i++) {
    ${lines(LOADS, (r) => `s${r} += buffer[${place(r)}];`)}
  }
  for (var i = 0u; i < counts.w; i++) {
    ${lines(LOADS, (r) => `buffer[${place(r)}] = s${r} + f32(i);`)}
  }
  buffer[lane] = ${lines(ROWS, (r) => `s${r}`, " + ")};
}`;
};

/**
 * The costs of a software adapter with subgroups of `lanes` lanes: in about 20 ms, and once some 150 ms more to compile
 * the kernel. `wait` returns when all that was submitted is done.
 */
export function calibrate(device: GPUDevice, lanes: number, wait: () => void): Costs {
  const buffer = device.createBuffer({
    size: 16 * QUADS,
    usage: GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC,
  });
  const texture = device.createTexture({
    size: [WIDTH, QUADS / WIDTH],
    format: "rgba32float",
    usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
  });
  const counts = device.createBuffer({
    size: 16,
    usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
  });
  const pipeline = device.createComputePipeline({
    layout: "auto",
    compute: { module: device.createShaderModule({ code: code(lanes) }) },
  });
  const bindGroup = device.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: [
      { binding: 0, resource: { buffer: counts } },
      { binding: 1, resource: texture.createView() },
      { binding: 2, resource: { buffer } },
    ],
  });
  const names = Object.keys(LOOPS) as Loop[];
  /** Nanoseconds of some rounds of one loop, and of copies. */
  const time = (loop: Loop, rounds: number, copies = 0) => {
    device.queue.writeBuffer(
      counts,
      0,
      Uint32Array.from(names, (name) => name === loop ? rounds : 0),
    );
    const encoder = device.createCommandEncoder();
    for (let i = 0; i < copies; i++) {
      const size = [WIDTH, QUADS / WIDTH];
      encoder.copyBufferToTexture({ buffer, bytesPerRow: 16 * WIDTH }, { texture }, size);
    }
    const pass = encoder.beginComputePass();
    pass.setPipeline(pipeline);
    pass.setBindGroup(0, bindGroup);
    pass.dispatchWorkgroups(1);
    pass.end();
    const start = performance.now();
    device.queue.submit([encoder.finish()]);
    wait();
    return 1e6 * (performance.now() - start);
  };
  const least = (loop: Loop, rounds: number, copies = 0) =>
    Math.min(...Array.from({ length: TURNS }, () => time(loop, rounds, copies)));
  time("load", 0, 1); // which compiles the kernel
  const nothing = least("load", 0);
  const bounded = (name: Loop | "copy", cost: number) => {
    const standard = STANDARD_COSTS[name];
    return Math.min(FAR * standard, Math.max(standard / FAR, cost));
  };
  const each = (loop: Loop) => {
    const rough = Math.max(1, least(loop, FIRST_ROUNDS) - nothing);
    const rounds = Math.min(MOST_ROUNDS, Math.ceil(FIRST_ROUNDS * LONG / rough));
    return bounded(loop, (least(loop, rounds) - nothing) / (rounds * LOOPS[loop]));
  };
  const costs: Costs = {
    multiply: each("multiply"),
    load: each("load"),
    buffer: each("buffer"),
    store: each("store"),
    copy: bounded("copy", (least("load", 0, COPIES) - nothing) / (COPIES * QUADS)),
    cores: navigator.hardwareConcurrency,
  };
  for (const resource of [buffer, texture, counts]) resource.destroy();
  return costs;
}
