/** `deno task text-bow`: train a bag of words to classify sentences (problem 6). */
import { runTask } from "./lib/main.ts";
import { textTask } from "./text/run.ts";

await runTask(() => textTask("bow"));
