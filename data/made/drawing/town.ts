/**
 * A row of gabled houses along a river, with trees, a tower and a punt: a small Tübingen.
 *
 * @module
 */
import type { RandomStream } from "../../rng.ts";
import type { Canvas, Pen } from "./canvas.ts";
import { between, type Color, happens, hsl, mix, pick } from "./color.ts";
import { type Point, rectangle } from "./outlines.ts";
import { hills } from "./textures.ts";

const WHITE: Color = [0.96, 0.95, 0.92];
const BLACK: Color = [0.1, 0.09, 0.1];
const STONE: Color = [0.62, 0.57, 0.5];

/** Where the water begins, from the top. */
const BANK = 0.74;
/** Where the houses stand. */
const STREET = 0.66;

/** What walls are painted with: ochre, rose, cream, green, blue, terracotta, white. */
const WALLS: readonly Color[] = [
  [0.89, 0.72, 0.4],
  [0.86, 0.6, 0.55],
  [0.93, 0.86, 0.68],
  [0.65, 0.75, 0.6],
  [0.6, 0.7, 0.8],
  [0.78, 0.47, 0.34],
  [0.92, 0.9, 0.86],
];

function sky(pen: Pen, stream: RandomStream): void {
  const clouds = hills(stream, 3);
  const wisps = hills(stream, 9);
  pen.cover((x, y) => {
    const air = mix([0.36, 0.58, 0.86], [0.85, 0.9, 0.95], Math.min(y / STREET, 1));
    const cloud = clouds(0.7 * x, 1.8 * y) + 0.35 * wisps(0.7 * x, 1.8 * y);
    return mix(air, WHITE, Math.min(Math.max(3 * (cloud - 0.75), 0), 1));
  });
}

/** Wooded hills far away, and a church tower before them. */
function distance(pen: Pen, stream: RandomStream, width: number): void {
  const crest = hills(stream, 2.2);
  const line: Point[] = Array.from({ length: 33 }, (_, i): Point => {
    const x = width * i / 32;
    return [x, 0.4 - 0.16 * crest(x, 0)];
  });
  const woods = hills(stream, 30);
  pen.fill([...line, [width, 1], [0, 1]], (x, y) => {
    return mix([0.33, 0.47, 0.37], [0.52, 0.62, 0.5], woods(x, y));
  });
  const x = 0.56 * width;
  pen.fill(rectangle(x - 0.045, 0.16, 0.09, 0.5), STONE);
  pen.fill(rectangle(x, 0.16, 0.045, 0.5), mix(STONE, BLACK, 0.25));
  pen.fill([[x - 0.06, 0.17], [x, 0.02], [x + 0.06, 0.17]], [0.42, 0.24, 0.2]);
  for (const y of [0.2, 0.29]) pen.ellipse(x - 0.015, y, 0.012, 0.022, BLACK);
}

/** One house, its gable towards the river. */
function gabledHouse(
  pen: Pen,
  stream: RandomStream,
  { left, wide, eaves, top }: { left: number; wide: number; eaves: number; top: number },
): void {
  const wall = mix(pick(stream, WALLS), hsl(stream.uniform(), 0.5, 0.5), 0.1);
  const tiles = hsl(
    between(stream, 0.01, 0.05),
    between(stream, 0.35, 0.6),
    between(stream, 0.28, 0.4),
  );
  const middle = left + wide / 2;
  const right = left + wide;
  const rough = hills(stream, 40);
  const plaster = (x: number, y: number) => {
    return mix(wall, BLACK, 0.1 * rough(x, y) + 0.12 * (x - left) / wide);
  };
  pen.fill([[left, STREET + 0.02], [left, eaves], [middle, top], [right, eaves], [
    right,
    STREET + 0.02,
  ]], plaster);
  pen.line(
    [[left - 0.012, eaves + 0.015], [middle, top - 0.005], [right + 0.012, eaves + 0.015]],
    0.026,
    tiles,
  );
  const beam: Color = [0.36, 0.23, 0.16];
  const timbered = happens(stream, 0.5);
  if (timbered) {
    pen.line([[left, eaves], [right, eaves]], 0.009, beam);
    pen.line([[middle, top + 0.03], [middle, eaves]], 0.008, beam);
    for (const side of [-1, 1]) {
      pen.line(
        [[middle, eaves], [middle + side * wide * 0.25, (eaves + top) / 2 + 0.02]],
        0.008,
        beam,
      );
      pen.line(
        [[middle + side * wide * 0.48, eaves], [middle + side * wide * 0.48, STREET]],
        0.009,
        beam,
      );
    }
  } else pen.ellipse(middle, (eaves + 2 * top) / 3 + 0.03, 0.016, 0.02, BLACK);
  const shutters = hsl(stream.uniform(), 0.4, 0.32);
  const shuttered = happens(stream, 0.6);
  const columns = wide > 0.19 ? 3 : 2;
  const pitch = wide / columns;
  for (let y = eaves + 0.03; y < STREET - 0.05; y += 0.088) {
    for (let i = 0; i < columns; i++) {
      const x = left + pitch * (i + 0.5);
      if (shuttered) pen.fill(rectangle(x - 0.029, y, 0.058, 0.05), shutters);
      pen.fill(rectangle(x - 0.018, y - 0.004, 0.036, 0.058), WHITE);
      pen.fill(
        rectangle(x - 0.013, y, 0.026, 0.05),
        mix([0.2, 0.25, 0.33], WHITE, 0.3 * stream.uniform()),
      );
      pen.line([[x, y], [x, y + 0.05]], 0.005, WHITE);
    }
    if (timbered) pen.line([[left, y + 0.07], [right, y + 0.07]], 0.007, beam);
  }
}

/** A round tree of many leaves around `(x, y)`. */
function roundTree(pen: Pen, stream: RandomStream, x: number, y: number, size: number): void {
  const trunk: Point[] = [[x, BANK - 0.01], [x + 0.1 * size, y]];
  pen.line(trunk, [0.16 * size, 0.08 * size], [0.3, 0.22, 0.16]);
  const hue = between(stream, 0.2, 0.31);
  for (let i = 0; i < 150; i++) {
    const angle = between(stream, 0, 2 * Math.PI);
    const far = size * Math.sqrt(stream.uniform());
    const [dx, dy] = [far * Math.cos(angle), 0.85 * far * Math.sin(angle)];
    // Lit from the left above.
    const light = 0.28 - 0.13 * (dx + 1.4 * dy) / size + 0.012 * i / 15 +
      between(stream, -0.05, 0.05);
    const radius = size * between(stream, 0.1, 0.2);
    pen.ellipse(x + dx, y + dy, radius, 0.8 * radius, hsl(hue, 0.45, Math.max(light, 0.08)));
  }
}

/** The river mirrors what stands above it, darker, in ripples. */
function river(canvas: Canvas, stream: RandomStream, width: number): void {
  const slow = hills(stream, 4);
  const quick = hills(stream, 11);
  const deep: Color = [0.2, 0.33, 0.36];
  canvas.pen.fill(rectangle(0, BANK, width, 1 - BANK), (x, y) => {
    const far = y - BANK;
    const ripple = quick(0.8 * x, 6 * y) - 0.5;
    const moved = x + 0.06 * ripple * (0.3 + 4 * far);
    const mirrored = canvas.colorAt(moved, BANK - 1.7 * far - 0.05 * ripple * far);
    const color = mix(mirrored, deep, 0.3 + 0.25 * slow(x, 3 * y));
    const glint = Math.max(quick(1.3 * x, 9 * y) - 0.78, 0) * 3;
    return mix(color, [0.8, 0.88, 0.94], Math.min(glint, 0.6));
  });
}

/** A punt with a man who pushes it along with a pole. */
function punt(pen: Pen, x: number, y: number): void {
  const hull: Point[] = [[x - 0.2, y - 0.035], [x - 0.13, y], [x + 0.13, y], [x + 0.21, y - 0.04], [
    x + 0.15,
    y + 0.035,
  ], [x - 0.14, y + 0.035]];
  pen.ellipse(x, y + 0.045, 0.2, 0.014, BLACK, 0.45);
  pen.fill(hull, [0.33, 0.2, 0.12]);
  pen.line(
    [[x - 0.19, y - 0.03], [x - 0.13, y + 0.004], [x + 0.13, y + 0.004], [x + 0.2, y - 0.035]],
    0.01,
    [0.6, 0.42, 0.25],
  );
  pen.line([[x + 0.21, y - 0.22], [x + 0.1, y + 0.1]], 0.008, [0.75, 0.6, 0.4]);
  pen.line([[x + 0.13, y], [x + 0.135, y - 0.05]], 0.024, [0.18, 0.2, 0.3]);
  pen.line([[x + 0.135, y - 0.055], [x + 0.14, y - 0.095]], 0.034, [0.85, 0.25, 0.2]);
  pen.ellipse(x + 0.142, y - 0.13, 0.017, 0.02, [0.85, 0.65, 0.5]);
  for (const [at, red] of [[-0.06, 0.2], [0.0, 0.9], [0.05, 0.7]]) {
    pen.line([[x + at, y - 0.005], [x + at, y - 0.03]], 0.03, [red, 0.55, 0.75 - 0.5 * red]);
    pen.ellipse(x + at, y - 0.06, 0.016, 0.018, [0.8, 0.6, 0.48]);
  }
}

/** Draw the town on a canvas, over all of it. */
export function drawTown(canvas: Canvas, stream: RandomStream): void {
  const { pen } = canvas;
  const width = canvas.width / Math.min(canvas.width, canvas.height);
  sky(pen, stream.split("sky"));
  distance(pen, stream.split("distance"), width);
  const row = stream.split("houses");
  for (let left = -0.06; left < width;) {
    const wide = between(row, 0.15, 0.23);
    const eaves = between(row, 0.36, 0.46);
    gabledHouse(pen, row, { left, wide, eaves, top: eaves - wide * between(row, 0.7, 0.95) });
    left += wide + (happens(row, 0.25) ? 0.02 : 0.004);
  }
  const stones = hills(stream.split("stones"), 34);
  pen.fill(rectangle(0, STREET, width, BANK - STREET), (x, y) => {
    return mix(STONE, BLACK, 0.15 + 0.35 * stones(x, 1.6 * y));
  });
  pen.line([[0, STREET], [width, STREET]], 0.012, mix(STONE, WHITE, 0.4));
  const trees = stream.split("trees");
  for (let x = 0.14; x < width + 0.1; x += between(trees, 0.26, 0.42)) {
    roundTree(pen, trees, x, BANK - between(trees, 0.1, 0.15), between(trees, 0.06, 0.1));
  }
  roundTree(pen, trees, 0.06, 0.42, 0.2);
  river(canvas, stream.split("river"), width);
  punt(pen, 0.66 * width, 0.88);
  canvas.grain(stream.split("grain"), 0.012);
}
