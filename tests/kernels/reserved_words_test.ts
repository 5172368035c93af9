/** Names in WGSL: browsers refuse the words that the language reserves, and Deno lets them pass. */
import { assertEquals } from "@std/assert";

// https://www.w3.org/TR/WGSL/#reserved-words, those that are words at all.
const RESERVED = new Set(
  ("abstract active alignas alignof as asm async attribute auto await become cast catch class " +
    "coherent common compile concept constexpr crate debugger decltype delete demote do enum " +
    "explicit export extends extern external filter final finally friend from get goto groupshared " +
    "highp impl implements import inline instanceof interface layout lowp macro match mediump meta " +
    "mod module move mut mutable namespace new nil noexcept noinline null of operator package " +
    "partial pass patch pixelfragment precise precision premerge priv protected pub public readonly " +
    "ref regardless register require resource restrict self set shared sizeof smooth snorm static " +
    "std subroutine super target template this throw trait try type typedef typeid typename typeof " +
    "union unless unorm unsafe unsized use using varying virtual volatile wgsl where with " +
    "writeonly yield").split(" "),
);

/** Names that a file's WGSL declares, and those of its kernels' bindings and parameters. */
function names(source: string): string[] {
  const code = [...source.matchAll(/`[^`]*`/g)].map(([text]) => text).join("\n");
  const declared = code.matchAll(/\b(?:let|var(?:<\w+>)?|const|fn|struct)\s+(\w+)\s*[:=(]/g);
  const bound = source.matchAll(/\b(\w+):\s*[`"](?:(?:read|write|mirror)\s|(?:u32|i32|f32)["`])/g);
  return [...declared, ...bound].map(([, name]) => name);
}

Deno.test("no kernel uses a word that WGSL reserves", () => {
  const found = (folder: URL): string[] =>
    [...Deno.readDirSync(folder)].flatMap(({ name, isDirectory }) =>
      isDirectory
        ? found(new URL(`${name}/`, folder))
        : names(Deno.readTextFileSync(new URL(name, folder)))
          .filter((word) => RESERVED.has(word))
          .map((word) => `${name}: ${word}`)
    );
  assertEquals(found(new URL("../../kernels/", import.meta.url)), []);
  assertEquals(
    names('{ partial: "read f32", n: "u32" } `let shared = 1; var<workgroup> x: f32;`'),
    [
      "shared",
      "x",
      "partial",
      "n",
    ],
  );
});
