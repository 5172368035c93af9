/** Runs that are not finite any more, from the command line: how they end, and what they keep. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { decodeImage } from "../../data/images/image.ts";
import { gpuProcessTest } from "../gpu_support.ts";
import {
  jsonLines,
  runFolder,
  runTaskProcess,
  TASK_PERMISSIONS,
  withTempFolder,
} from "./task_process.ts";

const PERMISSIONS: Deno.PermissionDescriptor[] = [
  ...TASK_PERMISSIONS,
  ...[{ name: "ffi" }, { name: "env" }] satisfies Deno.PermissionDescriptor[],
];

gpuProcessTest(
  "a run without a finite loss ends with the step and saves nothing",
  PERMISSIONS,
  async () => {
    const runs: [string, string[]][] = [
      ["text-average", ["--reviews=80", "--epochs=3"]],
      ["caption-rnn", ["--scenes=40", "--hidden=8", "--words=8", "--epochs=3", "--keep=last"]],
    ];
    for (const [task, flags] of runs) {
      await withTempFolder(async (out) => {
        const ended = await runTaskProcess(task, [...flags, "--lr=1e30", `--out=${out}`]);
        assertEquals(ended.code, 1);
        assertMatch(
          ended.stderr,
          /^error: The loss is (NaN|Infinity) at step 2, and the last finite one was \d\S*: try a lower[^\n]*\n$/,
        );
        const names = [...Deno.readDirSync(runFolder(out, task))].map(({ name }) => name).sort();
        assertEquals(names, ["config.json", "metrics.jsonl"]);
      });
    }
  },
);

gpuProcessTest(
  "style-starry: a search that goes astray keeps the last good picture",
  PERMISSIONS,
  async () => {
    await withTempFolder(async (out) => {
      const late = ["--late-at=11", "--lr-late=1e30", "--clamp-until=0"];
      const small = ["--size=32", "--style-size=32", "--iterations=40", "--read-every=3"];
      const { code, stdout, stderr } = await runTaskProcess("style-starry", [
        ...[...small, ...late, "--frames-every=5", `--out=${out}`],
      ]);
      assertEquals(code, 1);
      const [, step, kept] = stderr.match(
        /^error: The loss is (?:NaN|Infinity) at iteration (\d+), .*\. The picture after (\d+) iterations is in /,
      )?.map(Number) ?? [];
      assert(kept > 0 && kept <= 11 && step > kept, stderr);
      assertEquals(stdout.includes("Done"), false);
      const run = runFolder(out, "style-starry");
      assertEquals((await decodeImage(join(run, "result.png"))).height, 32);
      assertStringIncludes(
        Deno.readTextFileSync(join(run, "index.html")),
        `This is the picture after ${kept} iterations.`,
      );
      const frames = [...Deno.readDirSync(run)].map(({ name }) => name.match(/^frame-(\d+)/)?.[1]);
      assert(frames.every((frame) => frame === undefined || Number(frame) <= kept));
      const totals = jsonLines(join(run, "metrics.jsonl")).map(({ total }) => total);
      assert(totals.every(Number.isFinite), String(totals));
    });
  },
);
