/**
 * What takes the time on the GPU: each kernel's dispatches are counted and timed. On a GPU that has
 * them, by timestamps before and after each dispatch; on a software adapter by submitting each dispatch alone and waiting
 * for it, which leaves the order of all work, and so every result, as it is.
 */
import { type OpenDevice, waitAtOnce } from "../device.ts";
import { GpuError } from "../errors.ts";
import type { Gpu, KernelPath } from "../gpu.ts";
import type { KernelSpec } from "../kernel.ts";
import { profileTable } from "./profile_table.ts";
import type { Recorder } from "../recorder.ts";
import type { DType, Tensor } from "../tensor.ts";
import { Timestamps } from "./timestamps.ts";
import type { KernelWatcher, Moved } from "./watcher.ts";

/**
 * How a profile comes by its times: `timestamps` of the GPU, or `submits` of one dispatch each that are waited
 * for. `counts` knows no times.
 */
export type ProfileWay = "timestamps" | "submits" | "counts";

/** Dispatches, or moves of one kind, and what they took. Times in milliseconds. */
export interface ProfiledWork {
  /** The kernel's name, or the kind of move. */
  name: string;
  /** How often. */
  calls: number;
  /** Nothing where it is not known. */
  ms: number | undefined;
  /** Read and written: each bound tensor counts once, unless the kernel says better. */
  bytes: number;
}

/** What is known of all dispatches of the kernels of one name. */
export interface ProfiledKernel extends ProfiledWork {
  /** Floating-point operations, where the kernel says so. */
  flops: number | undefined;
  /** Pipelines made for it, and what compiling them took, which `ms` leaves out. */
  pipelines: number;
  /** Milliseconds that compiling took. */
  compileMs: number;
}

/** What {@linkcode Profiler.profile} gives. */
export interface Profile {
  /** The adapter's name. */
  adapter: string;
  /** Whose bodies the kernels have. */
  path: KernelPath;
  /** How times were taken. */
  way: ProfileWay;
  /** Dispatches, by kernel. */
  kernels: ProfiledKernel[];
  /** Copies, clears, uploads and reads. */
  moves: ProfiledWork[];
  /** From the opening of the GPU on, without what profiling itself took. */
  ms: number;
  /** Submits, and what submitting and waiting took beyond the work itself; these are the profiler's own with `submits`. */
  submits: number;
  /** Milliseconds of submitting and waiting. */
  submitMs: number;
}

/** Whether the environment asks for a profile; false where the script may not look: Deno asks for all permissions. */
export function profileWanted(): boolean {
  const variable = "NECKAR_PROFILE";
  const { state } = Deno.permissions.querySync({ name: "env", variable });
  return state === "granted" && Deno.env.get(variable) === "1";
}

/** The way that a device can be profiled in, where it is not said. */
export function profileWay(
  { device, adapter }: Pick<OpenDevice, "device" | "adapter">,
  wanted: true | ProfileWay,
): ProfileWay {
  const timed = device.features.has("timestamp-query");
  if (wanted === "timestamps" && !timed) {
    throw new GpuError(
      `The adapter "${adapter.description}" has no timestamps: profile by "submits" or "counts"`,
    );
  }
  if (wanted !== true) return wanted;
  if (timed && !adapter.isFallback) return "timestamps";
  return waitAtOnce(device) ? "submits" : "counts";
}

/** How often a submit of nothing is timed anew: other programs may make it slower. */
const EMPTY_EVERY = 100;

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[values.length >> 1] ?? 0;
}

/** Watches one {@linkcode Gpu}, and prints a table to stderr when that is closed or the process ends. */
export class Profiler implements KernelWatcher {
  readonly #kernels = new Map<string, ProfiledKernel>();
  readonly #moves = new Map<Moved, ProfiledWork>();
  readonly #seen = new Set<string>();
  readonly #making = new Map<string, number>();
  /** What a submit of nothing takes, some times over. */
  readonly #empty: number[] = [];
  readonly #start = performance.now();
  readonly #firstSubmit: number;
  #waits = 0;
  /** What went into empty submits, whose only use is to measure. */
  #ownMs = 0;

  readonly #timestamps: Timestamps | undefined;
  #closed = false;
  readonly #onUnload = () => this.close();

  /** Watch from now on, once it is the `watcher` of the GPU. */
  constructor(readonly gpu: Gpu, readonly way: ProfileWay) {
    this.#firstSubmit = gpu.recorder.counts.submits;
    if (way === "timestamps") this.#timestamps = new Timestamps(gpu);
    globalThis.addEventListener("unload", this.#onUnload);
  }

  watch(
    kernel: { spec: KernelSpec; source: string },
    tensors: readonly Tensor<DType>[],
    params: Record<string, number>,
  ): Pick<Recorder, "dispatch"> {
    const { spec: { name, cost }, source } = kernel;
    let entry = this.#kernels.get(name);
    if (entry === undefined) {
      const ms = this.way === "counts" ? undefined : 0;
      entry = { name, calls: 0, ms, bytes: 0, flops: undefined, pipelines: 0, compileMs: 0 };
      this.#kernels.set(name, entry);
    }
    entry.calls++;
    entry.bytes += cost?.bytes?.(params) ?? tensors.reduce((sum, { bytes }) => sum + bytes, 0);
    if (cost?.flops !== undefined) entry.flops = (entry.flops ?? 0) + cost.flops(params);
    const making = this.#making.get(source);
    if (making !== undefined) {
      this.#making.delete(source);
      entry.pipelines++;
      entry.compileMs += making;
    }
    const known = entry;
    const first = !this.#seen.has(source);
    if (first) this.#seen.add(source);
    return {
      dispatch: (...what) => {
        if (this.way === "submits") this.#alone(known, first, what);
        else if (this.#timestamps === undefined) this.gpu.recorder.dispatch(...what);
        else this.#timestamps.dispatch(what, (ms) => known.ms! += ms);
      },
    };
  }

  made(source: string, ms: number): void {
    this.#making.set(source, ms);
  }

  moved(what: Moved, bytes: number): void {
    let work = this.#moves.get(what);
    if (work === undefined) {
      const ms = this.way === "submits" ? 0 : undefined;
      this.#moves.set(what, work = { name: what, calls: 0, ms, bytes: 0 });
    }
    work.calls++;
    work.bytes += bytes;
    if (work.ms !== undefined) work.ms += this.#wait();
  }

  /** Submit what is recorded, after `record`, and wait for it: milliseconds. */
  #wait(record?: () => void): number {
    const start = performance.now();
    record?.();
    this.gpu.recorder.flush();
    waitAtOnce(this.gpu.device);
    this.#waits++;
    return performance.now() - start;
  }

  /** A dispatch in a submit of its own. All before it was waited for. */
  #alone(
    entry: ProfiledKernel,
    first: boolean,
    [pipeline, bindGroup, groups, writeParams]: Parameters<Recorder["dispatch"]>,
  ): void {
    const { recorder } = this.gpu;
    const run = (groups: readonly [number, number, number]) =>
      this.#wait(() => recorder.dispatch(pipeline, bindGroup, groups, writeParams));
    const nothing = () => {
      const ms = run([0, 0, 0]);
      recorder.counts.dispatches--;
      this.#waits--;
      return ms;
    };
    // Drivers compile at the first dispatch, be it of no workgroup.
    const compiling = first ? nothing() : undefined;
    if (first || this.#waits % EMPTY_EVERY === 0) {
      const empty = nothing();
      this.#empty.push(empty);
      this.#ownMs += empty;
      if (compiling !== undefined) {
        this.#ownMs += Math.min(compiling, empty);
        entry.compileMs += Math.max(0, compiling - empty);
      }
    }
    entry.ms! += run(groups);
  }

  /** What is known so far. */
  profile(): Profile {
    this.#timestamps?.collect();
    const each = median(this.#empty);
    const without = <T extends ProfiledWork>(work: T): T =>
      this.way === "submits" ? { ...work, ms: Math.max(0, work.ms! - work.calls * each) } : work;
    const submitMs = each * this.#waits;
    return {
      adapter: this.gpu.adapter.description,
      path: this.gpu.path,
      way: this.way,
      kernels: [...this.#kernels.values()].map(without),
      moves: [...this.#moves.values()].map(without),
      ms: performance.now() - this.#start - this.#ownMs - submitMs,
      submits: this.way === "submits"
        ? this.#waits
        : this.gpu.recorder.counts.submits - this.#firstSubmit,
      submitMs,
    };
  }

  /** Print the table, once. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    globalThis.removeEventListener("unload", this.#onUnload);
    const profile = this.profile();
    this.#timestamps?.close();
    try {
      console.error(profileTable(profile));
    } catch {
      // A closed terminal must not keep the GPU open.
    }
  }
}
