/** `deno task text-predict`: let a trained classifier answer for a sentence typed in, or for a file. */
import { runTask } from "./lib/main.ts";
import { predictTask } from "./text/predict.ts";

await runTask(predictTask);
