/** GPU memory: what it cannot give is said where it is asked for, and not found as zeros later. */
import { isAlive } from "../device.ts";
import type { ErrorWatch } from "../error_watch.ts";
import { GpuError } from "../errors.ts";

/**
 * Whether a buffer is there. WebGPU makes one in any case, and tells of a lack of memory later; Deno knows at
 * once, and says it of a buffer that is asked for its mapped bytes. The buffer must not be waiting to be mapped.
 */
function isThere(buffer: GPUBuffer): boolean {
  try {
    buffer.getMappedRange();
    return true;
  } catch (error) {
    return !/ is invalid$/.test((error as Error).message);
  }
}

/** Makes the buffers and textures of a device. */
export class Allocator {
  constructor(
    readonly watch: ErrorWatch,
    /** Gives back what is not in use. */
    readonly makeRoom: () => void,
    /** Says what is in use. */
    readonly inUse: () => string,
  ) {}

  #refusal(bytes: number, what: string): string {
    return `The GPU has no memory for ${what}, which takes ${bytes} bytes: ${this.inUse()}; ` +
      `try a smaller batch, smaller inputs or a smaller model`;
  }

  /** A buffer. GpuError, which names `what` it is for, when there is no memory even after making room. */
  buffer(descriptor: GPUBufferDescriptor, what: () => string): GPUBuffer {
    const { device } = this.watch;
    const make = (): GPUBuffer | undefined => {
      let there = true;
      const buffer = this.watch.around(
        "out-of-memory",
        () => there ? this.#refusal(descriptor.size, what()) : undefined,
        () => device.createBuffer(descriptor),
      );
      there = isThere(buffer);
      return there ? buffer : undefined;
    };
    const first = make();
    if (first !== undefined) return first;
    this.makeRoom();
    const second = make();
    if (second !== undefined) return second;
    throw new GpuError(
      isAlive(device)
        ? this.#refusal(descriptor.size, what())
        : `The GPU gives no buffer for ${what()}: it has no memory left (${this.inUse()}), or it was lost`,
    );
  }

  /** A texture. That there is no memory for it is thrown by the next read, and names `what` it is for. */
  texture(descriptor: GPUTextureDescriptor, bytes: number, what: () => string): GPUTexture {
    return this.watch.around(
      "out-of-memory",
      () => this.#refusal(bytes, what()),
      () => this.watch.device.createTexture(descriptor),
    );
  }
}
