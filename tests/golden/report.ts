/** The golden table as text: one row for each operation. */
import type { Golden, Outcome } from "./runner.ts";

/** What was seen of an operation. */
export interface Row {
  operation: string;
  torch: string | null;
  cases: number;
  worst: Outcome;
  /** The largest error of PyTorch's float32 over the same cases; null where it has no such operation. */
  torchError: number | null;
  tolerance: number;
}

const shown = (error: number) => error <= 1e-9 ? "0" : error.toExponential(1);

/** One run in a line. */
export function describe({ golden, path, error, result, tolerance }: Outcome): string {
  const torch = golden.torch === undefined ? "" : `, PyTorch's float32 ${shown(golden.torch)}`;
  return `${golden.op}: ${result} of ${golden.name} [${path}] is off by ${shown(error)} ` +
    `(allowed ${shown(tolerance)}${torch})`;
}

/**
 * The rows. The worst run is the one that comes closest to its tolerance, or exceeds it by most: cases may
 * have one of their own.
 */
export function report({ operations }: Golden, outcomes: readonly Outcome[]): Row[] {
  const part = ({ error, tolerance }: Outcome) => error / tolerance;
  return Object.entries(operations).flatMap(([operation, { torch, tolerance }]) => {
    const own = outcomes.filter(({ golden }) => golden.op === operation);
    if (own.length === 0) return [];
    const worst = own.reduce((a, b) => part(b) > part(a) ? b : a);
    const torchErrors = own.map(({ golden }) => golden.torch ?? 0);
    const torchError = torch === null ? null : Math.max(...torchErrors);
    return [{ operation, torch, cases: own.length / 2, worst, torchError, tolerance }];
  });
}

const HEAD = ["operation", "PyTorch's", "cases", "worst error", "allowed", "PyTorch float32", "at"];

function cells({ operation, torch, cases, worst, torchError }: Row): string[] {
  const { golden, path, result } = worst;
  const errors = [worst.error, worst.tolerance].map(shown);
  const other = torchError === null ? "" : shown(torchError);
  const at = `${result}, ${golden.name} (${path})`;
  return [operation, torch ?? "none", `${cases}`, ...errors, other, at];
}

function padded(lines: readonly string[][]): string[][] {
  const widths = HEAD.map((_, i) => Math.max(...lines.map((line) => line[i].length)));
  return lines.map((line) => line.map((cell, i) => cell.padEnd(widths[i])));
}

/** The table for the terminal. */
export function printed(rows: readonly Row[]): string {
  const lines = padded([HEAD, ...rows.map(cells)]);
  return lines.map((line) => line.join("  ").trimEnd()).join("\n");
}

/** The table for the page. */
export function markdown(rows: readonly Row[], adapter: string): string {
  const escaped = rows.map((row) =>
    cells(row).map((cell, i) => i === 0 || i === 1 || i === 6 ? `\`${cell}\`` : cell)
  );
  const [head, ...lines] = padded([HEAD, ...escaped]);
  const rule = head.map((cell) => "-".repeat(cell.length));
  const count = rows.reduce((sum, { cases }) => sum + cases, 0);
  return `
${count} cases of ${rows.length} operations, each on both kernel paths, measured on ${adapter}.

${[head, rule, ...lines].map((line) => `| ${line.join(" | ")} |`).join("\n")}
`;
}
