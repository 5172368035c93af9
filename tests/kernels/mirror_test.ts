/** Copies of buffers in textures. */
import { assertEquals } from "@std/assert";
import { defineKernel, FLAT_MAIN, flatGroups } from "../../kernels/runtime/kernel.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { gpuTest } from "../gpu_support.ts";

const copyKernel = defineKernel({
  name: "copy of a mirror",
  bindings: { x: "mirror vec4f", out: "write vec4f" },
  params: { n: "u32" },
  code: /* wgsl */ `${FLAT_MAIN}
  if (i < params.n) { out[i] = x_quad(i); }
}`,
});

function copy(x: Tensor): Tensor {
  const out = Tensor.empty(x.gpu, x.shape, { name: "copy" });
  const n = x.size / 4;
  copyKernel.run(x.gpu, { x, out }, { n }, flatGroups(n));
  return out;
}

gpuTest("a mirror holds its buffer, beyond one row and up to its end", async (gpu) => {
  for (const size of [4, 64, 4 * 4096, 4 * 4096 + 64, 3 * 4 * 4096 + 256]) {
    const values = Float32Array.from({ length: size }, (_, i) => i + 1);
    using x = Tensor.from(gpu, values);
    using out = copy(x);
    assertEquals(await out.read(), values);
  }
});

gpuTest("a mirror is of the moment at which its kernel was recorded", async (gpu) => {
  using x = Tensor.from(gpu, [1, 2, 3, 4]);
  using y = Tensor.from(gpu, [5, 6, 7, 8]);
  using a = copy(x);
  x.copyFrom(y);
  using b = copy(x);
  x.clear();
  using c = copy(x);
  x.write(Float32Array.of(9, 9, 9, 9));
  using d = copy(x);
  const read = async (t: Tensor) => [...await t.read()];
  assertEquals(await read(a), [1, 2, 3, 4]);
  assertEquals(await read(b), [5, 6, 7, 8]);
  assertEquals(await read(c), [0, 0, 0, 0]);
  assertEquals(await read(d), [9, 9, 9, 9]);
});

gpuTest("a mirror is that of the whole buffer, which views share", async (gpu) => {
  using x = Tensor.from(gpu, Float32Array.from({ length: 24 }, (_, i) => i));
  using view = x.view([8], 12);
  using out = copy(view);
  assertEquals([...await out.read()], [12, 13, 14, 15, 16, 17, 18, 19]);
});
