/** `deno task text-average`: classify sentences by the mean of learned word vectors (problem 6). */
import { runTask } from "./lib/main.ts";
import { textTask } from "./text/run.ts";

await runTask(() => textTask("average"));
