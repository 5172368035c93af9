/**
 * Keys of Maps, Sets and objects that come from a stranger's file. The engine hashes texts seeded by chance, but
 * numbers, and texts that are one, by their value: some ten thousand can be chosen that all fall into one place,
 * and each look-up then goes through all of them.
 *
 * @module
 */
import { UserError } from "./user_error.ts";

/** So many numbers, all in one place, still take less than a second. */
export const MAX_NUMBER_KEYS = 10_000;

/** Whether the engine hashes a key by its value: a number, or a text like `65536`. */
export function isNumberKey(key: unknown): boolean {
  if (typeof key !== "string") return typeof key === "number" || typeof key === "bigint";
  return key.length <= 10 && /^\d+$/.test(key);
}

/** A text as a key that is hashed like any other; different texts have different keys. */
export function tableKey(text: string): string {
  return isNumberKey(text) || text.endsWith("\0") ? `${text}\0` : text;
}

/** Refuse texts as keys of which too many are numbers. `what` begins the UserError's sentence. */
export function checkNumberKeys(keys: Iterable<string>, what: string): void {
  let found = 0;
  for (const key of keys) {
    if (!isNumberKey(key) || ++found <= MAX_NUMBER_KEYS) continue;
    throw new UserError(
      `${what} has more than ${MAX_NUMBER_KEYS} names that are numbers, which is the limit`,
    );
  }
}

/** A Map of texts from a stranger's file, none of which is hashed by its value as a number. */
export class TextMap<V> extends Map<string, V> {
  override get(key: string): V | undefined {
    return super.get(tableKey(key));
  }

  override has(key: string): boolean {
    return super.has(tableKey(key));
  }

  override set(key: string, value: V): this {
    return super.set(tableKey(key), value);
  }

  override delete(key: string): boolean {
    return super.delete(tableKey(key));
  }

  override forEach(use: (value: V, key: string, map: Map<string, V>) => void): void {
    for (const [key, value] of this) use(value, key, this);
  }

  override *keys(): MapIterator<string> {
    for (const key of super.keys()) yield textOf(key);
  }

  override *entries(): MapIterator<[string, V]> {
    for (const [key, value] of super.entries()) yield [textOf(key), value];
  }

  override [Symbol.iterator](): MapIterator<[string, V]> {
    return this.entries();
  }
}

/** The text of a {@link tableKey}. */
function textOf(key: string): string {
  return key.endsWith("\0") ? key.slice(0, -1) : key;
}
