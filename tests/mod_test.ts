/** The entry points: what they import and export, from a URL too: without configuration, cache and npm registry. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { gpuProcessTest } from "./gpu_support.ts";
import { type Permission, permissionTest } from "./support.ts";

const ROOT = new URL("../", import.meta.url);
const path = (file: string) => fromFileUrl(new URL(file, ROOT));

/** Each entry point's file, by the name that deno.json exports it under. */
const ENTRIES: Record<string, string> =
  JSON.parse(Deno.readTextFileSync(path("deno.json"))).exports;
const FILES = Object.values(ENTRIES);

/** The part of `deno info --json` that says what a module imports. */
interface ModuleGraph {
  modules: {
    specifier: string;
    error?: string;
    dependencies?: { specifier: string; isDynamic?: boolean; code?: unknown }[];
  }[];
}

/** Run Deno, and give what it printed. */
async function deno(
  args: string[],
  cwd: string,
  env: Record<string, string>,
  to: "stdout" | "stderr" = "stdout",
): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  });
  const output = await command.output();
  const decoder = new TextDecoder();
  if (output.code !== 0) {
    throw new Error(`deno ${args[0]} ended with ${output.code}: ${decoder.decode(output.stderr)}`);
  }
  return decoder.decode(output[to]);
}

/** The modules of the project that an entry point loads, and what they import from outside. */
async function loads(entry: string) {
  const options = ["info", "--json", "--no-config", "--no-lock"];
  const { modules } = JSON.parse(await deno([...options, path(entry)], ".", {})) as ModuleGraph;
  const own = modules.filter(({ specifier }) => specifier.startsWith(ROOT.href));
  const outside = own.flatMap(({ specifier, error, dependencies = [] }) => {
    assertEquals(error, undefined, specifier);
    return dependencies.filter((d) => !/^\.\.?\//.test(d.specifier));
  });
  return { own: own.map(({ specifier }) => specifier.slice(ROOT.href.length)), outside };
}

const RUN: Permission[] = [{ name: "run" }];

Deno.test("deno.json exports six entry points", () => {
  const names = ["./caption", "./data", "./kernels", "./text", "./vision"];
  assertEquals(Object.keys(ENTRIES).sort(), [".", ...names]);
});

permissionTest(
  "entry points: mod.ts and kernels/mod.ts import nothing from outside",
  RUN,
  async () => {
    for (const entry of ["mod.ts", "kernels/mod.ts"]) {
      const { own, outside } = await loads(entry);
      assertEquals(outside, [], entry);
      assert(own.length > 20, `${own.length} modules`);
    }
    const folders = (await loads("mod.ts")).own.map((file) => file.split("/")[0]);
    assertEquals([...new Set(folders)].sort(), ["data", "kernels", "mod.ts", "models"]);
  },
);

permissionTest("entry points load packages only when something is called", RUN, async () => {
  for (const entry of FILES) {
    const { outside } = await loads(entry);
    // What is imported for its types alone is not loaded.
    const loaded = outside.filter((d) => !d.isDynamic && !d.specifier.startsWith("node:"))
      .filter((d) => d.code !== undefined);
    assertEquals(loaded, [], entry);
  }
});

permissionTest("mod.ts exports at most 100 names", RUN, async () => {
  const { nodes } = JSON.parse(await deno(["doc", "--json", path("mod.ts")], ".", {}));
  const [{ symbols }] = Object.values(nodes) as { symbols: { name: string }[] }[];
  assert(symbols.some(({ name }) => name === "Linear"));
  assert(symbols.length <= 100, `${symbols.length} names`);
});

permissionTest("entry points: everything exported is documented", RUN, async () => {
  await deno(["doc", "--lint", ...FILES.map(path)], ".", {});
});

permissionTest("the package holds what the entry points need, below one MiB", RUN, async () => {
  const options = ["publish", "--dry-run", "--allow-dirty", "--no-check"];
  const printed = (await deno(options, path("."), {}, "stderr")).replaceAll(ROOT.href, "");
  const files = Array.from(printed.matchAll(/^ +(\S+) \([\d.]+[KM]?B\)$/gm), ([, file]) => file);
  assert(FILES.every((file) => files.includes(file.slice(2))), printed);
  const places = files.map((file) => file.split("/")[0]);
  const allowed = ["LICENSE", "data", "deno.json", "kernels", "mod.ts", "models"];
  assertEquals([...new Set(places)].sort(), allowed);
  const bytes = files.map((file) => Deno.statSync(path(file)).size).reduce((a, b) => a + b);
  assert(bytes < 2 ** 20, `${bytes} bytes`);
});

/** A script that trains an LSTM: is the sum of five numbers above zero? */
const script = (from: string) =>
  `import {
  Adam, constant, Linear, Module, openGpu, RandomStream, Recurrent, Tape, temporalSoftmaxLoss, Tensor,
} from "${from}";

const [steps, batch] = [5, 32];
const stream = new RandomStream(7);
const inputs = Float32Array.from({ length: steps * batch }, () => stream.normal());
// The loss counts no target 0: at the last step it is 1 for a negative sum and 2 for a positive one.
const answers = new Uint32Array(steps * batch);
for (let n = 0; n < batch; n++) {
  let sum = 0;
  for (let t = 0; t < steps; t++) sum += inputs[t * batch + n];
  answers[(steps - 1) * batch + n] = sum > 0 ? 2 : 1;
}

using gpu = await openGpu();
class Network extends Module {
  cell = new Recurrent("lstm", 1, 12);
  score = new Linear(12, 3);
}
using model = new Network().toGpu(gpu, 7);
using adam = new Adam(model.store, { lr: 0.03 });
using x = Tensor.from(gpu, inputs, [steps, batch, 1]);
using targets = Tensor.from(gpu, answers, [steps, batch], { dtype: "u32" });
using h0 = Tensor.zeros(gpu, [batch, 12]);
const losses: number[] = [];
for (let step = 0; step < 40; step++) {
  using tape = new Tape(gpu);
  const h = model.cell.forward(constant(x), constant(h0));
  const loss = temporalSoftmaxLoss(model.score.forward(h), targets);
  tape.backward(loss);
  adam.step();
  losses.push((await loss.tensor.read())[0]);
}
console.log(JSON.stringify(losses));
`;

/** Run a script in a folder of its own, with the project on a server; what it printed, and what was asked for. */
async function runFromUrl(
  script: (root: string) => string,
  ...options: string[]
): Promise<{ printed: string; asked: string[] }> {
  const asked: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const file = new URL(request.url).pathname;
      asked.push(file);
      const body = await Deno.readFile(new URL(`.${file}`, ROOT));
      return new Response(body, { headers: { "content-type": "application/typescript" } });
    },
  );
  const folder = await Deno.makeTempDir();
  try {
    const host = `127.0.0.1:${server.addr.port}`;
    await Deno.writeTextFile(join(folder, "script.ts"), script(`http://${host}/`));
    const all = ["--no-config", "--no-lock", "--no-prompt", `--allow-import=${host}`, ...options];
    const printed = await deno(["run", ...all, "script.ts"], folder, {
      DENO_DIR: join(folder, "cache"),
      // Nobody answers there: what is imported must come from the URL alone.
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
    });
    return { printed, asked };
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
}

const PROCESS: Permission[] = [
  { name: "net", host: "127.0.0.1" },
  { name: "run" },
  { name: "read" },
  { name: "write" },
];

gpuProcessTest("mod.ts: a script imports it from a URL and trains an LSTM", PROCESS, async () => {
  const { printed, asked } = await runFromUrl((root) => script(`${root}mod.ts`), "--check");
  const losses = JSON.parse(printed) as number[];
  assertEquals(losses.length, 40);
  assert(losses.every(Number.isFinite), printed);
  assert(losses[0] > 0.6 && losses[39] < 0.5 * losses[0], printed);
  assertStringIncludes(asked.join(" "), "/kernels/recurrent/lstm.ts");
  assert(asked.every((path) => path.endsWith(".ts")), asked.join(" "));
});

/** What a script takes from each entry point, and prints with no permission. */
const TAKEN: Record<string, [names: string, printed: string]> = {
  "./mod.ts": ["Linear", "new Linear(2, 3).outputDim"],
  "./kernels/mod.ts": ["flatGroups", "flatGroups(128)[0] + 1"],
  "./data/mod.ts": ["tokenize", 'tokenize("So it is.").length - 1'],
  "./models/vision.ts": ["ResNet18", "new ResNet18(3).classes"],
  "./models/text.ts": ["accuracy", "accuracy([1, -1], [1, 0]) + 2"],
  "./models/caption.ts": ["corpusBleu", 'corpusBleu([["a"]], [[["a"]]], 1).bleu[0] + 2'],
};

permissionTest("entry points: a script imports each of them from a URL", PROCESS, async () => {
  assertEquals(Object.keys(TAKEN).sort(), FILES.toSorted());
  for (const [file, [name, value]] of Object.entries(TAKEN)) {
    const { printed } = await runFromUrl((root) =>
      `import { ${name} } from "${new URL(file, root)}";\nconsole.log(${value});\n`
    );
    assertEquals(printed, "3\n", file);
  }
});
