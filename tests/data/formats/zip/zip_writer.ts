/** Zip archives for tests, with everything in them to be falsified. */
import { crc32, deflateRawSync } from "node:zlib";

/** A file in an archive. What is left out is as it should be. */
export interface ZipFile {
  name: string;
  bytes: Uint8Array;
  deflated?: boolean;
  /** Whether sizes and offset are written in zip64's field. */
  wide?: boolean;
  method?: number;
  flags?: number;
  /** The mode bits of Unix. */
  mode?: number;
  size?: number;
  packedSize?: number;
  crc?: number;
  /** Where the directory says that the entry is. */
  at?: number;
  /** The name in the entry's own header. */
  localName?: string;
}

/** What the end record says; what is left out is as it should be. */
export interface ZipEnd {
  comment?: string;
  count?: number;
  size?: number;
  at?: number;
  disk?: number;
  /** Whether there is a zip64 end record, which says the truth. */
  wide?: boolean;
}

/** Little-endian numbers of so many bytes. */
function numbers(count: number, values: number[]): Uint8Array {
  return Uint8Array.from(
    values.flatMap((value) =>
      Array.from({ length: count }, (_, i) => Number(BigInt(value) >> BigInt(8 * i) & 0xffn))
    ),
  );
}
const u8 = (...values: number[]) => numbers(1, values);
const u16 = (...values: number[]) => numbers(2, values);
const u32 = (...values: number[]) => numbers(4, values);
const u64 = (...values: number[]) => numbers(8, values);

/** Put bytes one after the other. */
export function concat(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return concatAll(parts);
}

/** The same of a list, which may be long. */
function concatAll(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

/** The bytes of an archive. */
export function writeZip(files: readonly ZipFile[], end: ZipEnd = {}): Uint8Array<ArrayBuffer> {
  const encoder = new TextEncoder();
  const parts: Uint8Array[] = [];
  const directory: Uint8Array[] = [];
  let at = 0;
  for (const file of files) {
    const packed = file.deflated ? new Uint8Array(deflateRawSync(file.bytes)) : file.bytes;
    const name = encoder.encode(file.name);
    const localName = encoder.encode(file.localName ?? file.name);
    const size = file.size ?? file.bytes.length;
    const packedSize = file.packedSize ?? packed.length;
    const crc = file.crc ?? crc32(file.bytes);
    const method = file.method ?? (file.deflated ? 8 : 0);
    const common = concat(u16(file.flags ?? 0, method, 0, 0), u32(crc));
    const local = [u32(0x04034b50), u16(20), common, u32(packedSize, size)];
    const own = concat(...local, u16(localName.length, 0), localName, packed);
    const begin = file.at ?? at;
    const counts = u64(size, packedSize, begin);
    // A field of another kind comes first, as a reader must step over it.
    const extra = file.wide ? concat(u16(0xcafe, 1), u8(7), u16(1, 24), counts) : u8();
    const shown = (value: number) => u32(file.wide ? 0xffffffff : value);
    directory.push(
      ...[u32(0x02014b50), u16(20 | 3 << 8, 20), common, shown(packedSize), shown(size)],
      ...[u16(name.length, extra.length, 0, 0, 0), u32((file.mode ?? 0o100644) * 65536)],
      ...[shown(begin), name, extra],
    );
    parts.push(own);
    at += own.length;
  }
  const bytes = concatAll(directory);
  const count = files.length;
  const wide = end.wide
    ? [
      ...[u32(0x06064b50), u64(44), u16(45, 45), u32(0, 0), u64(count, count, bytes.length, at)],
      ...[u32(0x07064b50, 0), u64(at + bytes.length), u32(1)],
    ]
    : [];
  const comment = encoder.encode(end.comment ?? "");
  const says = end.wide ? { count: 0xffff, size: 0xffffffff, at: 0xffffffff, ...end } : end;
  return concat(
    ...[concatAll(parts), bytes, ...wide, u32(0x06054b50), u16(end.disk ?? 0, 0)],
    ...[u16(says.count ?? count, says.count ?? count), u32(says.size ?? bytes.length)],
    ...[u32(says.at ?? at), u16(comment.length), comment],
  );
}
