/**
 * Check every gradient of the RNN and the LSTM (problems 3.2, 3.4, 4.2 and 4.4) against differences, in
 * float64. This task runs the reference twins of the tests, and needs no GPU; that the kernels agree
 * with the twins is what the tests show.
 */
import { RandomStream } from "../data/rng.ts";
import {
  checkGradients,
  type GradientRow,
  TOLERANCE,
} from "../kernels/reference/gradient_check.ts";
import { defineFlags, integer, parseFlags } from "./lib/flags.ts";
import { runTask } from "./lib/main.ts";
import { UserError } from "../data/files/user_error.ts";

const flags = defineFlags({
  seed: integer({ default: 0, min: 0, help: "Seed of the random inputs and weights" }),
  batch: integer({ default: 3, min: 1, max: 8, help: "Examples" }),
  steps: integer({ default: 5, min: 1, max: 8, help: "Steps of the sequences" }),
  input: integer({ default: 7, min: 1, max: 16, help: "Width of the input" }),
  hidden: integer({ default: 5, min: 1, max: 16, help: "Units of the recurrent layer" }),
});

/** The rows as an aligned table, one gradient a line. */
export function formatTable(rows: readonly GradientRow[]): string {
  const cells = [
    ["problem", "gradient", "shape", "relative error", ""],
    ...rows.map(({ problem, gradient, shape, error, ok }) => [
      problem,
      gradient,
      `[${shape.join(", ")}]`,
      error.toExponential(1),
      ok ? "ok" : "FAIL",
    ]),
  ];
  const widths = cells[0].map((_, column) => Math.max(...cells.map((line) => line[column].length)));
  return cells.map((line) => line.map((cell, i) => cell.padEnd(widths[i])).join("  ").trimEnd())
    .join("\n");
}

function main(): void {
  const { seed, batch, steps, input, hidden } = parseFlags(flags, Deno.args, {
    task: "gradcheck",
    summary: "Check the RNN and LSTM gradients of the float64 reference against differences.",
    examples: ["deno task gradcheck", "deno task gradcheck --seed 7 --batch 1 --hidden 11"],
  });
  const stream = new RandomStream(seed).split("gradcheck");
  const shape = { batch, steps, inputDim: input, hiddenDim: hidden };
  const rows = checkGradients(shape, () => stream.normal());
  console.log(formatTable(rows));

  const failed = rows.filter(({ ok }) => !ok).length;
  if (failed > 0) {
    throw new UserError(
      `${failed} of ${rows.length} gradients differ by more than ${TOLERANCE.toExponential()}`,
    );
  }
  console.log(`\nAll ${rows.length} gradients agree within ${TOLERANCE.toExponential()}`);
}

if (import.meta.main) await runTask(main);
