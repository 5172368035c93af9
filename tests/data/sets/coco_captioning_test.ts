import { assert, assertEquals, assertRejects, assertStringIncludes } from "@std/assert";
import { join } from "@std/path";
import { referencesByImage } from "../../../data/sets/captions.ts";
import { loadCocoCaptioning } from "../../../data/sets/coco_captioning.ts";
import { dataTest, permissionTest } from "../../support.ts";
import { type SmallData, withFolder } from "./coco_folder.ts";
import { UserError } from "../../../data/files/user_error.ts";

const write: Deno.PermissionDescriptor[] = [{ name: "write" }];

permissionTest("loadCocoCaptioning() reads a folder in CS231n's layout", write, async () => {
  await withFolder(() => {}, async (folder) => {
    const data = await loadCocoCaptioning(folder + "/");
    assertEquals(data.name, folder.split("/").pop());
    assertEquals([data.captionLength, data.featureDim, data.vocabulary.size], [5, 2, 7]);
    assertEquals(data.train.features, Float32Array.of(0, 1, 2, 3, 4, 5));
    assertEquals(data.val.features, Float32Array.of(6, 7, 8, 9));
    assertEquals(data.train.imageIndex, Int32Array.of(2, 0, 1, 2));
    assertEquals(data.train.pictures.slice(0, 2), [
      {
        name: "one.jpg",
        id: "http://images.example.org/z/one.jpg",
        source: { kind: "url", url: "http://images.example.org/z/one.jpg" },
      },
      {
        name: "two.jpg",
        id: "images/two.jpg",
        source: { kind: "file", path: `${folder}/images/two.jpg`, within: folder },
      },
    ]);
    assertEquals(data.val.pictures.map((picture) => picture.name), ["four.jpg", "five.jpg"]);
    assertEquals(referencesByImage(data.train, data.vocabulary)[2], [["a", "red", "dog"], ["dog"]]);
  });
});

permissionTest("loadCocoCaptioning() reads only what is chosen of a split", write, async () => {
  await withFolder((data) => data.train.features.data[2] = NaN, async (folder) => {
    const choose = {
      train: (imageIndex: Int32Array, images: number) => {
        assertEquals([[...imageIndex], images], [[2, 0, 1, 2], 3]);
        return { images: [0, 2], captions: [1, 3] };
      },
    };
    const { train, val } = await loadCocoCaptioning(folder, { choose });
    assertEquals(train.features, Float32Array.of(0, 1, 4, 5)); // and not the NaN of image 1
    assertEquals(train.pictures.map(({ name }) => name), ["one.jpg", "three.jpg"]);
    assertEquals(train.imageIndex, Int32Array.of(0, 1));
    assertEquals(train.captions, Int32Array.of(1, 4, 6, 2, 0, 1, 6, 2, 0, 0));
    assertEquals(val.features, Float32Array.of(6, 7, 8, 9));
    const all = { train: () => ({ images: [1, 2], captions: [0, 2] }) };
    const message = "number 0 of image 1 is NaN";
    await assertRejects(() => loadCocoCaptioning(folder, { choose: all }), UserError, message);
  });
});

permissionTest("loadCocoCaptioning() says that features do not vary", write, async () => {
  const cases: [number[], string[]][] = [
    [[0, 1, 2, 3, 4, 5], []],
    [[1, 1, 2, 3, 4, 5], ["of 1 of 3 images all features are one number, such as 1"]],
    [[0, 1, 2, 3, 0, 0], ["of 1 of 3 images all features are one number, such as 0"]],
    [[2, 3, 2, 3, 2, 3], ["the features of all 3 images are the same"]],
    [[0, 0, 0, 0, 0, 0], ["the features of all 3 images are the same"]],
    [[0, 1, 0, 3, 0, 5], []], // one of two, as a unit that never fires
  ];
  for (const [features, expected] of cases) {
    await withFolder((data) => data.train.features.data.set(features as never), async (folder) => {
      const { notes } = await loadCocoCaptioning(folder);
      assertEquals(notes.length, expected.length, notes.join());
      notes.forEach((note, i) => {
        assertStringIncludes(note, `${folder}/train2014_vgg16_fc7_pca.h5`);
        assertStringIncludes(note, expected[i]);
      });
    });
  }
});

permissionTest("loadCocoCaptioning() says that most features do not vary", write, async () => {
  const features = Float32Array.of(0, 0, 1, 0, 0, 2, 0, 0, 5);
  const change = (data: SmallData) => {
    data.train.features = { shape: [3, 3], data: features };
    data.val.features = { shape: [2, 3], data: Float32Array.of(1, 2, 3, 4, 5, 6) };
  };
  await withFolder(change, async (folder) => {
    const { notes } = await loadCocoCaptioning(folder);
    assertEquals(notes.length, 1);
    assertStringIncludes(notes[0], "2 of 3 features are the same for all 3 images");
  });
});

permissionTest("loadCocoCaptioning() refuses lists far longer than real ones", write, async () => {
  for (const name of ["train2014_urls.txt", "coco2014_vocab.json"]) {
    await withFolder(() => {}, async (folder) => {
      await Deno.truncate(join(folder, name), 2 ** 26 + 1);
      await assertRejects(
        () => loadCocoCaptioning(folder),
        UserError,
        `${name} has 67108865 bytes, and at most 67108864 are read`,
      );
    });
  }
});

permissionTest("loadCocoCaptioning() says that all captions are of one image", write, async () => {
  await withFolder(
    (data) => data.captions.train_image_idxs.data.fill(0 as never),
    async (folder) => {
      const { notes } = await loadCocoCaptioning(folder);
      assertEquals(notes.length, 1);
      assertStringIncludes(notes[0], "train_image_idxs: all 4 captions belong to image 0 of 3");
    },
  );
});

permissionTest("loadCocoCaptioning() tells places outside the folder apart", write, async () => {
  const outside: [string, string, string][] = [
    ["/etc/0.jpg", "an absolute path", "/etc/0.jpg"],
    ["file:///etc/a%20b.jpg", "a file address", "/etc/a b.jpg"],
    ["file:///C:/x/0.jpg", "a file address", "C:/x/0.jpg"],
    ["C:\\x\\0.jpg", "an absolute path of Windows", "C:\\x\\0.jpg"],
    ["c:/x/0.jpg", "an absolute path of Windows", "c:/x/0.jpg"],
    ["\\\\server\\x\\0.jpg", "an absolute path of Windows", "\\\\server\\x\\0.jpg"],
    ["../0.jpg", "a path that leaves the folder", "ROOT/../0.jpg"],
    ["a/../../../0.jpg", "a path that leaves the folder", "ROOT/../../0.jpg"],
    ["..\\0.jpg", "a path that leaves the folder", "ROOT/../0.jpg"],
  ];
  for (const [line, kind, path] of outside) {
    await withFolder((data) => data.valUrls = `a.jpg\n${line}`, async (folder) => {
      const error = await assertRejects(() => loadCocoCaptioning(folder), UserError, kind);
      assertStringIncludes(error.message, `${folder}/val2014_urls.txt, line 2: `);
      assertStringIncludes(error.message, "--allow-outside");
      const { val } = await loadCocoCaptioning(folder, { outside: true });
      assertEquals(val.pictures[1].source, { kind: "file", path: path.replace("ROOT", folder) });
    });
  }
  const inside = "images\\sub\\..\\four.jpg\n./images//five%20a.jpg";
  await withFolder((data) => data.valUrls = inside, async (folder) => {
    const { val } = await loadCocoCaptioning(folder);
    assertEquals(val.pictures.map(({ id }) => id), ["images/four.jpg", "images/five%20a.jpg"]);
    const path = `${folder}/images/four.jpg`;
    assertEquals(val.pictures[0].source, { kind: "file", path, within: folder });
  });
  await withFolder((data) => data.valUrls = "ftp://x.org/a.jpg\nb.jpg", async (folder) => {
    await assertRejects(() => loadCocoCaptioning(folder), UserError, "no address of a picture");
  });
});

permissionTest("loadCocoCaptioning() passes over byte order marks", write, async () => {
  await withFolder((data) => {
    data.vocabulary = "\ufeff" + data.vocabulary;
    data.valUrls = "\ufeff" + data.valUrls;
  }, async (folder) => {
    const { vocabulary, val } = await loadCocoCaptioning(folder);
    assertEquals([vocabulary.size, val.pictures[0].id], [7, "images/four.jpg"]);
  });
});

permissionTest("loadCocoCaptioning() reads whole features with pca: false", write, async () => {
  await withFolder((data) => data.ending = ".h5", async (folder) => {
    assertEquals((await loadCocoCaptioning(folder, { pca: false })).featureDim, 2);
    await assertRejects(
      () => loadCocoCaptioning(folder),
      Deno.errors.NotFound,
      "misses train2014_vgg16_fc7_pca.h5, val2014_vgg16_fc7_pca.h5",
    );
    await assertRejects(
      () => loadCocoCaptioning(folder),
      Deno.errors.NotFound,
      `. The task features makes train2014_squeezenet.safetensors and`,
    );
  });
});

permissionTest(
  "loadCocoCaptioning() takes 64-bit integers, if they are in range",
  write,
  async () => {
    const use = (id: bigint) => (data: SmallData) =>
      data.captions.val_image_idxs.data = BigInt64Array.of(1n, id);
    await withFolder(use(0n), async (folder) => {
      assertEquals((await loadCocoCaptioning(folder)).val.imageIndex, Int32Array.of(1, 0));
    });
    await withFolder(use(2n ** 32n), async (folder) => {
      await assertRejects(() => loadCocoCaptioning(folder), UserError, "from 0 to 1");
    });
  },
);

const wrong: [string, string[], (data: SmallData) => void][] = [
  ["an id past the vocabulary", ["train_captions", "caption 1 holds word 7", "0 to 6"], (data) => {
    data.captions.train_captions.data[6] = 7;
  }],
  ["a negative id", ["val_captions", "caption 0 holds word -1"], (data) => {
    data.captions.val_captions.data[1] = -1;
  }],
  ["a caption without <START>", ["train_captions", "caption 3 must begin with <START>"], (data) => {
    data.captions.train_captions.data[15] = 4;
  }],
  [
    "an image out of range",
    ["train_image_idxs", "caption 1 belongs to image 3", "0 to 2"],
    (data) => {
      data.captions.train_image_idxs.data[1] = 3;
    },
  ],
  ["a negative image", ["val_image_idxs", "caption 0 belongs to image -1"], (data) => {
    data.captions.val_image_idxs.data[0] = -1;
  }],
  ["too few image numbers", ["train_image_idxs", "3 image numbers for 4 captions"], (data) => {
    data.captions.train_image_idxs = { shape: [3], data: Int32Array.of(0, 1, 2) };
  }],
  ["flat captions", ["val_captions must be integers in 2 dimensions"], (data) => {
    data.captions.val_captions.shape = [10];
  }],
  ["captions of floats", ["val_captions must be integers", "Float32Array"], (data) => {
    data.captions.val_captions.data = new Float32Array(10);
  }],
  ["captions of two lengths", ["train has 5 tokens, val 10"], (data) => {
    data.captions.val_captions.shape = [1, 10];
    data.captions.val_image_idxs = { shape: [1], data: Int32Array.of(0) };
  }],
  [
    "fewer urls than features",
    ["train_image_idxs", "train2014_urls.txt names 2"],
    (data) => {
      data.trainUrls = "one.jpg\ntwo.jpg\n";
    },
  ],
  [
    "more urls than features",
    ["train2014_vgg16_fc7_pca.h5", "shape [3,2], but train2014_urls.txt names 4"],
    (data) => {
      data.trainUrls += "four.jpg\n";
    },
  ],
  ["an empty line of urls", ["train2014_urls.txt", "line 2 is empty"], (data) => {
    data.trainUrls = "one.jpg\n\nthree.jpg\n";
  }],
  ["no urls", ["val2014_urls.txt", "line 1 is empty"], (data) => data.valUrls = "\n"],
  [
    "features of two widths",
    ["train2014_vgg16_fc7_pca.h5 has 2", "val2014_vgg16_fc7_pca.h5 4"],
    (data) => {
      data.val.features = { shape: [2, 4], data: new Float32Array(8) };
    },
  ],
  ["features that are NaN", ["val2014_vgg16_fc7_pca.h5", "number 1 of image 1 is NaN"], (data) => {
    data.val.features.data[3] = NaN;
  }],
  ["features that are infinite", ["number 0 of image 2 is -Infinity"], (data) => {
    data.train.features.data[4] = -Infinity;
  }],
  ["features past float32", ["number 0 of image 0 is 1e+300"], (data) => {
    data.val.features.data[0] = 1e300;
  }],
  ["integer features", [`"features" must be floating-point`], (data) => {
    data.val.features.data = Int32Array.of(1, 2, 3, 4);
  }],
  ["a vocabulary that is no JSON", ["coco2014_vocab.json", "JSON"], (data) => {
    data.vocabulary = data.vocabulary.slice(0, 30);
  }],
  [
    "a vocabulary without words",
    [`"idx_to_word" must be a list`],
    (data) => data.vocabulary = "{}",
  ],
  [
    "a vocabulary whose two directions differ",
    ['"word_to_idx" says that "dog" is word "5"', 'has "red" there'],
    (data) => {
      const { idx_to_word } = JSON.parse(data.vocabulary);
      data.vocabulary = JSON.stringify({ idx_to_word, word_to_idx: { red: 5, dog: 5 } });
    },
  ],
  ["a vocabulary with a word too many", ['"cat" is word "7"', "nothing there"], (data) => {
    const { idx_to_word } = JSON.parse(data.vocabulary);
    data.vocabulary = JSON.stringify({ idx_to_word, word_to_idx: { red: 5, cat: 7 } });
  }],
  ["a vocabulary without special tokens", [`word 0 is "a"`], (data) => {
    data.vocabulary = JSON.stringify({ idx_to_word: ["a", "dog"] });
  }],
];

for (const [what, parts, change] of wrong) {
  permissionTest(`loadCocoCaptioning() names ${what}`, write, async () => {
    await withFolder(change, async (folder) => {
      const error = await assertRejects(() => loadCocoCaptioning(folder), UserError, folder);
      for (const part of parts) assertStringIncludes(error.message, part);
      assert(!error.message.includes("\n"));
    });
  });
}

permissionTest("loadCocoCaptioning() names a truncated HDF5 file", write, async () => {
  await withFolder(() => {}, async (folder) => {
    const path = join(folder, "coco2014_captions.h5");
    await Deno.truncate(path, 1000);
    const error = await assertRejects(() => loadCocoCaptioning(folder), UserError, path);
    assertStringIncludes(error.message, "truncated file");
  });
});

permissionTest("loadCocoCaptioning() refuses files that are none", write, async () => {
  await withFolder(() => {}, async (folder) => {
    const path = join(folder, "val2014_urls.txt");
    await Deno.remove(path);
    await Deno.mkdir(path);
    await assertRejects(
      () => loadCocoCaptioning(folder),
      Deno.errors.NotFound,
      "val2014_urls.txt is no regular file",
    );
  });
});

permissionTest("loadCocoCaptioning() lists what an empty folder should hold", write, async () => {
  const folder = await Deno.makeTempDir();
  try {
    const error = await assertRejects(() => loadCocoCaptioning(folder), Deno.errors.NotFound);
    assertStringIncludes(error.message, "found are no files");
    await Deno.writeTextFile(join(folder, "captions.json"), "{}");
    const other = await assertRejects(() => loadCocoCaptioning(folder), Deno.errors.NotFound);
    for (
      const part of [folder, "coco2014_vocab.json", "val2014_urls.txt", "found are captions.json"]
    ) {
      assertStringIncludes(other.message, part);
    }
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});

Deno.test("loadCocoCaptioning() says that a folder does not exist", async () => {
  await assertRejects(
    () => loadCocoCaptioning("no/such/folder"),
    Deno.errors.NotFound,
    "There is no folder no/such/folder: it should hold coco2014_captions.h5",
  );
});

for (
  const [name, train, val, words] of [["coco_mini", 180, 59, 1004], [
    "ucm",
    1680,
    210,
    296,
  ]] as const
) {
  dataTest(`loadCocoCaptioning() reads ${name}`, `captions/${name}`, async (path) => {
    const data = await loadCocoCaptioning(path);
    assertEquals(data.name, name);
    assertEquals([data.train.pictures.length, data.val.pictures.length], [train, val]);
    assertEquals([data.vocabulary.size, data.captionLength, data.featureDim], [words, 17, 512]);
    for (const split of [data.train, data.val]) {
      const references = referencesByImage(split, data.vocabulary);
      assert(references.every((captions) => captions.length === 5));
      assert(references.flat().every((caption) => caption.length > 0));
      const { source } = split.pictures[split.pictures.length - 1];
      assert(source.kind === "file" && Deno.statSync(source.path).isFile);
    }
  });
}
