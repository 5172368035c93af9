/** `deno task kernel NAME --shape=…`: print the WGSL that an operation would run at these sizes. */
import { openGpu } from "../kernels/runtime/gpu.ts";
import { boolean, choice, defineFlags, parseFlags, text, UsageError } from "./lib/flags.ts";
import { runTask } from "./lib/main.ts";
import { operationOf, OPERATIONS, readSizes } from "./kernel/operations.ts";
import { kernelText } from "./kernel/text.ts";

const flags = defineFlags({
  shape: text({
    optional: true,
    placeholder: "sizes",
    help: "The operation's sizes, such as 64x512x256; those of the list unless given",
  }),
  backward: boolean({ default: false, help: "The kernels of the gradients as well" }),
  path: choice(["subgroup", "workgroup"], {
    optional: true,
    help: "The bodies for software adapters or those for GPUs; those of this machine unless given",
  }),
  lanes: choice(["4", "8", "16"], {
    optional: true,
    help: "Lanes of a subgroup, with --path=subgroup; those of this machine, else 8, unless given",
  }),
});

/** A line for each operation. */
export function listOperations(): string {
  const rows = Object.entries(OPERATIONS).map(([name, { sizes, example, what }]) => [
    name,
    sizes.join("x"),
    example.join("x"),
    what,
  ]);
  const lines = [["operation", "sizes", "for instance", ""], ...rows];
  const widths = [0, 1, 2].map((i) => Math.max(...lines.map((line) => line[i].length)));
  return lines.map((line) =>
    line.map((cell, i) => cell.padEnd(widths[i] ?? 0)).join("  ").trimEnd()
  )
    .join("\n");
}

async function main(): Promise<void> {
  const named = Deno.args.length > 0 && !Deno.args[0].startsWith("-");
  const { shape, backward, ...given } = parseFlags(flags, Deno.args.slice(named ? 1 : 0), {
    task: "kernel NAME",
    summary:
      "Print the WGSL that an operation would run at these sizes: kernel by kernel, in order. " +
      "Without a name, list the operations.",
    examples: [
      "deno task kernel",
      "deno task kernel matmul --shape=64x512x256",
      "deno task kernel lstm --shape=16x25x256x512 --backward --path=workgroup",
    ],
  });
  if (!named) {
    if (Deno.args.length > 0) throw new UsageError("The name of an operation must come first");
    return console.log(listOperations());
  }
  const name = operationOf(Deno.args[0]);
  const sizes = readSizes(name, shape);
  if (given.lanes !== undefined && given.path === "workgroup") {
    throw new UsageError("Flag --lanes is for --path=subgroup");
  }
  using gpu = await openGpu();
  const path = given.path ?? gpu.path;
  const lanes = Number(given.lanes ?? (gpu.lanes || 8));
  console.log(await kernelText({ name, sizes, backward, path, lanes }));
}

if (import.meta.main) await runTask(main);
