import { assertEquals, assertRejects } from "@std/assert";
import { dirname, fromFileUrl, join } from "@std/path";
import {
  readSafetensors,
  type TensorData,
  writeSafetensors,
} from "../../../data/formats/safetensors.ts";
import { readWeightFile, readWeights } from "../../../data/formats/weights.ts";
import { dataTest, permissionTest } from "../../support.ts";
import { writeZip } from "./zip/zip_writer.ts";
import { UserError } from "../../../data/files/user_error.ts";

const fixture = (name: string) => fromFileUrl(new URL(`../../fixtures/${name}`, import.meta.url));

Deno.test("readWeights() picks the format by the content", async () => {
  const counts = {
    "safetensors/dtypes.safetensors": 12,
    "weights/zip.pth": 18,
    "weights/legacy.pth": 18,
    "weights/stored.npz": 16,
    "weights/compressed.npz": 16,
  };
  for (const [name, count] of Object.entries(counts)) {
    assertEquals((await readWeights(fixture(name))).size, count, name);
  }
});

permissionTest("readWeightFile() gives a file's metadata too", [{ name: "write" }], async () => {
  const path = await Deno.makeTempFile();
  try {
    const a: TensorData = { dtype: "F32", shape: [1], data: Float32Array.of(2) };
    const tensors = new Map([["a", a]]);
    await writeSafetensors(path, tensors, { classes: "[]" });
    assertEquals(await readWeightFile(path), {
      ...{ tensors, metadata: { classes: "[]" }, notes: [] },
    });
    assertEquals((await readWeightFile(fixture("weights/zip.pth"))).metadata, {});
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("readWeightFile() leaves out what wrappers put before every name, and notes it", async () => {
  const names = [
    ...["0.weight", "0.bias", "1.weight", "1.bias", "1.running_mean", "1.running_var"],
    "1.num_batches_tracked",
  ];
  const [parallel, lightning, plain] = await Promise.all(
    ["company.pth", "lightning.ckpt", "module_legacy.pth"].map((name) =>
      readWeightFile(fixture(`weights/${name}`))
    ),
  );
  for (const { tensors } of [parallel, lightning, plain]) assertEquals([...tensors.keys()], names);
  assertEquals(parallel.notes, [
    `Left out "module." before every name, as PyTorch's DataParallel put it there`,
  ]);
  assertEquals(lightning.notes, [
    `Left out "model." before every name, as PyTorch Lightning and others put it there`,
  ]);
  assertEquals(plain.notes, []);
});

permissionTest(
  "readWeights() reads regular files of a length that models have",
  [{ name: "write" }, { name: "read" }],
  async () => {
    const folder = await Deno.makeTempDir();
    try {
      const holes = join(folder, "holes");
      await Deno.writeTextFile(holes, "");
      await Deno.truncate(holes, 2 ** 31 + 1);
      const message = `${holes} has 2147483649 bytes, and at most 2147483648 are read`;
      await assertRejects(() => readWeights(holes), UserError, message);
      if (Deno.build.os === "windows") return;
      const endless = join(folder, "endless");
      await Deno.symlink("/dev/zero", endless);
      for (const read of [readWeights, readSafetensors]) {
        await assertRejects(() => read(endless), UserError, `${endless} is no regular file`);
      }
    } finally {
      await Deno.remove(folder, { recursive: true });
    }
  },
);

permissionTest("readWeights() says what a file is instead", [{ name: "write" }], async () => {
  const text = new TextEncoder();
  const other: [string, Uint8Array][] = [
    [
      "It is empty; allowed are safetensors, PyTorch's .pth (either format) and NumPy's .npz",
      text.encode(""),
    ],
    ["It is an HDF5 file;", Uint8Array.of(0x89, ...text.encode("HDF\r\n\x1a\n"), 0)],
    ["It is a gzip file: unpack it first;", Uint8Array.of(0x1f, 0x8b, 8, 0)],
    ["It is a single NumPy array, whose", await Deno.readFile(fixture("weights/fortran.npy"))],
    ["It is a pickle that torch.save did not write;", Uint8Array.of(0x80, 4, 0x4e, 0x2e)],
    ["It is a pickle that torch.save did not write;", Uint8Array.of(0x80, 4, 0x81)],
    ["It is a page of HTML", text.encode("<!DOCTYPE html>")],
    ["It is a pointer of Git LFS", text.encode("version https://git-lfs.github.com/spec/v1\n")],
    ["It is a file of 5 bytes that starts with 68 65 6c 6c 6f;", text.encode("hello")],
    [`It is a zip archive with "a.txt";`, writeZip([{ name: "a.txt", bytes: text.encode("a") }])],
    ["its end is missing", text.encode("PK\x03\x04")],
  ];
  const folder = await Deno.makeTempDir();
  try {
    const path = join(folder, "weights");
    for (const [message, bytes] of other) {
      await Deno.writeFile(path, bytes);
      const error = await assertRejects(() => readWeights(path), UserError, message);
      assertEquals(error.message.startsWith(`${path} cannot be read as a weight file: `), true);
    }
    await Deno.writeFile(path, Uint8Array.of(9, 0, 0, 0, 0, 0, 0, 0, 0x7b, 0x7d));
    const format = `${path} cannot be read as safetensors: The header's length is 9`;
    await assertRejects(() => readWeights(path), UserError, format);
    await assertRejects(() => readWeights(join(folder, "none")), Deno.errors.NotFound);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("readWeights() names file and format in the decoder's error", async () => {
  const path = fixture("weights/system.pth");
  const message =
    `${path} cannot be read as PyTorch's zip format: Byte 177 of the pickle refuses the`;
  await assertRejects(() => readWeights(path), UserError, message);
});

dataTest(
  "readWeights() reads the same SqueezeNet from .pth and .safetensors",
  "weights/squeezenet1_1.pth",
  async (path) => {
    const zip = await readWeights(path);
    const { tensors } = await readSafetensors(path.replace(".pth", ".safetensors"));
    assertEquals(zip.size, 52);
    const names = [...tensors.keys()];
    assertEquals([...zip.keys()].sort(), names.sort());
    const same = names.filter((name) => {
      const [a, b] = [zip.get(name)!, tensors.get(name)!];
      // A plain comparison: assertEquals takes seconds for a million values.
      return a.dtype === b.dtype && String(a.shape) === String(b.shape) &&
        a.data.every((value: number | bigint, i: number) => value === b.data[i]);
    });
    assertEquals(same, names);
    const legacy = await readWeights(join(dirname(path), "legacy_format_sample.pth"));
    assertEquals(legacy.size, 4);
    for (const [name, tensor] of legacy) assertEquals(tensor, tensors.get(name));
  },
);
