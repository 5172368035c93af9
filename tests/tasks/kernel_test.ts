import { assert, assertEquals, assertMatch, assertThrows } from "@std/assert";
import { OPERATIONS, readSizes } from "../../tasks/kernel/operations.ts";
import { kernelText } from "../../tasks/kernel/text.ts";
import { listOperations } from "../../tasks/kernel.ts";
import { UsageError } from "../../tasks/lib/flags.ts";
import { openGpu } from "../../kernels/runtime/gpu.ts";
import { gpuProcessTest, gpuTest } from "../gpu_support.ts";
import { runTaskProcess, TASK_PERMISSIONS } from "./task_process.ts";

Deno.test("kernel: the sizes of an operation are read and checked", () => {
  assertEquals(readSizes("matmul", "64x512x256"), [64, 512, 256]);
  assertEquals(readSizes("matmul", undefined), OPERATIONS.matmul.example);
  for (const wrong of ["64x512", "64x512x256x1", "64x0x256", "64x-1x256", "axbxc", "", "1x2x3x"]) {
    assertThrows(
      () => readSizes("matmul", wrong),
      UsageError,
      `Flag --shape takes 3 whole numbers from 1 for matmul, MxKxN as in 64x512x256, and not "${wrong}"`,
    );
  }
  for (
    const [name, shape, reason] of [
      ["max-pool", "1x2x2x3x4x1", "no window fits"],
      ["max-pool", "1x20x20x3x9x1", "a window and a stride of at most 8 are needed"],
      ["batch-norm", "1x1x1x3", "two values of each channel are needed"],
      ["sum", "2000000000", "sizes are at most 1073741824"],
    ]
  ) {
    const message = `Flag --shape is ${shape}, and of ${name} ${reason}`;
    assertThrows(() => readSizes(name, shape), UsageError, message);
  }
  const lines = listOperations().split("\n");
  assertEquals(lines.length, 1 + Object.keys(OPERATIONS).length);
  for (const { sizes, example } of Object.values(OPERATIONS)) {
    assertEquals(sizes.length, example.length);
  }
});

gpuTest("kernel: every operation has kernels on both paths, and more with --backward", async () => {
  const own = ["softmax", "log-softmax", "argmax", "column-sum", "sum", "adam"]; // no gradients apart
  for (const [name, { example }] of Object.entries(OPERATIONS)) {
    const sizes = example.map((size) => Math.min(size, 8));
    for (const path of ["subgroup", "workgroup"] as const) {
      const request = { name, sizes, path, lanes: 8 };
      const forward = await kernelText({ ...request, backward: false });
      assertMatch(forward, /^\/\/ .+ of .+ workgroups\nstruct Params \{/);
      const both = await kernelText({ ...request, backward: true });
      assert(both.startsWith(forward) || both.length > forward.length, name);
      assertEquals(both === forward, own.includes(name), name);
    }
  }
});

gpuTest("kernel: what is captured runs nothing, and leaves other GPUs as they are", async () => {
  using before = await openGpu();
  const { lanes, path } = before;
  before.close();
  const text = await kernelText(
    {
      name: "matmul",
      sizes: [8, 8, 8],
      backward: false,
      path: "subgroup",
      lanes: lanes === 4 ? 8 : 4,
    },
  );
  assertMatch(text, /@workgroup_size\((4|8)\)/);
  using after = await openGpu();
  assertEquals([after.lanes, after.path, after.watcher], [lanes, path, undefined]);
});

gpuProcessTest(
  "kernel: the task prints WGSL, or says what is wrong",
  TASK_PERMISSIONS,
  async () => {
    const good = await runTaskProcess("kernel", ["softmax", "--shape=3x5", "--path=workgroup"]);
    assertEquals(good.code, 0, good.stderr);
    assertMatch(good.stdout, /^\/\/ softmax cross-entropy: one dispatch of 3 x 1 x 1 workgroups\n/);
    const wrong = await runTaskProcess("kernel", ["softmux"]);
    assertEquals(wrong.code, 2);
    assertMatch(wrong.stderr, /^error: There is no operation "softmux": matmul, rnn, /);
  },
);
