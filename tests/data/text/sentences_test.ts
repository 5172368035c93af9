import {
  assert,
  assertEquals,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import {
  loadSentences,
  readUnlabeled,
  sentenceVocabulary,
  tokenize,
} from "../../../data/text/sentences.ts";
import { dataTest, permissionTest } from "../../support.ts";
import { UserError } from "../../../data/files/user_error.ts";

const write: Deno.PermissionDescriptor[] = [{ name: "write" }];

/** What goes into a folder: `train.txt`, `dev.txt`, `test.txt` and whatever else. */
type Files = Record<string, string | Uint8Array>;

const good: Files = {
  "train.txt": "1 good food .\n0 bad\n",
  "dev.txt": "0 no\n1 yes\n",
  "test.txt": "1 yes !\n0 no\n",
};

async function withFolder(files: Files, use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const [name, content] of Object.entries(files)) {
      const bytes = typeof content === "string" ? new TextEncoder().encode(content) : content;
      await Deno.writeFile(join(folder, name), bytes);
    }
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Bytes of a text whose characters are all below 256: not UTF-8 where they are above 127. */
function latin1(text: string): Uint8Array {
  return Uint8Array.from(text, (character) => character.charCodeAt(0));
}

permissionTest("loadSentences() reads labels and tokens as they are", write, async () => {
  const files = {
    ...good,
    "train.txt": "\ufeff1 good   food\t.\r\n0\tCafé _num_ \r\n1 0 1",
  };
  await withFolder(files, async (folder) => {
    const data = await loadSentences(folder + "/");
    assertEquals(data.name, folder.split("/").pop());
    assertEquals(data.train, {
      sentences: [["good", "food", "."], ["Café", "_num_"], ["0", "1"]],
      labels: Uint8Array.of(1, 0, 1),
    });
    assertEquals(data.dev, { sentences: [["no"], ["yes"]], labels: Uint8Array.of(0, 1) });
    assertEquals(data.test.sentences[0], ["yes", "!"]);
    assertEquals(data.notes, []);
  });
});

permissionTest("loadSentences() counts what it passes over", write, async () => {
  const blank = Array.from({ length: 12 }, () => "\n").join("");
  const files = {
    "train.txt": "1 good\n\n0 bad\n0\n \t \n1  \n",
    "dev.txt": "1\n1 yes\n1 yes",
    "test.txt": blank + "0 no\n",
  };
  await withFolder(files, async (folder) => {
    const data = await loadSentences(folder);
    assertEquals(data.train.sentences, [["good"], ["bad"]]);
    assertEquals(data.train.labels, Uint8Array.of(1, 0));
    assertEquals(data.notes, [
      "train.txt: 4 lines without words were passed over (lines 2, 4, 5, 6)",
      "dev.txt: 1 line without words was passed over (line 1)",
      "dev.txt: every sentence has the label 1",
      "test.txt: 12 lines without words were passed over (lines 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, …)",
      "test.txt: every sentence has the label 0",
    ]);
  });
});

permissionTest(
  "loadSentences() and readUnlabeled() refuse what is no file of sentences",
  write,
  async () => {
    const files = {
      ...good,
      "long.txt": `a\n${"x ".repeat(500_000)}x`,
      "longest.txt": "x ".repeat(500_000) + "\n",
      "lines.txt": "\n".repeat(5_000_001),
      "bytes.txt": latin1("\n".repeat(3_000_000) + "\xff\n"),
    };
    await withFolder(files, async (folder) => {
      const read = (name: string) => readUnlabeled(join(folder, name));
      await assertRejects(
        () => read("long.txt"),
        UserError,
        "line 2: the line has 1000001 characters",
      );
      assertEquals((await read("longest.txt")).sentences[0].length, 500_000);
      await assertRejects(() => read("lines.txt"), UserError, "has more than 5000000 lines");
      await assertRejects(
        () => read("bytes.txt"),
        UserError,
        "line 3000001: the text must be UTF-8",
      );
    });
  },
);

const wrong: [string, Files, string[]][] = [
  ["a line without a label", { "train.txt": "1 good\ni was there .\n" }, [
    "train.txt, line 2",
    "label 0 or 1",
    "seems to have no label",
    '"i was there ."',
  ]],
  ["a label of another kind", { "dev.txt": "1 a\n0 b\n\n2 c\n" }, [
    "dev.txt, line 4",
    'label is "2"',
  ]],
  ["a negative label", { "test.txt": "-1 a\n" }, ["test.txt, line 1", 'label is "-1"']],
  ["a label that sticks to its sentence", { "test.txt": "1,good\n" }, ["line 1", '"1,good"']],
  ["a long line, shortened", { "train.txt": "x".repeat(1000) }, [`"${"x".repeat(60)}…"`]],
  ["an empty file", { "train.txt": "" }, ["train.txt has no sentence", "label 0 or 1"]],
  ["a file of blank lines", { "dev.txt": "\n\n0\n" }, ["dev.txt has no sentence"]],
  ["training sentences of one label", { "train.txt": "0 a\n0 b\n" }, [
    "train.txt",
    "both labels",
    "every sentence has the label 0",
  ]],
  ["bytes that are no UTF-8", { "dev.txt": latin1("1 yes\n0 caf\xe9 no\n1 yes\n") }, [
    "dev.txt, line 2",
    "UTF-8",
    '"0 caf\ufffd no"',
  ]],
  ["bytes that are no UTF-8 after CR line ends", { "dev.txt": latin1("1 \xc3\xa4\r0 b\r\xff") }, [
    "dev.txt, line 3",
  ]],
  ["a file that ends inside a character", { "test.txt": latin1("1 a\n0 b \xef") }, [
    "test.txt, line 2",
    "UTF-8",
  ]],
];

for (const [what, files, parts] of wrong) {
  permissionTest(`loadSentences() names ${what}`, write, async () => {
    await withFolder({ ...good, ...files }, async (folder) => {
      const error = await assertRejects(() => loadSentences(folder), UserError, folder);
      for (const part of parts) assertStringIncludes(error.message, part);
      assert(error.message.length < 300 && !error.message.includes("\n"), error.message);
    });
  });
}

permissionTest("loadSentences() says which files a folder must hold", write, async () => {
  await withFolder({ "train.txt": "1 a\n0 b\n" }, async (folder) => {
    const error = await assertRejects(() => loadSentences(folder), Deno.errors.NotFound, folder);
    assertStringIncludes(error.message, "misses dev.txt, test.txt");
    assertStringIncludes(error.message, "expected are train.txt, dev.txt, test.txt");
    await assertRejects(
      () => loadSentences(join(folder, "train.txt")),
      Deno.errors.NotFound,
      "it should hold train.txt, dev.txt, test.txt",
    );
  });
});

Deno.test("loadSentences() says that a folder does not exist", async () => {
  await assertRejects(
    () => loadSentences("no/such/folder"),
    Deno.errors.NotFound,
    "There is no folder no/such/folder: it should hold train.txt, dev.txt, test.txt",
  );
});

permissionTest("readUnlabeled() keeps blank lines in line", write, async () => {
  const files = { "a.txt": "1 star .\r\n\r\n  \r\nfine\t!\r\n\r\n" };
  await withFolder(files, async (folder) => {
    const { sentences, empty } = await readUnlabeled(join(folder, "a.txt"));
    assertEquals(sentences, [["1", "star", "."], [], [], ["fine", "!"], []]);
    assertEquals(empty, 3);
  });
});

permissionTest("readUnlabeled() names empty files and wrong bytes", write, async () => {
  await withFolder(
    { "a.txt": "", "b.txt": "\n \n", "c.txt": latin1("a\n\x80\n") },
    async (folder) => {
      for (const [name, message] of [["a", "no sentence"], ["b", "no sentence"], ["c", "line 2"]]) {
        const path = join(folder, `${name}.txt`);
        const error = await assertRejects(() => readUnlabeled(path), UserError, path);
        assertStringIncludes(error.message, message);
      }
      await assertRejects(
        () => readUnlabeled(join(folder, "d.txt")),
        Deno.errors.NotFound,
        "d.txt",
      );
    },
  );
});

Deno.test("sentenceVocabulary() sorts by frequency, then by code point", () => {
  // U+FF5E comes before the emoji by code point, and after it by UTF-16 units.
  const train = [["b", "a", "b", "😀", "～"], ["ab", "c", "c", "b"]];
  const words = (options?: Parameters<typeof sentenceVocabulary>[1]) =>
    sentenceVocabulary(train, options).words.slice(4);
  assertEquals(words(), ["b", "c", "a", "ab", "～", "😀"]);
  assertEquals(words({ minCount: 2 }), ["b", "c"]);
  assertEquals(words({ minCount: 2, extra: ["z", "c", "a", "z"] }), ["b", "c", "z", "a"]);
  assertEquals(words({ minCount: 4 }), []);
});

Deno.test("sentenceVocabulary() keeps special tokens at their ids", () => {
  const vocabulary = sentenceVocabulary([["<UNK>", "a", "<NULL>"]], { extra: ["<END>"] });
  assertEquals(vocabulary.words, ["<NULL>", "<START>", "<END>", "<UNK>", "a"]);
  for (const minCount of [0, 1.5, NaN]) {
    assertThrows(() => sentenceVocabulary([["a"]], { minCount }), RangeError, `it is ${minCount}`);
  }
});

const tokenized: [string, string][] = [
  ["I don't like it, 5 stars!", "i do n't like it , _num_ stars !"],
  ["He can't, won't and cannot go.", "he ca n't , wo n't and can not go ."],
  [
    "It's John's; they're sure I'd go, I'll stay, I'm in, you've won",
    "it 's john 's ;" +
    " they 're sure i 'd go , i 'll stay , i 'm in , you 've won",
  ],
  ["You shouldn't've, gonna say.", "you should n't 've , gon na say ."],
  ["“Don’t” he said — ‘never’.", "`` do n't '' he said -- ' never ' ."],
  ['("Great" food) He said "it is good."', "( `` great '' food ) he said `` it is good . ''"],
  ["$5, $1,000.50 or 20% of #3", "$ _num_ , $ _num_ or _num_ % of # _num_"],
  [
    "at 5:30 for 1/2, 10-15 or .5 5-star 2nd 10pm",
    "at 5:30 for 1/2 , 10-15 or _num_ 5-star 2nd 10pm",
  ],
  ["Wait....what?! No…", "wait ... what ? ! no ..."],
  [
    "Good. So do I. Dr. No came at 5 p.m. sharp.",
    "good . so do i . dr. no came at _num_ p.m. sharp .",
  ],
  ["It closes at 9 p.m.", "it closes at _num_ p.m ."],
  ["Rate: 4.5.", "rate : _num_ ."],
  ["The guys' night, 'em, o'clock, y'all, A+", "the guys ' night , 'em , o'clock , y'all , a+"],
  ["food--great&cheap *** a/c", "food -- great & cheap *** a/c"],
  ["Café was très-bon’s", "café was très-bon 's"],
  [" \n\t ", ""],
  ["", ""],
];

for (const [text, tokens] of tokenized) {
  Deno.test(`tokenize() splits ${JSON.stringify(text)}, and its own result no further`, () => {
    assertEquals(tokenize(text).join(" "), tokens);
    assertEquals(tokenize(tokens).join(" "), tokens);
  });
}

dataTest("loadSentences() reads the homework's sentences", "sentences", async (path) => {
  const data = await loadSentences(path);
  assertEquals(data.name, "sentences");
  assertEquals(data.notes, []);
  const sizes = [data.train, data.dev, data.test].map(({ sentences }) => sentences.length);
  assertEquals(sizes, [40_000, 10_000, 10_000]);
  for (const { sentences, labels } of [data.train, data.dev, data.test]) {
    assertEquals(labels.length, sentences.length);
    assertEquals(labels.reduce((sum, label) => sum + label, 0), sentences.length / 2);
  }
  const vocabulary = sentenceVocabulary(data.train.sentences);
  assertEquals(vocabulary.words.slice(4, 7), [".", "the", "and"]);

  // Tokens that are typed in come out as they are, apart from a few dots that the data left on words.
  const kept = data.train.sentences.filter((words) =>
    tokenize(words.join(" ")).join(" ") === words.join(" ")
  );
  assert(kept.length > 39_950, `${kept.length} of 40,000 sentences are kept`);
});

dataTest(
  "readUnlabeled() reads the homework's sentences",
  "sentences/unlabelled.txt",
  async (path) => {
    const { sentences, empty } = await readUnlabeled(path);
    assertEquals([sentences.length, empty], [10_000, 0]);
  },
);
