/**
 * Tests that need an adapter. Importing this module opens the GPU, so tests that need none leave it out.
 */
import { assert } from "@std/assert";
import { STANDARD_COSTS } from "../kernels/runtime/costs.ts";
import { type Gpu, NoAdapterError, openGpu, type OpenGpuOptions } from "../kernels/runtime/gpu.ts";
import { dataTest, granted, type Permission, permissionTest } from "./support.ts";

async function probe(options: OpenGpuOptions): Promise<Gpu | string> {
  try {
    const gpu = await openGpu(options);
    gpu.costs = STANDARD_COSTS; // measured ones differ from run to run
    return gpu;
  } catch (error) {
    if (error instanceof NoAdapterError) return error.message;
    throw error;
  }
}

const opened = new Map<string, Gpu | string>();

async function open(options: OpenGpuOptions): Promise<Gpu | string> {
  const key = JSON.stringify(options);
  if (!opened.has(key)) opened.set(key, await probe(options));
  return opened.get(key)!;
}

const first = await open({});
// A job that must have an adapter says so, and then a missing one fails instead of skipping.
const required = granted({ name: "env", variable: "NECKAR_REQUIRE_GPU" }) &&
  Deno.env.get("NECKAR_REQUIRE_GPU") === "1";
if (typeof first === "string") {
  if (required) throw new Error(`NECKAR_REQUIRE_GPU is set, and there is no adapter: ${first}`);
  console.log(`GPU tests are skipped: ${first}`);
}

/**
 * Register a test on the GPU. Every buffer the test makes must be gone at its end.
 * Options open a second device, for instance to force the other kernel bodies. Without one of the permissions it
 * is skipped.
 */
export function gpuTest(
  name: string,
  fn: (gpu: Gpu, t: Deno.TestContext) => void | Promise<void>,
  options: OpenGpuOptions = {},
  permissions: Permission[] = [],
): void {
  if (typeof first === "string") {
    Deno.test({ name: `${name} (skipped: no adapter)`, ignore: true, fn: () => {} });
    return;
  }
  // Says which is missing.
  if (!permissions.every(granted)) return permissionTest(name, permissions, () => {});
  Deno.test({
    name,
    sanitizeResources: false,
    sanitizeOps: false,
    fn: (t) => onGpu(options, (gpu) => fn(gpu, t)),
  });
}

async function onGpu(
  options: OpenGpuOptions,
  fn: (gpu: Gpu) => void | Promise<void>,
): Promise<void> {
  const gpu = await open(options);
  if (typeof gpu === "string") throw new Error(gpu);
  const before = gpu.pool.liveBuffers;
  await fn(gpu);
  gpu.flush();
  const after = gpu.pool.liveBuffers;
  assert(after === before, `the test leaves ${after - before} buffers alive`);
}

/** Register a GPU test on real data, as {@linkcode dataTest} finds them. */
export function gpuDataTest(
  name: string,
  path: string,
  fn: (gpu: Gpu, path: string) => void | Promise<void>,
  permissions: Permission[] = [],
): void {
  if (typeof first === "string") return gpuTest(name, () => {});
  dataTest(name, path, (whole) => onGpu({}, (gpu) => fn(gpu, whole)), permissions);
}

/** Register a test whose child processes compute on the GPU. */
export function gpuProcessTest(
  name: string,
  permissions: Permission[],
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  if (typeof first !== "string") return permissionTest(name, permissions, fn);
  Deno.test({ name: `${name} (skipped: no adapter)`, ignore: true, fn: () => {} });
}

/** Register a GPU test twice: with the kernel bodies for CPU adapters and for real GPUs. */
export function gpuTestBothPaths(
  name: string,
  fn: (gpu: Gpu, t: Deno.TestContext) => void | Promise<void>,
): void {
  gpuTest(name, fn);
  gpuTest(`${name} [workgroup path]`, fn, { path: "workgroup" });
}
