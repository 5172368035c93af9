import { assert, assertEquals, assertMatch } from "@std/assert";
import { type Costs, STANDARD_COSTS } from "../../kernels/runtime/costs.ts";
import { bestTile, type Tuned, tuneOperation, withTiles } from "../../tasks/tune.ts";
import { gpuProcessTest, gpuTest } from "../gpu_support.ts";
import { runTaskProcess, TASK_PERMISSIONS, withTempFolder } from "./task_process.ts";

const TUNED: Tuned[] = [
  { product: "faster", rule: "8x1", times: { "8x1": 10, "16x1": 9, "32x1": 9.5 } },
  { product: "noise", rule: "8x1", times: { "8x1": 10, "16x1": 9.8 } },
  { product: "best", rule: "8x1", times: { "8x1": 10, "16x1": 12 } },
];

Deno.test("tune: the fastest tile is kept where it is worthwhile, and takes the place of what was", () => {
  assertEquals(TUNED.map(bestTile), ["16x1", "8x1", "8x1"]);
  assertEquals(withTiles(STANDARD_COSTS, TUNED), { ...STANDARD_COSTS, tiles: { faster: "16x1" } });
  const before: Costs = { ...STANDARD_COSTS, tiles: { noise: "16x1", other: "4x1" } };
  assertEquals(withTiles(before, TUNED).tiles, { faster: "16x1", other: "4x1" });
  assertEquals(withTiles({ ...STANDARD_COSTS, tiles: { best: "16x1" } }, TUNED.slice(2)), {
    ...STANDARD_COSTS,
  });
});

gpuTest(
  "tune: every product of an operation is timed by its tiles, the rule's among them",
  async (gpu) => {
    if (gpu.path !== "subgroup") return;
    const before: Costs = { ...gpu.costs, tiles: { "9x13x20": "8x1" } };
    gpu.costs = before;
    const tuned = await tuneOperation(gpu, "matmul", [9, 20, 13], { rounds: 1, turn: 1 });
    assertEquals(tuned.map(({ product }) => product), ["9x13x20", "9x20x13", "20x13x9 across"]);
    for (const { rule, times } of tuned) {
      assert(rule in times && Object.keys(times).length > 1, rule);
      for (const [tile, ms] of Object.entries(times)) assert(ms > 0 && ms < Infinity, tile);
    }
    assertEquals(gpu.costs, before);
    // A tile that is kept is used, and does not pass for the rule's.
    gpu.costs = { ...before, tiles: { "9x13x20": "32x2" } };
    const [again] = await tuneOperation(gpu, "matmul", [9, 20, 13], { rounds: 1, turn: 1 });
    assertEquals(again.rule, tuned[0].rule);
  },
);

gpuProcessTest("tune: the task keeps tiles, or says what is wrong", TASK_PERMISSIONS, async () => {
  await withTempFolder(async (folder) => {
    const path = `${folder}/costs.json`;
    const args = ["matmul", "--shape=9x20x13", "--rounds=1", "--turn=1"];
    const good = await runTaskProcess("tune", args, { NECKAR_COSTS: path });
    assertEquals(good.code, 0, good.stderr);
    assertMatch(good.stdout, /^matmul 9x20x13, with its gradients\n {2}9x13x20: [\d.]+ ms with /);
    assert(good.stdout.endsWith(`from the rule's: kept in ${path}\n`), good.stdout);
    const kept = JSON.parse(await Deno.readTextFile(path));
    assert(kept.costs.multiply > 0, JSON.stringify(kept));
    const unnamed = await runTaskProcess("tune", args, { NECKAR_COSTS: "{}" });
    assertMatch(unnamed.stdout, /To have them used, set NECKAR_COSTS='\{"multiply":/);
    const wrong = await runTaskProcess("tune", ["--shape=9x20x13"]);
    assertEquals(wrong.code, 2);
    assertMatch(wrong.stderr, /^error: Flag --shape needs the name of an operation before it/);
  });
});
