/**
 * Texts by lines, within limits.
 *
 * @module
 */
import { UserError } from "./user_error.ts";

/** A line's end: of Unix, of Windows, and of old Macs. */
export const LINE_END: RegExp = /\r\n|\n|\r/;
const LINE_ENDS = new RegExp(LINE_END, "g");

/** The longest line, in characters. */
const MAX_LINE = 1_000_000;

/**
 * The lines of a text; the end of the last one adds none. A UserError that names the file for a line of more than
 * a million characters, of which `remedy` says what is wrong, and for more than `most` lines.
 */
export function linesOf(text: string, path: string, most: number, remedy: string): string[] {
  const lines: string[] = [];
  const add = (begin: number, end: number) => {
    if (end - begin > MAX_LINE) {
      throw new UserError(
        `${path}, line ${lines.length + 1}: the line has ${end - begin} characters, and at most ` +
          `${MAX_LINE} are allowed: ${remedy}`,
      );
    }
    if (lines.length === most) {
      throw new UserError(`${path} has more than ${most} lines, which is the limit`);
    }
    lines.push(text.slice(begin, end));
  };
  let begin = 0;
  for (const { 0: { length }, index } of text.matchAll(LINE_ENDS)) {
    add(begin, index);
    begin = index + length;
  }
  if (begin < text.length) add(begin, text.length);
  return lines;
}
