/** Live progress on a terminal, plain lines in a log file. */
import process from "node:process";
// @ts-types="npm:@types/cli-progress@3.11.6"
import cliProgress from "npm:cli-progress@3.12.0";
import { clock, figure } from "./format.ts";

/** How {@link progress} counts and where it writes. */
export interface ProgressOptions {
  /** How many units there are in all: a whole number, at least 1. */
  total: number;
  /** What is counted, in the singular: `step`, `picture`. */
  unit: string;
  /** Whether to draw a live bar; when left out, whether stdout is a terminal. */
  live?: boolean;
  /** Writes one plain line; `console.log` when left out. Only used without a live bar. */
  print?: (line: string) => void;
  /** The time in milliseconds; `performance.now` when left out. */
  now?: () => number;
}

/** A running progress display. `using` stops it at the end of the scope. */
export interface Progress extends Disposable {
  /**
   * Say how many units are done, and figures to show such as `{ loss: 1.23 }`. A figure that is left
   * out keeps its last value. Throws RangeError where `done` falls or exceeds the total.
   */
  update(done: number, figures?: Record<string, number>): void;
  /** Print a line above the bar. */
  note(line: string): void;
  /** Draw the last state and leave the line. Further calls do nothing. */
  stop(): void;
}

/** Speed over about the last ten seconds: old enough to be calm, young enough to follow a change. */
class Speed {
  #marks: { time: number; done: number }[];

  constructor(time: number) {
    this.#marks = [{ time, done: 0 }];
  }

  /** Units per second, or 0 while there is nothing to go by. */
  at(time: number, done: number): number {
    const last = this.#marks[this.#marks.length - 1];
    if (time - last.time >= 500) this.#marks.push({ time, done });
    while (this.#marks.length > 2 && time - this.#marks[1].time >= 10_000) this.#marks.shift();
    const first = this.#marks[0];
    return time > first.time ? 1000 * (done - first.done) / (time - first.time) : 0;
  }
}

/** One view of the progress: a live bar or plain lines. */
interface View {
  show(done: number, tail: string, time: number): void;
  note(line: string): void;
  stop(): void;
}

const REDRAW_MS = 100;

/** A terminal that is gone ends no task, which SIGHUP then stops: without a listener the failed write would. */
const ignoreGoneTerminal = () => {};

function liveView(total: number, unit: string): View {
  if (!process.stdout.listeners("error").includes(ignoreGoneTerminal)) {
    process.stdout.on("error", ignoreGoneTerminal);
  }
  const bars = new cliProgress.MultiBar({
    stream: process.stdout,
    format: `{bar} {percentage} %  {value}/{total} ${unit}s{tail}`,
    // A narrow terminal keeps its room for the figures.
    barsize: process.stdout.columns < 100 ? 12 : 24,
    barCompleteChar: "█",
    barIncompleteChar: "░",
    // Off: the library then cuts the bar to the terminal's width by itself, and notes wrap as usual.
    linewrap: true,
    fps: 1000 / REDRAW_MS,
  });
  const bar = bars.create(total, 0, { tail: "" });
  let drawn = -Infinity;
  return {
    show(done, tail, time) {
      bar.update(done, { tail });
      // The library's own timer is starved by a loop that does not yield.
      if (time - drawn < REDRAW_MS) return;
      bars.update();
      drawn = time;
    },
    note(line) {
      bars.log(`${line}\n`);
      bars.update();
    },
    stop() {
      bars.update();
      bars.stop();
    },
  };
}

const LINE_MS = 10_000;

function plainView(
  total: number,
  unit: string,
  print: (line: string) => void,
  start: number,
): View {
  let [shownAt, shownDone] = [start, 0];
  let latest = { done: 0, tail: "", time: start };
  const line = () => {
    const percent = `${Math.floor(100 * latest.done / total)} %`.padStart(5);
    print(`${percent}  ${latest.done}/${total} ${unit}s${latest.tail}`);
    [shownAt, shownDone] = [latest.time, latest.done];
  };
  return {
    show(done, tail, time) {
      latest = { done, tail, time };
      const tenth = Math.floor(10 * done / total) > Math.floor(10 * shownDone / total);
      // A line every ten seconds and at each tenth, but no flood of lines in a short run.
      const due = time - shownAt >= LINE_MS || (tenth && time - shownAt >= 1000);
      if (due || (done === total && shownDone < total)) line();
    },
    note: print,
    stop() {
      if (latest.done > shownDone) line();
    },
  };
}

/**
 * Show the progress of a loop: how much is done, the figures, the speed and the time left. On a
 * terminal this is a bar that is redrawn ten times a second; else a plain line every ten seconds and
 * at each tenth. Needs no permission. Throws RangeError for a bad total.
 *
 * @example
 * ```ts
 * const lines: string[] = [];
 * let time = 0;
 * using bar = progress({
 *   total: 4,
 *   unit: "step",
 *   live: false,
 *   print: (line) => lines.push(line),
 *   now: () => time,
 * });
 * for (let step = 1; step <= 4; step++) {
 *   time += 2000;
 *   bar.update(step, { loss: 2 / step });
 * }
 * const last = "100 %  4/4 steps  loss 0.5000  0.500 steps/s  0:00 left";
 * if (lines.at(-1) !== last) throw new Error(lines.at(-1));
 * ```
 */
export function progress(options: ProgressOptions): Progress {
  const { total, unit, print = console.log, now = () => performance.now() } = options;
  if (!Number.isSafeInteger(total) || total < 1) {
    throw new RangeError(`A progress total is a whole number, at least 1, and not ${total}`);
  }
  const start = now();
  const speed = new Speed(start);
  const live = options.live ?? Deno.stdout.isTerminal();
  const view = live ? liveView(total, unit) : plainView(total, unit, print, start);
  const shown: Record<string, number> = {};
  let [last, stopped] = [0, false];

  function stop(): void {
    if (!stopped) view.stop();
    stopped = true;
  }
  return {
    update(done, figures = {}) {
      if (!(done >= last && done <= total)) {
        throw new RangeError(`Progress goes from ${last} up to ${total}, and not to ${done}`);
      }
      if (stopped) return;
      last = done;
      Object.assign(shown, figures);
      const time = now();
      const rate = speed.at(time, done);
      const parts = Object.entries(shown).map(([name, value]) => `${name} ${figure(value)}`);
      if (rate > 0) {
        parts.push(`${rate.toPrecision(3)} ${unit}s/s`, `${clock((total - done) / rate)} left`);
      }
      view.show(done, parts.map((part) => `  ${part}`).join(""), time);
    },
    note(line) {
      if (stopped) print(line);
      else view.note(line);
    },
    stop,
    [Symbol.dispose]: stop,
  };
}
