import { assertEquals, assertInstanceOf, assertStringIncludes, assertThrows } from "@std/assert";
import {
  boolean,
  choice,
  defineFlags,
  HelpRequest,
  integer,
  number,
  parseFlags,
  text,
  UsageError,
} from "../../tasks/lib/flags.ts";

const flags = defineFlags({
  hidden: integer({ default: 512, min: 1, max: 4096, help: "Units of the recurrent layer" }),
  learningRate: number({ default: 5e-3, moreThan: 0, help: "Adam's step size" }),
  decay: number({ default: 0.995, min: 0, lessThan: 1, help: "Factor after each epoch" }),
  shift: number({ default: 0, help: "Any number" }),
  data: text({ optional: true, placeholder: "folder", help: "Folder of the data set" }),
  cell: choice(["rnn", "lstm"], { default: "lstm", help: "Recurrent cell" }),
  plain: boolean({ default: false, help: "The smallest model" }),
  images: boolean({ default: true, help: "Put pictures into the page" }),
});
const about = {
  task: "caption-lstm",
  summary: "Train the LSTM image captioner",
  examples: ["deno task caption-lstm --hidden 256"],
};
const parse = (...args: string[]) => parseFlags(flags, args, about);

function usage(args: string[], words: string): void {
  const error = assertThrows(() => parse(...args), UsageError);
  assertStringIncludes(error.message, words);
}

Deno.test("flags: defaults, and their types", () => {
  const parsed = parse();
  // These lines are also checked by the compiler: each type is the flag's own.
  const cell: "rnn" | "lstm" = parsed.cell;
  const data: string | undefined = parsed.data;
  const hidden: number = parsed.hidden;
  const plain: boolean = parsed.plain;
  assertEquals([cell, data, hidden, plain], ["lstm", undefined, 512, false]);
  assertEquals(parsed.images, true);
});

Deno.test("flags: every kind of value, both spellings", () => {
  const parsed = parse(
    ...["--hidden=7", "--learning-rate", "1e-2", "--shift", "-.5", "--data", "a b", "--plain"],
    ...["--no-images", "--cell", "rnn"],
  );
  assertEquals(parsed, {
    hidden: 7,
    learningRate: 0.01,
    decay: 0.995,
    shift: -0.5,
    data: "a b",
    cell: "rnn",
    plain: true,
    images: false,
  });
  assertEquals(parse("--data", "7").data, "7");
});

Deno.test("flags: a leading -- is passed over, as npm users write it", () => {
  assertEquals(parse("--", "--hidden", "3").hidden, 3);
});

Deno.test("flags: unknown names get a suggestion and the list", () => {
  usage(["--hiden", "3"], "Unknown flag --hiden, did you mean --hidden? Allowed: --hidden, ");
  usage(["--learningRate", "3"], "did you mean --learning-rate?");
  usage(["--zzzzzzzzz"], "Unknown flag --zzzzzzzzz. Allowed: ");
  usage(["--no-hidden=5"], "Unknown flag --no-hidden");
  usage(["-x"], "Unknown flag -x");
  usage(["--__proto__", "1"], "Unknown flag --__proto__");
  usage(["--hidden.a", "1"], "Unknown flag --hidden.a");
});

Deno.test("flags: wrong values say what is allowed", () => {
  usage(
    ["--hidden", "12.5"],
    'Flag --hidden takes a whole number, at least 1, at most 4096, and not "12.5"',
  );
  for (const bad of ["0", "-3", "4097", "abc", "0x10", "Infinity", "NaN", "9e99", "1_000", " "]) {
    usage(["--hidden", bad], `and not "${bad}"`);
  }
  usage(["--learning-rate", "0"], "a finite number, more than 0");
  for (const bad of ["NaN", "inf", "-inf", "-Infinity", "1e999", "1,5", "5e-3x"]) {
    usage(["--learning-rate", bad], `and not "${bad}"`);
  }
  usage(["--decay", "1"], "at least 0, less than 1");
  usage(["--cell", "gru"], 'Flag --cell takes one of rnn, lstm, and not "gru"');
});

Deno.test("flags: missing, repeated and stray values", () => {
  usage(["--data"], "Flag --data needs a value: --data <folder>");
  usage(["--data="], "Flag --data needs a value");
  usage(["--data", "--plain"], "Flag --data needs a value");
  usage(["--hidden", "3", "--hidden=4"], "Flag --hidden is given 2 times");
  usage(["--plain", "--no-plain"], "Flag --plain is given 2 times");
  usage(["--plain=maybe"], "Flag --plain takes no value: write --plain or --no-plain");
  usage(["--no-plain=true"], "takes no value");
  usage(["train"], 'Every value needs its flag in front, and "train" has none');
  usage(["--hidden", "3", "--", "7"], '"7" has none');
});

Deno.test("flags: a flag with neither default nor optional must be given", () => {
  const table = defineFlags({ style: text({ help: "Style picture" }) });
  assertThrows(() => parseFlags(table, [], about), UsageError, "Flag --style must be given");
  const style: string = parseFlags(table, ["--style", "scream.jpg"], about).style;
  assertEquals(style, "scream.jpg");
});

Deno.test("flags: a table that is wrong is refused when it is declared", () => {
  assertThrows(() => integer({ default: 0, min: 1, help: "x" }), UsageError, "at least 1");
  assertThrows(() => defineFlags({ help: text({ help: "x" }) }), TypeError, '"help"');
  assertThrows(() => defineFlags({ noImages: text({ help: "x" }) }), TypeError, '"noImages"');
  assertThrows(() => defineFlags({ "a-b": text({ help: "x" }) }), TypeError, '"a-b"');
});

Deno.test("flags: --help gives the whole page, even beside errors", () => {
  for (const args of [["--help"], ["-h"], ["--hiden", "--help"]]) {
    const error = assertThrows(() => parse(...args), HelpRequest);
    assertInstanceOf(error, HelpRequest);
    const { page } = error;
    assertStringIncludes(
      page,
      "Train the LSTM image captioner\n\nUsage: deno task caption-lstm [flags]\n",
    );
    assertStringIncludes(page, "--hidden <integer>");
    assertStringIncludes(page.replaceAll(/\s+/g, " "), "(default 512, at least 1, at most 4096)");
    assertStringIncludes(page, "--data <folder>");
    assertStringIncludes(page, "--cell <rnn|lstm>");
    assertStringIncludes(page.replaceAll(/\s+/g, " "), "(default on, off with --no-images)");
    assertStringIncludes(page, "Examples:\n  deno task caption-lstm --hidden 256");
    assertEquals(page.split("\n").filter((line) => line.length > 88), []);
  }
});

Deno.test("flags: an optional switch is undefined unless it is given", () => {
  const optional = defineFlags({ sparse: boolean({ optional: true, help: "Rows only" }) });
  const read = (...args: string[]) => {
    const sparse: boolean | undefined = parseFlags(optional, args, about).sparse;
    return sparse;
  };
  assertEquals([read(), read("--sparse"), read("--no-sparse")], [undefined, true, false]);
  const help = assertThrows(() => read("--help"), HelpRequest);
  assertStringIncludes(help.page, "--sparse     Rows only (off with --no-sparse)");
  assertThrows(() => read("--sparse=1"), UsageError, "Flag --sparse takes no value");
});
