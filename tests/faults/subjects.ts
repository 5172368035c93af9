/** The tasks that are killed, on small data of their own, and what must be left of each. */
import { join } from "@std/path";
import { encodePng } from "../../data/images/image.ts";
import { RandomStream } from "../../data/rng.ts";
import { writeSafetensors } from "../../data/formats/safetensors.ts";
import { noise } from "../data/images/images.ts";
import { randomSqueezeNet } from "../tasks/small_network.ts";
import { runTaskProcess } from "../tasks/task_process.ts";

/** A task to kill. */
export interface Subject {
  task: string;
  /** Its flags; what it writes goes below `out`. */
  flags: (out: string) => string[];
  /** Once its run folder has a loss, a polite signal must leave these files in it. */
  kept: string[];
  /** Whether an interrupted run can be gone on with. */
  resumes?: boolean;
}

/** Pictures of two classes, weights, and trained models in `folder`. */
export async function prepare(folder: string): Promise<Subject[]> {
  const colors = join(folder, "colors");
  for (const [part, count] of [["train", 9], ["val", 6]] as const) {
    for (const [label, name] of ["blue", "red"].entries()) {
      await Deno.mkdir(join(colors, part, name), { recursive: true });
      for (let i = 0; i < count; i++) {
        const path = join(colors, part, name, `${i}.png`);
        await Deno.writeFile(path, await encodePng(noise(40, 36, 10 * i + label)));
      }
    }
  }
  const images = `--images=${join(colors, "val", "red")}`;
  const [narrow, whole] = [join(folder, "narrow.safetensors"), join(folder, "whole.safetensors")];
  await writeSafetensors(narrow, await randomSqueezeNet(3, 1 / 16));
  await writeSafetensors(whole, await randomSqueezeNet(3));
  const words = ["good", "bad", "food", "was", "the", "not", "very", "late"];
  const stream = new RandomStream(4);
  const line = () => Array.from({ length: 3 + stream.integer(9) }, () => words[stream.integer(8)]);
  const lines = join(folder, "lines.txt");
  await Deno.writeTextFile(
    lines,
    Array.from({ length: 4000 }, () => `${line().join(" ")}\n`).join(""),
  );
  const text = ["--reviews=300", "--patience=0", "--read-every=3"];
  const model = join(folder, "model");
  await Deno.mkdir(model);
  const trained = await runTaskProcess("text-average", [...text, "--epochs=1", `--out=${model}`]);
  if (trained.code !== 0) throw new Error(trained.stderr);
  const run = [...Deno.readDirSync(join(model, "text-average"))][0].name;
  const to = (out: string) => `--out=${out}`;
  const pictures = join(colors, "train");
  const own = [
    `--content=${join(pictures, "red", "0.png")}`,
    `--style=${join(pictures, "blue", "0.png")}`,
  ];
  const report = ["index.html", "loss.svg", "config.json", "metrics.jsonl"];
  return [
    {
      task: "caption-lstm",
      flags: (out) => [
        ...["--scenes=60", "--max-val=40", "--hidden=24", "--words=8", "--epochs=12"],
        ...["--read-every=3", to(out)],
      ],
      kept: [...report, "model.safetensors"],
    },
    {
      task: "caption-rnn",
      flags: (out) => [
        ...["--scenes=60", "--max-val=40", "--hidden=24", "--words=8", "--epochs=40"],
        ...["--read-every=3", "--keep=last", to(out)],
      ],
      kept: [...report, "model.safetensors"],
    },
    {
      task: "text-lstm",
      flags: (out) => [...text, "--hidden=12", "--epochs=15", to(out)],
      kept: [...report, "accuracy.svg", "model.safetensors"],
    },
    {
      task: "text-average",
      flags: (out) => [...text, "--epochs=60", "--seeds=2", to(out)],
      kept: [...report, "accuracy.svg", "model.safetensors"],
    },
    ...["bow", "glove", "rnn", "best"].map((kind): Subject => ({
      task: `text-${kind}`,
      flags: (out) => [
        ...[...text, "--epochs=20", ...(kind === "best" ? ["--members=2"] : [])],
        ...(kind === "bow" || kind === "glove" ? [] : ["--hidden=12"]),
        to(out),
      ],
      kept: [...report, "accuracy.svg", "model.safetensors"],
    })),
    {
      task: "text-predict",
      flags: (out) => [
        ...[`--model=${join(model, "text-average", run)}`, `--file=${lines}`],
        `--out=${join(out, "answers.txt")}`,
      ],
      kept: [],
    },
    ...["finetune", "freeze"].map((kind): Subject => ({
      task: `transfer-${kind}`,
      flags: (out) => [
        ...[`--data=${colors}`, `--weights=${narrow}`, "--backbone=squeezenet1_1"],
        ...["--size=32", "--epochs=12", "--read-every=2", to(out)],
      ],
      kept: [...report, "accuracy.svg", "model.safetensors"],
      resumes: true,
    })),
    ...["composition", "scream", "starry", "transfer"].map((kind): Subject => ({
      task: `style-${kind}`,
      flags: (out) => [
        ...["--size=48", "--style-size=48", "--iterations=200", "--read-every=4"],
        ...(kind === "transfer" ? own : []),
        ...["--frames-every=10", to(out)],
      ],
      kept: [...report, "result.png"],
    })),
    {
      task: "classify",
      flags: (out) => [images, `--weights=${narrow}`, "--backbone=squeezenet1_1", to(out)],
      kept: [],
    },
    { task: "features", flags: (out) => [images, `--weights=${whole}`, `--to=${out}`], kept: [] },
    {
      task: "pretrain",
      flags: (out) => [
        ...["--each=1", "--val=1", "--epochs=1", "--batch=10"],
        `--file=${join(out, "small.safetensors")}`,
      ],
      kept: [],
    },
  ];
}
