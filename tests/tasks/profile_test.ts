/** `--profile` and NECKAR_PROFILE, as a user gives them to a task. */
import { assert, assertEquals, assertMatch, assertNotMatch } from "@std/assert";
import { join } from "@std/path";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import {
  ended,
  hasLosses,
  runFolder,
  runTaskProcess,
  TASK_PERMISSIONS,
  taskCommand,
  withTempFolder,
} from "./task_process.ts";

const SMALL = ["--reviews=40", "--epochs=2", "--width=4"];

gpuProcessTest(
  "a profile is printed at the end of a task, and changes nothing",
  TASK_PERMISSIONS,
  async () => {
    await withTempFolder(async (folder) => {
      const runs = [
        { name: "plain", flags: [], env: {} },
        { name: "flag", flags: ["--profile"], env: {} },
        { name: "variable", flags: [], env: { NECKAR_PROFILE: "1" } },
      ] as const;
      const models: Uint8Array[] = [];
      for (const { name, flags, env } of runs) {
        const out = join(folder, name);
        const { code, stderr } = await runTaskProcess(
          "text-average",
          [...SMALL, ...flags, `--out=${out}`],
          { ...env },
        );
        assertEquals(code, 0, stderr);
        const run = runFolder(out, "text-average");
        models.push(Deno.readFileSync(join(run, "model.safetensors")));
        assertNotMatch(Deno.readTextFileSync(join(run, "config.json")), /profile/);
        assertEquals(
          stderr.split("What took the time on").length,
          name === "plain" ? 1 : 2,
          stderr,
        );
        if (name === "plain") continue;
        assertMatch(stderr, /\nkernel +calls +ms +share/);
        assertMatch(stderr, /\nembedding bag +\d+ /);
        assertMatch(stderr, /\nall kernels +\d+ /);
      }
      assertEquals(models[1], models[0]);
      assertEquals(models[2], models[0]);
    });
  },
);

gpuProcessTest("a profile is printed after Ctrl-C", TASK_PERMISSIONS, async () => {
  if (Deno.build.os === "windows") return; // a child cannot be sent Ctrl-C there
  await withTempFolder(async (out) => {
    const long = ["--reviews=40", "--epochs=9000", "--patience=0", "--read-every=2", "--width=4"];
    const child = taskCommand("text-average", [...long, "--profile", `--out=${out}`]).spawn();
    const output = child.output();
    let over = false;
    child.status.then(() => over = true);
    while (!over && !hasLosses(join(out, "text-average"))) {
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    if (!over) child.kill("SIGINT");
    const { code, stdout, stderr } = ended(await output);
    assertEquals(code, 130);
    assert(stdout.includes("Interrupted; what was learned so far is in "), stdout);
    assertMatch(
      stderr,
      /Stopping after this step[^]*What took the time on [^]*\nall kernels +\d+ /,
    );
  });
});

permissionTest("every task that opens the GPU can be profiled", [{ name: "read" }], () => {
  const root = new URL("../../", import.meta.url);
  const { tasks } = JSON.parse(Deno.readTextFileSync(new URL("deno.json", root)));
  const opening: string[] = [];
  const search = (folder: URL) => {
    for (const { name, isDirectory } of Deno.readDirSync(folder)) {
      if (isDirectory) search(new URL(`${name}/`, folder));
      else if (/\bopenGpu\(/.test(Deno.readTextFileSync(new URL(name, folder)))) opening.push(name);
    }
  };
  search(new URL("tasks/", root));
  // The first opens it for all others; of the rest one runs nothing, and one is a timing of its own.
  assertEquals(opening.sort(), ["gpu.ts", "kernel.ts", "tune.ts"]);
  const without = Object.entries(tasks as Record<string, { command: string }>)
    .filter(([, { command }]) =>
      command.includes("LP_NUM_THREADS") && !command.includes("NECKAR_PROFILE")
    );
  assertEquals(without.map(([name]) => name).sort(), ["kernel", "tune", "wgsl"]);
});
