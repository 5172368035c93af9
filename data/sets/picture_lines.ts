/**
 * Lines that say where a picture is: paths inside a folder of data, and places outside of it.
 *
 * @module
 */
import type { Picture } from "./captions.ts";
import { quote } from "../files/messages.ts";
import { UserError } from "../files/user_error.ts";

/** What stands between the parts of a path, here and on Windows. */
const SEPARATORS = "/\\";

/**
 * The picture that a line of a data set names: an address on the web, or a file. A path is taken from `root`,
 * with `/` or `\` between its parts; an absolute path, a `file://` address, one of Windows (`C:\…`, `\\…`) and
 * one that leaves `root` by `..` is a file outside, for which `outside` must be true, else a UserError says
 * which it is. What the data was made from by others should not reach one's whole disk.
 *
 * ```ts
 * const { name, id, source } = pictureOfLine("images\\ants\\0.jpg", "data");
 * if (name !== "0.jpg" || id !== "images/ants/0.jpg") throw new Error(`got ${name}, ${id}`);
 * if (source.kind !== "file" || source.path !== "data/images/ants/0.jpg") throw new Error("else");
 * ```
 */
export function pictureOfLine(line: string, root: string, outside = false): Picture {
  const name = line.split(/[/\\]/).pop() || line;
  if (/^https?:\/\//i.test(line)) return { name, id: line, source: { kind: "url", url: line } };
  const path = absolutePath(line);
  if (path !== undefined) {
    if (!outside) throw outsideError(line, path.kind);
    return { name, id: path.path, source: { kind: "file", path: path.path } };
  }
  const parts: string[] = [];
  for (const part of line.split(/[/\\]/)) {
    if (part === "..") {
      if (parts.length === 0 || parts[parts.length - 1] === "..") parts.push(part);
      else parts.pop();
    } else if (part !== "" && part !== ".") parts.push(part);
  }
  if (parts[0] === ".." && !outside) throw outsideError(line, "a path that leaves the folder");
  const id = parts.join("/");
  const source = { kind: "file" as const, path: `${root}/${id}` };
  return { name, id, source: outside ? source : { ...source, within: root } };
}

/**
 * Refuse a file that is not in the folder it must be in, since it or a folder on the way is a link that leaves it: a
 * UserError. One that is not there passes.
 */
export async function checkWithin(
  { path, within }: { path: string; within?: string },
): Promise<void> {
  if (within === undefined) return;
  const real = await Deno.realPath(path).catch(() => undefined); // who reads it says why
  if (real === undefined || isInside(real, await Deno.realPath(within))) return;
  throw outsideError(path, "a link that leaves the folder");
}

function isInside(path: string, folder: string): boolean {
  return [...SEPARATORS].some((separator) =>
    path.startsWith(folder.endsWith(separator) ? folder : folder + separator)
  );
}

/** A path that does not start from the data's folder, and what kind it is. */
function absolutePath(line: string): { kind: string; path: string } | undefined {
  if (/^file:/i.test(line)) {
    const url = URL.parse(line);
    if (url === null) throw new UserError(`${quote(line)} is no file address`);
    const host = url.hostname === "" ? "" : `//${url.hostname}`;
    // file:///C:/… is C:/….
    const path = `${host}${decoded(url.pathname)}`.replace(/^\/(?=[a-z]:)/i, "");
    return { kind: "a file address", path };
  }
  if (/^[a-z]:[/\\]/i.test(line) || line.startsWith("\\\\")) {
    return { kind: "an absolute path of Windows", path: line };
  }
  if (/^[a-z][a-z0-9+.-]+:\/\//i.test(line)) {
    throw new UserError(
      `${quote(line)} is no address of a picture: known are http, https and file, and paths`,
    );
  }
  return /^[/\\]/.test(line) ? { kind: "an absolute path", path: line } : undefined;
}

function decoded(path: string): string {
  try {
    return decodeURIComponent(path);
  } catch {
    return path; // a name may hold a percent sign
  }
}

function outsideError(line: string, kind: string): UserError {
  return new UserError(
    `${quote(line)} is ${kind}, and pictures outside the folder are read only with --allow-outside`,
  );
}
