/**
 * The safetensors format (https://github.com/huggingface/safetensors): eight bytes with the length
 * of a JSON header, the header, and the tensors' bytes without holes. Read and written in full.
 *
 * @module
 */

import { decodeFile, writeWhole } from "../files/file.ts";
import { parseJson } from "../files/json.ts";
import { printable, quote } from "../files/messages.ts";
import { MAX_DIMENSIONS, sizeOf, tensorAt } from "./strided.ts";
import { checkNumberKeys } from "../files/table_keys.ts";
import {
  ARRAY_TYPES,
  isDtype,
  type TensorData,
  type TensorDtype,
  whyNotFinite,
} from "./tensor_data.ts";
import { UserError } from "../files/user_error.ts";

export { type TensorData, toFloat32 } from "./tensor_data.ts";

/** What a safetensors file holds. */
export interface SafetensorsFile {
  /** The tensors by name, in the order of the header. */
  tensors: Map<string, TensorData>;
  /** The header's `__metadata__`; empty when it has none. */
  metadata: Record<string, string>;
}

/** The longest header that is read, in bytes: a vocabulary of a million words in the metadata has room. */
const MAX_HEADER = 2 ** 25;

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/** A value of the header as a message shows it. */
function show(value: unknown): string {
  if (typeof value === "string") return quote(value);
  return printable(JSON.stringify(value) ?? String(value), { most: 80 });
}

/**
 * The bytes of a safetensors file. As the reference writer does, tensors with wide elements come
 * first and the header is padded to a multiple of eight, so every tensor is aligned.
 * A TypeError when a tensor's data does not fit its dtype or shape, or a name is not allowed.
 *
 * ```ts
 * const bytes = encodeSafetensors(
 *   new Map([["bias", { dtype: "F32", shape: [2], data: Float32Array.of(1, 2) }]]),
 *   { step: "10" },
 * );
 * const { tensors, metadata } = decodeSafetensors(bytes);
 * if (tensors.get("bias")?.data[1] !== 2 || metadata.step !== "10") throw new Error("lost");
 * ```
 */
export function encodeSafetensors(
  tensors: ReadonlyMap<string, TensorData>,
  metadata: Record<string, string> = {},
): Uint8Array<ArrayBuffer> {
  const ordered = [...tensors].sort(([nameA, a], [nameB, b]) =>
    b.data.BYTES_PER_ELEMENT - a.data.BYTES_PER_ELEMENT ||
    (nameA < nameB ? -1 : nameA > nameB ? 1 : 0)
  );
  const header: [string, unknown][] = [];
  if (Object.keys(metadata).length > 0) header.push(["__metadata__", metadata]);
  let end = 0;
  for (const [name, tensor] of ordered) {
    checkTensor(name, tensor);
    const { dtype, shape, data } = tensor;
    header.push([name, { dtype, shape, data_offsets: [end, end += data.byteLength] }]);
  }
  // Object.fromEntries defines own properties, so a tensor may even be called "__proto__".
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)));
  const start = 8 + Math.ceil(json.length / 8) * 8;
  const bytes = new Uint8Array(start + end);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(start - 8), true);
  bytes.fill(0x20, 8, start);
  bytes.set(json, 8);
  let offset = start;
  for (const [, { data }] of ordered) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), offset);
    offset += data.byteLength;
  }
  return bytes;
}

function checkTensor(name: string, { dtype, shape, data }: TensorData): void {
  if (name === "__metadata__") {
    throw new TypeError(`A tensor cannot be called "__metadata__": the format keeps that name`);
  }
  if (!isDtype(dtype)) {
    throw new TypeError(
      `Tensor ${quote(name)} has dtype ${show(dtype)}: allowed are ${
        Object.keys(ARRAY_TYPES).join(", ")
      }`,
    );
  }
  if (!(data instanceof ARRAY_TYPES[dtype])) {
    throw new TypeError(
      `Tensor ${quote(name)} of dtype ${dtype} needs a ${ARRAY_TYPES[dtype].name}`,
    );
  }
  if (!shape.every(isCount) || sizeOf(shape) !== data.length) {
    throw new TypeError(
      `Tensor ${quote(name)} has shape [${shape}], which does not hold its ${data.length} values`,
    );
  }
}

/**
 * Read the bytes of a safetensors file. Aligned tensors are views of `bytes`; the others are copied.
 * A file that is malformed in any way is a UserError that names the tensor and what is wrong.
 */
export function decodeSafetensors(bytes: Uint8Array<ArrayBuffer>): SafetensorsFile {
  const { header, start } = readHeader(bytes);
  const metadata = readMetadata(header.get("__metadata__"));
  header.delete("__metadata__");
  const tensors = new Map<string, TensorData>();
  const ranges: { name: string; begin: number; end: number }[] = [];
  for (const [name, entry] of header) {
    const { dtype, shape, begin, end } = readEntry(name, entry, bytes.length - start);
    ranges.push({ name, begin, end });
    tensors.set(name, tensorAt(dtype, shape, bytes, start + begin));
  }
  checkCover(ranges, bytes.length - start);
  return { tensors, metadata };
}

function readHeader(bytes: Uint8Array<ArrayBuffer>): {
  header: Map<string, unknown>;
  start: number;
} {
  if (bytes.length < 8) {
    throw new UserError(
      `A safetensors file starts with 8 bytes of header length: there are ${bytes.length} bytes`,
    );
  }
  const length = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  const available = Math.min(bytes.length - 8, MAX_HEADER);
  if (length > available) {
    throw new UserError(
      `The header's length is ${length} bytes, but at most ${available} are possible here`,
    );
  }
  const text = decodeText(bytes.subarray(8, 8 + length));
  // The header, a tensor, its shape.
  const header = parseJson(text, { what: "The header", depth: 3 });
  if (!isRecord(header)) {
    throw new UserError(`The header must be a JSON object: it is ${show(header)}`);
  }
  checkNumberKeys(Object.keys(header), "The header");
  return { header: new Map(Object.entries(header)), start: 8 + length };
}

function decodeText(bytes: Uint8Array<ArrayBuffer>): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch {
    throw new UserError("The header is not UTF-8 text");
  }
}

function readMetadata(value: unknown): Record<string, string> {
  if (value === undefined) return {};
  if (!isRecord(value)) {
    throw new UserError(`"__metadata__" must be a JSON object: it is ${show(value)}`);
  }
  const entries = Object.entries(value).map(([key, text]): [string, string] => {
    if (typeof text === "string") return [key, text];
    throw new UserError(`"__metadata__" must hold strings: ${quote(key)} is ${show(text)}`);
  });
  return Object.fromEntries(entries);
}

function readEntry(name: string, entry: unknown, available: number): {
  dtype: TensorDtype;
  shape: number[];
  begin: number;
  end: number;
} {
  const tensor = `Tensor ${quote(name)}`;
  if (!isRecord(entry)) {
    throw new UserError(`${tensor} must be a JSON object: it is ${show(entry)}`);
  }
  const { dtype, shape, data_offsets: offsets } = entry;
  if (!isDtype(dtype)) {
    throw new UserError(
      `${tensor} has dtype ${show(dtype)}: known are ${Object.keys(ARRAY_TYPES).join(", ")}`,
    );
  }
  if (!Array.isArray(shape) || !shape.every(isCount)) {
    throw new UserError(`${tensor} needs a shape of whole numbers: it is ${show(shape)}`);
  }
  if (shape.length > MAX_DIMENSIONS) {
    throw new UserError(
      `${tensor} has ${shape.length} dimensions: at most ${MAX_DIMENSIONS} are allowed`,
    );
  }
  if (!Array.isArray(offsets) || offsets.length !== 2 || !offsets.every(isCount)) {
    throw new UserError(`${tensor} needs two data_offsets: they are ${show(offsets)}`);
  }
  const [begin, end]: number[] = offsets;
  if (begin > end || end > available) {
    throw new UserError(
      `${tensor} has data_offsets [${begin}, ${end}]: the file has ${available} bytes of data`,
    );
  }
  const expected = sizeOf(shape) * ARRAY_TYPES[dtype].BYTES_PER_ELEMENT;
  if (expected !== end - begin) {
    throw new UserError(
      `${tensor} of dtype ${dtype} and shape ${show(shape)} needs ${expected} bytes: it has ${
        end - begin
      }`,
    );
  }
  return { dtype, shape, begin, end };
}

/** The tensors' ranges must follow each other without overlap or hole, to the last byte. */
function checkCover(ranges: { name: string; begin: number; end: number }[], total: number): void {
  let covered = 0;
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end);
  for (const { name, begin, end } of ranges) {
    if (begin !== covered) {
      throw new UserError(
        `Tensor ${quote(name)} starts at byte ${begin} of the data, which leaves ${
          begin < covered ? "an overlap with" : "a hole after"
        } the ${covered} bytes before it`,
      );
    }
    covered = end;
  }
  if (covered !== total) {
    throw new UserError(`The tensors take ${covered} bytes of data, but the file has ${total}`);
  }
}

/** Read a safetensors file. A malformed one is a UserError that names the file. */
export function readSafetensors(path: string): Promise<SafetensorsFile> {
  return decodeFile(path, "is not a safetensors file", decodeSafetensors);
}

/**
 * Write a safetensors file. The bytes go to `path` + ".part" first, which then takes the place of
 * `path`: a file that was there stays whole when the write is interrupted.
 *
 * A UserError that names the tensor, before anything is written, where a number is NaN or infinite: weights
 * that are so are worth nothing. ({@linkcode encodeSafetensors} takes them.)
 */
export async function writeSafetensors(
  path: string,
  tensors: ReadonlyMap<string, TensorData>,
  metadata: Record<string, string> = {},
): Promise<void> {
  for (const [name, tensor] of tensors) {
    const why = whyNotFinite(tensor);
    if (why !== undefined) {
      throw new UserError(`${path} is not written: tensor ${quote(name)} ${why}`);
    }
  }
  await writeWhole(path, encodeSafetensors(tensors, metadata));
}
