/** The device, its recorder and buffers: what they promise, and how they fail. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { accumulate, add, scaleBy } from "../../kernels/elementwise.ts";
import { noAdapterMessage } from "../../kernels/runtime/errors.ts";
import { GpuError, openGpu } from "../../kernels/runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups, foldGroups } from "../../kernels/runtime/kernel.ts";
import { BufferPool, sizeClass } from "../../kernels/runtime/memory/pool.ts";
import { rnnTimeMajorBackward, rnnTimeMajorForward } from "../../kernels/recurrent/rnn.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { gpuTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { disposeAll, normals, upload } from "./values.ts";

Deno.test("noAdapterMessage says for each system what to install", () => {
  assertStringIncludes(noAdapterMessage("linux", "2.9.6"), "apt-get install mesa-vulkan-drivers");
  assertStringIncludes(noAdapterMessage("windows", "2.9.6"), "driver of your graphics card");
  assertStringIncludes(noAdapterMessage("darwin", "2.9.6"), "macOS with Metal");
  assertStringIncludes(noAdapterMessage("freebsd", "2.9.6"), "install a Vulkan driver");
  for (const os of ["linux", "windows", "darwin", "freebsd"]) {
    assertStringIncludes(noAdapterMessage(os, "2.9.6"), `Deno 2.9.6 on ${os} finds no WebGPU`);
  }
  assertStringIncludes(noAdapterMessage("linux", "2.9.6", "dx12"), `DENO_WEBGPU_BACKEND is "dx12"`);
});

permissionTest(
  "without an adapter, openGpu says which system, which Deno, and what to do",
  [{ name: "run" }, { name: "env" }],
  async () => {
    const gpuModule = new URL("../../kernels/runtime/gpu.ts", import.meta.url);
    const script = `const { openGpu } = await import("${gpuModule}");
      await openGpu().then(() => console.log("opened"), (e) => console.log(e.name, e.message));`;
    for (const permission of ["--allow-env", "--deny-env"]) {
      const { stdout } = await new Deno.Command(Deno.execPath(), {
        args: [
          "run",
          "--no-lock",
          permission,
          `data:text/typescript,${encodeURIComponent(script)}`,
        ],
        env: { DENO_WEBGPU_BACKEND: Deno.build.os === "windows" ? "metal" : "dx12" },
      }).output();
      const said = new TextDecoder().decode(stdout);
      assertStringIncludes(said, "NoAdapterError");
      assertStringIncludes(said, `Deno ${Deno.version.deno} on ${Deno.build.os}`);
      assertStringIncludes(said, "driver");
      assertEquals(said.includes("unset it"), permission === "--allow-env");
    }
  },
);

Deno.test("sizeClass loses at most a quarter and keeps the alignment", () => {
  assertEquals([0, 1, 256, 257, 1024, 1025].map(sizeClass), [256, 256, 256, 512, 1024, 1280]);
  for (let bytes = 2048; bytes < 2 ** 31; bytes = Math.ceil(bytes * 1.37)) {
    const size = sizeClass(bytes);
    assert(size >= bytes && size <= 1.25 * bytes && size % 256 === 0, `${bytes} became ${size}`);
    assertEquals(sizeClass(size), size);
  }
});

Deno.test("foldGroups covers every workgroup within the limits, and refuses more", () => {
  for (const n of [0, 1, 65535, 65536, 200_001, 65535 ** 2]) {
    const [x, y] = foldGroups(n);
    assert(x <= 65535 && y <= 65535 && x * y >= n, `${n} became ${x} x ${y}`);
  }
  assertThrows(() => foldGroups(65535 ** 2 + 1), GpuError, "workgroups: at most");
});

Deno.test("defineKernel refuses more bindings than a kernel can have everywhere", () => {
  const bindings = Object.fromEntries(
    Array.from({ length: 9 }, (_, i) => [`b${i}`, "read f32" as const]),
  );
  assertThrows(
    () => defineKernel({ name: "greedy", bindings, params: {}, code: "" }),
    RangeError,
    `"greedy" has 9 bindings: at most 8`,
  );
});

gpuTest(
  "openGpu tells of its adapter, and refuses a path that the adapter cannot run",
  async (gpu) => {
    assert(gpu.adapter.description.length > 0);
    const oneSize = gpu.adapter.subgroupMinSize === gpu.adapter.subgroupMaxSize &&
      [4, 8, 16].includes(gpu.adapter.subgroupMinSize);
    if (oneSize) {
      using forced = await openGpu({ path: "subgroup" });
      assertEquals([forced.path, forced.lanes], ["subgroup", gpu.adapter.subgroupMaxSize]);
    } else {
      await assertRejects(() => openGpu({ path: "subgroup" }), GpuError, "one subgroup size");
    }
  },
);

// A device of its own for each test that breaks something.

gpuTest("a kernel that does not compile is named by the next read", async () => {
  using gpu = await openGpu();
  const broken = defineKernel({
    name: "broken kernel",
    bindings: { x: "write f32" },
    params: {},
    code: "@compute @workgroup_size(1) fn main() { x[0] = nonsense; }",
  });
  using x = Tensor.from(gpu, [1, 2]);
  broken.run(gpu, { x }, {}, [1]);
  const error = await assertRejects(() => x.read(), GpuError, "broken kernel");
  assertStringIncludes(error.message, "nonsense");
  assertThrows(() => gpu.flush(), GpuError, "broken kernel");
  await assertRejects(() => x.read(), GpuError, "broken kernel");
  await assertRejects(() => gpu.check(), GpuError, "broken kernel");

  // What was reported meanwhile belongs to the same failure.
  await new Promise((done) => setTimeout(done, 20));
  gpu.clearFailure();
  assertEquals(await x.read(), new Float32Array([1, 2]));
});

gpuTest("a closed device says so, and never gives zeros", async () => {
  const gpu = await openGpu();
  using x = Tensor.from(gpu, [1, 2]);
  using y = add(x, x);
  const pending = y.startRead();
  gpu.close();
  await assertRejects(() => pending, GpuError, "The GPU was closed");
  assertThrows(() => gpu.flush(), GpuError, "The GPU was closed");
  await assertRejects(() => y.read(), GpuError, "The GPU was closed");
  assertThrows(() => y.startRead(), GpuError, "The GPU was closed");
  assert((await gpu.lost).length > 0);
});

gpuTest("a read gives the same whether it waits for the event loop or not", async () => {
  using gpu = await openGpu();
  using x = Tensor.from(gpu, [1, 2, 3]);
  for (const atOnce of [gpu.mapsAtOnce, false]) {
    gpu.mapsAtOnce = atOnce;
    using y = add(x, x);
    assertEquals([...await y.read()], [2, 4, 6]);
  }
});

permissionTest("openGpu chooses the software driver's threads, unless the user has", [{
  name: "env",
  variable: "LP_NUM_THREADS",
}], () => {
  // The shared device of these tests was opened before.
  assertMatch(Deno.env.get("LP_NUM_THREADS") ?? "", /^\d+$/);
});

gpuTest("a lost device is reported by the next flush and read", async () => {
  const gpu = await openGpu();
  using x = Tensor.from(gpu, [1, 2]);
  gpu.device.destroy(); // as a driver would: without a word to the Gpu
  await assertRejects(() => x.read(), GpuError);
  await gpu.lost;
  assertThrows(() => gpu.flush(), GpuError, "The GPU device was lost");
  await assertRejects(() => x.read(), GpuError, "The GPU device was lost");
});

gpuTest("a kernel refuses a wrong dtype, another device's tensor, and aliases", async (gpu) => {
  using x = Tensor.from(gpu, [1, 2], [2], { name: "floats" });
  using words = Tensor.from(gpu, [1, 2], [2], { name: "words", dtype: "u32" });
  const untyped = words as unknown as Tensor; // the types refuse it before the kernel does
  assertThrows(() => accumulate(x, untyped), TypeError, `needs f32 for x, and "words" holds u32`);
  using other = await openGpu();
  using foreign = Tensor.from(other, [1, 2], [2], { name: "foreign" });
  assertThrows(() => accumulate(x, foreign), TypeError, "from another device");
  assertThrows(() => x.copyFrom(foreign), TypeError, "it is on another device");
  assertThrows(() => accumulate(x, x), TypeError, "which share one buffer");
  using first = x.view([1]);
  using second = x.view([1], 1);
  assertThrows(() => accumulate(first, second), TypeError, "which share one buffer");
});

gpuTest(
  "a buffer that is used again does not disturb the work recorded for its first owner",
  async (gpu) => {
    using a = Tensor.from(gpu, [1, 2, 3]);
    const first = Tensor.from(gpu, [10, 20, 30]);
    using sum = add(a, first);
    first.dispose();
    using second = Tensor.from(gpu, [7, 7, 7]); // the pool gives first's buffer
    assertEquals(await sum.read(), new Float32Array([11, 22, 33]));
    assertEquals(await second.read(), new Float32Array([7, 7, 7]));
  },
);

gpuTest("more dispatches than the parameter arena holds go into several submits", async (gpu) => {
  using total = Tensor.zeros(gpu, [3]);
  using x = Tensor.from(gpu, [1, 2, 3]);
  gpu.flush();
  const { submits, dispatches } = { ...gpu.recorder.counts };
  const n = 2500;
  using out = Tensor.zeros(gpu, [3]);
  for (let i = 0; i < n; i++) add(x, x, i, out); // each with a parameter of its own
  for (let i = 0; i < 10; i++) accumulate(total, out);
  assertEquals(gpu.recorder.counts.submits - submits, 2);
  assertEquals(await total.read(), new Float32Array([1, 2, 3].map((v) => 10 * v * n)));
  assertEquals(gpu.recorder.counts.dispatches - dispatches, n + 10);
  assertEquals(gpu.recorder.counts.submits - submits, 3);
  assert(gpu.recorder.empty);
});

gpuTest(
  "an elementwise kernel reaches its last element beyond one row of workgroups",
  async (gpu) => {
    const n = 65536 * 64 + 1;
    const ramp = defineKernel({
      name: "ramp",
      bindings: { out: "write u32" },
      params: { n: "u32" },
      code: `${FLAT_MAIN}
  if (i < params.n) { out[i] = i + 1u; }
}`,
    });
    using out = Tensor.zeros(gpu, [n], { dtype: "u32" });
    ramp.run(gpu, { out }, { n }, flatGroups(n));
    const got = await out.read();
    assert(got.every((v, i) => v === i + 1), "an element is missing");
    assertThrows(
      () => ramp.run(gpu, { out }, { n }, [65536]),
      RangeError,
      "[65536, 1, 1] workgroups",
    );
  },
);

gpuTest("the pool hands a released buffer out again, and counts", (gpu) => {
  const pool = new BufferPool(gpu.pool.allocator, 1024);
  const a = pool.acquire(1000);
  const b = pool.acquire(10);
  assertEquals([pool.liveBuffers, pool.liveBytes, pool.peakBytes], [2, 1024 + 256, 1280]);
  pool.release(a);
  assertEquals([pool.liveBuffers, pool.liveBytes, pool.idleBytes], [1, 256, 1024]);
  assert(pool.acquire(1024) === a);
  pool.release(a);
  pool.release(b);
  assertEquals([pool.liveBytes, pool.idleBytes, pool.peakBytes], [0, 1280, 1280]);
  pool.trim(256); // the largest go first
  assertEquals([pool.idleBytes, pool.destroyed], [256, 1]);
  pool.trim();
  assertEquals([pool.idleBytes, pool.destroyed], [0, 2]);
});

gpuTest(
  "fifty repetitions of forward and backward need no more memory than the second",
  async (gpu) => {
    const [t, n, d, h] = [2, 3, 5, 7];
    const inputs = {
      x: upload(gpu, normals("x", t * n * d), [t, n, d]),
      h0: upload(gpu, normals("h0", n * h), [n, h]),
      wx: upload(gpu, normals("wx", d * h), [d, h]),
      wh: upload(gpu, normals("wh", h * h), [h, h]),
      b: upload(gpu, normals("b", h), [h]),
    };
    using tenth = Tensor.from(gpu, [0.1], []);
    const { pool } = gpu;
    let steady: number[] = [];
    for (let i = 0; i < 50; i++) {
      using forward = rnnTimeMajorForward(inputs);
      using dh = scaleBy(forward.h, tenth);
      disposeAll(rnnTimeMajorBackward(dh, forward));
      if (i % 10 === 0) await forward.h.read();
      const now = [
        pool.liveBuffers,
        pool.liveBytes,
        pool.peakBytes,
        pool.liveBytes + pool.idleBytes,
      ];
      if (i === 1) steady = now;
      if (i > 1) assertEquals(now, steady);
    }
    disposeAll(inputs);
  },
);
