/** The golden table as text: one row for each operation. */
import type { KernelPath } from "../../kernels/runtime/gpu.ts";
import type { Golden, Outcome } from "./runner.ts";

/** What was seen of an operation. */
export interface Row {
  operation: string;
  torch: string | null;
  cases: number;
  /** The run with the largest error, and the largest error of each path that was run. */
  worst: Outcome;
  errors: Partial<Record<KernelPath, number>>;
  /** The largest error of PyTorch's float32 over the same cases; null where it has no such operation. */
  torchError: number | null;
}

const shown = (error: number) => error <= 1e-9 ? "0" : error.toExponential(1);

/** One run in a line. */
export function describe({ golden, path, error, result, tolerance }: Outcome): string {
  const torch = golden.torch === undefined ? "" : `, PyTorch's float32 ${shown(golden.torch)}`;
  return `${golden.op}: ${result} of ${golden.name} [${path}] is off by ${shown(error)} ` +
    `(allowed ${shown(tolerance)}${torch})`;
}

/** The rows: one for each operation that was run. */
export function report({ operations }: Golden, outcomes: readonly Outcome[]): Row[] {
  return Object.entries(operations).flatMap(([operation, { torch }]) => {
    const own = outcomes.filter(({ golden }) => golden.op === operation);
    if (own.length === 0) return [];
    const worstOf = (some: readonly Outcome[]) => some.reduce((a, b) => b.error > a.error ? b : a);
    const errors: Row["errors"] = {};
    for (const { path, error } of own) errors[path] = Math.max(error, errors[path] ?? 0);
    const torchErrors = own.map(({ golden }) => golden.torch ?? 0);
    return [{
      operation,
      torch,
      cases: new Set(own.map(({ golden }) => golden)).size,
      worst: worstOf(own),
      errors,
      torchError: torch === null ? null : Math.max(...torchErrors),
    }];
  });
}

const HEAD = [
  "operation",
  "PyTorch's",
  "cases",
  "subgroup path",
  "workgroup path",
  "PyTorch float32",
  "allowed",
  "worst at",
];

function cells({ operation, torch, cases, worst, errors, torchError }: Row): string[] {
  const both = [errors.subgroup, errors.workgroup].map((one) =>
    one === undefined ? "" : shown(one)
  );
  const other = torchError === null ? "" : shown(torchError);
  const at = shown(worst.error) === "0" ? "" : `${worst.result}, ${worst.golden.name}`;
  return [operation, torch ?? "", `${cases}`, ...both, other, shown(worst.tolerance), at];
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
    cells(row).map((cell, i) => [0, 1, 7].includes(i) && cell !== "" ? `\`${cell}\`` : cell)
  );
  const [head, ...lines] = padded([HEAD, ...escaped]);
  const rule = head.map((cell) => "-".repeat(cell.length));
  const count = rows.reduce((sum, { cases }) => sum + cases, 0);
  return `
${count} cases of ${rows.length} operations, on both paths, measured on ${adapter}.

${[head, rule, ...lines].map((line) => `| ${line.join(" | ")} |`).join("\n")}
`;
}
