/** Adapters and devices: how they are asked for, and what Mesa's software driver is told before. */
import { NoAdapterError, noAdapterMessage } from "./errors.ts";

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

/**
 * Options of Mesa's software driver. Two threads a core: with one a core, two of them often share a core
 * for a while, and a step takes half as long again. Vectors of 512 bits where the CPU has them: by itself
 * the driver stays with 256, at two thirds of the speed.
 */
function tuneSoftwareDriver(): void {
  setDriverOption("LP_NUM_THREADS", () => String(2 * navigator.hardwareConcurrency));
  setDriverOption("LP_NATIVE_VECTOR_WIDTH", () => hasAvx512() ? "512" : undefined);
}

/** The adapter. NoAdapterError, which says what to install, where there is none. */
export async function requestAdapter(
  options: { powerPreference?: GPUPowerPreference },
): Promise<GPUAdapter> {
  tuneSoftwareDriver();
  const powerPreference = options.powerPreference ?? "high-performance";
  const adapter = await navigator.gpu?.requestAdapter({ powerPreference });
  if (adapter) return adapter;
  const name = "DENO_WEBGPU_BACKEND";
  const mayRead = Deno.permissions.querySync({ name: "env", variable: name }).state === "granted";
  const backend = mayRead ? Deno.env.get(name) : undefined;
  throw new NoAdapterError(noAdapterMessage(Deno.build.os, Deno.version.deno, backend));
}

/** A device of the adapter with its own limits for buffers, or nothing where it lacks a feature. */
export async function requestDevice(
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

/** Whether {@linkcode mappedAtOnce} works here: the standard does not promise it. */
export function canMapAtOnce(device: GPUDevice): boolean {
  const probe = device.createBuffer({
    label: "probe",
    size: 4,
    usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    mappedAtCreation: true,
  });
  probe.unmap();
  device.queue.writeBuffer(probe, 0, Uint32Array.of(0x2a));
  device.queue.submit([]);
  probe.mapAsync(GPUMapMode.READ).catch(() => {});
  const range = mappedAtOnce(probe);
  const works = range !== undefined && new Uint32Array(range)[0] === 0x2a;
  probe.destroy();
  return works;
}
