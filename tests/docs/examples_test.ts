/** The scripts of docs/examples: each runs with its exact permission, and is no longer than its PyTorch. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";

const FOLDER = new URL("../../docs/examples/", import.meta.url);
const path = (name: string) => fromFileUrl(new URL(name, FOLDER));

/** What each prints, checked. */
const EXAMPLES: Record<string, (printed: string) => void> = {
  "xor.ts": (printed) => {
    const answers = printed.trim().split(" ").map(Number);
    assertEquals(answers.map(Math.round), [0, 1, 1, 0]);
    assert(answers.every((p) => Math.abs(p - Math.round(p)) < 0.1), printed);
  },
};

permissionTest(
  "every example is run, short, and no longer than in PyTorch",
  [{ name: "read" }],
  () => {
    const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name);
    assertEquals(names.filter((name) => name.endsWith(".ts")).sort(), Object.keys(EXAMPLES).sort());
    for (const name of Object.keys(EXAMPLES)) {
      const lines = (file: string) =>
        Deno.readTextFileSync(path(file)).trimEnd().split("\n").length;
      const [ours, torch] = [lines(name), lines(name.replace(/ts$/, "py"))];
      assert(ours <= 30 && ours <= torch, `${name} has ${ours} lines, PyTorch's ${torch}`);
    }
  },
);

for (const [name, check] of Object.entries(EXAMPLES)) {
  gpuProcessTest(`the example ${name} runs`, [{ name: "run" }, { name: "read" }], async () => {
    const command = new Deno.Command(Deno.execPath(), {
      args: ["run", "--no-prompt", "--quiet", "--allow-read", path(name)],
      stdout: "piped",
      stderr: "piped",
    });
    const { code, stdout, stderr } = await command.output();
    assertEquals(code, 0, new TextDecoder().decode(stderr));
    check(new TextDecoder().decode(stdout));
  });
}
