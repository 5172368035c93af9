import { assertEquals } from "@std/assert";
import { gpuTest } from "../gpu_support.ts";
import { currentText, KEPT, keptAt } from "./wgsl/texts.ts";

for (const text of KEPT) {
  gpuTest(`the text of ${text.file} is the kept one`, async () => {
    const hint = "if that is meant, deno task wgsl writes the text anew";
    assertEquals(await currentText(text), await Deno.readTextFile(keptAt(text)), hint);
  });
}
