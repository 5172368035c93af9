import { assert, assertEquals, assertRejects } from "@std/assert";
import { dirname } from "@std/path";
import { listImages, readImageFolder } from "../../../data/images/image_folder.ts";
import { dataTest, permissionTest } from "../../support.ts";
import { UserError } from "../../../data/files/user_error.ts";

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
      ]);
      assertEquals([relative(read.hidden), read.unreadable], [["b/.DS_Store"], []]);
    });
  },
);

permissionTest(
  "readImageFolder() takes hidden and thumbnail folders and files for no classes and pictures",
  write,
  async () => {
    const seen = ["a/1.jpg", "b/2.jpg", "b/deep/3.png"];
    const hidden = [
      ".ipynb_checkpoints/a-checkpoint.jpg",
      "@eaDir/1.jpg",
      "__MACOSX/a/._1.jpg",
      "a/.ipynb_checkpoints/1-checkpoint.jpg",
      "a/._1.jpg",
      "a/Thumbs.db",
      "b/deep/.thumbnails/3.png",
      "b/deep/@eaDir/SYNOPHOTO_THUMB_M.jpg",
    ];
    await withFiles([...seen, ...hidden], async (folder) => {
      const { classes, paths, passedOver, hidden } = await readImageFolder(folder);
      assertEquals(classes, ["a", "b"]);
      const relative = (paths: string[]) => paths.map((path) => path.slice(folder.length + 1));
      assertEquals([relative(paths), passedOver], [seen, []]);
      assertEquals(relative(hidden), [
        ".ipynb_checkpoints",
        "@eaDir",
        "__MACOSX",
        "a/._1.jpg",
        "a/.ipynb_checkpoints",
        "a/Thumbs.db",
        "b/deep/.thumbnails",
        "b/deep/@eaDir",
      ]);
    });
  },
);

permissionTest("readImageFolder() takes a class composed or not for one name", write, async () => {
  const [composed, decomposed] = ["Bl\u00fcten", "Blu\u0308ten"];
  await withFiles([`x/${decomposed}/1.jpg`, "x/A/1.jpg"], async (folder) => {
    const { classes, labels, paths } = await readImageFolder(`${folder}/x`);
    assertEquals([classes, [...labels]], [["A", composed], [0, 1]]);
    // The path is as the system spells it.
    assert(paths[1].includes(decomposed) || Deno.build.os === "darwin");
  });
  if (Deno.build.os === "darwin") return; // there the two are one folder
  await withFiles([`${decomposed}/1.jpg`, `${composed}/1.jpg`], async (folder) => {
    const { message } = await assertRejects(() => readImageFolder(folder), UserError);
    for (const name of ['"Blu\\u0308ten"', '"Bl\\u00fcten"', "must become one"]) {
      assert(message.includes(name), message);
    }
  });
});

permissionTest(
  "listImages() lists what can be reached, and says what cannot",
  [...write, { name: "run" }],
  async () => {
    if (Deno.build.os !== "linux") return;
    await withFiles(["ok.jpg", "dir.jpg/in.png", "x\x1b[2J/a.jpg"], async (folder) => {
      const make = [
        `import os; os.chdir(${JSON.stringify(folder)})`,
        'open(b"no\\xff.jpg", "wb").close(); os.mkdir(b"no\\xfe"); os.mkfifo("pipe.jpg")',
        'open(b"no\\xfe/in.jpg", "wb").close()',
      ].join("\n");
      const made = await new Deno.Command("python3", { args: ["-c", make] }).output()
        .catch(() => ({ success: false }));
      if (!made.success) return; // names that are no UTF-8 cannot be made here
      const { paths, unreadable } = await listImages(folder);
      const names = paths.map((path) => path.slice(folder.length + 1));
      assertEquals(names, [
        "no\ufffd.jpg",
        "ok.jpg",
        "pipe.jpg",
        "dir.jpg/in.png",
        "x\x1b[2J/a.jpg",
      ]);
      assertEquals(unreadable.map(({ path }) => path), [`${folder}/no\ufffd`]);
      assert(
        unreadable[0].reason.includes("cannot be read: its name is no UTF-8"),
        unreadable[0].reason,
      );
      await assertRejects(
        () => readImageFolder(folder),
        UserError,
        "is no UTF-8: rename the folder",
      );
      const empty = await assertRejects(
        () => listImages(`${folder}/x\x1b[2J/none`),
        Deno.errors.NotFound,
      );
      assert(!empty.message.includes("\x1b"), empty.message);
    });
  },
);

permissionTest("readImageFolder() says what a folder lacks", write, async () => {
  await withFiles(["data/c1/a.jpg", "data/c2/a.gif", "plain/a.jpg"], async (folder) => {
    const cases = [
      [`${folder}/none`, `There is no folder ${folder}/none`],
      [`${folder}/plain/a.jpg`, `${folder}/plain/a.jpg is a file, and no folder`],
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
