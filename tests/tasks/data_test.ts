/** The task `data`: its list, and downloads from a server on this machine. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
} from "@std/assert";
import { join } from "@std/path";
import { CATALOGUE, type CatalogueEntry } from "../../data/sets/catalogue.ts";
import { DownloadError } from "../../data/files/download.ts";
import { getData, listCatalogue } from "../../tasks/data.ts";
import { UsageError } from "../../tasks/lib/flags.ts";
import { serveFile } from "../data/files/file_server.ts";
import { writeZip } from "../data/formats/zip/zip_writer.ts";
import { permissionTest } from "../support.ts";
import { runTaskProcess, TASK_PERMISSIONS, withTempFolder } from "./task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

Deno.test("data: the catalogue is complete, and deno.json allows its hosts", async () => {
  const config = JSON.parse(await Deno.readTextFile(new URL("../../deno.json", import.meta.url)));
  const allowed = config.tasks.data.command.match(/--allow-net=(\S+)/)[1].split(",");
  const list = listCatalogue(CATALOGUE);
  for (const [name, { what, url, bytes, sha256 }] of Object.entries(CATALOGUE)) {
    assert(allowed.includes(new URL(url).host), url);
    assertMatch(what, /^\S.*[^.]$/);
    assert(bytes > 1e6);
    // torchvision writes the checksum's first digits into the name.
    assertEquals(sha256, url.match(/-([0-9a-f]{8})\.pth$/)?.[1], name);
    for (const part of [name, what, url]) assertStringIncludes(list, part);
  }
});

const FILE = new Uint8Array(3_000_000).fill(7);
const SHA256 = new Uint8Array(await crypto.subtle.digest("SHA-256", FILE)).toHex();
const ARCHIVE = writeZip(
  ["set/a.txt", "set/b/c.txt"].map((name) => ({ name, bytes: FILE.slice(0, 9) })),
);

/** Download one entry from a server on this machine, some of it changed, and give what was printed. */
async function get(
  bytes: Uint8Array<ArrayBuffer>,
  to: string,
  entry: Partial<CatalogueEntry>,
): Promise<string[]> {
  await using server = serveFile(bytes);
  const url = `${server.origin}/some/file.bin`;
  const catalogue = { it: { what: "A file", url, bytes: bytes.length, ...entry } };
  const lines: string[] = [];
  await getData({ catalogue, names: ["it"], to, print: (line) => lines.push(line) });
  return lines.map((line) => line.replaceAll(server.origin, "ORIGIN").replaceAll(to, "TO"));
}

const NET: Deno.PermissionDescriptor[] = [{ name: "net" }, { name: "write" }];

permissionTest(
  "data: a file is downloaded, checked, and not downloaded twice",
  NET,
  () =>
    withTempFolder(async (folder) => {
      const to = join(folder, "deep", "down");
      const sha256 = SHA256.slice(0, 8);
      const lines = await get(FILE, to, { sha256 });
      assertEquals(lines[0], "ORIGIN/some/file.bin → TO/file.bin");
      assert(lines.some((line) => line.startsWith("100 %  3/3 megabytes")), lines.join("\n"));
      assertEquals(lines.at(-1), `3 MB, SHA-256 ${SHA256}, which is the right one`);
      assertEquals(await Deno.readFile(join(to, "file.bin")), FILE);
      assertEquals(await get(FILE, to, { sha256 }), [
        "TO/file.bin is there already, with the right SHA-256",
      ]);
      assertEquals(await get(FILE, to, {}), ["TO/file.bin is there already"]);
      await assertRejects(
        () => get(FILE, to, { sha256: "00000000" }),
        UserError,
        "remove it to download it anew",
      );
    }),
);

permissionTest(
  "data: a file of unknown checksum is shown with its own",
  NET,
  () =>
    withTempFolder(async (to) => {
      const lines = await get(FILE, to, { bytes: 1 });
      assertStringIncludes(lines.at(-1)!, `SHA-256 ${SHA256}, which its makers do not state`);
    }),
);

permissionTest(
  "data: another file than expected leaves nothing",
  NET,
  () =>
    withTempFolder(async (to) => {
      const wrong = () => get(FILE, to, { sha256: "00000000" });
      await assertRejects(wrong, DownloadError, "should start with 00000000");
      assertEquals([...Deno.readDirSync(to)], []);
    }),
);

permissionTest(
  "data: an archive is unpacked, and removed",
  NET,
  () =>
    withTempFolder(async (to) => {
      const lines = await get(ARCHIVE, to, { folder: "set" });
      assert(lines.includes("Unpacking it into TO/set"), lines.join("\n"));
      assertEquals([...Deno.readDirSync(to)].map(({ name }) => name), ["set"]);
      assertEquals(await Deno.readFile(join(to, "set", "b", "c.txt")), FILE.slice(0, 9));
      assertEquals(await get(ARCHIVE, to, { folder: "set" }), ["TO/set is there already"]);
      // An archive whose unpacking was interrupted is not downloaded again.
      await Deno.writeFile(join(to, "file.bin"), ARCHIVE);
      const again = await get(FILE, to, { folder: "other" });
      assertEquals(again.slice(0, 2), [
        "TO/file.bin is there already",
        "Unpacking it into TO/other",
      ]);
    }),
);

permissionTest(
  "data: what is no archive is not kept, and not taken for one",
  NET,
  () =>
    withTempFolder(async (to) => {
      const page = new TextEncoder().encode("<!DOCTYPE html><title>Log in</title>");
      const half = ARCHIVE.slice(0, ARCHIVE.length / 2);
      for (const [bytes, part] of [[page, "it is a web page"], [half, "zip"]] as const) {
        const wrong = () => get(bytes, to, { folder: "set" });
        const error = await assertRejects(wrong, DownloadError, "was not kept: ");
        assertStringIncludes(error.message, part);
        assertEquals([...Deno.readDirSync(to)], []);
        // As an earlier version would have kept it.
        await Deno.writeFile(join(to, "file.bin"), bytes);
        await assertRejects(wrong, UserError, "remove it to download it anew");
        await Deno.remove(join(to, "file.bin"));
      }
      // The end of the connection is the only end, and it comes too early.
      using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
      const served = (async () => {
        using connection = await listener.accept();
        await connection.read(new Uint8Array(4096));
        await connection.write(new TextEncoder().encode("HTTP/1.0 200 OK\r\n\r\n"));
        await connection.write(half);
      })();
      const { port } = listener.addr as Deno.NetAddr;
      const url = `http://127.0.0.1:${port}/set.zip`;
      const catalogue = { it: { what: "A set", url, bytes: 9, folder: "set" } };
      await assertRejects(
        () => getData({ catalogue, names: ["it"], to, print: () => {} }),
        DownloadError,
        "was not kept: ",
      );
      await served;
      assertEquals([...Deno.readDirSync(to)], []);
    }),
);

permissionTest(
  "data: two downloads of a file at once do not spoil each other",
  NET,
  () =>
    withTempFolder(async (to) => {
      const part = await Deno.open(join(to, "file.bin.part"), { write: true, create: true });
      await part.lock(true);
      await assertRejects(() => get(FILE, to, {}), DownloadError, "by another download: wait for");
      part.close();
      const archive = await Deno.create(join(to, "file.bin"));
      await archive.write(ARCHIVE);
      await archive.lock(true);
      await assertRejects(() => get(ARCHIVE, to, { folder: "set" }), Deno.errors.Busy, "wait for");
      archive.close();
      await get(ARCHIVE, to, { folder: "set" });
      assertEquals([...Deno.readDirSync(join(to, "set"))].length, 2);
    }),
);

Deno.test("data: an unknown name is refused before anything is downloaded", async () => {
  for (const name of ["resnet", "", "constructor"]) {
    const names = ["resnet18", name];
    const wrong = () => getData({ catalogue: CATALOGUE, names, to: "/nowhere" });
    await assertRejects(wrong, UsageError, `and not "${name}"`);
  }
});

permissionTest("data: from the command line", [...TASK_PERMISSIONS, ...NET], async () => {
  const listed = await runTaskProcess("data", []);
  assertEquals([listed.code, listed.stderr], [0, ""]);
  assertEquals(listed.stdout.split("\n\n")[0], listCatalogue(CATALOGUE));
  const wrong = {
    "--to": ["--to=x"],
    "--get needs --to": ["--get=resnet18"],
    'and not "resnet"': ["--get=resnet18,resnet", "--to=x"],
  };
  for (const [part, flags] of Object.entries(wrong)) {
    const { code, stderr } = await runTaskProcess("data", flags);
    assertEquals(code, 2);
    assertStringIncludes(stderr, part);
  }
  await withTempFolder(async (folder) => {
    // A proxy that is not there stands for a machine without a network.
    const proxy = "http://127.0.0.1:9";
    const env = { HTTPS_PROXY: proxy, https_proxy: proxy, NO_PROXY: "", no_proxy: "" };
    const flags = ["--get=squeezenet1_1", `--to=${folder}`];
    const { code, stdout, stderr } = await runTaskProcess("data", flags, env);
    assertEquals(code, 1);
    assertMatch(stderr, /^error: download\.pytorch\.org cannot be reached: [^\n]+\n$/);
    assertStringIncludes(stdout, "squeezenet1_1-b8a52dc0.pth → ");
    assertEquals([...Deno.readDirSync(folder)], []);
  });
});
