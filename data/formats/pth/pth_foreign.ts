/**
 * What stands beside the weights in people's checkpoints: settings, counters, devices, numbers of NumPy. These
 * objects are passed over, so that the weights can be read; nothing of them is made or called. Any other name
 * of Python is refused.
 *
 * @module
 */
import { COST, Foreign, PickleGlobal } from "./pickle_machine.ts";

/** A global whose calls and objects are passed over. */
export function foreign(name: string, what = `a ${name}`, isTensor = false): PickleGlobal {
  return new PickleGlobal(name, (_, { spend }) => {
    spend(COST.object);
    return new Foreign(what, isTensor);
  });
}

/** Module by module, in Python 3's names. */
const HARMLESS: Readonly<Record<string, string>> = {
  builtins:
    "set frozenset bytearray complex slice range object list dict tuple int float str bool long unicode xrange",
  collections: "Counter deque",
  argparse: "Namespace",
  types: "SimpleNamespace",
  copyreg: "_reconstructor",
  datetime: "datetime date time timedelta timezone",
  decimal: "Decimal",
  fractions: "Fraction",
  uuid: "UUID",
  typing: "Any",
  pathlib: "Path PosixPath PurePath PurePosixPath WindowsPath PureWindowsPath",
  "pathlib._local": "Path PosixPath PurePath PurePosixPath WindowsPath PureWindowsPath",
  numpy:
    "dtype ndarray bool bool_ float16 float32 float64 float128 longdouble int8 int16 int32 int64 " +
    "intc uint8 uint16 uint32 uint64 complex64 complex128 str_ bytes_ void",
  "numpy._core.multiarray": "scalar _reconstruct",
  "numpy._core.numeric": "_frombuffer",
  torch: "Size device memory_format strided channels_last channels_last_3d contiguous_format " +
    "preserve_format sparse_coo per_tensor_affine per_tensor_symmetric per_channel_affine " +
    "per_channel_symmetric per_channel_affine_float_qparams",
  "torch.serialization": "_get_layout",
  "torch.storage": "TypedStorage",
  easydict: "EasyDict",
  "yacs.config": "CfgNode",
  "omegaconf.dictconfig": "DictConfig",
  "omegaconf.listconfig": "ListConfig",
  "omegaconf.base": "ContainerMetadata Metadata",
  "omegaconf.nodes": "AnyNode ValueNode StringNode IntegerNode FloatNode BooleanNode",
  "pytorch_lightning.utilities.parsing": "AttributeDict",
  "lightning.pytorch.utilities.parsing": "AttributeDict",
  "lightning_fabric.utilities.data": "AttributeDict",
  "lightning.fabric.utilities.data": "AttributeDict",
  "pytorch_lightning.callbacks.model_checkpoint": "ModelCheckpoint",
  "pytorch_lightning.callbacks.early_stopping": "EarlyStopping",
};

/** Tensors of kinds that are not supported, by the functions of `torch._utils` that make them. */
const TENSORS: Readonly<Record<string, string>> = {
  _rebuild_qtensor: "a quantized tensor",
  _rebuild_sparse_tensor: "a sparse tensor",
  _rebuild_sparse_csr_tensor: "a sparse tensor",
  _rebuild_nested_tensor: "a nested tensor",
  _rebuild_meta_tensor_no_storage: "a tensor without values",
  _rebuild_wrapper_subclass: "a tensor of a class of its own",
  _rebuild_device_tensor_from_numpy: "a tensor of a special device",
  _rebuild_device_tensor_from_cpu_tensor: "a tensor of a special device",
  _rebuild_xla_tensor: "a tensor of a special device",
};

/** The globals that are passed over. */
export const FOREIGN: readonly PickleGlobal[] = [
  ...Object.entries(HARMLESS).flatMap(([module, names]) =>
    names.split(" ").map((name) => foreign(`${module}.${name}`))
  ),
  ...Object.entries(TENSORS).map(([name, what]) => foreign(`torch._utils.${name}`, what, true)),
];
