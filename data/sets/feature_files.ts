/**
 * Features of pictures in a safetensors file: the tensor `features`, and in the metadata which picture each
 * row is of.
 *
 * @module
 */
import { parseJson } from "../files/json.ts";
import { readSafetensors, toFloat32, writeSafetensors } from "../formats/safetensors.ts";
import { UserError } from "../files/user_error.ts";

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
 * Read features that {@linkcode writeFeatures} wrote. A file that holds something else is a UserError that
 * names it.
 */
export async function readFeatures(path: string): Promise<PictureFeatures> {
  const { tensors, metadata } = await readSafetensors(path);
  const fail = (reason: string) => new UserError(`${path} holds no features: ${reason}`);
  const tensor = tensors.get("features");
  if (tensor === undefined) throw fail(`it has no tensor "features"`);
  if (tensor.shape.length !== 2 || tensor.shape.includes(0)) {
    throw fail(`"features" must have the shape [pictures, featureDim]: it is [${tensor.shape}]`);
  }
  let pictures: unknown;
  try {
    pictures = parseJson(metadata.pictures ?? "", { what: "The list of pictures", depth: 1 });
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

/**
 * Check features of so many images, row by row: a UserError that names the file and the image where a number
 * is not finite in 32 bits. `numbers` says which images they are where these are not all of the file.
 */
export function checkFeatures(
  path: string,
  features: Float32Array | Float64Array,
  images: number,
  numbers?: readonly number[],
): void {
  const wrong = features.findIndex((value: number) => !Number.isFinite(Math.fround(value)));
  if (wrong < 0) return;
  const featureDim = features.length / images;
  const row = Math.floor(wrong / featureDim);
  throw new UserError(
    `${path}: "features" must be finite: number ${wrong % featureDim} of image ${
      numbers?.[row] ?? row
    } is ${features[wrong]}`,
  );
}

/**
 * Sentences about features that do not vary, over an image's numbers or over all images: often they were never
 * written.
 */
export function describeVariation(
  path: string,
  features: Float32Array,
  images: number,
): string[] {
  const featureDim = features.length / images;
  const varies = new Uint8Array(featureDim);
  let [flat, example] = [0, 0];
  for (let start = 0; start < features.length; start += featureDim) {
    let isFlat = featureDim > 1;
    for (let k = 0; k < featureDim; k++) {
      if (features[start + k] !== features[start]) isFlat = false;
      if (features[start + k] !== features[k]) varies[k] = 1;
    }
    if (!isFlat) continue;
    flat++;
    example = features[start];
  }
  const constant = images > 1 ? featureDim - varies.reduce((sum, value) => sum + value, 0) : 0;
  if (constant === featureDim) {
    return [
      `${path}: the features of all ${images} images are the same, so nothing tells them apart`,
    ];
  }
  const notes: string[] = [];
  if (2 * constant > featureDim) {
    notes.push(
      `${path}: ${constant} of ${featureDim} features are the same for all ${images} images: they may never ` +
        "have been written",
    );
  }
  if (flat > 0) {
    notes.push(
      `${path}: of ${flat} of ${images} images all features are one number, such as ${example}: they may ` +
        "never have been written",
    );
  }
  return notes;
}
