/** Run as a process of its own by memory_test.ts, with little memory or many times over: prints what came of it. */
import { add } from "../../kernels/elementwise.ts";
import { type Gpu, GpuError, openGpu } from "../../kernels/runtime/gpu.ts";
import { matmul } from "../../kernels/gemm/matmul.ts";
import { Tensor } from "../../kernels/runtime/tensor.ts";

const MEBI = 1 << 20;

/** What is said of the lack of memory. Throws where a number was wrong or nothing was refused. */
async function refusal(work: () => Promise<void>): Promise<string> {
  try {
    await work();
  } catch (error) {
    if (error instanceof GpuError) return error.message;
    throw error;
  }
  throw new Error("nothing was refused");
}

/** Fill the memory with tensors of so many bytes, and believe each read. */
async function fill(gpu: Gpu, kept: Tensor[], bytes: number): Promise<void> {
  const size = bytes / 4;
  for (let i = 1; i < 1000; i++) {
    kept.push(Tensor.empty(gpu, [size], { name: `block ${i}` }));
    using end = kept.at(-1)!.view([3], size - 64);
    end.write([i, i + 1, i + 2]);
    const [first] = await end.read();
    if (first !== i) throw new Error(`${first} was read, and ${i} written`);
  }
}

/** Steps that dispatch and are read only at their end, as training does. */
async function steps(gpu: Gpu, kept: Tensor[]): Promise<void> {
  using one = Tensor.from(gpu, new Float32Array(4 * MEBI).fill(1));
  for (let i = 1; i < 1000; i++) {
    const last = kept.at(-1) ?? one;
    kept.push(add(last, one));
    gpu.flush();
    if (i % 5 > 0) continue;
    using start = kept.at(-1)!.view([1]);
    const [first] = await start.read();
    if (first !== i + 1) throw new Error(`${first} was read, and the sum is ${i + 1}`);
  }
}

/** Matrices that are read from copies in textures. */
async function mirrors(gpu: Gpu, kept: Tensor[]): Promise<void> {
  using a = Tensor.from(gpu, new Float32Array(8 * 2048).fill(1), [8, 2048]);
  for (let i = 1; i < 1000; i++) {
    kept.push(Tensor.from(gpu, new Float32Array(4 * MEBI).fill(i), [2048, 2048], { name: "w" }));
    using product = matmul(a, kept.at(-1)!);
    const [first] = await product.read();
    if (first !== 2048 * i) throw new Error(`${first} was read, and the sum is ${2048 * i}`);
  }
}

/** Textures, whose lack the read after them tells. */
async function textures(gpu: Gpu): Promise<void> {
  using x = Tensor.from(gpu, [1]);
  const side = Math.min(8192, gpu.device.limits.maxTextureDimension2D);
  for (let i = 1; i < 1000; i++) {
    gpu.pool.allocator.texture(
      { size: [side, side], format: "rgba32float", usage: GPUTextureUsage.STORAGE_BINDING },
      16 * side ** 2,
      () => `the copy of block ${i}`,
    );
    await x.read();
  }
}

const KINDS = {
  fill: (gpu: Gpu, kept: Tensor[]) => fill(gpu, kept, 64 * MEBI),
  steps,
  mirrors,
  textures,
};

async function outOfMemory(kind: keyof typeof KINDS): Promise<void> {
  using gpu = await openGpu();
  if (!gpu.adapter.isFallback) return console.log("not a software adapter");
  const kept: Tensor[] = [];
  console.log(await refusal(() => KINDS[kind](gpu, kept)));
  if (kind !== "fill") return;
  // What is disposed of makes room, for other sizes too.
  const { liveBytes } = gpu.pool;
  for (const tensor of kept.splice(0)) tensor.dispose();
  await refusal(() => fill(gpu, kept, 48 * MEBI));
  console.log(`then ${gpu.pool.liveBytes} bytes where ${liveBytes} were`);
}

async function openAndClose(times: number): Promise<void> {
  const status = (key: string) =>
    Number(new RegExp(`${key}:\\s+(\\d+)`).exec(Deno.readTextFileSync("/proc/self/status"))![1]);
  let [memory, threads] = [0, 0];
  for (let i = 0; i < times; i++) {
    {
      using gpu = await openGpu();
      const x = Tensor.from(gpu, new Float32Array(MEBI).fill(1), [1024, 1024]); // left to the GPU to close
      using product = matmul(x, x);
      using end = product.view([1]);
      if ((await end.read())[0] !== 1024) throw new Error("a wrong product");
    }
    if (i === 4) [memory, threads] = [status("VmRSS"), status("Threads")];
  }
  console.log(
    JSON.stringify({ kibi: status("VmRSS") - memory, threads: status("Threads") - threads }),
  );
}

const [kind] = Deno.args;
if (kind === "open") await openAndClose(20);
else await outOfMemory(kind as keyof typeof KINDS);
