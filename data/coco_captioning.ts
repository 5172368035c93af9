/**
 * COCO captions in the layout of CS231n's `coco_captioning` folder: image features and captions in HDF5,
 * the vocabulary in JSON, and for each image a URL (or here a path) in a text file.
 *
 * @module
 */
import type { CaptionData, CaptionSplit, Picture } from "./captions.ts";
import { readFeatures as readFeatureFile } from "./feature_files.ts";
import { checkFiles, folderName } from "./folder.ts";
import { type Hdf5Dataset, readHdf5 } from "./hdf5.ts";
import { START, Vocabulary } from "./vocabulary.ts";

const CAPTIONS = "coco2014_captions.h5";
const VOCABULARY = "coco2014_vocab.json";

/** What `loadCocoCaptioning` can be told. */
export interface CocoCaptioningOptions {
  /**
   * Whether to read the features reduced to 512 numbers by PCA (`…_vgg16_fc7_pca.h5`, the default) or
   * the whole 4,096 (`…_vgg16_fc7.h5`).
   */
  pca?: boolean;
}

/** The captions and image numbers of one split, as the captions file holds them. */
interface StoredCaptions {
  captions: Hdf5Dataset;
  imageIndex: Hdf5Dataset;
}

/** The two splits. */
export const CAPTION_SPLITS = ["train", "val"] as const;

type Split = typeof CAPTION_SPLITS[number];

/** The name of the file with a split's features where they are not VGG's but of one's own making. */
export function ownFeatureFile(split: Split): string {
  return `${split}2014_squeezenet.safetensors`;
}

/** The name of the file that says where a split's pictures are. */
export function urlsFile(split: Split): string {
  return `${split}2014_urls.txt`;
}

async function isThere(path: string): Promise<boolean> {
  try {
    return (await Deno.stat(path)).isFile;
  } catch {
    return false; // what is wrong shows when it is read
  }
}

/**
 * Load a `coco_captioning` folder: CS231n's own, or one in the same layout. Lines of the URL files that
 * start with `http` become pictures on the web, all others files in the folder. Where there are no features
 * reduced by PCA, those of {@linkcode ownFeatureFile} take their place.
 *
 * A missing folder or file is a `Deno.errors.NotFound` that lists what is expected and what was found.
 * Anything that does not fit together (word ids outside the vocabulary, image numbers out of range,
 * features that are not finite …) is a SyntaxError that names the file and the place.
 *
 * ```ts ignore
 * const data = await loadCocoCaptioning("coco_captioning");
 * console.log(data.train.pictures.length, data.vocabulary.size);
 * ```
 */
export async function loadCocoCaptioning(
  folder: string,
  { pca = true }: CocoCaptioningOptions = {},
): Promise<CaptionData> {
  const { root, name } = folderName(folder);
  const vgg = (split: Split) => `${split}2014_vgg16_fc7${pca ? "_pca" : ""}.h5`;
  const own = pca && !await isThere(`${root}/${vgg("train")}`) &&
    await isThere(`${root}/${ownFeatureFile("train")}`);
  const features = own ? ownFeatureFile : vgg;
  await checkFiles(root, [
    CAPTIONS,
    VOCABULARY,
    ...CAPTION_SPLITS.flatMap((split) => [features(split), urlsFile(split)]),
  ]);

  const vocabulary = await readVocabulary(`${root}/${VOCABULARY}`);
  const path = `${root}/${CAPTIONS}`;
  const stored = await readHdf5(path, [
    "train_captions",
    "train_image_idxs",
    "val_captions",
    "val_image_idxs",
  ]);
  const load = (split: Split, captions: StoredCaptions) =>
    loadSplit(root, path, split, features(split), captions, vocabulary);
  const train = await load("train", {
    captions: stored.train_captions,
    imageIndex: stored.train_image_idxs,
  });
  const val = await load("val", {
    captions: stored.val_captions,
    imageIndex: stored.val_image_idxs,
  });

  const [captionLength, valLength] = [stored.train_captions.shape[1], stored.val_captions.shape[1]];
  if (valLength !== captionLength) {
    throw new SyntaxError(
      `${path}: captions of both splits must have one length: train has ${captionLength} tokens, val ${valLength}`,
    );
  }
  const featureDim = train.features.length / train.pictures.length;
  const valDim = val.features.length / val.pictures.length;
  if (valDim !== featureDim) {
    throw new SyntaxError(
      `${root}: features of both splits must have one width: ${
        features("train")
      } has ${featureDim} numbers, ${features("val")} ${valDim}`,
    );
  }
  return { name, vocabulary, captionLength, featureDim, train, val };
}

async function readVocabulary(path: string): Promise<Vocabulary> {
  const text = await Deno.readTextFile(path);
  try {
    const json: unknown = JSON.parse(text);
    const words = typeof json === "object" && json !== null && "idx_to_word" in json
      ? json.idx_to_word
      : undefined;
    if (!Array.isArray(words) || !words.every((word) => typeof word === "string")) {
      throw new SyntaxError(`"idx_to_word" must be a list of words`);
    }
    return new Vocabulary(words);
  } catch (error) {
    throw new SyntaxError(`${path}: ${(error as Error).message}`);
  }
}

async function loadSplit(
  root: string,
  captionsPath: string,
  split: Split,
  featuresFile: string,
  stored: StoredCaptions,
  vocabulary: Vocabulary,
): Promise<CaptionSplit> {
  const pictures = await readPictures(root, split);
  const features = featuresFile.endsWith(".h5")
    ? await readFeatures(`${root}/${featuresFile}`, pictures.length, urlsFile(split))
    : await readOwnFeatures(`${root}/${featuresFile}`, pictures, urlsFile(split));
  const where = (part: string) => `${captionsPath}, ${split}_${part}`;
  const captions = readCaptions(stored.captions, where("captions"), vocabulary);
  const imageIndex = readIntegers(stored.imageIndex, 1, where("image_idxs"));
  const count = stored.captions.shape[0];
  if (imageIndex.length !== count) {
    throw new SyntaxError(
      `${where("image_idxs")}: there are ${imageIndex.length} image numbers for ${count} captions`,
    );
  }
  const wrong = imageIndex.findIndex((image) => image < 0 || image >= pictures.length);
  if (wrong >= 0) {
    throw new SyntaxError(
      `${where("image_idxs")}: caption ${wrong} belongs to image ${
        imageIndex[wrong]
      }, but images go from 0 to ${pictures.length - 1}`,
    );
  }
  return { features, pictures, captions, imageIndex };
}

/**
 * The pictures of a split of a `coco_captioning` folder, one for each line of its URL file. An empty line is a
 * SyntaxError.
 */
export async function readPictures(root: string, split: Split): Promise<Picture[]> {
  const path = `${root}/${urlsFile(split)}`;
  const lines = (await Deno.readTextFile(path)).split("\n");
  const trimmed = lines.map((line) => line.trim());
  while (trimmed.length > 0 && trimmed[trimmed.length - 1] === "") trimmed.pop();
  const blank = trimmed.indexOf("");
  if (trimmed.length === 0 || blank >= 0) {
    throw new SyntaxError(
      `${path} must hold one URL or path a line: line ${Math.max(blank, 0) + 1} is empty`,
    );
  }
  return trimmed.map((line) => ({
    name: line.split(/[/\\]/).pop() ?? line,
    source: /^https?:\/\//.test(line)
      ? { kind: "url", url: line }
      : { kind: "file", path: `${root}/${line}` },
  }));
}

/** Features of one's own making, of the very pictures that the URL file names. */
async function readOwnFeatures(
  path: string,
  pictures: readonly Picture[],
  urlsFile: string,
): Promise<Float32Array<ArrayBuffer>> {
  const { features, pictures: names } = await readFeatureFile(path);
  const fail = (difference: string) =>
    new SyntaxError(`${path} has features of other pictures than ${urlsFile}: ${difference}`);
  if (names.length !== pictures.length) {
    throw fail(`of ${names.length} instead of ${pictures.length}`);
  }
  const wrong = pictures.findIndex(({ name }, i) => names[i] !== name);
  if (wrong >= 0) {
    throw fail(`picture ${wrong} is ${names[wrong]} instead of ${pictures[wrong].name}`);
  }
  checkFinite(path, features, features.length / names.length);
  return features;
}

async function readFeatures(
  path: string,
  images: number,
  urlsFile: string,
): Promise<Float32Array<ArrayBuffer>> {
  const { features: { shape, data } } = await readHdf5(path, ["features"]);
  if (!(data instanceof Float32Array || data instanceof Float64Array) || shape.length !== 2) {
    throw new SyntaxError(
      `${path}: "features" must be floating-point numbers of shape [images, featureDim]: the shape is [${shape}]`,
    );
  }
  if (shape[0] !== images || shape[1] === 0) {
    throw new SyntaxError(
      `${path}: "features" has shape [${shape}], but ${urlsFile} names ${images} images`,
    );
  }
  checkFinite(path, data, shape[1]);
  return data instanceof Float32Array ? data : Float32Array.from(data);
}

function checkFinite(path: string, data: Float32Array | Float64Array, featureDim: number): void {
  const wrong = data.findIndex((value: number) => !Number.isFinite(Math.fround(value)));
  if (wrong < 0) return;
  throw new SyntaxError(
    `${path}: "features" must be finite: number ${wrong % featureDim} of image ${
      Math.floor(wrong / featureDim)
    } is ${data[wrong]}`,
  );
}

/** Captions, each `<START>`, words, and so on to the row's end, with all ids in the vocabulary. */
function readCaptions(
  dataset: Hdf5Dataset,
  where: string,
  vocabulary: Vocabulary,
): Int32Array<ArrayBuffer> {
  const captions = readIntegers(dataset, 2, where);
  const [count, length] = dataset.shape;
  if (count === 0 || length < 2) {
    throw new SyntaxError(
      `${where}: captions need two tokens or more: the shape is [${count},${length}]`,
    );
  }
  const wrong = captions.findIndex((id) => id < 0 || id >= vocabulary.size);
  if (wrong >= 0) {
    throw new SyntaxError(
      `${where}: caption ${Math.floor(wrong / length)} holds word ${
        captions[wrong]
      }, but ids go from 0 to ${vocabulary.size - 1}`,
    );
  }
  for (let c = 0; c < count; c++) {
    if (captions[c * length] !== START) {
      throw new SyntaxError(
        `${where}: caption ${c} must begin with <START> (${START}): it begins with ${
          captions[c * length]
        }`,
      );
    }
  }
  return captions;
}

/** A dataset of integers with so many dimensions, as 32-bit integers. */
function readIntegers(
  { shape, data }: Hdf5Dataset,
  dimensions: number,
  where: string,
): Int32Array<ArrayBuffer> {
  if (shape.length !== dimensions || data instanceof Float32Array || data instanceof Float64Array) {
    throw new SyntaxError(
      `${where} must be integers in ${dimensions} dimensions: the shape is [${shape}] of ${data.constructor.name}`,
    );
  }
  if (data instanceof Int32Array) return data;
  return Int32Array.from(data as ArrayLike<number | bigint>, (value) => {
    const id = Number(value);
    // A number that wraps round would pass for a valid id.
    return Math.abs(id) < 2 ** 31 ? id : -1;
  });
}
