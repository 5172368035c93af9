/**
 * Buffers copied to textures. On a CPU adapter a load from a storage texture takes a third of the time of
 * one from a buffer, which the driver does number by number: what a kernel loads again and again, as the
 * weights of a product, is worth a copy. A copy is kept for as long as its buffer does not change.
 */
import type { PooledBuffer } from "./pool.ts";
import type { Recorder } from "./recorder.ts";

/** Quads in a row of a texture, as a power of two: then a place needs no division. */
const WIDTH_BITS = 12;
const WIDTH = 1 << WIDTH_BITS;

/** WGSL `NAME_quad(i)`: quad i of a buffer that is bound as the texture NAME. */
export function mirrorLoad(name: string): string {
  return `fn ${name}_quad(i: u32) -> vec4f {
  return textureLoad(${name}, vec2u(i & ${WIDTH - 1}u, i >> ${WIDTH_BITS}u));
}\n`;
}

/** The same for a buffer that is bound as an array of quads. */
export function bufferLoad(name: string): string {
  return `fn ${name}_quad(i: u32) -> vec4f { return ${name}[i]; }\n`;
}

/** The most bytes that a mirror can hold. */
export function mirrorLimit(device: GPUDevice): number {
  return 16 * WIDTH * device.limits.maxTextureDimension2D;
}

/** The texture with the contents that a buffer has at this place of the recording. */
export function mirrored(
  device: GPUDevice,
  recorder: Recorder,
  buffer: PooledBuffer,
): GPUTextureView {
  const quads = Math.floor(buffer.bytes / 16);
  const height = Math.ceil(quads / WIDTH);
  if (buffer.mirror === undefined) {
    const texture = device.createTexture({
      label: `mirror ${buffer.bytes}`,
      size: [WIDTH, height],
      format: "rgba32float",
      usage: GPUTextureUsage.STORAGE_BINDING | GPUTextureUsage.COPY_DST,
    });
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
  }
  return mirror.view;
}
