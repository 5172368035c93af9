/** The transfer tasks from the command line to the run folder. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { encodePng } from "../../data/images/image.ts";
import { RandomStream } from "../../data/rng.ts";
import {
  readSafetensors,
  type TensorData,
  writeSafetensors,
} from "../../data/formats/safetensors.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import {
  assertRefused,
  ended,
  hasLosses,
  jsonLines,
  runFolder,
  runTaskProcess,
  TASK_PERMISSIONS,
  taskCommand,
  withTempFolder,
} from "./task_process.ts";

const PERMISSIONS: Deno.PermissionDescriptor[] = [
  ...TASK_PERMISSIONS,
  ...[{ name: "ffi" }, { name: "env" }] satisfies Deno.PermissionDescriptor[],
];

/** A folder of noisy red and blue pictures, and a file with the weights of a tiny network. */
async function withPictures(use: (folder: string) => Promise<void>): Promise<void> {
  await withTempFolder(async (folder) => {
    const stream = new RandomStream(2);
    for (const [part, count] of [["train", 5], ["val", 4]] as const) {
      for (const [label, name] of ["blue", "red"].entries()) {
        const into = join(folder, "colors", part, name);
        await Deno.mkdir(into, { recursive: true });
        for (let i = 0; i < count; i++) {
          const color = (at: number) => (at % 3 === 2 - 2 * label ? 120 : 0) + stream.integer(130);
          const data = Uint8Array.from({ length: 3 * 40 * 36 }, (_, at) => color(at));
          await Deno.writeFile(
            join(into, `${i}.png`),
            await encodePng({ width: 40, height: 36, data }),
          );
        }
      }
    }
    await writeSafetensors(join(folder, "net.safetensors"), await tinyWeights());
    await use(folder);
  });
}

/** Random weights of the narrowest SqueezeNet, for 1000 classes. */
function tinyWeights(): Promise<Map<string, TensorData>> {
  return new SqueezeNet11(3, { width: 1 / 16 }).initialize(1).stateDict();
}

const names = (folder: string) => [...Deno.readDirSync(folder)].map(({ name }) => name).sort();

/** The flags of a run on the folder. */
const flagsOf = (folder: string, out: string, ...more: string[]) => [
  ...[`--data=${join(folder, "colors")}`, `--weights=${join(folder, "net.safetensors")}`],
  ...["--backbone=squeezenet1_1", "--size=32", `--out=${join(folder, out)}`, ...more],
];

gpuProcessTest(
  "transfer-finetune: what a run leaves, and an interrupted one that goes on",
  PERMISSIONS,
  async () => {
    await withPictures(async (folder) => {
      await Deno.writeTextFile(join(folder, "colors", "train", "red", "9.png"), "no picture");
      await Deno.writeTextFile(join(folder, "colors", "val", "red", "9.gif"), "");
      const flags = ["--epochs=15", "--seed=7", "--seeds=2", "--read-every=2"];
      const task = "transfer-finetune";
      const whole = await runTaskProcess(task, flagsOf(folder, "whole", ...flags));
      assertEquals([whole.code, whole.stderr], [0, ""]);
      for (
        const part of [
          "Data: colors\nPictures: 11 to learn from, 8 to validate; 2 classes: blue, red\n",
          "Note: The name of ",
          "squeezenet1_1 of width 0.0625: 4,",
          "Seed 7 (1 of 2)\nBefore training: validation accuracy ",
          "\nepoch 15: training loss ",
          "Note: Left out: ",
          "red/9.png cannot be read as a picture: ",
          "\naccuracy %          validation before           training         validation\nmean of 2",
        ]
      ) {
        assertStringIncludes(whole.stdout, part);
      }
      assertNotMatch(whole.stdout, /\r|NaN|undefined|ImageNet|report/);

      const run = runFolder(join(folder, "whole"), task);
      assertStringIncludes(whole.stdout, `Done; see ${join(run, "index.html")} (`);
      const [best, other] = whole.stdout.includes("safetensors is that of seed 7,")
        ? [7, 8]
        : [8, 7];
      const files = [
        ...["accuracy.svg", "checkpoint-seed-7.safetensors", "checkpoint-seed-8.safetensors"],
        ...["config.json", "index.html", "loss.svg", "metrics.jsonl"],
        ...[`model-seed-${other}.safetensors`, "model.safetensors"],
      ];
      assertEquals(names(run), files.sort());
      const metrics = jsonLines(join(run, "metrics.jsonl"));
      const steps = metrics.filter(({ step }) => step !== undefined);
      assertEquals(steps.map(({ step }) => step), [...steps.keys()].map((i) => i % 45 + 1));
      assertEquals(metrics.filter(({ epoch }) => epoch !== undefined).length, 30);
      assertEquals(metrics.slice(-2).map(({ seed }) => seed), [7, 8]);

      const { metadata, tensors } = await readSafetensors(join(run, "model.safetensors"));
      assertEquals([metadata.backbone, metadata.classes], ["squeezenet1_1", '["blue","red"]']);
      assertEquals(JSON.parse(metadata.settings).seed, best);
      assertEquals(JSON.parse(metadata.normalisation).size, 32);
      assertNotMatch(JSON.stringify(metadata), /net\.safetensors/);
      assertEquals(tensors.get("classifier.1.weight")?.shape.slice(0, 1), [2]);
      const html = Deno.readTextFileSync(join(run, "index.html"));
      for (
        const part of [
          "<h1>Transfer learning: the whole network</h1>",
          "<h2>Accuracy over the epochs</h2>",
          '<th scope="row">is blue</th>',
          "<figcaption>blue/0.png</figcaption>",
          "The pictures are those of ",
          "red/9.png cannot be read as a picture",
        ]
      ) {
        assertStringIncludes(html, part);
      }
      assertEquals(html.match(/<article>/g)?.length, 6);
      assertNotMatch(html, /NaN|undefined|<script|src="http/);

      if (Deno.build.os === "windows") return; // a child cannot be sent Ctrl-C there
      const out = join(folder, "interrupted");
      const child = taskCommand(task, flagsOf(folder, "interrupted", ...flags)).spawn();
      const output = child.output();
      let over = false;
      child.status.then(() => over = true);
      while (!over && !hasLosses(join(out, task))) {
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
      if (!over) child.kill("SIGINT");
      const interrupted = ended(await output);
      const half = runFolder(out, task);
      assertEquals(interrupted.code, 130);
      assertStringIncludes(interrupted.stdout, `Go on with deno task ${task} --resume=${half}\n`);
      const page = () => Deno.readTextFileSync(join(half, "index.html"));
      assertMatch(page(), /The run was interrupted in epoch \d+ of seed [78]/);
      const resumed = await runTaskProcess(task, [`--resume=${half}`]);
      assertEquals([resumed.code, resumed.stderr], [0, ""]);
      assertMatch(resumed.stdout, /\nSeed [78] .*\nGoing on after \d+ of 45 steps\n/);
      assertNotMatch(page(), /The run was interrupted/);
      const bytes = (run: string) => Deno.readFileSync(join(run, "model.safetensors"));
      assertEquals(bytes(half), bytes(run));
    });
  },
);

gpuProcessTest("transfer-freeze: refuses pictures that are broken", PERMISSIONS, async () => {
  await withPictures(async (folder) => {
    await Deno.writeTextFile(join(folder, "colors", "val", "red", "0.png"), "");
    const flags = flagsOf(folder, "runs", "--strict");
    const { code, stderr } = await runTaskProcess("transfer-freeze", flags);
    assertEquals(code, 1);
    assertMatch(stderr, /^error: .*val\/red\/0\.png cannot be read as a picture: it is empty\n$/);
    assertEquals(names(join(folder, "colors")), ["train", "val"]);
  });
});

permissionTest(
  "transfer tasks: refuse wrong flags and data, and leave no folder",
  PERMISSIONS,
  async () => {
    await assertRefused("transfer-freeze", ["--epochs=0"], 2, ["Flag --epochs takes a whole"]);
    await assertRefused("transfer-finetune", ["--data=no/such"], 1, [
      "There is no folder no/such: it should hold train, val",
    ]);
    await withTempFolder(async (folder) => {
      const { code, stderr } = await runTaskProcess("transfer-freeze", [`--resume=${folder}`]);
      assertEquals(code, 1);
      assertStringIncludes(stderr, `There is no config.json in ${folder}: --resume takes`);
    });
  },
);

gpuProcessTest("transfer tasks: refuse weights that do not fit", PERMISSIONS, async () => {
  await withPictures(async (folder) => {
    const path = join(folder, "less.safetensors");
    const weights = await tinyWeights();
    assert(weights.delete("features.9.squeeze.bias"));
    await writeSafetensors(path, weights);
    const flags = [`--data=${join(folder, "colors")}`, `--weights=${path}`];
    await assertRefused("transfer-freeze", [...flags, "--backbone=squeezenet1_1"], 1, [
      "The weights do not fit squeezenet1_1 of width 0.0625; missing: features.9.squeeze.bias",
    ]);
    await assertRefused("transfer-freeze", flags, 1, ["are of squeezenet1_1, and not of resnet18"]);
  });
});
