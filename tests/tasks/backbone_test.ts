/** The network that flags name. */
import { assertRejects, assertStringIncludes } from "@std/assert";
import { encodeSafetensors } from "../../data/formats/safetensors.ts";
import { openBackbone } from "../../tasks/lib/backbone.ts";
import { gpuProcessTest, gpuTest } from "../gpu_support.ts";
import { granted } from "../support.ts";
import { randomSqueezeNet } from "./small_network.ts";
import { UserError } from "../../data/files/user_error.ts";

const write = { name: "write" } as const;

const title = "weights that are not finite are refused by their file, the tensor and the place";
if (!granted(write)) gpuProcessTest(title, [write], () => {});
else {
  gpuTest(title, async (gpu) => {
    const path = await Deno.makeTempFile({ suffix: ".safetensors" });
    try {
      const weights = await randomSqueezeNet(2, 1 / 16);
      const { shape, data } = weights.get("features.0.bias")!;
      const bad = (data as Float32Array<ArrayBuffer>).with(3, NaN);
      weights.set("features.0.bias", { dtype: "F32", shape, data: bad });
      await Deno.writeFile(path, encodeSafetensors(weights));
      const error = await assertRejects(
        () => openBackbone(gpu, { weights: path, partial: false }, { learned: "none" }),
        UserError,
        path,
      );
      assertStringIncludes(error.message, '"features.0.bias" is not finite in 1 of 4 numbers');
      assertStringIncludes(error.message, "first NaN at place 3");
    } finally {
      await Deno.remove(path);
    }
  });
}

const inside = "a network inside a larger model is found, and what else there is passed over";
if (!granted(write)) gpuProcessTest(inside, [write], () => {});
else {
  gpuTest(inside, async (gpu) => {
    const path = await Deno.makeTempFile({ suffix: ".safetensors" });
    try {
      const weights = new Map(
        [...await randomSqueezeNet(2, 1 / 16)].map(([name, tensor]) => [`net.${name}`, tensor]),
      );
      weights.set("loss.weight", { dtype: "F32", shape: [1], data: Float32Array.of(NaN) });
      await Deno.writeFile(path, encodeSafetensors(weights));
      const opened = await openBackbone(gpu, { weights: path, partial: false });
      opened.model.dispose();
      assertStringIncludes(
        opened.notes.join(),
        'left out "net." before its names, and passed over 1 other tensor',
      );
    } finally {
      await Deno.remove(path);
    }
  });
}
