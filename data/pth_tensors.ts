/**
 * The tensors in PyTorch's pickles: how they are described there, and how they come out of their storages.
 *
 * @module
 */
import { quote } from "./messages.ts";
import { PickleGlobal, Tuple } from "./pickle.ts";
import { expansionLimit, type Layout, sizeOf, stridedTensor } from "./strided.ts";
import { ARRAY_TYPES, type TensorData, type TensorDtype } from "./tensor_data.ts";

/** PyTorch's storage classes. */
const STORAGES = new Map<PickleGlobal, TensorDtype>(
  Object.entries<TensorDtype>({
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
  }).map(([name, dtype]) => [new PickleGlobal(`torch.${name}Storage`), dtype]),
);

/** What PyTorch's pickles may name. */
export const GLOBALS = [
  new PickleGlobal("torch._utils._rebuild_tensor_v2", rebuildTensor),
  new PickleGlobal("torch._utils._rebuild_parameter", rebuildParameter),
  ...STORAGES.keys(),
];

/** A storage as the pickle names it. */
export class Storage {
  constructor(
    /** The name of its bytes in the file. */
    readonly key: string,
    readonly dtype: TensorDtype,
    /** How many elements it has. */
    readonly size: number,
  ) {}

  /** How many bytes it has. */
  get byteLength(): number {
    return this.size * ARRAY_TYPES[this.dtype].BYTES_PER_ELEMENT;
  }
}

/** A tensor as the pickle describes it. */
export class View {
  constructor(readonly storage: Storage, readonly layout: Layout) {}
}

function isCount(value: unknown): value is number {
  return Number.isSafeInteger(value) && (value as number) >= 0;
}

function isCounts(value: unknown): value is Tuple & { items: readonly number[] } {
  return value instanceof Tuple && value.items.every(isCount);
}

function rebuildTensor(args: readonly unknown[]): View {
  const [storage, offset, shape, strides] = args;
  const isTensor = storage instanceof Storage && isCount(offset) && isCounts(shape) &&
    isCounts(strides) && shape.items.length === strides.items.length;
  if (!isTensor) throw new SyntaxError("describes a tensor by something else than its storage");
  return new View(storage, { shape: [...shape.items], strides: strides.items, offset });
}

function rebuildParameter([tensor]: readonly unknown[]): View {
  if (tensor instanceof View) return tensor;
  throw new SyntaxError("makes a parameter of something that is no tensor");
}

/** Read a persistent id: the tuple `("storage", class, key, device, size)`; in the older format a sixth is None. */
export function readStorage(id: unknown): Storage {
  const [kind, type, key, device, size, view] = id instanceof Tuple ? id.items : [];
  const dtype = type instanceof PickleGlobal ? STORAGES.get(type) : undefined;
  const isStorage = kind === "storage" && dtype !== undefined && typeof key === "string" &&
    typeof device === "string" && isCount(size);
  if (!isStorage) throw new SyntaxError("describes a storage in an unknown way");
  if (view !== undefined && view !== null) {
    throw new SyntaxError("has a view of a storage, as PyTorch wrote before 0.4: not supported");
  }
  return new Storage(key, dtype, size);
}

/** The entries of a checkpoint that can hold the state dict. */
const NESTED = ["state_dict", "model"];

/** The tensors of a state dict by name, or of the one that a checkpoint holds. */
export function stateDict(value: unknown): Map<string, View> {
  if (!(value instanceof Map)) {
    throw new SyntaxError(`It holds ${show(value)}: a dict of tensors by name is needed`);
  }
  const nested = NESTED.map((key) => value.get(key)).find((inner) => inner instanceof Map);
  const views = new Map<string, View>();
  for (const [name, view] of (nested ?? value) as Map<unknown, unknown>) {
    if (typeof name !== "string" || !(view instanceof View)) {
      const where = nested === undefined
        ? "It is a dict without state_dict or model, so all of it"
        : "All of its state dict";
      throw new SyntaxError(
        `${where} must be tensors by name: under ${show(name)} there is ${show(view)}`,
      );
    }
    views.set(name, view);
  }
  return views;
}

/** The tensors of the views. `stored` has the bytes of their storages by key, and the file has `fileBytes`. */
export function readViews(
  views: ReadonlyMap<string, View>,
  stored: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  fileBytes: number,
): Map<string, TensorData> {
  // Views share storages and repeat elements by a stride of 0: count what they come to before making any.
  let total = 0;
  for (const { storage: { dtype }, layout } of views.values()) {
    total += sizeOf(layout.shape) * ARRAY_TYPES[dtype].BYTES_PER_ELEMENT;
  }
  const limit = expansionLimit(fileBytes);
  if (total > limit) {
    throw new RangeError(
      `The tensors of the file's ${fileBytes} bytes come to ${total}: at most ${limit} are allowed`,
    );
  }
  const tensors = new Map<string, TensorData>();
  for (const [name, { storage, layout }] of views) {
    const bytes = stored.get(storage.key);
    try {
      if (bytes === undefined) throw new SyntaxError("its storage is not in the file");
      tensors.set(name, stridedTensor(storage.dtype, layout, bytes));
    } catch (error) {
      if (!(error instanceof SyntaxError)) throw error;
      throw new SyntaxError(`Tensor ${quote(name)}: ${error.message}`);
    }
  }
  return tensors;
}

/** What an error message says of a value. */
export function show(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object") return String(value);
  if (value instanceof View) return "a tensor";
  if (value instanceof Map) return "a dict";
  if (Array.isArray(value)) return "a list";
  return value instanceof Tuple ? "a tuple" : "another value";
}
