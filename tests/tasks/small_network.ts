/** Random SqueezeNets in files, for tests of tasks. */
import { RandomStream } from "../../data/rng.ts";
import { type TensorData, writeSafetensors } from "../../data/formats/safetensors.ts";
import { SqueezeNet11 } from "../../models/squeezenet.ts";

/** The first values of a SqueezeNet's weights. */
export function randomSqueezeNet(classes: number, width = 1): Map<string, TensorData> {
  const { parameters } = new SqueezeNet11(new RandomStream(3), classes, { width });
  return new Map(parameters.flatMap(({ layout, initial }) => {
    const parts = layout.encode(initial);
    return layout.slots.map(({ key, shape }, i): [string, TensorData] => [
      key,
      { dtype: "F32", shape: [...shape], data: parts[i] },
    ]);
  }));
}

/** A tiny model as a transfer task saves it, which sees 32 x 32 pixels. */
export async function writeTinyModel(path: string, classes: readonly string[]): Promise<void> {
  await writeSafetensors(path, randomSqueezeNet(classes.length, 1 / 16), {
    backbone: "squeezenet1_1",
    classes: JSON.stringify(classes),
    normalisation: JSON.stringify({ size: 32 }),
  });
}
