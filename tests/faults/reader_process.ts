/** Reads one path in a process of its own: `reader_process.ts FORMAT PATH`. Prints the outcome as JSON. */
import { type Format, tryReading } from "./readers.ts";

const [format, path] = Deno.args;
const outcome = await tryReading(format as Format, path);
const peak = Number(Deno.readTextFileSync("/proc/self/status").match(/VmHWM:\s+(\d+) kB/)?.[1]);
console.log(JSON.stringify({ ...outcome, peakKilobytes: peak }));
Deno.exit(0);
