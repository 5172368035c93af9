/**
 * Errors of a device, caught where they happen. An error that no scope catches is told by an event, which
 * needs a turn of the event loop, and a read on a CPU adapter is done before the loop turns. So a scope of
 * each kind is open all the time: what it caught is known a microtask after it is asked for.
 */
import { GpuError } from "./errors.ts";

/** Opened in this order and closed in the other, so that the lack of memory comes before what follows from it. */
const FILTERS: readonly GPUErrorFilter[] = ["internal", "validation", "out-of-memory"];

/** What to say of an error, or nothing where it needs no word. */
export type Describe = (error: GPUError) => string | undefined;

/** Watches a device from its making to `close`. Whoever opens a scope of their own closes it before the next flush. */
export class ErrorWatch {
  readonly #pending = new Set<Promise<void>>();
  #open = true;

  constructor(
    readonly device: GPUDevice,
    /** Told of each error. */
    readonly report: (error: GpuError) => void,
  ) {
    this.#openScopes();
  }

  #openScopes(): void {
    for (const filter of FILTERS) this.device.pushErrorScope(filter);
  }

  #closeScopes(): void {
    for (const _ of FILTERS) {
      this.#pop((error) => `The GPU reports: ${error.message.trim() || error.constructor.name}`);
    }
  }

  #pop(describe: Describe): void {
    const popped = this.device.popErrorScope().then(
      (error) => {
        const said = error === null ? undefined : describe(error);
        if (said !== undefined) this.report(new GpuError(said));
      },
      () => {}, // a lost device has no scopes; its loss is told elsewhere
    ).finally(() => this.#pending.delete(popped));
    this.#pending.add(popped);
  }

  /** Have all errors up to here reported soon. */
  collect(): void {
    if (!this.#open) return;
    this.#closeScopes();
    this.#openScopes();
  }

  /** Wait until all errors up to here are reported. */
  async settled(): Promise<void> {
    this.collect();
    await Promise.all(this.#pending);
  }

  /** What `make` makes; an error of this kind meanwhile is reported as `describe` says, in its own words. */
  around<T>(filter: GPUErrorFilter, describe: Describe, make: () => T): T {
    this.device.pushErrorScope(filter);
    try {
      return make();
    } finally {
      this.#pop(describe);
    }
  }

  /** Leave the device with no scope open. */
  close(): void {
    if (!this.#open) return;
    this.#open = false;
    this.#closeScopes();
  }
}

/** What `make` makes, with no word of any error. */
export function unwatched<T>(device: GPUDevice, make: () => T): T {
  for (const filter of FILTERS) device.pushErrorScope(filter);
  try {
    return make();
  } finally {
    for (const _ of FILTERS) device.popErrorScope().catch(() => {});
  }
}
