/**
 * The GPU: adapter, device, limits, the recorder and the buffer pool, behind one object.
 *
 * @module
 */
import { Allocator } from "./memory/allocator.ts";
import {
  type AdapterSummary,
  deviceCosts,
  giveBack,
  hasOneSubgroupSize,
  type OpenDevice,
  openDevice,
  type PowerPreference,
  waitAtOnce,
} from "./device.ts";
import { type Costs, keepCosts, STANDARD_COSTS } from "./costs.ts";
import { ErrorWatch } from "./error_watch.ts";
import { GpuError } from "./errors.ts";
import { BufferPool, type PooledBuffer } from "./memory/pool.ts";
import { Profiler, profileWanted, type ProfileWay, profileWay } from "./profile/profiler.ts";
import { Recorder } from "./recorder.ts";
import type { KernelWatcher } from "./profile/watcher.ts";

export { GpuError, NoAdapterError } from "./errors.ts";

/**
 * Which kernel bodies run: `subgroup` is fast on CPU adapters (register tiles, values passed between
 * the lanes of a SIMD register, no shared memory), `workgroup` is for real GPUs (shared memory tiles).
 * Both are right on either.
 */
export type KernelPath = "subgroup" | "workgroup";

/** Options of {@linkcode openGpu}. */
export interface OpenGpuOptions {
  /** Force the kernel bodies; by default the adapter decides. */
  path?: KernelPath;
  /** Passed to `requestAdapter`: a laptop with two GPUs gives the stronger one by default. */
  powerPreference?: PowerPreference;
  /**
   * Measure what takes the time, and print a table to stderr when the GPU is closed or the process ends. By itself
   * where the environment variable `NECKAR_PROFILE` is 1 and the script may read it. The adapter decides how, unless it is said.
   */
  profile?: boolean | ProfileWay;
}

/**
 * Open the GPU.
 *
 * Errors: {@linkcode NoAdapterError} when there is no adapter; {@linkcode GpuError} when it gives no
 * device, or cannot run the forced path.
 *
 * ```ts
 * import { openGpu } from "./gpu.ts";
 * using gpu = await openGpu();
 * console.log(gpu.adapter.description, gpu.path);
 * ```
 */
export async function openGpu(options: OpenGpuOptions = {}): Promise<Gpu> {
  const profile = options.profile || profileWanted();
  const open = await openDevice(options.powerPreference ?? "high-performance", profile);
  const { adapter, subgroups } = open;
  const fits = subgroups && hasOneSubgroupSize(adapter);
  if (options.path === "subgroup" && !fits) {
    giveBack(open);
    throw new GpuError(
      `The path "subgroup" needs an adapter with one subgroup size of 4, 8 or 16, and ` +
        `"${adapter.description}" has ${adapter.subgroupMinSize} to ${adapter.subgroupMaxSize}`,
    );
  }
  try {
    const path = options.path ?? (fits && adapter.isFallback ? "subgroup" : "workgroup");
    const gpu = new Gpu(open, path);
    gpu.costs = deviceCosts(open, path === "subgroup");
    if (profile !== false) gpu.watcher = new Profiler(gpu, profileWay(open, profile));
    return gpu;
  } catch (error) { // costs that cannot be read, or no memory even for parameters
    open.device.destroy();
    throw error;
  }
}

function closedError(): GpuError {
  return new GpuError("The GPU was closed: nothing can run on it any more");
}

/** What a bind group holds of a buffer: a part of it, or its mirror. */
export type BoundPart =
  | { buffer: PooledBuffer; offset: number; size: number }
  | { buffer: PooledBuffer; mirror: GPUTextureView };

/** Bind groups kept for their next use: many steps of a few hundred dispatches. */
const MOST_BIND_GROUPS = 8192;

/** An open device with its recorder and buffer pool. Make one with {@linkcode openGpu}. */
export class Gpu {
  /** WebGPU's device. */
  readonly device: GPUDevice;
  /** What the adapter says of itself. */
  readonly adapter: AdapterSummary;
  /**
   * Records the dispatches of a step.
   *
   * @internal
   */
  readonly recorder: Recorder;
  /**
   * Buffers for tensors.
   *
   * @internal
   */
  readonly pool: BufferPool;
  /** Lanes of a subgroup on the `subgroup` path. */
  readonly lanes: number;
  /**
   * What tiles and mirrors are chosen by.
   *
   * @internal
   */
  costs: Costs = STANDARD_COSTS;
  /** Resolves with the reason when the device is lost or the GPU is closed; never rejects. */
  readonly lost: Promise<string>;
  /** Told of all that is recorded; nothing unless somebody wants to know. */
  watcher: KernelWatcher | undefined;
  /**
   * A read need not wait for the event loop (see `mappedAtOnce`); set it to false and it does.
   *
   * @internal
   */
  mapsAtOnce: boolean;

  readonly #open: OpenDevice;
  readonly #watch: ErrorWatch;
  readonly #allocator: Allocator;
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  readonly #staging = new Set<GPUBuffer>();
  readonly #lose: (why: string) => void;
  #destroyedSeen = 0;
  #failure: GpuError | undefined;
  #closed = false;

  /** @internal */
  constructor(
    open: OpenDevice,
    /** Which kernel bodies run. */
    readonly path: KernelPath,
    lanes: number = open.adapter.subgroupMaxSize,
  ) {
    this.#open = open;
    this.device = open.device;
    this.adapter = open.adapter;
    this.mapsAtOnce = open.mapsAtOnce;
    this.lanes = path === "subgroup" ? lanes : 0;
    this.#watch = new ErrorWatch(open.device, (error) => this.fail(error));
    this.#allocator = new Allocator(this.#watch, () => this.#makeRoom(), () => this.#inUse());
    this.pool = new BufferPool(this.#allocator);
    this.recorder = new Recorder(open.device, this.#allocator);
    const { promise, resolve } = Promise.withResolvers<string>();
    this.lost = promise;
    this.#lose = resolve;
    open.onLost = (why) => {
      this.fail(new GpuError(`The GPU device was lost: ${why}`));
      resolve(why);
    };
  }

  #inUse(): string {
    const { liveBuffers, liveBytes } = this.pool;
    return `${liveBytes} bytes in ${liveBuffers} buffers are in use`;
  }

  /** Destroy all buffers that wait for their next use, and wait until their memory is free. */
  #makeRoom(): void {
    if (this.recorder === undefined) return; // it is being made
    this.recorder.flush();
    this.pool.trim();
    this.#bindGroups.clear();
    waitAtOnce(this.device);
  }

  /**
   * A buffer to read a tensor through. GpuError when the device is lost or has no memory for it.
   *
   * @internal
   */
  stagingBuffer(name: string, size: number): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    const label = `read ${name}`;
    const mappedAtCreation = this.mapsAtOnce;
    const buffer = this.#allocator.buffer(
      { label, size, usage, mappedAtCreation },
      () => `reading the tensor "${name}"`,
    );
    if (mappedAtCreation) buffer.unmap();
    this.#staging.add(buffer);
    return buffer;
  }

  /**
   * Let go of a buffer that a tensor was read through.
   *
   * @internal
   */
  releaseStaging(buffer: GPUBuffer): void {
    this.#staging.delete(buffer);
    buffer.destroy();
  }

  /**
   * Remember the first failure; the next flush or read throws it.
   *
   * @internal
   */
  fail(error: GpuError): void {
    this.#failure ??= error;
  }

  /** Submit what was recorded. Throws what is known to have gone wrong on the GPU. */
  flush(): void {
    this.throwFailure();
    this.recorder.flush();
    this.#watch.collect();
    if (this.pool.idleBytes > this.pool.idleLimit) this.pool.trim(this.pool.idleLimit);
  }

  /**
   * Throw the failure that the GPU reported, if there is one.
   *
   * @internal
   */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /**
   * GpuError when the GPU was closed.
   *
   * @internal
   */
  mustBeOpen(): void {
    if (this.#closed) throw closedError();
  }

  /** Wait until everything that went wrong so far is known, kernels that do not compile as well; throws the first. */
  async check(): Promise<void> {
    await this.#watch.settled();
    this.throwFailure();
  }

  /**
   * Forget a reported failure, so that a test can go on after provoking one.
   *
   * @internal
   */
  clearFailure(): void {
    this.#failure = undefined;
  }

  /**
   * The bind group layout: parameters in binding 0, then one storage buffer for each access.
   *
   * @internal
   */
  bindGroupLayout(accesses: readonly ("read" | "write" | "mirror")[]): GPUBindGroupLayout {
    const key = accesses.join();
    let layout = this.#open.layouts.get(key);
    if (layout === undefined) {
      const uniform: GPUBufferBindingLayout = { type: "uniform", hasDynamicOffset: true };
      const entries: GPUBindGroupLayoutEntry[] = [
        { binding: 0, visibility: GPUShaderStage.COMPUTE, buffer: uniform },
        ...accesses.map((access, i): GPUBindGroupLayoutEntry => ({
          binding: i + 1,
          visibility: GPUShaderStage.COMPUTE,
          ...(access === "mirror"
            ? { storageTexture: { access: "read-only", format: "rgba32float" } }
            : { buffer: { type: access === "read" ? "read-only-storage" : "storage" } }),
        })),
      ];
      layout = this.device.createBindGroupLayout({ label: key, entries });
      this.#open.layouts.set(key, layout);
    }
    return layout;
  }

  /**
   * The bind group of a layout and these parts of buffers: a step uses the same ones again and again.
   *
   * @internal
   */
  bindGroup(
    layout: GPUBindGroupLayout,
    paramsSize: number,
    bindings: readonly BoundPart[],
  ): GPUBindGroup {
    if (this.pool.destroyed !== this.#destroyedSeen || this.#bindGroups.size >= MOST_BIND_GROUPS) {
      this.#destroyedSeen = this.pool.destroyed;
      this.#bindGroups.clear();
    }
    let key = `${layout.label} ${paramsSize}`;
    for (const part of bindings) {
      key += "mirror" in part
        ? ` ${part.buffer.id} m`
        : ` ${part.buffer.id} ${part.offset} ${part.size}`;
    }
    let group = this.#bindGroups.get(key);
    if (group === undefined) {
      const buffers = [
        { buffer: this.recorder.paramsBuffer, size: paramsSize },
        ...bindings.map((part) =>
          "mirror" in part ? part.mirror : { ...part, buffer: part.buffer.gpuBuffer }
        ),
      ];
      group = this.device.createBindGroup({
        layout,
        entries: buffers.map((resource, binding) => ({ binding, resource })),
      });
      this.#bindGroups.set(key, group);
    }
    return group;
  }

  /**
   * The pipeline of a WGSL text, made once for each text.
   *
   * @internal
   */
  pipeline(label: string, code: string, layout: GPUBindGroupLayout): GPUComputePipeline {
    const known = this.#open.pipelines.get(code);
    if (known !== undefined) return known;
    const start = this.watcher && performance.now();
    const pipeline = this.#watch.around(
      "validation",
      (error) => {
        this.#open.pipelines.delete(code);
        return `The kernel "${label}" does not compile: ${error.message.trim()}`;
      },
      () =>
        this.device.createComputePipeline({
          label,
          layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
          compute: {
            module: this.device.createShaderModule({ label, code }),
            entryPoint: "main",
          },
        }),
    );
    this.#open.pipelines.set(code, pipeline);
    if (start !== undefined) this.watcher?.made(code, performance.now() - start);
    return pipeline;
  }

  /**
   * Keep the costs for the next that opens this adapter. Returns the file, or nothing where none is named.
   *
   * @internal
   */
  keepCosts(): string | undefined {
    return keepCosts(this.#open.identity, this.#open.costs = this.costs);
  }

  /**
   * Let go of everything: no buffer and no texture of it is left, and what was made with it can only be
   * disposed of. A second call does nothing.
   */
  close(): void {
    if (this.#closed) return;
    this.watcher?.close();
    this.watcher = undefined;
    const failed = this.#failure !== undefined;
    this.#closed = true;
    this.fail(closedError());
    this.pool.close();
    for (const buffer of this.#staging) this.releaseStaging(buffer);
    this.recorder.close();
    this.#bindGroups.clear();
    this.#watch.close();
    this.#lose("the GPU was closed");
    if (failed) this.device.destroy();
    else giveBack(this.#open);
  }

  /** {@linkcode close}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.close();
  }
}
