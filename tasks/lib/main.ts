/** How a task starts and ends: errors as sentences, exit codes, Ctrl-C. */
import { printable } from "../../data/messages.ts";
import { HelpRequest, UsageError } from "./flags.ts";

/** A failure that a user can act on; its message is all that is shown. */
export class TaskError extends Error {
  override readonly name = "TaskError";
}

/** What to print for an error, and the exit code. */
export interface Ending {
  /** 0 for help, 1 for a failure, 2 for a wrong command line. */
  code: 0 | 1 | 2;
  /** What to print, without a final line end. */
  text: string;
  /** Where to print it. */
  stream: "stdout" | "stderr";
}

// Errors that the project's own code raises with a whole sentence.
const EXPECTED = new Set([
  "TaskError",
  "NoAdapterError",
  "GpuError",
  "TypeError",
  "RangeError",
  "SyntaxError",
]);

// What V8 itself says of a mistake in the code: such an error keeps its stack.
const ENGINE = new RegExp(
  "^(Cannot (read|set) properties of|Cannot (destructure|convert|redefine|mix|assign|delete) |" +
    "Assignment to constant|Class constructor |Class extends |Maximum call stack|" +
    "Invalid (array|string|typed array|array buffer) length|Array buffer allocation|" +
    "Invalid count value|offset is out of bounds|Offset is outside the bounds|" +
    "(start offset|byte length) of )|" +
    " is not (a function|iterable|a constructor|defined|extensible)",
);

function isExpected(error: Error): boolean {
  const fromDeno = Object.values(Deno.errors).some((kind) => error instanceof kind);
  return fromDeno || (EXPECTED.has(error.name) && !ENGINE.test(error.message));
}

/**
 * What a task prints when it ends with an error. Wrong command lines and expected errors (the
 * TypeErrors, RangeErrors and SyntaxErrors of this project, a missing adapter or a refusal of the
 * GPU, a file that cannot be read) are one sentence. Anything else is a bug, and keeps its stack.
 *
 * @example
 * ```ts
 * const { code, text } = explain(new RangeError("Batch size must be at least 1, got 0"));
 * if (code !== 1 || text !== "error: Batch size must be at least 1, got 0") throw new Error(text);
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
  if (error instanceof Error && isExpected(error)) {
    const text = `error: ${printable(error.message, { lines: true })}`;
    return { code: 1, text, stream: "stderr" };
  }
  const bug = error instanceof Error ? error.stack ?? String(error) : String(error);
  return { code: 1, text: `unexpected error, please report it: ${bug}`, stream: "stderr" };
}

/**
 * Run a task. When it fails, print what {@link explain} says and exit with 1 or, for a wrong command
 * line, with 2.
 */
export async function runTask(main: () => void | Promise<void>): Promise<void> {
  try {
    await main();
  } catch (error) {
    const { code, text, stream } = explain(error);
    if (stream === "stdout") console.log(text);
    else console.error(text);
    // Timers or an open GPU device must not keep a failed task alive.
    Deno.exit(code);
  }
}

/** The exit code of a task that Ctrl-C ended: 128 and the number of SIGINT, as shells have it. */
export const INTERRUPTED = 130;

let interrupt: AbortSignal | undefined;

/**
 * A signal that the first Ctrl-C sets: the training loop looks at `signal.aborted` after each step,
 * stops and saves. A second Ctrl-C ends the process at once with exit code 130. Every call gives the
 * same signal.
 *
 * Deno delivers Ctrl-C between turns of the event loop: a loop that never awaits anything but
 * resolved promises must call {@link turn} now and then.
 */
export function interruptSignal(): AbortSignal {
  if (interrupt) return interrupt;
  const controller = new AbortController();
  Deno.addSignalListener("SIGINT", () => {
    if (controller.signal.aborted) Deno.exit(INTERRUPTED);
    console.error("\nStopping after this step; press Ctrl-C again to stop at once");
    controller.abort();
  });
  interrupt = controller.signal;
  return interrupt;
}

/** Let the event loop turn once, so that Ctrl-C and timers are served. */
export function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}
