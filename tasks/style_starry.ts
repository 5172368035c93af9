/** `deno task style-starry`: paint a picture in the style of The Starry Night (problem 2). */
import { runTask } from "./lib/main.ts";
import { stylePresetTask } from "./style/run.ts";

await runTask(() => stylePresetTask("starry"));
