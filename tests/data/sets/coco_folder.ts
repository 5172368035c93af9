/** A small data set in CS231n's layout, for tests that read one or spoil one. */
import { join } from "@std/path";
import * as h5wasm from "npm:h5wasm@0.10.3";

type Numbers = Int32Array | Float32Array | Float64Array | BigInt64Array;

/** The bytes of an HDF5 file with these datasets. */
async function hdf5(
  datasets: Record<string, { shape: number[]; data: Numbers }>,
): Promise<Uint8Array> {
  const { FS } = await h5wasm.ready;
  const file = new h5wasm.File("/made.h5", "w");
  for (const [name, { shape, data }] of Object.entries(datasets)) {
    file.create_dataset({ name, data, shape });
  }
  file.close();
  const bytes: Uint8Array = FS.readFile("/made.h5").slice();
  FS.unlink("/made.h5");
  return bytes;
}

const WORDS = ["<NULL>", "<START>", "<END>", "<UNK>", "a", "red", "dog"];

/** What goes into a small folder: three training images, two for validation, features of width 2. */
function smallData() {
  return {
    captions: {
      train_captions: {
        shape: [4, 5],
        data: Int32Array.of(
          ...[1, 4, 5, 6, 2],
          ...[1, 4, 6, 2, 0],
          ...[1, 4, 3, 2, 0],
          ...[1, 6, 2, 0, 0],
        ) as Numbers,
      },
      train_image_idxs: { shape: [4], data: Int32Array.of(2, 0, 1, 2) as Numbers },
      val_captions: { shape: [2, 5], data: Int32Array.of(1, 6, 2, 0, 0, 1, 5, 2, 0, 0) as Numbers },
      val_image_idxs: { shape: [2], data: Int32Array.of(1, 0) as Numbers },
    },
    train: { features: { shape: [3, 2], data: Float32Array.of(0, 1, 2, 3, 4, 5) as Numbers } },
    val: { features: { shape: [2, 2], data: Float64Array.of(6, 7, 8, 9) as Numbers } },
    vocabulary: JSON.stringify({ idx_to_word: WORDS }),
    trainUrls: "http://images.example.org/z/one.jpg\nimages/two.jpg\nimages/three.jpg\n",
    valUrls: "images/four.jpg\r\nimages/five.jpg",
    ending: "_pca.h5",
  };
}

/** What {@linkcode withFolder} writes. */
export type SmallData = ReturnType<typeof smallData>;

/** Write a folder, with `change` applied first, and hand its path to `use`. */
export async function withFolder(
  change: (data: SmallData) => void,
  use: (folder: string) => Promise<void>,
): Promise<void> {
  const data = smallData();
  change(data);
  const folder = await Deno.makeTempDir();
  try {
    const write = (name: string, content: Uint8Array | string) =>
      Deno.writeFile(
        join(folder, name),
        typeof content === "string" ? new TextEncoder().encode(content) : content,
      );
    await write("coco2014_captions.h5", await hdf5(data.captions));
    await write("coco2014_vocab.json", data.vocabulary);
    await write("train2014_urls.txt", data.trainUrls);
    await write("val2014_urls.txt", data.valUrls);
    await write(`train2014_vgg16_fc7${data.ending}`, await hdf5(data.train));
    await write(`val2014_vgg16_fc7${data.ending}`, await hdf5(data.val));
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}
