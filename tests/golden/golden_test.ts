import { assert, assertAlmostEquals, assertEquals } from "@std/assert";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { gpuTestBothPaths } from "../gpu_support.ts";
import { describe } from "./report.ts";
import { Variable } from "../../models/tape/variable.ts";
import { CALLS, readGolden, runCase } from "./runner.ts";
import { errorOf, make, seedOf } from "./values.ts";

const golden = await readGolden();

async function read(path: string): Promise<string> {
  return await Deno.readTextFile(new URL(`../../${path}`, import.meta.url));
}

async function files(folder: string): Promise<string[]> {
  const names = [];
  for await (const { name } of Deno.readDir(new URL(`../../${folder}`, import.meta.url))) {
    if (name.endsWith(".ts")) names.push(`${folder}/${name}`);
  }
  return names;
}

const exported = (source: string) =>
  [...source.matchAll(/^export (?:function|class) (\w+)/gm)].map(([, name]) => name);

/** What models/ and mod.ts import from a file of kernels/: all it exports, where they import it whole. */
async function usedKernels(): Promise<Set<string>> {
  const used = new Set<string>();
  for (const path of ["mod.ts", ...await files("models")]) {
    const imports = /^(?:im|ex)port (\* as \w+|{[^}]*}) from "\.{1,2}\/kernels\/(\w+)\.ts"/gm;
    for (const [, names, file] of (await read(path)).matchAll(imports)) {
      const found = names.startsWith("*")
        ? exported(await read(`kernels/${file}.ts`))
        : names.slice(1, -1).split(",").map((name) => name.trim().split(" as ")[0]);
      for (const name of found) if (/^[a-z]\w+$/.test(name)) used.add(name);
    }
  }
  return used;
}

/** The table's name of a function, where it is not the function's own without Forward, Backward and Gradient. */
const NAMES: Record<string, string> = {
  gramMatrix: "gram",
  conv2dBackward: "conv2d",
  permuted: "x.permute",
  sliced: "x.slice",
  take: "x.slice",
  put: "concat along an axis",
};

/** What computes no numbers. */
const NO_OPERATIONS =
  "openGpu defineKernel flatGroups foldGroups expectShape sizeOf windowCount uploadIndices uploadBags " +
  "uploadPacked checkIndices meanShare gatesToTorch gatesFromTorch transpose biasOf transposedLayout " +
  "kaimingUniformKernel cellLayout RecurrentLayers TransformerLayer";

/** What the layers of the table call. */
const WITHIN = "lstmStates";

Deno.test("golden table: at least 1,200 cases, and a call for every operation", async () => {
  assert(golden.cases.length >= 1200);
  assertEquals(Object.keys(CALLS).sort(), Object.keys(golden.operations).sort());
  const operations =
    "tape/operations tape/losses tape/cross_entropy tape/image_operations layers/layers layers/vision_layers " +
    "layers/recurrent_layers layers/transformer training/optimizers training/weight_average";
  const models = await Promise.all(operations.split(" ").map((name) => read(`models/${name}.ts`)));
  const all = [...await usedKernels(), ...models.flatMap(exported)];
  const known = new Set([
    ...Object.keys(CALLS),
    ...NO_OPERATIONS.split(" "),
    ...WITHIN.split(" "),
  ]);
  for (const name of Object.keys(CALLS)) known.add(name.split(" ")[0]);
  const missing = all.filter((name) => {
    const short = name.replace(/(Forward|Backward|Gradient)$/, "");
    return !known.has(NAMES[name] ?? NAMES[short] ?? short) && !known.has(name);
  });
  assertEquals(missing, []);
  const own = ["constructor", "backward", "argmax", "touchRows", "checkSum", "gradientTarget"];
  const methods = Object.entries(Object.getOwnPropertyDescriptors(Variable.prototype))
    .filter(([name, { value }]) => value !== undefined && !own.includes(name));
  assertEquals(methods.map(([name]) => `x.${name}`).filter((name) => !(name in CALLS)), []);
});

Deno.test("golden table: an error anywhere in a result shows", () => {
  assertEquals([...make({ shape: [3], ints: 5, low: 1 }, seedOf("a"))], [2, 5, 2]);
  const kept = { size: 3, floor: 0.5, v: "1 nan ~4" };
  const of = (...values: number[]) => errorOf(kept, Float32Array.from(values));
  assertEquals(of(1, NaN, 4), 0);
  assertEquals(of(1, NaN, Infinity), 0);
  assertEquals(of(1, 1, 4), Infinity);
  assertAlmostEquals(of(1, NaN, 4.4), 0.1, 1e-6);
  assertEquals(errorOf(kept, new Float32Array(4)), Infinity);
  const { in: inputs, out } = golden.cases.find(({ name }) => name === "shape=[65537]")!;
  const x = make(inputs.x, seedOf("relu shape=[65537] x")).map((v) => Math.max(v, 0));
  assert(errorOf(out.y, x) < 1e-9);
  x[x.findIndex((v, i) => i > 1000 && v > 0.5)] = 0;
  assert(errorOf(out.y, x) > 1e-3);
});

async function run(gpu: Gpu) {
  const missed = [];
  for (const one of golden.cases.filter(({ heavy }) => heavy !== true && heavy !== gpu.path)) {
    const outcome = await runCase(gpu, one, golden);
    if (!(outcome.error <= outcome.tolerance)) missed.push(describe(outcome));
  }
  assert(missed.length === 0, missed.join("\n"));
}

gpuTestBothPaths("golden table: every case is as near to PyTorch's float64 as allowed", run);
