import {
  assert,
  assertAlmostEquals,
  assertEquals,
  assertNotEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { type GloveOptions, readGlove, vectorTable } from "../../../data/text/glove.ts";
import { RandomStream } from "../../../data/rng.ts";
import { Vocabulary } from "../../../data/text/vocabulary.ts";
import { dataTest, permissionTest } from "../../support.ts";
import { UserError } from "../../../data/files/user_error.ts";

const write: Deno.PermissionDescriptor[] = [{ name: "write" }];

async function withFile(
  content: string | Uint8Array,
  use: (path: string) => Promise<void>,
): Promise<void> {
  const path = await Deno.makeTempFile({ suffix: ".txt" });
  try {
    const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
    await Deno.writeFile(path, bytes);
    await use(path);
  } finally {
    await Deno.remove(path);
  }
}

/** Write a file and read it back. */
async function read(content: string, options?: GloveOptions) {
  let result: Awaited<ReturnType<typeof readGlove>> | undefined;
  await withFile(content, async (path) => {
    result = await readGlove(path, options);
  });
  assert(result !== undefined);
  return { ...result, vectors: Object.fromEntries(result.vectors) };
}

permissionTest("readGlove() reads words and vectors in the file's order", write, async () => {
  const { width, vectors, lines } = await read(
    "the 0.5 -1 2e-3\n, .25 +7. 1E2\n. -0.125 0 3\ncafé\u00a0ß 1 2 3\n",
  );
  assertEquals([width, lines], [3, 4]);
  assertEquals(Object.keys(vectors), ["the", ",", ".", "café\u00a0ß"]);
  assertEquals(vectors["the"], Float32Array.of(0.5, -1, 0.002));
  assertEquals(vectors[","], Float32Array.of(0.25, 7, 100));
});

permissionTest("readGlove() takes all but the last fields as the word", write, async () => {
  const { vectors } = await read("a 1 2\n. . . 3 4\nat 5.name 5 6\n10 7 8\n1e5 9 10\n");
  assertEquals(Object.keys(vectors).sort(), ["10", "1e5", ". . .", "a", "at 5.name"].sort());
  assertEquals(vectors[". . ."], Float32Array.of(3, 4));
  assertEquals(vectors["10"], Float32Array.of(7, 8));
});

permissionTest("readGlove() keeps what is wanted, and the first words", write, async () => {
  const text = "a 1\nb 2\nc 3\nd 4\n";
  const kept = async (options: GloveOptions) => {
    const { vectors, lines } = await read(text, options);
    assertEquals(lines, 4);
    return Object.keys(vectors).join("");
  };
  assertEquals(await kept({}), "abcd");
  assertEquals(await kept({ wanted: new Set("dbx") }), "bd");
  assertEquals(await kept({ wanted: new Map() }), "");
  assertEquals(await kept({ first: 2 }), "ab");
  assertEquals(await kept({ first: 0 }), "");
  assertEquals(await kept({ first: 9 }), "abcd");
  assertEquals(await kept({ first: 1, wanted: new Set("d") }), "ad");
  for (const first of [-1, 1.5, NaN]) {
    await assertRejects(() => readGlove("any.txt", { first }), RangeError, `it is ${first}`);
  }
});

permissionTest("readGlove() keeps the first of two vectors of a word", write, async () => {
  const { vectors, lines } = await read("a 1 2\nb 3 4\na 5 6\n");
  assertEquals(lines, 3);
  assertEquals(vectors, { a: Float32Array.of(1, 2), b: Float32Array.of(3, 4) });
});

permissionTest(
  "readGlove() takes a header, CRLF, tabs, a BOM and spaces at the end",
  write,
  async () => {
    const { vectors, width, lines } = await read("\ufeff2 3\r\na 1 2 3 \r\nb\t4\t5\t6\r\n");
    assertEquals([width, lines], [3, 2]);
    assertEquals(vectors, { a: Float32Array.of(1, 2, 3), b: Float32Array.of(4, 5, 6) });
    assertEquals((await read("\ufeffa 1 2 3\n")).vectors, { a: Float32Array.of(1, 2, 3) });
  },
);

permissionTest("readGlove() reads lines that lie across its chunks", write, async () => {
  // 3 MB with lines of several lengths, so that chunks end anywhere.
  const count = 6007;
  const vectorOf = (i: number) =>
    Array.from({ length: 50 }, (_, k) => (i * 31 + k * 17) % 1000 - 500);
  const text = Array.from({ length: count }, (_, i) => {
    const numbers = vectorOf(i).map((value) => (value / 1000).toFixed(5 + i % 5));
    return `wörd${i} ${numbers.join(" ")}\n`;
  }).join("");
  assert(text.length > 2.5e6);
  const { vectors, lines } = await read(text);
  assertEquals(lines, count);
  for (let i = 0; i < count; i++) {
    const expected = Float32Array.from(vectorOf(i), (value) => value / 1000);
    assertEquals(vectors[`wörd${i}`], expected);
  }
});

const wrong: [string, string | Uint8Array, string[]][] = [
  ["a line with fewer numbers", "a 1 2 3\nb 1 2\n", [
    "line 2",
    'found 2: the word is "b"',
    "3 numbers after the word, as line 1 has",
  ]],
  ["a line with more numbers", "a 1 2\nb 1 2 3\n", [
    "line 2",
    'found 3: the word is "b"',
    "2 numbers after the word",
  ]],
  ["a line of a number word that is short", "a 1 2\n7 1\n", [
    "line 2",
    'found 1: the word is "7"',
  ]],
  ["a width other than the header's", "2 3\na 1 2 3\nb 1 2\n", [
    "line 3",
    "as line 1 says",
    "found 2",
  ]],
  ["a word without numbers", "a 1\nhello\n", ["line 2", 'found 0: the word is "hello"']],
  ["a first line without numbers", "hello\n", ["line 1", "a word and its numbers", '"hello"']],
  ["letters for a number", "a 1 2 3\nb 1 x 3\n", ["line 2", '"x" is no finite number']],
  ["letters on line 1", "a 1 x 3\n", ["line 1", '"x" is no finite number']],
  ["nan", "a 1 2\nb nan 3\n", ["line 2", '"nan" is no finite number']],
  ["inf", "a 1 2\nb 3 -inf\n", ["line 2", '"-inf" is no finite number']],
  ["a number past 32 bits", "a 1 2\nb 1 1e39\n", ["line 2", '"1e39" is no finite number']],
  ["signs without digits", "a 1 2\nb 1 -\n", ["line 2", '"-" is no finite number']],
  ["a line without a word", "a 1 2\n 3 4\n", ["line 2", "must start with a word"]],
  ["a first line without a word", " 3 4\n 5 6\n", ["line 1", "must start with a word"]],
  ["an empty first line", "\na 1 2\nb 3 4\n", ["line 1", "this one is empty"]],
  ["an empty file", "", ["is empty"]],
  ["a word that is no UTF-8", Uint8Array.from("a 1\nb\xe9 2\n", (c) => c.charCodeAt(0)), [
    "line 2",
    "UTF-8",
    '"b\ufffd"',
  ]],
  ["a file that ends inside a line", "a 1 2\nc 1 2\nb 3", ["line 3", "ends early", "get it anew"]],
  ["a file that ends inside a number", "a 1 2\nc 1 2\nb 3 -", ["line 3", "ends early"]],
  ["a file that ends inside line 1", "a", ["line 1", "a word and its numbers"]],
  ["a header alone", "3 1\n", ["line 1", "ends here, and holds no vector"]],
  ["as many odd lines as good ones", "a 1\nb 1\nc\nd\n", [
    "line 3",
    'found 0: the word is "c"',
    "(2 of 4 lines cannot be read)",
  ]],
  ["more odd lines than a real file has", `${"a 1\n".repeat(500)}${"b\n".repeat(11)}`, [
    "line 501",
    "(11 of 511 lines cannot be read)",
  ]],
  ["another format after thousands of odd lines", `a 1\n${"b\n".repeat(3000)}`, [
    "line 2",
    "(1001 of 1002 lines cannot be read)",
  ]],
  ["a header of zeros", "0 50\n", ["line 1", "above 0", "0 and 50"]],
  ["a gzip file", Uint8Array.of(0x1f, 0x8b, 8, 0, 10, 1), ["gzip", "unpack it first"]],
  ["a zip file", Uint8Array.of(0x50, 0x4b, 3, 4, 20, 0), ["zip", "unpack it first"]],
  ["a file without line ends", new Uint8Array(1.2e6).fill(65), ["line 1", "no line end"]],
];

for (const [what, content, parts] of wrong) {
  permissionTest(`readGlove() names ${what}`, write, async () => {
    await withFile(content, async (path) => {
      const error = await assertRejects(() => readGlove(path), UserError, path);
      for (const part of parts) assertStringIncludes(error.message, part);
      assert(error.message.length < 300 && !error.message.includes("\n"), error.message);
    });
  });
}

permissionTest("readGlove() leaves odd lines out of real files, and says so", write, async () => {
  const good = "a 1 2\nb 3 4\nc 5 6\n";
  const vectors = {
    a: Float32Array.of(1, 2),
    b: Float32Array.of(3, 4),
    c: Float32Array.of(5, 6),
  };
  const bytes = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0));
  const cases: [string | Uint8Array, string[]][] = [
    [good, []],
    [`${good}\n`, []],
    [`${good} \n\r\n\n`, []],
    [`${good} 7 8\n`, ["1 line was left out", "line 4: a line must start with a word"]],
    [`${good}\t7 8\n`, ["1 line was left out", "line 4: a line must start with a word"]],
    [bytes(`${good}d\xe9 7 8\n`), ["1 line was left out", "line 4: words must be UTF-8"]],
    [`${good}d 7 nan\n`, ["1 line was left out", 'line 4: "nan" is no finite number']],
    [`${good}d 7\ne 8\n`, ["2 lines were left out", "line 4: expected 2 numbers"]],
    [`a 1 2\n\n\nb 3 4\nc 5 6\n\n`, ["2 lines were left out", "line 2: this line is empty"]],
    [good.trimEnd(), ["The last line of ", "has no line end"]],
    [`3 2\n${good}`, []],
    [`3 2\n${good}`.trimEnd(), []],
    [`4 2\n${good}`, ["has 3 vectors, but line 1 says 4"]],
    [`2 2\n${good}`, ["has 3 vectors, but line 1 says 2"]],
    [`4 2\n${good}d 7 x\n`, ["1 line was left out", 'line 5: "x" is no finite number']],
  ];
  for (const [content, parts] of cases) {
    await withFile(content, async (path) => {
      const read = await readGlove(path);
      assertEquals([read.width, read.lines, Object.fromEntries(read.vectors)], [2, 3, vectors]);
      assertEquals(read.notes.length, Math.min(1, parts.length), read.notes.join());
      for (const part of parts) assertStringIncludes(read.notes[0], part);
    });
  }
});

permissionTest("readGlove() checks lines that are not kept", write, async () => {
  for (const line of ["b 1", "b 1 2 3", "b 1 nan", "b"]) {
    await assertRejects(() => read(`a 1 2\n${line}\n`, { first: 0 }), UserError, "line 2");
  }
});

Deno.test("readGlove() says which file does not exist", async () => {
  await assertRejects(() => readGlove("no/such.txt"), Deno.errors.NotFound, "no/such.txt");
});

const file = {
  width: 2,
  lines: 3,
  vectors: new Map([
    ["bad", Float32Array.of(1, 2)],
    ["good", Float32Array.of(3, 4)],
    ["<UNK>", Float32Array.of(5, 9)],
  ]),
};

Deno.test("vectorTable() puts vectors at their ids and counts words, not special tokens", () => {
  const vocabulary = Vocabulary.fromWords(["good", "mauve", "bad"]);
  const { table, covered } = vectorTable(vocabulary, file, new RandomStream(1));
  assertEquals(table.length, 14);
  assertEquals(covered, 2);
  assertEquals([...table.subarray(8, 10)], [3, 4]);
  assertEquals([...table.subarray(12, 14)], [1, 2]);
  assertEquals([...table.subarray(6, 8)], [5, 9]);
});

Deno.test("vectorTable() draws missing words by their own spelling", () => {
  const draw = (words: string[], word: string, seed = 1) => {
    const vocabulary = Vocabulary.fromWords(words);
    const { table } = vectorTable(vocabulary, file, new RandomStream(seed));
    return [...table.subarray(2 * vocabulary.index(word), 2 * vocabulary.index(word) + 2)];
  };
  const alone = draw(["mauve"], "mauve");
  assertEquals(draw(["x", "good", "mauve"], "mauve"), alone);
  assertNotEquals(draw(["x", "mauve"], "x"), alone);
  assertNotEquals(draw(["mauve"], "mauve", 2), alone);
});

Deno.test("vectorTable() draws with the mean and deviation of the vectors' numbers", () => {
  const words = Array.from({ length: 4000 }, (_, i) => `w${i}`);
  const { table } = vectorTable(Vocabulary.fromWords(words), file, new RandomStream(3));
  const drawn = [...table.subarray(8)];
  const mean = drawn.reduce((sum, value) => sum + value) / drawn.length;
  const variance = drawn.reduce((sum, value) => sum + (value - mean) ** 2, 0) / drawn.length;
  // 1, 2, 3, 4, 5 and 9: mean 4, variance 40 / 6.
  assertAlmostEquals(mean, 4, 0.12);
  assertAlmostEquals(variance, 40 / 6, 0.35);
});

Deno.test("vectorTable() rejects no vectors, and vectors of two widths", () => {
  const vocabulary = Vocabulary.fromWords(["a"]);
  const stream = new RandomStream(0);
  assertThrows(
    () => vectorTable(vocabulary, { width: 2, vectors: new Map() }, stream),
    RangeError,
    "there are none",
  );
  const vectors = new Map([["a", Float32Array.of(1)]]);
  assertThrows(
    () => vectorTable(vocabulary, { width: 2, vectors }, stream),
    TypeError,
    'All vectors must have 2 numbers: that of "a" has 1',
  );
});

dataTest(
  "readGlove() reads the subset of glove.6B.50d",
  "glove/glove.6B.50d.subset.txt",
  async (path) => {
    const whole = await readGlove(path);
    assertEquals([whole.width, whole.lines, whole.vectors.size], [50, 13_775, 13_775]);
    assertAlmostEquals(whole.vectors.get("the")?.[0] ?? NaN, 0.418, 1e-7);
    const some = await readGlove(path, { wanted: new Set(["good", "terrible"]), first: 2 });
    assertEquals([...some.vectors.keys()], ["the", ",", "good", "terrible"]);
    assertEquals(some.vectors.get("good"), whole.vectors.get("good"));
    assertEquals(some.lines, 13_775);
  },
);
