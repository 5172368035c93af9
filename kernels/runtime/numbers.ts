/** Numbers on their way to the GPU: whether they are numbers, and whether the element type can hold them. */

const FLOAT32_MAX = 3.4028234663852886e38;

/** What a value is, in words. */
function kindOf(value: unknown): string {
  if (value === undefined || value === null) return String(value);
  if (isList(value)) return "an array";
  return typeof value === "object" ? "an object" : `a ${typeof value}`;
}

function isList(value: unknown): value is ArrayLike<unknown> {
  return typeof value === "object" && value !== null && "length" in value &&
    Number.isSafeInteger(value.length) && (value.length as number) >= 0;
}

/** Whether WebGPU takes the array as it is: memory that threads share must be copied. */
function isOwn(data: ArrayBufferView): boolean {
  return data.buffer instanceof ArrayBuffer;
}

/** TypeError unless `data` is a flat array of something; its numbers are looked at later. */
export function checkList(data: unknown, name: string): void {
  if (!isList(data)) {
    throw new TypeError(
      `The numbers of "${name}" must be an array or typed array: ${kindOf(data)} was given`,
    );
  }
  if (isList(data[0])) {
    throw new TypeError(
      `The numbers of "${name}" must be one flat array: there is an array at place 0; ` +
        `pass the numbers flat, as array.flat(Infinity) gives them, and the shape beside them`,
    );
  }
}

/** The error for a value that is no number. */
export function notANumber(value: unknown, place: number, name: string): TypeError {
  return new TypeError(
    `The numbers of "${name}" must be numbers: there is ${kindOf(value)} at place ${place}`,
  );
}

/**
 * The numbers as float32, rounded; the array itself where it holds them already. NaN and infinity stay.
 *
 * Errors: TypeError for what is no number, RangeError for a finite number beyond float32. Both name the place.
 */
export function toFloats(
  data: ArrayLike<number>,
  name: string,
): Float32Array<ArrayBuffer> {
  if (data instanceof Float32Array && isOwn(data)) return data as Float32Array<ArrayBuffer>;
  const floats = new Float32Array(data.length);
  for (let i = 0; i < floats.length; i++) {
    const value = data[i];
    if (typeof value !== "number") throw notANumber(value, i, name);
    floats[i] = value;
    if (Math.abs(floats[i]) === Infinity && Number.isFinite(value)) {
      throw new RangeError(
        `The number ${value} at place ${i} of "${name}" is beyond float32, ` +
          `which ends at ±${FLOAT32_MAX.toPrecision(8)}`,
      );
    }
  }
  return floats;
}

/**
 * Put the numbers into `target` from `offset` on.
 *
 * Errors: TypeError for what is no number, RangeError for what is no whole number from 0 to 2³² - 1. Both name the
 * place.
 */
export function setWords(
  target: Uint32Array,
  data: ArrayLike<number>,
  name: string,
  offset = 0,
): void {
  if (data instanceof Uint32Array) return target.set(data, offset);
  for (let i = 0; i < data.length; i++) {
    const value = data[i];
    if (typeof value !== "number") throw notANumber(value, i, name);
    if (value >>> 0 !== value) {
      throw new RangeError(
        `The number ${value} at place ${i} of "${name}" is no u32: a whole number from 0 to 4294967295`,
      );
    }
    target[offset + i] = value;
  }
}

/** The numbers as u32; the array itself where it holds them already. Errors as for {@linkcode setWords}. */
export function toWords(data: ArrayLike<number>, name: string): Uint32Array<ArrayBuffer> {
  if (data instanceof Uint32Array && isOwn(data)) return data as Uint32Array<ArrayBuffer>;
  const words = new Uint32Array(data.length);
  setWords(words, data, name);
  return words;
}
