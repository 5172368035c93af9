/**
 * Parts of error messages. What they show of names and texts may be a stranger's: of a model, an archive or a
 * folder. None of it may steer the terminal or fill it.
 *
 * @module
 */

/** Characters that steer a terminal, break a line, or turn the order of what follows on it. */
const STEERING = /[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]/gu;

/** The same but for line ends and tabs. */
const STEERING_LINES = /(?![\n\t])[\p{Cc}\p{Bidi_Control}\u2028\u2029\ufeff]/gu;

const escapeCharacter = (character: string) =>
  `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;

/** The first `most` characters, with `…` for what is left out. Takes no longer for a longer text. */
function cut(text: string, most: number): string {
  if (text.length <= most) return text;
  // A character takes one or two units of a string.
  const characters = [...text.slice(0, 2 * (most + 1))];
  return characters.length > most ? characters.slice(0, most).join("") + "…" : text;
}

/**
 * Text as an error message shows it: in quotes, escaped, and cut after `most` characters.
 *
 * ```ts
 * if (quote("a\tb") !== '"a\\tb"') throw new Error("not escaped");
 * if (quote("abcdef", 3) !== '"abc…"') throw new Error("not cut");
 * ```
 */
export function quote(text: string, most = 60): string {
  return JSON.stringify(cut(text, most)).replaceAll(STEERING, escapeCharacter);
}

/**
 * Text for a line of the terminal without quotes: characters that would steer it are escaped, and what is
 * beyond `most` characters is left out. With `lines` line ends and tabs stay.
 *
 * ```ts
 * if (printable("a\x1b[2Jb\n") !== "a\\u001b[2Jb\\u000a") throw new Error("not escaped");
 * ```
 */
export function printable(text: string, { most = 4000, lines = false } = {}): string {
  return cut(text, most).replaceAll(lines ? STEERING_LINES : STEERING, escapeCharacter);
}

/**
 * Names as a list for an error message, each as {@link quote} or `show` shows it: the first `most`, and how many
 * others there are.
 *
 * ```ts
 * if (listed(["a", "b", "c"], 2) !== '"a", "b" and 1 other') throw new Error("wrong");
 * ```
 */
export function listed(
  names: readonly string[],
  most = 5,
  show: (name: string) => string = (name) => quote(name),
): string {
  const shown = names.slice(0, most).map((name) => show(name)).join(", ");
  const others = names.length - most;
  return others > 0 ? `${shown} and ${others} other${others > 1 ? "s" : ""}` : shown;
}

/** The same without quotes, for keys of state dicts. */
export function listedKeys(keys: readonly string[], most = 5): string {
  return listed(keys, most, (key) => printable(key, { most: 60 }));
}
