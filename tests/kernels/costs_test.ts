/** Costs that are measured, kept and given, and that they change nothing but the time. */
import { assert, assertEquals, assertThrows } from "@std/assert";
import { matmul } from "../../kernels/gemm/matmul.ts";
import { softwareTile } from "../../kernels/gemm/software/cut.ts";
import { calibrate } from "../../kernels/runtime/calibrate.ts";
import { type Costs, costsOf, STANDARD_COSTS } from "../../kernels/runtime/costs.ts";
import { waitAtOnce } from "../../kernels/runtime/device.ts";
import { GpuError } from "../../kernels/runtime/errors.ts";
import { conv2d } from "../../kernels/conv2d/conv2d.ts";
import { gpuTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { normals, upload } from "./values.ts";

const FILES = [{ name: "read" }, { name: "write" }] as const;

const MEASURED: Costs = { ...STANDARD_COSTS, load: 7, cores: 3 };

Deno.test("costs that are given are taken, and wrong ones refused", () => {
  const never = () => {
    throw new Error("measured");
  };
  const take = (text: string) => costsOf("an adapter", never, text);
  assertEquals(take("{}"), STANDARD_COSTS);
  assertEquals(take('{ "load": 3, "tiles": { "1x2x3": "8x1" } }'), {
    ...STANDARD_COSTS,
    load: 3,
    tiles: { "1x2x3": "8x1" },
  });
  for (
    const [text, message] of [
      ['{ "lode": 3 }', 'NECKAR_COSTS has the cost "lode": multiply, load, buffer, store, copy'],
      ['{ "load": 0 }', 'has 0 for "load": a number above 0 is allowed'],
      ['{ "load": "3" }', 'has "3" for "load"'],
      ['{ "tiles": { "1x2x3": 8 } }', "tiles by the name of a product is allowed"],
      ["{ load }", "NECKAR_COSTS begins as JSON and is none"],
    ]
  ) {
    assertThrows(() => take(text), GpuError, message);
  }
});

permissionTest("costs are measured once for an adapter, and kept", [...FILES], () => {
  const folder = Deno.makeTempDirSync();
  try {
    const path = `${folder}/costs.json`;
    let times = 0;
    const take = (adapter: string, to = path) =>
      costsOf(adapter, () => {
        times++;
        return MEASURED;
      }, to);
    assertEquals([take("one"), take("one"), times], [MEASURED, MEASURED, 1]);
    assertEquals([take("another"), times], [MEASURED, 2]);
    Deno.writeTextFileSync(path, '{ "adapter": "another", "costs": { "lo');
    assertEquals([take("another"), times], [MEASURED, 3]);
    Deno.writeTextFileSync(path, '{ "adapter": "another", "costs": { "load": -1 } }');
    assertEquals([take("another"), take("another"), times], [MEASURED, MEASURED, 4]);
    // Where nothing can be kept, nothing is lost but the time.
    assertEquals([take("one", `${folder}/none/costs.json`), times], [MEASURED, 5]);
    assertEquals([...Deno.readDirSync(folder)].map(({ name }) => name), ["costs.json"]);
    assertEquals(costsOf("a GPU", undefined, path), STANDARD_COSTS);
  } finally {
    Deno.removeSync(folder, { recursive: true });
  }
});

Deno.test("a tile that was tuned is taken for its product, and only where it fits", () => {
  const product = { m: 512, n: 512, k: 512 };
  const pick = (tile: string, across: boolean) => {
    const name = across ? "512x512x512 across" : "512x512x512";
    const costs = { ...STANDARD_COSTS, tiles: { [name]: tile } };
    return softwareTile({ ...product, across }, 8, costs);
  };
  assertEquals(pick("25x1", false), { rows: 25, quads: 1 });
  const own = softwareTile({ ...product, across: true }, 8, STANDARD_COSTS);
  for (const tile of ["25x1", "3x1", "64x4", "narrow 512x1", "", "x"]) {
    assertEquals(pick(tile, true), own, tile);
  }
});

gpuTest("the costs of a software adapter are numbers above 0", (gpu) => {
  if (gpu.path !== "subgroup") return;
  const costs = calibrate(gpu.device, gpu.lanes, () => waitAtOnce(gpu.device));
  for (const [name, cost] of Object.entries(costs)) {
    assert(cost > 0 && cost < Infinity, `${name} ${cost}`);
  }
});

gpuTest("whatever the costs, results are the same to the bit", async (gpu) => {
  const [a, b, x, w] = [
    upload(gpu, normals("a", 67 * 130), [67, 130]),
    upload(gpu, normals("b", 130 * 52), [130, 52]),
    upload(gpu, normals("x", 9 * 11 * 20), [1, 9, 11, 20]),
    upload(gpu, normals("w", 9 * 20 * 24), [3, 3, 20, 24]),
  ];
  const results: number[][] = [];
  for (
    const costs of [
      STANDARD_COSTS,
      { ...STANDARD_COSTS, load: 1e4 },
      { ...STANDARD_COSTS, multiply: 1e3 },
      { ...STANDARD_COSTS, buffer: 1e-3, cores: 64 },
    ]
  ) {
    gpu.costs = costs;
    using product = matmul(a, b);
    using picture = conv2d(x, w, { padding: 1 });
    results.push([...await product.read(), ...await picture.read()]);
  }
  gpu.costs = STANDARD_COSTS;
  for (const result of results.slice(1)) assertEquals(result, results[0]);
  for (const tensor of [a, b, x, w]) tensor.dispose();
});
