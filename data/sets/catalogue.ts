/**
 * The official files of the data sets and weights that the tasks take.
 *
 * @module
 */

/** A file on its makers' server. */
export interface CatalogueEntry {
  /** What the file is, one sentence. */
  what: string;
  /** Its address. */
  url: string;
  /** About how many bytes it has. */
  bytes: number;
  /** The SHA-256 in hexadecimal, or its first digits, where the makers say it; torchvision has it in the name. */
  sha256?: string;
  /** The folder that a zip archive is unpacked into; absent for a file that is used as it is. */
  folder?: string;
}

/** The files by short name. */
export const CATALOGUE: Readonly<Record<string, CatalogueEntry>> = {
  resnet18: {
    what: "ResNet-18 with torchvision's ImageNet weights, for transfer learning",
    url: "https://download.pytorch.org/models/resnet18-f37072fd.pth",
    bytes: 46_800_000,
    sha256: "f37072fd",
  },
  squeezenet1_1: {
    what: "SqueezeNet 1.1 with torchvision's ImageNet weights, for style transfer and features",
    url: "https://download.pytorch.org/models/squeezenet1_1-b8a52dc0.pth",
    bytes: 5_000_000,
    sha256: "b8a52dc0",
  },
  hymenoptera: {
    what: "Ants and bees, 397 pictures of PyTorch's tutorial on transfer learning",
    url: "https://download.pytorch.org/tutorial/hymenoptera_data.zip",
    bytes: 47_300_000,
    folder: "hymenoptera_data",
  },
  glove: {
    what: "GloVe 6B, word vectors of the widths 50, 100, 200 and 300 for sentence classification",
    url: "https://nlp.stanford.edu/data/glove.6B.zip",
    bytes: 862_000_000,
    folder: "glove",
  },
  coco: {
    what: "CS231n's coco_captioning: COCO's captions with VGG-16 features of the pictures",
    url: "http://cs231n.stanford.edu/coco_captioning.zip",
    bytes: 1_000_000_000,
    folder: "coco_captioning",
  },
};
