/** Processes under watch: how long they take and how much memory. */

/** A file may take so long, in milliseconds, and the process that reads it so much memory, in bytes. */
export const MOST_MS = 5000, MOST_BYTES = 500e6;

/** The memory of a process, in bytes: what it holds now, and at most so far. Nothing where it has ended. */
export function memoryOf(pid: number): { now: number; peak: number } | undefined {
  try {
    const status = Deno.readTextFileSync(`/proc/${pid}/status`);
    const bytes = (key: string) => 1024 * Number(status.match(`${key}:\\s+(\\d+) kB`)?.[1] ?? 0);
    return { now: bytes("VmRSS"), peak: bytes("VmHWM") };
  } catch (error) {
    if (error instanceof Deno.errors.NotFound || error instanceof Deno.errors.PermissionDenied) {
      return undefined;
    }
    throw error;
  }
}

/** How a watched process ended. */
export interface Watched {
  stdout: string;
  stderr: string;
  /** Why it was ended by force. */
  killed?: string;
  peak: number;
  milliseconds: number;
}

/** Run a script under watch. It has `grace` milliseconds more than {@link MOST_MS}, to start in. */
export async function watch(script: string, args: string[], grace = 3000): Promise<Watched> {
  const command = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", script, ...args],
    stdout: "piped",
    stderr: "piped",
  });
  const start = performance.now();
  const child = command.spawn();
  let [peak, killed] = [0, undefined as string | undefined];
  const timer = setInterval(() => {
    const memory = memoryOf(child.pid);
    peak = Math.max(peak, memory?.peak ?? 0);
    const seconds = (performance.now() - start) / 1000;
    if (seconds * 1000 > MOST_MS + grace) killed ??= `after ${seconds.toFixed(1)} s`;
    if (peak > 2 * MOST_BYTES) killed ??= `at ${Math.round(peak / 1e6)} MB`;
    if (killed === undefined) return;
    try {
      child.kill("SIGKILL");
    } catch {
      // It has just ended by itself.
    }
  }, 20);
  const { stdout, stderr } = await child.output();
  clearInterval(timer);
  const decoder = new TextDecoder();
  return {
    stdout: decoder.decode(stdout),
    stderr: decoder.decode(stderr),
    ...(killed === undefined ? {} : { killed }),
    peak,
    milliseconds: performance.now() - start,
  };
}
