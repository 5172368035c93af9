import { assert, assertEquals } from "@std/assert";
import { IMAGENET_CLASSES } from "../../../data/sets/imagenet_classes.ts";

Deno.test("IMAGENET_CLASSES has 1,000 different names in the networks' order", () => {
  assertEquals([IMAGENET_CLASSES.length, new Set(IMAGENET_CLASSES).size], [1000, 1000]);
  assert(IMAGENET_CLASSES.every((name) => /^[A-Za-z][A-Za-z' .-]*$/.test(name)));
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
  for (const [i, name] of Object.entries(known)) assertEquals(IMAGENET_CLASSES[Number(i)], name);
});
