/**
 * The features of a `coco_captioning` folder's images: in HDF5 as CS231n gives them, or of one's own making.
 *
 * @module
 */
import { type Picture, selectRows } from "./captions.ts";
import { checkFeatures, readFeatures } from "./feature_files.ts";
import { readHdf5 } from "../formats/hdf5/hdf5.ts";
import { UserError } from "../files/user_error.ts";

/**
 * Read the features of `pictures`, which `urlsFile` names, `[images, featureDim]`; of the `chosen` images alone
 * where they are given, ascending. A UserError names the file and the place of what does not fit.
 */
export function readImageFeatures(
  path: string,
  pictures: readonly Picture[],
  urlsFile: string,
  chosen?: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  return path.endsWith(".h5")
    ? readHdf5Features(path, pictures.length, urlsFile, chosen)
    : readOwnFeatures(path, pictures, urlsFile, chosen);
}

/** Features of one's own making, of the very pictures that the URL file names. */
async function readOwnFeatures(
  path: string,
  pictures: readonly Picture[],
  urlsFile: string,
  chosen?: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  const { features, pictures: ids } = await readFeatures(path);
  const fail = (difference: string) =>
    new UserError(`${path} has features of other pictures than ${urlsFile}: ${difference}`);
  if (ids.length !== pictures.length) {
    throw fail(`of ${ids.length} instead of ${pictures.length}`);
  }
  // Files of earlier versions hold the last part of each path alone: enough where no two are alike.
  const short = pictures.every(({ id }, i) => ids[i] === id?.split("/").pop());
  const wrong = pictures.findIndex(({ id }, i) => ids[i] !== id);
  if (wrong >= 0 && !short) {
    throw fail(`picture ${wrong} is ${ids[wrong]} instead of ${pictures[wrong].id}`);
  }
  if (wrong >= 0 && new Set(ids).size < ids.length) {
    const twice = ids.find((id, i) => ids.indexOf(id) !== i);
    throw new UserError(
      `${path} names pictures without their folders, and ${urlsFile} has several ${twice}: make it anew with ` +
        "deno task features",
    );
  }
  checkFeatures(path, features, ids.length);
  return chosen === undefined ? features : selectRows(features, ids.length, chosen);
}

async function readHdf5Features(
  path: string,
  images: number,
  urlsFile: string,
  chosen?: readonly number[],
): Promise<Float32Array<ArrayBuffer>> {
  const rows = chosen === undefined ? {} : { rows: chosen };
  const { features: { shape, stored, data } } = await readHdf5(path, ["features"], rows);
  if (!(data instanceof Float32Array || data instanceof Float64Array) || stored.length !== 2) {
    throw new UserError(
      `${path}: "features" must be floating-point numbers of shape [images, featureDim]: the shape is [${stored}]`,
    );
  }
  if (stored[0] !== images || stored[1] === 0) {
    throw new UserError(
      `${path}: "features" has shape [${stored}], but ${urlsFile} names ${images} images`,
    );
  }
  checkFeatures(path, data, shape[0], chosen);
  return data instanceof Float32Array ? data : new Float32Array(data);
}
