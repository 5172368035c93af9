/** The law of imports, as the README states it. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";

const ROOT = new URL("../", import.meta.url);

/** What the files of a folder may import, besides the folder itself. */
const MAY: Record<string, string[]> = {
  "data/rng.ts": [],
  "data/files/": [],
  "data/formats/": ["data/files/"],
  "data/images/": ["data/rng.ts", "data/files/", "data/formats/"],
  "data/text/": ["data/rng.ts", "data/files/"],
  "data/sets/": ["data/rng.ts", "data/files/", "data/formats/", "data/text/"],
  "data/made/": ["data/"],
  "data/mod.ts": ["data/"],
  "kernels/": [],
  "models/": ["data/", "kernels/"],
  "tasks/": ["data/", "kernels/", "models/"],
  "mod.ts": ["data/", "kernels/", "models/"],
};

/** The entry points. Nobody imports them but their users. */
const ENTRIES = Object.values<string>(
  JSON.parse(Deno.readTextFileSync(fromFileUrl(new URL("deno.json", ROOT)))).exports,
).map((file) => file.slice("./".length));

/** The scripts at or under a path. */
function scripts(path: string): string[] {
  if (!path.endsWith("/")) return path.endsWith(".ts") ? [path] : [];
  return Array.from(Deno.readDirSync(fromFileUrl(new URL(path, ROOT))))
    .flatMap(({ name, isDirectory }) => scripts(`${path}${name}${isDirectory ? "/" : ""}`));
}

Deno.test("folders import only what the law of imports allows", () => {
  const against: string[] = [];
  let imports = 0;
  for (const script of ["data/", "kernels/", "models/", "tasks/", "mod.ts"].flatMap(scripts)) {
    const folder = Object.keys(MAY).find((folder) => script.startsWith(folder));
    assert(folder !== undefined, `no law for ${script}`);
    const url = new URL(script, ROOT);
    const text = Deno.readTextFileSync(fromFileUrl(url));
    const found = text.matchAll(/(?:\bfrom|\bimport|\bURL)[\s(]+"(\.[^"]+)"/g);
    for (const { 1: name, index } of found) {
      const path = new URL(name, url).href.slice(ROOT.href.length);
      // The examples of an entry point are for those who know the entry points only.
      const line = text.lastIndexOf("\n", index) + 1;
      const example = ENTRIES.includes(script) && text.startsWith(" * ", line);
      const allowed = example
        ? ENTRIES.includes(path)
        : [folder, ...MAY[folder]].some((allowed) => path.startsWith(allowed));
      if (!allowed || (!example && ENTRIES.includes(path))) {
        against.push(`${script} imports ${path}`);
      }
      imports++;
    }
  }
  assertEquals(against, []);
  assert(imports > 500, `${imports} imports found`);
});
