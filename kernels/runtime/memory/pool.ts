/** Buffers by size class: released buffers are used again, and live ones are counted. */
import type { Allocator } from "./allocator.ts";

/** A GPU buffer of the pool. `bytes` is its size class, at least what was asked for. */
export interface PooledBuffer {
  /** Counts the buffers made. */
  readonly id: number;
  readonly gpuBuffer: GPUBuffer;
  readonly bytes: number;
  /** The number of the recording that last used the buffer. */
  lastRecording: number;
  /** Counts what was written to the buffer. */
  version: number;
  /** A copy of the buffer as a texture, and the version it is of (kernels/runtime/memory/mirror.ts). */
  mirror?: { texture: GPUTexture; view: GPUTextureView; version: number };
}

const SMALLEST = 256;

/** Round a size up to its class: four classes to each power of two, so at most a quarter is lost. */
export function sizeClass(bytes: number): number {
  if (bytes <= SMALLEST) return SMALLEST;
  const step = Math.max(SMALLEST, 2 ** (Math.ceil(Math.log2(bytes)) - 3));
  return Math.ceil(bytes / step) * step;
}

/**
 * Hands out storage buffers and takes them back. Released buffers wait for the next use; what is idle
 * beyond `idleLimit` bytes is destroyed at the next flush.
 */
export class BufferPool {
  /** Buffers handed out and not yet released. */
  liveBuffers = 0;
  /** Bytes of the live buffers. */
  liveBytes = 0;
  /** The most bytes that were ever live at once. */
  peakBytes = 0;
  /** Bytes of released buffers that wait for their next use. */
  idleBytes = 0;
  /** Buffers that were destroyed by `trim`. */
  destroyed = 0;

  #made = 0;
  readonly #idle = new Map<number, PooledBuffer[]>();
  readonly #live = new Set<PooledBuffer>();
  readonly #largest: number;

  constructor(readonly allocator: Allocator, readonly idleLimit: number = 1 << 30) {
    this.#largest = allocator.watch.device.limits.maxBufferSize;
  }

  /**
   * Take a buffer of at least `bytes` bytes. Its contents are undefined. A buffer that the recording
   * `unusedBy` uses is not taken: it can be written to without a submit first.
   *
   * Errors: GpuError when there is no memory; it names `what` the buffer is for.
   */
  acquire(
    bytes: number,
    what: () => string = () => "a buffer",
    unusedBy?: number,
  ): PooledBuffer {
    // The class of a very large size could pass the largest buffer that the device allows.
    const size = Math.max(bytes, Math.min(sizeClass(bytes), this.#largest));
    const idle = this.#idle.get(size) ?? [];
    const free = unusedBy === undefined
      ? idle.length - 1
      : idle.findLastIndex(({ lastRecording }) => lastRecording !== unusedBy);
    let buffer = idle[free];
    if (buffer !== undefined) {
      idle.splice(free, 1);
      this.idleBytes -= size;
    } else {
      const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_SRC | GPUBufferUsage.COPY_DST;
      const gpuBuffer = this.allocator.buffer({ label: `pool ${size}`, size, usage }, what);
      buffer = { id: this.#made++, gpuBuffer, bytes: size, lastRecording: -1, version: 0 };
    }
    this.#live.add(buffer);
    this.liveBuffers++;
    this.liveBytes += size;
    this.peakBytes = Math.max(this.peakBytes, this.liveBytes);
    return buffer;
  }

  /** Give a buffer back. Work already recorded may still use it: the GPU keeps the order. */
  release(buffer: PooledBuffer): void {
    if (!this.#live.delete(buffer)) return; // destroyed with the others when the GPU was closed
    this.liveBuffers--;
    this.liveBytes -= buffer.bytes;
    const list = this.#idle.get(buffer.bytes);
    if (list === undefined) this.#idle.set(buffer.bytes, [buffer]);
    else list.push(buffer);
    this.idleBytes += buffer.bytes;
  }

  /** Destroy idle buffers until at most `bytes` are kept. Call it only when nothing is recorded. */
  trim(bytes = 0): void {
    const sizes = [...this.#idle.keys()].sort((a, b) => b - a);
    for (const size of sizes) {
      const list = this.#idle.get(size)!;
      while (this.idleBytes > bytes && list.length > 0) {
        this.#destroy(list.pop()!);
        this.idleBytes -= size;
      }
      if (list.length === 0) this.#idle.delete(size);
    }
  }

  #destroy({ gpuBuffer, mirror }: PooledBuffer): void {
    gpuBuffer.destroy();
    mirror?.texture.destroy();
    this.destroyed++;
  }

  /** Destroy all buffers, those in use as well. */
  close(): void {
    this.trim();
    for (const buffer of this.#live) this.#destroy(buffer);
    this.#live.clear();
    this.liveBuffers = this.liveBytes = 0;
  }
}
