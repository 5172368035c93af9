/** `deno task text-best`: classify sentences with our own best model, an LSTM in both directions. */
import { runTask } from "./lib/main.ts";
import { textTask } from "./text/run.ts";

await runTask(() => textTask("best"));
