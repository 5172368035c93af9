/**
 * Command-line flags as a declared table: one entry per flag, checked when it is declared and when
 * it is read. TypeScript derives the type of the parsed object from the table.
 */
import { parseArgs } from "@std/cli";
import { closest, distance } from "npm:fastest-levenshtein@1.0.16";
import { helpPage, type HelpText } from "./help.ts";

/** The command line is wrong: the message says what was given and what is allowed. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** `--help` was given: carries the page to print. {@link parseFlags} throws it, `runTask` prints it. */
export class HelpRequest extends Error {
  override readonly name = "HelpRequest";
  /** The whole help page. */
  readonly page: string;

  constructor(page: string) {
    super("The help page was asked for");
    this.page = page;
  }
}

/** One declared flag whose value is a `T`. Made by {@link integer}, {@link number} and the others. */
export interface Flag<T> {
  /** What the flag is for, one sentence. */
  readonly help: string;
  /** What stands after the flag on the help page, such as `<integer>`; empty for a switch. */
  readonly placeholder: string;
  /** Default and range, for the help page. */
  readonly notes: readonly string[];
  /** The value when the flag is not given, wrapped; absent where the flag must be given. */
  readonly absent?: { readonly value: T };
  /** Turn the given text into a value. Throws UsageError. */
  read(text: string, flag: string): T;
}

/** What every declaration says. With neither `default` nor `optional` the flag must be given. */
export interface Declaration<T> {
  /** What the flag is for, one sentence without a final period. */
  help: string;
  /** The value when the flag is not given. */
  default?: T;
  /** Without a default: the value is `undefined` when the flag is not given. */
  optional?: true;
  /** What stands after the flag on the help page, for instance `folder`. */
  placeholder?: string;
}

/** A declaration of a numeric flag: `min` and `max` are allowed themselves, the other two are not. */
export interface NumericDeclaration extends Declaration<number> {
  /** The smallest allowed value. */
  min?: number;
  /** The largest allowed value. */
  max?: number;
  /** The value must lie above this. */
  moreThan?: number;
  /** The value must lie below this. */
  lessThan?: number;
}

/** The type of a flag's value: `T | undefined` where the declaration says `optional`. */
export type Value<T, D> = D extends { optional: true } ? T | undefined : T;

/** A table of flags: its keys in camelCase are kebab-case on the command line. */
export type FlagTable = Record<string, Flag<unknown>>;

/** The object that {@link parseFlags} gives for a table `F`. */
export type Parsed<F extends FlagTable> = {
  [K in keyof F]: F[K] extends Flag<infer T> ? T : never;
};

function flag<T, D extends Declaration<T>>(
  declaration: D,
  kind: string,
  notes: string[],
  read: (text: string, flag: string) => T,
): Flag<Value<T, D>> {
  if (declaration.default !== undefined && declaration.optional) {
    throw new TypeError(`A flag has a default or is optional, not both: "${declaration.help}"`);
  }
  // The default must pass the flag's own check.
  if (declaration.default !== undefined) read(String(declaration.default), "(default)");
  const written = declaration.default === undefined
    ? declaration.optional ? [] : ["required"]
    : [`default ${declaration.default}`];
  const absent = declaration.default !== undefined || declaration.optional
    ? { absent: { value: declaration.default as Value<T, D> } }
    : {};
  return {
    help: declaration.help,
    placeholder: `<${declaration.placeholder ?? kind}>`,
    notes: [...written, ...notes],
    ...absent,
    read: read as (text: string, flag: string) => Value<T, D>,
  };
}

/** The bounds of a numeric flag in words, such as `["at least 1", "below 10"]`. */
function bounds({ min, max, moreThan, lessThan }: NumericDeclaration): string[] {
  const words: string[] = [];
  if (min !== undefined) words.push(`at least ${min}`);
  if (moreThan !== undefined) words.push(`more than ${moreThan}`);
  if (max !== undefined) words.push(`at most ${max}`);
  if (lessThan !== undefined) words.push(`less than ${lessThan}`);
  return words;
}

function inBounds(value: number, { min, max, moreThan, lessThan }: NumericDeclaration): boolean {
  return !(min !== undefined && value < min) && !(max !== undefined && value > max) &&
    !(moreThan !== undefined && value <= moreThan) &&
    !(lessThan !== undefined && value >= lessThan);
}

const DECIMAL = /^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i;

/** No number of a flag is larger: what is made of it must still be a float32, which ends at 3.4e38. */
const LARGEST = 1e30;

function readNumber(text: string, flag: string, declaration: NumericDeclaration, whole: boolean) {
  const kind = whole ? "a whole number" : "a finite number";
  const words = [kind, ...bounds(declaration)];
  const value = DECIMAL.test(text) ? Number(text) : NaN;
  const right = whole ? Number.isSafeInteger(value) : Math.abs(value) <= LARGEST;
  if (!right || !inBounds(value, declaration)) {
    if (Math.abs(value) > LARGEST) words.push(`at most ${LARGEST} in size`);
    throw new UsageError(`Flag ${flag} takes ${words.join(", ")}, and not "${text}"`);
  }
  return value;
}

/** Declare a flag whose value is a whole number. Throws UsageError where the default is out of range. */
export function integer<const D extends NumericDeclaration>(
  declaration: D,
): Flag<Value<number, D>> {
  const read = (text: string, name: string) => readNumber(text, name, declaration, true);
  return flag<number, D>(declaration, "integer", bounds(declaration), read);
}

/** Declare a flag whose value is a finite number. Throws UsageError where the default is out of range. */
export function number<const D extends NumericDeclaration>(declaration: D): Flag<Value<number, D>> {
  const read = (text: string, name: string) => readNumber(text, name, declaration, false);
  return flag<number, D>(declaration, "number", bounds(declaration), read);
}

/** Declare a flag whose value is any text that is not empty: a name, a folder, a sentence. */
export function text<const D extends Declaration<string>>(
  declaration: D,
): Flag<Value<string, D>> {
  return flag<string, D>(declaration, "text", [], (given) => given);
}

/** Declare a flag whose value is one of the listed words. */
export function choice<const T extends string, const D extends Declaration<NoInfer<T>>>(
  allowed: readonly T[],
  declaration: D,
): Flag<Value<T, D>> {
  return flag<T, D>(declaration, allowed.join("|"), [], (given, name) => {
    const found = allowed.find((word) => word === given);
    if (found !== undefined) return found;
    throw new UsageError(`Flag ${name} takes one of ${allowed.join(", ")}, and not "${given}"`);
  });
}

/** What a switch's declaration says: its default, or that it is `undefined` when it is not given. */
export type SwitchDeclaration =
  & Pick<Declaration<boolean>, "help">
  & ({ default: boolean } | { optional: true });

/** Declare a switch: `--plain` turns it on, `--no-plain` off. */
export function boolean<const D extends SwitchDeclaration>(
  declaration: D,
): Flag<Value<boolean, D>> {
  const value = "default" in declaration ? declaration.default : undefined;
  return {
    help: declaration.help,
    placeholder: "",
    notes: value === undefined ? [] : [value ? "default on" : "default off"],
    absent: { value: value as Value<boolean, D> },
    read: (given) => (given === "true") as Value<boolean, D>,
  };
}

/**
 * The name of a key of the table on the command line: `batchSize` becomes `--batch-size`.
 *
 * @example
 * ```ts
 * if (commandName("batchSize") !== "--batch-size") throw new Error("wrong");
 * ```
 */
export function commandName(key: string): string {
  return `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

/**
 * Check a table of flags and give it back with its type.
 * Throws TypeError where a key is not camelCase, is `help`, or reads as the negation of a switch.
 *
 * @example
 * ```ts
 * const flags = defineFlags({
 *   hidden: integer({ default: 512, min: 1, help: "Units of the recurrent layer" }),
 *   learningRate: number({ default: 5e-3, moreThan: 0, help: "Adam's step size" }),
 *   data: text({ optional: true, placeholder: "folder", help: "Folder of the data set" }),
 * });
 * const parsed = parseFlags(flags, ["--learning-rate", "0.01"], {
 *   task: "caption-lstm",
 *   summary: "Train the captioner",
 * });
 * const rate: number = parsed.learningRate;
 * const folder: string | undefined = parsed.data;
 * if (rate !== 0.01 || folder !== undefined || parsed.hidden !== 512) throw new Error("wrong");
 * ```
 */
export function defineFlags<const F extends FlagTable>(table: F): F {
  for (const key of Object.keys(table)) {
    if (!/^[a-z][a-zA-Z0-9]*$/.test(key) || key === "help" || /^no[A-Z]/.test(key)) {
      throw new TypeError(`A flag's key is camelCase, not "help" and not "no…": "${key}"`);
    }
  }
  return table;
}

/**
 * Read a command line by a table. Every value is checked; nothing is coerced silently.
 * Throws UsageError for an unknown flag, a missing, wrong or repeated value and for stray words, and
 * {@link HelpRequest} for `--help` or `-h`: `runTask` turns both into output and an exit code.
 */
export function parseFlags<F extends FlagTable>(
  table: F,
  args: readonly string[],
  about: HelpText,
): Parsed<F> {
  const flags = new Map(Object.keys(table).map((key) => [commandName(key), table[key]]));
  const joined = joinNegative(args[0] === "--" ? args.slice(1) : args, flags);
  if (joined.some((arg) => arg === "--help" || arg === "-h")) {
    throw new HelpRequest(helpPage(flags, about));
  }
  checkNames(joined, flags);
  const given = split(joined, flags);
  const entries = Object.keys(table).map((key) => {
    const name = commandName(key);
    return [key, valueOf(table[key], name, given)];
  });
  return Object.fromEntries(entries) as Parsed<F>;
}

/** `["--lr", "-5"]` becomes `["--lr=-5"]`: else parseArgs would take -5 for a flag. */
function joinNegative(args: readonly string[], flags: Map<string, Flag<unknown>>): string[] {
  const joined: string[] = [];
  for (const arg of args) {
    const before = joined.at(-1) ?? "";
    if (/^-([.\d]|inf)/i.test(arg) && flags.get(before)?.placeholder) {
      joined.push(`${joined.pop()}=${arg}`);
    } else joined.push(arg);
  }
  return joined;
}

/** Throws UsageError for names that the table does not know and for switches with a value. */
function checkNames(args: readonly string[], flags: Map<string, Flag<unknown>>): void {
  const names = [...flags.keys(), "--help"];
  for (const arg of args) {
    if (!/^-./.test(arg) || arg === "--") continue;
    const name = arg.split("=", 1)[0];
    const positive = name.replace(/^--no-/, "--");
    const isSwitch = flags.get(positive)?.placeholder === "";
    if (!isSwitch && !flags.has(name)) throw unknownFlag(name, names);
    if (isSwitch && arg !== name) {
      throw new UsageError(
        `Flag ${name} takes no value: write ${positive} or --no-${positive.slice(2)}`,
      );
    }
  }
}

function unknownFlag(name: string, names: string[]): UsageError {
  const near = closest(name, names);
  const hint = distance(name, near) <= Math.max(2, name.length / 3)
    ? `, did you mean ${near}?`
    : ".";
  return new UsageError(`Unknown flag ${name}${hint} Allowed: ${names.join(", ")}`);
}

/** The texts given for each flag; for a switch "true" and "false". */
function split(
  args: readonly string[],
  flags: Map<string, Flag<unknown>>,
): (name: string) => string[] {
  const names = [...flags].filter(([, flag]) => flag.placeholder).map(([name]) => name.slice(2));
  const switches = [...flags].filter(([, flag]) => !flag.placeholder).map(([name]) =>
    name.slice(2)
  );
  const both = switches.flatMap((name) => [name, `no-${name}`]);
  const parsed = parseArgs(args, {
    string: [...names, "_"],
    boolean: both,
    collect: [...names, ...both],
  });
  if (parsed._.length > 0) {
    throw new UsageError(`Every value needs its flag in front, and "${parsed._[0]}" has none`);
  }
  const all = (name: string) => parsed[name] as (string | boolean)[] | undefined ?? [];
  return (name) => [
    ...all(name.slice(2)).map(String),
    ...all(`no-${name.slice(2)}`).map((on) => String(!on)),
  ];
}

function valueOf(flag: Flag<unknown>, name: string, given: (name: string) => string[]): unknown {
  const texts = given(name);
  if (texts.length > 1) throw new UsageError(`Flag ${name} is given ${texts.length} times`);
  if (texts.length === 1) {
    if (texts[0] === "") {
      throw new UsageError(`Flag ${name} needs a value: ${name} ${flag.placeholder}`);
    }
    return flag.read(texts[0], name);
  }
  if (flag.absent) return flag.absent.value;
  throw new UsageError(`Flag ${name} must be given: ${name} ${flag.placeholder}`);
}
