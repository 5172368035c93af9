/** The model that a run saved. */
import { join } from "@std/path";
import { UserError } from "../../data/files/user_error.ts";

/**
 * The model file of a run: `run` is its folder, or the file itself. UserError where there is none; `task`
 * is one whose runs save such a model.
 */
export async function modelFile(run: string, task: string): Promise<string> {
  try {
    const { isDirectory } = await Deno.stat(run);
    if (!isDirectory) return run;
    const path = join(run, "model.safetensors");
    await Deno.stat(path);
    return path;
  } catch (error) {
    if (!(error instanceof Deno.errors.NotFound)) throw error;
    const [kind] = task.split("-");
    throw new UserError(
      `There is no model in ${run}: --model must be the folder of a ${kind} run, such as ` +
        `runs/${task}/2026-01-31T09-05-00, or its model.safetensors`,
    );
  }
}
