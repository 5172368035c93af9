/**
 * The tensors in PyTorch's pickles: how they are described there, and how they come out of their storages.
 *
 * @module
 */
import { quote } from "../../files/messages.ts";
import {
  type Account,
  COST,
  Foreign,
  PickleGlobal,
  type Stateful,
  Tuple,
} from "./pickle_machine.ts";
import { FOREIGN, foreign } from "./pth_foreign.ts";
import { DTYPES, isCount, OTHER_DTYPES, Storage, STORAGES } from "./pth_storage.ts";
import { expansionLimit, type Layout, MAX_DIMENSIONS, sizeOf, stridedTensor } from "../strided.ts";
import {
  ARRAY_TYPES,
  hasNegative,
  negate,
  type TensorData,
  type TensorDtype,
} from "../tensor_data.ts";
import { UserError } from "../../files/user_error.ts";

/** The classes of tensors, as PyTorch once had them. */
const TENSOR_CLASSES = "Double Float Half BFloat16 Long Int Short Char Byte Bool".split(" ")
  .map((name) => `${name}Tensor`);

/** What PyTorch's pickles may name. */
export const GLOBALS: readonly PickleGlobal[] = [
  new PickleGlobal("torch._utils._rebuild_tensor", rebuildTensor),
  new PickleGlobal("torch._utils._rebuild_tensor_v2", rebuildTensor),
  new PickleGlobal("torch._utils._rebuild_tensor_v3", rebuildTypedTensor),
  new PickleGlobal("torch._utils._rebuild_parameter", rebuildParameter),
  new PickleGlobal("torch._utils._rebuild_parameter_with_state", rebuildParameter),
  new PickleGlobal("torch._tensor._rebuild_from_type_v2", rebuildFromType),
  new PickleGlobal("torch.nn.parameter.Parameter", makeHolder),
  new PickleGlobal("torch.nn.parameter.Buffer", makeHolder),
  new PickleGlobal("torch.Tensor", makeHolder),
  ...TENSOR_CLASSES.flatMap((name) => [
    new PickleGlobal(`torch.${name}`, makeHolder),
    new PickleGlobal(`torch.cuda.${name}`, makeHolder),
    foreign(`torch.sparse.${name}`, "a sparse tensor", true),
    foreign(`torch.cuda.sparse.${name}`, "a sparse tensor", true),
  ]),
  ...STORAGES.keys(),
  ...DTYPES.keys(),
  ...OTHER_DTYPES,
  ...FOREIGN,
];

/** A tensor as the pickle describes it. */
export class View implements Stateful {
  constructor(
    readonly storage: Storage,
    readonly dtype: TensorDtype,
    readonly layout: Layout,
    /** Whether its values are those of the storage with the other sign. */
    readonly isNegative = false,
  ) {}

  /** Attributes, such as whether a gradient is wanted, are passed over. */
  setState(): void {}
}

/**
 * A parameter or tensor that is made first and given its values then, as PyTorch wrote them before 0.4. A tensor
 * that is not supported comes as a {@link Foreign}.
 */
export class Holder implements Stateful {
  view: View | Foreign | undefined;

  setState(state: unknown): void {
    const items = state instanceof Tuple ? state.items : [];
    if (this.view !== undefined) return; // a parameter's: whether a gradient is wanted, and the hooks
    // A parameter's is its tensor and more, a tensor's its storage, offset, sizes and strides.
    this.view = items[0] instanceof Storage ? rebuildTensor(items) : viewOf(items[0]);
    if (this.view === undefined) {
      throw new UserError("sets the values of a tensor to something else");
    }
  }
}

/** The tensor that a value is; undefined for other values. */
export function viewOf(value: unknown): View | Foreign | undefined {
  if (value instanceof Holder) return value.view;
  return value instanceof View || (value instanceof Foreign && value.isTensor) ? value : undefined;
}

function isCounts(value: unknown): value is Tuple & { items: readonly number[] } {
  return value instanceof Tuple && value.items.every(isCount);
}

function rebuildTensor(args: readonly unknown[]): View | Foreign {
  const [storage, offset, shape, strides, , , metadata] = args;
  const dtype = storage instanceof Storage ? storage.kind.dtype : undefined;
  return makeView(storage, dtype, { offset, shape, strides, metadata });
}

/** With the element type by name: the storage is of bytes. */
function rebuildTypedTensor(args: readonly unknown[]): View | Foreign {
  const [storage, offset, shape, strides, , , type, metadata] = args;
  const dtype = type instanceof PickleGlobal ? DTYPES.get(type) : undefined;
  return makeView(storage, dtype, { offset, shape, strides, metadata });
}

function makeView(
  storage: unknown,
  dtype: TensorDtype | undefined,
  { offset, shape, strides, metadata = null }: Record<string, unknown>,
): View | Foreign {
  for (const counts of [shape, strides]) {
    if (!(counts instanceof Tuple) || counts.items.length <= MAX_DIMENSIONS) continue;
    throw new UserError(
      `describes a tensor of ${counts.items.length} dimensions: at most ${MAX_DIMENSIONS} are allowed`,
    );
  }
  const isTensor = storage instanceof Storage && isCount(offset) && isCounts(shape) &&
    isCounts(strides) && shape.items.length === strides.items.length;
  if (!isTensor) throw new UserError("describes a tensor by something else than its storage");
  if (dtype === undefined) return new Foreign(`a tensor of a ${storage.name}`, true);
  const layout = {
    shape: [...shape.items],
    strides: strides.items,
    offset: storage.begin + offset,
  };
  const isNegative = readMetadata(metadata);
  if (isNegative && !hasNegative(dtype)) {
    throw new UserError(`marks a tensor of ${dtype} as a negative, which that cannot be`);
  }
  return new View(storage, dtype, layout, isNegative);
}

/** PyTorch marks views that are computed when they are read: `neg` the negative, `conj` the complex conjugate. */
function readMetadata(metadata: unknown): boolean {
  if (metadata === null) return false;
  const entries = metadata instanceof Map ? [...metadata] : [["?", true]];
  const unknown = entries.filter(([key, value]) => key !== "neg" && value !== false);
  if (unknown.length > 0) {
    const [[mark]] = unknown;
    const shown = typeof mark === "string" ? quote(mark) : "something";
    throw new UserError(`marks a tensor as ${shown}, which is not supported`);
  }
  return entries.some(([key, value]) => key === "neg" && value === true);
}

function rebuildParameter([tensor]: readonly unknown[]): View | Foreign {
  const view = viewOf(tensor);
  if (view !== undefined) return view;
  throw new UserError("makes a parameter of something that is no tensor");
}

/** `(function, class, arguments, state)`: a tensor with attributes, or of a class of its own. */
function rebuildFromType(
  [callee, , args]: readonly unknown[],
  account: Account,
): View | Foreign {
  // Not itself: arguments in arguments would go as deep as a file is long.
  const isCall = callee instanceof PickleGlobal && callee.call !== undefined &&
    callee.call !== rebuildFromType && args instanceof Tuple;
  const view = isCall ? viewOf(callee.call!(args.items, account)) : undefined;
  if (view !== undefined) return view;
  throw new UserError("makes a tensor of something that is none");
}

function makeHolder(args: readonly unknown[], { spend }: Account): Holder {
  spend(COST.object);
  const holder = new Holder();
  holder.view = viewOf(args[0]);
  if (args.length === 0 || holder.view !== undefined) return holder;
  throw new UserError("makes a tensor of something that is none");
}

/** PyTorch packs nothing, and stores what is shared once: its files take little more memory than bytes. */
export const PTH_TIMES = 4;

/** The tensors of the views. `stored` has the bytes of their storages by key, and the file has `fileBytes`. */
export function readViews(
  views: ReadonlyMap<string, View>,
  stored: ReadonlyMap<string, Uint8Array<ArrayBuffer>>,
  fileBytes: number,
): Map<string, TensorData> {
  // Views share storages and repeat elements by a stride of 0: count what they come to before making any.
  let total = 0;
  for (const { dtype, layout } of views.values()) {
    total += sizeOf(layout.shape) * ARRAY_TYPES[dtype].BYTES_PER_ELEMENT;
  }
  const limit = expansionLimit(fileBytes, PTH_TIMES);
  if (total > limit) {
    throw new UserError(
      `The tensors of the file's ${fileBytes} bytes come to ${total}: at most ${limit} are allowed`,
    );
  }
  const tensors = new Map<string, TensorData>();
  for (const [name, { storage, dtype, layout, isNegative }] of views) {
    const bytes = stored.get(storage.key);
    try {
      if (bytes === undefined) throw new UserError("its storage is not in the file");
      const tensor = stridedTensor(dtype, layout, bytes);
      tensors.set(name, isNegative ? negate(tensor) : tensor);
    } catch (error) {
      throw UserError.within(`Tensor ${quote(name)}`, error);
    }
  }
  return tensors;
}
