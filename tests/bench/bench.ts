/**
 * `deno task bench`: how fast the kernels and the models' training steps are, in turn with PyTorch
 * within one run, so that a machine whose speed drifts cannot favour either. The figure to quote is the
 * ratio.
 */
import { type Gpu, openGpu } from "../../kernels/runtime/gpu.ts";
import type { CellType } from "../../models/layers/layers.ts";
import { defineFlags, integer, parseFlags, text, UsageError } from "../../tasks/lib/flags.ts";
import { runTask } from "../../tasks/lib/main.ts";
import { cpuName, driverVersion } from "./machine.ts";
import { type Peer, startPeer } from "./peer.ts";
import { sentenceSubjects } from "./sentences.ts";
import { captionerSteps, millisecondsOf, products } from "./steps.ts";
import type { Subject } from "./subject.ts";
import { visionSubjects } from "./vision.ts";

const flags = defineFlags({
  rounds: integer({ default: 9, min: 1, max: 100, help: "How often each subject takes its turn" }),
  steps: integer({
    default: 20,
    min: 1,
    max: 1000,
    help: "Training steps of a turn; the loss is read once",
  }),
  only: text({
    optional: true,
    help: "Time only subjects whose name has this in it, such as lstm",
  }),
});

function median(values: readonly number[]): number {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function product(gpu: Gpu, m: number, k: number, n: number, kind: "NN" | "NT" | "TN"): Subject {
  const steps = products(gpu, kind, { m, k, n });
  const flops = 2 * m * k * n;
  return {
    name: `product ${kind} ${m} x ${k} x ${n}`,
    peerName: `matmul${kind}:${m}x${k}x${n}`,
    // Enough work in a turn that the wait at its end counts for little.
    // A GPU also sleeps 10 ms before it says that it has ended.
    runs: gpu.adapter.isFallback
      ? Math.max(2, Math.round(1e10 / flops))
      : Math.min(2000, Math.max(20, Math.round(4e12 / flops))),
    flops,
    ours: (runs) => millisecondsOf(steps, runs),
  };
}

function captionerStep(gpu: Gpu, cell: CellType, runs: number): Subject {
  const steps = captionerSteps(gpu, cell, { batch: 25, steps: 17, vocabulary: 1004, hidden: 512 });
  const { counts } = gpu.recorder;
  const subject: Subject = {
    name: `${cell.toUpperCase()} captioner step`,
    peerName: cell,
    runs,
    async ours(runs) {
      const before = { ...counts };
      const ms = await millisecondsOf(steps, runs);
      const dispatches = (counts.dispatches - before.dispatches) / runs;
      const submits = (counts.submits - before.submits) / runs;
      subject.note = `${dispatches} dispatches, ${submits} submits a step`;
      return ms;
    },
  };
  return subject;
}

async function measure(
  subject: Subject,
  rounds: number,
  peer: Peer | undefined,
): Promise<string[]> {
  await subject.ours(subject.warmUp ?? 2); // compile
  if (peer !== undefined) {
    await subject.prepare?.(peer);
    await peer.time(subject.peerName, 2);
  }
  const ours: number[] = [];
  const theirs: number[] = [];
  for (let i = 0; i < Math.min(rounds, subject.rounds ?? rounds); i++) {
    ours.push(await subject.ours(subject.runs));
    if (peer !== undefined) theirs.push(await peer.time(subject.peerName, subject.runs));
  }
  const speed = (ms: number) =>
    subject.flops === undefined ? "" : (subject.flops / ms / 1e6).toFixed(1);
  return [
    subject.name,
    median(ours).toFixed(2),
    Math.min(...ours).toFixed(2),
    speed(median(ours)),
    ...(peer === undefined ? ["", "", "", ""] : [
      median(theirs).toFixed(2),
      Math.min(...theirs).toFixed(2),
      (median(ours) / median(theirs)).toFixed(2),
      (median(ours) / Math.min(...theirs)).toFixed(2),
    ]),
    subject.note ?? "",
  ];
}

function table(rows: string[][]): string {
  const widths = rows[0].map((_, i) => Math.max(...rows.map((row) => row[i].length)));
  return rows.map((row) =>
    row.map((cell, i) =>
      i === 0 || i === row.length - 1 ? cell.padEnd(widths[i]) : cell.padStart(widths[i])
    )
      .join("  ").trimEnd()
  ).join("\n");
}

function allSubjects(gpu: Gpu, steps: number): Subject[] {
  return [
    captionerStep(gpu, "lstm", steps),
    captionerStep(gpu, "rnn", steps),
    ...sentenceSubjects(gpu),
    ...visionSubjects(gpu),
    product(gpu, 256, 256, 256, "NN"),
    product(gpu, 512, 512, 512, "NN"),
    product(gpu, 1024, 1024, 1024, "NN"),
    ...(gpu.adapter.isFallback ? [] : [2048, 4096, 8192].map((n) => product(gpu, n, n, n, "NN"))),
    product(gpu, 425, 256, 2048, "NN"), // words to gates
    product(gpu, 25, 512, 2048, "NN"), // states to gates
    product(gpu, 425, 512, 1004, "NN"), // states to scores
    product(gpu, 425, 1004, 512, "NT"), // score gradients to states
    product(gpu, 512, 425, 2048, "TN"), // the recurrent weights' gradient
  ];
}

async function main(): Promise<void> {
  const { rounds, steps, only = "" } = parseFlags(flags, Deno.args, {
    task: "bench",
    summary:
      "Time the training steps of the captioner, the sentence classifiers and the networks for pictures, and matrix products, in turn with PyTorch.",
    examples: ["deno task bench", "deno task bench --rounds=21", "deno task bench --only=sentence"],
  });
  using gpu = await openGpu();
  const all = allSubjects(gpu, steps);
  const subjects = all.filter(({ name }) => name.includes(only));
  if (subjects.length === 0) {
    const names = all.map(({ name }) => name).join("; ");
    throw new UsageError(`No subject has "${only}" in its name: there are ${names}`);
  }
  const peer = await startPeer(!gpu.adapter.isFallback);
  console.log(`${await cpuName()}, ${navigator.hardwareConcurrency} cores`);
  console.log(
    `neckar on ${gpu.adapter.description}${await driverVersion()}, ${gpu.path} kernels, Deno ${Deno.version.deno}`,
  );
  console.log(
    typeof peer === "string"
      ? `no peer: ${peer}`
      : `PyTorch ${peer.version} on ${peer.device}, float32`,
  );
  console.log(
    `${rounds} turns each; milliseconds of a run, averaged over a turn.\nratio: our median to its median, and to its least\n`,
  );
  const rows = [["", "median", "least", "GFLOP/s", "PyTorch", "least", "ratio", "to least", ""]];
  for (const subject of subjects) {
    rows.push(await measure(subject, rounds, typeof peer === "string" ? undefined : peer));
  }
  console.log(table(rows));
  if (typeof peer !== "string") await peer.close();
}

await runTask(main);
