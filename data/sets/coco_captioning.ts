/**
 * COCO captions in the layout of CS231n's `coco_captioning` folder: image features and captions in HDF5,
 * the vocabulary in JSON, and for each image a URL (or here a path) in a text file.
 *
 * @module
 */
import { TextMap } from "../files/table_keys.ts";
import { linesOf } from "../files/text_lines.ts";
import {
  type CaptionData,
  type CaptionSelection,
  type CaptionSplit,
  MAX_CAPTION_LENGTH,
  type Picture,
  renumber,
} from "./captions.ts";
import { readImageFeatures } from "./coco_features.ts";
import { describeVariation } from "./feature_files.ts";
import { readText } from "../files/file.ts";
import { checkFiles, folderName } from "../files/folder.ts";
import { type Hdf5Dataset, readHdf5 } from "../formats/hdf5/hdf5.ts";
import { pictureOfLine } from "./picture_lines.ts";
import { readVocabulary, START, type Vocabulary } from "../text/vocabulary.ts";
import { UserError } from "../files/user_error.ts";

const CAPTIONS = "coco2014_captions.h5";
const VOCABULARY = "coco2014_vocab.json";

/** What `loadCocoCaptioning` can be told. */
export interface CocoCaptioningOptions {
  /**
   * Whether to read the features reduced to 512 numbers by PCA (`…_vgg16_fc7_pca.h5`, the default) or
   * the whole 4,096 (`…_vgg16_fc7.h5`).
   */
  pca?: boolean;
  /**
   * Choose what is kept of a split, from the image of each caption and the count of images: only the features
   * of the images chosen are read. All of a split without it.
   */
  choose?: Partial<
    Record<"train" | "val", (imageIndex: Int32Array, images: number) => CaptionSelection>
  >;
  /** Whether the URL files may name pictures outside the folder. False by default. */
  outside?: boolean;
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

/** What the parts of a folder are read with. */
interface Reading extends CocoCaptioningOptions {
  root: string;
  captionsPath: string;
  vocabulary: Vocabulary;
  /** Grows by what is odd. */
  notes: string[];
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
 * start with `http` become pictures on the web, all others files in the folder ({@linkcode pictureOfLine}).
 * Where there are no features reduced by PCA, those of {@linkcode ownFeatureFile} take their place. Features
 * and image numbers that do not vary are named in `notes`.
 *
 * A missing folder or file is a `Deno.errors.NotFound` that lists what is expected and what was found.
 * Anything that does not fit together (word ids outside the vocabulary, image numbers out of range,
 * features that are not finite …) is a UserError that names the file and the place.
 *
 * ```ts ignore
 * const data = await loadCocoCaptioning("coco_captioning");
 * console.log(data.train.pictures.length, data.vocabulary.size);
 * ```
 */
export async function loadCocoCaptioning(
  folder: string,
  options: CocoCaptioningOptions = {},
): Promise<CaptionData> {
  const { pca = true } = options;
  const { root, name } = folderName(folder);
  const vgg = (split: Split) => `${split}2014_vgg16_fc7${pca ? "_pca" : ""}.h5`;
  const own = pca && !await isThere(`${root}/${vgg("train")}`) &&
    await isThere(`${root}/${ownFeatureFile("train")}`);
  const features = own ? ownFeatureFile : vgg;
  const featureFiles = CAPTION_SPLITS.map(features);
  await checkFiles(
    root,
    [CAPTIONS, VOCABULARY, ...featureFiles, ...CAPTION_SPLITS.map(urlsFile)],
    "regular file",
    (missing) =>
      missing.some((name) => featureFiles.includes(name))
        ? `. The task features makes ${
          CAPTION_SPLITS.map(ownFeatureFile).join(" and ")
        }, to learn from instead, with --data=${root}`
        : "",
  );

  const vocabulary = await readVocabulary(`${root}/${VOCABULARY}`);
  const path = `${root}/${CAPTIONS}`;
  const stored = await readHdf5(path, [
    "train_captions",
    "train_image_idxs",
    "val_captions",
    "val_image_idxs",
  ]);
  const notes: string[] = [];
  const reading = { ...options, root, captionsPath: path, vocabulary, notes };
  const load = (split: Split, captions: StoredCaptions) =>
    loadSplit(reading, split, features(split), captions);
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
    throw new UserError(
      `${path}: captions of both splits must have one length: train has ${captionLength} tokens, val ${valLength}`,
    );
  }
  const featureDim = train.features.length / train.pictures.length;
  const valDim = val.features.length / val.pictures.length;
  if (valDim !== featureDim) {
    throw new UserError(
      `${root}: features of both splits must have one width: ${
        features("train")
      } has ${featureDim} numbers, ${features("val")} ${valDim}`,
    );
  }
  return { name, notes, vocabulary, captionLength, featureDim, train, val };
}

async function loadSplit(
  reading: Reading,
  split: Split,
  featuresFile: string,
  stored: StoredCaptions,
): Promise<CaptionSplit> {
  const { root, captionsPath, vocabulary, notes } = reading;
  const pictures = await readPictures(root, split, reading);
  const where = (part: string) => `${captionsPath}, ${split}_${part}`;
  const captions = readCaptions(stored.captions, where("captions"), vocabulary);
  const imageIndex = readIntegers(stored.imageIndex, 1, where("image_idxs"));
  const count = stored.captions.shape[0];
  if (imageIndex.length !== count) {
    throw new UserError(
      `${where("image_idxs")}: there are ${imageIndex.length} image numbers for ${count} captions`,
    );
  }
  const wrong = imageIndex.findIndex((image) => image < 0 || image >= pictures.length);
  if (wrong >= 0) {
    throw new UserError(
      `${where("image_idxs")}: caption ${wrong} belongs to image ${
        imageIndex[wrong]
      }, but images go from 0 to ${pictures.length - 1} (${
        urlsFile(split)
      } names ${pictures.length})`,
    );
  }
  if (pictures.length > 1 && count > 1 && imageIndex.every((image) => image === imageIndex[0])) {
    notes.push(
      `${where("image_idxs")}: all ${count} captions belong to image ${
        imageIndex[0]
      } of ${pictures.length}: were they ever written?`,
    );
  }
  const chosen = reading.choose?.[split]?.(imageIndex, pictures.length);
  const path = `${root}/${featuresFile}`;
  const features = await readImageFeatures(path, pictures, urlsFile(split), chosen?.images);
  const kept = chosen === undefined ? { features, pictures, captions, imageIndex } : {
    features,
    pictures: chosen.images.map((i) => pictures[i]),
    ...renumber({ captions, imageIndex }, chosen),
  };
  notes.push(...describeVariation(path, features, kept.pictures.length));
  return kept;
}

/** The most pictures of a split, and the longest URL file in bytes: CS231n's longer one has 4 MB in 82,783 lines. */
const MAX_PICTURES = 1_000_000, MOST_URL_BYTES = 64 * 2 ** 20;

/**
 * The pictures of a split of a `coco_captioning` folder, one for each line of its URL file. An empty line is a
 * UserError, and so is a picture outside the folder unless `outside` allows it.
 */
export async function readPictures(
  root: string,
  split: Split,
  { outside = false }: Pick<CocoCaptioningOptions, "outside"> = {},
): Promise<Picture[]> {
  const path = `${root}/${urlsFile(split)}`;
  const text = await readText(path, MOST_URL_BYTES);
  const lines = linesOf(text, path, MAX_PICTURES, "each picture needs a line of its own");
  const trimmed = lines.map((line) => line.trim());
  while (trimmed.length > 0 && trimmed[trimmed.length - 1] === "") trimmed.pop();
  const blank = trimmed.indexOf("");
  if (trimmed.length === 0 || blank >= 0) {
    throw new UserError(
      `${path} must hold one URL or path a line: line ${Math.max(blank, 0) + 1} is empty`,
    );
  }
  const pictures = trimmed.map((line, i) => {
    try {
      return pictureOfLine(line, root, outside);
    } catch (error) {
      throw UserError.within(`${path}, line ${i + 1}`, error);
    }
  });
  // Where two would be called alike, a page should tell them apart.
  const counts: Map<string, number> = new TextMap();
  for (const { name } of pictures) counts.set(name, (counts.get(name) ?? 0) + 1);
  return pictures.map((picture) =>
    counts.get(picture.name) === 1 ? picture : { ...picture, name: picture.id ?? picture.name }
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
  if (count === 0 || length < 2 || length > MAX_CAPTION_LENGTH) {
    throw new UserError(
      `${where}: captions need 2 to ${MAX_CAPTION_LENGTH} tokens: the shape is [${count},${length}]`,
    );
  }
  const wrong = captions.findIndex((id) => id < 0 || id >= vocabulary.size);
  if (wrong >= 0) {
    throw new UserError(
      `${where}: caption ${Math.floor(wrong / length)} holds word ${
        captions[wrong]
      }, but ids go from 0 to ${vocabulary.size - 1}`,
    );
  }
  for (let c = 0; c < count; c++) {
    if (captions[c * length] !== START) {
      throw new UserError(
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
    throw new UserError(
      `${where} must be integers in ${dimensions} dimensions: the shape is [${shape}] of ${data.constructor.name}`,
    );
  }
  if (data instanceof Int32Array) return data;
  const ids = new Int32Array(data.length);
  for (let i = 0; i < ids.length; i++) {
    const id = Number(data[i]);
    // A number that wraps round would pass for a valid id.
    ids[i] = Math.abs(id) < 2 ** 31 ? id : -1;
  }
  return ids;
}
