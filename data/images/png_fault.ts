/**
 * What is wrong with a PNG, of which the image library often says nothing
 * (https://www.w3.org/TR/png-3/#5DataRep).
 *
 * @module
 */
import { crc32 } from "node:zlib";
import { quote } from "../files/messages.ts";

/** Where the first chunk stands. */
const FIRST = 8;

/**
 * The first fault of a PNG that is not decoded: a chunk that ends early or whose checksum is wrong, or data that
 * cannot be unpacked.
 *
 * ```ts
 * const fault = pngFault(Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10, 0, 0));
 * if (fault !== "PNG: it ends within its chunks, after 10 bytes") throw new Error(fault);
 * ```
 */
export function pngFault(bytes: Uint8Array): string {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  for (let at = FIRST; at + 12 <= bytes.length;) {
    const length = view.getUint32(at);
    const kind = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    const end = at + 8 + length;
    if (end + 4 > bytes.length) break;
    if (crc32(bytes.subarray(at + 4, end)) !== view.getUint32(end)) {
      return `PNG: its chunk ${quote(kind)} at byte ${at} is damaged: the checksum is wrong`;
    }
    if (kind === "IEND") return "PNG: its header or its packed data are damaged";
    at = end + 4;
  }
  return `PNG: it ends within its chunks, after ${bytes.length} bytes`;
}
