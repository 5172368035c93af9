/** Tensors: a shape over a buffer of the pool, with an explicit end of life. */
import { mappedAtOnce } from "./device.ts";
import { type Gpu, GpuError } from "./gpu.ts";
import { checkList, toFloats, toWords } from "./numbers.ts";
import type { PooledBuffer } from "./memory/pool.ts";
import { checkShape, describeShape, sizeOf } from "./shape.ts";

export { sizeOf } from "./shape.ts";

/** Element types on the GPU. */
export type DType = "f32" | "u32";

/** The typed array of an element type. */
export type Elements<D extends DType> = D extends "f32" ? Float32Array<ArrayBuffer>
  : Uint32Array<ArrayBuffer>;

/** A buffer shared by a tensor and its views. */
interface Storage {
  readonly buffer: PooledBuffer;
  owners: number;
}

/** Uploads up to this size get a buffer that no recorded work uses, larger ones submit that work first. */
const SMALL_UPLOAD = 1 << 16;

/** How a tensor is made. */
export interface TensorOptions<D extends DType = DType> {
  /** Named in errors. */
  name?: string;
  /** The elements; f32 by default. */
  dtype?: D;
}

function turn(): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, 0));
}

function toElements(dtype: DType, data: ArrayLike<number>, name: string) {
  return dtype === "f32" ? toFloats(data, name) : toWords(data, name);
}

function checkDtype(dtype: DType, name: string): void {
  if (dtype === "f32" || dtype === "u32") return;
  throw new TypeError(`The dtype of the tensor "${name}" must be f32 or u32: it is ${dtype}`);
}

/**
 * An array of numbers on the GPU, in row-major order.
 *
 * A tensor holds its buffer until `dispose()` (or the end of a `using` declaration). Views made with
 * `view` share the buffer, which goes back to the pool with the last of them.
 *
 * ```ts
 * import { openGpu } from "./gpu.ts";
 * import { Tensor } from "./tensor.ts";
 * using gpu = await openGpu();
 * using x = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3], { name: "x" });
 * console.log(await x.read());
 * ```
 */
export class Tensor<D extends DType = "f32"> {
  /** How many numbers it holds. */
  readonly size: number;
  #storage: Storage | undefined;

  private constructor(
    readonly gpu: Gpu,
    readonly shape: readonly number[],
    readonly dtype: D,
    readonly name: string,
    storage: Storage,
    /** First element within the buffer. */
    readonly offset: number,
  ) {
    this.size = sizeOf(shape);
    this.#storage = storage;
  }

  /** A tensor with undefined contents: for results that a kernel writes whole. */
  static empty<D extends DType = "f32">(
    gpu: Gpu,
    shape: readonly number[],
    options: TensorOptions<D> = {},
  ): Tensor<D> {
    return Tensor.#make(gpu, shape, options);
  }

  static #make<D extends DType>(
    gpu: Gpu,
    shape: readonly number[],
    options: TensorOptions<D>,
    unusedBy?: number,
  ): Tensor<D> {
    const name = options.name ?? "unnamed";
    checkShape(shape, name);
    const dtype = options.dtype ?? "f32" as D;
    checkDtype(dtype, name);
    const bytes = 4 * sizeOf(shape);
    const { maxStorageBufferBindingSize: limit, maxBufferSize } = gpu.device.limits;
    if (bytes > Math.min(limit, maxBufferSize)) {
      throw new GpuError(
        `The tensor "${name}" of shape ${describeShape(shape)} takes ${bytes} bytes, and ` +
          `"${gpu.adapter.description}" allows ${Math.min(limit, maxBufferSize)} in one binding`,
      );
    }
    gpu.mustBeOpen();
    const what = () => `the tensor "${name}" of shape ${describeShape(shape)}`;
    const storage: Storage = { buffer: gpu.pool.acquire(bytes, what, unusedBy), owners: 1 };
    return new Tensor(gpu, [...shape], dtype, name, storage, 0);
  }

  /** A tensor of zeros. */
  static zeros<D extends DType = "f32">(
    gpu: Gpu,
    shape: readonly number[],
    options: TensorOptions<D> = {},
  ): Tensor<D> {
    const tensor = Tensor.empty(gpu, shape, options);
    tensor.clear();
    return tensor;
  }

  /**
   * A tensor with the given numbers, in row-major order; one of a single dimension where no shape is given.
   *
   * Errors: TypeError for data that is no flat array of numbers, or not as many as the shape holds; RangeError
   * for a number that the dtype does not have: beyond float32, or no whole number from 0 to 2³² - 1.
   */
  static from<D extends DType = "f32">(
    gpu: Gpu,
    data: ArrayLike<number>,
    shape?: readonly number[],
    options: TensorOptions<D> = {},
  ): Tensor<D> {
    const name = options.name ?? "unnamed";
    const dtype = options.dtype ?? "f32" as D;
    checkList(data, name);
    const wanted = shape === undefined ? [data.length] : shape;
    checkShape(wanted, name);
    checkDtype(dtype, name);
    if (data.length !== sizeOf(wanted)) {
      throw new TypeError(
        `The tensor "${name}" of shape ${describeShape(wanted)} holds ${sizeOf(wanted)} numbers, ` +
          `and ${data.length} were given`,
      );
    }
    const elements = toElements(dtype, data, name); // before there is a tensor
    const unusedBy = 4 * data.length <= SMALL_UPLOAD ? gpu.recorder.recording : undefined;
    const tensor = Tensor.#make(gpu, wanted, options, unusedBy);
    tensor.write(elements);
    return tensor;
  }

  /** True after `dispose`. */
  get disposed(): boolean {
    return this.#storage === undefined;
  }

  /**
   * The buffer; throws when the tensor was disposed of.
   *
   * @internal
   */
  get buffer(): PooledBuffer {
    if (this.#storage === undefined) {
      throw new ReferenceError(
        `The tensor "${this.name}" of shape ${
          describeShape(this.shape)
        } is used after its disposal`,
      );
    }
    this.gpu.mustBeOpen();
    return this.#storage.buffer;
  }

  /** Bytes of the elements. */
  get bytes(): number {
    return 4 * this.size;
  }

  /** Replace the contents. Errors as for {@linkcode Tensor.from}. */
  write(data: ArrayLike<number>): void {
    checkList(data, this.name);
    if (data.length !== this.size) {
      throw new TypeError(
        `The tensor "${this.name}" holds ${this.size} numbers, and ${data.length} were given`,
      );
    }
    const buffer = this.buffer;
    if (this.size === 0) return; // Deno 2.9 aborts on an empty write
    const array = toElements(this.dtype, data, this.name);
    buffer.version++;
    // A queue write runs before the recorded work, which may still need the old contents.
    if (buffer.lastRecording === this.gpu.recorder.recording) this.gpu.recorder.flush();
    this.gpu.device.queue.writeBuffer(
      buffer.gpuBuffer,
      4 * this.offset,
      array.buffer,
      array.byteOffset,
      array.byteLength,
    );
    this.gpu.watcher?.moved("uploads", array.byteLength);
  }

  /** Set all elements to zero, in the order of the recording. */
  clear(): void {
    const buffer = this.buffer;
    if (this.size === 0) return;
    this.gpu.recorder.encoder.clearBuffer(buffer.gpuBuffer, 4 * this.offset, this.bytes);
    buffer.lastRecording = this.gpu.recorder.recording;
    buffer.version++;
    this.gpu.watcher?.moved("clears", this.bytes);
  }

  /** Copy the elements of a tensor of the same size, in the order of the recording. */
  copyFrom(source: Tensor<D>): void {
    if (source.size !== this.size) {
      throw new TypeError(
        `The tensor "${this.name}" of ${this.size} elements cannot take the ${source.size} of "${source.name}"`,
      );
    }
    if (source.dtype !== this.dtype) {
      throw new TypeError(
        `The tensor "${this.name}" of ${this.dtype} cannot take the ${source.dtype} of "${source.name}"`,
      );
    }
    const [from, to] = [source.buffer, this.buffer];
    if (source.gpu !== this.gpu || from === to) {
      throw new TypeError(
        `The tensor "${this.name}" cannot take a copy of "${source.name}": ` +
          (from === to ? "they share one buffer" : "it is on another device"),
      );
    }
    if (this.size === 0) return;
    const { encoder, recording } = this.gpu.recorder;
    encoder.copyBufferToBuffer(
      from.gpuBuffer,
      4 * source.offset,
      to.gpuBuffer,
      4 * this.offset,
      this.bytes,
    );
    from.lastRecording = to.lastRecording = recording;
    to.version++;
    this.gpu.watcher?.moved("copies of tensors", this.bytes);
  }

  /** The same elements, or a run of them from `offset`, under another shape. Shares the buffer. */
  view(shape: readonly number[], offset = 0, name = this.name): Tensor<D> {
    checkShape(shape, name);
    this.buffer; // throws after disposal
    const size = sizeOf(shape);
    if (!Number.isInteger(offset) || offset < 0 || offset + size > this.size) {
      throw new RangeError(
        `A view of shape ${describeShape(shape)} at ${offset} does not fit into the tensor ` +
          `"${this.name}" of ${this.size} elements`,
      );
    }
    const storage = this.#storage!;
    storage.owners++;
    return new Tensor(this.gpu, [...shape], this.dtype, name, storage, this.offset + offset);
  }

  /** Read the elements back. Submits what was recorded, and waits for it. */
  async read(): Promise<Elements<D>> {
    return await this.startRead();
  }

  /**
   * Begin to read the elements back: the copy is recorded and submitted now, in order with the other
   * work, and the promise resolves when it is done; later steps may be recorded meanwhile.
   */
  startRead(): Promise<Elements<D>> {
    const { gpu, size, buffer } = this;
    gpu.throwFailure();
    const make = (bytes: ArrayBuffer) =>
      (this.dtype === "f32" ? new Float32Array(bytes) : new Uint32Array(bytes)) as Elements<D>;
    if (size === 0) return Promise.resolve(make(new ArrayBuffer(0)));
    const staging = gpu.stagingBuffer(this.name, this.bytes);
    gpu.recorder.encoder.copyBufferToBuffer(
      buffer.gpuBuffer,
      4 * this.offset,
      staging,
      0,
      this.bytes,
    );
    buffer.lastRecording = gpu.recorder.recording;
    gpu.watcher?.moved("reads", this.bytes);
    gpu.flush();
    const mapped = staging.mapAsync(GPUMapMode.READ);
    mapped.catch(() => {}); // awaited below, unless something else fails first
    return (async () => {
      try {
        await gpu.check();
        const range = gpu.mapsAtOnce ? mappedAtOnce(staging) : undefined;
        if (range === undefined) await mapped;
        gpu.throwFailure();
        return make((range ?? staging.getMappedRange()).slice(0));
      } catch (error) {
        await turn(); // in which a lost device says so
        gpu.throwFailure();
        if (error instanceof GpuError) throw error;
        throw new GpuError(`The tensor "${this.name}" cannot be read back: ${error}`);
      } finally {
        gpu.releaseStaging(staging);
      }
    })();
  }

  /** Let go of the buffer. A second call does nothing. */
  dispose(): void {
    const storage = this.#storage;
    if (storage === undefined) return;
    this.#storage = undefined;
    if (--storage.owners === 0) this.gpu.pool.release(storage.buffer);
  }

  /** {@linkcode dispose}, at the end of a `using` declaration. */
  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Throw a TypeError unless the tensor has the shape; `null` allows any size in that place. */
export function expectShape(
  tensor: { name: string; shape: readonly number[] },
  shape: readonly (number | null)[],
  what: string,
): void {
  const fits = tensor.shape.length === shape.length &&
    shape.every((n, i) => n === null || n === tensor.shape[i]);
  if (fits) return;
  const allowed = shape.map((n) => n ?? "any").join(", ");
  throw new TypeError(
    `${what} needs the shape [${allowed}], and the tensor "${tensor.name}" has ${
      describeShape(tensor.shape)
    }`,
  );
}
