/**
 * Kills each task at random moments, with KILL, TERM, HUP and INT, and looks at what is left: no file is half
 * written under its final name; after TERM, HUP and INT what was learned is there, with the signal's exit code;
 * what can be gone on with comes to its end. Not one of the tests: it takes some minutes.
 *
 * ```sh
 * deno run --allow-all tests/faults/kill.ts --kills=100
 * ```
 */
import { parseArgs } from "@std/cli";
import { join } from "@std/path";
import { decodeImage } from "../../data/images/image.ts";
import { RandomStream } from "../../data/rng.ts";
import { readSafetensors } from "../../data/formats/safetensors.ts";
import { STOPPED } from "../../tasks/lib/main.ts";
import { hasLosses, jsonLines, runTaskProcess, taskCommand } from "../tasks/task_process.ts";
import { prepare, type Subject } from "./subjects.ts";

const SIGNALS = ["SIGKILL", "SIGTERM", "SIGHUP", "SIGINT"] as const;

/** Every file below a folder. */
function* files(folder: string): Generator<string> {
  for (const entry of Deno.readDirSync(folder)) {
    const path = join(folder, entry.name);
    if (entry.isDirectory) yield* files(path);
    else yield path;
  }
}

/** What is wrong with a file that has its final name; nothing where it is whole. */
async function damage(path: string): Promise<string | undefined> {
  const ending = path.slice(path.lastIndexOf(".") + 1);
  try {
    switch (ending) {
      case "part":
        return undefined;
      case "safetensors":
        await readSafetensors(path);
        return undefined;
      case "json":
        JSON.parse(Deno.readTextFileSync(path));
        return undefined;
      case "jsonl":
        if (Deno.statSync(path).size > 0) jsonLines(path);
        return undefined;
      case "png":
        await decodeImage(path);
        return undefined;
      case "html":
      case "svg":
        return Deno.readTextFileSync(path).trimEnd().endsWith(`</${ending}>`)
          ? undefined
          : "is cut";
      case "txt":
        return Deno.readTextFileSync(path).split("\n").length === 4001 ? undefined : "is cut";
      default:
        return "is a file of an unknown kind";
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

/** The one run folder below `out`, if it has come to be. */
function runOf(out: string, task: string): string | undefined {
  try {
    const [run] = [...Deno.readDirSync(join(out, task))];
    return run && join(out, task, run.name);
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return undefined;
    throw error;
  }
}

/** Records that stand twice in a run's metrics. */
function repeated(run: string): string[] {
  const seen = new Set<string>();
  return jsonLines(join(run, "metrics.jsonl")).flatMap(({ seed, step, epoch, keptEpoch }) => {
    const key = JSON.stringify({ seed, step, epoch, keptEpoch });
    if (seen.has(key)) return [key];
    seen.add(key);
    return [];
  });
}

/** What came of a kill. */
interface Outcome {
  task: string;
  signal: typeof SIGNALS[number];
  /** Where it was: before there was anything to keep, while it learned, or over already. */
  moment: "early" | "learning" | "over";
  /** From the signal to the end of the process. */
  milliseconds: number;
  faults: string[];
}

const wait = (milliseconds: number) => new Promise((resolve) => setTimeout(resolve, milliseconds));

/** Start a task, kill it after so long or while it learns, and look at what is left. */
async function kill(
  { task, flags, kept, resumes }: Subject,
  signal: Outcome["signal"],
  { after, learning }: { after: number; learning: boolean },
  out: string,
): Promise<Outcome> {
  await Deno.mkdir(out, { recursive: true });
  const child = taskCommand(task, flags(out)).spawn();
  const output = child.output();
  let over = false;
  child.status.then(() => over = true);
  if (!learning) await wait(after);
  // Half of the kills fall into the learning itself, which is short beside the start.
  while (learning && !over && !hasLosses(join(out, task))) await wait(10);
  if (learning) await wait(after / 4);
  const moment = over ? "over" : hasLosses(join(out, task)) ? "learning" : "early";
  const at = performance.now();
  if (moment !== "over") child.kill(signal);
  const { code, stderr } = await output;
  const milliseconds = moment === "over" ? 0 : performance.now() - at;
  const said = new TextDecoder().decode(stderr);
  const faults: string[] = [];
  const expected = signal === "SIGKILL" ? 137 : STOPPED[signal];
  // A task may end in the moment before the signal comes.
  if (code !== expected && code !== 0) faults.push(`exit code ${code}: ${said}`);
  if (/unexpected error|\n\s+at /.test(said)) faults.push(said);
  for (const path of files(out)) {
    const wrong = await damage(path);
    if (wrong !== undefined) faults.push(`${path} ${wrong}`);
  }
  const run = runOf(out, task);
  if (signal !== "SIGKILL" && moment === "learning" && run !== undefined) {
    for (const name of kept) {
      const there = await Deno.stat(join(run, name)).then(() => true, () => false);
      if (!there) faults.push(`${name} is missing`);
    }
  }
  if (
    resumes && run !== undefined && await Deno.stat(join(run, "config.json")).catch(() => false)
  ) {
    const again = await runTaskProcess(task, [`--resume=${run}`]);
    if (again.code !== 0) faults.push(`resuming ended with ${again.code}: ${again.stderr}`);
    else faults.push(...repeated(run).map((key) => `${key} stands twice after resuming`));
  }
  return { task, signal, moment, milliseconds, faults };
}

const given = parseArgs(Deno.args, {
  string: ["kills", "seed", "only"],
  default: { kills: "100", seed: "1" },
});
const folder = await Deno.makeTempDir();
try {
  const all = await prepare(folder);
  const subjects = all.filter(({ task }) => given.only === undefined || given.only === task);
  const times = new Map<string, number>();
  for (const { task, flags } of subjects) {
    const out = join(folder, "whole", task);
    await Deno.mkdir(out, { recursive: true });
    const start = performance.now();
    const whole = await runTaskProcess(task, flags(out));
    times.set(task, performance.now() - start);
    if (whole.code !== 0) throw new Error(`${task} does not run: ${whole.stderr}`);
  }
  const stream = new RandomStream(Number(given.seed));
  const outcomes: Outcome[] = [];
  for (let i = 0; i < Number(given.kills); i++) {
    const subject = subjects[i % subjects.length];
    const signal = SIGNALS[stream.integer(SIGNALS.length)];
    const after = stream.uniform() * 0.9 * times.get(subject.task)!;
    const learning = subject.kept.length > 0 && stream.uniform() < 0.6;
    const out = join(folder, "killed", String(i));
    const outcome = await kill(subject, signal, { after, learning }, out);
    outcomes.push(outcome);
    for (const fault of outcome.faults) {
      console.log(`${outcome.task}, ${signal}, ${outcome.moment}: ${fault}`);
    }
    await Deno.remove(out, { recursive: true });
  }
  for (const signal of SIGNALS) {
    const own = outcomes.filter((outcome) => outcome.signal === signal);
    const count = (moment: string) => own.filter((outcome) => outcome.moment === moment).length;
    const waits = own.map(({ milliseconds }) => milliseconds);
    console.log(
      `${signal.padEnd(7)}  ${own.length} kills: ${count("early")} early, ${
        count("learning")
      } while learning, ${count("over")} after the end; ended within ${
        Math.round(Math.max(0, ...waits))
      } ms, ${waits.filter((wait) => wait > 2000).length} after more than 2 s`,
    );
  }
  const faults = outcomes.reduce((sum, { faults }) => sum + faults.length, 0);
  console.log(`${outcomes.length} kills over ${subjects.length} tasks, ${faults} faults`);
  if (faults > 0) Deno.exitCode = 1;
} finally {
  await Deno.remove(folder, { recursive: true });
}
