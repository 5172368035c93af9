/** `deno task data`: the official data sets and weights, listed or downloaded. */
import { basename, join } from "@std/path";
import { CATALOGUE, type CatalogueEntry } from "../data/sets/catalogue.ts";
import { download, type DownloadProgress, fileSha256 } from "../data/files/download.ts";
import { checkZip, unpackZip } from "../data/formats/zip/unpack.ts";
import { defineFlags, parseFlags, text, UsageError } from "./lib/flags.ts";
import { interruptSignal, runTask } from "./lib/main.ts";
import { type Progress, progress } from "./lib/progress.ts";
import { UserError } from "../data/files/user_error.ts";

const flags = defineFlags({
  get: text({
    optional: true,
    placeholder: "NAMES",
    help: "What to download, with commas between the names; without it the names are listed",
  }),
  to: text({ optional: true, placeholder: "DIR", help: "The folder that it goes into" }),
});

type Catalogue = Readonly<Record<string, CatalogueEntry>>;

/** What {@link getData} is told. */
export interface GetOptions {
  /** What can be downloaded. */
  catalogue: Catalogue;
  /** What is to be, by its names in the catalogue. */
  names: readonly string[];
  /** The folder that it goes into. */
  to: string;
  /** Stops the work. */
  signal?: AbortSignal;
  /** Writes a line. */
  print?: (line: string) => void;
}

/** Bytes in words, such as `47 MB`. */
function size(bytes: number): string {
  return bytes < 1e6 ? `${Math.ceil(bytes / 1e3)} kB` : `${Math.round(bytes / 1e6)} MB`;
}

/** The catalogue as a table, each entry in two lines. */
export function listCatalogue(catalogue: Catalogue): string {
  const width = Math.max(...Object.keys(catalogue).map((name) => name.length));
  const lines = Object.entries(catalogue).map(([name, { what, url, bytes }]) => {
    const left = `${name.padEnd(width)}  ${size(bytes).padStart(7)}  `;
    return `${left}${what}\n${" ".repeat(left.length)}${url}`;
  });
  return lines.join("\n");
}

/** Shows how far a download or an unpacking is, once it is known how much there is to do. */
class Meter {
  readonly #print: (line: string) => void;
  #bar: Progress | undefined;

  constructor(print: (line: string) => void) {
    this.#print = print;
  }

  /** `done` of `total` bytes. */
  show(done: number, total: number): void {
    const units = Math.max(1, Math.ceil(total / 1e6));
    this.#bar ??= progress({ total: units, unit: "megabyte", print: this.#print });
    this.#bar.update(done >= total ? units : Math.min(units, Math.floor(done / 1e6)));
  }

  [Symbol.dispose](): void {
    this.#bar?.stop();
  }
}

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (error) {
    if (error instanceof Deno.errors.NotFound) return false;
    throw error;
  }
}

/** Say that a file is there already; a UserError when it is another one. */
async function checkPresent(path: string, { sha256, folder }: CatalogueEntry): Promise<string> {
  if (sha256 === undefined) {
    if (folder !== undefined) {
      await checkZip(path).catch((error) => {
        if (!(error instanceof UserError)) throw error;
        throw new UserError(
          `${path} is there already, but it is no zip archive: remove it to download it anew (${error.message})`,
        );
      });
    }
    return `${path} is there already`;
  }
  const found = await fileSha256(path);
  if (found.startsWith(sha256)) return `${path} is there already, with the right SHA-256`;
  throw new UserError(
    `${path} is there already, but its SHA-256 is ${found} and should start with ${sha256}: ` +
      "remove it to download it anew",
  );
}

async function getFile(
  path: string,
  { url, sha256, bytes, folder }: CatalogueEntry,
  signal: AbortSignal | undefined,
  print: (line: string) => void,
): Promise<void> {
  print(`${url} → ${path}`);
  using meter = new Meter(print);
  const onProgress = ({ received, total = bytes, resumed }: DownloadProgress) => {
    if (received === resumed && resumed > 0) print(`${size(resumed)} are here from an earlier try`);
    meter.show(received - resumed, Math.max(total, received) - resumed);
  };
  const got = await download({
    url,
    path,
    sizeHint: bytes,
    onProgress,
    ...(sha256 !== undefined && { sha256 }),
    ...(folder !== undefined && { verify: checkZip }),
    ...(signal && { signal }),
  });
  const checked = sha256 === undefined
    ? "which its makers do not state: compare it by other ways, where that matters"
    : "which is the right one";
  print(`${size(got.bytes)}, SHA-256 ${got.sha256}, ${checked}`);
}

/**
 * Download entries of the catalogue into a folder, and unpack those that are archives. What is there already is
 * kept. Throws UsageError for a name that the catalogue does not have, before anything is downloaded.
 */
export async function getData(options: GetOptions): Promise<void> {
  const { catalogue, names, to, signal, print = console.log } = options;
  for (const name of names) {
    if (!Object.hasOwn(catalogue, name)) {
      const allowed = Object.keys(catalogue).join(", ");
      throw new UsageError(`Flag --get takes names out of ${allowed}, and not "${name}"`);
    }
  }
  await Deno.mkdir(to, { recursive: true });
  for (const name of names) {
    const entry = catalogue[name];
    const path = join(to, basename(new URL(entry.url).pathname));
    const folder = entry.folder === undefined ? undefined : join(to, entry.folder);
    if (folder !== undefined && await exists(folder)) {
      print(`${folder} is there already`);
      continue;
    }
    if (await exists(path)) print(await checkPresent(path, entry));
    else await getFile(path, entry, signal, print);
    if (folder !== undefined) {
      print(`Unpacking it into ${folder}`);
      using meter = new Meter(print);
      const onProgress = (done: number, total: number) => meter.show(done, total);
      await unpackZip(path, folder, { onProgress, ...(signal && { signal }) });
      await Deno.remove(path);
    }
  }
}

async function main(): Promise<void> {
  const { get, to } = parseFlags(flags, Deno.args, {
    task: "data",
    summary: "List the official data sets and weights, or download some: with resume, with their " +
      "checksum where it is known, and unpacked.",
    examples: [
      "deno task data",
      "deno task data --get=resnet18,hymenoptera --to=downloads",
    ],
  });
  if (get === undefined) {
    if (to !== undefined) {
      throw new UsageError("Flag --to needs --get, which says what to download");
    }
    console.log(listCatalogue(CATALOGUE));
    console.log("\nDownload some: deno task data --get=resnet18,hymenoptera --to=downloads");
    return;
  }
  if (to === undefined) throw new UsageError("Flag --get needs --to, the folder to download into");
  const names = get.split(",").map((name) => name.trim());
  const signal = interruptSignal();
  try {
    await getData({ catalogue: CATALOGUE, names, to, signal });
  } catch (error) {
    if (!signal.aborted) throw error;
    console.error("Stopped; the same command goes on from there");
  }
}

if (import.meta.main) await runTask(main);
