/** `deno task text-glove`: classify sentences by the mean of word vectors that start as GloVe's (problem 6). */
import { runTask } from "./lib/main.ts";
import { textTask } from "./text/run.ts";

await runTask(() => textTask("glove"));
