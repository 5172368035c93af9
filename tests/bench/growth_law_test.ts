import { assertAlmostEquals, assertEquals } from "@std/assert";
import { fitLaw, jumps } from "./growth_law.ts";

const points = (times: [size: number, ms: number][]) =>
  times.map(([size, ms]) => ({ size, ms, bytes: 0 }));
const same = (size: number) => size;

Deno.test("a law's fixed part and slope are found, and how far the furthest point lies from it", () => {
  const law = fitLaw([1, 2, 4, 8], [5, 7, 11, 19]);
  assertAlmostEquals(law.fixed, 3);
  assertAlmostEquals(law.slope, 2);
  assertAlmostEquals(law.residual, 0, 1e-9);
  assertEquals(fitLaw([1, 2, 4, 8], [5, 7, 11, 38]).residual > 0.3, true);
});

Deno.test("a law has no part below 0", () => {
  assertEquals(fitLaw([1, 2, 4], [1, 4, 16]).fixed, 0);
  assertEquals(fitLaw([1, 2, 4], [4, 2, 1]).slope, 0);
});

Deno.test("a fixed cost is no jump", () => {
  assertEquals(jumps(points([[1, 10], [4, 10.3], [64, 16]]), same), []);
});

Deno.test("a size that costs more for each value than its neighbour is a jump, on whichever side it lies", () => {
  assertEquals(jumps(points([[16, 16], [32, 60], [64, 64]]), same), [1]);
  assertEquals(jumps(points([[63, 120], [64, 64], [65, 65]]), same), [0]);
  assertEquals(jumps(points([[63, 63], [64, 64], [65, 120]]), same), [2]);
  assertEquals(jumps(points([[1, 80], [4, 40], [8, 45]]), same), [0]);
});

Deno.test("what a value costs is told by the work of a size", () => {
  const square = (side: number) => side ** 2;
  assertEquals(jumps(points([[14, 1], [28, 4], [56, 16]]), square), []);
  assertEquals(jumps(points([[14, 1], [28, 4], [56, 16]]), same), [1, 2]);
});
