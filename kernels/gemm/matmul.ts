/** Matrix products, with an optional bias. */
import type { Gpu } from "../runtime/gpu.ts";
import { defineKernel } from "../runtime/kernel.ts";
import {
  element,
  factor,
  lines,
  mostDepth,
  perShape,
  PRODUCT_PARAMS,
  productCode,
  productFlops,
  productGroups,
  type ProductShape,
  quadLoad,
  quadStore,
  tileRows,
} from "./product.ts";
import { worthMirror } from "../runtime/mirror.ts";
import { columnSum } from "../reduce/reduce.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";

/** Options of {@linkcode matmul}. */
export interface MatmulOptions {
  /** Use the transpose of `a`, which is stored `[K, M]`. */
  transA?: boolean;
  /** Use the transpose of `b`, which is stored `[N, K]`. */
  transB?: boolean;
  /** `[N]`, added to each row. */
  bias?: Tensor | undefined;
  /** `[M, N]`, receives the result; a new tensor by default. */
  out?: Tensor | undefined;
  /** Name of a new result. */
  name?: string;
}

/** Numbers between the places of a buffer at which a kernel may begin to write: 256 bytes on any device. */
const ALIGNED = 64;

const productKernel = perShape((gpu: Gpu, shape: ProductShape & { bias: boolean }) => {
  const { quads, vec4 } = shape;
  const type = element(vec4);
  const bias = shape.bias ? " + load_bias(at, count)" : "";
  const ending = `${quadStore("out", vec4)}${quadLoad("bias", vec4)}
fn finish(row: u32, column: u32${lines(quads, (j) => `, v${j}: vec4f`)}) {
${
    lines(quads, (j) =>
      `if (column + ${4 * j}u < params.n) {
  let at = column + ${4 * j}u;
  let count = params.n - at;
  store_out(row * params.n + at, count, v${j}${bias});
}`)
  }
}`;
  return defineKernel({
    name: `matmul ${shape.transA ? "T" : "N"}${shape.transB ? "T" : "N"}`,
    bindings: {
      a: factor("a", shape),
      b: factor("b", shape),
      bias: `read ${type}`,
      out: `write ${type}`,
    },
    params: PRODUCT_PARAMS,
    cost: { flops: productFlops },
    code: productCode(gpu, shape, ending),
  });
});

/**
 * `op(a) · op(b) + bias`: `a` is `[M, K]` (`[K, M]` with `transA`), `b` is `[K, N]` (`[N, K]` with
 * `transB`), the result `[M, N]`. One dispatch; over so many k that they take a kernel too many turns
 * (kernels/runtime/turns.ts), one for each part of them and another to add up the parts. Sums run over k in order, so a
 * result does not depend on the other rows of the batch.
 *
 * Errors: TypeError when the shapes do not fit.
 *
 * ```ts
 * import { openGpu } from "../runtime/gpu.ts";
 * import { Tensor } from "../runtime/tensor.ts";
 * import { matmul } from "./matmul.ts";
 * using gpu = await openGpu();
 * using a = Tensor.from(gpu, [1, 2, 3, 4, 5, 6], [2, 3]);
 * using b = Tensor.from(gpu, [1, 0, 0, 1, 1, 1], [3, 2]);
 * using c = matmul(a, b);
 * console.log(await c.read()); // 4, 5, 10, 11
 * ```
 */
export function matmul(a: Tensor, b: Tensor, options: MatmulOptions = {}): Tensor {
  const { transA = false, transB = false, bias } = options;
  const gpu = a.gpu;
  expectShape(a, [null, null], "A product's first factor");
  expectShape(b, [null, null], "A product's second factor");
  const [m, k] = transA ? [a.shape[1], a.shape[0]] : [a.shape[0], a.shape[1]];
  const [kb, n] = transB ? [b.shape[1], b.shape[0]] : [b.shape[0], b.shape[1]];
  if (k !== kb) {
    throw new TypeError(
      `The product of "${a.name}" [${a.shape.join(", ")}]${transA ? " transposed" : ""} and ` +
        `"${b.name}" [${b.shape.join(", ")}]${
          transB ? " transposed" : ""
        } has inner sizes ${k} and ${kb}: ` +
        `they must be equal`,
    );
  }
  if (bias !== undefined) expectShape(bias, [n], "A product's bias");
  if (k === 0 && bias !== undefined) {
    throw new RangeError("A product over no terms cannot take a bias");
  }
  const out = options.out ?? Tensor.empty(gpu, [m, n], { name: options.name ?? "product" });
  expectShape(out, [m, n], "A product's result");
  if (m === 0 || n === 0) return out;
  if (k === 0) {
    out.clear();
    return out;
  }
  const vec4 = [a.shape[1], b.shape[1], n].every((size) => size % 4 === 0);
  const cut = { rows: tileRows(gpu, m, transA, 2), quads: 2, columns: "plain" } as const;
  const groups = productGroups(gpu, cut, m, n);
  // Each column of tiles reads all of a, each row of tiles all of b.
  const mirrors = `${vec4 && worthMirror(a, groups[0]) ? "a" : ""}${
    vec4 && worthMirror(b, groups[1]) ? "b" : ""
  }` as const;
  const shape: ProductShape = { transA, transB, vec4, mirrors, ...cut };
  const [lda, ldb] = [a.shape[1], b.shape[1]];
  const multiply = (from: number, count: number, bias: Tensor | undefined, out: Tensor) => {
    // Without a bias the binding still wants a tensor, which is not read.
    productKernel(gpu, { ...shape, bias: bias !== undefined }).run(
      gpu,
      { a, b, bias: bias ?? b, out },
      {
        ...{ m, n, k: count, lda, ldb },
        a_offset: from * (transA ? lda : 1),
        b_offset: from * (transB ? 1 : ldb),
      },
      groups,
    );
  };
  const most = mostDepth(gpu, shape);
  if (k <= most) {
    multiply(0, k, bias, out);
    return out;
  }
  const parts = Math.ceil(k / most);
  const pitch = Math.ceil(m * n / ALIGNED) * ALIGNED;
  using sums = Tensor.empty(gpu, [parts, pitch], { name: "parts of a product" });
  for (let part = 0; part < parts; part++) {
    using sum = sums.view([m, n], part * pitch);
    const from = part * most;
    multiply(from, Math.min(most, k - from), part === 0 ? bias : undefined, sum);
  }
  using flat = out.view([m * n]);
  columnSum(sums, flat, { columns: m * n });
  return out;
}
