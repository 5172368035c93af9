/** A classification run from the command line to the page. */
import { DRAWING_CLASSES, drawPictures } from "../../data/made/drawings.ts";
import { EMBEDDED_SIZE } from "../../data/made/embedded/network.ts";
import { ImageLoader } from "../../data/images/image_loader.ts";
import { IMAGENET_CLASSES } from "../../data/sets/imagenet_classes.ts";
import { printable } from "../../data/files/messages.ts";
import type { RgbImage } from "../../data/images/rgb_image.ts";
import { RandomStream } from "../../data/rng.ts";
import type { Gpu } from "../../kernels/runtime/gpu.ts";
import { imageOutputs } from "../../models/captions/image_features.ts";
import { probabilities } from "../../models/pictures/image_training.ts";
import { type OpenBackbone, openBackbone } from "../lib/backbone.ts";
import { chance, grouped } from "../lib/format.ts";
import { openTaskGpu } from "../lib/gpu.ts";
import { interruptSignal } from "../lib/main.ts";
import { turn } from "../../models/training/pace.ts";
import { findPictures, prepareAt, shortNames, skippedNotes } from "../lib/own_pictures.ts";
import { progress } from "../lib/progress.ts";
import { createRunFolder } from "../lib/run_folder.ts";
import { type Answer, type ClassifyResults, type Likely, writeClassifyPage } from "./report.ts";
import { type ClassifySettings, classifySettings } from "./settings.ts";
import { UserError } from "../../data/files/user_error.ts";

/** The pictures of a run. */
interface Pictures {
  /** Paths, or drawings. */
  pictures: readonly (string | RgbImage)[];
  names: readonly string[];
  /** What the drawings show; nothing is known of files. */
  truths: readonly string[] | undefined;
  notes: string[];
}

/** So many drawings of each class. */
const DRAWN = 2;

async function findAll({ images, strict }: ClassifySettings): Promise<Pictures> {
  if (images !== undefined) {
    const { paths, notes } = await findPictures(images, strict);
    return { pictures: paths, names: shortNames(paths), truths: undefined, notes };
  }
  const stream = new RandomStream(0).split("classify");
  const { pictures, labels } = drawPictures(DRAWING_CLASSES, DRAWN, EMBEDDED_SIZE, stream);
  const truths = Array.from(labels, (label) => DRAWING_CLASSES[label]);
  return {
    pictures,
    names: truths.map((name, i) => `${name} ${i % DRAWN + 1}`),
    truths,
    notes: ["The pictures are drawn by neckar, since no --images=PATH is given"],
  };
}

/** The names of a network's classes: its own, ImageNet's, or numbers. */
function nameClasses({ model, classNames }: OpenBackbone): readonly string[] {
  const names = classNames ??
    (model.classes === 1000
      ? IMAGENET_CLASSES
      : Array.from({ length: model.classes }, (_, k) => `class ${k}`));
  if (names.length === model.classes) return names;
  throw new UserError(
    `The weights have ${model.classes} classes, and names of ${names.length} come with them`,
  );
}

/** The `top` likeliest classes. */
function likeliest(row: Float64Array, names: readonly string[], top: number): Likely[] {
  return [...row.keys()].sort((a, b) => row[b] - row[a]).slice(0, top)
    .map((index) => ({ index, name: names[index], probability: row[index] }));
}

/** The longest name in the table; of longer ones the end stands there, which tells them apart. */
const LONGEST = 40;

function shortened(name: string): string {
  return name.length <= LONGEST ? name : `…${name.slice(1 - LONGEST)}`;
}

/** The answers as a table, a line for each class. */
function table(answers: readonly Answer[]): string {
  const rows = answers.flatMap(({ name, likely }) =>
    likely.map((row, rank) => [
      rank === 0 ? shortened(name) : "",
      printable(row.name, { most: 100 }), // a stranger's weights name them
      chance(row.probability),
    ])
  );
  const lines = [["picture", "class", "probability"], ...rows];
  const [a, b] = [0, 1].map((i) => lines.reduce((most, line) => Math.max(most, line[i].length), 0));
  return lines.map(([name, label, p]) => `${name.padEnd(a)}  ${label.padEnd(b)}  ${p.padStart(11)}`)
    .join("\n");
}

async function classify(
  opened: OpenBackbone,
  classes: readonly string[],
  { pictures, names, truths, notes }: Pictures,
  settings: ClassifySettings,
): Promise<Pick<ClassifyResults, "answers" | "notes">> {
  const { model, size } = opened;
  const loader = new ImageLoader(pictures, {
    batchSize: 8,
    strict: settings.strict,
    // Drawings have the size that the network sees.
    ...(truths === undefined && { prepare: prepareAt(size) }),
  });
  const signal = interruptSignal();
  const answers: Answer[] = [];
  using bar = progress({ total: pictures.length, unit: "picture" });
  for await (const { values, indices } of imageOutputs(model, loader.epoch(0), "scores")) {
    const scores = { classes: classes.length, logits: values, labels: indices, indices };
    indices.forEach((index, i) =>
      answers.push({
        name: names[index],
        picture: pictures[index],
        truth: truths?.[index],
        likely: likeliest(probabilities(scores, i), classes, settings.top),
      })
    );
    bar.update(answers.length + loader.skipped.length);
    await turn();
    if (signal.aborted) break;
  }
  return { answers, notes: [...notes, ...skippedNotes(loader.skipped)] };
}

/** How often the first answer to a drawing is right; nothing for files. */
function describeTruth(answers: readonly Answer[]): string[] {
  const known = answers.filter(({ truth }) => truth !== undefined);
  if (known.length === 0) return [];
  const right = known.filter(({ truth, likely }) => likely[0].name === truth).length;
  return [`The likeliest class is the right one for ${right} of ${known.length} drawings`];
}

async function run(gpu: Gpu, settings: ClassifySettings, pictures: Pictures): Promise<void> {
  const opened = await openBackbone(gpu, settings, { learned: "none" });
  using model = opened.model;
  const classes = nameClasses(opened);
  const { adapter } = gpu;
  console.log(
    [
      ...opened.notes.map((note) => `Note: ${printable(note)}`),
      `${model.kind} with ${grouped(model.classes)} classes on ${adapter.description}${
        adapter.isFallback ? " (a software adapter)" : ""
      }`,
    ].join("\n"),
  );
  const found = await classify(opened, classes, pictures, settings);
  const results = {
    answers: found.answers,
    notes: [...opened.notes, ...found.notes, ...describeTruth(found.answers)],
    network: model.kind,
    gpu: adapter.description,
  };
  // Last of all: what is refused above leaves no folder behind.
  using folder = createRunFolder({ out: settings.out, task: "classify", now: new Date() });
  folder.writeConfig({ task: "classify", ...settings, network: model.kind, adapter });
  for (const { name, picture, likely } of results.answers) {
    likely.forEach((row, i) =>
      folder.metric({
        picture: typeof picture === "string" ? picture : name,
        ...{ rank: i + 1, class: row.index, name: row.name, probability: row.probability },
      })
    );
  }
  await writeClassifyPage(folder, settings, results);
  console.log(table(results.answers));
  for (const note of [...found.notes, ...describeTruth(found.answers)]) console.log(note);
  const state = interruptSignal().aborted ? "Interrupted; the answers so far are in" : "Done; see";
  console.log(`${state} ${folder.path}/index.html`);
}

/** The whole task. */
export async function classifyTask(): Promise<void> {
  const settings = classifySettings(Deno.args);
  const pictures = await findAll(settings);
  using gpu = await openTaskGpu();
  await run(gpu, settings, pictures);
}
