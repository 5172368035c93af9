/**
 * Adapters and devices: how they are asked for, what Mesa's software driver is told before, and how a device
 * that was given back is used again.
 */
import { calibrate } from "./calibrate.ts";
import { type Costs, costsOf } from "./costs.ts";
import { unwatched } from "./error_watch.ts";
import { GpuError, NoAdapterError, noAdapterMessage } from "./errors.ts";
import type { ProfileWay } from "./profile/profiler.ts";

/** Which adapter to prefer, where there are several. */
export type PowerPreference = "high-performance" | "low-power";

/** What the adapter says of itself. */
export interface AdapterSummary {
  /** The adapter's name. */
  description: string;
  /** Who made it. */
  vendor: string;
  /** True for a software adapter such as Mesa's lavapipe. */
  isFallback: boolean;
  /** Lanes of the smallest subgroup. */
  subgroupMinSize: number;
  /** Lanes of the largest subgroup. */
  subgroupMaxSize: number;
}

/** A device, and what is made once for it. */
export interface OpenDevice {
  readonly device: GPUDevice;
  readonly adapter: AdapterSummary;
  readonly powerPreference: PowerPreference;
  /** It has subgroups. */
  readonly subgroups: boolean;
  /** See {@linkcode mappedAtOnce}. */
  readonly mapsAtOnce: boolean;
  /** The adapter, and limits that tell its driver from the next, which does not name itself: costs are kept by it. */
  readonly identity: string;
  /** Those that were measured, once they were. */
  costs?: Costs;
  readonly layouts: Map<string, GPUBindGroupLayout>;
  /** By their WGSL. */
  readonly pipelines: Map<string, GPUComputePipeline>;
  /** Told when the device is lost. */
  onLost: (why: string) => void;
}

/**
 * Devices that were given back. Deno frees a device, with a thread and some megabytes, only when the garbage
 * collector comes upon it, which a script cannot ask for: so the next one to open a device gets this one.
 */
const waiting: OpenDevice[] = [];

/**
 * A device: one that was given back, or a new one.
 *
 * Errors: NoAdapterError when there is no adapter, GpuError when it gives no device.
 */
export async function openDevice(
  powerPreference: PowerPreference,
  profile: boolean | ProfileWay = false,
): Promise<OpenDevice> {
  for (;;) {
    const place = waiting.findIndex((open) =>
      open.powerPreference === powerPreference &&
      (!wantsTimestamps(open.adapter, profile) || open.device.features.has(TIMESTAMPS))
    );
    if (place === -1) return await newDevice(powerPreference, profile);
    const [open] = waiting.splice(place, 1);
    if (isAlive(open.device)) return open;
  }
}

const TIMESTAMPS = "timestamp-query";

/** A software adapter is profiled without them: waiting for each dispatch shows what compiling takes as well. */
function wantsTimestamps({ isFallback }: AdapterSummary, profile: boolean | ProfileWay): boolean {
  return profile === "timestamps" || (profile === true && !isFallback);
}

/** Give a device back, with nothing left on it but its layouts and pipelines. */
export function giveBack(open: OpenDevice): void {
  open.onLost = () => {};
  waiting.push(open);
}

async function newDevice(
  powerPreference: PowerPreference,
  profile: boolean | ProfileWay,
): Promise<OpenDevice> {
  const gpuAdapter = await requestAdapter(powerPreference);
  const { info, limits } = gpuAdapter;
  const adapter: AdapterSummary = {
    description: info.description || info.device || "unknown adapter",
    vendor: info.vendor,
    isFallback: info.isFallbackAdapter === true,
    subgroupMinSize: info.subgroupMinSize ?? 0,
    subgroupMaxSize: info.subgroupMaxSize ?? 0,
  };
  // Deno accepts the feature without listing it, so asking is the only way to know.
  const timed = wantsTimestamps(adapter, profile) && gpuAdapter.features.has(TIMESTAMPS);
  const also = timed ? [TIMESTAMPS] : [];
  const withSubgroups = await requestDevice(gpuAdapter, ["subgroups", ...also]);
  const device = withSubgroups ?? await requestDevice(gpuAdapter, also);
  if (device === undefined || !isAlive(device)) {
    throw new GpuError(
      `The adapter "${adapter.description}" gives no device that works: it may have no memory left`,
    );
  }
  const open: OpenDevice = {
    device,
    adapter,
    powerPreference,
    subgroups: withSubgroups !== undefined,
    mapsAtOnce: adapter.isFallback && waitAtOnce(device),
    identity: `${adapter.description}, ${limits.maxSampledTexturesPerShaderStage} textures, ` +
      `${limits.maxStorageBuffersPerShaderStage} buffers`,
    layouts: new Map(),
    pipelines: new Map(),
    onLost: () => {},
  };
  device.lost.then(({ message, reason }) => open.onLost(message || reason || "no reason given"));
  return open;
}

/** The costs of a device, measured where kernels for subgroups run on it: nothing depends on them elsewhere. */
export function deviceCosts(open: OpenDevice, bySubgroups: boolean): Costs {
  const { device, adapter: { subgroupMaxSize }, mapsAtOnce, identity } = open;
  if (!bySubgroups || !mapsAtOnce) return costsOf(identity, undefined);
  return open.costs ??= costsOf(
    identity,
    () => calibrate(device, subgroupMaxSize, () => waitAtOnce(device)),
  );
}

/** Whether all subgroups are of one size, for which kernels of software adapters are written. */
export function hasOneSubgroupSize(
  { subgroupMinSize: min, subgroupMaxSize: max }: AdapterSummary,
): boolean {
  return min === max && (min === 4 || min === 8 || min === 16);
}

/** Whether a device still makes buffers: one that is lost does not. */
export function isAlive(device: GPUDevice): boolean {
  return unwatched(device, () => {
    const probe = makeProbe(device);
    try {
      probe.unmap();
      return true;
    } catch {
      return false;
    } finally {
      probe.destroy();
    }
  });
}

/** Set an environment variable of Mesa's software driver, where the script may and nobody has. */
function setDriverOption(name: string, value: () => string | undefined): void {
  const { state } = Deno.permissions.querySync({ name: "env", variable: name });
  if (state !== "granted" || Deno.env.get(name) !== undefined) return;
  const chosen = value();
  if (chosen !== undefined) Deno.env.set(name, chosen);
}

/** Whether the CPU says that it has AVX-512; false where the script may not look: Deno asks for all permissions. */
function hasAvx512(): boolean {
  const path = "/proc/cpuinfo";
  if (Deno.build.os !== "linux") return false;
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return false;
  try {
    return /\bavx512f\b/.test(Deno.readTextFileSync(path));
  } catch {
    return false;
  }
}

/** The newest Mesa that gains by vectors of 512 bits is 22.3: its manifest names Vulkan 1.1.230. */
const LONG_VECTORS = 230;

/** Whether Mesa's software driver is one that gains by long vectors: false where the script may not look. */
function gainsByLongVectors(): boolean {
  const path = "/usr/share/vulkan/icd.d";
  if (Deno.permissions.querySync({ name: "read", path }).state !== "granted") return false;
  try {
    const manifest = [...Deno.readDirSync(path)].find(({ name }) => name.startsWith("lvp_icd"));
    const text = Deno.readTextFileSync(`${path}/${manifest?.name}`);
    const version = /"api_version": *"\d+\.\d+\.(\d+)"/.exec(text);
    return version !== null && Number(version[1]) <= LONG_VECTORS;
  } catch {
    return false;
  }
}

/**
 * Options of Mesa's software driver. Two threads a core: with one a core, two of them often share a core
 * for a while, and a step takes half as long again. Vectors of 512 bits where the CPU has them and the driver gains
 * by them: Mesa 22 is a third slower with 256, and Mesa 25 twice as slow with 512.
 */
function tuneSoftwareDriver(): void {
  setDriverOption("LP_NUM_THREADS", () => String(2 * navigator.hardwareConcurrency));
  setDriverOption(
    "LP_NATIVE_VECTOR_WIDTH",
    () => hasAvx512() ? gainsByLongVectors() ? "512" : "256" : undefined,
  );
}

/** The adapter. NoAdapterError, which says what to install, where there is none. */
async function requestAdapter(powerPreference: PowerPreference): Promise<GPUAdapter> {
  tuneSoftwareDriver();
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference });
  if (adapter) return adapter;
  const name = "DENO_WEBGPU_BACKEND";
  const mayRead = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
  const backend = mayRead ? Deno.env.get(name) : undefined;
  throw new NoAdapterError(noAdapterMessage(Deno.build.os, Deno.version.deno, backend));
}

/** A device of the adapter with its own limits for buffers, or nothing where it lacks a feature. */
async function requestDevice(
  adapter: GPUAdapter,
  features: string[],
): Promise<GPUDevice | undefined> {
  const limits = adapter.limits;
  try {
    return await adapter.requestDevice({
      label: "neckar",
      requiredFeatures: features as GPUFeatureName[],
      requiredLimits: {
        maxBufferSize: limits.maxBufferSize,
        maxStorageBufferBindingSize: limits.maxStorageBufferBindingSize,
      },
    });
  } catch {
    return undefined;
  }
}

/**
 * The bytes of a buffer whose `mapAsync` has been called, if they are there without a turn of the event
 * loop. Deno waits for the GPU within the call, and only then sleeps 10 ms before it says so; on a CPU
 * adapter, where nothing runs beside, that sleep is the larger part of a small read. The buffer must have been
 * mapped once before: else Deno 2.9 aborts.
 */
export function mappedAtOnce(buffer: GPUBuffer): ArrayBuffer | undefined {
  try {
    return buffer.getMappedRange();
  } catch {
    return undefined;
  }
}

function makeProbe(device: GPUDevice): GPUBuffer {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  return device.createBuffer({ label: "probe", size: 4, usage, mappedAtCreation: true });
}

/**
 * Wait for all work submitted so far, where Deno waits for the GPU within `mapAsync`. Whether
 * {@linkcode mappedAtOnce} works here: the standard does not promise it.
 */
export function waitAtOnce(device: GPUDevice): boolean {
  return unwatched(device, () => {
    const probe = makeProbe(device);
    try {
      probe.unmap();
      device.queue.writeBuffer(probe, 0, Uint32Array.of(0x2a));
      device.queue.submit([]);
      probe.mapAsync(GPUMapMode.READ).catch(() => {});
      const range = mappedAtOnce(probe);
      return range !== undefined && new Uint32Array(range)[0] === 0x2a;
    } catch {
      return false;
    } finally {
      probe.destroy();
    }
  });
}
