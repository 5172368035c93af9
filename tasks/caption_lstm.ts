/** `deno task caption-lstm`: train an image captioner with an LSTM and caption pictures (problem 5). */
import { captionTask } from "./caption/run.ts";
import { runTask } from "./lib/main.ts";

await runTask(() => captionTask("lstm"));
