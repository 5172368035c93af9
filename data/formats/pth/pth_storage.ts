/**
 * The storages and element types in PyTorch's pickles.
 *
 * @module
 */
import { quote } from "../../files/messages.ts";
import { PickleGlobal, Tuple } from "./pickle_machine.ts";
import { ARRAY_TYPES, type TensorDtype } from "../tensor_data.ts";
import { UserError } from "../../files/user_error.ts";

/** A class of storages. */
export interface StorageKind {
  /** What its elements are; undefined where that is not supported. */
  dtype: TensorDtype | undefined;
  /** Bytes of an element. */
  bytesEach: number;
}

/** PyTorch's storage classes. */
export const STORAGES = new Map<PickleGlobal, StorageKind>([
  ...Object.entries<TensorDtype>({
    Double: "F64",
    Float: "F32",
    Half: "F16",
    BFloat16: "BF16",
    Long: "I64",
    Int: "I32",
    Short: "I16",
    Char: "I8",
    Byte: "U8",
    Bool: "BOOL",
  }).flatMap(([name, dtype]) =>
    ["torch", "torch.cuda"].map((module): [PickleGlobal, StorageKind] => [
      new PickleGlobal(`${module}.${name}Storage`),
      { dtype, bytesEach: ARRAY_TYPES[dtype].BYTES_PER_ELEMENT },
    ])
  ),
  ...Object.entries({
    "torch.ComplexFloat": 8,
    "torch.ComplexDouble": 16,
    "torch.QInt8": 1,
    "torch.QUInt8": 1,
    "torch.QInt32": 4,
    "torch.QUInt4x2": 1,
    "torch.QUInt2x4": 1,
    "torch.cuda.ComplexFloat": 8,
    "torch.cuda.ComplexDouble": 16,
    "torch.storage.Untyped": 1,
    "torch.cuda.Untyped": 1,
  }).map(([name, bytesEach]): [PickleGlobal, StorageKind] => [
    new PickleGlobal(`${name}Storage`),
    { dtype: undefined, bytesEach },
  ]),
]);

/** PyTorch's element types, as `_rebuild_tensor_v3` names them. */
export const DTYPES = new Map<PickleGlobal, TensorDtype>(
  Object.entries<TensorDtype>({
    float64: "F64",
    float32: "F32",
    float16: "F16",
    bfloat16: "BF16",
    float8_e4m3fn: "F8_E4M3",
    float8_e5m2: "F8_E5M2",
    int64: "I64",
    int32: "I32",
    int16: "I16",
    int8: "I8",
    uint64: "U64",
    uint32: "U32",
    uint16: "U16",
    uint8: "U8",
    bool: "BOOL",
  }).map(([name, dtype]) => [new PickleGlobal(`torch.${name}`), dtype]),
);

/** Element types that can only be named. */
export const OTHER_DTYPES = [
  ..."complex32 complex64 complex128 qint8 quint8 qint32 quint4x2 quint2x4".split(" "),
  ..."bits8 bits16 bits1x8 bits2x4 bits4x2 float8_e4m3fnuz float8_e5m2fnuz".split(" "),
  ..."float8_e8m0fnu float4_e2m1fn_x2".split(" "),
  ...[1, 2, 3, 4, 5, 6, 7].flatMap((bits) => [`int${bits}`, `uint${bits}`]),
].map((name) => new PickleGlobal(`torch.${name}`));

/** A storage as the pickle names it. */
export class Storage {
  constructor(
    /** The name of its bytes in the file. */
    readonly key: string,
    readonly kind: StorageKind,
    /** How many elements it has. */
    readonly size: number,
    /** Its class, for messages. */
    readonly name: string,
    /** The element where it begins, if it is a part of that storage. */
    readonly begin = 0,
  ) {}

  /** How many bytes it has. */
  get byteLength(): number {
    return this.size * this.kind.bytesEach;
  }
}

/** Whether a value can count elements. */
export function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

/**
 * Read a persistent id: the tuple `("storage", class, key, device, size)`. In the older format a sixth is None,
 * or `(key, first element, size)` of the part of the storage that is meant.
 */
export function readStorage(id: unknown): Storage {
  const [kind, type, key, device, size, part] = id instanceof Tuple ? id.items : [];
  const known = type instanceof PickleGlobal ? STORAGES.get(type) : undefined;
  const isStorage = kind === "storage" && known !== undefined && typeof key === "string" &&
    typeof device === "string" && isCount(size);
  if (!isStorage) throw new UserError("describes a storage in an unknown way");
  const name = (type as PickleGlobal).name.replace(/^.*\./, "");
  if (part === undefined || part === null) return new Storage(key, known, size, name);
  const [, begin, length] = part instanceof Tuple ? part.items : [];
  if (!isCount(begin) || !isCount(length) || begin + length > size) {
    throw new UserError(`describes a part of the storage ${quote(key)} that it does not have`);
  }
  return new Storage(key, known, size, name, begin);
}
