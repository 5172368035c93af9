/**
 * One command encoder and one open compute pass, into which all kernels of a step are recorded.
 *
 * The parameters of each dispatch get a slot of their own in an arena that is written once, just
 * before the submit: `queue.writeBuffer` runs before the submit that follows it, so one slot used
 * twice would show its last value to both dispatches.
 */

import type { Allocator } from "./memory/allocator.ts";

/** Bytes of one parameter slot: WebGPU's guaranteed alignment of dynamic uniform offsets. */
export const PARAMS_SLOT = 256;
const SLOTS = 1024;

/** Counts of what was recorded since the device was opened. */
export interface RecorderCounts {
  /** Kernels run. */
  dispatches: number;
  /** Times that recorded work was handed to the GPU. */
  submits: number;
}

/** Records dispatches and copies; `flush` submits them. */
export class Recorder {
  /** What was done so far. */
  readonly counts: RecorderCounts = { dispatches: 0, submits: 0 };
  /** Number of the current recording; it grows with each submit. */
  recording = 0;
  /** What the next pass is begun with. */
  pass: GPUComputePassDescriptor | undefined;
  /** Called with the encoder of each submit before that; gives what is to be called after it. */
  onSubmit: ((encoder: GPUCommandEncoder) => (() => void) | undefined) | undefined;
  /** The uniform buffer that holds the parameter slots. */
  readonly paramsBuffer: GPUBuffer;

  readonly #device: GPUDevice;
  readonly #arena = new ArrayBuffer(PARAMS_SLOT * SLOTS);
  readonly #view = new DataView(this.#arena);
  #slots = 0;
  #encoder: GPUCommandEncoder | undefined;
  #pass: GPUComputePassEncoder | undefined;

  /** @internal */
  constructor(device: GPUDevice, allocator: Allocator) {
    this.#device = device;
    this.paramsBuffer = allocator.buffer({
      label: "kernel parameters",
      size: PARAMS_SLOT * SLOTS,
      usage: GPUBufferUsage.UNIFORM | GPUBufferUsage.COPY_DST,
    }, () => "the parameters of kernels");
  }

  /** True when nothing waits to be submitted. */
  get empty(): boolean {
    return this.#encoder === undefined;
  }

  /** Dispatches that wait to be submitted. */
  get pending(): number {
    return this.#slots;
  }

  /** The encoder, with no pass open: for copies and clears. */
  get encoder(): GPUCommandEncoder {
    this.#pass?.end();
    this.#pass = undefined;
    return this.#encoder ??= this.#device.createCommandEncoder({ label: "neckar step" });
  }

  /** Record one dispatch. `writeParams` fills the parameter slot. */
  dispatch(
    pipeline: GPUComputePipeline,
    bindGroup: GPUBindGroup,
    groups: readonly [number, number, number],
    writeParams: (view: DataView, at: number) => void,
  ): void {
    if (this.#slots === SLOTS) this.flush();
    const at = this.#slots++ * PARAMS_SLOT;
    writeParams(this.#view, at);
    if (this.#pass === undefined) this.#pass = this.encoder.beginComputePass(this.pass);
    this.#pass.setPipeline(pipeline);
    this.#pass.setBindGroup(0, bindGroup, [at]);
    this.#pass.dispatchWorkgroups(groups[0], groups[1], groups[2]);
    this.counts.dispatches++;
  }

  /** Submit what was recorded; does nothing when there is nothing. */
  flush(): void {
    if (this.#encoder === undefined) return;
    this.#pass?.end();
    this.#pass = undefined;
    if (this.#slots > 0) {
      this.#device.queue.writeBuffer(
        this.paramsBuffer,
        0,
        this.#arena,
        0,
        this.#slots * PARAMS_SLOT,
      );
      this.#slots = 0;
    }
    const after = this.onSubmit?.(this.#encoder);
    const commands = this.#encoder.finish();
    this.#encoder = undefined;
    this.#device.queue.submit([commands]);
    this.counts.submits++;
    this.recording++;
    after?.();
  }

  /** Forget what was recorded. */
  close(): void {
    this.#encoder = this.#pass = undefined;
    this.#slots = 0;
    this.paramsBuffer.destroy();
  }
}
