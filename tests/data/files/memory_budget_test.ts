import { assertEquals, assertRejects } from "@std/assert";
import { MemoryBudget } from "../../../data/files/memory_budget.ts";

Deno.test("MemoryBudget never lets more run than it has, in the order of asking", async () => {
  const budget = new MemoryBudget(10);
  const started: number[] = [];
  let [running, most] = [0, 0];
  const sizes = [4, 6, 1, 10, 3, 25, 2, 9, 0, 10];
  await Promise.all(sizes.map((size, i) =>
    budget.run(size, async () => {
      started.push(i);
      running += Math.min(size, 10);
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 3 * (sizes.length - i)));
      running -= Math.min(size, 10);
    })
  ));
  assertEquals([started, most], [[...sizes.keys()], 10]);
});

Deno.test("MemoryBudget gives back what work that fails has taken", async () => {
  const budget = new MemoryBudget(5);
  const fail = () => budget.run(5, () => Promise.reject(new Error("broken")));
  await Promise.all([assertRejects(fail, Error, "broken"), assertRejects(fail, Error, "broken")]);
  assertEquals(await budget.run(5, () => 7), 7);
});
