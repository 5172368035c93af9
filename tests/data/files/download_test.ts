import {
  assert,
  assertEquals,
  assertInstanceOf,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import {
  download,
  DownloadError,
  type DownloadOptions,
  type DownloadProgress,
  fileSha256,
} from "../../../data/files/download.ts";
import { permissionTest } from "../../support.ts";
import { type Behavior, type FileServer, serveFile } from "./file_server.ts";

const SIZE = 100_000;
const FILE = Uint8Array.from({ length: SIZE }, (_, i) => (i * 2654435761) >>> 24);
const SHA256 = new Uint8Array(await crypto.subtle.digest("SHA-256", FILE)).toHex();

/** What a test of a download works with. */
interface Setting {
  server: FileServer;
  folder: string;
  /** Where the file goes. */
  path: string;
  /** Download the file, with some options changed. */
  get(options?: Partial<DownloadOptions>): ReturnType<typeof download>;
  /** The files in the folder. */
  files(): string[];
}

function downloadTest(
  name: string,
  behavior: Partial<Behavior>,
  fn: (setting: Setting) => Promise<void>,
): void {
  permissionTest(`download() ${name}`, [{ name: "net" }, { name: "write" }], async () => {
    const folder = await Deno.makeTempDir();
    try {
      await using server = serveFile(FILE, behavior);
      const path = join(folder, "file.bin");
      const url = `${server.origin}/file`;
      await fn({
        server,
        folder,
        path,
        get: (options = {}) => download({ url, path, ...options }),
        files: () => Array.from(Deno.readDirSync(folder), ({ name }) => name).sort(),
      });
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  });
}

/** How many bytes come before {@link interrupt} cuts the connection. */
const KEPT = 40_000;

/** Let a download fail after some bytes, and serve the file well from then on. */
async function interrupt({ server, get, files }: Setting): Promise<void> {
  const come = Promise.withResolvers<void>();
  server.behavior.cut = { after: KEPT, when: come.promise };
  const onProgress = ({ received }: DownloadProgress) => received === KEPT && come.resolve();
  const error = await assertRejects(() => get({ onProgress }), DownloadError);
  const ended = `ended after ${KEPT} of `;
  assertStringIncludes(error.message, ended);
  assertStringIncludes(error.message, " bytes: what has come is kept, and the next try goes on");
  server.behavior.cut = undefined;
  const parts = files().filter((name) => name.includes(".part"));
  assertEquals(parts, ["file.bin.part", "file.bin.part.json"]);
}

downloadTest(
  "writes the whole file, and reports its progress",
  {},
  async ({ get, files, path }) => {
    const reports: DownloadProgress[] = [];
    const got = await get({
      sha256: SHA256,
      onProgress: (progress) => reports.push({ ...progress }),
    });
    assertEquals(got, { bytes: SIZE, sha256: SHA256, resumed: 0 });
    assertEquals(await Deno.readFile(path), FILE);
    assertEquals(await fileSha256(path), SHA256);
    assertEquals(files(), ["file.bin"]);
    assertEquals(reports[0], { received: 0, total: SIZE, resumed: 0 });
    assertEquals(reports.at(-1), { received: SIZE, total: SIZE, resumed: 0 });
    assert(reports.length > 2, `${reports.length} reports`);
    assert(reports.every(({ received }, i) => i === 0 || received > reports[i - 1].received));
  },
);

downloadTest("follows redirects, and takes the first digits of a checksum", {}, async (setting) => {
  const url = `${setting.server.origin}/moved`;
  assertEquals((await setting.get({ url, sha256: SHA256.slice(0, 8) })).bytes, SIZE);
});

downloadTest(
  "takes a file without a length, and the hint for the total",
  { length: false },
  async (setting) => {
    const totals = new Set<number | undefined>();
    const onProgress = ({ total }: DownloadProgress) => totals.add(total);
    assertEquals((await setting.get({ onProgress })).sha256, SHA256);
    await setting.get({ onProgress, sizeHint: 7 });
    assertEquals([...totals], [undefined, 7]);
  },
);

downloadTest("goes on where it was interrupted", {}, async (setting) => {
  const { server, get, files, path } = setting;
  await interrupt(setting);
  const reports: DownloadProgress[] = [];
  const { sha256, resumed } = await get({
    onProgress: (progress) => reports.push({ ...progress }),
  });
  assertEquals(resumed, KEPT);
  assertEquals(server.asked, [null, `bytes=${resumed}-`]);
  assertEquals(sha256, SHA256);
  assertEquals(await Deno.readFile(path), FILE);
  assertEquals(reports[0], { received: resumed, total: SIZE, resumed });
  assertEquals(files(), ["file.bin"]);
});

downloadTest("goes on by the date of the file", {
  etag: 'W/"weak"',
  modified: "Tue, 24 Nov 2026 12:00:00 GMT",
}, async (setting) => {
  await interrupt(setting);
  const { sha256, resumed } = await setting.get();
  assertEquals([sha256, resumed], [SHA256, KEPT]);
});

downloadTest(
  "goes on without a version only if the checksum can tell",
  { etag: undefined },
  async (setting) => {
    await interrupt(setting);
    assertEquals((await setting.get()).resumed, 0);
    await interrupt(setting);
    const { sha256, resumed } = await setting.get({ sha256: SHA256 });
    assertEquals([sha256, resumed], [SHA256, KEPT]);
    assertEquals(setting.server.asked.map((range) => range !== null), [false, false, false, true]);
  },
);

downloadTest("starts again where the server has no ranges", { ranges: false }, async (setting) => {
  await interrupt(setting);
  assertEquals(await setting.get(), { bytes: SIZE, sha256: SHA256, resumed: 0 });
  assertEquals(await Deno.readFile(setting.path), FILE);
});

downloadTest("starts again where the file or the address has changed", {}, async (setting) => {
  const { server, get, path } = setting;
  await interrupt(setting);
  server.behavior.etag = '"2"';
  server.behavior.bytes = FILE.slice(5000);
  assertEquals([(await get()).resumed, (await Deno.readFile(path)).length], [0, SIZE - 5000]);
  await interrupt(setting);
  assertEquals((await get({ url: `${server.origin}/other` })).resumed, 0);
  assertEquals(server.asked.at(-1), null);
});

downloadTest("starts again where the server gives another range", { shift: 1 }, async (setting) => {
  await interrupt(setting);
  assertEquals(await setting.get(), { bytes: SIZE, sha256: SHA256, resumed: 0 });
});

downloadTest(
  "says that a range ends early, and goes on after it",
  { short: 7 },
  async (setting) => {
    await interrupt(setting);
    const expected = `ended after ${SIZE - 7} of ${SIZE} bytes: what has come is kept`;
    await assertRejects(() => setting.get(), DownloadError, expected);
    setting.server.behavior.short = 0;
    const { sha256, resumed } = await setting.get();
    assertEquals([sha256, resumed], [SHA256, SIZE - 7]);
  },
);

downloadTest("finishes a part that is whole, and not one that is too long", {}, async (setting) => {
  const { server, get, path } = setting;
  for (const extra of [0, 1]) {
    await interrupt(setting);
    await Deno.writeFile(`${path}.part`, new Uint8Array([...FILE, ...new Uint8Array(extra)]));
    const { bytes, sha256, resumed } = await get();
    assertEquals([bytes, sha256, resumed], [SIZE, SHA256, extra === 0 ? SIZE : 0]);
  }
  assertEquals(server.asked.slice(-2), [`bytes=${SIZE + 1}-`, null]);
});

downloadTest("passes over a note that is damaged", {}, async (setting) => {
  for (const note of ["", "null", "[", "7"]) {
    await interrupt(setting);
    await Deno.writeTextFile(`${setting.path}.part.json`, note);
    assertEquals((await setting.get()).resumed, 0);
  }
});

downloadTest("keeps nothing of a file with another checksum", {}, async (setting) => {
  const { get, files, path } = setting;
  await Deno.writeTextFile(path, "what was there");
  const wrong = `f${SHA256.slice(1)}`;
  const error = await assertRejects(() => get({ sha256: wrong }), DownloadError);
  assertStringIncludes(error.message, ` is ${SHA256}, and should be ${wrong}: the file is damaged`);
  assertEquals(files(), ["file.bin"]);
  assertEquals(await Deno.readTextFile(path), "what was there");

  // An earlier part that was spoilt is found out, too, and the next try starts anew.
  await interrupt(setting);
  await Deno.writeFile(`${path}.part`, new Uint8Array(30_000));
  await assertRejects(
    () => get({ sha256: SHA256.slice(0, 9) }),
    DownloadError,
    "should start with",
  );
  assertEquals((await get({ sha256: SHA256 })).resumed, 0);
});

downloadTest(
  "says what the server answers instead of the file",
  {},
  async ({ server, get, files }) => {
    for (
      const [status, text] of [[404, "404 Not Found"], [503, "503 Service Unavailable"]] as const
    ) {
      server.behavior.status = status;
      const expected = `${server.origin}/file cannot be had: the server answers ${text}`;
      assertEquals((await assertRejects(() => get(), DownloadError)).message, expected);
    }
    assertEquals(files(), []);
  },
);

downloadTest("says that a server cannot be reached", {}, async ({ get, files }) => {
  const closed = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = closed.addr as Deno.NetAddr;
  closed.close();
  const error = await assertRejects(
    () => get({ url: `http://127.0.0.1:${port}/x` }),
    DownloadError,
  );
  assertStringIncludes(error.message, `127.0.0.1:${port} cannot be reached: `);
  assert(!error.message.includes("/x"), error.message);
  assertEquals(files(), []);
});

downloadTest("gives up when nothing comes any more, and keeps what has come", {
  stallAfter: 20_000,
}, async (setting) => {
  const { server, get } = setting;
  await assertRejects(
    () => get({ patience: 0.5 }),
    DownloadError,
    "sent nothing for 0.5 s: what has come is kept",
  );
  server.behavior.stallAfter = undefined;
  assertEquals((await get()).resumed, 20_000);
});

downloadTest("stops at a signal, and keeps what has come", {}, async ({ server, get }) => {
  server.behavior.stallAfter = 30_000;
  const controller = new AbortController();
  const onProgress = ({ received }: DownloadProgress) => {
    if (received === 30_000) controller.abort(new Error("enough"));
  };
  await assertRejects(() => get({ onProgress, signal: controller.signal }), Error, "enough");
  server.behavior.stallAfter = undefined;
  assertEquals((await get()).resumed, 30_000);
  await assertRejects(
    () => get({ signal: AbortSignal.abort(new Error("before")) }),
    Error,
    "before",
  );
});

downloadTest("says which file cannot be written", {}, async ({ get, folder }) => {
  const path = join(folder, "none", "file");
  const error = await assertRejects(() => get({ path }), DownloadError);
  assertStringIncludes(error.message, `${path}.part cannot be written: `);
});

Deno.test("download() refuses an address, checksum or patience that is none", async () => {
  const url = "http://127.0.0.1/x";
  const wrong: [Partial<DownloadOptions>, string][] = [
    [{ url: "file:///etc/passwd" }, `it is "file:///etc/passwd"`],
    [{ url: "nonsense" }, "address of http or https"],
    [{ sha256: "abc" }, `8 to 64 of the digits 0 to 9 and a to f: it is "abc"`],
    [{ sha256: "G".repeat(64) }, "8 to 64 of the digits"],
    [{ patience: 0 }, "it is 0"],
    [{ patience: NaN }, "it is NaN"],
  ];
  for (const [options, message] of wrong) {
    const error = await assertRejects(() => download({ url, path: "x", ...options }), TypeError);
    assertInstanceOf(error, TypeError);
    assertStringIncludes(error.message, message);
  }
});
