/** `deno task style-composition`: paint a picture in the style of Composition VII (problem 2). */
import { runTask } from "./lib/main.ts";
import { stylePresetTask } from "./style/run.ts";

await runTask(() => stylePresetTask("composition"));
