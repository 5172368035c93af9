/** Inputs that both sides make alike, and how far a result is from the exact one: the twin of values.py. */

/** How the numbers of an input are made. */
export interface InputSpec {
  shape: number[];
  /** Whole numbers from `low` to below `low + ints`, as u32. */
  ints?: number;
  /** Whole numbers of so many levels from `low`, times `scale`: for ties. */
  levels?: number;
  /** This number everywhere. */
  fill?: number;
  /** Even over ±scale, around `low`. */
  scale?: number;
  low?: number;
  /** Numbers put at given places. */
  special?: Record<string, number | string>;
}

/** What is kept of an exact result. */
export interface Kept {
  size: number;
  /** Errors are relative to the number, or to this where it is larger. */
  floor: number;
  /** The numbers at {@linkcode places}. */
  v: string;
  /** Weighted sums of {@linkcode blocks}. */
  b?: string;
  /** How many are NaN, +infinity and -infinity. */
  odd?: number[];
}

export type Values = Float32Array<ArrayBuffer> | Uint32Array<ArrayBuffer>;

const TINY = 2 ** -126;
const [ALL, SPREAD, BLOCKS] = [64, 24, 16];

/** FNV-1a of a text of plain letters. */
export function seedOf(text: string): number {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  return h >>> 0;
}

/** 24 random bits for place i. */
function word(seed: number, i: number): number {
  let h = Math.imul(i, 0x9e3779b9) + seed | 0;
  h = Math.imul(h ^ h >>> 16, 0x7feb352d);
  h = Math.imul(h ^ h >>> 15, 0x846ca68b);
  return (h ^ h >>> 16) >>> 8;
}

const even = (word: number) => word / 2 ** 23 - 1;

function special(value: number | string): number {
  if (typeof value === "number") return value;
  return value === "inf" ? Infinity : value === "-inf" ? -Infinity : Number(value);
}

/** The numbers of an input. */
export function make(spec: InputSpec, seed: number): Values {
  const { shape, ints, levels, fill, scale = 1, low = 0 } = spec;
  const count = shape.reduce((a, b) => a * b, 1);
  const values = ints === undefined ? new Float32Array(count) : new Uint32Array(count);
  for (let i = 0; i < count; i++) {
    if (ints !== undefined) values[i] = word(seed, i) % ints + low;
    else if (fill !== undefined) values[i] = fill;
    else if (levels !== undefined) values[i] = (word(seed, i) % levels + low) * scale;
    else values[i] = Math.fround(even(word(seed, i)) * scale) + low;
  }
  for (const [place, value] of Object.entries(spec.special ?? {})) {
    values[Number(place)] = special(value);
  }
  return values;
}

/** Which numbers of a result are compared one by one. */
export function places(size: number): number[] {
  if (size <= ALL) return Array.from({ length: size }, (_, i) => i);
  const half = Math.floor(size / 2);
  const at = [0, 1, 2, 3, 62, 63, 64, half, size - 4, size - 3, size - 2, size - 1];
  for (let i = 0; i < SPREAD; i++) at.push(Math.floor(word(size, i) * size / 2 ** 24));
  return [...new Set(at)].sort((a, b) => a - b);
}

/** Where the blocks begin whose weighted sums are compared, and the end of the last. */
function blocks(size: number): number[] {
  return Array.from({ length: BLOCKS + 1 }, (_, j) => Math.floor(j * size / BLOCKS));
}

function odd(values: Values): number[] {
  const counts = [0, 0, 0];
  for (const v of values) {
    if (!Number.isFinite(v)) counts[Number.isNaN(v) ? 0 : v > 0 ? 1 : 2]++;
  }
  return counts;
}

/** The error of a number against what was expected: "!" is anything not finite, "~" that or the number. */
function oneError(token: string, value: number, floor: number): number {
  if (token === "!") return Number.isFinite(value) ? Infinity : 0;
  if (token[0] === "~") return Number.isFinite(value) ? oneError(token.slice(1), value, floor) : 0;
  const expected = special(token);
  if (!Number.isFinite(expected) || !Number.isFinite(value)) {
    return Object.is(expected, value) ? 0 : Infinity;
  }
  // The nearest float32 is as right as can be, and below the smallest normal one a GPU may say 0.
  if (Math.fround(expected) === value) return 0;
  if (Math.abs(expected) < TINY && Math.abs(value) <= TINY) return 0;
  return Math.abs(value - expected) / Math.max(Math.abs(expected), floor);
}

/** The largest error of a result against what is kept of the exact one. */
export function errorOf(kept: Kept, values: Values): number {
  const { size, floor } = kept;
  if (values.length !== size) return Infinity;
  const tokens = kept.v === "" ? [] : kept.v.split(" ");
  const at = places(size);
  let worst = 0;
  tokens.forEach((token, i) => worst = Math.max(worst, oneError(token, values[at[i]], floor)));
  if (kept.b === undefined) return worst;
  const expectedOdd = kept.odd ?? [0, 0, 0];
  if (odd(values).some((n, i) => n !== expectedOdd[i])) return Infinity;
  const starts = blocks(size);
  const seed = seedOf("weights");
  kept.b.split(" ").forEach((expected, j) => {
    let [sum, squares] = [0, 0];
    for (let i = starts[j]; i < starts[j + 1]; i++) {
      if (!Number.isFinite(values[i])) continue;
      sum += values[i] * even(word(seed, i));
      squares += values[i] ** 2;
    }
    const count = starts[j + 1] - starts[j];
    const scale = Math.max(floor, Math.sqrt(squares / count)) * Math.sqrt(count);
    worst = Math.max(worst, Math.abs(sum - Number(expected)) / scale);
  });
  return worst;
}
