/** Random SqueezeNets in files, for tests of tasks. */
import { type TensorData, writeSafetensors } from "../../data/formats/safetensors.ts";
import { SqueezeNet11 } from "../../models/pictures/squeezenet.ts";

/** The first values of a SqueezeNet's weights. */
export function randomSqueezeNet(classes: number, width = 1): Promise<Map<string, TensorData>> {
  return new SqueezeNet11(classes, { width }).initialize(3).stateDict();
}

/** A tiny model as a transfer task saves it, which sees 32 x 32 pixels. */
export async function writeTinyModel(path: string, classes: readonly string[]): Promise<void> {
  await writeSafetensors(path, await randomSqueezeNet(classes.length, 1 / 16), {
    backbone: "squeezenet1_1",
    classes: JSON.stringify(classes),
    normalisation: JSON.stringify({ size: 32 }),
  });
}
