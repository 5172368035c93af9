/** The folder of one run: its settings, its metrics, its results. Never overwrites another run's. */
import { parseJson } from "../../data/files/json.ts";
import { join } from "@std/path";
import { systemReason, writeError, writeWholeSync } from "../../data/files/file.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Where a run folder goes. */
export interface RunFolderOptions {
  /** The folder of all runs, for instance `runs`. */
  out: string;
  /** The name of the task: letters, digits, `-` and `_`. */
  task: string;
  /** When the run starts; its local time names the folder. */
  now: Date;
}

/** A value of a metric record. */
export type Metric = number | string | boolean | null;

/** An open run folder. `using` closes it at the end of the scope. */
export interface RunFolder extends Disposable {
  /** The folder: `<out>/<task>/2026-01-31T09-05-00`. */
  readonly path: string;
  /**
   * Append one line to `metrics.jsonl`, written at once so that it survives a crash. JSON has no NaN
   * and no infinity: they become the strings `"NaN"`, `"Infinity"`, `"-Infinity"`.
   */
  metric(record: Record<string, Metric>): void;
  /**
   * Leave out the records of `metrics.jsonl` that `keep` refuses, and a last line that was cut off: a run that
   * goes on writes again what came after its checkpoint.
   */
  retainMetrics(keep: (record: Record<string, Metric>) => boolean): void;
  /** Write `config.json`. */
  writeConfig(config: Record<string, unknown>): void;
  /** Write a text file and give its path. A file of this run with this name is replaced whole. */
  writeText(name: string, text: string): string;
  /** Write a file of bytes and give its path. A file of this run with this name is replaced whole. */
  writeBytes(name: string, bytes: Uint8Array): string;
}

function stamp(date: Date): string {
  const two = (n: number) => String(n).padStart(2, "0");
  const day = [date.getFullYear(), two(date.getMonth() + 1), two(date.getDate())].join("-");
  return `${day}T${[date.getHours(), date.getMinutes(), date.getSeconds()].map(two).join("-")}`;
}

/** Make `<base>`, or `<base>-2`, `<base>-3` … where it is taken. */
function makeNew(base: string): string {
  for (let copy = 1;; copy++) {
    const path = copy === 1 ? base : `${base}-${copy}`;
    try {
      Deno.mkdirSync(path);
      return path;
    } catch (error) {
      if (!(error instanceof Deno.errors.AlreadyExists)) throw error;
    }
  }
}

function encodeMetric(_key: string, value: unknown): unknown {
  return typeof value === "number" && !Number.isFinite(value) ? String(value) : value;
}

/**
 * Make a new run folder and open its `metrics.jsonl`, before any time goes into training. Needs
 * `--allow-read --allow-write`. Throws UserError where the folder cannot be written, and TypeError
 * for a task name or a file name that is not a plain name.
 *
 * @example
 * ```ts
 * const out = Deno.makeTempDirSync();
 * using run = createRunFolder({ out, task: "caption-lstm", now: new Date() });
 * run.writeConfig({ hidden: 512 });
 * [2.5, 1.25].forEach((loss, step) => run.metric({ step, loss }));
 * const lines = Deno.readTextFileSync(`${run.path}/metrics.jsonl`);
 * if (lines !== '{"step":0,"loss":2.5}\n{"step":1,"loss":1.25}\n') throw new Error(lines);
 * ```
 */
export function createRunFolder({ out, task, now }: RunFolderOptions): RunFolder {
  if (!/^[\w-]+$/.test(task)) {
    throw new TypeError(`A task name has letters, digits, - and _ only: "${task}"`);
  }
  return open(out, () => {
    Deno.mkdirSync(join(out, task), { recursive: true });
    return makeNew(join(out, task, stamp(now)));
  });
}

/**
 * Open the folder of an earlier run, to go on in it. Throws UserError where it cannot be written, and where
 * another process has it open.
 */
export function reopenRunFolder(path: string): RunFolder {
  return open(path, () => path);
}

/** Open a file of metrics, which no other process may have open: the system lets go of it even after a crash. */
function openMetrics(path: string): Deno.FsFile {
  const file = Deno.openSync(path, { append: true, create: true });
  let locked = true;
  try {
    locked = file.tryLockSync(true);
  } catch {
    // Some network disks have no locks.
  }
  if (locked) return file;
  file.close();
  throw new UserError("another run has it open; wait for it to end, or end it");
}

/** Unlocked first: a process that is just being started holds a copy of the file, and with it the lock. */
function closeMetrics(file: Deno.FsFile): void {
  try {
    file.unlockSync();
  } catch {
    // Some network disks have no locks.
  }
  file.close();
}

/** Take away what a full disk left of a line. */
function cutLastLine(path: string): void {
  const bytes = Deno.readFileSync(path);
  Deno.truncateSync(path, bytes.lastIndexOf(10) + 1);
}

/** The record of a line, or nothing where it was cut off. */
function parseRecord(line: string): Record<string, Metric> | undefined {
  try {
    const record = parseJson(line, { what: "The line", depth: 2, values: 1000 });
    return typeof record === "object" && record !== null
      ? record as Record<string, Metric>
      : undefined;
  } catch (error) {
    if (error instanceof UserError) return undefined;
    throw error;
  }
}

/** Open the folder that `make` gives; `shown` names it in errors. */
function open(shown: string, make: () => string): RunFolder {
  let path: string;
  let metrics: Deno.FsFile;
  try {
    path = make();
    metrics = openMetrics(join(path, "metrics.jsonl"));
  } catch (error) {
    throw new UserError(`The output folder "${shown}" cannot be written: ${systemReason(error)}`);
  }

  const metricsPath = join(path, "metrics.jsonl");
  const encoder = new TextEncoder();
  let closed = false;
  function writeBytes(name: string, bytes: Uint8Array): string {
    if (!/^[\w-][\w.-]*$/.test(name)) {
      throw new TypeError(`A file name in a run folder is a plain name, and not "${name}"`);
    }
    const target = join(path, name);
    writeWholeSync(target, bytes);
    return target;
  }
  const writeText = (name: string, text: string) => writeBytes(name, encoder.encode(text));
  return {
    path,
    metric(record) {
      const line = encoder.encode(`${JSON.stringify(record, encodeMetric)}\n`);
      try {
        for (let sent = 0; sent < line.length;) sent += metrics.writeSync(line.subarray(sent));
      } catch (error) {
        cutLastLine(metricsPath);
        throw writeError(metricsPath, error);
      }
    },
    retainMetrics(keep) {
      const text = Deno.readTextFileSync(metricsPath);
      const lines = text.split("\n").filter((line) => {
        const record = parseRecord(line);
        return record !== undefined && keep(record);
      });
      const kept = lines.map((line) => `${line}\n`).join("");
      if (kept === text) return;
      // The new file is locked before it takes the old one's place.
      const part = `${metricsPath}.part`;
      Deno.writeTextFileSync(part, kept);
      const next = openMetrics(part);
      Deno.renameSync(part, metricsPath);
      closeMetrics(metrics);
      metrics = next;
    },
    writeConfig(config) {
      writeText("config.json", `${JSON.stringify(config, null, 2)}\n`);
    },
    writeText,
    writeBytes,
    [Symbol.dispose]() {
      if (!closed) closeMetrics(metrics);
      closed = true;
    },
  };
}
