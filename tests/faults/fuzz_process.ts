/**
 * Damages files and reads them: `fuzz_process.ts TARGET SEED FROM TO`. Says on each line what it is about to read
 * and how it went, so that the process that watches knows where it hung.
 */
import { join } from "@std/path";
import { RandomStream } from "../../data/rng.ts";
import { mutate } from "../data/mutate.ts";
import { makeTargets } from "./fuzz_targets.ts";
import { tryReading } from "./readers.ts";

const [number, seed, from, to] = Deno.args.map(Number);
const target = (await makeTargets())[number];
const stream = new RandomStream(seed).split(target.name);
const folder = await Deno.makeTempDir();
const encoder = new TextEncoder();
const say = (line: unknown) => Deno.stdout.writeSync(encoder.encode(`${JSON.stringify(line)}\n`));
try {
  for (let i = from; i < to; i++) {
    const place = join(folder, `place-${i}`);
    await Deno.mkdir(place);
    const bytes = mutate(target.files, stream.split(i));
    const path = await target.place(bytes, place);
    say({ i });
    say({ i, ...await tryReading(target.format, path) });
    await Deno.remove(place, { recursive: true });
  }
} finally {
  await Deno.remove(folder, { recursive: true });
}
Deno.exit(0);
