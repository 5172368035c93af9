/**
 * Features of pictures in a safetensors file: the tensor `features`, and in the metadata which picture each
 * row is of.
 *
 * @module
 */
import { readSafetensors, toFloat32, writeSafetensors } from "./safetensors.ts";

/** Features of pictures. */
export interface PictureFeatures {
  /** `[pictures, featureDim]` */
  features: Float32Array<ArrayBuffer>;
  /** The path of each picture, or where else it is. */
  pictures: string[];
}

/** Write features. The file takes the place of an older one only when it is whole. */
export async function writeFeatures(
  path: string,
  { features, pictures }: PictureFeatures,
  metadata: Record<string, string> = {},
): Promise<void> {
  const featureDim = features.length / pictures.length;
  if (!Number.isInteger(featureDim)) {
    throw new TypeError(
      `Features must be whole rows: there are ${features.length} numbers for ${pictures.length} pictures`,
    );
  }
  const tensors = new Map([
    ["features", {
      dtype: "F32" as const,
      shape: [pictures.length, featureDim],
      data: features,
    }],
  ]);
  await writeSafetensors(path, tensors, { ...metadata, pictures: JSON.stringify(pictures) });
}

/**
 * Read features that {@linkcode writeFeatures} wrote. A file that holds something else is a SyntaxError that
 * names it.
 */
export async function readFeatures(path: string): Promise<PictureFeatures> {
  const { tensors, metadata } = await readSafetensors(path);
  const fail = (reason: string) => new SyntaxError(`${path} holds no features: ${reason}`);
  const tensor = tensors.get("features");
  if (tensor === undefined) throw fail(`it has no tensor "features"`);
  if (tensor.shape.length !== 2 || tensor.shape.includes(0)) {
    throw fail(`"features" must have the shape [pictures, featureDim]: it is [${tensor.shape}]`);
  }
  let pictures: unknown;
  try {
    pictures = JSON.parse(metadata.pictures ?? "");
  } catch {
    throw fail("its metadata has no list of pictures");
  }
  const [rows] = tensor.shape;
  if (
    !Array.isArray(pictures) || pictures.length !== rows ||
    !pictures.every((picture) => typeof picture === "string")
  ) {
    throw fail(`its metadata must name the ${rows} pictures`);
  }
  return { features: toFloat32(tensor), pictures };
}
