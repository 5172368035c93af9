/** `deno task style-transfer`: paint a picture of one's own in the style of another (problem 2). */
import { runTask } from "./lib/main.ts";
import { styleTransferTask } from "./style/run.ts";

await runTask(styleTransferTask);
