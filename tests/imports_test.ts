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
  "kernels/": [],
  "models/": ["data/", "kernels/"],
  "tasks/": ["data/", "kernels/", "models/"],
  "mod.ts": ["data/", "kernels/", "models/"],
};

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
    for (const [, name] of text.matchAll(/(?:\bfrom|\bimport|\bURL)[\s(]+"(\.[^"]+)"/g)) {
      const path = new URL(name, url).href.slice(ROOT.href.length);
      const allowed = [folder, ...MAY[folder]].some((allowed) => path.startsWith(allowed));
      if (!allowed) against.push(`${script} imports ${path}`);
      imports++;
    }
  }
  assertEquals(against, []);
  assert(imports > 500, `${imports} imports found`);
});
