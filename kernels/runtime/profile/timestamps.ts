/** The GPU's own clock: how long each dispatch took, read some while later. */
import { mappedAtOnce, waitAtOnce } from "../device.ts";
import type { Gpu } from "../gpu.ts";
import type { Recorder } from "../recorder.ts";

/** Dispatches in a submit: fewer than the recorder has slots for, which then never submits within a dispatch. */
const MOST = 1000;

/** The standard's timestamps are nanoseconds. */
const STANDARD_MS = 1e-6;
/** So long a time tells what a tick is. */
const CALIBRATION_MS = 20;

/** Told of the milliseconds that a dispatch took. */
type Done = (ms: number) => void;

/** Timestamps before and after each dispatch, which has a pass of its own for them. */
export class Timestamps {
  readonly #set: GPUQuerySet;
  readonly #resolved: GPUBuffer;
  readonly #pending = new Map<GPUBuffer, Done[]>();
  #open: Done[] = [];
  readonly #msPerTick: number;

  constructor(readonly gpu: Gpu) {
    this.#set = gpu.device.createQuerySet({ type: "timestamp", count: 2 * MOST });
    this.#resolved = gpu.device.createBuffer({
      label: "timestamps",
      size: 16 * MOST,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    this.#msPerTick = this.#calibrate();
    gpu.recorder.onSubmit = (encoder) => this.#copyOut(encoder);
  }

  #pass(index: number): GPUComputePassDescriptor {
    return {
      timestampWrites: {
        querySet: this.#set,
        beginningOfPassWriteIndex: 2 * index,
        endOfPassWriteIndex: 2 * index + 1,
      },
    };
  }

  /** The first `count` pairs on their way to a buffer that can be read after the submit. */
  #staged(encoder: GPUCommandEncoder, count: number): GPUBuffer {
    // Mapped once, as mappedAtOnce wants it.
    const staging = this.gpu.device.createBuffer({
      label: "read timestamps",
      size: 16 * count,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
      mappedAtCreation: true,
    });
    staging.unmap();
    encoder.resolveQuerySet(this.#set, 0, 2 * count, this.#resolved, 0);
    encoder.copyBufferToBuffer(this.#resolved, 0, staging, 0, 16 * count);
    return staging;
  }

  /** What the clock shows now. */
  #now(): { tick: number; ms: number } | undefined {
    const { device } = this.gpu;
    const encoder = device.createCommandEncoder();
    encoder.beginComputePass(this.#pass(0)).end();
    const staging = this.#staged(encoder, 1);
    device.queue.submit([encoder.finish()]);
    staging.mapAsync(GPUMapMode.READ).catch(() => {});
    const range = mappedAtOnce(staging);
    const ms = performance.now();
    const tick = range && Number(new BigUint64Array(range)[1]);
    staging.destroy();
    return tick === undefined ? undefined : { tick, ms };
  }

  /** A tick in milliseconds: not every driver's is passed on as nanoseconds. */
  #calibrate(): number {
    this.#now();
    const first = this.#now();
    if (first === undefined) return STANDARD_MS;
    while (performance.now() - first.ms < CALIBRATION_MS);
    const second = this.#now();
    if (second === undefined || second.tick <= first.tick) return STANDARD_MS;
    const measured = (second.ms - first.ms) / (second.tick - first.tick);
    const ratio = measured / STANDARD_MS;
    return ratio > 0.5 && ratio < 2 ? STANDARD_MS : measured; // a busy machine measures badly
  }

  /** Record a dispatch. `done` is told later. */
  dispatch(what: Parameters<Recorder["dispatch"]>, done: Done): void {
    const { recorder } = this.gpu;
    if (recorder.pending >= MOST) recorder.flush();
    recorder.encoder; // ends the open pass
    recorder.pass = this.#pass(this.#open.length);
    recorder.dispatch(...what);
    recorder.pass = undefined;
    recorder.encoder;
    this.#open.push(done);
  }

  #copyOut(encoder: GPUCommandEncoder): (() => void) | undefined {
    const waiting = this.#open;
    if (waiting.length === 0) return undefined;
    this.#open = [];
    const staging = this.#staged(encoder, waiting.length);
    return () => {
      this.#pending.set(staging, waiting);
      staging.mapAsync(GPUMapMode.READ).then(
        () => this.#take(staging),
        () => {}, // closed meanwhile, or the device was lost
      );
    };
  }

  #take(staging: GPUBuffer): void {
    const waiting = this.#pending.get(staging);
    const range = waiting && mappedAtOnce(staging);
    if (range === undefined) return;
    this.#pending.delete(staging);
    const ticks = new BigUint64Array(range);
    waiting!.forEach((done, i) => {
      done(Math.max(0, Number(ticks[2 * i + 1] - ticks[2 * i])) * this.#msPerTick);
    });
    staging.destroy();
  }

  /** Tell of all that was submitted. */
  collect(): void {
    if (this.#pending.size === 0) return;
    waitAtOnce(this.gpu.device);
    for (const staging of [...this.#pending.keys()]) this.#take(staging);
  }

  /** Let go of everything. */
  close(): void {
    this.gpu.recorder.onSubmit = undefined;
    for (const staging of this.#pending.keys()) staging.destroy();
    this.#pending.clear();
    this.#set.destroy();
    this.#resolved.destroy();
  }
}
