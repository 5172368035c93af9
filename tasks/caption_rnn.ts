/** `deno task caption-rnn`: train an image captioner with a vanilla RNN and caption pictures (problem 5). */
import { captionTask } from "./caption/run.ts";
import { runTask } from "./lib/main.ts";

await runTask(() => captionTask("rnn"));
