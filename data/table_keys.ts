/**
 * Keys of Maps, Sets and objects that come from a stranger's file. The engine hashes texts seeded by chance, but
 * numbers, and texts that are one, by their value: some ten thousand can be chosen that all fall into one place,
 * and each look-up then goes through all of them.
 *
 * @module
 */

/** So many numbers, all in one place, still take less than a second. */
export const MAX_NUMBER_KEYS = 10_000;

/** Whether the engine hashes a key by its value: a number, or a text like `65536`. */
export function isNumberKey(key: unknown): boolean {
  if (typeof key !== "string") return typeof key === "number" || typeof key === "bigint";
  return key.length <= 10 && /^\d+$/.test(key);
}

/** A text as a key that is hashed like any other. */
export function tableKey(text: string): string {
  return isNumberKey(text) ? `${text}\0` : text;
}

/** Refuse texts as keys of which too many are numbers. `what` begins the RangeError's sentence. */
export function checkNumberKeys(keys: Iterable<string>, what: string): void {
  let found = 0;
  for (const key of keys) {
    if (!isNumberKey(key) || ++found <= MAX_NUMBER_KEYS) continue;
    throw new RangeError(
      `${what} has more than ${MAX_NUMBER_KEYS} names that are numbers, which is the limit`,
    );
  }
}
