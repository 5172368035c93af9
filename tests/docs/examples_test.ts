/** The scripts of docs/examples: each runs with its exact permission, and is no longer than its PyTorch. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import * as neckar from "../../mod.ts";
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
  "digits.ts": (printed) => {
    const [, right] = printed.match(/^(\d+) of 500 digits are right\n$/)?.map(Number) ?? [];
    assert(right > 480, printed);
  },
  "speller.ts": (printed) =>
    assertEquals(
      printed.trimEnd(),
      "the quick brown fox jumps over the lazy dog, and the dog sleeps on.",
    ),
  "vae.ts": (printed) => {
    const [first, last] = [...printed.matchAll(/[\d.]+(?= at)/g)].map(Number);
    assert(first > 10 && last < 4.5, printed);
  },
  "sorter.ts": (printed) => assertEquals(printed, "1 1 3 4 5 9\n"),
};

/** The methods and fields of the classes of mod.ts. */
const METHODS = new Set(
  Object.values(neckar).filter((value) => typeof value === "function" && "prototype" in value)
    .flatMap((value) => Object.getOwnPropertyNames((value as { prototype: object }).prototype)),
);
METHODS.add("tensor");

/** Those of PyTorch's tensors, modules and optimizers that the scripts use. */
const TORCH_METHODS = new Set(
  ("parameters zero_grad backward step reshape argmax item flatten float unsqueeze expand transpose chunk exp " +
    "square sum mean sort values tolist").split(" "),
);

/** The names of a library that a script uses, each once. */
function namesOf(text: string, ours: boolean): number {
  const code = text.replaceAll(/\/\*\*.*?\*\/|"""[^]*?"""|\/\/.*|#.*|^import.*|^from.*/gm, "");
  const own = ours ? /\bnn\.(\w+)/g : /\b(?:torch\.optim|torch|nn|F)\.(\w+)/g;
  const names = Array.from(code.matchAll(own), ([, name]) => name);
  const methods = Array.from(code.matchAll(/\.(\w+)/g), ([, name]) => name)
    .filter((name) => (ours ? METHODS : TORCH_METHODS).has(name));
  return new Set([...names, ...methods]).size;
}

permissionTest(
  "every example is run, short, and no longer than in PyTorch; docs/comparison.md counts them",
  [{ name: "read" }],
  () => {
    const names = [...Deno.readDirSync(FOLDER)].map(({ name }) => name);
    const own = names.filter((name) => name.endsWith(".ts")).sort();
    assertEquals(own, Object.keys(EXAMPLES).sort());
    const page = Deno.readTextFileSync(path("../comparison.md"));
    for (const name of own) {
      const [ours, torch] = [name, name.replace(/ts$/, "py")].map((file, i) => {
        const text = Deno.readTextFileSync(path(file));
        return { lines: text.trimEnd().split("\n").length, names: namesOf(text, i === 0) };
      });
      assert(ours.lines <= 30 && ours.lines <= torch.lines, `${name} has ${ours.lines} lines`);
      const row = page.split("\n").find((line) => line.includes(`(examples/${name})`));
      const cells = row?.split("|").slice(2, -1).map(Number);
      assertEquals(cells, [ours.lines, torch.lines, ours.names, torch.names], name);
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
