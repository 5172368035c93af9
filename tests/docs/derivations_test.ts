/** docs/derivations.md and the code carry the same tags, and the document's links lead somewhere. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);
const DOCUMENT = new URL("docs/derivations.md", ROOT);

function read(path: string): string {
  return Deno.readTextFileSync(new URL(path, ROOT));
}

function exists(url: URL): boolean {
  try {
    return Deno.statSync(url).isFile;
  } catch {
    return false;
  }
}

/** All first groups of `pattern` in `text`, each once, sorted as words with numbers. */
function found(text: string, pattern: RegExp): string[] {
  const all = new Set(Array.from(text.matchAll(pattern), (match) => match[1]));
  return [...all].sort((a, b) => a.localeCompare(b, "en", { numeric: true }));
}

/** The tags of boxed formulas, such as R3, of one letter. */
function documentTags(letter: string): string[] {
  return found(read("docs/derivations.md"), new RegExp(`\\\\text\\{\\((${letter}\\d+)\\)\\}`, "g"));
}

/** The tags in the line comments of a source text, such as `// (R2) (R9)`. */
function codeTags(source: string): string[] {
  return found((source.match(/\/\/.*$/gm) ?? []).join("\n"), /\(([RL]\d+)\)/g);
}

/** The text of every kernel, TypeScript and WGSL. */
function kernelSources(): string {
  return [...Deno.readDirSync(new URL("kernels/", ROOT))]
    .filter(({ name }) => /\.(ts|wgsl)$/.test(name))
    .map(({ name }) => read(`kernels/${name}`))
    .join("\n");
}

Deno.test("derivations.md has every boxed formula tagged, and numbers the tags without a gap", () => {
  const text = read("docs/derivations.md");
  const boxed = text.split("\n").filter((line) => line.includes("\\boxed"));
  const tagged = boxed.filter((line) =>
    /^\$\$\\boxed\{.*\} \\qquad \\text\{\([RL]\d+\)\}\$\$$/.test(line)
  );
  assertEquals(boxed.filter((line) => !tagged.includes(line)), []);
  for (const letter of ["R", "L"]) {
    const tags = documentTags(letter);
    assertEquals(tags, tags.map((_, index) => `${letter}${index + 1}`));
  }
  assertEquals(boxed.length, documentTags("R").length + documentTags("L").length);
});

Deno.test("derivations.md links each boxed formula to the twin that computes it", () => {
  const paragraphs = read("docs/derivations.md").split(/\n{2,}/);
  for (const [index, paragraph] of paragraphs.entries()) {
    const tag = /\\text\{\(([RL])\d+\)\}/.exec(paragraph);
    if (tag === null) continue;
    const code = paragraphs.slice(index).find((other) => /^(Code:|#)/.test(other)) ?? "";
    const twin = tag[1] === "R" ? "rnn.ts" : "lstm.ts";
    assert(code.startsWith("Code:"), `no "Code:" paragraph follows ${paragraph}`);
    assert(code.includes(`](../tests/reference/${twin})`), `no link to ${twin} in ${code}`);
  }
});

Deno.test("derivations.md links only to files that exist", () => {
  const links = found(read("docs/derivations.md"), /\]\((\.\.\/[^)#]+)\)/g);
  assert(links.length > 0);
  assertEquals(links.filter((link) => !exists(new URL(link, DOCUMENT))), []);
});

for (const [letter, name] of [["R", "rnn"], ["L", "lstm"]]) {
  Deno.test(`tests/reference/${name}.ts carries every tag of derivations.md and no other`, () => {
    assertEquals(codeTags(read(`tests/reference/${name}.ts`)), documentTags(letter));
  });

  Deno.test(`kernels/ carries every ${letter} tag of derivations.md and no other`, () => {
    const tags = codeTags(kernelSources()).filter((tag) => tag.startsWith(letter));
    assertEquals(tags, documentTags(letter));
  });
}

Deno.test("derivations.md and report_slips_test.ts number the same slips", () => {
  const documented = found(read("docs/derivations.md"), /^\*\*S(\d+)\./gm);
  const tested = found(read("tests/models/report_slips_test.ts"), /^slip\("S(\d+):/gm);
  assertEquals(documented, tested);
  assertEquals(documented.length, 14);
});
