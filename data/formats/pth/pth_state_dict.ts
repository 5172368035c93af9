/**
 * Where the state dict is in what a pickle of PyTorch holds.
 *
 * @module
 */
import { listed, quote } from "../../files/messages.ts";
import { Foreign, PickleGlobal, Tuple } from "./pickle_machine.ts";
import { Storage } from "./pth_storage.ts";
import { Holder, View, viewOf } from "./pth_tensors.ts";
import { UserError } from "../../files/user_error.ts";

/** The entries of a checkpoint that hold the state dict, the likelier first. */
const NESTED = ["state_dict", "model_state_dict", "model", "net"];

/** How deep dicts may stand in each other. */
const MAX_DEPTH = 3;

/**
 * The tensors of a state dict by name, or of the one that a checkpoint holds: under one of the usual names, or
 * in the only dict of tensors that there is. What else a checkpoint holds is passed over; what is no tensor in
 * the state dict itself is too, and `note` is told.
 *
 * A UserError says what there is instead, or names a tensor that is not supported.
 */
export function stateDict(
  value: unknown,
  note: (text: string) => void = () => {},
): Map<string, View> {
  if (!(value instanceof Map)) {
    throw new UserError(`It holds ${show(value)}: a dict of tensors by name is needed`);
  }
  const views = new Map<string, View>();
  const others: string[] = [];
  for (const [name, entry] of findDict(value)) {
    const view = viewOf(entry);
    if (view === undefined) {
      others.push(typeof name === "string" ? name : show(name));
      continue;
    }
    if (typeof name !== "string") {
      throw new UserError(`A tensor's name must be a text: under ${show(name)} there is one`);
    }
    if (view instanceof Foreign) {
      throw new UserError(`Tensor ${quote(name)} is ${view.what}, which is not supported`);
    }
    views.set(name, view);
  }
  if (others.length > 0) {
    note(`Passed over what is no tensor in the state dict: ${listed(others)}`);
  }
  return views;
}

/** The dict of tensors: a checkpoint may hold it in another. An empty one is one too. */
function findDict(root: Map<unknown, unknown>): Map<unknown, unknown> {
  let dict = root;
  for (let depth = 0; depth < MAX_DEPTH; depth++) {
    const inner = findInner(dict);
    if (inner === undefined) break;
    dict = inner;
  }
  if (dict.size === 0 || hasTensor(dict)) return dict;
  const [[name, first]] = dict;
  const several = [...root].filter(([, entry]) => entry instanceof Map && hasTensor(entry));
  const found = several.length > 1
    ? `the dicts ${
      listed(several.map(([name]) => String(name)))
    }, and none of them is the usual one`
    : `no tensor: under ${show(name)} there is ${show(first)}`;
  throw new UserError(
    `It holds ${found}. Needed is a dict of tensors by name, or one under ${NESTED.join(", ")}`,
  );
}

function findInner(dict: Map<unknown, unknown>): Map<unknown, unknown> | undefined {
  const usual = NESTED.map((name) => dict.get(name)).filter((entry) => entry instanceof Map);
  const found = usual.find(hasTensor);
  if (found !== undefined || hasTensor(dict)) return found;
  const others = [...dict.values()].filter((entry) => entry instanceof Map && hasTensor(entry));
  return others.length === 1 ? others[0] as Map<unknown, unknown> : usual[0];
}

function hasTensor(dict: Map<unknown, unknown>): boolean {
  for (const entry of dict.values()) if (viewOf(entry) !== undefined) return true;
  return false;
}

/** What an error message says of a value. */
export function show(value: unknown): string {
  if (value === null) return "None";
  if (typeof value === "string") return quote(value);
  if (typeof value !== "object") return String(value);
  if (value instanceof View || value instanceof Holder) return "a tensor";
  if (value instanceof Foreign) return value.what;
  if (value instanceof PickleGlobal) return value.name;
  if (value instanceof Map) return "a dict";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Storage) return `a ${value.name}`;
  return value instanceof Tuple ? "a tuple" : "another value";
}
