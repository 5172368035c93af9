/** `mod.ts` from a URL: in a folder without configuration, with an empty cache and no npm registry. */
import { assert, assertEquals, assertStringIncludes } from "@std/assert";
import { fromFileUrl, join } from "@std/path";
import { gpuProcessTest } from "./gpu_support.ts";
import { permissionTest } from "./support.ts";

const ROOT = new URL("../", import.meta.url);
const MODULE = fromFileUrl(new URL("mod.ts", ROOT));

/** The part of `deno info --json` that says what a module imports. */
interface ModuleGraph {
  modules: {
    specifier: string;
    error?: string;
    dependencies?: { specifier: string; isDynamic?: boolean }[];
  }[];
}

/** Run Deno, and give what it printed. */
async function deno(args: string[], cwd: string, env: Record<string, string>): Promise<string> {
  const command = new Deno.Command(Deno.execPath(), {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
  });
  const { code, stdout, stderr } = await command.output();
  const decoder = new TextDecoder();
  if (code !== 0) throw new Error(`deno ${args[0]} ended with ${code}: ${decoder.decode(stderr)}`);
  return decoder.decode(stdout);
}

permissionTest("mod.ts: statically imports nothing from outside the project", [
  { name: "run" },
], async () => {
  const options = ["info", "--json", "--no-config", "--no-lock"];
  const { modules } = JSON.parse(await deno([...options, MODULE], ".", {})) as ModuleGraph;
  const own = modules.filter(({ specifier }) => specifier.startsWith(ROOT.href));
  assert(own.length > 20, `${own.length} modules`);
  const outside = own.flatMap(({ specifier, error, dependencies = [] }) => {
    assertEquals(error, undefined, specifier);
    return dependencies.filter((d) => !d.isDynamic && !/^(\.\.?\/|node:)/.test(d.specifier))
      .map((d) => `${specifier} imports ${d.specifier}`);
  });
  assertEquals(outside, []);
  const folders = own.map(({ specifier }) => specifier.slice(ROOT.href.length).split("/")[0]);
  assertEquals([...new Set(folders)].sort(), ["data", "kernels", "mod.ts", "models"]);
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

gpuProcessTest("mod.ts: a script imports it from a URL and trains an LSTM", [
  { name: "net", host: "127.0.0.1" },
  { name: "run" },
  { name: "read" },
  { name: "write" },
], async () => {
  const asked: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const path = new URL(request.url).pathname;
      asked.push(path);
      const body = await Deno.readFile(new URL(`.${path}`, ROOT));
      return new Response(body, { headers: { "content-type": "application/typescript" } });
    },
  );
  const folder = await Deno.makeTempDir();
  try {
    const host = `127.0.0.1:${server.addr.port}`;
    await Deno.writeTextFile(join(folder, "train.ts"), script(`http://${host}/mod.ts`));
    const options = ["--no-config", "--no-lock", "--no-prompt", `--allow-import=${host}`];
    const printed = await deno(["run", "--check", ...options, "train.ts"], folder, {
      DENO_DIR: join(folder, "cache"),
      // Nobody answers there: what mod.ts needs must come from the URL alone.
      NPM_CONFIG_REGISTRY: "http://127.0.0.1:9/",
    });
    const losses = JSON.parse(printed) as number[];
    assertEquals(losses.length, 40);
    assert(losses.every(Number.isFinite), printed);
    assert(losses[0] > 0.6 && losses[39] < 0.5 * losses[0], printed);
    assertStringIncludes(asked.join(" "), "/kernels/recurrent/lstm.ts");
    assert(asked.every((path) => path.endsWith(".ts")), asked.join(" "));
  } finally {
    await server.shutdown();
    await Deno.remove(folder, { recursive: true });
  }
});
