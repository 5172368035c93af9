/** The style tasks from the command line to the run folder. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertNotMatch,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { decodeImage, encodePng } from "../../data/images/image.ts";
import { writeSafetensors } from "../../data/formats/safetensors.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";
import { noise } from "../data/images/images.ts";
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

/** Random weights of SqueezeNet 1.1, in a file. */
async function writeWeights(path: string): Promise<void> {
  const tensors = await new SqueezeNet11().initialize(3).stateDict();
  await writeSafetensors(path, tensors);
}

/** A folder with weights and two pictures, and the flags that name them. */
async function withPictures(use: (folder: string, flags: string[]) => Promise<void>) {
  await withTempFolder(async (folder) => {
    const path = (name: string) => join(folder, name);
    await writeWeights(path("squeezenet.safetensors"));
    Deno.writeFileSync(path("town.png"), await encodePng(noise(40, 30)));
    Deno.writeFileSync(path("painting.png"), await encodePng(noise(25, 35, 2)));
    await use(folder, [
      `--content=${path("town.png")}`,
      `--style=${path("painting.png")}`,
      `--weights=${path("squeezenet.safetensors")}`,
      ...["--size=24", "--style-size=30", `--out=${folder}`],
    ]);
  });
}

gpuProcessTest("style-transfer: what a run leaves", TASK_PERMISSIONS, async () => {
  await withPictures(async (folder, flags) => {
    const { code, stdout, stderr } = await runTaskProcess("style-transfer", [
      ...flags,
      ...["--iterations=6", "--frames-every=2", "--read-every=4", "--style-layers=1,3"],
      ...["--style-weights=100,2"],
    ]);
    assertEquals([code, stderr], [0, ""]);
    assertStringIncludes(stdout, "town.png, seen at 32 x 24\n");
    assertStringIncludes(stdout, "painting.png, seen at 30 x 42\n");
    assertMatch(
      stdout,
      /\n100 % {2}6\/6 iterations {2}loss \d+.* content \d.* style \d.* variation /,
    );
    assertNotMatch(stdout, /\r|NaN|undefined/);
    const run = runFolder(folder, "style-transfer");
    assertStringIncludes(stdout, `Done; see ${run}/index.html and ${run}/result.png`);
    assertEquals([...Deno.readDirSync(run)].map(({ name }) => name).sort(), [
      ...[
        "checkpoint.safetensors",
        "config.json",
        "content.png",
        "frame-0.png",
        "frame-2.png",
        "frame-4.png",
      ],
      ...["index.html", "loss.svg", "metrics.jsonl", "result.png", "style.png"],
    ]);
    const content = await decodeImage(join(run, "content.png"));
    assertEquals(await decodeImage(join(run, "frame-0.png")), content);
    const result = await decodeImage(join(run, "result.png"));
    assertEquals([result.width, result.height], [32, 24]);
    assert(result.data.some((value, i) => value !== content.data[i]), "the picture did not change");

    const metrics = jsonLines(join(run, "metrics.jsonl"));
    assertEquals(metrics.map(({ iteration }) => iteration), [0, 1, 2, 3, 4, 5]);
    for (const { content, style, variation, total } of metrics as Record<string, number>[]) {
      assert(total > 0 && total === content + style + variation, `${total}`);
    }
    const { network, iterations, styleLayers } = JSON.parse(
      Deno.readTextFileSync(join(run, "config.json")),
    );
    assertEquals([network, iterations, styleLayers], ["squeezenet1_1", 6, "1, 3"]);
    const html = Deno.readTextFileSync(join(run, "index.html"));
    const title = "<h1>Style transfer: town.png in the style of painting.png</h1>";
    const parts = [
      title,
      "Content: town.png, 32 x 24",
      "After 4 iterations",
      "The start",
      "<td>1, 3",
    ];
    for (const part of parts) assertStringIncludes(html, part);
    // Two pictures, the result, three frames, and the chart.
    assertEquals(html.split('src="data:image/jpeg;base64,').length - 1, 6);
    assertEquals(html.split("<img").length - 1, 7);
    assertNotMatch(html, /NaN|undefined|<script|src="http/);
  });
});

gpuProcessTest(
  "style-scream: draws and says so where nothing is given",
  TASK_PERMISSIONS,
  async () => {
    await withTempFolder(async (out) => {
      const few = ["--size=32", "--style-size=40", "--iterations=3", `--out=${out}`];
      const { code, stdout, stderr } = await runTaskProcess("style-scream", few);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "Content: a drawn town, seen at 43 x 32\n");
      const html = Deno.readTextFileSync(join(runFolder(out, "style-scream"), "index.html"));
      assertStringIncludes(
        html,
        "<h1>Style transfer: a drawn town in the style of drawn bands</h1>",
      );
      for (const note of ["Both pictures are drawn by neckar itself", "is not ImageNet"]) {
        assertStringIncludes(stdout, note);
        assertStringIncludes(html, note);
      }
    });
  },
);

gpuProcessTest("style-starry: Ctrl-C keeps the picture", TASK_PERMISSIONS, async () => {
  if (Deno.build.os === "windows") return; // a child cannot be sent Ctrl-C there
  await withPictures(async (folder, flags) => {
    const long = ["--iterations=90000", "--read-every=2", "--frames-every=0", "--init=random"];
    const child = taskCommand("style-starry", [...flags, ...long]).spawn();
    const output = child.output();
    let over = false;
    child.status.then(() => over = true);
    while (!over && !hasLosses(join(folder, "style-starry"))) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!over) child.kill("SIGINT");
    const { code, stdout, stderr } = ended(await output);
    assertEquals(code, 130);
    assertStringIncludes(stderr, "Stopping after this step");
    assertStringIncludes(stdout, "Interrupted; the picture until then is in ");
    const run = runFolder(folder, "style-starry");
    assertEquals((await decodeImage(join(run, "result.png"))).width, 32);
    const html = Deno.readTextFileSync(join(run, "index.html"));
    assertStringIncludes(html, "The run was interrupted");
    assertStringIncludes(html, "<td>random</td>");
  });
});

permissionTest("style tasks: refuse what they cannot use", TASK_PERMISSIONS, async () => {
  await withTempFolder(async (folder) => {
    const data = [`--data=${folder}`];
    await assertRefused("style-scream", data, 1, ["tubingen.jpg is not there"]);
    await assertRefused("style-composition", ["--style-layers=1"], 2, ["has 1 layers (1)"]);
    const weights = join(folder, "weights.safetensors");
    await assertRefused("style-scream", [`--weights=${weights}`, "--size=32"], 1, [weights]);
  });
});
