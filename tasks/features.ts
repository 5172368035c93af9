/** `deno task features`: pictures turned into the captioner's features. */
import { join } from "@std/path";
import {
  CAPTION_SPLITS,
  ownFeatureFile,
  readPictures,
  urlsFile,
} from "../data/sets/coco_captioning.ts";
import { writeFeatures } from "../data/sets/feature_files.ts";
import { checkFiles, folderName } from "../data/files/folder.ts";
import { checkWithin } from "../data/sets/picture_lines.ts";
import type { Gpu } from "../kernels/runtime/gpu.ts";
import { extractFeatures, openSqueezeNet, SQUEEZENET_FEATURES } from "./lib/features.ts";
import { boolean, defineFlags, text, UsageError } from "./lib/flags.ts";
import { openTaskGpu, parseGpuFlags } from "./lib/gpu.ts";
import { runTask } from "./lib/main.ts";
import { findPictures, PICTURE_FLAGS, pictureCount } from "./lib/own_pictures.ts";
import { createRunFolder } from "./lib/run_folder.ts";
import { UserError } from "../data/files/user_error.ts";

const FLAGS = defineFlags({
  ...PICTURE_FLAGS,
  data: text({
    optional: true,
    placeholder: "DIR",
    help:
      "Instead of --images: a folder in CS231n's coco_captioning layout whose pictures are files; caption-lstm --data=DIR then reads the features where there are no VGG ones",
  }),
  allowOutside: boolean({
    default: false,
    help: "Let the URL files of --data name pictures outside its folder",
  }),
  weights: text({
    placeholder: "FILE",
    help: "SqueezeNet 1.1's: a .safetensors, .pth or .npz file with torchvision's names",
  }),
  to: text({
    optional: true,
    placeholder: "DIR",
    help:
      "The folder that the features go into; unless given with --data that one, else a new one in runs/features",
  }),
});

/** A file to write. */
interface Job {
  file: string;
  paths: readonly string[];
  /** What the pictures are called in the file. */
  nameOf: (path: string) => string;
  /** Every picture must be readable: captions refer to them by number. */
  strict: boolean;
}

/** What there is to do, and sentences about it. Everything wrong with the flags and folders is found here. */
async function plan(args: readonly string[]) {
  const given = parseGpuFlags(FLAGS, args, {
    task: "features",
    summary:
      `Turn pictures into the captioner's features with SqueezeNet 1.1: ${SQUEEZENET_FEATURES} numbers for each, the last ` +
      "feature map averaged over its places, in a safetensors file.",
    examples: [
      "deno task features --weights=squeezenet1_1-b8a52dc0.pth --images=holiday",
      "deno task features --weights=squeezenet1_1-b8a52dc0.pth --images=holiday --to=holiday",
      "deno task features --weights=squeezenet1_1-b8a52dc0.pth --data=coco_captioning",
    ],
  });
  const { images, data, allowOutside: outside, weights, strict } = given;
  if ((images === undefined) === (data === undefined)) {
    throw new UsageError(
      "Either --images, pictures, or --data, a folder of captions and pictures, must be given",
    );
  }
  if (images !== undefined) {
    if (outside) {
      throw new UsageError("Flag --allow-outside is for --data: --images may name any place");
    }
    const { paths, notes } = await findPictures(images, strict);
    const job = { file: "features.safetensors", paths, nameOf: (path: string) => path, strict };
    return { jobs: [job], notes, weights, to: given.to };
  }
  if (strict) throw new UsageError("Flag --strict is for --images: with --data it is always so");
  const { root } = folderName(data!);
  await checkFiles(root, CAPTION_SPLITS.map(urlsFile));
  const jobs: Job[] = [];
  for (const split of CAPTION_SPLITS) {
    const pictures = await readPictures(root, split, { outside });
    const names = new Map<string, string>();
    const links: Parameters<typeof checkWithin>[0][] = [];
    const paths = pictures.map(({ name, id = name, source }) => {
      if (source.kind !== "file") {
        throw new UserError(
          `${root}/${
            urlsFile(split)
          } names pictures on the web, such as ${name}, and only files can be read`,
        );
      }
      links.push(source);
      names.set(source.path, id);
      return source.path;
    });
    for (const link of links) await checkWithin(link);
    const nameOf = (path: string) => names.get(path)!;
    jobs.push({ file: ownFeatureFile(split), paths, nameOf, strict: true });
  }
  return { jobs, notes: [], weights, to: given.to ?? root };
}

/** Make the folder that the features go into, and give its path: a new one among the runs where none is named. */
async function openFolder(to: string | undefined, weights: string, gpu: Gpu): Promise<string> {
  if (to === undefined) {
    using folder = createRunFolder({ out: "runs", task: "features", now: new Date() });
    folder.writeConfig({ task: "features", weights, adapter: gpu.adapter });
    return folder.path;
  }
  await Deno.mkdir(to, { recursive: true });
  return to;
}

async function run(
  gpu: Gpu,
  { jobs, notes, weights, to }: Awaited<ReturnType<typeof plan>>,
): Promise<void> {
  const opened = await openSqueezeNet(gpu, weights);
  using model = opened.model;
  const folder = await openFolder(to, weights, gpu);
  for (const note of notes) console.log(`Note: ${note}`);
  console.log(
    `${model.kind} on ${gpu.adapter.description}${
      gpu.adapter.isFallback ? " (a software adapter)" : ""
    }`,
  );
  for (const { file, paths, nameOf, strict } of jobs) {
    const extracted = await extractFeatures(opened, paths, strict);
    const path = join(folder, file);
    if (extracted === undefined) {
      console.log(`Interrupted; ${path} is not written`);
      return;
    }
    for (const note of extracted.notes) console.log(note);
    const pictures = extracted.paths.map(nameOf);
    await writeFeatures(path, { features: extracted.features, pictures }, { network: model.kind });
    console.log(
      `${SQUEEZENET_FEATURES} numbers for each of ${pictureCount(pictures.length)} are in ${path}`,
    );
  }
}

await runTask(async () => {
  const planned = await plan(Deno.args);
  using gpu = await openTaskGpu();
  await run(gpu, planned);
});
