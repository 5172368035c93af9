import { assert, assertEquals, assertNotEquals, assertThrows } from "@std/assert";
import { RandomStream, threefry2x32 } from "../../data/rng.ts";

Deno.test("threefry2x32() gives Random123's known answers", () => {
  // The three lines "threefry2x32 20" of Random123's tests/kat_vectors.
  assertEquals(threefry2x32(0, 0, 0, 0), [0x6b200159, 0x99ba4efe]);
  const ones = 0xffffffff;
  assertEquals(threefry2x32(ones, ones, ones, ones), [0x1cb996fc, 0xbb002be7]);
  assertEquals(
    threefry2x32(0x13198a2e, 0x03707344, 0x243f6a88, 0x85a308d3),
    [0xc4923a9c, 0x483df7a0],
  );
});

Deno.test("RandomStream draws the words of its counter in order", () => {
  const stream = new RandomStream(2 ** 32 * 5 + 7);
  const drawn = Array.from({ length: 6 }, () => stream.uint32());
  assertEquals(drawn, [0, 1, 2].flatMap((counter) => threefry2x32(7, 5, counter, 0)));
});

Deno.test("RandomStream goes on from its state, also past 2^32 blocks", () => {
  for (const position of [0, 1, 6, 2 ** 33 - 1, 2 ** 33]) {
    const { key } = new RandomStream(3).state;
    const stream = RandomStream.fromState({ key, position });
    stream.uint32();
    const saved = JSON.parse(JSON.stringify(stream.state));
    assertEquals(saved.position, position + 1);
    const again = RandomStream.fromState(saved);
    for (let i = 0; i < 5; i++) assertEquals(again.uint32(), stream.uint32());
  }
  const far = RandomStream.fromState({ key: [3, 0], position: 2 ** 33 });
  assertEquals(far.uint32(), threefry2x32(3, 0, 0, 1)[0]);
});

Deno.test("RandomStream.split() depends on the label alone, not on what was drawn", () => {
  const stream = new RandomStream(11);
  const before = stream.split("dropout").uint32();
  stream.uint32();
  assertEquals(stream.split("dropout").uint32(), before);
  const labels = ["dropout", "Dropout", "", "1", 1, 2, "é"];
  const firsts = new Set(labels.map((label) => stream.split(label).uint32()));
  assertEquals(firsts.size, labels.length);
  assertNotEquals(stream.split("a").split("b").uint32(), stream.split("b").split("a").uint32());
});

Deno.test("RandomStream.uniform() and normal() have the moments of their distributions", () => {
  const stream = new RandomStream(1);
  const n = 20000;
  let sum = 0;
  for (let i = 0; i < n; i++) {
    const u = stream.uniform();
    assert(u >= 0 && u < 1);
    sum += u;
  }
  // Six standard errors.
  assert(Math.abs(sum / n - 0.5) < 6 * Math.sqrt(1 / 12 / n));

  const z = Array.from({ length: n }, () => stream.normal());
  const moment = (k: number) => z.reduce((total, x) => total + x ** k, 0) / n;
  assert(Math.abs(moment(1)) < 6 / Math.sqrt(n));
  assert(Math.abs(moment(2) - 1) < 6 * Math.sqrt(2 / n));
  assert(Math.abs(moment(4) - 3) < 6 * Math.sqrt(96 / n));
  assert(z.every(Number.isFinite));
});

Deno.test("RandomStream.integer() reaches every value about equally often", () => {
  const stream = new RandomStream(2);
  const counts = new Array(7).fill(0);
  for (let i = 0; i < 7000; i++) counts[stream.integer(7)]++;
  // Chi-squared with 6 degrees of freedom is below 40 but once in two million seeds.
  assert(counts.reduce((total, count) => total + (count - 1000) ** 2 / 1000, 0) < 40);
  assertEquals(stream.integer(1), 0);
  const wide = stream.integer(2 ** 32);
  assert(Number.isInteger(wide) && wide >= 0 && wide < 2 ** 32);
});

Deno.test("RandomStream.permutation() holds each index once and shuffles in place", () => {
  const order = new RandomStream(5).permutation(101);
  assertEquals([...order].sort((a, b) => a - b), Array.from({ length: 101 }, (_, i) => i));
  assertNotEquals([...order], Array.from({ length: 101 }, (_, i) => i));
  assertEquals(new RandomStream(5).permutation(101), order);
  assertEquals(new RandomStream(5).permutation(0).length, 0);
  const letters = ["a", "b", "c"];
  assert(new RandomStream(5).shuffle(letters) === letters);
  assertEquals([...letters].sort(), ["a", "b", "c"]);
});

Deno.test("RandomStream.shuffle() reaches every order", () => {
  const stream = new RandomStream(6);
  const seen = new Set<string>();
  for (let i = 0; i < 200; i++) seen.add(stream.shuffle(["a", "b", "c"]).join(""));
  assertEquals(seen.size, 6);
});

Deno.test("RandomStream rejects seeds, states and ranges that make no sense", () => {
  for (const seed of [-1, 0.5, NaN, 2 ** 53]) {
    assertThrows(() => new RandomStream(seed), RangeError, `it is ${seed}`);
  }
  const stream = new RandomStream(0);
  assertThrows(() => stream.integer(0), RangeError, "n is 0");
  assertThrows(() => stream.integer(2 ** 32 + 1), RangeError);
  assertThrows(() => stream.permutation(-1), RangeError, "n is -1");
  const state = (key: [number, number], position: number) => () =>
    RandomStream.fromState({ key, position });
  assertThrows(state([0, 2 ** 32], 0), RangeError, "[0,4294967296]");
  assertThrows(state([0, 0], -1), RangeError, "it is -1");
});

Deno.test("RandomStream tells what is the state of a stream", () => {
  const { state } = new RandomStream(3);
  assertEquals(RandomStream.isState(JSON.parse(JSON.stringify(state))), true);
  const others = [null, undefined, 3, {}, { key: [1, 2] }, { key: [1], position: 0 }];
  for (const other of [...others, { key: ["1", 2], position: 0 }, { ...state, position: -1 }]) {
    assertEquals(RandomStream.isState(other), false);
  }
});
