/**
 * Buffers copied to textures. On a CPU adapter a load from a storage texture takes a third of the time of
 * one from a buffer, which the driver does number by number: what a kernel loads again and again, as the
 * weights of a product, is worth a copy. A copy is kept for as long as its buffer does not change.
 */
import type { DType, Tensor } from "../tensor.ts";

/** Quads in a row of a texture, as a power of two: then a place needs no division. */
const WIDTH_BITS = 12;
const WIDTH = 1 << WIDTH_BITS;

/** The parameter that holds the first quad of a mirrored tensor within its buffer. */
export function mirrorStart(name: string): string {
  return `${name}_start`;
}

/** WGSL that declares the texture NAME of a mirror, and `NAME_quad(i)`. */
export function mirrorDeclaration(name: string): string {
  return `var ${name}: texture_storage_2d<rgba32float, read>;
fn ${name}_quad(i: u32) -> vec4f {
  let at = params.${mirrorStart(name)} + i;
  return textureLoad(${name}, vec2u(at & ${WIDTH - 1}u, at >> ${WIDTH_BITS}u));
}\n`;
}

/**
 * Whether a tensor that kernels read `reads` times over, by so many loads of a mirror for each quad, is worth a copy of its buffer: on CPU adapters, where
 * that fits into a texture, the tensor starts at a whole quad, and the copy is there already or costs less than it
 * saves. While one core copies, the others wait.
 */
export function worthMirror(
  { gpu, buffer, offset, bytes }: Tensor,
  reads = Infinity,
  loads = 1,
): boolean {
  const most = 16 * WIDTH * gpu.device.limits.maxTextureDimension2D;
  if (gpu.path !== "subgroup" || buffer.bytes > most || offset % 4 !== 0) return false;
  const { buffer: fromBuffer, load, copy, cores } = gpu.costs;
  if (buffer.mirror?.version === buffer.version) return fromBuffer > loads * load;
  const saved = reads * bytes * (fromBuffer - loads * load) / (gpu.lanes * cores);
  return saved > buffer.bytes * copy;
}

/** The texture with the contents that a tensor's buffer has at this place of the recording. */
export function mirrored({ buffer, name, gpu }: Tensor<DType>): GPUTextureView {
  const { recorder, pool } = gpu;
  const quads = Math.floor(buffer.bytes / 16);
  const height = Math.ceil(quads / WIDTH);
  if (buffer.mirror === undefined) {
    const texture = pool.allocator.texture(
      {
        label: `mirror ${buffer.bytes}`,
        size: [WIDTH, height],
        format: "rgba32float",
        usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
      },
      16 * WIDTH * height,
      () => `the copy of the tensor "${name}" in a texture`,
    );
    buffer.mirror = { texture, view: texture.createView(), version: -1 };
  }
  const { mirror } = buffer;
  if (mirror.version !== buffer.version) {
    const copy = (row: number, width: number, rows: number) =>
      recorder.encoder.copyBufferToTexture(
        { buffer: buffer.gpuBuffer, offset: 16 * WIDTH * row, bytesPerRow: 16 * WIDTH },
        { texture: mirror.texture, origin: [0, row] },
        [width, rows],
      );
    const full = Math.floor(quads / WIDTH);
    if (full > 0) copy(0, WIDTH, full);
    if (quads > full * WIDTH) copy(full, quads - full * WIDTH, 1);
    mirror.version = buffer.version;
    buffer.lastRecording = recorder.recording;
    gpu.watcher?.moved("copies to textures", buffer.bytes);
  }
  return mirror.view;
}
