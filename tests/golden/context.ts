/** What a call of the golden table sees: the inputs of its case, and a tape. */
import type { Gpu, KernelPath } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { constant, Tape, type Variable } from "../../models/tape/autograd.ts";
import { type InputSpec, type Kept, make, seedOf, type Values } from "./values.ts";

/** A line of golden.jsonl. */
export interface Case {
  op: string;
  name: string;
  /** Sizes and options. */
  p: Record<string, unknown>;
  in: Record<string, InputSpec>;
  out: Record<string, Kept>;
  /** The error of PyTorch's float32. */
  torch?: number;
  /** In place of the operation's. */
  tolerance?: number;
  /** Too large for the tests, on every path or on this one. */
  heavy?: true | KernelPath;
}

/** A result, perhaps to be brought into PyTorch's layout. */
export type Result = Tensor<"f32"> | Tensor<"u32"> | {
  tensor: Tensor;
  encode: (values: Float32Array<ArrayBuffer>) => Values;
};

/** The results of a call by PyTorch's names: `dx` is the gradient of the input `x`. */
export type Results = Record<string, Result>;

/** The inputs of a case on the GPU. Everything goes with its end. */
export class Context<P> {
  readonly tape: Tape;
  readonly #kept: DisposableStack = new DisposableStack();

  constructor(readonly gpu: Gpu, readonly golden: Case) {
    this.tape = this.keep(new Tape(gpu));
  }

  /** Sizes and options. */
  get p(): P {
    return this.golden.p as P;
  }

  keep<T extends Disposable>(resource: T): T {
    return this.#kept.use(resource);
  }

  /** Keep every tensor of a record. */
  keepAll<T extends object>(tensors: T): T {
    for (const tensor of Object.values(tensors)) if (tensor instanceof Tensor) this.keep(tensor);
    return tensors;
  }

  has(name: string): boolean {
    return name in this.golden.in;
  }

  shape(name: string): number[] {
    return this.golden.in[name].shape;
  }

  numbers(name: string): Values {
    const { op, name: title } = this.golden;
    return make(this.golden.in[name], seedOf(`${op} ${title} ${name}`));
  }

  floats(name: string): Float32Array<ArrayBuffer> {
    const values = this.numbers(name);
    if (values instanceof Float32Array) return values;
    throw new TypeError(`The input "${name}" of "${this.golden.op}" holds whole numbers`);
  }

  /** A float input. */
  tensor(name: string): Tensor {
    return this.keep(Tensor.from(this.gpu, this.floats(name), this.shape(name), { name }));
  }

  /** A float input that not every case has. */
  optional(name: string): Tensor | undefined {
    return this.has(name) ? this.tensor(name) : undefined;
  }

  /** An input of whole numbers. */
  whole(name: string): Tensor<"u32"> {
    const options = { name, dtype: "u32" } as const;
    return this.keep(Tensor.from(this.gpu, this.numbers(name), this.shape(name), options));
  }

  /** An input whose gradient is wanted, unless the case says of which inputs alone it is. */
  variable(name: string): Variable {
    const { wanted } = this.golden.p as { wanted?: string[] };
    const tensor = this.tensor(name);
    return wanted?.includes(name) === false ? constant(tensor) : this.tape.variable(tensor);
  }

  optionalVariable(name: string): Variable | undefined {
    return this.has(name) ? this.variable(name) : undefined;
  }

  /** Let the gradients that the case has come into results, each by its name, and from there flow back. */
  #backward(results: Record<string, Variable>): void {
    const [[name, y], ...more] = Object.entries(results);
    const { fill } = this.golden.in[`d${name}`];
    if (more.length === 0 && y.shape.length === 0 && fill === 1) {
      this.tape.backward(y);
      return;
    }
    const flows = Object.entries(results).map(([name, y]) => ({ y, dy: this.tensor(`d${name}`) }));
    const end = this.tape.record(Tensor.zeros(this.gpu, []), Object.values(results), () => {
      for (const { y, dy } of flows) this.tape.pass(y, dy);
    });
    this.tape.backward(end);
  }

  /** Results by their names, and the gradients of the inputs by theirs. */
  differentiateAll(
    results: Record<string, Variable>,
    inputs: Record<string, Variable | undefined>,
  ): Record<string, Tensor> {
    this.#backward(results);
    const all = Object.fromEntries(Object.entries(results).map(([name, y]) => [name, y.tensor]));
    for (const [input, variable] of Object.entries(inputs)) {
      if (variable?.requiresGrad) all[`d${input}`] = variable.grad!;
    }
    return all;
  }

  /** {@linkcode differentiateAll} of one result. */
  differentiate(
    name: string,
    y: Variable,
    inputs: Record<string, Variable | undefined>,
  ): Record<string, Tensor> {
    return this.differentiateAll({ [name]: y }, inputs);
  }

  [Symbol.dispose](): void {
    this.#kept.dispose();
  }
}

/** How neckar computes an operation of the table. */
export type Call = (context: Context<never>) => Results;

/** A call, checked against the sizes and options that its cases have. */
export function call<P = Record<string, never>>(run: (context: Context<P>) => Results): Call {
  return (context) => run(context as Context<P>);
}
