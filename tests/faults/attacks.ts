/**
 * Reads files that are made to harm, each in a process of its own, and says what they cost. Each must end within
 * 5 s and 500 MB: read, or refused in one clear sentence.
 *
 * `deno run --allow-all tests/faults/attacks.ts [--only=TEXT]`
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { FOLDER_ATTACKS } from "./attack_folders.ts";
import { WEIGHT_ATTACKS } from "./attack_weights.ts";
import { MOST_BYTES, MOST_MS, watch } from "./process.ts";
import type { Format, Outcome } from "./readers.ts";

/** A file or folder that is made to harm. */
export interface Attack {
  name: string;
  format: Format;
  /** The bytes of a file; or it writes a file or folder to the path itself. */
  make(path: string): Uint8Array | Promise<Uint8Array | void>;
}

if (import.meta.main) {
  const only = Deno.args.find((arg) => arg.startsWith("--only="))?.slice("--only=".length) ?? "";
  const attacks = [...WEIGHT_ATTACKS, ...FOLDER_ATTACKS].filter(({ name }) => name.includes(only));
  let faults = 0;
  let [slowest, largest] = [0, 0];
  for (const attack of attacks) {
    const { line, isFault, milliseconds, peak } = await carryOut(attack);
    if (isFault) faults++;
    [slowest, largest] = [Math.max(slowest, milliseconds), Math.max(largest, peak)];
    console.log(line);
  }
  console.log(
    `${attacks.length} attacks, ${faults} faults; the slowest took ${
      (slowest / 1000).toFixed(1)
    } s, ` +
      `the largest process ${Math.round(largest / 1e6)} MB`,
  );
  Deno.exit(faults === 0 ? 0 : 1);
}

async function carryOut(attack: Attack) {
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "attack.bin");
    const bytes = await attack.make(path);
    if (bytes) await Deno.writeFile(path, bytes);
    const script = join(dirname(fromFileUrl(import.meta.url)), "reader_process.ts");
    const { stdout, stderr, killed, peak } = await watch(script, [attack.format, path]);
    const outcome: Outcome & { peakKilobytes?: number } = killed === undefined && stdout !== ""
      ? JSON.parse(stdout.trim().split("\n").pop()!)
      : { fault: killed ? `ended by force ${killed}` : stderr.slice(-500), milliseconds: 0 };
    const most = Math.max(peak, 1024 * (outcome.peakKilobytes ?? 0));
    const { milliseconds } = outcome;
    const fault = outcome.fault ??
      (milliseconds > MOST_MS ? "too slow" : most > MOST_BYTES ? "too much memory" : undefined);
    const said = (outcome.refusal ?? "read").replaceAll(folder, "…").slice(0, 150);
    const line = `${fault === undefined ? "ok   " : "FAULT"} ${attack.name}: ` +
      `${Math.round(milliseconds)} ms, ${Math.round(most / 1e6)} MB: ` +
      `${fault === undefined ? "" : `${fault}; `}${said}`;
    return { line, isFault: fault !== undefined, milliseconds, peak: most };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
