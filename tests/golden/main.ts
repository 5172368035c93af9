/**
 * `deno task golden`: how far every operation is from PyTorch in float64, on both kernel paths, beside how
 * far PyTorch's own float32 is. With `--write` the table of docs/golden.md is written anew.
 */
import { hasOneSubgroupSize } from "../../kernels/runtime/device.ts";
import { boolean, defineFlags, text } from "../../tasks/lib/flags.ts";
import { openTaskGpu, parseGpuFlags } from "../../tasks/lib/gpu.ts";
import { runTask } from "../../tasks/lib/main.ts";
import { progress } from "../../tasks/lib/progress.ts";
import { readGolden, runCase } from "./runner.ts";
import { describe, markdown, printed, report } from "./report.ts";
import { UserError } from "../../data/files/user_error.ts";

const PAGE = new URL("../../docs/golden.md", import.meta.url);
const MARK = "<!-- The rest is written by deno task golden. -->\n";

const flags = defineFlags({
  only: text({ optional: true, help: "Run only this operation, for instance matmul" }),
  write: boolean({ default: false, help: "Write the table of docs/golden.md anew" }),
});

async function main(): Promise<void> {
  const { only, write } = parseGpuFlags(flags, Deno.args, {
    task: "golden",
    summary:
      "Compare every operation with PyTorch's float64, case by case, on all kernel paths that there are.",
    examples: ["deno task golden", "deno task golden --only matmul", "deno task golden --write"],
  });
  const golden = await readGolden();
  const cases = golden.cases.filter(({ op }) => only === undefined || op === only);
  if (cases.length === 0) {
    const known = Object.keys(golden.operations).join(", ");
    throw new UserError(`There is no operation "${only}" in the table: it has ${known}`);
  }
  using workgroup = await openTaskGpu({ path: "workgroup" });
  // The bodies for software adapters run on these alone.
  const both = hasOneSubgroupSize(workgroup.adapter);
  using subgroup = both ? await openTaskGpu({ path: "subgroup" }) : undefined;
  if (!both) console.log(`"${workgroup.adapter.description}" runs the workgroup kernels alone`);
  if (write && !both) throw new UserError("The table of docs/golden.md is of both paths");
  const paths = subgroup === undefined ? [workgroup] : [subgroup, workgroup];
  const outcomes = [];
  using display = progress({ total: cases.length, unit: "case" });
  for (const [i, one] of cases.entries()) {
    for (const gpu of paths) {
      const outcome = await runCase(gpu, one, golden);
      outcomes.push(outcome);
      if (!(outcome.error <= outcome.tolerance)) display.note(describe(outcome));
    }
    display.update(i + 1);
  }
  display.stop();
  const rows = report(golden, outcomes);
  console.log(printed(rows));
  if (write) {
    const [head] = (await Deno.readTextFile(PAGE)).split(MARK);
    await Deno.writeTextFile(PAGE, head + MARK + markdown(rows, paths[0].adapter.description));
  }
  const failed = outcomes.filter(({ error, tolerance }) => !(error <= tolerance)).length;
  if (failed > 0) throw new UserError(`${failed} of ${outcomes.length} runs miss their tolerance`);
}

if (import.meta.main) await runTask(main);
