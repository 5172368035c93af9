/** Training: one loop for every model, which can be stopped anywhere and gone on with. */
import { RandomStream } from "../../data/rng.ts";
import type { TensorData } from "../../data/formats/tensor_data.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { Tape, type Variable } from "../tape/autograd.ts";
import {
  float64,
  type Plain,
  readCheckpoint,
  type SavedState,
  type Stateful,
  stateNumber,
  stateTensor,
  writeCheckpoint,
} from "./checkpoint.ts";
import { checkWeights, divergence } from "./finite.ts";
import { Dropout } from "../layers/layers.ts";
import { LossHistory } from "./loss_history.ts";
import type { Module } from "../layers/module.ts";
import type { Optimizer } from "./optimizers.ts";
import { Pace } from "./pace.ts";
import type { Plateau } from "./schedules.ts";
import type { WeightAverage } from "./weight_average.ts";
import { UserError } from "../../data/files/user_error.ts";

/** Where training stands. */
export interface Step {
  /** What the step is recorded on. */
  tape: Tape;
  /** From 1 on. */
  epoch: number;
  /** Steps before this one, in all epochs and in this one. */
  step: number;
  /** The steps of them in this epoch. */
  inEpoch: number;
}

/** How an epoch went: its number, the mean loss of its steps, and what `evaluate` found. */
export type EpochRecord = { epoch: number; trainLoss: number } & Record<string, number>;

/** Where and when {@linkcode fit} writes what it needs to go on. */
export interface CheckpointOptions {
  /** The file, safetensors. */
  path: string;
  /** Go on from the checkpoint that is there, if there is one. */
  resume?: boolean;
  /** So many seconds after the last one, besides the end of an epoch; 60 by default. */
  every?: number;
  /** What the run depends on: a checkpoint that was made with other values is refused. */
  made?: Readonly<Record<string, Plain | undefined>>;
  /** More that has a state. */
  parts?: Readonly<Record<string, Stateful>>;
}

/** Options of {@linkcode fit}. */
export interface FitOptions<B> {
  /** Moves the parameters of the model, which is on a GPU. */
  optimizer: Optimizer;
  /**
   * The batches of an epoch, from 1 on. They may depend on its number and on nothing else that changes, so that a run
   * can be gone on with.
   */
  batches: (epoch: number) => Iterable<B> | AsyncIterable<B>;
  /**
   * The loss of a batch, one number, and with `parts` further numbers to note. What is uploaded for it can be kept on
   * the tape: `step.tape.keep(x)`.
   */
  loss: (batch: B, step: Step) => Variable | readonly [loss: Variable, ...parts: Tensor[]];
  /** Numbers that are noted of a step, in place of its loss alone: 1 by default. */
  parts?: number;
  /** 1 by default. */
  epochs?: number;
  /** The learning rate of each step of the optimizer, from 0 on: see schedules.ts. By default the optimizer's own. */
  schedule?: ((step: number, epoch: number) => number) | undefined;
  /** The same by one of the figures of each epoch, as `["valLoss", new Plateau(0.1)]`. */
  plateau?: readonly [figure: string, plateau: Plateau] | undefined;
  /** The gradients of so many batches are averaged for one step of the optimizer; 1 by default. */
  accumulate?: number;
  /** Measured, kept and saved instead of the weights. */
  average?: WeightAverage | undefined;
  /** Figures of the model after each epoch. It must call `onBatch` now and then, which may end it. */
  evaluate?: (onBatch: () => Promise<void>, epoch: number) => Promise<Record<string, number>>;
  /**
   * Which weights the model has at the end: the last ones (the default), or those of the epoch with the best figure,
   * the largest unless `smallest`; of equals the first unless `later`.
   */
  keep?: "last" | { best: string; smallest?: boolean; later?: boolean };
  /** Stop after so many epochs without a better figure; 0, never, by default. */
  patience?: number;
  /** Losses are read every so many steps; 20 by default. */
  readEvery?: number;
  /** The last weights are kept every so many steps too, once a loss of theirs is finite; never by default. */
  keepEvery?: number;
  /** What a step is called in messages; "step" by default. */
  unit?: string;
  /** Stop after the step at hand once it is aborted, as by Ctrl-C. */
  signal?: Pick<AbortSignal, "aborted"> | undefined;
  /** Write checkpoints; none by default. */
  checkpoint?: CheckpointOptions;
  /** Called once, with what a checkpoint says of the run, if it was gone on with. */
  onStart?: (result: FitResult, resumed: boolean) => void | Promise<void>;
  /** Called before each epoch, or what is left of it after so many batches. */
  onEpochStart?: (epoch: number, done: number) => void;
  /** Called when losses were read, with all of them, and the steps that were begun. */
  onLosses?: (losses: readonly number[], step: number) => void;
  /** Called after each step, with how many were begun. */
  onStep?: (step: number) => void;
  /** Called after each epoch that was measured. */
  onEpoch?: (record: EpochRecord) => void;
}

/** What came of {@linkcode fit}. */
export interface FitResult {
  /** The loss of each step, or its parts, one step after the other. */
  losses: number[];
  /** The epochs that were measured. */
  epochs: EpochRecord[];
  /** The epoch whose weights the model has; 0 where none was kept. */
  keptEpoch: number;
  /** So many steps were done when the model had these weights. */
  keptStep: number;
  /** Time of training and evaluation, with that before an interruption. */
  seconds: number;
  /** Whether it was ended by the signal. */
  interrupted: boolean;
  /** Whether it ended before the last epoch for want of a better figure. */
  stoppedEarly: boolean;
  /** Why it ended where a loss or a weight was not finite: the weights are the last good ones. */
  diverged: string | undefined;
}

/** Weights and buffers of a model that are worth keeping. */
class Kept implements Stateful, Disposable {
  epoch = 0;
  step = 0;
  /** The best figure so far. */
  figure: number | undefined;
  readonly #copies: [from: Tensor, to: Tensor][];

  constructor(readonly model: Module) {
    const { store, buffers } = model;
    this.#copies = [store.values, ...buffers.map(({ tensor }) => tensor)].map((from) => [
      from,
      Tensor.empty(store.gpu, from.shape, { name: "kept weights" }),
    ]);
  }

  take(epoch: number, step: number): void {
    [this.epoch, this.step] = [epoch, step];
    for (const [from, to] of this.#copies) to.copyFrom(from);
  }

  /** Become what another one is. */
  copy(other: Kept): void {
    [this.epoch, this.step] = [other.epoch, other.step];
    this.#copies.forEach(([, to], i) => to.copyFrom(other.#copies[i][1]));
  }

  putBack(): void {
    for (const [from, to] of this.#copies) from.copyFrom(to);
  }

  async state(): Promise<SavedState> {
    const { epoch, step, figure = null } = this;
    const tensors = new Map<string, TensorData>();
    if (epoch > 0) {
      for (const [i, [, { shape }]] of this.#copies.entries()) {
        const data = await this.#copies[i][1].read();
        tensors.set(`${i}`, { dtype: "F32", shape: [...shape], data });
      }
    }
    return { tensors, values: { epoch, step, figure } };
  }

  loadState(state: SavedState): void {
    const [epoch, step] = ["epoch", "step"].map((key) => stateNumber(state, key));
    if (epoch === 0) return;
    const all = this.#copies.map(([, to], i) => ({
      to,
      data: stateTensor(state, `${i}`, "F32", to.size),
    }));
    for (const { to, data } of all) to.write(data);
    const { figure } = state.values as { figure: Plain };
    [this.epoch, this.step] = [epoch, step];
    this.figure = typeof figure === "number" ? figure : undefined;
  }

  [Symbol.dispose](): void {
    for (const [, to] of this.#copies) to.dispose();
  }
}

/** The streams that dropouts draw from, each once. */
function streamsOf(model: Module): RandomStream[] {
  const found = model.modules.filter((one) => one instanceof Dropout).map(({ stream }) => stream);
  return [...new Set(found)].filter((stream) => stream !== undefined);
}

/** What all that learns needs to go on. */
function partsOf(
  model: Module,
  { optimizer, average, plateau, checkpoint }: Pick<
    FitOptions<unknown>,
    "optimizer" | "average" | "plateau" | "checkpoint"
  >,
): Record<string, Stateful> {
  const streams = streamsOf(model);
  return {
    model: {
      state: async () => ({ tensors: await model.stateDict() }),
      loadState: ({ tensors }) => void model.loadStateDict(tensors ?? new Map()),
    },
    optimizer,
    streams: {
      state: () => ({ values: streams.map(({ state }) => ({ ...state })) as unknown as Plain }),
      loadState({ values }) {
        if (!Array.isArray(values) || values.length !== streams.length) {
          throw new UserError(`there are ${streams.length} random streams, and it has others`);
        }
        if (!values.every(RandomStream.isState)) {
          throw new UserError("a random stream has no state");
        }
        streams.forEach((stream, i) => stream.restore(values[i]));
      },
    },
    ...average && { average },
    ...plateau && { plateau: plateau[1] },
    ...checkpoint?.parts,
  };
}

/** Leave out the first batches of an epoch. */
async function* from<B>(batches: Iterable<B> | AsyncIterable<B>, first: number): AsyncGenerator<B> {
  let i = 0;
  for await (const batch of batches) if (i++ >= first) yield batch;
}

function mean(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0) / values.length;
}

/** One run of {@linkcode fit}. */
class Fit<B> {
  readonly result: FitResult = {
    ...{ losses: [], epochs: [], keptEpoch: 0, keptStep: 0, seconds: 0 },
    ...{ interrupted: false, stoppedEarly: false, diverged: undefined },
  };
  readonly #owned = new DisposableStack();
  readonly #pace: Pace;
  readonly #kept: Kept;
  /** With `keepEvery`: weights that are kept once a loss of theirs is known to be finite. */
  readonly #next: Kept | undefined;
  readonly #parts: Record<string, Stateful>;
  readonly #readEvery: number;
  readonly #perStep: number;
  #history: LossHistory;
  /** Losses of the history that are in the result. */
  #collected = 0;
  /** Steps before this epoch, and in it; the epoch that they are of. */
  #before = 0;
  #inEpoch = 0;
  #epoch = 1;
  #began = performance.now();
  #writtenAt = performance.now();
  /** Whether a step was done since the last checkpoint, or none was written. */
  #unsaved = false;
  /** Steps of which losses and weights are known to be finite. */
  #checked = 0;

  constructor(readonly model: Module, readonly options: FitOptions<B>) {
    const { signal, accumulate = 1, epochs = 1, readEvery = 20, parts = 1 } = options;
    for (const [name, value] of Object.entries({ accumulate, epochs, readEvery, parts })) {
      if (Number.isSafeInteger(value) && value >= 1) continue;
      throw new RangeError(`The option ${name} must be a whole number from 1: it is ${value}`);
    }
    const { gpu } = model.store;
    this.#readEvery = readEvery;
    this.#pace = this.#owned.use(new Pace(gpu, signal));
    this.#kept = this.#owned.use(new Kept(model));
    if (options.keepEvery !== undefined) this.#next = this.#owned.use(new Kept(model));
    this.#parts = partsOf(model, options);
    this.#perStep = parts;
    this.#history = this.#owned.use(this.#makeHistory(1));
  }

  #makeHistory(firstStep: number): LossHistory {
    const { unit = "step" } = this.options;
    const perStep = this.#perStep;
    const { gpu } = this.model.store;
    return new LossHistory(gpu, this.#readEvery * perStep, { firstStep, perStep, unit });
  }

  get #steps(): number {
    return this.#before + this.#inEpoch;
  }

  /** Note where the run stands, once all that was begun is known to be good. */
  async #save(): Promise<void> {
    const { checkpoint } = this.options;
    if (checkpoint === undefined) return;
    await this.#check();
    const parts: Record<string, SavedState> = {};
    for (const [name, part] of Object.entries(this.#parts)) parts[name] = await part.state();
    const { losses, epochs, seconds, stoppedEarly } = this.result;
    await writeCheckpoint(checkpoint.path, checkpoint.made ?? {}, {
      ...parts,
      kept: await this.#kept.state(),
      run: {
        tensors: new Map([["losses", float64(losses)]]),
        values: {
          ...{ epoch: this.#epoch, inEpoch: this.#inEpoch, epochs, stoppedEarly },
          seconds: seconds + (performance.now() - this.#began) / 1000,
        },
      },
    });
    this.#writtenAt = performance.now();
    this.#unsaved = false;
  }

  /** Go on where a checkpoint was written, if there is one. */
  async #takeUp({ path, made = {} }: CheckpointOptions): Promise<boolean> {
    const found = await readCheckpoint(path, made);
    if (found === undefined) return false;
    try {
      for (const [name, part] of Object.entries({ ...this.#parts, kept: this.#kept })) {
        if (found[name] === undefined) throw new UserError(`its "${name}" is missing`);
        part.loadState(found[name]);
      }
      const run = found.run ?? {};
      const losses = [...stateTensor(run, "losses", "F64")];
      const [epoch, inEpoch, seconds] = ["epoch", "inEpoch", "seconds"].map((key) =>
        stateNumber(run, key)
      );
      const { epochs, stoppedEarly } = run.values as unknown as FitResult;
      if (!Array.isArray(epochs)) throw new UserError('its "epochs" are no list');
      Object.assign(this.result, { epochs, seconds, stoppedEarly });
      const steps = losses.length / this.#perStep;
      [this.#epoch, this.#inEpoch, this.#before] = [epoch, inEpoch, steps - inEpoch];
      this.#checked = steps;
      this.#history = this.#owned.use(this.#makeHistory(steps + 1));
      this.result.losses = losses;
      return true;
    } catch (error) {
      throw UserError.within(`${path} cannot be gone on from`, error);
    }
  }

  /** Add the losses that were read since. */
  #collect(): void {
    const { losses } = this.#history;
    this.result.losses.push(...losses.slice(this.#collected));
    this.#collected = losses.length;
    this.options.onLosses?.(this.result.losses, this.#steps);
  }

  /** Wait for the losses, and see whether they and the weights are finite. */
  async #check(): Promise<void> {
    await this.#history.finish();
    this.#collect();
    if (this.#checked === this.#steps) return;
    await checkWeights(this.model.store, this.#steps);
    this.#checked = this.#steps;
  }

  /** What is left of an epoch. Whether it came to its end. */
  async #train(): Promise<boolean> {
    const { optimizer, batches, loss, schedule, accumulate = 1, average } = this.options;
    const { checkpoint, onEpochStart, onStep, keepEvery = Infinity } = this.options;
    const epoch = this.#epoch;
    onEpochStart?.(epoch, this.#inEpoch);
    let waiting = 0; // batches whose gradients are not used yet
    const update = () => {
      if (schedule) optimizer.lr = schedule(optimizer.steps, epoch);
      optimizer.step();
      average?.update();
      waiting = 0;
    };
    for await (const batch of from(batches(epoch), this.#inEpoch)) {
      {
        using tape = new Tape(this.model.store.gpu);
        const made = loss(batch, { tape, epoch, step: this.#steps, inEpoch: this.#inEpoch });
        const [value, ...parts] = Array.isArray(made) ? made : [made];
        (accumulate === 1 ? value : value.div(accumulate)).backward();
        this.#inEpoch++;
        this.#unsaved = true;
        if (++waiting === accumulate) update();
        for (const part of parts.length === 0 ? [value.tensor] : parts) {
          await this.#history.add(part);
        }
      }
      onStep?.(this.#steps);
      const goOn = await this.#pace.step();
      if (this.#steps % this.#readEvery === 0) this.#collect();
      if (waiting > 0) continue;
      if (this.#steps % keepEvery === 0) {
        await this.#check();
        this.#keepNext();
        this.#next!.take(epoch, this.#steps);
      }
      if (!goOn) return false;
      const { every = 60 } = checkpoint ?? {};
      if (performance.now() - this.#writtenAt > 1000 * every) await this.#save();
    }
    if (waiting > 0) update();
    return true;
  }

  /** Measure an epoch, and keep its weights where they are the best so far. Whether to go on. */
  async #finish(before: number): Promise<boolean> {
    const { evaluate, keep = "last", average, plateau, patience = 0, optimizer } = this.options;
    const epoch = this.#epoch;
    const kept = this.#kept;
    if (evaluate === undefined) {
      // Not after each of many short epochs: every check waits for the GPU.
      if (this.#steps - this.#checked < this.#readEvery) return true;
      await this.#check();
      this.#keep();
      return true;
    }
    await this.#check();
    average?.swap();
    try {
      const figures = await this.#pace.measure((onBatch) => evaluate(onBatch, epoch));
      if (figures === undefined) return false; // interrupted
      const trainLoss = mean(this.result.losses.slice(before * this.#perStep));
      const record: EpochRecord = { epoch, trainLoss, ...figures };
      this.result.epochs.push(record);
      if (keep === "last") kept.take(epoch, this.#steps);
      else if (this.#better(record, keep)) {
        kept.figure = record[keep.best];
        kept.take(epoch, this.#steps);
      }
      this.options.onEpoch?.(record);
      if (plateau) optimizer.lr = plateau[1].next(figure(record, plateau[0]));
    } finally {
      average?.swap();
    }
    this.result.stoppedEarly = patience > 0 && epoch - kept.epoch >= patience;
    return !this.result.stoppedEarly;
  }

  /** Keep the weights that wait for a loss, if it is known. */
  #keepNext(): void {
    const next = this.#next;
    const known = this.result.losses.length / this.#perStep;
    if (next !== undefined && next.step > this.#kept.step && known > next.step) {
      this.#kept.copy(next);
    }
  }

  /** Keep the weights, or their average, whatever they are worth. */
  #keep(): void {
    const { average } = this.options;
    average?.swap();
    this.#kept.take(this.#epoch, this.#steps);
    average?.swap();
  }

  #better(
    record: EpochRecord,
    { best, smallest = false, later = false }: Exclude<FitOptions<B>["keep"], "last" | undefined>,
  ): boolean {
    const [value, other] = [figure(record, best), this.#kept.figure];
    if (other === undefined) return true;
    return later && value === other || (smallest ? value < other : value > other);
  }

  async run(): Promise<FitResult> {
    const { epochs = 1, checkpoint, keep = "last", signal, optimizer, average } = this.options;
    const { model, result } = this;
    const kept = this.#kept;
    const resumed = checkpoint?.resume === true && await this.#takeUp(checkpoint);
    await this.options.onStart?.(result, resumed);
    try {
      while (this.#epoch <= epochs && !result.stoppedEarly && !signal?.aborted) {
        if (!await this.#train()) break;
        const goOn = await this.#finish(this.#before);
        if (!goOn && !result.stoppedEarly) break;
        optimizer.endEpoch();
        [this.#before, this.#inEpoch] = [this.#steps, 0];
        this.#epoch++;
        this.#unsaved = true;
        if (performance.now() - this.#writtenAt > 1000) await this.#save();
      }
      await this.#check();
      if (this.#unsaved) await this.#save();
      // Interrupted: no epoch is known to be better.
      if (signal?.aborted && kept.epoch === 0) this.#keep();
    } catch (error) {
      result.diverged = divergence(error);
      this.#collect();
      this.#keepNext();
      if (kept.epoch === 0) throw error;
    }
    if (keep === "last") average?.swap();
    if (keep !== "last" || result.diverged !== undefined) {
      if (kept.epoch > 0) kept.putBack();
      [result.keptEpoch, result.keptStep] = [kept.epoch, kept.step];
    } else [result.keptEpoch, result.keptStep] = [this.#epoch - 1, this.#steps];
    model.store.gpu.flush();
    result.seconds += (performance.now() - this.#began) / 1000;
    result.interrupted = signal?.aborted ?? false;
    return result;
  }

  [Symbol.dispose](): void {
    this.#owned.dispose();
  }
}

/**
 * Train a model that is on a GPU: pass after pass over its batches, with the loss of each. It can be stopped after
 * each step, keeps the best or the last weights, writes checkpoints, and goes on from one to the same bits as if it
 * had never been stopped.
 *
 * Errors: RangeError for options that cannot be; NonFiniteLossError or DivergedError where a loss or a weight is not
 * finite before any epoch was kept; those of {@linkcode readCheckpoint}, and TypeError where the checkpoint is of
 * another model.
 *
 * ```ts
 * import { openGpu } from "../../kernels/runtime/gpu.ts";
 * import { Tensor } from "../../kernels/runtime/tensor.ts";
 * import { Linear } from "../layers/layers.ts";
 * import { meanSquaredError } from "../tape/losses.ts";
 * import { Adam } from "./optimizers.ts";
 *
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [0, 1, 2, 3], [4, 1]);
 * using y = Tensor.from(gpu, [1, 3, 5, 7], [4, 1]); // 2 x + 1
 * using model = new Linear(1, 1).toGpu(gpu);
 * using optimizer = new Adam(model.store, { lr: 0.1 });
 * const { losses } = await fit(model, {
 *   optimizer,
 *   epochs: 200,
 *   batches: () => [x],
 *   loss: (x) => meanSquaredError(model.forward(x), y),
 * });
 * if (losses[199] > 0.01) throw new Error(`The loss ended at ${losses[199]}`);
 * ```
 */
export async function fit<B>(model: Module, options: FitOptions<B>): Promise<FitResult> {
  using run = new Fit(model, options);
  return await run.run();
}

/** A figure of an epoch. TypeError where `evaluate` gave none of that name. */
function figure(record: EpochRecord, name: string): number {
  if (record[name] !== undefined) return record[name];
  const known = Object.keys(record).map((key) => `"${key}"`).join(", ");
  throw new TypeError(`There is no figure "${name}" of an epoch: there are ${known}`);
}
