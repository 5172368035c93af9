/** The style tasks' settings and pictures, without a GPU. */
import { assertEquals, assertRejects, assertStringIncludes, assertThrows } from "@std/assert";
import { join } from "@std/path";
import { encodePng } from "../../data/images/image.ts";
import { HelpRequest, UsageError } from "../../tasks/lib/flags.ts";
import {
  EMBEDDED_DEFAULTS,
  STYLE_PRESETS,
  type StylePresetName,
} from "../../tasks/style/paintings.ts";
import { drawnNotes, stylePictures } from "../../tasks/style/pictures.ts";
import {
  objectiveOf,
  presetSettings,
  settingsInUse,
  transferSettings,
} from "../../tasks/style/settings.ts";
import { library, noise } from "../data/images/images.ts";
import { permissionTest } from "../support.ts";
import { withTempFolder } from "./task_process.ts";
import { UserError } from "../../data/files/user_error.ts";

/** What the homework lists: sizes, then content, style layers, style weights, total variation. */
const HOMEWORK: Record<StylePresetName, [number, number, number, number, string, string, number]> =
  {
    composition: [192, 512, 3, 5e-2, "1,4,6,7", "20000,500,12,1", 5e-2],
    scream: [192, 224, 3, 3e-2, "1,4,6,7", "200000,800,12,1", 2e-2],
    starry: [192, 192, 3, 6e-2, "1,4,6,7", "300000,1000,15,3", 2e-2],
  };

Deno.test("style settings: the paintings have the homework's numbers", () => {
  assertEquals(Object.keys(STYLE_PRESETS), Object.keys(HOMEWORK));
  for (const name of Object.keys(STYLE_PRESETS) as StylePresetName[]) {
    const settings = presetSettings(name, ["--data=styles", "--weights=w.pth"]);
    const { size, styleSize, iterations, init } = settings;
    const { contentLayer, contentWeight, styleLayers, styleWeights, tvWeight, ...schedule } =
      objectiveOf(settings);
    const layers = [styleLayers.join(), styleWeights.join()] as const;
    assertEquals(
      [size, styleSize, contentLayer, contentWeight, ...layers, tvWeight],
      HOMEWORK[name],
    );
    assertEquals(schedule, { lr: 3, lrLate: 0.1, lateAt: 180, clampUntil: 190 });
    assertEquals([iterations, init, settings.task], [200, "content", `style-${name}`]);
    const { page } = assertThrows(() => presetSettings(name, ["--help"]), HelpRequest);
    assertStringIncludes(page, "Layers of the style loss; 1,4,6,7 unless given");
    assertStringIncludes(page, `\n  deno task style-${name} --data=styles --weights=`);
  }
});

Deno.test("style settings: the embedded network has numbers of its own", () => {
  for (const name of Object.keys(STYLE_PRESETS) as StylePresetName[]) {
    const { size, styleSize, contentLayer, ...settings } = presetSettings(name, ["--lr=0.25"]);
    const preset = STYLE_PRESETS[name];
    const own = [preset.size, preset.styleSize, preset.contentLayer];
    assertEquals([size, styleSize, contentLayer], own);
    for (const [key, value] of Object.entries(EMBEDDED_DEFAULTS)) {
      const expected = key === "lr" ? 0.25 : value;
      assertEquals(settings[key as keyof typeof EMBEDDED_DEFAULTS], expected, key);
    }
  }
});

Deno.test("style settings: flags change them, and those in use are shown", () => {
  const settings = transferSettings([
    ...["--content=a.jpg", "--style=b.jpg", "--style-layers=2, 11", "--style-weights=0.5,1e3"],
    ...["--init=random", "--seed=7", "--lr=1", "--late-at=0"],
  ]);
  assertEquals([settings.styleLayers, settings.styleWeights], [[2, 11], [0.5, 1000]]);
  const shown = settingsInUse(settings);
  assertEquals([shown.styleLayers, shown.styleWeights], ["2, 11", "0.5, 1000"]);
  assertEquals([shown.seed, shown.lr, shown.content, shown.lateAt], [7, 1, "a.jpg", 0]);
  assertEquals(Object.keys(shown).filter((key) => ["data", "weights", "preset"].includes(key)), []);
  assertEquals("seed" in settingsInUse(presetSettings("starry", [])), false);
});

Deno.test("style settings: what does not fit is refused", () => {
  const refused: [string[], string][] = [
    [["--content=a.jpg"], "Flag --style must be given"],
    [["--style=a.jpg"], "Flag --content must be given"],
    [["--style-layers=1,4"], "--style-layers has 2 layers (1,4), and --style-weights 4 weights"],
    [["--style-layers=1,4,1,5"], "names a layer twice: 1,4,1,5"],
    [["--style-layers=1,4,6,13"], 'at least 0, at most 12, and not "13"'],
    [["--style-layers=1,,6,7"], "Flag --style-layers takes a whole number, at least 0"],
    [["--style-weights=1,2,3,-1"], "Flag --style-weights takes a finite number, at least 0"],
    [["--content-layer=13"], "Flag --content-layer takes a whole number, at least 0, at most 12"],
    [["--size=16", "--content-layer=8"], "The layers from 8 on need pictures of 17 pixels or more"],
    [
      ["--style-size=16", "--style-layers=1,9"].concat("--style-weights=1,1"),
      "of 17 pixels or more",
    ],
    [["--tv-weight=1e300"], "takes a finite number, at least 0, at most 1e+30 in size"],
    [["--size=8"], "Flag --size takes a whole number, at least 16"],
    [["--tv-weight=-1"], "Flag --tv-weight takes a finite number, at least 0"],
    [["--seed=5"], "Flag --seed is for --init=random"],
    [["--init=style"], "content, random"],
  ];
  for (const [flags, part] of refused) {
    const both = flags[0].startsWith("--content=") || flags[0].startsWith("--style=")
      ? []
      : ["--content=a", "--style=b"];
    assertThrows(() => transferSettings([...both, ...flags]), UsageError, part);
  }
});

permissionTest("style pictures: drawn at their size where there are none", library, async () => {
  const { content, style } = await stylePictures(presetSettings("scream", ["--size=48"]));
  assertEquals([content.name, style.name], ["a drawn town", "drawn bands"]);
  assertEquals([content.path, style.path], [undefined, undefined]);
  assertEquals([content.image.width, content.image.height], [64, 48]);
  assertEquals([style.image.width, style.image.height], [299, 224]);
  const [note, ...more] = drawnNotes({ content, style });
  assertEquals(more, []);
  assertStringIncludes(note, "Both pictures are drawn by neckar itself");
  const file = { ...style, path: "scream.jpg" };
  assertStringIncludes(drawnNotes({ content, style: file })[0], "The content picture is drawn");
  assertEquals(drawnNotes({ content: file, style: file }), []);
});

permissionTest(
  "style pictures: read from the folder or from named files, or refused",
  [...library, { name: "write" }],
  async () => {
    await withTempFolder(async (folder) => {
      const path = (name: string) => join(folder, name);
      const save = async (name: string, width: number, height: number) =>
        Deno.writeFileSync(path(name), await encodePng(noise(width, height)));
      await save("tubingen.jpg", 64, 40); // known by its bytes, and not by its name
      await save("starry_night.jpg", 40, 80);
      await save("mine.png", 33, 33);
      await save("tiny.png", 50, 15);
      await save("long.png", 5000, 16);
      const data = `--data=${folder}`;
      const read = await stylePictures(presetSettings("starry", [data, "--size=20"]));
      assertEquals([read.content.image.width, read.content.image.height], [32, 20]);
      assertEquals([read.style.image.width, read.style.image.height], [192, 384]);
      assertEquals(read.style.path, path("starry_night.jpg"));
      const mine = presetSettings("starry", [data, `--content=${path("mine.png")}`]);
      assertEquals((await stylePictures(mine)).content.name, "mine.png");

      const refuse = (
        flags: string[],
        part: string,
        error: typeof UserError | typeof UserError,
      ) => assertRejects(() => stylePictures(presetSettings("composition", flags)), error, part);
      const missing = `The style picture ${path("composition_vii.jpg")} is not there`;
      await refuse([data], missing, UserError);
      await refuse([`--content=${folder}`], "it is no file", UserError);
      const tiny = `--content=${path("tiny.png")}`;
      await refuse([tiny], "has 50 x 15 pixels, and at least 16 x 16 are needed", UserError);
      const long = `--style=${path("long.png")}`;
      await refuse([long], "which are 81920000 when the shorter side is 512", UserError);
      Deno.writeTextFileSync(path("text.jpg"), "no picture");
      await refuse([`--style=${path("text.jpg")}`], "cannot be read as a picture", UserError);
    });
  },
);
