/**
 * Batches of pictures for a network, decoded ahead of it.
 *
 * @module
 */
import { normalize } from "./augment.ts";
import { unreadable } from "../files/file.ts";
import { useImage } from "./image.ts";
import { printable } from "../files/messages.ts";
import type { RgbImage } from "./rgb_image.ts";
import type { RandomStream } from "../rng.ts";
import { UserError } from "../files/user_error.ts";

/** So many pictures are read and decoded at the same time, in sharp's threads. */
const LANES = 4;

/** Pictures for a network. */
export interface ImageBatch {
  /** What `normalize` makes of the pictures, `[N, height, width, 3]`. */
  pixels: Float32Array<ArrayBuffer>;
  /** The width of the pictures, in pixels. */
  width: number;
  /** Their height, in pixels. */
  height: number;
  /** The class of each picture, `[N]`; empty when the loader has no labels. */
  labels: Uint32Array<ArrayBuffer>;
  /** Which of the loader's pictures they are, `[N]`. */
  indices: Uint32Array<ArrayBuffer>;
}

/** What an {@linkcode ImageLoader} does with its pictures. */
export interface ImageLoaderOptions {
  /** How many pictures make a batch, 1 or more; the last batch of an epoch can have fewer. */
  batchSize: number;
  /** The class of each picture. */
  labels?: Uint32Array;
  /** Where order and variation come from. Without it each epoch goes through the pictures in order. */
  stream?: RandomStream;
  /**
   * What is done to a picture once; the result is what the cache holds. The picture of a file that it is given
   * is gone afterwards, unless the result is that picture.
   */
  prepare?: (image: RgbImage) => RgbImage;
  /** What is done to a picture anew in each epoch; it needs `stream`. */
  augment?: (image: RgbImage, stream: RandomStream) => RgbImage;
  /** How many batches are made ahead of the one in use, 0 or more; 2 if left out. */
  ahead?: number;
  /** How much memory the pictures of files may keep, in bytes; 512 MiB if left out. */
  cacheBytes?: number;
  /** Whether a broken file is an error instead of being skipped. */
  strict?: boolean;
}

/** A file that cannot be read as a picture, or a folder that cannot be read. */
export interface SkippedFile {
  /** Its path. */
  path: string;
  /** Why, with the path. */
  reason: string;
}

/** A picture that is ready for a batch. */
interface Loaded {
  index: number;
  image: RgbImage;
}

/** Why there is none. A promise of it that nobody awaits any more does no harm, unlike a rejected one. */
interface Failed {
  index: number;
  error: unknown;
}

/**
 * Goes through pictures in batches, epoch by epoch. While a batch is in use the next ones are decoded and
 * prepared; with memory to spare each file is decoded only once.
 *
 * What an epoch gives depends on the pictures, the stream and the epoch's number only: not on timing, on
 * earlier epochs, or on `ahead` and `cacheBytes`.
 *
 * ```ts
 * const red = { width: 1, height: 1, data: Uint8Array.of(255, 0, 0) };
 * const loader = new ImageLoader([red, red, red], { batchSize: 2, labels: Uint32Array.of(0, 1, 0) });
 * const sizes: number[] = [];
 * for await (const { labels } of loader.epoch(0)) sizes.push(labels.length);
 * if (sizes.join() !== "2,1") throw new Error(`batches of ${sizes}`);
 * ```
 */
export class ImageLoader {
  #pictures: readonly (string | RgbImage)[];
  #options: ImageLoaderOptions;
  #ahead: number;
  #cache = new Map<number, RgbImage>();
  #cacheLeft: number;
  #broken = new Map<number, Error>();

  /**
   * `pictures` are paths, or pictures in memory. No pictures, a count that is not allowed, and labels of
   * another length are a RangeError; `augment` without `stream` is a TypeError.
   */
  constructor(pictures: readonly (string | RgbImage)[], options: ImageLoaderOptions) {
    const { batchSize, labels, stream, augment, ahead = 2, cacheBytes = 512 * 2 ** 20 } = options;
    if (pictures.length === 0) throw new RangeError("A loader needs at least one picture");
    checkCount("batchSize", batchSize, 1);
    checkCount("ahead", ahead, 0);
    checkCount("cacheBytes", cacheBytes, 0);
    if (labels !== undefined && labels.length !== pictures.length) {
      throw new RangeError(
        `labels must be as many as the ${pictures.length} pictures: there are ${labels.length}`,
      );
    }
    if (augment !== undefined && stream === undefined) {
      throw new TypeError("augment needs a stream to draw from");
    }
    this.#pictures = pictures;
    this.#options = options;
    this.#ahead = ahead;
    this.#cacheLeft = cacheBytes;
  }

  /** The files found broken so far. */
  get skipped(): SkippedFile[] {
    return Array.from(this.#broken, ([index, { message }]) => ({
      path: this.#nameOf(index),
      reason: message,
    }));
  }

  /** How many batches an epoch has, without the files found broken so far. */
  get batchCount(): number {
    return Math.ceil((this.#pictures.length - this.#broken.size) / this.#options.batchSize);
  }

  /**
   * The batches of epoch number `epoch`, from 0. Files that are broken, gone or may not be read, and those of
   * which `prepare` or `augment` says a RangeError, are left out, and the pictures behind them move up; with
   * `strict` the first one is an error, the UserError of `decodeImage` where it is broken.
   *
   * A RangeError when no file can be read, when the pictures of a batch have different sizes, and when `prepare`
   * or `augment` gives one for a picture in memory.
   *
   * When the loop over it ends early, it ends once no work is left running.
   */
  async *epoch(epoch: number): AsyncGenerator<ImageBatch, void, void> {
    checkCount("epoch", epoch, 0);
    const { batchSize, stream } = this.#options;
    const ofEpoch = stream?.split("epoch").split(epoch);
    const count = this.#pictures.length;
    const order = ofEpoch?.split("order").permutation(count) ??
      Int32Array.from({ length: count }, (_, i) => i);
    const lanes: Promise<unknown>[] = Array.from({ length: LANES }, () => Promise.resolve());
    const pending: Promise<Loaded | Failed>[] = [];
    let started = 0;
    let stopped = false;
    const start = (index: number) => {
      const lane = started++ % LANES;
      const ready = lanes[lane].then((): Promise<Loaded | Failed> | Failed =>
        stopped ? { index, error: "stopped" } : this.#load(index, ofEpoch?.split(index))
      );
      pending.push(ready);
      lanes[lane] = ready;
    };
    let batch: Loaded[] = [];
    try {
      for (let taken = 0; taken < count; taken++) {
        const most = (this.#ahead + 1) * batchSize - batch.length;
        while (started < count && pending.length < most) start(order[started]);
        const ready = await pending[0];
        pending.shift();
        if ("error" in ready) this.#skip(ready);
        else batch.push(ready);
        if (batch.length === batchSize) {
          yield this.#assemble(batch);
          batch = [];
        }
      }
      if (batch.length > 0) yield this.#assemble(batch);
      if (this.#broken.size === count) {
        const [{ reason }] = this.skipped;
        throw new UserError(`None of the ${count} files is a picture: ${reason}`);
      }
    } finally {
      stopped = true;
      await Promise.all(lanes);
    }
  }

  /** Decode, prepare and vary a picture. It never rejects. */
  async #load(index: number, stream: RandomStream | undefined): Promise<Loaded | Failed> {
    const picture = this.#pictures[index];
    const broken = this.#broken.get(index);
    if (broken !== undefined) return { index, error: broken };
    const make = (decoded: RgbImage) => this.#vary(this.#prepare(index, decoded), stream);
    const cached = this.#cache.get(index);
    try {
      if (cached !== undefined) return { index, image: this.#vary(cached, stream) };
      const image = typeof picture === "string" ? await useImage(picture, make) : make(picture);
      return { index, image };
    } catch (error) {
      return { index, error: this.#explain(index, error) };
    }
  }

  #vary(image: RgbImage, stream: RandomStream | undefined): RgbImage {
    const { augment } = this.#options;
    return augment && stream ? augment(image, stream) : image;
  }

  #prepare(index: number, decoded: RgbImage): RgbImage {
    const { prepare } = this.#options;
    const picture = this.#pictures[index];
    const image = prepare ? prepare(decoded) : decoded;
    if (image === picture || image.data.length > this.#cacheLeft || this.#cache.has(index)) {
      return image;
    }
    // What is decoded is let go of; what is kept is a copy of it.
    const shared = image.data.buffer === decoded.data.buffer && typeof picture === "string";
    const kept = shared ? { ...image, data: image.data.slice() } : image;
    this.#cache.set(index, kept);
    this.#cacheLeft -= kept.data.length;
    return kept;
  }

  /** An error with the picture it is about. Of files it is one that lets them be left out, where that helps. */
  #explain(index: number, error: unknown): unknown {
    const picture = this.#pictures[index];
    const name = printable(this.#nameOf(index));
    if (error instanceof RangeError) {
      const message = `${name}: ${error.message}`;
      return typeof picture === "string" ? new UserError(message) : new RangeError(message);
    }
    const reason = unreadable(error);
    if (typeof picture !== "string" || reason === undefined) return error;
    return new UserError(`${name} cannot be read: ${reason}`);
  }

  /** Note a file that is left out; every other error, and with `strict` this one too, is thrown. */
  #skip({ index, error }: Failed): void {
    if (!(error instanceof UserError)) throw error;
    this.#broken.set(index, error);
    if (this.#options.strict) throw error;
  }

  #assemble(batch: readonly Loaded[]): ImageBatch {
    const { labels } = this.#options;
    const { width, height, data } = batch[0].image;
    const pixels = new Float32Array(batch.length * data.length);
    for (const [i, { index, image }] of batch.entries()) {
      if (image.width !== width || image.height !== height) {
        const [first, other] = [batch[0].index, index].map((index) => this.#nameOf(index));
        throw new RangeError(
          `The pictures of a batch must have one size: ${first} is ${width} x ${height}, ` +
            `${other} is ${image.width} x ${image.height}`,
        );
      }
      normalize(image, pixels.subarray(i * data.length, (i + 1) * data.length));
    }
    const indices = Uint32Array.from(batch, ({ index }) => index);
    return {
      pixels,
      width,
      height,
      labels: labels ? indices.map((index) => labels[index]) : new Uint32Array(0),
      indices,
    };
  }

  #nameOf(index: number): string {
    const picture = this.#pictures[index];
    return typeof picture === "string" ? picture : `picture ${index}`;
  }
}

function checkCount(name: string, value: number, least: number): void {
  if (Number.isSafeInteger(value) && value >= least) return;
  throw new RangeError(`${name} must be an integer from ${least}: it is ${value}`);
}
