/** `deno task transfer-finetune`: train a whole pretrained network on other classes (problem 1). */
import { runTask } from "./lib/main.ts";
import { transferTask } from "./transfer/run.ts";

await runTask(() => transferTask("all"));
