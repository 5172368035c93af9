/**
 * Parts of error messages.
 *
 * @module
 */

/**
 * Text as an error message shows it: in quotes, escaped, and cut after `most` characters.
 *
 * ```ts
 * if (quote("a\tb") !== '"a\\tb"') throw new Error("not escaped");
 * if (quote("abcdef", 3) !== '"abc…"') throw new Error("not cut");
 * ```
 */
export function quote(text: string, most = 60): string {
  const characters = [...text];
  return JSON.stringify(
    characters.length > most ? characters.slice(0, most).join("") + "…" : text,
  );
}
