import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { type Gpu, GpuError, openGpu, type OpenGpuOptions } from "../../kernels/runtime/gpu.ts";
import { defineKernel, FLAT_MAIN, flatGroups } from "../../kernels/runtime/kernel.ts";
import { lstmTimeMajorBackward, lstmTimeMajorForward } from "../../kernels/recurrent/lstm.ts";
import { matmul } from "../../kernels/gemm/matmul.ts";
import { Profiler, profileWay } from "../../kernels/runtime/profile/profiler.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { gpuTest } from "../gpu_support.ts";
import { linspace, permissionTest } from "../support.ts";

/** What `console.error` is given meanwhile. */
async function printed(work: () => Promise<void>): Promise<string> {
  const plain = console.error;
  let said = "";
  console.error = (text: string) => void (said += `${text}\n`);
  try {
    await work();
  } finally {
    console.error = plain;
  }
  return said;
}

const STEPS = 3;

/** A product and an LSTM there and back, twice, with what they come to. */
async function steps(gpu: Gpu): Promise<Float32Array[]> {
  const [batch, input, hidden] = [2, 5, 6];
  const tensor = (shape: number[], from: number) =>
    Tensor.from(gpu, linspace(from, 0.7, shape.reduce((a, b) => a * b)), shape);
  const results: Float32Array[] = [];
  for (let i = 0; i < 2; i++) {
    using x = tensor([STEPS, batch, input], -1 + i);
    using h0 = tensor([batch, hidden], -0.5);
    using wx = tensor([input, 4 * hidden], -0.3);
    using wh = tensor([hidden, 4 * hidden], -0.8);
    using b = tensor([4 * hidden], 0.1);
    using forward = lstmTimeMajorForward({ x, h0, wx, wh, b });
    using rows = forward.h.view([STEPS * batch, hidden]);
    using product = matmul(rows, wh);
    using dh = tensor([STEPS, batch, hidden], 0.2);
    const gradients = lstmTimeMajorBackward(dh, forward);
    for (const one of [product, ...Object.values(gradients)] as Tensor[]) {
      results.push(await one.read());
      if (one !== product) one.dispose();
    }
  }
  return results;
}

/** The results, dispatches and profiled calls of {@linkcode steps}. */
async function measured(options: OpenGpuOptions = {}) {
  using gpu = await openGpu(options);
  const results = await steps(gpu);
  const { dispatches } = gpu.recorder.counts;
  const profile = gpu.watcher instanceof Profiler ? gpu.watcher.profile() : undefined;
  return { results, dispatches, profile };
}

const adapter = await navigator.gpu?.requestAdapter();
const timed = adapter?.features.has("timestamp-query") === true;
const ways = ["submits", "counts", ...(timed ? ["timestamps" as const] : [])] as const;

for (const profile of ways) {
  for (const path of [undefined, "workgroup"] as const) {
    gpuTest(
      `a profile by ${profile} changes no result, and counts each call, ${path ?? "own"} path`,
      async () => {
        const plain = await measured(path && { path });
        assertEquals(plain.profile, undefined);
        const said = await printed(async () => {
          const watched = await measured({ profile, ...(path && { path }) });
          assertEquals(watched.results, plain.results);
          assertEquals(watched.dispatches, plain.dispatches);
          const { kernels, moves, ms } = watched.profile!;
          const calls = Object.fromEntries(kernels.map((kernel) => [kernel.name, kernel.calls]));
          assertEquals(calls["lstm step"], 2 * STEPS);
          assertEquals(calls["lstm step backward"], 2 * STEPS);
          assertEquals(calls["matmul NN"], 2 * 2); // the projection and the product
          assertEquals(kernels.reduce((sum, { calls }) => sum + calls, 0), plain.dispatches);
          const step = kernels.find(({ name }) => name === "lstm step")!;
          assertEquals(step.flops, 2 * STEPS * 2 * 2 * 24 * 6);
          assertEquals(moves.find(({ name }) => name === "reads")?.calls, plain.results.length);
          for (const kernel of kernels) {
            if (profile === "counts") assertEquals(kernel.ms, undefined);
            else assert(kernel.ms! >= 0 && kernel.ms! < ms, `${kernel.name} takes ${kernel.ms} ms`);
          }
          if (profile !== "counts") assert(kernels.some((kernel) => kernel.ms! > 0));
        });
        assertMatch(said, /^What took the time on .+\n\nkernel +calls/);
        assertEquals(said.split("What took the time").length, 2);
      },
    );
  }
}

gpuTest("timestamps of more dispatches than a submit takes are all read", async () => {
  if (!timed) return;
  await printed(async () => {
    using gpu = await openGpu({ profile: "timestamps" });
    using x = Tensor.from(gpu, linspace(-1, 1, 9), [3, 3]);
    using out = Tensor.empty(gpu, [3, 3]);
    const { submits } = gpu.recorder.counts;
    for (let i = 0; i < 2100; i++) matmul(x, x, { out });
    await out.read();
    assertEquals(gpu.recorder.counts.submits - submits, 3);
    const [product] = (gpu.watcher as Profiler).profile().kernels;
    assertEquals(product.calls, 2100);
    assert(product.ms! > 0);
  });
});

gpuTest("compiling counts once for each pipeline, and not as the kernel's time", async () => {
  await printed(async () => {
    using gpu = await openGpu({ profile: "submits" });
    using out = Tensor.empty(gpu, [64]);
    // A text that no driver has seen: long, so that it takes a while.
    const salt = Date.now() % 1e6;
    const lines = Array.from({ length: 100 }, (_, i) => `s = s * ${i}.5 + sin(s + ${salt}.0);`);
    const kernel = defineKernel({
      name: "long",
      bindings: { out: "write f32" },
      params: { n: "u32" },
      code: `${FLAT_MAIN}\nvar s = f32(i);\n${
        lines.join("\n")
      }\nif (i < params.n) { out[i] = s; }\n}`,
    });
    const run = () => {
      kernel.run(gpu, { out }, { n: 64 }, flatGroups(64));
      return (gpu.watcher as Profiler).profile().kernels[0];
    };
    const first = run();
    assertEquals([first.calls, first.pipelines], [1, 1]);
    assert(first.compileMs > first.ms!, `${first.compileMs} ms, and ${first.ms} ms to run`);
    const second = run();
    assertEquals([second.calls, second.pipelines, second.compileMs], [2, 1, first.compileMs]);
    await out.read();
  });
});

Deno.test("timestamps are refused where the device has none", () => {
  const device = { features: new Set<string>() } as unknown as GPUDevice;
  const adapter = {
    ...{ description: "a bare one", vendor: "", isFallback: true },
    ...{ subgroupMinSize: 8, subgroupMaxSize: 8 },
  };
  assertThrows(
    () => profileWay({ device, adapter }, "timestamps"),
    GpuError,
    'The adapter "a bare one" has no timestamps',
  );
});

const MODULE = new URL("../../kernels/mod.ts", import.meta.url).href;
const SCRIPT = `
import { matmul, openGpu, Tensor } from ${JSON.stringify(MODULE)};
const gpu = await openGpu();
using x = Tensor.from(gpu, [1, 2, 3, 4], [2, 2]);
using y = matmul(x, x);
console.log((await y.read()).join());
`;

for (
  const [what, permissions, value, ending, profiled] of [
    ["prints a profile when it ends", ["--allow-env=NECKAR_PROFILE"], "1", "", true],
    ["prints it when it closes the GPU", ["--allow-env=NECKAR_PROFILE"], "1", "gpu.close();", true],
    ["prints it when it exits", ["--allow-env=NECKAR_PROFILE"], "1", "Deno.exit(0);", true],
    ["prints none where NECKAR_PROFILE is 0", ["--allow-env=NECKAR_PROFILE"], "0", "", false],
    ["prints none where it may not read NECKAR_PROFILE", [], "1", "", false],
  ] as const
) {
  permissionTest(
    `a script with NECKAR_PROFILE ${what}`,
    [{ name: "run" }, { name: "read" }],
    async () => {
      const command = new Deno.Command(Deno.execPath(), {
        args: ["run", "--no-prompt", ...permissions, "-"],
        env: { NECKAR_PROFILE: value, NO_COLOR: "1" },
        stdin: "piped",
        stdout: "piped",
        stderr: "piped",
      });
      const child = command.spawn();
      const writer = child.stdin.getWriter();
      await writer.write(new TextEncoder().encode(SCRIPT + ending));
      await writer.close();
      const { code, stdout, stderr } = await child.output();
      const [out, err] = [stdout, stderr].map((bytes) => new TextDecoder().decode(bytes));
      if (/NoAdapterError/.test(err)) return;
      assertEquals({ code, out }, { code: 0, out: "7,10,15,22\n" });
      assertEquals(err.split("What took the time on").length, profiled ? 2 : 1, err);
      if (profiled) assertMatch(err, /\nmatmul NN +1 /);
    },
  );
}
