/**
 * One seeded, counter-based random stream for everything that is drawn.
 *
 * The generator is Threefry-2x32 with 20 rounds (Salmon, Moraes, Dror and Shaw, "Parallel random
 * numbers: as easy as 1, 2, 3", SC 2011). A word depends only on the key and its position, so the
 * same numbers can be made on the GPU, in any order.
 *
 * @module
 */

const ROTATIONS = [13, 15, 26, 6, 17, 29, 16, 24];
const KEY_PARITY = 0x1bd11bda;
const TWO_32 = 2 ** 32;

/**
 * Threefry-2x32-20: encrypt the counter `(counter0, counter1)` under the key `(key0, key1)`.
 * All four are unsigned 32-bit words, and so are the two results.
 *
 * ```ts
 * const [word0, word1] = threefry2x32(0, 0, 0, 0);
 * if (word0 !== 0x6b200159 || word1 !== 0x99ba4efe) throw new Error("not Threefry");
 * ```
 */
export function threefry2x32(
  key0: number,
  key1: number,
  counter0: number,
  counter1: number,
): [number, number] {
  const keys = [key0 | 0, key1 | 0, KEY_PARITY ^ key0 ^ key1];
  let x0 = (counter0 + key0) | 0;
  let x1 = (counter1 + key1) | 0;
  for (let round = 0; round < 20; round++) {
    const rotation = ROTATIONS[round % 8];
    x0 = (x0 + x1) | 0;
    x1 = ((x1 << rotation) | (x1 >>> (32 - rotation))) ^ x0;
    if (round % 4 === 3) {
      const injection = (round + 1) / 4;
      x0 = (x0 + keys[injection % 3]) | 0;
      x1 = (x1 + keys[(injection + 1) % 3] + injection) | 0;
    }
  }
  return [x0 >>> 0, x1 >>> 0];
}

/** Where a stream stands. Plain data: it can be written as JSON and read back. */
export interface RandomState {
  /** The Threefry key, two unsigned 32-bit words. */
  key: [number, number];
  /** How many 32-bit words were drawn. */
  position: number;
}

/** Anything that `shuffle` can reorder: an array or a typed array. */
export interface MutableArrayLike<T> {
  /** How many there are. */
  readonly length: number;
  /** Each of them. */
  [index: number]: T;
}

/** 64-bit FNV-1a of a string's UTF-8 bytes, as two 32-bit words. */
function hashLabel(label: string): [number, number] {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(label)) {
    hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  }
  return [Number(hash & 0xffffffffn), Number(hash >> 32n)];
}

function isWord(value: unknown): boolean {
  return Number.isInteger(value) && Number(value) >= 0 && Number(value) < TWO_32;
}

const isKey = (key: unknown) => Array.isArray(key) && key.length === 2 && key.every(isWord);

const isPosition = (position: unknown) => Number.isSafeInteger(position) && Number(position) >= 0;

/**
 * A seeded stream of random numbers. The same seed gives the same numbers on every machine.
 *
 * Hand a stream down, and `split` it for each use: then drawing more in one place does not change
 * what another place draws.
 *
 * ```ts
 * const stream = new RandomStream(231);
 * const order = stream.split("epoch 1").permutation(5);
 * const again = new RandomStream(231).split("epoch 1").permutation(5);
 * if (order.join() !== again.join()) throw new Error("not reproducible");
 * ```
 */
export class RandomStream {
  #key: [number, number];
  #position = 0;
  #block: [number, number] = [0, 0];
  #blockIndex = -1;

  /** `seed` is an integer from 0 to 2^53 - 1; anything else is a RangeError. */
  constructor(seed: number) {
    if (!Number.isSafeInteger(seed) || seed < 0) {
      throw new RangeError(`The seed must be an integer from 0 to 2^53 - 1: it is ${seed}`);
    }
    this.#key = [seed % TWO_32, Math.floor(seed / TWO_32)];
  }

  /** Whether something, such as a part of a file, is the state of a stream. */
  static isState(this: void, value: unknown): value is RandomState {
    const { key, position } = (value ?? {}) as Partial<RandomState>;
    return isKey(key) && isPosition(position);
  }

  /** A stream that goes on where `state` was taken. */
  static fromState(state: RandomState): RandomStream {
    const { key, position } = state;
    if (!isKey(key)) {
      throw new RangeError(`A stream's key must be two unsigned 32-bit words: it is [${key}]`);
    }
    if (!isPosition(position)) {
      throw new RangeError(`A stream's position must be a count from 0: it is ${position}`);
    }
    const stream = new RandomStream(0);
    stream.#key = [key[0], key[1]];
    stream.#position = position;
    return stream;
  }

  /** The key and the position, enough to go on with `RandomStream.fromState`. */
  get state(): RandomState {
    return { key: [this.#key[0], this.#key[1]], position: this.#position };
  }

  /** Go on where `state` was taken. Errors as of {@linkcode fromState}. */
  restore(state: RandomState): void {
    const other = RandomStream.fromState(state);
    [this.#key, this.#position, this.#blockIndex] = [other.#key, other.#position, -1];
  }

  /**
   * An independent stream for `label`. It depends on this stream's key and the label only, not on
   * what was drawn so far. The number 1 and the string "1" are different labels.
   */
  split(label: string | number): RandomStream {
    const [hash0, hash1] = hashLabel(`${typeof label}:${label}`);
    // The flipped key keeps child keys apart from the words that this stream draws.
    const key = threefry2x32(~this.#key[0] >>> 0, this.#key[1], hash0, hash1);
    return RandomStream.fromState({ key, position: 0 });
  }

  /** The next integer from 0 to 2^32 - 1. */
  uint32(): number {
    const index = Math.floor(this.#position / 2);
    if (index !== this.#blockIndex) {
      const [key0, key1] = this.#key;
      this.#block = threefry2x32(key0, key1, index % TWO_32, Math.floor(index / TWO_32));
      this.#blockIndex = index;
    }
    const word = this.#block[this.#position % 2];
    this.#position++;
    return word;
  }

  /** The next number of the uniform distribution on [0, 1), a multiple of 2^-32. */
  uniform(): number {
    return this.uint32() / TWO_32;
  }

  /** The next number of the standard normal distribution, by Box and Muller from two words. */
  normal(): number {
    // Half a step up: the logarithm never sees zero.
    const radius = Math.sqrt(-2 * Math.log((this.uint32() + 0.5) / TWO_32));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** The next integer from 0 to n - 1, each equally likely; n is from 1 to 2^32. */
  integer(n: number): number {
    if (!Number.isInteger(n) || n < 1 || n > TWO_32) {
      throw new RangeError(`integer(n) needs an integer n from 1 to 2^32: n is ${n}`);
    }
    // Words past the last whole multiple of n would favor small results: draw again.
    const limit = TWO_32 - TWO_32 % n;
    let word = this.uint32();
    while (word >= limit) word = this.uint32();
    return word % n;
  }

  /** Put an array into random order in place (Fisher and Yates), and return it. */
  shuffle<T, A extends MutableArrayLike<T>>(array: A & MutableArrayLike<T>): A {
    for (let i = array.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      const kept = array[i];
      array[i] = array[j];
      array[j] = kept;
    }
    return array;
  }

  /** The integers from 0 to n - 1 in random order, `[n]`. */
  permutation(n: number): Int32Array<ArrayBuffer> {
    if (!Number.isInteger(n) || n < 0 || n >= 2 ** 31) {
      throw new RangeError(`permutation(n) needs an integer n from 0 to 2^31 - 1: n is ${n}`);
    }
    return this.shuffle(Int32Array.from({ length: n }, (_, i) => i));
  }
}
