/** `deno task text-lstm`: classify sentences with an LSTM over GloVe vectors (problem 6). */
import { runTask } from "./lib/main.ts";
import { textTask } from "./text/run.ts";

await runTask(() => textTask("lstm"));
