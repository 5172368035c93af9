/** `deno task style-scream`: paint a picture in the style of The Scream (problem 2). */
import { runTask } from "./lib/main.ts";
import { stylePresetTask } from "./style/run.ts";

await runTask(() => stylePresetTask("scream"));
