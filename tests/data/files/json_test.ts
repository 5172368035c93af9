import { assertEquals, assertThrows } from "@std/assert";
import { parseJson } from "../../../data/files/json.ts";
import { UserError } from "../../../data/files/user_error.ts";

const limits = { what: "The text", depth: 2, values: 5 };

Deno.test("parseJson() reads JSON within its limits", () => {
  const texts = [
    ...['{"a": [1, 2], "b": {}}', "3", '"a"', "null", " [ ] ", "[[1], [2]]", '{"a\\"": "}]"}'],
    ...['["a", "a"]', '{"a": "a"}', '[{"a": 1}, {"a": 2}]', '"{\\\\"', '{"__proto__": 1}'],
  ];
  for (const text of texts) assertEquals(parseJson(text, limits), JSON.parse(text), text);
});

Deno.test("parseJson() refuses what nests too deep, is too much, has a name twice, or is no JSON", () => {
  const refused: [string, typeof UserError, string][] = [
    ["[[[", UserError, "The text may nest 2 deep, and goes deeper at character 2"],
    ['{"a": [{', UserError, "goes deeper at character 7"],
    ["[1, 2, 3, 4, 5, 6, 7]", UserError, "The text has more than 5 values"],
    ['{"a": 1, "\\u0061": 2}', UserError, 'The text has the name "a" twice'],
    ['{"65536": 1, "65536": 2}', UserError, 'has the name "65536" twice'],
    ["", UserError, "The text cannot be read as JSON"],
    ["]", UserError, "cannot be read as JSON"],
    ['"a', UserError, "cannot be read as JSON"],
    ['{"\\x": 1}', UserError, "cannot be read as JSON"],
    ["\x1b", UserError, "\\u001b"],
  ];
  for (const [text, kind, message] of refused) {
    assertThrows(() => parseJson(text, limits), kind, message);
  }
});

Deno.test("parseJson() refuses very many texts that are numbers", () => {
  const list = (count: number) => JSON.stringify(Array.from({ length: count }, (_, i) => `${i}`));
  const wide = { what: "The list", depth: 1 };
  assertEquals((parseJson(list(100_000), wide) as string[]).length, 100_000);
  const message = "The list has more than 100000 texts that are numbers";
  assertThrows(() => parseJson(list(100_001), wide), UserError, message);
});
