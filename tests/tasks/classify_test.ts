/** The classification task from the command line to the run folder. */
import {
  assert,
  assertEquals,
  assertMatch,
  assertRejects,
  assertStringIncludes,
  assertThrows,
} from "@std/assert";
import { join } from "@std/path";
import { encodePng } from "../../data/images/image.ts";
import { writeSafetensors } from "../../data/formats/safetensors.ts";
import { classifySettings } from "../../tasks/classify/settings.ts";
import { UsageError } from "../../tasks/lib/flags.ts";
import { findPictures } from "../../tasks/lib/own_pictures.ts";
import { noise } from "../data/images/images.ts";
import { gpuProcessTest } from "../gpu_support.ts";
import { permissionTest } from "../support.ts";
import { randomSqueezeNet, writeTinyModel } from "./small_network.ts";
import {
  assertRefused,
  jsonLines,
  runFolder,
  runTaskProcess,
  TASK_PERMISSIONS,
  withTempFolder,
} from "./task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

const CLASSES = ["ant", "bee", "snail <1>"];

/** A folder with a model and pictures, of which one is broken, and the flags that name them. */
async function withModel(
  use: (folder: string, flags: string[]) => Promise<void>,
): Promise<void> {
  await withTempFolder(async (folder) => {
    const model = join(folder, "model.safetensors");
    await writeTinyModel(model, CLASSES);
    await Deno.mkdir(join(folder, "pictures"));
    const png = await encodePng(noise(40, 50));
    const files = { "one.png": png, "broken.png": png.slice(0, 900), "notes.txt": png };
    for (const [name, bytes] of Object.entries(files)) {
      await Deno.writeFile(join(folder, "pictures", name), bytes);
    }
    await Deno.writeFile(join(folder, "two, too.jpg"), await encodePng(noise(60, 40, 2)));
    await use(folder, [`--weights=${model}`, `--images=${join(folder, "pictures")}`]);
  });
}

gpuProcessTest("classify: what a run leaves", TASK_PERMISSIONS, async () => {
  await withModel(async (folder, flags) => {
    const all = [...flags, "--top=2", `--out=${folder}`];
    const { code, stdout, stderr } = await runTaskProcess("classify", all);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(stdout, /^squeezenet1_1 of width 0\.0625 with 3 classes on /);
    assertMatch(
      stdout,
      /\npicture +class +probability\npictures\/one\.png +\S.* +0\.\d{4}\n +\S.* +0\.\d{4}\n/,
    );
    assertStringIncludes(stdout, "notes.txt is not that of a picture: passed over\n");
    assertMatch(stdout, /\nLeft out: .*broken\.png cannot be read as a picture: /);
    const run = runFolder(folder, "classify");
    assertStringIncludes(stdout, `Done; see ${run}/index.html`);

    const metrics = jsonLines(join(run, "metrics.jsonl"));
    assertEquals(metrics.map(({ rank }) => rank), [1, 2]);
    const [first, second] = metrics.map(({ probability }) => probability as number);
    assert(first >= second && first + second < 1, `probabilities ${first}, ${second}`);
    for (const { picture, name, class: index } of metrics) {
      assertEquals(picture, join(folder, "pictures", "one.png"));
      assertEquals(name, CLASSES[index as number]);
    }
    const html = Deno.readTextFileSync(join(run, "index.html"));
    assertStringIncludes(html, "1 of 1 pictures");
    assertEquals(html.match(/<img src="data:image\/png/g)?.length, 1);
    assertStringIncludes(html, "cannot be read as a picture");
  });
});

gpuProcessTest("classify: without flags neckar draws the pictures", TASK_PERMISSIONS, async () => {
  await withTempFolder(async (folder) => {
    const all = ["--top=1", "--pictures=3", `--out=${folder}`];
    const { code, stdout, stderr } = await runTaskProcess("classify", all);
    assertEquals([code, stderr], [0, ""]);
    assertMatch(
      stdout,
      /^Note: The network is not ImageNet's: .* since no --weights=FILE is given\n/,
    );
    assertStringIncludes(
      stdout,
      "The pictures are drawn by neckar, since no --images=PATH is given",
    );
    const [, right, count] = stdout.match(/right one for (\d+) of (\d+) drawings\n/)!;
    assert(Number(right) > Number(count) / 2, `${right} of ${count}`);
    const html = Deno.readTextFileSync(join(runFolder(folder, "classify"), "index.html"));
    assertStringIncludes(html, `3 of ${count} pictures`);
    assertEquals(html.match(/<img src="data:image\/png/g)?.length, 3);
    assertStringIncludes(html, "right answer");
  });
});

gpuProcessTest("classify: weights whose classes have no names", TASK_PERMISSIONS, async () => {
  await withModel(async (folder) => {
    const weights = join(folder, "plain.safetensors");
    await writeSafetensors(weights, await randomSqueezeNet(4, 1 / 16));
    // One path, with a comma in it; and two.
    const comma = join(folder, "two, too.jpg");
    const one = await runTaskProcess("classify", [
      ...[`--weights=${weights}`, `--images=${comma}`, `--out=${folder}`],
    ]);
    assertEquals([one.code, one.stderr], [0, ""]);
    assertMatch(one.stdout, /two, too\.jpg +class [0-3] /);
    const two = `--images=${comma.replace(", too", "")},${join(folder, "pictures/one.png")}`;
    await Deno.rename(comma, comma.replace(", too", ""));
    const { stdout } = await runTaskProcess("classify", [
      ...[`--weights=${weights}`, two, "--top=1", `--out=${folder}/more`],
    ]);
    assertMatch(stdout, /\n\S*two\.jpg +class .*\npictures\/one\.png +class /);
  });
});

gpuProcessTest("classify: paths begin where the task is called", TASK_PERMISSIONS, async () => {
  await withModel(async (folder) => {
    const flags = ["--weights=model.safetensors", "--images=pictures/one.png", "--out=here"];
    const { code, stdout } = await runTaskProcess("classify", flags, { INIT_CWD: folder });
    assertEquals(code, 0);
    assertStringIncludes(stdout, "see here/classify/");
    assert(Deno.statSync(join(folder, "here/classify")).isDirectory);
    const lost = await runTaskProcess("classify", ["--images=t.png"], { INIT_CWD: folder });
    assertStringIncludes(lost.stderr, join(await Deno.realPath(folder), "t.png"));
    const gone = await runTaskProcess("classify", [], { INIT_CWD: join(folder, "gone") });
    assertStringIncludes(gone.stderr, "gone that INIT_CWD names cannot be gone to");
  });
});

gpuProcessTest("classify: refuses what does not fit", TASK_PERMISSIONS, async () => {
  await withModel(async (folder, flags) => {
    await Deno.remove(join(folder, "pictures", "notes.txt"));
    const all = [...flags, "--strict", `--out=${folder}/runs`];
    const { code, stderr } = await runTaskProcess("classify", all);
    assertEquals(code, 1);
    assertMatch(stderr, /^error: .*broken\.png cannot be read as a picture: .*\n$/);
    assert(![...Deno.readDirSync(folder)].some(({ name }) => name === "runs"));
    await assertRefused("classify", [...flags, "--backbone=resnet18"], 1, [
      "model.safetensors are of squeezenet1_1, and not of resnet18: use --backbone=squeezenet1_1",
    ]);
    // The folder of a run stands for its model.
    await assertRefused("classify", [`--weights=${folder}`, flags[1], "--backbone=resnet18"], 1, [
      `The weights in ${folder} are of squeezenet1_1`,
    ]);
    const other = join(folder, "other.safetensors");
    await writeSafetensors(
      other,
      new Map([[
        "a.weight",
        { dtype: "F32", shape: [1], data: Float32Array.of(1) },
      ]]),
    );
    await assertRefused("classify", [`--weights=${other}`, flags[1]], 1, [
      'are of no network that is known here: its tensors are "a.weight"; known are resnet18, squeezenet1_1',
    ]);
    await writeSafetensors(other, await randomSqueezeNet(4, 1 / 16), {
      ...{ backbone: "squeezenet1_1", classes: '["one"]', normalisation: '{"size":32}' },
    });
    await assertRefused("classify", [`--weights=${other}`, flags[1]], 1, [
      "The weights have 4 classes, and names of 1 come with them",
    ]);
  });
});

const WRONG: [flags: string[], message: string][] = [
  [["--partial"], "Flag --partial is about the weights of --weights, and there are none"],
  [["--backbone=resnet18"], "Flag --backbone is about the weights of --weights"],
  [["--strict"], "Flag --strict is about the files of --images, and there are none"],
  [["--weights=a.pth"], "Flag --images must be given with --weights"],
  [["--top=0"], "Flag --top takes a whole number, at least 1, at most 1000"],
];

Deno.test("classify: flags that do not go together are refused", () => {
  for (const [flags, message] of WRONG) {
    assertThrows(() => classifySettings(flags), UsageError, message);
  }
  const { top, pictures, weights, backbone } = classifySettings([]);
  assertEquals([top, pictures, weights, backbone], [5, 60, undefined, undefined]);
});

permissionTest("classify: refuses pictures that are not there", TASK_PERMISSIONS, async () => {
  const parts = [
    "There is no picture and no folder nothing.jpg, which --images names: it was looked for at /",
    "/nothing.jpg",
  ];
  await assertRefused("classify", ["--images=nothing.jpg"], 1, parts);
});

permissionTest(
  "findPictures() takes files and folders, each picture once",
  [{ name: "write" }],
  async () => {
    await withTempFolder(async (folder) => {
      const inside = join(folder, "a,b");
      await Deno.mkdir(inside);
      for (const name of ["1.png", "2.jpg", "3.txt"]) {
        await Deno.writeTextFile(join(inside, name), "");
      }
      const paths = [`${inside}/1.png`, `${inside}/2.jpg`];
      const notes = [`The name of ${inside}/3.txt is not that of a picture: passed over`];
      assertEquals(await findPictures(inside, false), { paths, notes });
      const passedOver = "is not that of a picture, and --strict allows none";
      await assertRejects(() => findPictures(inside, true), UserError, passedOver);
      const [odd, plain] = [join(folder, "odd.txt"), join(folder, "plain")];
      await Deno.writeTextFile(odd, "");
      await Deno.rename(inside, plain);
      assertEquals(await findPictures(`${plain}/2.jpg,${odd},${plain}`, false), {
        paths: [`${plain}/2.jpg`, odd, `${plain}/1.png`],
        notes: [`The name of ${plain}/3.txt is not that of a picture: passed over`],
      });
      await assertRejects(() => findPictures(",", false), UserError, 'names no picture: ","');
      await Deno.mkdir(join(folder, "empty"));
      await assertRejects(() => findPictures(join(folder, "empty"), false), Deno.errors.NotFound);
    });
  },
);
