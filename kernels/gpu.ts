/**
 * The GPU: adapter, device, limits, the recorder and the buffer pool, behind one object.
 *
 * @module
 */
import { canMapAtOnce, requestAdapter, requestDevice } from "./device.ts";
import { GpuError } from "./errors.ts";
import { BufferPool, type PooledBuffer } from "./pool.ts";
import { Recorder } from "./recorder.ts";

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
  powerPreference?: "high-performance" | "low-power";
}

/** What the adapter says of itself. */
export interface AdapterSummary {
  description: string;
  vendor: string;
  /** True for a software adapter such as Mesa's lavapipe. */
  isFallback: boolean;
  subgroupMinSize: number;
  subgroupMaxSize: number;
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
  const adapter = await requestAdapter(options);
  const info = adapter.info;
  const summary: AdapterSummary = {
    description: info.description || info.device || "unknown adapter",
    vendor: info.vendor,
    isFallback: info.isFallbackAdapter === true,
    subgroupMinSize: info.subgroupMinSize ?? 0,
    subgroupMaxSize: info.subgroupMaxSize ?? 0,
  };
  // Deno accepts the feature without listing it, so asking is the only way to know.
  const withSubgroups = await requestDevice(adapter, ["subgroups"]);
  const device = withSubgroups ?? await requestDevice(adapter, []);
  if (device === undefined) {
    throw new GpuError(`The adapter "${summary.description}" gives no device`);
  }
  const fits = withSubgroups !== undefined && supportsSubgroupPath(summary);
  if (options.path === "subgroup" && !fits) {
    throw new GpuError(
      `The path "subgroup" needs an adapter with one subgroup size of 4, 8 or 16, and ` +
        `"${summary.description}" has ${summary.subgroupMinSize} to ${summary.subgroupMaxSize}`,
    );
  }
  const path = options.path ?? (fits && summary.isFallback ? "subgroup" : "workgroup");
  return new Gpu(device, summary, path, summary.isFallback && canMapAtOnce(device));
}

function supportsSubgroupPath(summary: AdapterSummary): boolean {
  const { subgroupMinSize: min, subgroupMaxSize: max } = summary;
  return min === max && (min === 4 || min === 8 || min === 16);
}

/** What a bind group holds of a buffer: a part of it, or its mirror. */
export type BoundPart =
  | { buffer: PooledBuffer; offset: number; size: number }
  | { buffer: PooledBuffer; mirror: GPUTextureView };

/** Bind groups kept for their next use: many steps of a few hundred dispatches. */
const MOST_BIND_GROUPS = 8192;

/** An open device with its recorder and buffer pool. Make one with {@linkcode openGpu}. */
export class Gpu {
  readonly recorder: Recorder;
  readonly pool: BufferPool;
  /** Lanes of a subgroup on the `subgroup` path. */
  readonly lanes: number;
  /** Resolves with the reason when the device is lost; never rejects. */
  readonly lost: Promise<string>;

  readonly #layouts = new Map<string, GPUBindGroupLayout>();
  readonly #pipelines = new Map<string, GPUComputePipeline>();
  readonly #bindGroups = new Map<string, GPUBindGroup>();
  #destroyedSeen = 0;
  readonly #checks: Promise<void>[] = [];
  #failure: GpuError | undefined;

  constructor(
    readonly device: GPUDevice,
    readonly adapter: AdapterSummary,
    readonly path: KernelPath,
    /** A read need not wait for the event loop (see {@linkcode mappedAtOnce}); set it to false and it does. */
    public mapsAtOnce: boolean,
  ) {
    this.recorder = new Recorder(device);
    this.pool = new BufferPool(device);
    this.lanes = path === "subgroup" ? adapter.subgroupMaxSize : 0;
    this.lost = device.lost.then((info) => {
      const why = info.message || info.reason || "no reason given";
      this.fail(new GpuError(`The GPU device was lost: ${why}`));
      return why;
    });
    device.addEventListener("uncapturederror", (event) => {
      event.preventDefault();
      this.fail(
        new GpuError(`The GPU reports: ${(event as GPUUncapturedErrorEvent).error.message.trim()}`),
      );
    });
  }

  /** A buffer to read a tensor through. GpuError when the device is lost or has no memory for it. */
  stagingBuffer(name: string, size: number): GPUBuffer {
    const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
    try {
      const label = `read ${name}`;
      const mappedAtCreation = this.mapsAtOnce;
      const buffer = this.device.createBuffer({ label, size, usage, mappedAtCreation });
      if (mappedAtCreation) buffer.unmap();
      return buffer;
    } catch (error) {
      throw new GpuError(`The tensor "${name}" of ${size} bytes cannot be read back: ${error}`);
    }
  }

  /** Remember the first failure; the next flush or read throws it. */
  fail(error: GpuError): void {
    this.#failure ??= error;
  }

  /** Submit what was recorded. Throws what went wrong on the GPU since the last call. */
  flush(): void {
    this.throwFailure();
    this.recorder.flush();
    if (this.pool.idleBytes > this.pool.idleLimit) this.pool.trim(this.pool.idleLimit);
  }

  /** Throw the failure that the GPU reported, if there is one. */
  throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  /** Wait until every pipeline made so far is known to have compiled; throws the first that did not. */
  async check(): Promise<void> {
    await Promise.all(this.#checks.splice(0));
    this.throwFailure();
  }

  /** Forget a reported failure, so that a test can go on after provoking one. */
  clearFailure(): void {
    this.#failure = undefined;
  }

  /** The bind group layout: parameters in binding 0, then one storage buffer for each access. */
  bindGroupLayout(accesses: readonly ("read" | "write" | "mirror")[]): GPUBindGroupLayout {
    const key = accesses.join();
    let layout = this.#layouts.get(key);
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
      this.#layouts.set(key, layout);
    }
    return layout;
  }

  /** The bind group of a layout and these parts of buffers: a step uses the same ones again and again. */
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

  /** The pipeline of a WGSL text, made once for each text. */
  pipeline(label: string, code: string, layout: GPUBindGroupLayout): GPUComputePipeline {
    let pipeline = this.#pipelines.get(code);
    if (pipeline === undefined) {
      this.device.pushErrorScope("validation");
      const module = this.device.createShaderModule({ label, code });
      pipeline = this.device.createComputePipeline({
        label,
        layout: this.device.createPipelineLayout({ bindGroupLayouts: [layout] }),
        compute: { module, entryPoint: "main" },
      });
      this.#checks.push(
        this.device.popErrorScope().then((error) => {
          if (error === null) return;
          this.fail(
            new GpuError(`The kernel "${label}" does not compile: ${error.message.trim()}`),
          );
        }),
      );
      this.#pipelines.set(code, pipeline);
    }
    return pipeline;
  }

  /** Give the device back. Everything made with it is unusable afterwards. */
  close(): void {
    this.fail(new GpuError("The GPU was closed: nothing can run on it any more"));
    this.device.destroy();
  }

  [Symbol.dispose](): void {
    this.close();
  }
}
