/** Damage to files, as a seeded stream draws it. */
import type { RandomStream } from "../../data/rng.ts";

/** Numbers that sizes, counts and offsets break on. */
const EXTREMES = [
  ...[0n, 1n, 0x7fn, 0x80n, 0xffn, 0x7fffn, 0xffffn, 0x7fffffffn, 0x80000000n, 0xffffffffn],
  ...[2n ** 31n - 8n, 2n ** 53n, 2n ** 63n - 1n, 2n ** 63n, 2n ** 64n - 1n],
];

/** Characters that structure the text formats, and digits. */
const MARKS = new TextEncoder().encode(`0123456789-+.eE{}[]()",': \t\r\n<>`);

/** A position: anywhere, or near the start or the end, where formats keep their headers. */
function position(length: number, stream: RandomStream): number {
  const near = Math.min(length, 400);
  switch (stream.integer(3)) {
    case 0:
      return stream.integer(near);
    case 1:
      return length - 1 - stream.integer(near);
    default:
      return stream.integer(length);
  }
}

function span(bytes: Uint8Array, stream: RandomStream): Uint8Array {
  const begin = position(bytes.length, stream);
  const most = stream.integer(4) === 0 ? bytes.length : 64;
  return bytes.slice(begin, begin + 1 + stream.integer(most));
}

function join(...parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(parts.flatMap((part) => [...part]));
}

function damage(
  bytes: Uint8Array<ArrayBuffer>,
  other: Uint8Array<ArrayBuffer>,
  stream: RandomStream,
): Uint8Array<ArrayBuffer> {
  const at = position(bytes.length, stream);
  const next = position(bytes.length, stream);
  switch (stream.integer(10)) {
    case 0: // a bit
      bytes[at] ^= 1 << stream.integer(8);
      return bytes;
    case 1: // a byte
      bytes[at] = stream.integer(256);
      return bytes;
    case 2: // a character
      bytes[at] = MARKS[stream.integer(MARKS.length)];
      return bytes;
    case 3:
    case 4: { // a number of one to eight bytes, of either byte order
      const value = EXTREMES[stream.integer(EXTREMES.length)];
      const width = 2 ** stream.integer(4);
      const number = Uint8Array.from(
        { length: width },
        (_, i) => Number(value >> BigInt(8 * i) & 0xffn),
      );
      if (stream.integer(4) === 0) number.reverse();
      bytes.set(number.subarray(0, bytes.length - at), at);
      return bytes;
    }
    case 5: // cut off
      return bytes.slice(0, at);
    case 6: // a span twice
      return join(bytes.subarray(0, next), span(bytes, stream), bytes.subarray(next));
    case 7: // a span gone
      return join(bytes.subarray(0, at), bytes.subarray(at + span(bytes, stream).length));
    case 8: { // a span in the place of another
      const moved = span(bytes, stream).subarray(0, bytes.length - at);
      bytes.set(moved, at);
      return bytes;
    }
    default: // the start of one file and the end of another
      return join(bytes.subarray(0, at), other.subarray(position(other.length, stream)));
  }
}

/** A damaged copy of one of `files`, none of which is empty. */
export function mutate(
  files: readonly Uint8Array<ArrayBuffer>[],
  stream: RandomStream,
): Uint8Array<ArrayBuffer> {
  let bytes = files[stream.integer(files.length)].slice();
  for (let edits = 1 + stream.integer(stream.integer(2) * 3 + 1); edits > 0; edits--) {
    if (bytes.length > 0) bytes = damage(bytes, files[stream.integer(files.length)], stream);
  }
  return bytes;
}
