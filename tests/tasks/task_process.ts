/** Tasks as a user runs them: child processes with the permissions that deno.json gives. */
import { assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
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
    // Mesa complains on stderr without a folder of its own. The tests themselves may be called from anywhere.
    env: { NO_COLOR: "1", INIT_CWD: ROOT, XDG_RUNTIME_DIR: join(ROOT, "tests"), ...env },
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

/** The one run folder of a task below `out`. */
export function runFolder(out: string, task: string): string {
  const runs = [...Deno.readDirSync(join(out, task))];
  assertEquals(runs.length, 1);
  assertMatch(runs[0].name, /^\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d$/);
  return join(out, task, runs[0].name);
}

/** The records of a file with a JSON value on each line. */
export function jsonLines(path: string): Record<string, unknown>[] {
  return Deno.readTextFileSync(path).trimEnd().split("\n").map((line) => JSON.parse(line));
}

/** Run a task that must refuse: one sentence with these parts, and no run folder. */
export async function assertRefused(
  task: string,
  flags: readonly string[],
  code: 1 | 2,
  parts: readonly string[],
  env: Record<string, string> = {},
): Promise<void> {
  await withTempFolder(async (folder) => {
    const out = join(folder, "runs");
    const refused = await runTaskProcess(task, [`--out=${out}`, ...flags], env);
    for (const part of parts) assertStringIncludes(refused.stderr, part);
    assertEquals(refused.code, code);
    const lines = refused.stderr.trimEnd().split("\n");
    assertMatch(lines[0], /^error: [^]*[^.]$/);
    const hint = code === 2 ? ["Run the task with --help to see every flag"] : [];
    assertEquals(lines.slice(1), hint);
    assertEquals(refused.stdout, "");
    assertEquals([...Deno.readDirSync(folder)], []);
  });
}

/** Whether the one run below a task's folder has noted a loss. */
export function hasLosses(task: string): boolean {
  try {
    const [run] = [...Deno.readDirSync(task)];
    return run !== undefined && Deno.statSync(join(task, run.name, "metrics.jsonl")).size > 0;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}
