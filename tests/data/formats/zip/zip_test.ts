import { assert, assertEquals, assertRejects } from "@std/assert";
import { join } from "@std/path";
import {
  fileSource,
  memorySource,
  readZipDirectory,
  readZipEntry,
  streamZipEntry,
} from "../../../../data/formats/zip/zip.ts";
import { permissionTest } from "../../../support.ts";
import { writeZip, type ZipEnd, type ZipFile } from "./zip_writer.ts";
import { UserError } from "../../../../data/files/user_error.ts";

const text = new TextEncoder();
const some = { name: "folder/some.txt", bytes: text.encode("some text") };
const b = { name: "b", bytes: text.encode("more") };
const zeros = { name: "zeros", bytes: new Uint8Array(3_000_000), deflated: true };

/** All entries of an archive, or the error of reading them. */
async function read(bytes: Uint8Array<ArrayBuffer>, most = 1e9): Promise<Map<string, Uint8Array>> {
  const source = memorySource(bytes);
  const read = new Map<string, Uint8Array>();
  for (const [name, entry] of await readZipDirectory(source, most)) {
    read.set(name, await readZipEntry(source, entry));
  }
  return read;
}

Deno.test("readZipEntry() reads stored and deflated entries, also with zip64", async () => {
  const expected = new Map([[some.name, some.bytes], [zeros.name, zeros.bytes]]);
  for (const wide of [false, true]) {
    const files: ZipFile[] = [{ ...some, wide }, { ...zeros, wide }];
    assertEquals(await read(writeZip(files, { wide, comment: "PK\x05\x06 a comment" })), expected);
  }
  assertEquals(await read(writeZip([])), new Map());
});

Deno.test("readZipEntry() gives views of an archive in memory", async () => {
  const bytes = writeZip([some]);
  assert((await read(bytes)).get(some.name)!.buffer === bytes.buffer);
});

Deno.test("readZipDirectory() says what an entry is", async () => {
  const link = { name: "link", bytes: text.encode("target"), mode: 0o120777 };
  const bytes = writeZip([{ name: "folder/", bytes: new Uint8Array(0) }, link]);
  const entries = [...(await readZipDirectory(memorySource(bytes), 1e9)).values()];
  assertEquals(entries.map(({ name, isLink }) => [name, isLink]), [["folder/", false], [
    "link",
    true,
  ]]);
});

Deno.test("a zip archive that is malformed is refused", async () => {
  const long = { ...some, name: "n".repeat(100) };
  const wrong: [string, ZipFile[], ZipEnd?][] = [
    ["is encrypted", [{ ...some, flags: 1 }]],
    ["packed by method 14", [{ ...some, method: 14 }]],
    ["cannot have 10 bytes in 9", [{ ...some, size: 10 }]],
    ["cannot have 900000000 bytes in", [{ ...zeros, size: 9e8 }]],
    [`"folder/some.txt" twice`, [some, { ...some, deflated: true }]],
    [`"other" is damaged: Overlapping`, [some, { ...some, name: "other", at: 0 }]],
    [`"other" is damaged: Local`, [some, { ...some, name: "other", at: 40 }]],
    // One that lies within the bytes of another, with a header of its own.
    [`"b" is damaged: Overlapping`, [{ name: "a", bytes: writeZip([b]) }, { ...b, at: 31 }]],
    ["Local file header not found", [{ ...some, at: 5000 }]],
    ["Local file header not found", [{ ...some, at: 1 }]],
    ["(filename)", [{ ...some, localName: "folder/same.txt" }]],
    ["(filename)", [{ ...some, localName: "short" }, long]],
    ["Entry data out of bounds", [{ ...some, size: 100, packedSize: 100 }]],
    ["its CRC-32 is", [{ ...some, crc: 1 }]],
    ["its CRC-32 is", [{ ...zeros, crc: 1 }]],
    ["more than the 2999999 bytes", [{ ...zeros, size: 2_999_999 }]],
    ["has 3000000 bytes, and should have 3000001", [{ ...zeros, size: 3_000_001 }]],
    ["cannot be unpacked", [{ ...some, bytes: text.encode("\xff".repeat(9)), method: 8 }]],
    ["has 3000000 bytes, and should have", [{ ...zeros, size: 3_000_500 }, long]],
    ["Split zip file", [some], { disk: 1 }],
    ["Central directory header not found", [long], { count: 2 }],
    ["Central directory header not found", [some], { count: 9 }],
    ["mismatched central directory offset", [some], { at: 9000 }],
    ["more than 16777216 bytes, the limit", [some], { size: 2 ** 31 }],
    // To look for the place of each entry would take long.
    ["directory is damaged", Array.from({ length: 300 }, () => ({ ...some, at: 9 })), { at: 9 }],
    ["mismatched central directory offset", [some], { at: 1 }],
  ];
  for (const [message, files, end] of wrong) {
    await assertRejects(() => read(writeZip(files, end)), UserError, message);
  }
  const whole = writeZip([some, zeros], { wide: true });
  for (const length of [0, 21, 30, whole.length - 60, whole.length - 1]) {
    await assertRejects(() => read(whole.slice(0, length)), UserError, "its end is missing");
  }
});

Deno.test("readZipDirectory() refuses what would unpack to more than is allowed", async () => {
  const bytes = writeZip([zeros, { ...zeros, name: "more" }]);
  assert(bytes.length < 10_000);
  assertEquals((await read(bytes, 6_000_000)).size, 2);
  await assertRejects(
    () => read(bytes, 5_999_999),
    UserError,
    "would unpack to 6000000: at most 5999999",
  );
});

permissionTest(
  "streamZipEntry() reads from a file, piece by piece",
  [{ name: "write" }],
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const path = join(folder, "some.zip");
      await Deno.writeFile(
        path,
        writeZip([some, zeros, { ...zeros, name: "stored", deflated: false }]),
      );
      using file = await Deno.open(path);
      const source = await fileSource(file);
      const entries = await readZipDirectory(source, 1e9);
      assertEquals(await readZipEntry(source, entries.get(some.name)!), some.bytes);
      const sizes = await Array.fromAsync(
        streamZipEntry(source, entries.get("stored")!),
        (piece) => piece.length,
      );
      assertEquals(sizes.length, Math.ceil(3_000_000 / 2 ** 16));
      assertEquals(sizes.reduce((sum, size) => sum + size), 3_000_000);
      // A reader may stop early.
      for await (const piece of streamZipEntry(source, entries.get("zeros")!)) {
        assert(piece.length > 0);
        break;
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

Deno.test("an archive of very many entries is refused", async () => {
  const bytes = new Uint8Array(0);
  const files = Array.from({ length: 20_001 }, (_, i) => ({ name: `f${i}`, bytes }));
  const message = "has more than 20000 entries";
  await assertRejects(() => read(writeZip(files)), UserError, message);
});
