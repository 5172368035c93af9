/** What becomes of the memory: when there is too little of it, and when the GPU is closed. */
import { assert, assertEquals, assertMatch, assertRejects, assertThrows } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { accumulate, add } from "../../kernels/elementwise.ts";
import { GpuError, openGpu } from "../../kernels/runtime/gpu.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";
import { gpuProcessTest, gpuTest } from "../gpu_support.ts";

const SCRIPT = fromFileUrl(new URL("memory_process.ts", import.meta.url));

/** Run memory_process.ts, with at most so many KiB of memory where a limit is given. */
async function runProcess(kind: string, limit?: number): Promise<{ code: number; text: string }> {
  const command = [Deno.execPath(), "run", "--allow-all", SCRIPT, kind];
  const limited = limit === undefined ? "" : `ulimit -d ${limit} && `;
  const { code, stdout, stderr } = await new Deno.Command("sh", {
    args: ["-c", `${limited}exec "$@"`, "sh", ...command],
    env: { NO_COLOR: "1" },
  }).output();
  const decoder = new TextDecoder();
  return { code, text: decoder.decode(stdout) + (code === 0 ? "" : decoder.decode(stderr)) };
}

/** Where the driver or V8 finds no memory themselves, they end the process by one of these. */
const ABORTED = [132, 133, 134, 135, 139];

for (
  const [kind, said] of [
    [
      "fill",
      /no memory for the tensor "block \d+" of shape \[16777216\], which takes 67108864 bytes/,
    ],
    ["steps", /no memory for the tensor "sum" of shape \[4194304\], which takes 16777216 bytes/],
    ["mirrors", /no memory/],
    ["textures", /no memory for the copy of block \d, which takes 1073741824 bytes/],
  ] as const
) {
  gpuProcessTest(
    `out of memory, ${kind} is refused by name, and no number read is wrong`,
    [{ name: "run" }],
    async () => {
      if (Deno.build.os !== "linux") return; // where ulimit binds the driver too
      for (const limit of [1_200_000, 1_400_000, 1_700_000]) {
        const { code, text } = await runProcess(kind, limit);
        if (ABORTED.includes(code)) continue;
        assertEquals(code, 0, text);
        if (text.startsWith("not a software adapter")) return; // its memory has no such limit
        assertMatch(text, said);
        assertMatch(text, /\d+ bytes in \d+ buffers are in use/);
        if (kind === "fill") {
          const [, after, before] = /then (\d+) bytes where (\d+) were/.exec(text)!;
          assert(Number(after) > 0.5 * Number(before), text);
        }
        return;
      }
      throw new Error("the process was aborted at every limit");
    },
  );
}

gpuProcessTest(
  "twenty GPUs in turn leave neither memory nor threads",
  [{ name: "run" }],
  async () => {
    if (Deno.build.os !== "linux") return; // which says in /proc what a process holds
    const { code, text } = await runProcess("open");
    assertEquals(code, 0, text);
    const { kibi, threads } = JSON.parse(text) as { kibi: number; threads: number };
    assert(kibi < 80_000, `15 GPUs hold ${kibi} KiB`);
    assert(threads <= 2, `15 GPUs hold ${threads} threads`);
  },
);

gpuTest("closing destroys all buffers, and what is disposed of later does no harm", async () => {
  const gpu = await openGpu();
  const x = Tensor.from(gpu, [1, 2, 3]);
  const y = add(x, x);
  const view = y.view([2]);
  const reads = [y.startRead(), x.startRead()];
  gpu.close();
  gpu.close();
  for (const read of reads) await assertRejects(() => read, GpuError, "The GPU was closed");
  assertEquals([gpu.pool.liveBuffers, gpu.pool.liveBytes, gpu.pool.idleBytes], [0, 0, 0]);
  const uses: (() => void)[] = [
    () => Tensor.from(gpu, [1]),
    () => Tensor.zeros(gpu, [1]),
    () => x.write([1, 2, 3]),
    () => x.clear(),
    () => x.view([1]),
    () => x.copyFrom(y),
    () => x.startRead(),
    () => add(x, x),
    () => gpu.flush(),
  ];
  for (const use of uses) assertThrows(use, GpuError, "The GPU was closed", use.toString());
  await assertRejects(() => gpu.check(), GpuError, "The GPU was closed");
  for (const tensor of [view, x, y, x]) tensor.dispose();
  assertEquals([gpu.pool.liveBuffers, gpu.pool.idleBytes], [0, 0]);
  assertEquals(await gpu.lost, "the GPU was closed");
});

gpuTest(
  "the next GPU gets the device of a closed one, and none of its work or errors",
  async () => {
    const first = await openGpu();
    const { device } = first;
    const x = Tensor.from(first, [1, 2, 3]);
    const unfinished = add(x, x); // recorded, and never submitted
    x.buffer.gpuBuffer.destroy();
    device.queue.writeBuffer(x.buffer.gpuBuffer, 0, new Float32Array(4)); // an error
    first.close();
    using second = await openGpu();
    assert(second.device === device);
    using y = Tensor.from(second, [4, 5, 6]);
    using sum = add(y, y);
    assertEquals([...await sum.read()], [8, 10, 12]);
    unfinished.dispose();
    second.flush();
  },
);

gpuTest("a device that failed or was lost is not used again", async () => {
  const lost = await openGpu();
  lost.device.destroy();
  lost.close();
  const failed = await openGpu();
  assert(failed.device !== lost.device);
  failed.fail(new GpuError("for the test"));
  failed.close();
  using next = await openGpu();
  assert(next.device !== lost.device && next.device !== failed.device);
  using x = Tensor.from(next, [1]);
  assertEquals([...await x.read()], [1]);
});

gpuTest("two GPUs at once have a device each", async () => {
  using first = await openGpu();
  using second = await openGpu();
  assert(first.device !== second.device);
});

gpuTest(
  "an error on the GPU is thrown by the read after it, without a turn of the event loop",
  async () => {
    for (const atOnce of [true, false]) {
      using gpu = await openGpu();
      if (!atOnce) gpu.mapsAtOnce = false;
      using x = Tensor.from(gpu, [1, 2, 3]);
      using y = Tensor.zeros(gpu, [3]);
      gpu.flush();
      x.buffer.gpuBuffer.destroy(); // behind the back of the pool
      accumulate(y, x);
      await assertRejects(() => y.read(), GpuError, "The GPU reports: Buffer with 'pool 256'");
      assertThrows(() => gpu.flush(), GpuError, "The GPU reports");
    }
  },
);
