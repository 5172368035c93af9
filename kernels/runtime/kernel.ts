/**
 * A kernel as a typed record. TypeScript derives from it what a call must pass, and the WGSL
 * declarations of its bindings and parameters are made from the same record, so they cannot differ.
 */
import { GpuError } from "./errors.ts";
import type { Gpu } from "./gpu.ts";
import { mirrorDeclaration, mirrored, mirrorStart } from "./memory/mirror.ts";
import type { DType, Tensor } from "./tensor.ts";
import { Tensor as TensorClass } from "./tensor.ts";

/**
 * How a kernel sees a tensor: read only or read and write, as an array of this element. A `mirror` is a
 * read-only copy in a texture. Quad i of a `vec4f`, copy or not, is `NAME_quad(i)`.
 */
export type Binding = `${"read" | "write"} ${"f32" | "u32" | "vec4f" | "vec4u"}` | "mirror vec4f";
/** How a kernel reaches a tensor. */
export type Access = "read" | "write" | "mirror";
/** Type of a parameter. */
export type ParamType = "u32" | "i32" | "f32";

/** The record of a kernel. `code` is the WGSL without bindings and parameters, with an entry `main`. */
export interface KernelSpec<
  B extends Record<string, Binding> = Record<string, Binding>,
  P extends Record<string, ParamType> = Record<string, ParamType>,
> {
  /** Named in errors and in profiles. */
  name: string;
  /** The tensors it reads and writes, by their names in the code. */
  bindings: B;
  /** Read as `params.NAME` in the code. */
  params: P;
  /** WGSL without the declarations of bindings and parameters. */
  code: string;
  /** What a dispatch costs, for profiles. */
  cost?: KernelCost<P>;
}

/** What a dispatch with these parameters costs. */
export interface KernelCost<P extends Record<string, ParamType> = Record<string, ParamType>> {
  /** Floating-point operations. */
  flops?(params: { [K in keyof P]: number }): number;
  /** Bytes read and written; those of all bound tensors unless given. */
  bytes?(params: { [K in keyof P]: number }): number;
}

/** The element type of the tensor that a binding takes. */
export type DTypeOf<B extends Binding> = B extends `${string} f32` | `${string} vec4f` ? "f32"
  : "u32";

/** The tensors that a call must pass. */
export type KernelTensors<B extends Record<string, Binding>> = {
  [K in keyof B]: Tensor<DTypeOf<B[K]>>;
};

/** Workgroups in x, y and z. */
export type Groups = readonly [number, number?, number?];

/** The most workgroups along each of x, y and z. */
export const MOST_GROUPS = 65535;

function checkCount(n: number, what: string): void {
  if (Number.isSafeInteger(n) && n >= 0) return;
  throw new RangeError(`A kernel runs a whole number of ${what} from 0: not ${n}`);
}

/** Spread n workgroups over x and y, which WebGPU limits to 65,535 each. GpuError where that is too many. */
export function foldGroups(n: number): [number, number] {
  checkCount(n, "workgroups");
  if (n <= MOST_GROUPS) return [n, 1];
  const y = Math.ceil(n / MOST_GROUPS);
  if (y > MOST_GROUPS) {
    throw new GpuError(`A kernel cannot run ${n} workgroups: at most ${MOST_GROUPS ** 2}`);
  }
  return [Math.ceil(n / y), y];
}

/** WGSL header of an elementwise kernel of 64 invocations a group: declares `i`, the flat index. */
export const FLAT_MAIN = /* wgsl */ `
@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3u, @builtin(num_workgroups) groups: vec3u) {
  let i = id.y * groups.x * 64u + id.x;`;

/** Workgroups for n invocations of a {@linkcode FLAT_MAIN} kernel. */
export function flatGroups(n: number): [number, number] {
  checkCount(n, "invocations");
  return foldGroups(Math.ceil(n / 64));
}

/** A compiled-on-first-use kernel. Make it with {@linkcode defineKernel}. */
export interface Kernel<
  B extends Record<string, Binding>,
  P extends Record<string, ParamType>,
> {
  /** What it was made from. */
  readonly spec: KernelSpec<B, P>;
  /** The whole WGSL text. */
  readonly source: string;
  /** Record one dispatch. */
  run(
    gpu: Gpu,
    tensors: KernelTensors<B>,
    params: { [K in keyof P]: number },
    groups: Groups,
  ): void;
}

/** The bindings that are mirrors. */
function mirrorNames({ bindings }: KernelSpec): string[] {
  return Object.keys(bindings).filter((name) => bindings[name].startsWith("mirror"));
}

function declarations(spec: KernelSpec): string {
  const params = [
    ...Object.entries(spec.params),
    ...mirrorNames(spec).map((name) => [mirrorStart(name), "u32"]),
  ];
  const fields = params.map(([name, type]) => `  ${name}: ${type},\n`).join("");
  // A struct needs a member.
  const struct = `struct Params {\n${fields || "  unused: u32,\n"}}\n`;
  const buffers = Object.entries(spec.bindings).map(([name, binding], i) => {
    const [access, element] = binding.split(" ");
    const place = `@group(0) @binding(${i + 1})`;
    if (access === "mirror") return `${place} ${mirrorDeclaration(name)}`;
    const mode = access === "read" ? "read" : "read_write";
    const load = element === "vec4f"
      ? `fn ${name}_quad(i: u32) -> vec4f { return ${name}[i]; }\n`
      : "";
    return `${place} var<storage, ${mode}> ${name}: array<${element}>;\n${load}`;
  }).join("");
  return `${struct}@group(0) @binding(0) var<uniform> params: Params;\n${buffers}`;
}

/** Define a kernel. */
export function defineKernel<
  const B extends Record<string, Binding>,
  const P extends Record<string, ParamType>,
>(spec: KernelSpec<B, P>): Kernel<B, P> {
  const names = Object.keys(spec.bindings);
  if (names.length > 8) {
    throw new RangeError(`The kernel "${spec.name}" has ${names.length} bindings: at most 8`);
  }
  const accesses = names.map((n) => spec.bindings[n].split(" ")[0] as Access);
  const dtypes = names.map((n): DType =>
    spec.bindings[n].endsWith("u32") || spec.bindings[n].endsWith("vec4u") ? "u32" : "f32"
  );
  const paramEntries = Object.entries(spec.params);
  const mirrorPlaces = mirrorNames(spec).map((name) => names.indexOf(name));
  const source = declarations(spec) + spec.code;

  return {
    spec,
    source,
    run(gpu, tensors, params, groups) {
      const [x, y = 1, z = 1] = groups;
      for (const n of [x, y, z]) {
        if (Number.isInteger(n) && n >= 0 && n <= MOST_GROUPS) continue;
        throw new RangeError(
          `The kernel "${spec.name}" is asked for [${x}, ${y}, ${z}] workgroups: whole numbers from 0 to ${MOST_GROUPS}`,
        );
      }
      for (const [name, type] of paramEntries) checkParam(spec.name, name, type, params[name]);
      if (x * y * z === 0) return;
      const bound = names.map((name) => tensors[name] as Tensor<DType>);
      bound.forEach((tensor, i) => checkTensor(spec.name, gpu, tensor, dtypes[i], names[i]));
      checkAliases(spec.name, bound, accesses);
      const temporary: Tensor<DType>[] = [];
      const alignment = gpu.device.limits.minStorageBufferOffsetAlignment;
      bound.forEach((tensor, i) => {
        if ((4 * tensor.offset) % alignment === 0 || accesses[i] === "mirror") return;
        if (accesses[i] === "write") {
          throw new RangeError(
            `The kernel "${spec.name}" cannot write to the view "${tensor.name}" at element ${tensor.offset}: ` +
              `a multiple of ${alignment / 4} is needed`,
          );
        }
        const copy = TensorClass.empty(gpu, tensor.shape, {
          name: tensor.name,
          dtype: tensor.dtype,
        });
        copy.copyFrom(tensor);
        bound[i] = copy;
        temporary.push(copy);
      });
      const layout = gpu.bindGroupLayout(accesses);
      const pipeline = gpu.pipeline(spec.name, source, layout);
      const bindGroup = gpu.bindGroup(
        layout,
        paramsSize(paramEntries.length + mirrorPlaces.length),
        bound.map((tensor, i) =>
          accesses[i] === "mirror"
            ? { buffer: tensor.buffer, mirror: mirrored(tensor) }
            : { buffer: tensor.buffer, offset: 4 * tensor.offset, size: bindingSize(tensor) }
        ),
      );
      const { watcher } = gpu;
      const recorder = watcher === undefined
        ? gpu.recorder
        : watcher.watch({ spec, source }, bound, params);
      recorder.dispatch(pipeline, bindGroup, [x, y, z], (view, at) => {
        for (const [name, type] of paramEntries) {
          const value = params[name];
          if (type === "f32") view.setFloat32(at, value, true);
          else view.setInt32(at, value, true); // the same bits as of a u32
          at += 4;
        }
        for (const place of mirrorPlaces) {
          view.setUint32(at, bound[place].offset / 4, true);
          at += 4;
        }
      });
      // The recording that holds the dispatch: a full arena may just have begun a new one.
      bound.forEach(({ buffer }, i) => {
        buffer.lastRecording = gpu.recorder.recording;
        if (accesses[i] === "write") buffer.version++;
      });
      for (const tensor of temporary) tensor.dispose();
    },
  };
}

function paramsSize(count: number): number {
  return Math.max(16, 4 * Math.ceil(count / 4) * 4);
}

/** At least one whole vec4, so that arrays of vec4 over small tensors are valid. */
function bindingSize(tensor: Tensor<DType>): number {
  const wanted = Math.max(16, 16 * Math.ceil(tensor.bytes / 16));
  return Math.min(wanted, tensor.buffer.bytes - 4 * tensor.offset);
}

/** Which numbers each type of parameter takes: WGSL would make others of the rest, without a word. */
const PARAM_RANGES: Record<ParamType, { takes: (value: number) => boolean; what: string }> = {
  u32: { takes: (value) => value >>> 0 === value, what: "a whole number from 0 to 4294967295" },
  i32: { takes: (value) => (value | 0) === value, what: "a whole number of 32 bits" },
  f32: {
    takes: (value) => Number.isFinite(Math.fround(value)),
    what: "a finite number of float32",
  },
};

function checkParam(kernel: string, name: string, type: ParamType, value: number): void {
  const { takes, what } = PARAM_RANGES[type];
  if (typeof value === "number" && takes(value)) return;
  throw new RangeError(
    `The kernel "${kernel}" gets ${value} for its parameter ${name}: ${what} is needed`,
  );
}

function checkTensor(
  kernel: string,
  gpu: Gpu,
  tensor: Tensor<DType>,
  dtype: DType,
  name: string,
): void {
  if (tensor.gpu !== gpu) {
    throw new TypeError(
      `The kernel "${kernel}" gets "${tensor.name}" for ${name} from another device`,
    );
  }
  if (tensor.disposed) {
    throw new ReferenceError(
      `The kernel "${kernel}" gets "${tensor.name}" for ${name} after its disposal`,
    );
  }
  if (tensor.dtype !== dtype) {
    throw new TypeError(
      `The kernel "${kernel}" needs ${dtype} for ${name}, and "${tensor.name}" holds ${tensor.dtype}`,
    );
  }
}

function checkAliases(
  kernel: string,
  tensors: Tensor<DType>[],
  accesses: Access[],
): void {
  for (let i = 0; i < tensors.length; i++) {
    if (accesses[i] !== "write") continue;
    for (let j = 0; j < tensors.length; j++) {
      if (i === j || tensors[i].buffer !== tensors[j].buffer) continue;
      throw new TypeError(
        `The kernel "${kernel}" cannot write to "${tensors[i].name}" and use "${
          tensors[j].name
        }", ` +
          `which share one buffer, in one dispatch`,
      );
    }
  }
}
