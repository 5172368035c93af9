/** `deno task transfer-freeze`: train a new last layer on a frozen pretrained network (problem 1). */
import { runTask } from "./lib/main.ts";
import { transferTask } from "./transfer/run.ts";

await runTask(() => transferTask("head"));
