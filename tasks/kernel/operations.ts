/** The operations whose kernels `deno task kernel` prints, each called at given sizes. */
import { batchNormBackward, batchNormForward } from "../../kernels/batch_norm/batch_norm.ts";
import { conv2d, conv2dBackward } from "../../kernels/conv2d/conv2d.ts";
import { embedding, embeddingGradient, uploadIndices } from "../../kernels/embedding/embedding.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { lstmTimeMajorBackward, lstmTimeMajorForward } from "../../kernels/recurrent/lstm.ts";
import { matmul } from "../../kernels/gemm/matmul.ts";
import { adamStep } from "../../kernels/optimizer_steps.ts";
import { maxPool2dBackward, maxPool2dForward } from "../../kernels/pool/pool2d.ts";
import { columnSum, sum } from "../../kernels/reduce/reduce.ts";
import { rnnTimeMajorBackward, rnnTimeMajorForward } from "../../kernels/recurrent/rnn.ts";
import { argmax, logSoftmax, softmaxCrossEntropy } from "../../kernels/softmax/softmax.ts";
import { type DType, Tensor } from "../../kernels/runtime/tensor.ts";
import { UsageError } from "../lib/flags.ts";

/** Makes tensors with no contents, which nothing reads. */
class Maker implements Disposable {
  readonly #made: Disposable[] = [];

  constructor(readonly gpu: Gpu) {}

  tensor<D extends DType = "f32">(shape: number[], dtype?: D): Tensor<D> {
    return this.keep(Tensor.empty(this.gpu, shape, dtype && { dtype }));
  }

  /** Have something let go of in the end. */
  keep<T extends Disposable>(made: T): T {
    this.#made.push(made);
    return made;
  }

  keepAll(made: object): void {
    for (const one of Object.values(made)) if (one instanceof Tensor) this.keep(one);
  }

  [Symbol.dispose](): void {
    for (const one of this.#made.reverse()) one[Symbol.dispose]();
  }
}

/** An operation by its name. */
export interface Operation {
  /** The names of its sizes, in the order of `--shape`. */
  sizes: readonly string[];
  /** Where no shape is given. */
  example: readonly number[];
  /** What it is, for the list. */
  what: string;
  /** Why it does not take such sizes, if it does not. */
  refuse?(sizes: readonly number[]): string | undefined;
  /** Call it; with `backward`, its gradients too, where it has any of their own. */
  call(maker: Maker, sizes: readonly number[], backward: boolean): void;
}

function recurrent(cell: "rnn" | "lstm"): Operation["call"] {
  return (maker, [steps, batch, input, hidden], backward) => {
    const columns = cell === "lstm" ? 4 * hidden : hidden;
    const inputs = {
      x: maker.tensor([steps, batch, input]),
      h0: maker.tensor([batch, hidden]),
      wx: maker.tensor([input, columns]),
      wh: maker.tensor([hidden, columns]),
      b: maker.tensor([columns]),
    };
    const dh = maker.tensor([steps, batch, hidden]);
    if (cell === "lstm") {
      const forward = maker.keep(lstmTimeMajorForward(inputs));
      if (backward) maker.keepAll(lstmTimeMajorBackward(dh, forward));
    } else {
      const forward = maker.keep(rnnTimeMajorForward(inputs));
      if (backward) maker.keepAll(rnnTimeMajorBackward(dh, forward));
    }
  };
}

/** The operations. */
export const OPERATIONS: Record<string, Operation> = {
  matmul: {
    sizes: ["M", "K", "N"],
    example: [64, 512, 256],
    what: "a product [M, K] x [K, N]",
    call(maker, [m, k, n], backward) {
      const [a, b] = [maker.tensor([m, k]), maker.tensor([k, n])];
      const out = maker.keep(matmul(a, b));
      if (!backward) return;
      maker.keep(matmul(out, b, { transB: true }));
      maker.keep(matmul(a, out, { transA: true }));
    },
  },
  rnn: {
    sizes: ["T", "N", "D", "H"],
    example: [16, 25, 256, 512],
    what: "a vanilla RNN over x [T, N, D] with H units",
    call: recurrent("rnn"),
  },
  lstm: {
    sizes: ["T", "N", "D", "H"],
    example: [16, 25, 256, 512],
    what: "an LSTM over x [T, N, D] with H units",
    call: recurrent("lstm"),
  },
  conv2d: {
    sizes: ["N", "H", "W", "C", "K", "window", "stride"],
    example: [4, 56, 56, 64, 64, 3, 1],
    what: "a convolution of x [N, H, W, C] to K channels, padded by half a window",
    call(maker, [n, height, width, channels, outChannels, window, stride], backward) {
      const x = maker.tensor([n, height, width, channels]);
      const w = maker.tensor([window, window, channels, outChannels]);
      const options = { stride, padding: window >> 1 };
      const y = maker.keep(conv2d(x, w, options));
      if (backward) maker.keepAll(conv2dBackward(y, x, w, options));
    },
  },
  softmax: {
    sizes: ["M", "V"],
    example: [400, 1004],
    what: "softmax cross-entropy of scores [M, V], with its gradient",
    call(maker, [m, v]) {
      maker.keepAll(softmaxCrossEntropy(maker.tensor([m, v]), maker.tensor([m], "u32")));
    },
  },
  "log-softmax": {
    sizes: ["M", "V"],
    example: [64, 1004],
    what: "log-probabilities of scores [M, V]",
    call: (maker, sizes) => void maker.keep(logSoftmax(maker.tensor([...sizes]))),
  },
  argmax: {
    sizes: ["M", "V"],
    example: [64, 1004],
    what: "the places of the largest scores of [M, V]",
    call: (maker, sizes) => void maker.keep(argmax(maker.tensor([...sizes]))),
  },
  "column-sum": {
    sizes: ["M", "N"],
    example: [400, 2048],
    what: "the sums of the columns of [M, N]",
    call: (maker, sizes) => void maker.keep(columnSum(maker.tensor([...sizes]))),
  },
  sum: {
    sizes: ["N"],
    example: [1_000_000],
    what: "the sum of N numbers",
    call: (maker, sizes) => void maker.keep(sum(maker.tensor([...sizes]))),
  },
  "max-pool": {
    sizes: ["N", "H", "W", "C", "window", "stride"],
    example: [4, 112, 112, 64, 3, 2],
    what: "the largest numbers of the windows of x [N, H, W, C]",
    refuse([, height, width, , window, stride]) {
      if (Math.max(window, stride) > 8) return "a window and a stride of at most 8 are needed";
      return window > Math.min(height, width) ? "no window fits" : undefined;
    },
    call(maker, [n, height, width, channels, kernel, stride], backward) {
      const x = maker.tensor([n, height, width, channels]);
      const forward = maxPool2dForward(x, { kernel, stride });
      maker.keep(forward);
      if (backward) maker.keep(maxPool2dBackward(forward.y, forward));
    },
  },
  "batch-norm": {
    sizes: ["N", "H", "W", "C"],
    example: [4, 56, 56, 64],
    what: "a batch norm of x [N, H, W, C] while training",
    refuse: ([n, height, width]) =>
      n * height * width === 1 ? "two values of each channel are needed" : undefined,
    call(maker, sizes, backward) {
      const vector = () => maker.tensor([sizes[3]]);
      const forward = maker.keep(batchNormForward({
        x: maker.tensor([...sizes]),
        weight: vector(),
        bias: vector(),
        runningMean: vector(),
        runningVar: vector(),
      }, { training: true }));
      if (backward) maker.keepAll(batchNormBackward(forward.y, forward));
    },
  },
  embedding: {
    sizes: ["M", "V", "D"],
    example: [400, 1004, 256],
    what: "M rows of a table [V, D]",
    call(maker, [count, rows, width], backward) {
      const ids = Uint32Array.from({ length: count }, (_, i) => i % rows);
      const indices = maker.keep(uploadIndices(maker.gpu, ids, rows));
      const table = maker.tensor([rows, width]);
      const out = maker.keep(embedding(table, indices));
      if (backward) embeddingGradient(out, indices, table);
    },
  },
  adam: {
    sizes: ["N"],
    example: [1_000_000],
    what: "a step of Adam on N parameters",
    call(maker, [n]) {
      const vector = () => maker.tensor([n]);
      adamStep(
        { parameters: vector(), gradient: vector(), squaredNorm: maker.tensor([1]) },
        { mean: vector(), square: vector() },
        {
          ...{ lr: 1e-3, weightDecay: 0, maxNorm: 0 },
          ...{ beta1: 0.9, beta2: 0.999, epsilon: 1e-8, t: 1 },
        },
      );
    },
  },
};

/** The name of an operation, as it was given. Throws UsageError where there is none of that name. */
export function operationOf(name: string): string {
  if (Object.hasOwn(OPERATIONS, name)) return name;
  const allowed = Object.keys(OPERATIONS).join(", ");
  throw new UsageError(`There is no operation "${name}": ${allowed} are allowed`);
}

/** No size is larger: kernels count with 32 bits. */
const MOST_SIZE = 2 ** 30;

/** The sizes that `--shape` names. Throws UsageError where they are not those of the operation. */
export function readSizes(name: string, shape: string | undefined): readonly number[] {
  const { sizes, example } = OPERATIONS[name];
  if (shape === undefined) return example;
  const numbers = shape.split("x").map((part) => /^[1-9]\d*$/.test(part) ? Number(part) : NaN);
  if (numbers.length !== sizes.length || !numbers.every(Number.isSafeInteger)) {
    throw new UsageError(
      `Flag --shape takes ${sizes.length} whole numbers from 1 for ${name}, ${
        sizes.join("x")
      } as in ${example.join("x")}, and not "${shape}"`,
    );
  }
  const reason = numbers.some((size) => size > MOST_SIZE)
    ? `sizes are at most ${MOST_SIZE}`
    : OPERATIONS[name].refuse?.(numbers);
  if (reason === undefined) return numbers;
  throw new UsageError(`Flag --shape is ${shape}, and of ${name} ${reason}`);
}

/** Call an operation on a GPU. GpuError for sizes that are too large for it. */
export function callOperation(
  gpu: Gpu,
  name: string,
  sizes: readonly number[],
  backward: boolean,
): void {
  using maker = new Maker(gpu);
  OPERATIONS[name].call(maker, sizes, backward);
}
