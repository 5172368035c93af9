/** A profile as a table to read. */
import type { Profile, ProfiledWork } from "./profiler.ts";

const HOW: Record<Profile["way"], string> = {
  timestamps: "by the GPU's timestamps",
  submits: "each dispatch submitted and waited for alone",
  counts: "counted only: this adapter has no timestamps, and work cannot be waited for",
};

const HEADS = ["calls", "ms", "share", "ms each", "GFLOP/s", "GB/s", "compiling ms"] as const;

/** Cells of a line, after its name; an empty one where nothing is known. */
type Line = readonly [name: string, ...cells: string[]];

function ratio(amount: number | undefined, ms: number | undefined): string {
  if (!amount || !ms) return "";
  const perSecond = amount / ms / 1e6; // thousands of millions in a second
  return perSecond >= 100 ? perSecond.toFixed(0) : perSecond.toFixed(perSecond >= 1 ? 1 : 2);
}

function described(work: ProfiledWork, all: number, flops?: number, compileMs = 0): Line {
  const { name, calls, ms, bytes } = work;
  return [
    name,
    String(calls),
    ...(ms === undefined ? ["", "", ""] : [ms.toFixed(1), share(ms, all), (ms / calls).toFixed(3)]),
    ratio(flops, ms),
    ratio(bytes, ms),
    compileMs > 0 ? compileMs.toFixed(1) : "",
  ];
}

function share(ms: number, all: number): string {
  return `${(all > 0 ? 100 * ms / all : 0).toFixed(1)} %`;
}

function summed(values: readonly (number | undefined)[]): number {
  return values.reduce<number>((sum, value) => sum + (value ?? 0), 0);
}

/** Numbers by the right edge, names by the left. */
function aligned(lines: readonly Line[]): string[] {
  const widths = lines[0].map((_, i) => Math.max(...lines.map((line) => (line[i] ?? "").length)));
  return lines.map((line) =>
    widths.map((width, i) => i === 0 ? line[0].padEnd(width) : (line[i] ?? "").padStart(width))
      .join("  ").trimEnd()
  );
}

/**
 * The table: kernels by their time, then what is no kernel's time, and the whole. Shares are of the whole: the time from
 * the opening of the GPU on, without what profiling took itself.
 */
export function profileTable(profile: Profile): string {
  const { adapter, path, way, kernels, moves, ms: all, submits, submitMs } = profile;
  const byTime = <T extends ProfiledWork>(works: readonly T[]) =>
    works.toSorted((a, b) => (b.ms ?? 0) - (a.ms ?? 0) || b.calls - a.calls);
  const calls = summed(kernels.map((kernel) => kernel.calls));
  const [kernelMs, movedMs, compileMs, pipelines] = [
    summed(kernels.map(({ ms }) => ms)),
    summed(moves.map(({ ms }) => ms)),
    summed(kernels.map((kernel) => kernel.compileMs)),
    summed(kernels.map((kernel) => kernel.pipelines)),
  ];
  const timed = way !== "counts";
  const line = (name: string, count: number | undefined, ms: number | undefined): Line => [
    name,
    count === undefined ? "" : String(count),
    ...(ms === undefined ? [] : [ms.toFixed(1), share(ms, all)]),
  ];
  const rest = way === "submits"
    ? "JavaScript, files, waiting"
    : way === "timestamps"
    ? "no kernel runs: JavaScript, copies, files, waiting"
    : "all else";
  const parts = [
    byTime(kernels).map((kernel) => described(kernel, all, kernel.flops, kernel.compileMs)),
    [
      line("all kernels", calls, timed ? kernelMs : undefined),
      line("compiling pipelines", pipelines, compileMs),
      ...byTime(moves).map((work) => described(work, all)),
      line(rest, undefined, Math.max(0, all - kernelMs - movedMs - compileMs)),
    ],
    [line("all", undefined, all)],
  ].filter((part) => part.length > 0);
  const [head, ...lines] = aligned([["kernel", ...HEADS], ...parts.flat()]);
  const width = Math.max(head.length, ...lines.map((text) => text.length));
  const rule = "-".repeat(width);
  const shown = parts.flatMap((part) => [rule, ...lines.splice(0, part.length)]);
  const submitted = way === "submits"
    ? `${submits} submits, one for each dispatch and move; submitting and waiting took ${
      submitMs.toFixed(1)
    } ms more, which is left out above`
    : `${submits} submits`;
  return [
    `What took the time on ${adapter} (${path} path, ${HOW[way]}):`,
    "",
    head,
    ...shown,
    "",
    submitted,
  ].join("\n");
}
