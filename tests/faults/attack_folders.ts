/** Archives, saved runs, data folders and pictures that are made to harm. */
import { join } from "@std/path";
import { type TensorData, writeSafetensors } from "../../data/formats/safetensors.ts";
import { Vocabulary } from "../../data/text/vocabulary.ts";
import { withFolder } from "../data/sets/coco_folder.ts";
import { writeZip, type ZipFile } from "../data/formats/zip/zip_writer.ts";
import type { Attack } from "./attacks.ts";

const MB = 1_000_000;
const empty = new Uint8Array(0);
const tensor = (...shape: number[]): TensorData => ({
  ...{ dtype: "F32", shape, data: new Float32Array(shape.reduce((a, b) => a * b, 1)) },
});

const zips: [string, () => ZipFile[]][] = [
  [
    "30,000 empty files",
    () => Array.from({ length: 30_000 }, (_, i) => ({ name: `f${i}`, bytes: empty })),
  ],
  [
    "5,000 empty files",
    () => Array.from({ length: 5000 }, (_, i) => ({ name: `f${i}`, bytes: empty })),
  ],
  [
    "15,000 names that share a place in a table",
    () => Array.from({ length: 15_000 }, (_, i) => ({ name: `${i * 131_072}`, bytes: empty })),
  ],
  ["a name of 256 bytes", () => [{ name: "x".repeat(256), bytes: empty }]],
  ["a path of 60 kB", () => [{ name: "x/".repeat(30_000) + "y", bytes: empty }]],
  ["a name that clears the screen", () => [{ name: "\x1b[2J\n", bytes: empty }]],
  ["a way out", () => [{ name: "../../etc/passwd", bytes: empty }]],
  ["a link", () => [{ name: "a", bytes: empty, mode: 0o120777 }]],
  ["a file that is a folder", () => [{ name: "a", bytes: empty }, { name: "a/b", bytes: empty }]],
  ["1 GB in 1 MB", () => [{ name: "a", bytes: new Uint8Array(1e6), method: 8, size: 1e9 }]],
];

const words = Vocabulary.fromWords(["a", "b", "c"]).words;
const classifier = {
  kind: "lstm",
  vocabularySize: words.length,
  wordDim: 6,
  hiddenDim: 5,
};
const captioner = { ...classifier, kind: undefined, cell: "lstm", featureDim: 3, captionLength: 7 };

/** A saved run whose sizes are changed. */
function run(
  format: "classifier" | "captioner",
  name: string,
  change: Record<string, unknown>,
): Attack {
  const base = format === "captioner" ? captioner : classifier;
  return saved(format, name, { config: JSON.stringify({ ...base, ...change }) });
}

function saved(format: Attack["format"], name: string, metadata: Record<string, string>): Attack {
  const tensors = new Map([
    ["features.mean", tensor(3)],
    ["features.deviation", tensor(3)],
    ["embed.weight", tensor(words.length, 6)],
    ["score.weight", tensor(1, 5)],
  ]);
  return {
    name: `saved ${format}: ${name}`,
    format,
    make: (path) =>
      writeSafetensors(path, tensors, {
        config: JSON.stringify(format === "captioner" ? captioner : classifier),
        vocabulary: JSON.stringify(words),
        ...metadata,
      }),
  };
}

/** A file of text in a folder. */
const inFolder = (file: string, text: () => string) => async (path: string) => {
  await Deno.mkdir(path);
  await Deno.writeTextFile(join(path, file), text());
};

/** A data folder of captions whose list of pictures is changed. */
const urls = (list: (folder: string) => string | Promise<string>) => async (path: string) => {
  await withFolder(() => {}, async (folder) => {
    await Deno.mkdir(path);
    for (const { name } of Deno.readDirSync(folder)) {
      await Deno.copyFile(join(folder, name), join(path, name));
    }
  });
  await Deno.writeTextFile(join(path, "train2014_urls.txt"), await list(path));
};

/** The head of a GIF whose screen and only picture have 65,535 pixels a side. */
const GIF = Uint8Array.from([
  ...new TextEncoder().encode("GIF89a"),
  ...[255, 255, 255, 255, 0xf0, 0, 0, 0, 0, 0, 255, 255, 255],
  ...[0x2c, 0, 0, 0, 0, 255, 255, 255, 255, 0, 2, 2, 0x44, 1, 0, 0x3b],
]);

/** The head of a WebP of 2^24 pixels a side. */
const WEBP = Uint8Array.from([
  ...new TextEncoder().encode("RIFF\x1e\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"),
  ...new Array(10).fill(255),
]);

const SVG = `<svg xmlns="http://www.w3.org/2000/svg" width="30000" height="30000"><filter id="f">` +
  `<feTurbulence baseFrequency="0.01" numOctaves="99"/></filter>` +
  `<rect width="30000" height="30000" filter="url(#f)"/></svg>`;

export const FOLDER_ATTACKS: Attack[] = [
  ...zips.flatMap(([name, files]): Attack[] => [
    { name: `zip to unpack: ${name}`, format: "unpack", make: () => writeZip(files()) },
    { name: `zip as weights: ${name}`, format: "weights", make: () => writeZip(files()) },
  ]),
  run("captioner", "captions of a million tokens", { captionLength: 1e6 }),
  ...[14_000, 1e9, 2 ** 52].flatMap((hiddenDim) =>
    (["classifier", "captioner"] as const).map((format) =>
      run(format, `${hiddenDim} hidden units`, { hiddenDim })
    )
  ),
  run("classifier", "words of 1e8 numbers", { wordDim: 1e8 }),
  run("captioner", "features of 1e9 numbers", { featureDim: 1e9 }),
  run("captioner", "words of 1e8 numbers", { wordDim: 1e8 }),
  run("classifier", "a million members", { kind: "bilstm", members: 1e6 }),
  run("classifier", "four members of 1e9 units", { kind: "bilstm", members: 4, hiddenDim: 1e9 }),
  run("classifier", "1e9 words", { vocabularySize: 1e9 }),
  run("classifier", "a kind that clears the screen", { kind: "\x1b[2J" }),
  ...[100_000, 500_000].map((count) =>
    saved("classifier", `${count} words that share a place in a table`, {
      config: JSON.stringify({ ...classifier, vocabularySize: count + 4 }),
      vocabulary: JSON.stringify([
        ...words.slice(0, 4),
        ...Array.from({ length: count }, (_, i) => `${i * 2 ** Math.floor(32 - Math.log2(count))}`),
      ]),
    })
  ),
  ...(["config", "vocabulary"] as const).flatMap((key) =>
    (["classifier", "captioner"] as const).flatMap((format) => [
      saved(format, `a ${key} nested 5 million deep`, { [key]: "[".repeat(5 * MB) }),
      saved(format, `a ${key} of 15 MB`, { [key]: `[${"1,".repeat(7 * MB)}1]` }),
      saved(format, `a ${key} of one word`, { [key]: `["${"x".repeat(20 * MB)}"]` }),
    ])
  ),
  saved("network", "no network", { backbone: "x", classes: "[".repeat(5 * MB) }),
  saved("checkpoint", "settings nested 5 million deep", { made: "[".repeat(5 * MB) }),
  {
    name: "checkpoint: tables of another shape",
    format: "checkpoint",
    make: (path) => {
      const wide: TensorData = { dtype: "F64", shape: [3e6], data: new Float64Array(3e6) };
      const tensors = new Map(["before", "epochs", "losses"].map((name) => [name, wide]));
      return writeSafetensors(path, tensors, { made: "{}", optimizer: "{}" });
    },
  },
  ...(["safetensors", "weights", "classifier", "checkpoint"] as const).map((format): Attack => ({
    name: `a link to /dev/zero as ${format}`,
    format,
    make: (path) => Deno.symlink("/dev/zero", path),
  })),
  {
    name: "run folder: a link to /dev/zero",
    format: "run",
    make: async (path) => {
      await Deno.mkdir(path);
      await Deno.symlink("/dev/zero", join(path, "config.json"));
    },
  },
  {
    name: "weights: 20 GB of holes",
    format: "weights",
    make: async (path) => {
      await Deno.writeFile(path, empty);
      await Deno.truncate(path, 20e9);
    },
  },
  {
    name: "run folder: a config nested 30 million deep",
    format: "run",
    make: inFolder("config.json", () => `{"task":${"[".repeat(30 * MB)}`),
  },
  {
    name: "run folder: a config of a task of 30 MB",
    format: "run",
    make: inFolder("config.json", () => `{"task":"\\u001b${"x".repeat(30 * MB)}"}`),
  },
  {
    name: "vocabulary: nested 30 million deep",
    format: "vocabulary",
    make: () => new TextEncoder().encode(`{"idx_to_word":${"[".repeat(30 * MB)}`),
  },
  {
    name: "vocabulary: a word of 30 MB",
    format: "vocabulary",
    make: () => new TextEncoder().encode(`{"idx_to_word":["${"\\u001b".repeat(5 * MB)}"]}`),
  },
  ...([
    ["a line of 100 MB", () => "x".repeat(100 * MB)],
    ["a line of 50 million spaces", () => `a${" ".repeat(50 * MB)}`],
    ["a header of a billion words", () => "1000000000 300\na 1 2\n"],
    ["50 MB of empty lines", () => "\n".repeat(50 * MB)],
    [
      "words that share a place in a table",
      () => Array.from({ length: 50_000 }, (_, i) => `${65_536 * i} 1 2\n`).join(""),
    ],
  ] as [string, () => string][]).map(([name, text]): Attack => ({
    name: `word vectors: ${name}`,
    format: "glove",
    make: () => new TextEncoder().encode(text()),
  })),
  ...([
    ["a line of 60 MB", () => `0 ${"x ".repeat(30 * MB)}`],
    ["60 MB of empty lines", () => "\n".repeat(60 * MB)],
    ["60 MB of lines of another encoding", () => "\n".repeat(60 * MB), [0xff]],
    ["a label that clears the screen", () => "\x1b[2J a b\n"],
  ] as [string, () => string, number[]?][]).map(([name, text, end = []]): Attack => ({
    name: `sentences: ${name}`,
    format: "sentences",
    make: async (path) => {
      await Deno.mkdir(path);
      for (const split of ["train", "dev", "test"]) {
        const content = new TextEncoder().encode(split === "train" ? text() : "0 a\n1 b\n");
        const bytes = split === "train" ? Uint8Array.of(...end) : empty;
        await Deno.writeFile(join(path, `${split}.txt`), content);
        await Deno.writeFile(join(path, `${split}.txt`), bytes, { append: true });
      }
    },
  })),
  ...([
    ["out of the folder", () => "../../../etc/passwd\n../../a\nb\n"],
    ["the whole disk", () => "/etc/passwd\nfile:///etc/shadow\nb\n"],
    ["/dev/zero", () => "/dev/zero\na\nb\n"],
    ["100 MB of lines", () => "a\n".repeat(50 * MB)],
    ["a line of 100 MB", () => "x".repeat(100 * MB)],
    ["lines that clear the screen", () => "\x1b[2J\n\x1b[2J\n\x1b[2J\n"],
  ] as [string, () => string][]).map(([name, list]): Attack => ({
    name: `list of pictures: ${name}`,
    format: "coco",
    make: urls(list),
  })),
  { name: "picture: an SVG", format: "picture", make: () => new TextEncoder().encode(SVG) },
  { name: "picture: a GIF of 65,535 x 65,535", format: "picture", make: () => GIF },
  { name: "picture: a WebP of 2^24 x 2^24", format: "picture", make: () => WEBP },
  {
    name: "picture: a JPEG of 60 MB of empty markers",
    format: "picture",
    make: () => Uint8Array.from({ length: 60 * MB }, (_, i) => i === 1 ? 0xd8 : 0xff),
  },
];
