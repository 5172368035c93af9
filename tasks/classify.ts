/** `deno task classify`: what a pretrained network sees in pictures. */
import { classifyTask } from "./classify/run.ts";
import { runTask } from "./lib/main.ts";

await runTask(classifyTask);
