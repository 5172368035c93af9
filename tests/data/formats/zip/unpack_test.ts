import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import { unpackZip } from "../../../../data/formats/zip/unpack.ts";
import { permissionTest } from "../../../support.ts";
import { writeZip, type ZipFile } from "./zip_writer.ts";
import { UserError } from "../../../../data/files/user_error.ts";

const bytes = new TextEncoder().encode("some text");

/** Unpack an archive with these entries into the folder `new`, and look at what is there then. */
async function unpack(
  entries: (string | ZipFile)[],
  change: (archive: Uint8Array<ArrayBuffer>) => Uint8Array = (archive) => archive,
): Promise<{ error: Error | undefined; paths: string[]; progress: number[]; folder: string }> {
  const folder = await Deno.makeTempDir();
  try {
    const files = entries.map((entry) =>
      typeof entry === "string" ? { name: entry, bytes } : entry
    );
    const archive = join(folder, "archive.zip");
    await Deno.writeFile(archive, change(writeZip(files)));
    // What an earlier try that was cut off has left does no harm.
    await Deno.mkdir(join(folder, "new.part"));
    await Deno.writeTextFile(join(folder, "new.part", "old"), "");
    const progress: number[] = [];
    let error: Error | undefined;
    const onProgress = (done: number, total: number) => progress.push(done, total);
    await unpackZip(archive, join(folder, "new"), { onProgress }).catch((thrown) => error = thrown);
    await Deno.remove(archive);
    return { error, paths: list(folder), progress, folder };
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** All files and empty folders below a folder, each file with its text. */
function list(folder: string, below = ""): string[] {
  const entries = [...Deno.readDirSync(folder)].sort((a, b) => a.name < b.name ? -1 : 1);
  return entries.flatMap(({ name, isDirectory }) => {
    const path = join(folder, name);
    if (!isDirectory) return [`${below}${name}: ${Deno.readTextFileSync(path)}`];
    const inside = list(path, `${below}${name}/`);
    return inside.length > 0 ? inside : [`${below}${name}/`];
  });
}

function unpackTest(name: string, fn: () => Promise<void>): void {
  permissionTest(`unpackZip() ${name}`, [{ name: "write" }], fn);
}

unpackTest("puts files and folders into a new folder", async () => {
  const { error, paths, progress } = await unpack([
    "a.txt",
    { name: "b/", bytes: new Uint8Array(0) },
    { name: "b/c/d.txt", bytes, deflated: true },
    { name: "empty/", bytes: new Uint8Array(0) },
    { name: "none.txt", bytes: new Uint8Array(0) },
    "...",
  ]);
  assertEquals(error, undefined);
  assertEquals(paths, [
    ...["new/...: some text", "new/a.txt: some text", "new/b/c/d.txt: some text", "new/empty/"],
    "new/none.txt: ",
  ]);
  assertEquals(progress, [0, 27, 9, 27, 18, 27, 27, 27]);
});

unpackTest("lets the folder take the place of the archive's only one", async () => {
  const { paths } = await unpack(["data/a.txt", "data/b/c.txt", "__MACOSX/data/a.txt"]);
  assertEquals(paths, ["new/a.txt: some text", "new/b/c.txt: some text"]);
  assertEquals((await unpack(["data/a.txt", "data2"])).paths, [
    "new/data/a.txt: some text",
    "new/data2: some text",
  ]);
  assertEquals((await unpack([])).paths, ["new/"]);
});

unpackTest("refuses names that lead out of the folder, before it writes anything", async () => {
  const names = [
    ...["../a", "a/../../b", "/etc/passwd", "a//b", "./a", "a/.", "..", "", "/"],
    ...["a\\..\\b", "C:/a", "c:a", "a\0b"],
  ];
  for (const name of names) {
    const { error, paths, folder } = await unpack(["good.txt", name]);
    assert(error instanceof UserError, `${name}: ${error}`);
    const start = `${join(folder, "archive.zip")} cannot be unpacked: its entry ${
      JSON.stringify(name)
    }`;
    assertEquals(error.message, `${start} leads out of the folder`);
    assertEquals(paths, []);
  }
});

unpackTest("refuses links, bombs and what is damaged, and leaves nothing", async () => {
  const bomb = { name: "b", bytes: new Uint8Array(70_000), method: 8, size: 7e7 };
  const refused: [string, typeof UserError, (string | ZipFile)[]][] = [
    [`its entry "b" is a link`, UserError, ["a", { name: "b", bytes, mode: 0o120777 }]],
    [`"a" is damaged: its CRC-32`, UserError, ["0", { name: "a", bytes, crc: 1 }]],
    [`"a" twice`, UserError, ["a", "a"]],
    ["at most 67108864 are allowed", UserError, ["a", bomb]],
    ["has a name that is too long: at most 255 bytes", UserError, ["a", `b/${"é".repeat(128)}`]],
    ["and 1000 for the whole path", UserError, ["a", `${"x".repeat(250)}/`.repeat(4) + "abc"]],
    ["lies 31 folders deep", UserError, ["a", "x/".repeat(30) + "y"]],
    ['\\u001b[2J" has control characters in its name', UserError, ["a", "b/\x1b[2J"]],
    ["has control characters in its name", UserError, ["a", "b\n"]],
    [`its entry "a" is a file, and a folder of others`, UserError, ["a", "a/b"]],
    [`its entry "a" is a file, and a folder of others`, UserError, ["a", "a/"]],
  ];
  for (const [message, kind, entries] of refused) {
    const { error, paths } = await unpack(entries);
    assert(error instanceof kind && error.message.includes(message), `${error}`);
    assert(error.message.includes("archive.zip cannot be unpacked: "), error.message);
    assertEquals(paths, []);
  }
  const { error, paths } = await unpack(["a"], (archive) => archive.slice(0, -30));
  assert(error instanceof UserError, `${error}`);
  assertEquals(paths, []);
});

unpackTest("takes names of the greatest length", async () => {
  const name = `${"x/".repeat(29)}${"é".repeat(127)}a`;
  const { error, paths } = await unpack(["a", name]);
  assertEquals(error, undefined);
  assertEquals(paths, ["new/a: some text", `new/${name}: some text`]);
});

unpackTest("leaves a folder that exists as it is, and stops at a signal", async () => {
  const folder = await Deno.makeTempDir();
  try {
    const archive = join(folder, "archive.zip");
    await Deno.writeFile(archive, writeZip([{ name: "a", bytes }, { name: "b", bytes }]));
    const message = `${folder} exists: ${archive} is unpacked into a new folder`;
    await assertRejects(() => unpackZip(archive, folder), Deno.errors.AlreadyExists, message);
    const controller = new AbortController();
    const onProgress = (done: number) => done > 0 && controller.abort(new Error("enough"));
    const { signal } = controller;
    const target = join(folder, "new");
    await assertRejects(() => unpackZip(archive, target, { onProgress, signal }), Error, "enough");
    await Deno.remove(archive);
    assertEquals(list(folder), []);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
