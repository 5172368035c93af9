/**
 * Downloads that can be interrupted: what has come stays in a file `.part` beside the goal, and the next try
 * goes on from there where the server can.
 *
 * @module
 */
import { DownloadError, Part, pieces } from "./download_part.ts";
import { quote } from "./messages.ts";

export { DownloadError } from "./download_part.ts";

/** What {@link download} needs to know. */
export interface DownloadOptions {
  /** The address, `http:` or `https:`. Redirects are followed. */
  url: string;
  /** Where the file goes. What is there is replaced once the new file is whole and checked. */
  path: string;
  /** The file's SHA-256 in hexadecimal, or at least its first 8 digits; without it nothing is checked. */
  sha256?: string;
  /**
   * Looks at the whole file before it takes its place, where no checksum tells whether it is the right one. What it
   * throws is the reason, such as `it is no zip archive`, and the file is not kept.
   */
  verify?: (path: string) => Promise<void>;
  /** About how many bytes will come: the total of the progress where the server does not say it. */
  sizeHint?: number;
  /** Is told how far the download is, at its start and then with each piece. */
  onProgress?: (progress: DownloadProgress) => void;
  /** Stops the download; then it is rejected with the signal's reason, and what has come is kept. */
  signal?: AbortSignal;
  /** After so many seconds without a byte the download is given up; 60 when left out. */
  patience?: number;
}

/** How far a download is, in bytes. */
export interface DownloadProgress {
  /** How many are here, those of earlier tries included. */
  received: number;
  /** How many there will be; undefined where neither the server nor `sizeHint` says it. */
  total: number | undefined;
  /** How many were here from earlier tries. */
  resumed: number;
}

/** A finished download. */
export interface Downloaded {
  /** The file's size. */
  bytes: number;
  /** The file's SHA-256, in hexadecimal. */
  sha256: string;
  /** How many bytes came from earlier tries. */
  resumed: number;
}

const KEPT = "what has come is kept, and the next try goes on from there";

/**
 * Download a file. Its bytes go to `path` + ".part", and on into it after an interruption, where the server has
 * ranges and still the same version of the file; else from the start again. Once they are whole and their
 * SHA-256 is right, the part takes the place of `path`.
 *
 * A {@link DownloadError} says that the host cannot be reached, that the server refuses, that the connection
 * ended early or came to rest, that the checksum or the file is wrong (then nothing is kept), that another process
 * downloads it, or that it cannot be written. A TypeError is for an address or a checksum that is none.
 *
 * ```ts ignore
 * const { sha256 } = await download({
 *   url: "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
 *   path: "squeezenet1_1-b8a52dc0.pth",
 *   sha256: "b8a52dc0",
 * });
 * ```
 */
export async function download(options: DownloadOptions): Promise<Downloaded> {
  const { url, path, sha256, verify, signal, patience = 60 } = options;
  check(options);
  const stall = new Stall(patience);
  const stop = signal ? AbortSignal.any([signal, stall.signal]) : stall.signal;
  try {
    const part = new Part(path, url);
    // Without a version only the checksum can tell that the file has changed in the meantime.
    const before = await part.find(sha256 !== undefined);
    const rest = await request(url, before, stop);
    const found = await receive(part, rest, stall, options);
    if (sha256 !== undefined && !found.sha256.startsWith(sha256)) {
      await part.remove();
      const wanted = sha256.length < 64 ? `start with ${sha256}` : `be ${sha256}`;
      throw new DownloadError(
        `The SHA-256 of ${url} is ${found.sha256}, and should ${wanted}: the file is damaged or another ` +
          "one, and was not kept",
      );
    }
    try {
      await verify?.(part.path);
    } catch (error) {
      await part.remove();
      const reason = error instanceof Error ? error.message : String(error);
      throw new DownloadError(
        `What ${url} sends is not what was asked for, and was not kept: ${reason}`,
      );
    }
    await part.finish(path);
    return found;
  } catch (error) {
    if (signal?.aborted) throw signal.reason;
    if (!stall.signal.aborted) throw error;
    throw new DownloadError(`${url} sent nothing for ${patience} s: ${KEPT}`);
  } finally {
    stall.clear();
  }
}

function check({ url, sha256, patience = 60 }: DownloadOptions): void {
  const parsed = URL.parse(url);
  if (parsed?.protocol !== "http:" && parsed?.protocol !== "https:") {
    throw new TypeError(`A download needs an address of http or https: it is ${quote(url)}`);
  }
  if (sha256 !== undefined && !/^[0-9a-f]{8,64}$/.test(sha256)) {
    throw new TypeError(
      `A SHA-256 is 8 to 64 of the digits 0 to 9 and a to f: it is ${quote(sha256)}`,
    );
  }
  // A timer takes no more than 2^31 milliseconds.
  if (!(patience > 0 && patience < 2e6)) {
    throw new TypeError(`The patience must be above 0 and below 2e6 seconds: it is ${patience}`);
  }
}

/** Notices when nothing comes any more. */
class Stall {
  readonly #controller = new AbortController();
  readonly #seconds: number;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(seconds: number) {
    this.#seconds = seconds;
    this.again();
  }

  /** Aborted once the time has passed. */
  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** Start the time anew. */
  again(): void {
    this.clear();
    this.#timer = setTimeout(() => this.#controller.abort(), 1000 * this.#seconds);
  }

  clear(): void {
    clearTimeout(this.#timer);
  }
}

/** Where the rest of a file comes from. */
interface Rest {
  /** The bytes; null when none are missing. */
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null;
  /** How many bytes of the part are kept. */
  start: number;
  /** How many bytes the whole file has, where the server says it. */
  total: number | undefined;
  version: string | null;
}

async function request(
  url: string,
  { start, version }: { start: number; version: string | null },
  signal: AbortSignal,
): Promise<Rest> {
  // A compressed answer would have another length and other ranges.
  const headers = new Headers({ "accept-encoding": "identity" });
  if (start > 0) {
    headers.set("range", `bytes=${start}-`);
    if (version !== null) headers.set("if-range", version);
  }
  const response = await fetch(url, { headers, signal }).catch((error) => {
    if (!(error instanceof TypeError)) throw error;
    const { message } = error.cause instanceof Error ? error.cause : error;
    // Deno says the address once more.
    const reason = message.replace(/^error sending request for url \(.*?\): /, "");
    throw new DownloadError(`${new URL(url).host} cannot be reached: ${reason}`);
  });
  const { status, body } = response;
  const [, from, size] = response.headers.get("content-range")
    ?.match(/^bytes (?:(\d+)-\d+|\*)\/(\d+|\*)$/) ?? [];
  if (start > 0 && status === 206 && Number(from) === start) {
    return { body, start, total: count(size), version: versionOf(response) ?? version };
  }
  if (status === 200) {
    const total = count(response.headers.get("content-length"));
    return { body, start: 0, total, version: versionOf(response) };
  }
  await body?.cancel();
  if (start > 0 && (status === 416 || status === 206)) {
    // The server has no such range: the part is whole already, or it is of another file.
    if (status === 416 && Number(size) === start) {
      return { body: null, start, total: start, version };
    }
    return await request(url, { start: 0, version: null }, signal);
  }
  const text = response.statusText ? ` ${response.statusText}` : "";
  throw new DownloadError(`${response.url} cannot be had: the server answers ${status}${text}`);
}

function count(text: string | null | undefined): number | undefined {
  return /^\d+$/.test(text ?? "") ? Number(text) : undefined;
}

/** The mark of the file's version that `If-Range` takes: no weak one. */
function versionOf({ headers }: Response): string | null {
  const tag = headers.get("etag");
  return tag?.startsWith('"') ? tag : headers.get("last-modified");
}

/** Take in the rest of a file, and give its size and SHA-256. */
async function receive(
  part: Part,
  { body, start, total, version }: Rest,
  stall: Stall,
  { url, sizeHint, onProgress }: DownloadOptions,
): Promise<Downloaded> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  using file = await part.open(start, version).catch(async (error) => {
    await body?.cancel();
    throw error;
  });
  for await (const bytes of pieces(file, start)) hash.update(bytes);
  let received = start;
  const report = () => onProgress?.({ received, total: total ?? sizeHint, resumed: start });
  const come = () => `after ${received}${total === undefined ? "" : ` of ${total}`} bytes: ${KEPT}`;
  report();
  stall.again();
  for await (const chunk of bodyPieces(body, () => `The connection to ${url} ended ${come()}`)) {
    stall.again();
    await part.write(file, chunk);
    hash.update(chunk);
    received += chunk.length;
    report();
  }
  if (total !== undefined && received !== total) {
    throw new DownloadError(`${url} ended ${come()}`);
  }
  await file.sync();
  return { bytes: received, sha256: hash.digest("hex"), resumed: start };
}

/** The pieces of a body. `message` is the error's where the connection fails. */
async function* bodyPieces(
  body: ReadableStream<Uint8Array<ArrayBuffer>> | null,
  message: () => string,
): AsyncGenerator<Uint8Array> {
  try {
    for await (const chunk of body ?? []) yield chunk;
  } catch (error) {
    // How a body says that its connection failed.
    throw error instanceof TypeError ? new DownloadError(message()) : error;
  }
}

/** The SHA-256 of a file, in hexadecimal. */
export async function fileSha256(path: string): Promise<string> {
  const { createHash } = await import("node:crypto");
  const hash = createHash("sha256");
  using file = await Deno.open(path);
  for await (const bytes of pieces(file, Infinity)) hash.update(bytes);
  return hash.digest("hex");
}
