/** The help page of a task. */

/** What the help page says besides the flags. */
export interface HelpText {
  /** The name of the task, as in `deno task caption-lstm`. */
  task: string;
  /** What the task does: one sentence or a short paragraph. */
  summary: string;
  /** Whole command lines that are worth trying. */
  examples?: readonly string[];
}

/** What the page needs to know of one flag. */
export interface FlagHelp {
  /** What the flag is for. */
  readonly help: string;
  /** What stands after the flag, such as `<integer>`; empty for a switch. */
  readonly placeholder: string;
  /** Default and range. */
  readonly notes: readonly string[];
}

const WIDTH = 88;

/** Break a text into lines of at most `width` characters, at spaces. */
function wrap(text: string, width: number): string[] {
  const lines = [""];
  for (const word of text.split(" ")) {
    const last = lines[lines.length - 1];
    if (last === "") lines[lines.length - 1] = word;
    else if (last.length + 1 + word.length <= width) lines[lines.length - 1] = `${last} ${word}`;
    else lines.push(word);
  }
  return lines;
}

/**
 * The page that `--help` prints: summary, usage, every flag with its default and range, examples.
 *
 * @example
 * ```ts
 * const flags = new Map([
 *   ["--hidden", { help: "Units", placeholder: "<integer>", notes: ["default 512"] }],
 * ]);
 * const page = helpPage(flags, { task: "caption-lstm", summary: "Train the captioner" });
 * if (!page.includes("--hidden <integer>   Units (default 512)")) throw new Error(page);
 * ```
 */
export function helpPage(flags: ReadonlyMap<string, FlagHelp>, about: HelpText): string {
  const rows = [...flags].map(([name, { help, placeholder, notes }]) => {
    const isOff = placeholder !== "" || notes.includes("default off");
    const off = isOff ? [] : [`off with --no-${name.slice(2)}`];
    const all = [...notes, ...off].join(", ");
    return [placeholder ? `${name} ${placeholder}` : name, all ? `${help} (${all})` : help];
  });
  rows.push(["--help, -h", "Show this page"]);
  const indent = Math.min(32, Math.max(...rows.map(([left]) => left.length)) + 5);
  const flagLines = rows.flatMap(([left, right]) => {
    const start = `  ${left}`;
    const text = wrap(right, WIDTH - indent);
    // A long name has its line to itself, so that the texts stay in one column.
    const first = start.length + 2 > indent ? [start] : [start.padEnd(indent) + text.shift()];
    return [...first, ...text.map((line) => " ".repeat(indent) + line)];
  });
  const examples = about.examples?.length
    ? ["", "Examples:", ...about.examples.map((line) => `  ${line}`)]
    : [];
  return [
    ...wrap(about.summary, WIDTH),
    "",
    `Usage: deno task ${about.task} [flags]`,
    "",
    "Flags:",
    ...flagLines,
    ...examples,
  ].join("\n");
}
