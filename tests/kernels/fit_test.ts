/** Blocks padded and cut. */
import { assertEquals, assertThrows } from "@std/assert";
import { fit } from "../../kernels/fit.ts";
import { gpuTest } from "../gpu_support.ts";
import { upload } from "./values.ts";

gpuTest("fit pads a block with zeros, and cuts them off again", async (gpu) => {
  using x = upload(gpu, [1, 2, 3, 4, 5, 6], [1, 1, 3, 2]);
  using padded = fit(x, [1, 2, 5, 3], [1, 1]);
  const rows = [[0, 0, 0], [1, 2, 0], [3, 4, 0], [5, 6, 0], [0, 0, 0]].flat();
  assertEquals([...await padded.read()], [...new Array(15).fill(0), ...rows]);
  using back = fit(padded, [1, 1, 3, 2], [-1, -1]);
  assertEquals([...await back.read()], [1, 2, 3, 4, 5, 6]);
});

gpuTest("fit pads rows of any length", async (gpu) => {
  for (
    const [d, outD] of [[59_998, 59_998], [59_999, 60_003], [70_001, 140_003], [140_003, 70_001]]
  ) {
    using x = upload(gpu, Float32Array.from({ length: d }, (_, i) => i + 1), [1, 1, 1, d]);
    using fitted = fit(x, [1, 1, 1, outD]);
    assertEquals(
      await fitted.read(),
      Float32Array.from({ length: outD }, (_, i) => i < d ? i + 1 : 0),
    );
  }
});

gpuTest("fit needs four axes and the same first one", (gpu) => {
  using x = upload(gpu, [1, 2], [2, 1, 1, 1]);
  assertThrows(() => fit(x, [1, 1, 1, 1]), TypeError, "A block [A, b, c, d] to fit");
});
