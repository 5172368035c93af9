/** `deno task text-rnn`: classify sentences with an RNN over GloVe vectors (problem 6). */
import { runTask } from "./lib/main.ts";
import { textTask } from "./text/run.ts";

await runTask(() => textTask("rnn"));
