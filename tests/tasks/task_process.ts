/** Tasks as a user runs them: child processes with the permissions that deno.json gives. */
import { fromFileUrl, join } from "@std/path";

const ROOT = fromFileUrl(new URL("../../", import.meta.url));

/** What tests of tasks need themselves. */
export const TASK_PERMISSIONS: Deno.PermissionDescriptor[] = [
  { name: "run" },
  { name: "read" },
  { name: "write" },
];

/** How a task ended. */
export interface Ended {
  code: number;
  stdout: string;
  stderr: string;
}

interface Config {
  tasks: Record<string, { command: string }>;
}

/** A task of deno.json with more flags, ready to start in the project's folder. It can ask for nothing. */
export function taskCommand(
  task: string,
  flags: readonly string[],
  env: Record<string, string> = {},
): Deno.Command {
  const config = JSON.parse(Deno.readTextFileSync(join(ROOT, "deno.json"))) as Config;
  const [program, run, ...words] = config.tasks[task].command.split(" ");
  if (program !== "deno" || run !== "run") throw new Error(`${task} is no plain deno run`);
  return new Deno.Command(Deno.execPath(), {
    args: ["run", "--no-prompt", ...words, ...flags],
    cwd: ROOT,
    // Mesa complains on stderr without a folder of its own.
    env: { NO_COLOR: "1", XDG_RUNTIME_DIR: join(ROOT, "tests"), ...env },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
  });
}

/** The texts of a finished process. */
export function ended({ code, stdout, stderr }: Deno.CommandOutput): Ended {
  const decoder = new TextDecoder();
  return { code, stdout: decoder.decode(stdout), stderr: decoder.decode(stderr) };
}

/** Run a task to its end. */
export async function runTaskProcess(
  task: string,
  flags: readonly string[],
  env: Record<string, string> = {},
): Promise<Ended> {
  return ended(await taskCommand(task, flags, env).output());
}

/** Hand a folder to `use`, and remove it afterwards. */
export async function withTempFolder(use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
