/**
 * Kills tasks that train at random moments, by SIGKILL, goes on with them until they end, and compares the model with
 * that of a run that was never killed: every bit must be the same. As a control the optimizer's moments are taken out
 * of a checkpoint: then the model must be another one. Not one of the tests: it takes some minutes.
 *
 * ```sh
 * deno run --allow-all tests/faults/resume.ts --kills=100 --only=caption-lstm
 * ```
 */
import { parseArgs } from "@std/cli";
import { join } from "@std/path";
import { RandomStream } from "../../data/rng.ts";
import { readSafetensors, writeSafetensors } from "../../data/formats/safetensors.ts";
import { taskCommand } from "../tasks/task_process.ts";

/** Small runs of all that trains: a few seconds each. */
const RUNS: Record<string, string[]> = {
  "caption-lstm": ["--scenes=1200", "--epochs=3", "--dropout=0.2", "--hidden=64"],
  "caption-rnn": ["--scenes=1200", "--epochs=3", "--optimizer=sgd", "--lr=0.05", "--keep=last"],
  "text-average": [
    "--reviews=6000",
    "--epochs=20",
    "--patience=0",
    "--average=0.99",
    "--dropout=0.3",
  ],
  "text-best": ["--reviews=800", "--epochs=2", "--members=2", "--hidden=24"],
  "text-lstm": ["--reviews=1500", "--epochs=3", "--seeds=2", "--word-dropout=0.2"],
  "transfer-finetune": ["--epochs=2", "--optimizer=sgd"],
  "transfer-freeze": ["--epochs=2"],
  "style-starry": ["--iterations=120"],
};

/** The last checkpoint of a run: each seed has one. */
function checkpointOf(run: string): string {
  const names = [...Deno.readDirSync(run)].map(({ name }) => name);
  return join(run, names.filter((name) => /^checkpoint.*safetensors$/.test(name)).sort().at(-1)!);
}

/** The model, or the picture, that a run leaves. */
const RESULTS = ["model.safetensors", "result.png"];

const flags = parseArgs(Deno.args, { string: ["kills", "seed", "only"] });
const stream = new RandomStream(Number(flags.seed ?? 1));
const only = (flags.only as string | undefined)?.split(",") ?? Object.keys(RUNS);
const folder = Deno.makeTempDirSync();

function start(task: string, args: readonly string[]): Deno.ChildProcess {
  return taskCommand(task, args).spawn();
}

async function finish(child: Deno.ChildProcess): Promise<void> {
  const { code, stderr } = await child.output();
  if (code !== 0) throw new Error(new TextDecoder().decode(stderr));
}

/** The one run below a folder, once there is one with a config. */
function runOf(out: string, task: string): string | undefined {
  try {
    const [{ name }] = [...Deno.readDirSync(join(out, task))];
    Deno.statSync(join(out, task, name, "config.json"));
    return join(out, task, name);
  } catch {
    return undefined;
  }
}

/** The SHA-256 of what a run left. */
async function hashOf(run: string): Promise<string> {
  const name = RESULTS.find((name) => [...Deno.readDirSync(run)].some((one) => one.name === name));
  const digest = await crypto.subtle.digest("SHA-256", Deno.readFileSync(join(run, name!)));
  return new Uint8Array(digest).toHex();
}

/** Run with kills until it comes to its end: what it left, and how often it was killed. */
async function killed(task: string, args: string[], out: string, seconds: number, most: number) {
  let kills = 0;
  while (true) {
    const run = runOf(out, task);
    const child = start(task, run === undefined ? [...args, `--out=${out}`] : [`--resume=${run}`]);
    if (kills < most) {
      const timer = setTimeout(() => {
        try {
          child.kill("SIGKILL");
        } catch {
          // It has ended.
        }
      }, 1000 * (0.5 + stream.uniform() * seconds));
      const { code, signal, stderr } = await child.output();
      clearTimeout(timer);
      if (code === 0) break;
      if (signal !== "SIGKILL") throw new Error(new TextDecoder().decode(stderr));
      kills++;
    } else {
      await finish(child);
      break;
    }
  }
  return { run: runOf(out, task)!, kills };
}

/** The steps that a run's checkpoint holds. */
async function stepsOf(run: string): Promise<number> {
  const { tensors } = await readSafetensors(checkpointOf(run));
  return tensors.get("run/losses")!.data.length;
}

/** Forget the optimizer's moments in a checkpoint. */
async function forgetMoments(run: string): Promise<void> {
  const path = checkpointOf(run);
  const { tensors, metadata } = await readSafetensors(path);
  for (const [key, tensor] of tensors) {
    if (/^optimizer\//.test(key)) (tensor.data as Float32Array).fill(0);
  }
  await writeSafetensors(path, tensors, metadata);
}

let faults = 0;
const wanted = Number(flags.kills ?? 100);
for (const task of only) {
  const args = [...RUNS[task], "--save-every=0.5"];
  const began = performance.now();
  await finish(start(task, [...args, `--out=${join(folder, task, "whole")}`]));
  const seconds = (performance.now() - began) / 1000;
  const whole = runOf(join(folder, task, "whole"), task)!;
  const [expected, steps] = [await hashOf(whole), await stepsOf(whole)];
  let [kills, runs, different] = [0, 0, 0];
  while (kills < Math.ceil(wanted / only.length)) {
    const out = join(folder, task, `${runs++}`);
    const result = await killed(task, args, out, seconds, 4);
    kills += result.kills;
    if (await hashOf(result.run) !== expected) different++;
  }
  faults += different;
  // The control: killed once before its end.
  let control = "no checkpoint was caught";
  for (let attempt = 0; attempt < 10; attempt++) {
    const out = join(folder, task, `control-${attempt}`);
    const child = start(task, [...args, `--out=${out}`]);
    const timer = setTimeout(() => child.kill("SIGKILL"), 1000 * seconds * (0.25 + 0.05 * attempt));
    const { code } = await child.output();
    clearTimeout(timer);
    const run = runOf(out, task);
    if (code === 0 || run === undefined) continue;
    let done = 0;
    try {
      done = await stepsOf(run);
    } catch {
      // None was written yet.
    }
    if (done === 0 || done > 0.8 * steps) continue;
    await forgetMoments(run);
    await finish(start(task, [`--resume=${run}`]));
    control = await hashOf(run) === expected ? "THE SAME WITHOUT MOMENTS" : "differs";
    break;
  }
  if (control !== "differs") faults++;
  console.log(
    `${task.padEnd(18)} ${kills} kills in ${runs} runs of ${seconds.toFixed(1)} s: ` +
      `${different} models differ; without the optimizer's moments the model ${control}`,
  );
}
console.log(`${faults} faults`);
Deno.removeSync(folder, { recursive: true });
Deno.exit(faults === 0 ? 0 : 1);
