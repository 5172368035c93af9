/** Files of PyTorch for tests, piece by piece. */
import type { TensorData } from "../../../../data/formats/tensor_data.ts";
import {
  BINPERSID,
  call,
  dict,
  EMPTY_DICT,
  global,
  int,
  pickle,
  type Piece,
  text,
  tuple,
} from "./pickler.ts";
import { writeZip, type ZipFile } from "../zip/zip_writer.ts";

/** The bytes of floats. */
export const floats = (...numbers: number[]): Uint8Array<ArrayBuffer> =>
  new Uint8Array(Float32Array.from(numbers).buffer);

/** A persistent id of a storage of floats. */
export function storage(
  key: string,
  size: number | bigint,
  type = "FloatStorage",
  module = "torch",
  ...part: Piece[]
): Piece {
  const id = [text("storage"), global(module, type), text(key), text("cpu"), int(size), ...part];
  return [tuple(...id), BINPERSID];
}

/** A tensor of a storage. */
export function tensor(from: Piece, offset: number, shape: number[], strides: number[]): Piece {
  const sizes = [shape, strides].map((numbers) => tuple(...numbers.map(int)));
  const rebuild = global("torch._utils", "_rebuild_tensor_v2");
  return call(rebuild, from, int(offset), ...sizes, 0x89, EMPTY_DICT);
}

/** A zip file of a pickle and one storage of four floats, `0`; `more` replaces or adds files. */
export function zipped(object: Piece, more: ZipFile[] = []): Uint8Array<ArrayBuffer> {
  const files = new Map<string, ZipFile>();
  const pickled = { name: "x/data.pkl", bytes: pickle(object) };
  const stored = { name: "x/data/0", bytes: floats(1, 2, 3, 4) };
  for (const file of [pickled, stored, ...more]) files.set(file.name, file);
  return writeZip([...files.values()]);
}

/** A zip file of one tensor, `weight`. */
export const weight = (described: Piece): Uint8Array<ArrayBuffer> =>
  zipped(dict(text("weight"), described));
/** The storage of the zip files. */
export const four: Piece = storage("0", 4);

/** The numbers of a tensor. */
export const values = ({ data }: TensorData): (number | bigint)[] =>
  Array.from<number | bigint>(data);
