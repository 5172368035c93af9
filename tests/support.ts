/**
 * How tests say what they need: real data, or a permission (gpu_support.ts: an adapter).
 * What is missing skips the test, with the reason in its name.
 */
import { join } from "@std/path";
import { assert } from "@std/assert";

/** A permission that a test needs. */
export type Permission = Deno.PermissionDescriptor;

/** Whether a permission is granted. */
export function granted(permission: Permission): boolean {
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
