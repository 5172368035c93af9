/**
 * JSON out of a stranger's file. Nested a million times, or of a million small things, it would cost the engine's
 * parser far more memory than the file has, so it is looked through first.
 *
 * @module
 */
import { printable, quote } from "./messages.ts";
import { isNumberKey, tableKey } from "./table_keys.ts";
import { UserError } from "./user_error.ts";

/** What JSON may hold. */
export interface JsonLimits {
  /** What it is, as an error's message begins. */
  what: string;
  /** How deep objects and arrays may stand in each other; 1 is one of plain values. */
  depth: number;
  /** How many commas and colons it may have: a million by default. */
  values?: number;
}

/**
 * Parse JSON. A UserError says that it is none, that an object has a key twice, of which the engine's parser would
 * keep the last and say nothing, or that it nests too deep; a UserError that it has too many values.
 *
 * ```ts
 * const sizes = parseJson('{"a": [1, 2]}', { what: "The sizes", depth: 2 });
 * if (JSON.stringify(sizes) !== '{"a":[1,2]}') throw new Error("wrong");
 * ```
 */
export function parseJson(json: string, limits: JsonLimits): unknown {
  scan(json, limits);
  try {
    return JSON.parse(json);
  } catch (error) {
    throw new UserError(
      `${limits.what} cannot be read as JSON: ${
        printable((error as Error).message, { most: 200 })
      }`,
    );
  }
}

/** How many texts may be numbers, which the engine's table of texts hashes by value. */
const MAX_NUMBERS = 100_000;

/** Look through JSON once. Whether it is JSON at all is left open. */
function scan(json: string, { what, depth, values = 1_000_000 }: JsonLimits): void {
  /** The keys of each object or array that is open. */
  const open: Set<string>[] = [];
  let [found, numbers] = [0, 0];
  for (let at = 0; at < json.length; at++) {
    switch (json[at]) {
      case "{":
      case "[":
        if (open.length === depth) {
          throw new UserError(
            `${what} may nest ${depth} deep, and goes deeper at character ${at}`,
          );
        }
        open.push(new Set());
        break;
      case "}":
      case "]":
        open.pop();
        break;
      case ",":
      case ":":
        if (++found <= values) break;
        throw new UserError(`${what} has more than ${values} values, which is the limit`);
      case '"': {
        const end = stringEnd(json, at);
        if (end - at <= 12 && isNumberKey(json.slice(at + 1, end - 1)) && ++numbers > MAX_NUMBERS) {
          throw new UserError(
            `${what} has more than ${MAX_NUMBERS} texts that are numbers, which is the limit`,
          );
        }
        const keys = isKey(json, end) ? open[open.length - 1] : undefined;
        if (keys !== undefined) checkKey(json.slice(at, end), keys, what);
        at = end - 1;
      }
    }
  }
}

/** Where a string that begins at `at` has ended; the end of the text if it does not end. */
function stringEnd(json: string, at: number): number {
  for (let end = json.indexOf('"', at + 1); end >= 0; end = json.indexOf('"', end + 1)) {
    let slash = end;
    while (json[slash - 1] === "\\") slash--;
    if ((end - slash) % 2 === 0) return end + 1;
  }
  return json.length;
}

/** Whether a colon follows. */
function isKey(json: string, at: number): boolean {
  while (" \t\n\r".includes(json[at]) && at < json.length) at++;
  return json[at] === ":";
}

function checkKey(token: string, keys: Set<string>, what: string): void {
  let key = token.slice(1, -1);
  if (token.includes("\\")) {
    try {
      key = JSON.parse(token);
    } catch {
      return; // the parser will say what is wrong
    }
  }
  const hashed = tableKey(key);
  if (keys.has(hashed)) throw new UserError(`${what} has the name ${quote(key)} twice`);
  keys.add(hashed);
}
