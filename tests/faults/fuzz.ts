/**
 * Damages sound files of every format and lets the product read them, in processes under watch. Whatever the
 * damage, a file must be read or refused in one clear sentence, within 5 s and 500 MB.
 *
 * `deno run --allow-all tests/faults/fuzz.ts [--files=50000] [--seed=1] [--only=TEXT] [--processes=2]`
 */
import { dirname, fromFileUrl, join } from "@std/path";
import { TextLineStream } from "./lines.ts";
import { makeTargets, type Target } from "./fuzz_targets.ts";
import { memoryOf, MOST_BYTES, MOST_MS } from "./process.ts";
import type { Outcome } from "./readers.ts";

/** What is known of a target's files so far. */
interface Tally {
  read: number;
  refused: number;
  slowest: number;
  peak: number;
  faults: string[];
  messages: Set<string>;
}

function flag(name: string, fallback: string): string {
  return Deno.args.find((arg) => arg.startsWith(`--${name}=`))?.split("=")[1] ?? fallback;
}

const SCRIPT = join(dirname(fromFileUrl(import.meta.url)), "fuzz_process.ts");
const SEED = flag("seed", "1");

/** Read the damaged files `from` to `to` of a target; where it had to be ended, the file at which it was. */
async function run(
  number: number,
  [from, to]: [number, number],
  tally: Tally,
): Promise<number | undefined> {
  const child = new Deno.Command(Deno.execPath(), {
    args: ["run", "--allow-all", "--no-check", SCRIPT, ...[number, SEED, from, to].map(String)],
    stdout: "piped",
    stderr: "inherit",
  }).spawn();
  let [current, since, killed] = [from - 1, performance.now() + 20_000, ""];
  const timer = setInterval(() => {
    const memory = memoryOf(child.pid);
    if (memory === undefined) return;
    if (performance.now() - since > MOST_MS) killed ||= "too slow";
    tally.peak = Math.max(tally.peak, memory.peak);
    if (memory.now > MOST_BYTES) killed ||= `${Math.round(memory.now / 1e6)} MB`;
    if (killed !== "") child.kill("SIGKILL");
  }, 50);
  const lines = child.stdout.pipeThrough(new TextDecoderStream()).pipeThrough(new TextLineStream());
  for await (const line of lines) {
    const said: { i: number } & Partial<Outcome> = JSON.parse(line);
    since = performance.now();
    if (said.milliseconds === undefined) {
      current = said.i;
      continue;
    }
    current = said.i + 1;
    tally.slowest = Math.max(tally.slowest, said.milliseconds);
    if (said.fault !== undefined) tally.faults.push(`file ${said.i}: ${said.fault}`);
    else if (said.refusal === undefined) tally.read++;
    else {
      tally.refused++;
      tally.messages.add(said.refusal.replaceAll(/\/tmp\S*|\d+|"[^"]*"/g, "…"));
    }
  }
  const { code } = await child.status;
  clearInterval(timer);
  if (current === to && code === 0) return undefined;
  if (killed === "") {
    tally.faults.push(`file ${current}: the process ended with code ${code}`);
    return current + 1;
  }
  if (to - from === 1) {
    tally.faults.push(`file ${current}: ${killed}`);
    return to;
  }
  // What others left may be to blame: once more, alone.
  await run(number, [current, current + 1], tally);
  return current + 1;
}

/** So many files a process reads before a new one takes over. */
const BATCH = 2000;

async function fuzz(target: Target, number: number, files: number): Promise<Tally> {
  const tally: Tally = {
    ...{ read: 0, refused: 0, slowest: 0, peak: 0 },
    faults: [],
    messages: new Set(),
  };
  let from = 0;
  while (from < files && tally.faults.length < 20) {
    const to = Math.min(from + BATCH, files);
    from = await run(number, [from, to], tally) ?? to;
  }
  const { read, refused, slowest, peak, faults, messages } = tally;
  console.log(
    `${target.name}: ${read} read, ${refused} refused in ${messages.size} ways, ${faults.length} ` +
      `faults; at most ${Math.round(slowest)} ms and ${Math.round(peak / 1e6)} MB`,
  );
  for (const fault of faults) console.log(`  ${fault}`);
  return tally;
}

const [files, processes] = [Number(flag("files", "50000")), Number(flag("processes", "2"))];
const only = flag("only", "");
const targets = await makeTargets();
const total = targets.reduce((sum, { share }) => sum + share, 0);
const queue = [...targets.entries()].filter(([, { name }]) => name.includes(only));
const tallies: Tally[] = [];
const worker = async () => {
  for (let next = queue.shift(); next !== undefined; next = queue.shift()) {
    const [number, target] = next;
    tallies.push(await fuzz(target, number, Math.ceil(files * target.share / total)));
  }
};
await Promise.all(Array.from({ length: processes }, worker));
const sum = (value: (tally: Tally) => number) => tallies.reduce((all, one) => all + value(one), 0);
const faults = sum((tally) => tally.faults.length);
console.log(
  `${sum((tally) => tally.read + tally.refused)} files, ${faults} faults; at most ` +
    `${Math.round(Math.max(...tallies.map(({ slowest }) => slowest)))} ms and ` +
    `${Math.round(Math.max(...tallies.map(({ peak }) => peak)) / 1e6)} MB`,
);
Deno.exit(faults === 0 ? 0 : 1);
