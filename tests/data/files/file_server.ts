/** A web server on this machine that serves one file, well or badly. */

/** How the server behaves; each can be changed between requests. */
export interface Behavior {
  bytes: Uint8Array<ArrayBuffer>;
  /** Whether ranges are served. */
  ranges: boolean;
  etag: string | undefined;
  modified: string | undefined;
  /** Close the connection after so many bytes of an answer, once the promise is fulfilled. */
  cut: { after: number; when: Promise<void> } | undefined;
  /** Send so many bytes of an answer, and then nothing for as long as the client waits. */
  stallAfter: number | undefined;
  /** Answer with this status, and no file. */
  status: number | undefined;
  /** Whether the length is said. */
  length: boolean;
  /** Move the start of each range that is served. */
  shift: number;
  /** End each range that is served so many bytes early. */
  short: number;
}

/** A running server. */
export interface FileServer extends AsyncDisposable {
  /** Where it is, such as `http://127.0.0.1:40000`; any path gives the file, `/moved` a redirect to it. */
  origin: string;
  behavior: Behavior;
  /** The header `Range` of each request so far. */
  asked: (string | null)[];
}

/** Serve `bytes` on a free port, with ranges and an ETag unless `behavior` says otherwise. */
export function serveFile(
  bytes: Uint8Array<ArrayBuffer>,
  behavior: Partial<Behavior> = {},
): FileServer {
  const state: Behavior = {
    bytes,
    ranges: true,
    etag: '"1"',
    modified: undefined,
    cut: undefined,
    stallAfter: undefined,
    status: undefined,
    length: true,
    shift: 0,
    short: 0,
    ...behavior,
  };
  const asked: (string | null)[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {}, onError: () => new Response() },
    (request) => {
      if (new URL(request.url).pathname === "/moved") {
        return new Response(null, { status: 302, headers: { location: "/file" } });
      }
      asked.push(request.headers.get("range"));
      return answer(request, state);
    },
  );
  return {
    origin: `http://127.0.0.1:${server.addr.port}`,
    behavior: state,
    asked,
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

function answer({ headers: asked }: Request, state: Behavior): Response {
  const { bytes, etag, modified, status, shift, short } = state;
  if (status !== undefined) return new Response("no", { status });
  const headers = new Headers();
  if (etag !== undefined) headers.set("etag", etag);
  if (modified !== undefined) headers.set("last-modified", modified);
  const condition = asked.get("if-range");
  const isSame = condition === null || condition === etag || condition === modified;
  const range = state.ranges && isSame ? asked.get("range")?.match(/^bytes=(\d+)-$/) : undefined;
  const start = range ? Number(range[1]) + shift : 0;
  if (range && start >= bytes.length) {
    return new Response(null, {
      status: 416,
      headers: { "content-range": `bytes */${bytes.length}` },
    });
  }
  if (range) headers.set("content-range", `bytes ${start}-${bytes.length - 1}/${bytes.length}`);
  const end = range ? bytes.length - short : bytes.length;
  if (state.length) headers.set("content-length", `${end - start}`);
  return new Response(body(bytes.subarray(start, end), state), {
    status: range ? 206 : 200,
    headers,
  });
}

function body(
  bytes: Uint8Array<ArrayBuffer>,
  { cut, stallAfter }: Behavior,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  const STEP = 10_000;
  let at = 0;
  return new ReadableStream({
    async pull(controller) {
      if (cut !== undefined && at >= cut.after) {
        await cut.when;
        return controller.error(new Error("cut"));
      }
      if (at >= bytes.length) return controller.close();
      if (stallAfter !== undefined && at >= stallAfter) return new Promise(() => {});
      controller.enqueue(bytes.slice(at, at += STEP));
    },
  });
}
