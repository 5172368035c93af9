/** The embedded network: it is what its file says it is. */
import { assert, assertEquals } from "@std/assert";
import { fromFileUrl } from "@std/path";
import { DRAWING_CLASSES, drawPictures, TRANSFER_CLASSES } from "../../data/made/drawings.ts";
import {
  EMBEDDED_NOTE,
  EMBEDDED_SIZE,
  EMBEDDED_WIDTH,
  readEmbeddedNetwork,
} from "../../data/made/embedded/network.ts";
import { ImageLoader } from "../../data/images/image_loader.ts";
import { RandomStream } from "../../data/rng.ts";
import { imageScores, measure } from "../../models/pictures/image_training.ts";
import { squeezeNetWidth } from "../../models/pictures/squeezenet.ts";
import { openBackbone } from "../../tasks/lib/backbone.ts";
import { gpuTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";

const FILE = fromFileUrl(new URL("../../data/made/embedded/drawings.safetensors", import.meta.url));

permissionTest("the embedded network is small, and its classes are the drawings'", [
  { name: "read" },
], async () => {
  const { weights, classes, accuracy } = await readEmbeddedNetwork();
  assertEquals(classes, DRAWING_CLASSES);
  assert(classes.every((name) => !TRANSFER_CLASSES.includes(name)));
  assertEquals(squeezeNetWidth(weights), EMBEDDED_WIDTH);
  assert(accuracy > 0.9, `its file says ${accuracy}`);
  assert(Deno.statSync(FILE).size < 300_000);
  for (const [key, { dtype, data }] of weights) {
    assertEquals(dtype, "F16", key);
    assert((data as Float16Array).every(Number.isFinite), key);
  }
});

gpuTest("the embedded network tells drawings that it never saw, as its file says", async (gpu) => {
  const flags = { weights: undefined, partial: false };
  const { model: opened, size, classNames, notes } = await openBackbone(gpu, flags);
  using model = opened;
  assertEquals([size, classNames, notes], [EMBEDDED_SIZE, DRAWING_CLASSES, [EMBEDDED_NOTE]]);
  const { pictures, labels } = drawPictures(DRAWING_CLASSES, 8, size, new RandomStream(4711));
  const loader = new ImageLoader(pictures, { batchSize: 32, labels });
  const measured = measure(await imageScores(model, loader.epoch(0), pictures.length));
  const { accuracy } = await readEmbeddedNetwork();
  // The deviation of the accuracy on 192 pictures is 2 %.
  assert(Math.abs(measured.accuracy - accuracy) < 0.07, `${measured.accuracy}, not ${accuracy}`);
});

gpuTest("the embedded network's file is opened by name too", async (gpu) => {
  const flags = { weights: FILE, partial: false };
  const { model, size, classNames, notes } = await openBackbone(gpu, flags, { learned: "none" });
  using _ = model;
  assertEquals([model.kind, model.classes, size], ["squeezenet1_1 of width 0.375", 24, 96]);
  assertEquals([classNames, notes], [DRAWING_CLASSES, []]);
});
