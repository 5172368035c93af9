import { assertEquals, assertLess, assertThrows } from "@std/assert";
import { checkNumberKeys, TextMap } from "../../../data/files/table_keys.ts";
import { UserError } from "../../../data/files/user_error.ts";

Deno.test("TextMap is a Map of texts, those among them that are numbers too", () => {
  const words = ["a", "5", "5\0", "5\0\0", "", "4294967295", "12345678901", "05"];
  const map = new TextMap<number>();
  words.forEach((word, i) => map.set(word, i));
  assertEquals(map.size, words.length);
  const each: [string, number][] = words.map((word, i) => [word, i]);
  assertEquals([...map], each);
  assertEquals([...map.entries()], each);
  assertEquals([...map.keys()], words);
  assertEquals([...map.values()], [...words.keys()]);
  const seen: [string, number][] = [];
  map.forEach((value, key) => seen.push([key, value]));
  assertEquals(seen, each);
  assertEquals(words.map((word) => [map.get(word), map.has(word)]), words.map((_, i) => [i, true]));
  assertEquals([map.get("6"), map.has("b"), map.delete("5"), map.delete("5")], [
    undefined,
    false,
    true,
    false,
  ]);
  assertEquals([map.has("5"), map.has("5\0")], [false, true]);
});

Deno.test("TextMap takes texts in little time that share a place in a plain Map", () => {
  const map = new TextMap<number>();
  const start = performance.now();
  for (let i = 0; i < 50_000; i++) map.set(`${65_536 * i}`, i); // a Map takes 20 s and more
  assertEquals(map.get(`${65_536 * 49_999}`), 49_999);
  assertLess(performance.now() - start, 2000);
});

Deno.test("checkNumberKeys() refuses very many names that are numbers", () => {
  const names = Array.from({ length: 10_001 }, (_, i) => `${i}`);
  checkNumberKeys(names.slice(1), "The file");
  checkNumberKeys([...names.slice(1), "a", "-1", "1.5", "12345678901"], "The file");
  const message = "The file has more than 10000 names that are numbers, which is the limit";
  assertThrows(() => checkNumberKeys(names, "The file"), UserError, message);
});
