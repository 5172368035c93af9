/** `deno task tune`: find the fastest tiles for products of these sizes on this machine, and keep them. */
import type { Costs } from "../kernels/runtime/costs.ts";
import { type Gpu, openGpu } from "../kernels/runtime/gpu.ts";
import { Tensor } from "../kernels/runtime/tensor.ts";
import { callOperation, operationOf, readSizes } from "./kernel/operations.ts";
import { defineFlags, integer, parseFlags, text, UsageError } from "./lib/flags.ts";
import { runTask } from "./lib/main.ts";
import { UserError } from "../data/files/user_error.ts";

const flags = defineFlags({
  shape: text({
    optional: true,
    placeholder: "sizes",
    help: "The operation's sizes, such as 64x512x256; those of `deno task kernel` unless given",
  }),
  rounds: integer({
    default: 5,
    min: 1,
    max: 100,
    help: "Turns of each tile; the least time counts",
  }),
  turn: integer({ default: 30, min: 1, max: 10_000, help: "Milliseconds of a turn, at least" }),
});

/** The layers in which the homework's networks spend their time, at its sizes. */
const HOMEWORK: readonly (readonly [name: string, shape: string])[] = [
  ["lstm", "17x25x256x512"],
  ["rnn", "17x25x256x512"],
  ["matmul", "25x512x512"],
  ["matmul", "425x512x1004"],
  ["conv2d", "4x224x224x3x64x7x2"],
  ["conv2d", "4x56x56x64x64x3x1"],
  ["conv2d", "4x28x28x128x128x3x1"],
  ["conv2d", "4x14x14x256x256x3x1"],
  ["conv2d", "4x7x7x512x512x3x1"],
  ["conv2d", "4x55x55x128x16x1x1"],
  ["conv2d", "4x55x55x16x64x3x1"],
  ["conv2d", "4x27x27x32x128x3x1"],
];

/** Tiles that the rule expects to take so many times its own's time are not tried. */
const HOPELESS = 2;
/** A tile must be so much faster than the rule's to be kept: less is noise. */
const WORTHWHILE = 0.97;

/** One product of an operation, with the milliseconds that the operation takes by its tiles. */
export interface Tuned {
  product: string;
  /** The tile that the rule picks. */
  rule: string;
  /** Milliseconds by tile. */
  times: Record<string, number>;
}

/** The tile that was fastest, or the rule's where none is worthwhile. */
export function bestTile({ rule, times }: Tuned): string {
  const best = Object.keys(times).reduce((a, b) => times[b] < times[a] ? b : a);
  return times[best] <= WORTHWHILE * times[rule] ? best : rule;
}

/** Milliseconds of one of so many calls of an operation with its gradients. */
async function timeCalls(gpu: Gpu, name: string, sizes: readonly number[], calls: number) {
  using last = Tensor.zeros(gpu, [1]);
  const start = performance.now();
  for (let i = 0; i < calls; i++) callOperation(gpu, name, sizes, true);
  await last.read(); // which waits for all before it
  return (performance.now() - start) / calls;
}

/** How long an operation takes by the tiles of each of its products, all others being the rule's. */
export async function tuneOperation(
  gpu: Gpu,
  name: string,
  sizes: readonly number[],
  { rounds, turn }: { rounds: number; turn: number },
): Promise<Tuned[]> {
  const costs = gpu.costs;
  const { tiles: kept, ...own } = costs;
  const found = new Map<string, { rule: string; tiles: string[] }>();
  const asked: Costs["asked"] = (product, tiles, rule) => {
    const bound = HOPELESS * tiles[rule];
    const worth = Object.keys(tiles).filter((tile) => tiles[tile] <= bound);
    found.set(product, { rule, tiles: worth });
  };
  try {
    gpu.costs = { ...own, asked };
    await timeCalls(gpu, name, sizes, 1); // compile
    gpu.costs = own;
    const calls = Math.ceil(turn / await timeCalls(gpu, name, sizes, 1));
    const tuned: Tuned[] = [];
    for (const [product, { rule, tiles }] of found) {
      const times: Record<string, number> = {};
      for (let round = -1; round < rounds; round++) { // the first compiles
        for (const tile of tiles) {
          gpu.costs = { ...own, tiles: { [product]: tile } };
          const ms = await timeCalls(gpu, name, sizes, round < 0 ? 1 : calls);
          if (round >= 0) times[tile] = Math.min(ms, times[tile] ?? Infinity);
        }
      }
      tuned.push({ product, rule, times });
    }
    return tuned;
  } finally {
    gpu.costs = { ...own, ...kept && { tiles: kept } };
  }
}

/** The costs with the tiles that were found, and without those that were kept and are no better than the rule's. */
export function withTiles(costs: Costs, tuned: readonly Tuned[]): Costs {
  const tiles = { ...costs.tiles };
  for (const one of tuned) {
    const best = bestTile(one);
    if (best === one.rule) delete tiles[one.product];
    else tiles[one.product] = best;
  }
  const { tiles: _, ...rest } = costs;
  return Object.keys(tiles).length === 0 ? rest : { ...rest, tiles };
}

function line(one: Tuned): string {
  const best = bestTile(one);
  const ms = (tile: string) => `${one.times[tile].toFixed(2)} ms with ${tile}`;
  const tried = Object.keys(one.times).length;
  return best === one.rule
    ? `  ${one.product}: ${ms(best)}, the rule's, is as good as any of ${tried}`
    : `  ${one.product}: ${ms(best)} instead of ${ms(one.rule)}`;
}

async function main(): Promise<void> {
  const named = Deno.args.length > 0 && !Deno.args[0].startsWith("-");
  const { shape, ...turns } = parseFlags(flags, Deno.args.slice(named ? 1 : 0), {
    task: "tune [NAME]",
    summary:
      "Find the fastest tiles for the products of an operation and of its gradients at these " +
      "sizes, and keep them for this CPU and driver. Without a name, for the homework's layers.",
    examples: ["deno task tune", "deno task tune matmul --shape=64x512x256"],
  });
  if (!named && shape !== undefined) {
    throw new UsageError("Flag --shape needs the name of an operation before it");
  }
  const work = named ? [[operationOf(Deno.args[0]), shape] as const] : HOMEWORK;
  const read = work.map(([name, shape]) => ({ name, sizes: readSizes(name, shape) }));
  using gpu = await openGpu();
  if (gpu.path !== "subgroup") {
    throw new UserError(
      `There is nothing to tune on "${gpu.adapter.description}": tiles are chosen by measured ` +
        "costs on software adapters with subgroups only",
    );
  }
  let path: string | undefined;
  for (const { name, sizes } of read) {
    console.log(`${name} ${sizes.join("x")}, with its gradients`);
    const tuned = await tuneOperation(gpu, name, sizes, turns);
    for (const one of tuned) console.log(line(one));
    gpu.costs = withTiles(gpu.costs, tuned);
    path = gpu.keepCosts();
  }
  const count = Object.keys(gpu.costs.tiles ?? {}).length;
  const held = `${count} ${count === 1 ? "tile differs" : "tiles differ"} from the rule's`;
  console.log(
    path === undefined
      ? `${held}. To have them used, set NECKAR_COSTS='${
        JSON.stringify(gpu.costs)
      }', or name a file ` +
        "there, as ./neckar does, and tune again"
      : `${held}: kept in ${path}`,
  );
}

if (import.meta.main) await runTask(main);
