import { assert, assertEquals, assertRejects } from "@std/assert";
import { dirname } from "@std/path";
import { listImages, readImageFolder } from "../../data/image_folder.ts";
import { dataTest, permissionTest } from "../support.ts";

const write: Deno.PermissionDescriptor[] = [{ name: "read" }, { name: "write" }];

/** Make empty files in a new folder, and hand the folder to `use`. */
async function withFiles(paths: string[], use: (folder: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir();
  try {
    for (const path of paths) {
      await Deno.mkdir(dirname(`${folder}/${path}`), { recursive: true });
      await Deno.writeFile(`${folder}/${path}`, new Uint8Array(0));
    }
    await use(folder);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

permissionTest(
  "readImageFolder() takes folders as classes, in order, with all pictures in them",
  write,
  async () => {
    const files = [
      "b/2.jpg",
      "b/10.PNG",
      "b/deep/er/x.webp",
      "b/deep-er/y.tif",
      "b/.DS_Store",
      "B/one.jpeg",
      "a b/z.bmp",
      "a b/a.ppm",
      "a b/notes.txt",
      "a b/still.gif",
      "a b/jpg",
      "README.md",
    ];
    await withFiles(files, async (folder) => {
      const read = await readImageFolder(`${folder}/`);
      assertEquals(read.name, folder.split("/").pop());
      assertEquals(read.classes, ["B", "a b", "b"]);
      const relative = (paths: string[]) => paths.map((path) => path.slice(folder.length + 1));
      assertEquals(relative(read.paths), [
        "B/one.jpeg",
        "a b/a.ppm",
        "a b/z.bmp",
        "b/10.PNG",
        "b/2.jpg",
        "b/deep-er/y.tif",
        "b/deep/er/x.webp",
      ]);
      assertEquals(read.labels, Uint32Array.of(0, 1, 1, 2, 2, 2, 2));
      assertEquals(relative(read.passedOver), [
        "README.md",
        "a b/jpg",
        "a b/notes.txt",
        "a b/still.gif",
        "b/.DS_Store",
      ]);
    });
  },
);

permissionTest("readImageFolder() says what a folder lacks", write, async () => {
  await withFiles(["data/c1/a.jpg", "data/c2/a.gif", "plain/a.jpg"], async (folder) => {
    const cases = [
      [`${folder}/none`, `There is no folder ${folder}/none`],
      [`${folder}/plain/a.jpg`, `There is no folder ${folder}/plain/a.jpg`],
      [`${folder}/plain`, `The folder ${folder}/plain has no classes`],
      [
        `${folder}/data`,
        `The folder ${folder}/data/c2 has no pictures: their names should end in .jpg`,
      ],
    ];
    for (const [path, message] of cases) {
      await assertRejects(() => readImageFolder(path), Deno.errors.NotFound, message);
    }
  });
});

permissionTest("listImages() lists a plain folder", write, async () => {
  await withFiles(["b.jpg", "a.png", "in/c.pgm", "d.svg"], async (folder) => {
    const { paths, passedOver } = await listImages(folder);
    assertEquals(paths, ["a.png", "b.jpg", "in/c.pgm"].map((name) => `${folder}/${name}`));
    assertEquals(passedOver, [`${folder}/d.svg`]);
    await assertRejects(() => listImages(`${folder}/x`), Deno.errors.NotFound, "no folder");
  });
});

permissionTest(
  "listImages() follows links, but not in circles",
  write,
  async () => {
    await withFiles(["here/a.jpg", "there/b.jpg"], async (folder) => {
      if (Deno.build.os === "windows") return; // links need a privilege there
      await Deno.symlink(`${folder}/there`, `${folder}/here/linked`);
      await Deno.symlink(`${folder}/here`, `${folder}/there/back`);
      await Deno.symlink(`${folder}/gone`, `${folder}/here/dead.jpg`);
      await Deno.symlink(`${folder}/here/loop`, `${folder}/here/loop`);
      const { paths, passedOver } = await listImages(`${folder}/here`);
      const names = ["a.jpg", "dead.jpg", "linked/b.jpg"];
      assertEquals(paths, names.map((name) => `${folder}/here/${name}`));
      assertEquals(passedOver, [`${folder}/here/loop`]);
    });
  },
);

dataTest(
  "readImageFolder() counts the ants and bees as torchvision does",
  "hymenoptera_data",
  async (path) => {
    for (const [split, counts] of [["train", [123, 121]], ["val", [70, 83]]] as const) {
      const { classes, labels, paths, passedOver } = await readImageFolder(`${path}/${split}`);
      assertEquals(classes, ["ants", "bees"]);
      assertEquals([0, 1].map((label) => labels.filter((l) => l === label).length), [...counts]);
      assert(paths.every((file, i) => file.startsWith(`${path}/${split}/${classes[labels[i]]}/`)));
      const gif = split === "train" ? [`${path}/train/ants/imageNotFound.gif`] : [];
      assertEquals(passedOver, gif);
    }
  },
);
