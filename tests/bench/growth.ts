/**
 * `deno task growth`: how time and memory of a step grow with one size at a time, over a range of 16 and at
 * odd sizes, and the straight line they follow. What costs more for each value than its neighbour is marked.
 */
import { fromFileUrl } from "@std/path";
import { type Gpu, openGpu } from "../../kernels/runtime/gpu.ts";
import {
  boolean,
  defineFlags,
  integer,
  parseFlags,
  text,
  UsageError,
} from "../../tasks/lib/flags.ts";
import { runTask } from "../../tasks/lib/main.ts";
import { fitLaw, JUMP, jumps, type Point } from "./growth_law.ts";
import { cpuName, driverVersion } from "./machine.ts";
import {
  captionerSteps,
  convolutions,
  pictureSteps,
  products,
  sentenceSteps,
  type Steps,
} from "./steps.ts";

const flags = defineFlags({
  rounds: integer({ default: 3, min: 1, max: 100, help: "Passes over the sizes of a row" }),
  turn: integer({ default: 60, min: 1, max: 10_000, help: "Milliseconds of a turn, at least" }),
  only: text({ optional: true, help: "Only rows whose name has this in it, such as product" }),
  write: boolean({ default: false, help: "Write the tables into docs/performance.md" }),
});

/** One thing, with one size that grows. */
interface Row {
  name: string;
  /** What grows, as a column's head and in the law. */
  size: string;
  sizes: readonly number[];
  make: (gpu: Gpu, size: number) => Steps;
  /** What a size asks for, where it is not the size itself. */
  work?: { name: string; of: (size: number) => number };
}

const BATCHES = [1, 4, 8, 16, 31, 32, 33, 63, 64, 65];
const LENGTHS = [4, 8, 15, 16, 17, 32, 33, 63, 64];
const VOCABULARIES = [625, 1250, 2500, 4999, 5000, 5001, 10_000];
const SIDES = [56, 57, 80, 111, 112, 113, 160, 223, 224, 225];
const CHANNELS = [16, 31, 32, 33, 64, 65, 127, 128, 129, 256];
const PIXELS = { name: "pixels", of: (side: number) => side * side };

const CAPTIONER = { batch: 25, steps: 17, vocabulary: 1004, hidden: 512 };
const CLASSIFIER = { batch: 100, steps: 12, vocabulary: 7643, hidden: 100 };
const CONVOLUTION = { batch: 4, side: 28, channels: 64, filters: 64, window: 3 };

/** The three sizes of steps that read words. */
function wordRows(
  name: string,
  sizes: typeof CAPTIONER,
  make: (gpu: Gpu, sizes: typeof CAPTIONER) => Steps,
): Row[] {
  const row = (key: keyof typeof CAPTIONER, size: string, all: readonly number[]): Row => ({
    ...{ name, size, sizes: all },
    make: (gpu, value) => make(gpu, { ...sizes, [key]: value }),
  });
  return [
    row("batch", "batch", BATCHES),
    row("steps", "T", LENGTHS),
    row("vocabulary", "V", VOCABULARIES),
  ];
}

function pictureRows(name: string, backbone: "resnet18" | "squeezenet1_1"): Row[] {
  return [{
    name: `${name} of 64 x 64`,
    ...{ size: "batch", sizes: BATCHES },
    make: (gpu, batch) => pictureSteps(gpu, backbone, { batch, side: 64 }),
  }, {
    name: `${name}, batch 2`,
    ...{ size: "side", sizes: SIDES, work: PIXELS },
    make: (gpu, side) => pictureSteps(gpu, backbone, { batch: 2, side }),
  }];
}

function convolutionRows(window: number): Row[] {
  const name = `convolution ${window} x ${window} and its gradients`;
  const row = (
    about: string,
    size: string,
    sizes: readonly number[],
    of: (size: number) => Partial<typeof CONVOLUTION>,
    work?: Row["work"],
  ): Row => ({
    name: `${name}, ${about}`,
    ...{ size, sizes },
    make: (gpu, value) => convolutions(gpu, { ...CONVOLUTION, window, ...of(value) }),
    ...(work === undefined ? {} : { work }),
  });
  return [
    row("28 x 28, 64 to 64 channels", "batch", BATCHES, (batch) => ({ batch })),
    row(
      "batch 4, 64 to 64 channels",
      "side",
      SIDES.map((side) => side >> 1),
      (side) => ({ side }),
      PIXELS,
    ),
    row("batch 4, 28 x 28, to 64 channels", "channels", CHANNELS, (channels) => ({ channels })),
    row("batch 4, 28 x 28, from 64 channels", "filters", CHANNELS, (filters) => ({ filters })),
  ];
}

const ROWS: Row[] = [
  ...wordRows("LSTM captioner step", CAPTIONER, (gpu, sizes) => captionerSteps(gpu, "lstm", sizes)),
  ...wordRows("RNN captioner step", CAPTIONER, (gpu, sizes) => captionerSteps(gpu, "rnn", sizes)),
  ...wordRows("RNN classifier step", CLASSIFIER, (gpu, sizes) => sentenceSteps(gpu, "rnn", sizes)),
  ...pictureRows("ResNet-18 step", "resnet18"),
  ...pictureRows("SqueezeNet 1.1 step", "squeezenet1_1"),
  ...(["NN", "NT", "TN"] as const).flatMap((kind): Row[] => [{
    name: `product ${kind}, m x 512 x 2048`,
    ...{ size: "m", sizes: BATCHES },
    make: (gpu, m) => products(gpu, kind, { m, k: 512, n: 2048 }),
  }, {
    name: `product ${kind}, 425 x 512 x n`,
    ...{ size: "n", sizes: VOCABULARIES },
    make: (gpu, n) => products(gpu, kind, { m: 425, k: 512, n }),
  }, {
    name: `product ${kind}, 425 x k x 512`,
    ...{ size: "k", sizes: VOCABULARIES },
    make: (gpu, k) => products(gpu, kind, { m: 425, k, n: 512 }),
  }, {
    name: `product ${kind}, n x n x n`,
    ...{
      size: "n",
      sizes: [256, 257, 384, 511, 512, 513, 645],
      work: { name: "n³", of: (n) => n ** 3 },
    },
    make: (gpu, n) => products(gpu, kind, { m: n, k: n, n }),
  }]),
  ...convolutionRows(3),
  ...convolutionRows(1),
];

/** Time one size in one turn, and see how much memory it takes beside what is there already. */
async function measureOnce(gpu: Gpu, { make }: Row, size: number, turn: number): Promise<Point> {
  const { pool } = gpu;
  const before = pool.liveBytes;
  using steps = make(gpu, size);
  await steps.run(1); // compile
  pool.peakBytes = pool.liveBytes;
  let began = performance.now();
  await steps.run(1);
  const bytes = pool.peakBytes - before;
  const times = Math.max(1, Math.ceil(turn / (performance.now() - began)));
  began = performance.now();
  await steps.run(times);
  return { size, ms: (performance.now() - began) / times, bytes };
}

/** All sizes of a row, each with its least time over the passes. What seems to jump is timed again. */
async function measure(gpu: Gpu, row: Row, rounds: number, turn: number): Promise<Point[]> {
  const points: Point[] = [];
  const again = async (i: number) => {
    const point = await measureOnce(gpu, row, row.sizes[i], turn);
    points[i] = { ...point, ms: Math.min(point.ms, points[i]?.ms ?? Infinity) };
  };
  for (let round = 0; round < rounds; round++) {
    for (const i of row.sizes.keys()) await again(i);
  }
  for (const i of jumps(points, workOf(row))) {
    for (const j of [i - 1, i, i + 1]) if (points[j] !== undefined) await again(j);
  }
  return points;
}

function workOf({ work }: Row): (size: number) => number {
  return work?.of ?? ((size) => size);
}

function shown(value: number): string {
  return value >= 100 ? value.toFixed(0) : value >= 10 ? value.toFixed(1) : value.toFixed(2);
}

/** A paragraph in lines of at most 100 characters, as `deno fmt` has them. */
function wrapped(text: string): string {
  return text.split(" ").reduce((lines, word) =>
    lines.length - lines.lastIndexOf("\n") + word.length > 100
      ? `${lines}\n${word}`
      : `${lines} ${word}`
  );
}

/** A row's table, and the sentences on its laws, as `deno fmt` would lay them out. */
function report(row: Row, points: readonly Point[]): string {
  const work = workOf(row);
  const marked = new Set(jumps(points, work));
  const megabytes = points.map(({ bytes }) => bytes / 1e6);
  const cells = [
    [row.size, ...points.map(({ size }) => size.toLocaleString("en"))],
    ["ms", ...points.map(({ ms }, i) => shown(ms) + (marked.has(i) ? " (!)" : ""))],
    ["MB", ...megabytes.map(shown)],
  ];
  const widths = cells[0].map((_, i) => Math.max(3, ...cells.map((line) => line[i].length)));
  const line = (texts: string[]) =>
    `| ${texts.map((text, i) => text.padEnd(widths[i])).join(" | ")} |`;
  const rule = `| ${widths.map((width) => "-".repeat(width)).join(" | ")} |`;
  const x = row.work?.name ?? row.size;
  const law = (unit: string, ys: readonly number[]) => {
    const { fixed, slope, residual } = fitLaw(points.map(({ size }) => work(size)), ys);
    return `${fixed.toPrecision(2)} ${unit} + ${slope.toPrecision(2)} ${unit} · ${x} (within ${
      Math.round(100 * residual)
    } %)`;
  };
  const times = law("ms", points.map(({ ms }) => ms));
  const laws = `**${row.name}**, by ${row.size}: ${times}; ${law("MB", megabytes)}`;
  return `${wrapped(laws)}\n\n` +
    [line(cells[0]), rule, ...cells.slice(1).map(line)].join("\n") + "\n";
}

const DOCUMENT = fromFileUrl(import.meta.resolve("../../docs/performance.md"));
const [BEGIN, END] = ["<!-- growth: begin -->", "<!-- growth: end -->"];

/** Put the tables between the marks of the document. */
async function write(tables: string): Promise<void> {
  const document = await Deno.readTextFile(DOCUMENT);
  const [begin, end] = [document.indexOf(BEGIN), document.indexOf(END)];
  if (begin < 0 || end < begin) throw new Error(`${DOCUMENT} lacks the marks ${BEGIN} and ${END}`);
  const text = `${document.slice(0, begin)}${BEGIN}\n\n${tables}\n${document.slice(end)}`;
  await Deno.writeTextFile(DOCUMENT, text);
}

async function main(): Promise<void> {
  const { rounds, turn, only = "", write: wanted } = parseFlags(flags, Deno.args, {
    task: "growth",
    summary: "Measure how time and memory of a step grow with batch, T, V and picture size.",
    examples: ["deno task growth", "deno task growth --only=product", "deno task growth --write"],
  });
  if (wanted && only !== "") {
    throw new UsageError("Flag --write is for all tables, and --only leaves some out: use one");
  }
  const rows = ROWS.filter(({ name }) => name.includes(only));
  if (rows.length === 0) {
    const names = [...new Set(ROWS.map(({ name }) => name))].join("; ");
    throw new UsageError(`No row has "${only}" in its name: there are ${names}`);
  }
  using gpu = await openGpu();
  const machine = `${await cpuName()}, ${gpu.adapter.description}${await driverVersion()}`;
  const tables = [
    wrapped(
      `Measured on ${machine}, ${gpu.path} kernels. (!) costs more than ${JUMP} times as much for ` +
        "each value as a neighbor.",
    ) + "\n",
  ];
  console.log(tables[0]);
  for (const row of rows) {
    tables.push(report(row, await measure(gpu, row, rounds, turn)));
    console.log(tables.at(-1));
  }
  if (wanted) await write(tables.join("\n"));
}

await runTask(main);
