/** `deno task wgsl`: write the kept texts of kernels anew, after a change that is meant. */
import { currentText, KEPT, keptAt } from "./texts.ts";

for (const text of KEPT) await Deno.writeTextFile(keptAt(text), await currentText(text));
console.log(`${KEPT.length} texts are written; git diff shows what has changed`);
