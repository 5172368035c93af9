/**
 * How tests say what they need: an adapter, real data, or a permission.
 * What is missing skips the test and prints the reason once.
 */
import { join } from "@std/path";
import { assert } from "@std/assert";
import { type Gpu, NoAdapterError, openGpu, type OpenGpuOptions } from "../kernels/gpu.ts";

type Permission = Deno.PermissionDescriptor;

function granted(permission: Permission): boolean {
  return Deno.permissions.querySync(permission).state === "granted";
}

function describe(permission: Permission): string {
  return `--allow-${permission.name}`;
}

/** Register a test that is skipped, with the reason in its name, where a permission is missing. */
export function permissionTest(
  name: string,
  permissions: Permission[],
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const missing = permissions.filter((p) => !granted(p));
  if (missing.length === 0) return Deno.test(name, fn);
  const reason = `skipped: needs ${missing.map(describe).join(" ")}`;
  Deno.test({ name: `${name} (${reason})`, ignore: true, fn: () => {} });
}

function dataFolder(): string | undefined {
  if (!granted({ name: "env", variable: "NECKAR_DATA" })) return undefined;
  return Deno.env.get("NECKAR_DATA");
}

function exists(path: string): boolean {
  try {
    Deno.statSync(path);
    return true;
  } catch {
    return false;
  }
}

/**
 * Register a test on real data: `path` is looked up in the folder that the environment variable
 * NECKAR_DATA names, and handed to the test whole.
 */
export function dataTest(
  name: string,
  path: string,
  fn: (path: string, t: Deno.TestContext) => void | Promise<void>,
  permissions: Permission[] = [],
): void {
  const folder = dataFolder();
  const whole = folder === undefined ? "" : join(folder, path);
  const reason = folder === undefined
    ? "skipped: NECKAR_DATA is not set, or --allow-env is missing"
    : exists(whole)
    ? undefined
    : `skipped: NECKAR_DATA has no ${path}`;
  if (reason === undefined) return permissionTest(name, permissions, (t) => fn(whole, t));
  Deno.test({ name: `${name} (${reason})`, ignore: true, fn: () => {} });
}

async function probe(options: OpenGpuOptions): Promise<Gpu | string> {
  try {
    return await openGpu(options);
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
 * Options open a second device, for instance to force the other kernel bodies.
 */
export function gpuTest(
  name: string,
  fn: (gpu: Gpu, t: Deno.TestContext) => void | Promise<void>,
  options: OpenGpuOptions = {},
): void {
  if (typeof first === "string") {
    Deno.test({ name: `${name} (skipped: no adapter)`, ignore: true, fn: () => {} });
    return;
  }
  Deno.test({
    name,
    sanitizeResources: false,
    sanitizeOps: false,
    fn: async (t) => {
      const gpu = await open(options);
      if (typeof gpu === "string") throw new Error(gpu);
      const before = gpu.pool.liveBuffers;
      await fn(gpu, t);
      gpu.flush();
      const after = gpu.pool.liveBuffers;
      assert(after === before, `the test leaves ${after - before} buffers alive`);
    },
  });
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

/** The largest |a - b| / max(1e-8 + |a|max, |b|max) over two arrays: relative to the array's scale. */
export function relativeError(a: ArrayLike<number>, b: ArrayLike<number>): number {
  assert(a.length === b.length, `lengths differ: ${a.length} and ${b.length}`);
  let difference = 0;
  let scale = 1e-8;
  for (let i = 0; i < a.length; i++) {
    assert(Number.isFinite(a[i]) && Number.isFinite(b[i]), `not finite at ${i}: ${a[i]}, ${b[i]}`);
    difference = Math.max(difference, Math.abs(a[i] - b[i]));
    scale = Math.max(scale, Math.abs(a[i]), Math.abs(b[i]));
  }
  return difference / scale;
}

/** n numbers spread evenly from `from` to `to`: inputs with no seed. */
export function linspace(from: number, to: number, n: number): Float64Array {
  return Float64Array.from(
    { length: n },
    (_, i) => n === 1 ? from : from + (to - from) * i / (n - 1),
  );
}
