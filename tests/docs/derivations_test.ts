/** The pages of docs/ and the code carry the same tags, and the pages' links lead somewhere. */
import { assert, assertEquals } from "@std/assert";

const ROOT = new URL("../../", import.meta.url);

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

/** A page of docs/, with the letters of its tags and the twins in kernels/reference/ that carry each letter's. */
const PAGES: Record<string, Record<string, readonly string[]>> = {
  "derivations.md": { R: ["rnn.ts"], L: ["lstm.ts"] },
  "pictures.md": {
    P: ["conv2d.ts", "batch_norm.ts", "pool2d.ts", "softmax.ts", "image_losses.ts"],
  },
};

/** The tags of a page's boxed formulas, such as R3, of one letter. */
function pageTags(page: string, letter: string): string[] {
  return found(read(`docs/${page}`), new RegExp(`\\\\text\\{\\((${letter}\\d+)\\)\\}`, "g"));
}

/** The letters of all pages' tags. */
const LETTERS = Object.values(PAGES).flatMap(Object.keys).join("");

/** The tags of these letters, or of all, in the line comments of source texts, such as `// (R2) (R9)`. */
function codeTags(sources: readonly string[], letters = LETTERS): string[] {
  const comments = sources.flatMap((source) => source.match(/\/\/.*$/gm) ?? []);
  return found(comments.join("\n"), new RegExp(`\\(([${letters}]\\d+)\\)`, "g"));
}

/** The text of every kernel, TypeScript and WGSL. */
function kernelSources(): string[] {
  const sources = (folder: string): string[] =>
    [...Deno.readDirSync(new URL(folder, ROOT))].flatMap(({ name, isDirectory }) =>
      isDirectory ? name === "reference" ? [] : sources(`${folder}${name}/`) : [read(folder + name)]
    );
  return sources("kernels/");
}

for (const [page, letters] of Object.entries(PAGES)) {
  Deno.test(`${page} has every boxed formula tagged, and numbers the tags without a gap`, () => {
    const boxed = read(`docs/${page}`).split("\n").filter((line) => line.includes("\\boxed"));
    const own = Object.keys(letters);
    const tagged = new RegExp(
      `^\\$\\$\\\\boxed\\{.*\\} \\\\qquad \\\\text\\{\\([${own.join("")}]\\d+\\)\\}\\$\\$$`,
    );
    assertEquals(boxed.filter((line) => !tagged.test(line)), []);
    for (const letter of own) {
      const tags = pageTags(page, letter);
      assertEquals(tags, tags.map((_, index) => `${letter}${index + 1}`));
    }
    assertEquals(boxed.length, own.flatMap((letter) => pageTags(page, letter)).length);
  });

  Deno.test(`${page} links each boxed formula to the twin that computes it`, () => {
    const paragraphs = read(`docs/${page}`).split(/\n{2,}/);
    for (const [index, paragraph] of paragraphs.entries()) {
      const tag = /\\text\{\((([A-Z])\d+)\)\}/.exec(paragraph);
      if (tag === null) continue;
      const code = paragraphs.slice(index).find((other) => /^(Code:|#)/.test(other)) ?? "";
      assert(code.startsWith("Code:"), `no "Code:" paragraph follows ${paragraph}`);
      const twin = letters[tag[2]].find((name) =>
        codeTags([read(`kernels/reference/${name}`)]).includes(tag[1])
      );
      assert(code.includes(`](../kernels/reference/${twin})`), `no link to ${twin} in ${code}`);
    }
  });

  Deno.test(`${page} links only to files that exist`, () => {
    const links = found(read(`docs/${page}`), /\]\(([^)#:]+)[^)]*\)/g);
    assert(links.length > 0);
    const from = new URL(`docs/${page}`, ROOT);
    assertEquals(links.filter((link) => !exists(new URL(link, from))), []);
  });

  for (const [letter, twins] of Object.entries(letters)) {
    Deno.test(`the twins carry every ${letter} tag of ${page} and no other`, () => {
      const sources = twins.map((name) => read(`kernels/reference/${name}`));
      assertEquals(codeTags(sources), pageTags(page, letter));
    });

    Deno.test(`kernels/ carries every ${letter} tag of ${page} and no other`, () => {
      assertEquals(codeTags(kernelSources(), letter), pageTags(page, letter));
    });
  }
}

Deno.test("derivations.md and report_slips_test.ts number the same slips", () => {
  const documented = found(read("docs/derivations.md"), /^\*\*S(\d+)\./gm);
  const tested = found(read("tests/models/report_slips_test.ts"), /^slip\("S(\d+):/gm);
  assertEquals(documented, tested);
  assertEquals(documented.length, 14);
});
