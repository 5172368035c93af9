import { assert, assertEquals } from "@std/assert";
import { imagenetClasses } from "../../../data/sets/imagenet_classes.ts";

Deno.test("imagenetClasses() gives 1,000 different names in the networks' order", async () => {
  const classes = await imagenetClasses();
  assertEquals([classes.length, new Set(classes).size], [1000, 1000]);
  assert(classes.every((name) => /^[A-Za-z][A-Za-z' .-]*$/.test(name)));
  const known: Record<number, string> = {
    0: "tench",
    107: "jellyfish",
    134: "crane bird",
    281: "tabby",
    309: "bee",
    310: "ant",
    517: "crane",
    638: "maillot",
    639: "maillot tank suit",
    999: "toilet tissue",
  };
  for (const [i, name] of Object.entries(known)) assertEquals(classes[Number(i)], name);
});
