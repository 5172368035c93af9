/** `deno task pretrain`, on very few pictures. */
import { assert, assertEquals, assertMatch, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { DRAWING_CLASSES } from "../../data/made/drawings.ts";
import { EMBEDDED_SIZE, EMBEDDED_WIDTH } from "../../data/made/embedded/network.ts";
import { readSafetensors } from "../../data/formats/safetensors.ts";
import { squeezeNetWidth } from "../../models/pictures/squeezenet.ts";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { runTaskProcess, TASK_PERMISSIONS, withTempFolder } from "./task_process.ts";

const SMALL = ["--each=1", "--val=1", "--epochs=1", "--batch=10"];

gpuProcessTest(
  "pretrain: draws, trains and writes weights in 16 bits",
  TASK_PERMISSIONS,
  async () => {
    await withTempFolder(async (folder) => {
      const file = join(folder, "small.safetensors");
      const { code, stdout, stderr } = await runTaskProcess("pretrain", [
        ...SMALL,
        `--file=${file}`,
      ]);
      assertEquals([code, stderr], [0, ""]);
      assertStringIncludes(stdout, "Drawing 48 pictures of 24 classes");
      assertMatch(stdout, /with 111,800 weights tells \d+\.\d\d % of 24 drawings it never saw/);
      const { tensors, metadata } = await readSafetensors(file);
      assertEquals(squeezeNetWidth(tensors), EMBEDDED_WIDTH);
      assert([...tensors.values()].every(({ dtype }) => dtype === "F16"));
      assertEquals(JSON.parse(metadata.classes), DRAWING_CLASSES);
      assertEquals(JSON.parse(metadata.normalisation).size, EMBEDDED_SIZE);
      assertEquals(JSON.parse(metadata.settings), {
        ...{ task: "pretrain", each: 1, val: 1, epochs: 1, batch: 10, lr: 4e-3, seed: 231 },
      });
    });
  },
);

permissionTest(
  "pretrain: refuses a file that it could not write, at once",
  TASK_PERMISSIONS,
  async () => {
    const refused = {
      "no/such/folder/x": "there is no such file or folder",
      ".": "it is a folder",
      [`${"n".repeat(300)}.safetensors`]: "the name is too long",
    };
    for (const [file, why] of Object.entries(refused)) {
      const { code, stdout, stderr } = await runTaskProcess("pretrain", [`--file=${file}`]);
      assertEquals([code, stdout], [1, ""]);
      assertEquals(stderr, `error: ${file} cannot be written: ${why}\n`);
    }
  },
);
