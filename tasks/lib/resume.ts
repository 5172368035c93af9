/** Runs that are gone on with: `--resume=RUN` takes the command line of the earlier run. */
import { join } from "@std/path";
import { parseJson } from "../../data/files/json.ts";
import { printable } from "../../data/files/messages.ts";
import { commandName, number, text, UsageError } from "./flags.ts";
import { UserError } from "../../data/files/user_error.ts";

/** The flags of every task that trains. */
export const RESUME_FLAGS = {
  saveEvery: number({
    default: 60,
    min: 0,
    max: 86_400,
    help:
      "Note what it takes to go on every so many seconds, and at the end of an epoch, at most once a second",
  }),
  resume: text({
    optional: true,
    placeholder: "RUN",
    help: "Go on with an interrupted run: its folder. All other settings are those of that run",
  }),
};

/** The longest config of a run, in bytes. */
const MAX_CONFIG = 1_000_000;

/** The command line of the run in a folder. */
function argumentsOf(run: string, task: string): string[] {
  const path = join(run, "config.json");
  let text: string;
  try {
    const { isFile, size } = Deno.statSync(path);
    if (!isFile || size > MAX_CONFIG) {
      throw new UserError(`${path} is no regular file of at most ${MAX_CONFIG} bytes`);
    }
    text = Deno.readTextFileSync(path);
  } catch (error) {
    const { NotFound, NotADirectory } = Deno.errors;
    if (!(error instanceof NotFound || error instanceof NotADirectory)) throw error;
    throw new UserError(`There is no config.json in ${run}: --resume takes the folder of a run`);
  }
  let config: { task?: unknown; arguments?: unknown };
  try {
    const json = parseJson(text, { what: "The text", depth: 4, values: 10_000 });
    config = typeof json === "object" && json !== null ? json : {};
  } catch (error) {
    throw UserError.within(`${path} is no JSON of a run`, error);
  }
  if (typeof config.task !== "string") {
    throw new UserError(`${path} names no task: it is not of a run`);
  }
  if (config.task !== task) {
    throw new UserError(
      `The run in ${run} is one of ${printable(config.task, { most: 60 })}, and not of ${task}`,
    );
  }
  const { arguments: args } = config;
  if (!Array.isArray(args) || !args.every((arg) => typeof arg === "string")) {
    throw new UserError(`${path} has no command line of its run, which cannot be gone on with`);
  }
  return args;
}

/** A command line, and the run that it goes on with. */
export interface CommandLine {
  /** That of the earlier run, where there is one. */
  args: readonly string[];
  /** The folder of that run. */
  resume: string | undefined;
}

/** The flag that a word of a command line begins, as `--strict` of `--no-strict`. */
const flagOf = (word: string) => word.match(/^--[^=]+/)?.[0].replace(/^--no-/, "--");

/** A command line without the flags that others give. */
function without(args: readonly string[], others: readonly string[]): string[] {
  const given = new Set(others.map(flagOf));
  let flag: string | undefined; // a value may be a word of its own
  return args.filter((word) => !given.has(flag = flagOf(word) ?? flag));
}

const show = (value: unknown) => typeof value === "object" ? JSON.stringify(value) : String(value);

/**
 * The settings of a command line, which `read` reads. With `--resume=RUN` they are those of the run in that folder, and
 * what else is given must agree.
 *
 * Errors: UsageError that says what does not agree; UserError where the folder is of no run of this task.
 */
export function commandLine<S extends object>(
  given: readonly string[],
  task: string,
  read: (args: readonly string[]) => S,
): CommandLine & { settings: S } {
  const at = given.findLastIndex((arg) => /^--resume(=|$)/.test(arg));
  const apart = given[at] === "--resume";
  const resume = apart ? given[at + 1] : given[at]?.slice("--resume=".length);
  // What is wrong with the flag itself is said as of all flags.
  if (!resume || given.includes("--help")) {
    const settings = read(given);
    return { args: given.filter((arg) => arg !== "--profile"), resume: undefined, settings };
  }
  const args = argumentsOf(resume, task);
  let settings: S;
  try {
    settings = read(args);
  } catch (error) {
    if (!(error instanceof UsageError)) throw error;
    throw new UserError(
      `${join(resume, "config.json")} is of no run that can be: ${error.message}`,
    );
  }
  const others = given.toSpliced(at, apart ? 2 : 1);
  const there = settings as Record<string, unknown>;
  const differences = Object.entries(read([...without(args, others), ...others]))
    .filter(([key, value]) => show(value) !== show(there[key]))
    .map(([key, value]) =>
      `${commandName(key)} is ${show(value)} here and ${show(there[key])} there`
    );
  if (differences.length === 0) return { args, resume, settings };
  throw new UsageError(
    `The run in ${resume} was made with other settings: ${differences.join("; ")}`,
  );
}
