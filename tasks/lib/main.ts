/** How a task starts and ends: errors as sentences, exit codes, Ctrl-C and its kin. */
import { isSystemError, systemReason } from "../../data/files/file.ts";
import { printable } from "../../data/files/messages.ts";
import { UserError } from "../../data/files/user_error.ts";
import { GpuError, NoAdapterError } from "../../kernels/runtime/errors.ts";
import { HelpRequest, UsageError } from "./flags.ts";

/** What to print for an error, and the exit code. */
export interface Ending {
  /** 0 for help, 1 for a failure, 2 for a wrong command line. */
  code: 0 | 1 | 2;
  /** What to print, without a final line end. */
  text: string;
  /** Where to print it. */
  stream: "stdout" | "stderr";
}

/** Whether an error is no mistake in the code: its message is a whole sentence. */
function isExpected(error: unknown): error is Error {
  return [UserError, NoAdapterError, GpuError, ...Object.values(Deno.errors)]
    .some((kind) => error instanceof kind);
}

/** What V8 says where there is no memory for an array. */
const NO_MEMORY = "Array buffer allocation failed";

const WRITING = new Set(["writefile", "mkdir", "rename", "remove"]);

/** What can befall stdout, of which Deno says no path. */
const OF_STDOUT = new Set(["ENOSPC", "EDQUOT", "EFBIG", "EIO"]);

/** What the system refuses, as a sentence: Deno's message says where, `…: open '/a/b'`, or is of stdout. */
function describeRefusal(error: Error & { code: string }): string | undefined {
  const why = systemReason(error);
  if (why === error.message) return undefined;
  const [, action, path] = error.message.match(/\(os error \d+\): (\w+) (['"].*['"])$/s) ?? [];
  if (path === undefined) {
    return OF_STDOUT.has(error.code) ? `The output cannot be written: ${why}` : undefined;
  }
  const cannot = action === "open" ? "opened" : WRITING.has(action) ? "written" : "read";
  return `${path} cannot be ${cannot}: ${why}`;
}

/** Deno's refusal of the system's own paths, whatever is allowed, as a sentence. */
function describeForbidden(error: unknown): string | undefined {
  const [, path] = error instanceof Deno.errors.NotCapable
    ? error.message.match(/^Requires all access to (".*"), /s) ?? []
    : [];
  return path && `${path} cannot be used: ${systemReason(error)}`;
}

/**
 * What a task prints when it ends with an error. Wrong command lines and what is not the code's fault (a
 * {@link UserError}, a missing adapter or a refusal of the GPU, a refusal of the system or of Deno, too little
 * memory) are one sentence. Anything else, also every TypeError and RangeError, is a bug, and keeps its stack.
 *
 * @example
 * ```ts
 * import { UserError } from "../../data/files/user_error.ts";
 *
 * const { code, text } = explain(new UserError("words.txt is empty"));
 * if (code !== 1 || text !== "error: words.txt is empty") throw new Error(text);
 * ```
 */
export function explain(error: unknown): Ending {
  if (error instanceof HelpRequest) return { code: 0, text: error.page, stream: "stdout" };
  if (error instanceof UsageError) {
    const text = `error: ${
      printable(error.message, { lines: true })
    }\nRun the task with --help to see every flag`;
    return { code: 2, text, stream: "stderr" };
  }
  const refusal = isSystemError(error) ? describeRefusal(error) : describeForbidden(error);
  if (refusal !== undefined) {
    return { code: 1, text: `error: ${printable(refusal)}`, stream: "stderr" };
  }
  if (error instanceof RangeError && error.message === NO_MEMORY) {
    const text =
      "error: There is not enough memory: try a smaller batch, smaller inputs or fewer " +
      "data, or allow this process more (ulimit -v, ulimit -d)";
    return { code: 1, text, stream: "stderr" };
  }
  if (isExpected(error)) {
    const text = `error: ${printable(error.message, { lines: true })}`;
    return { code: 1, text, stream: "stderr" };
  }
  const bug = error instanceof Error ? error.stack ?? String(error) : String(error);
  return { code: 1, text: `unexpected error, please report it: ${bug}`, stream: "stderr" };
}

/**
 * Go to the folder that a task was called from, so that paths mean what they mean there: `deno task` and `./neckar`
 * start it in the project's folder, and keep that one in INIT_CWD.
 */
function goWhereCalled(): void {
  const variable = "INIT_CWD";
  if (Deno.permissions.querySync({ name: "env", variable }).state !== "granted") return;
  const folder = Deno.env.get(variable);
  if (folder === undefined || folder === "") return;
  try {
    Deno.chdir(folder);
  } catch (error) {
    throw new UserError(`The folder ${folder} that INIT_CWD names cannot be gone to`, {
      cause: error,
    });
  }
}

/**
 * Run a task. When it fails, print what {@link explain} says and exit with 1 or, for a wrong command
 * line, with 2. When it ends after a signal, the exit code is the signal's: what was learned is saved, but a
 * script that goes on after success must not go on.
 */
export async function runTask(main: () => void | Promise<void>): Promise<void> {
  guardConsole();
  // Deno would end of it, even where it was ignored when Deno was started.
  if (ignoresHangup()) Deno.addSignalListener("SIGHUP", () => {});
  try {
    goWhereCalled();
    await main();
    // After a closed terminal there is no output to miss.
    if (stopping !== undefined) Deno.exitCode = STOPPED[stopping];
    else if (unwritten !== undefined) throw unwritten;
  } catch (error) {
    const ending = explain(error);
    if (ending.stream === "stdout") console.log(ending.text);
    else console.error(ending.text);
    if (unwritten !== undefined && unwritten !== error) console.error(explain(unwritten).text);
    // Timers or an open GPU device must not keep a failed task alive.
    Deno.exit(unwritten === undefined ? ending.code : 1);
  }
}

/** The first error of stdout: what a task is for, such as the weights it learns, does not end with its log. */
let unwritten: unknown;

/**
 * Let no text steer the terminal that a task prints: names of files and words of models may be a stranger's. And let
 * a full disk under stdout end no task before it has saved what it made.
 */
function guardConsole(): void {
  for (const name of ["log", "error", "warn"] as const) {
    const plain = console[name];
    console[name] = (...parts: unknown[]) => {
      const shown = parts.map((part) =>
        typeof part === "string" ? printable(part, { most: Infinity, lines: true }) : part
      );
      try {
        plain(...shown);
      } catch (error) {
        // Of a stderr that is full or gone, with its terminal, nobody can be told.
        if (name === "log") unwritten ??= error;
      }
    };
  }
}

/** The exit codes after the signals that end a task: 128 and the signal's number, as shells have it. */
export const STOPPED = { SIGINT: 130, SIGTERM: 143, SIGHUP: 129 } as const;

/** Where a first and a second signal are further apart, the second is meant. `deno task` doubles Ctrl-C. */
const DOUBLED_MS = 400;

let interrupt: AbortSignal | undefined;
let stopping: keyof typeof STOPPED | undefined;

/** Whether a closed terminal must not end the task: `./neckar` sets this under `nohup`. */
function ignoresHangup(): boolean {
  const variable = "NECKAR_IGNORE_HUP";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" && Deno.env.get(variable) === "1";
}

/**
 * A signal that the first Ctrl-C, SIGTERM (`kill`, `timeout`, a batch system) or SIGHUP (a closed terminal)
 * sets: the training loop looks at `signal.aborted` after each step, stops and saves. A second one ends the
 * process at once with the exit code of {@link STOPPED}. Every call gives the same signal.
 *
 * Deno delivers signals between turns of the event loop: a loop that never awaits anything but
 * resolved promises must call {@link turn} now and then, as `Pace` does.
 */
export function interruptSignal(): AbortSignal {
  if (interrupt) return interrupt;
  const controller = new AbortController();
  let first = 0;
  const onSignal = (name: keyof typeof STOPPED) => {
    if (stopping !== undefined) {
      if (performance.now() - first > DOUBLED_MS) Deno.exit(STOPPED[stopping]);
      return;
    }
    [stopping, first] = [name, performance.now()];
    console.error("\nStopping after this step; press Ctrl-C again to stop at once");
    controller.abort();
  };
  for (const name of signalNames()) Deno.addSignalListener(name, () => onSignal(name));
  interrupt = controller.signal;
  return interrupt;
}

/**
 * From now on a signal that nothing waits for ends the process by `Deno.exit`, so that there is an `unload`
 * event. Where a task has asked for {@linkcode interruptSignal}, that decides.
 */
export function endOnSignals(): void {
  for (const name of signalNames()) {
    Deno.addSignalListener(name, () => {
      if (interrupt === undefined) Deno.exit(STOPPED[name]);
    });
  }
}

/** The signals that end a task here. */
function signalNames(): (keyof typeof STOPPED)[] {
  const names = Object.keys(STOPPED) as (keyof typeof STOPPED)[];
  return names.filter((name) =>
    !(name === "SIGTERM" && Deno.build.os === "windows") && // there is none
    !(name === "SIGHUP" && ignoresHangup())
  );
}
