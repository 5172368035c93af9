/** Matrix products, with an optional bias. */
import { columnSum } from "../reduce/reduce.ts";
import type { Gpu } from "../runtime/gpu.ts";
import { put } from "../rearrange.ts";
import { defineKernel, MOST_GROUPS } from "../runtime/kernel.ts";
import { expectShape, Tensor } from "../runtime/tensor.ts";
import { element, perShape, quadLoad, quadStore, readFrom } from "../runtime/wgsl.ts";
import { gemmGroups, mostDepth, tileOf } from "./engine.ts";
import { FIRST_PARAMS } from "./plain.ts";
import {
  factorOf,
  PRODUCT_PARAMS,
  productCode,
  productFlops,
  type ProductShape,
} from "./product.ts";

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

/** What a kernel of {@linkcode matmul} is made for. */
interface MatmulShape extends ProductShape {
  bias: boolean;
  /** Every row of the result starts at a multiple of four numbers. */
  vec4: boolean;
}

const productKernel = perShape((gpu: Gpu, shape: MatmulShape) => {
  const { a, b, vec4 } = shape;
  const type = element(vec4);
  // Of several parts of k, the first has the bias.
  const bias = shape.bias ? " + select(vec4f(), load_bias(column, count), row < params.m)" : "";
  const ending = `${quadStore("out", vec4)}${quadLoad("bias", vec4)}
fn finish_quad(row: u32, column: u32, sums: vec4f) {
  let count = params.n - column;
  store_out(row * params.n + column, count, sums${bias});
}\n`;
  return defineKernel({
    name: `matmul ${a.trans ? "T" : "N"}${b.trans ? "T" : "N"}`,
    bindings: {
      a: readFrom(a.vec4, a.mirror),
      b: readFrom(b.vec4, b.mirror),
      bias: `read ${type}`,
      out: `write ${type}`,
    },
    params: { ...PRODUCT_PARAMS, ...FIRST_PARAMS, part: "u32" },
    cost: { flops: productFlops },
    code: productCode(gpu, shape, ending),
  });
});

/**
 * `op(a) · op(b) + bias`: `a` is `[M, K]` (`[K, M]` with `transA`), `b` is `[K, N]` (`[N, K]` with
 * `transB`), the result `[M, N]`. One dispatch; over so many k that they take a kernel too many turns
 * (kernels/runtime/turns.ts), another adds up the sums of parts of them. Sums run over k in order, so a result does not
 * depend on the other rows of the batch.
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
  const tile = tileOf(gpu, { m, n, k, across: transA });
  const [across, down] = gemmGroups(gpu, { tile }, m, n);
  const shape: MatmulShape = {
    // Each column of tiles reads all of a, each row of tiles all of b.
    a: factorOf(a, transA, [a.shape[1]], across),
    b: factorOf(b, transB, [b.shape[1]], down),
    ...{ tile, parts: true, bias: bias !== undefined, vec4: n % 4 === 0 },
  };
  const part = Math.min(k, mostDepth(gpu, tile));
  const parts = Math.ceil(k / part);
  using sums = parts === 1
    ? out.view([1, m * n])
    : Tensor.empty(gpu, [parts, m * n], { name: "parts of a product" });
  // Without a bias the binding still wants a tensor, which is not read.
  productKernel(gpu, shape).run(
    gpu,
    { a, b, bias: bias ?? b, out: sums },
    {
      ...{ m, n, k, part, a_first: 1, b_first: 1 },
      ...{ a_offset: 0, lda: a.shape[1], b_offset: 0, ldb: b.shape[1] },
    },
    [across, down, parts],
  );
  if (parts > 1) {
    using flat = out.view([m * n]);
    columnSum(sums, flat);
  }
  return out;
}

/**
 * The product of each pair of matrices, `op(a[i]) · op(b[i])`: `a` is `[B, M, K]` (`[B, K, M]` with `transA`), `b` is
 * `[B, K, N]` (`[B, N, K]` with `transB`), the result `[B, M, N]`. One dispatch, unless there are too many of them or k
 * is too long for one.
 *
 * Errors: TypeError when the shapes do not fit.
 */
export function matmulEach(
  a: Tensor,
  b: Tensor,
  { transA = false, transB = false }: Pick<MatmulOptions, "transA" | "transB"> = {},
): Tensor {
  const { gpu } = a;
  expectShape(a, [null, null, null], "The first factors [B, M, K] of products");
  const [count] = a.shape;
  const [m, k] = transA ? [a.shape[2], a.shape[1]] : [a.shape[1], a.shape[2]];
  expectShape(b, transB ? [count, null, k] : [count, k, null], "The second factors of products");
  const n = transB ? b.shape[1] : b.shape[2];
  const out = Tensor.empty(gpu, [count, m, n], { name: "product" });
  if (k === 0) out.clear();
  if (k === 0 || out.size === 0) return out;
  const tile = tileOf(gpu, { m, n, k, parts: count, across: transA });
  if (count > MOST_GROUPS || k > mostDepth(gpu, tile)) {
    for (let i = 0; i < count; i++) {
      using left = a.view(a.shape.slice(1), i * m * k);
      using right = b.view(b.shape.slice(1), i * k * n);
      using product = matmul(left, right, { transA, transB });
      put(product, { shape: [m, n], view: { tensor: out, offset: i * m * n, strides: [n, 1] } });
    }
    return out;
  }
  const [across, down] = gemmGroups(gpu, { tile }, m, n);
  const shape: MatmulShape = {
    a: factorOf(a, transA, [a.shape[2]], across),
    b: factorOf(b, transB, [b.shape[2]], down),
    ...{ tile, parts: true, bias: false, vec4: n % 4 === 0 },
  };
  // Each is a part of k; where a factor lies along k, the next begins so many rows later.
  productKernel(gpu, shape).run(gpu, { a, b, bias: b, out }, {
    ...{ m, n, k: count * k, part: k, a_first: transA ? 1 : m, b_first: transB ? n : 1 },
    ...{ a_offset: 0, lda: a.shape[2], b_offset: 0, ldb: b.shape[2] },
  }, [across, down, count]);
  return out;
}
