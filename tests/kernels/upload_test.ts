/** Several arrays in one upload. */
import { assertEquals, assertThrows } from "@std/assert";
import { uploadPacked } from "../../kernels/runtime/memory/upload.ts";
import { gpuTest } from "../gpu_support.ts";

gpuTest("arrays share one buffer, and each comes back under its name and shape", async (gpu) => {
  const live = gpu.pool.liveBuffers;
  const long = Array.from({ length: 65 }, (_, i) => 2 ** 32 - 1 - i);
  {
    using packed = uploadPacked(gpu, {
      long: { data: long, shape: [5, 13] },
      empty: { data: [], shape: [0] },
      typed: { data: Uint16Array.of(9, 8, 7), shape: [3] },
    }, "parts");
    assertEquals(gpu.pool.liveBuffers, live + 1);
    assertEquals([packed.long.name, packed.long.dtype], ["parts long", "u32"]);
    assertEquals([[...packed.long.shape], [...packed.empty.shape]], [[5, 13], [0]]);
    assertEquals([...await packed.long.read()], long);
    assertEquals([...await packed.empty.read()], []);
    assertEquals([...await packed.typed.read()], [9, 8, 7]);
    // Bindings begin at multiples of 256 bytes.
    for (const tensor of [packed.long, packed.empty, packed.typed]) {
      assertEquals(tensor.offset % 64, 0);
    }
  }
  assertEquals(gpu.pool.liveBuffers, live);
});

gpuTest("a shape that does not fit is refused, and leaves no buffer behind", (gpu) => {
  const good = { data: [1, 2], shape: [2] };
  const bad = { data: [1, 2, 3], shape: [2, 2] };
  const message = `The part "bad" of "parts" has 3 numbers and the shape [2, 2]`;
  assertThrows(() => uploadPacked(gpu, { bad, good }, "parts"), TypeError, message);
  assertThrows(() => uploadPacked(gpu, { good, bad }, "parts"), TypeError, message);
});
