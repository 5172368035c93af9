/** How a product is cut into tiles on a software adapter: by what the tiles that compile quickly would cost. */
import type { Costs } from "../../runtime/costs.ts";
import type { Cut, Tile } from "../contract.ts";

/** Tile heights: few, since each is a pipeline of its own to compile. 25 is the homework's batch. */
const ROWS = [4, 8, 16, 25, 32, 64];
/** Rows times quads of the largest tiles: those above take the driver seconds to compile, and are no faster. */
const LARGEST = 64;
/** A tile that costs so little more is taken where it is smaller, since it compiles in less time. */
const CLOSE = 1.04;

/** Loads that finding the place of a window takes as long as: its divisions are done lane by lane. */
const PLACE_LOADS = 25;

/** The nanoseconds that a tile takes on its core: what begins it, blocks of four k, and its ending. */
function tileTime({ rows, quads, narrow }: Tile, cut: Cut, lanes: number, costs: Costs): number {
  const pieces = Math.ceil(rows / lanes);
  const block = 16 * rows * quads * costs.multiply + (4 * quads + pieces) * costs.load;
  const begin = cut.narrow ? (narrow ? 1 : pieces) * PLACE_LOADS * costs.load : 0;
  const choosing = narrow ? 0 : rows * costs.multiply;
  return begin + Math.ceil(cut.k / 4) * block + rows * quads * (costs.store + choosing);
}

/** The product's name among the tiles of {@linkcode Costs}. */
function cutName(
  { m, n, k, parts = 1, across = false, quads, narrow = false }: Cut,
): string {
  return `${m}x${n}x${k}${parts > 1 ? ` in ${parts}` : ""}${across ? " across" : ""}${
    quads === undefined ? "" : " gates"
  }${narrow ? " window" : ""}`;
}

/** A tile's name, such as `32x2`, or `narrow 16x4`. */
function tileName({ rows, quads, narrow }: Tile): string {
  return `${narrow ? "narrow " : ""}${rows}x${quads}`;
}

/** The tiles that a product may be cut into. */
function tilesFor({ n, across = false, quads, narrow = false }: Cut): Tile[] {
  const widths = quads === undefined ? [1, 2, 4] : [quads];
  const tiles: Tile[] = ROWS.filter((rows) => !across || rows % 4 === 0)
    .flatMap((rows) => widths.map((quads) => ({ rows, quads })));
  // Columns in equal shares.
  const share = 4 * Math.ceil(n / 4 / Math.ceil(n / LARGEST));
  if (narrow) tiles.push(...[1, 2, 4].map((quads) => ({ rows: share, quads, narrow })));
  return tiles.filter(({ rows, quads }) => rows * quads <= LARGEST);
}

/** The tile for a product, of `lanes` lanes. */
export function softwareTile(cut: Cut, lanes: number, costs: Costs): Tile {
  const { m, n, parts = 1 } = cut;
  const tiles = tilesFor(cut);
  const tuned = costs.tiles?.[cutName(cut)];
  const found = tuned === undefined ? undefined : tiles.find((tile) => tileName(tile) === tuned);
  if (found !== undefined && costs.asked === undefined) return found;
  const timed = tiles.map((tile) => {
    const width = 4 * lanes * (cut.quads === undefined ? tile.quads : 1);
    const count = tile.narrow
      ? Math.ceil(m / width) * Math.ceil(n / tile.rows)
      : Math.ceil(m / tile.rows) * Math.ceil(n / width);
    const rounds = Math.ceil(count * parts / costs.cores);
    return { tile, time: rounds * tileTime(tile, cut, lanes, costs) };
  });
  const best = Math.min(...timed.map(({ time }) => time));
  const size = ({ rows, quads }: Tile) => rows * quads;
  const picked = timed.filter(({ time }) => time <= CLOSE * best)
    .reduce((a, b) => size(b.tile) < size(a.tile) ? b : a);
  const expected = Object.fromEntries(timed.map(({ tile, time }) => [tileName(tile), time]));
  costs.asked?.(cutName(cut), expected, tileName(picked.tile));
  return found ?? picked.tile;
}
